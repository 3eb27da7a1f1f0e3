// SPDX-License-Identifier: MIT
// The answering side of omq.bench.ts, a process of its own: `peer.ts omq|zeromq|https|node-https`. Tells its port and
// key through the channel of its parent, then the CPU time it has used, whenever it is asked.
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { x25519KeyPair } from '@allium/protocol/crypto';
import { Router } from 'zeromq';
import { createCertificate } from '../src/certificate.ts';
import { HttpsServer } from '../src/https-server.ts';
import { Omq } from '../src/omq/omq.ts';
import { systemEnv } from '../src/system-env.ts';
import { z85 } from '../test/omq/support.ts';

const keyPair = x25519KeyPair();
const host = '127.0.0.1';

async function omq(): Promise<number> {
  const endpoint = new Omq({ keyPair, listen: { host, port: 0 }, isServiceNode: true }, systemEnv());
  endpoint.category('test', { access: 'none' });
  endpoint.register('test.echo', (_context, parts) => parts);
  return (await endpoint.start()).port ?? 0;
}

async function zeromq(): Promise<number> {
  const socket = new Router({ curveServer: true, curveSecretKey: z85(keyPair.secretKey) });
  await socket.bind(`tcp://${host}:*`);
  void (async () => {
    for await (const [route, , tag, ...data] of socket) await socket.send([route!, 'REPLY', tag!, ...data]);
  })();
  return Number(socket.lastEndpoint?.split(':').at(-1));
}

async function https(): Promise<number> {
  const certificate = createCertificate();
  const headers = { 'Content-Type': 'application/json' };
  const server = new HttpsServer(
    { host, port: 0, ...certificate, handler: ({ body }) => ({ status: 200, headers, body }) },
    systemEnv(),
  );
  return (await server.start()).port;
}

function nodeHttps(): Promise<number> {
  const { certificatePem: cert, keyPem: key } = createCertificate();
  const server = createServer({ cert, key }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
      response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': body.length });
      response.end(body);
    });
  });
  return new Promise((resolve) => {
    server.listen(0, host, () => resolve((server.address() as AddressInfo).port));
  });
}

const kinds: Record<string, () => Promise<number>> = { omq, zeromq, https, 'node-https': nodeHttps };
const make = kinds[process.argv[2] ?? ''];
if (make !== undefined && process.send !== undefined) {
  process.send({ port: await make(), publicKey: [...keyPair.publicKey] });
  process.on('message', () => {
    const { user, system } = process.cpuUsage();
    process.send?.({ cpu: user + system });
  });
  process.on('disconnect', () => process.exit());
}
