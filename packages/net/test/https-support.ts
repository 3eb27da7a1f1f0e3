// SPDX-License-Identifier: MIT
// A listener on loopback for the tests, and clients by hand.
import type { IncomingMessage } from 'node:http';
import { type RequestOptions, request } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import type { Env } from '@allium/protocol/env';
import { createCertificate } from '../src/certificate.ts';
import { HttpsServer, type HttpsServerOptions } from '../src/https-server.ts';
import { systemEnv } from '../src/system-env.ts';
import { until } from '../src/testing/until.ts';

const certificate = createCertificate();

/** It counts the limits that were met. */
export async function serve(options: Partial<HttpsServerOptions> = {}, env: Env = systemEnv()) {
  const refused: Record<string, number> = {};
  const server = new HttpsServer(
    {
      host: '127.0.0.1',
      port: 0,
      ...certificate,
      onRefused: (limit) => {
        refused[limit] = (refused[limit] ?? 0) + 1;
      },
      handler: ({ body }) => ({ status: 200, body }),
      ...options,
    },
    env,
  );
  const { port } = await server.start();
  return { server, port, refused, [Symbol.asyncDispose]: () => server.stop() };
}

export interface Answer {
  status: number;
  headers: IncomingMessage['headers'];
  body: Buffer;
}

export function ask(
  port: number,
  options: RequestOptions & { body?: Uint8Array | string } = {},
): Promise<Answer> {
  const { body, ...rest } = options;
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: '127.0.0.1',
        port,
        method: 'POST',
        path: '/x',
        rejectUnauthorized: false,
        agent: false,
        ...rest,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks),
          }),
        );
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
}

/** A connection by hand: what was received, and whether it was closed. */
export async function raw(port: number, localAddress = '127.0.0.1') {
  const socket: TLSSocket = connect({
    socket: connectTcp({ host: '127.0.0.1', port, localAddress }),
    rejectUnauthorized: false,
  });
  const seen = { text: '', isClosed: false };
  socket.on('data', (chunk) => {
    seen.text += chunk.toString('latin1');
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    seen.isClosed = true;
  });
  await new Promise((resolve) => socket.once('secureConnect', resolve));
  return { socket, seen, closed: () => until(() => seen.isClosed, 'the connection to be closed') };
}
