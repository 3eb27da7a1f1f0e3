// SPDX-License-Identifier: AGPL-3.0-or-later
// The ceiling of an HTTPS server in Node: reads a body, answers a prepared one, does nothing else. A process of its own,
// started by the load runs: `echo-server.ts ANSWER-FILE`; prints its port.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createCertificate } from '@allium/net/certificate';
import { followParent } from '../lifeline.ts';

followParent();
const answer = readFileSync(process.argv[2] ?? '');
const { certificatePem, keyPem } = createCertificate();
const headers = { 'Content-Type': 'application/json', 'Content-Length': answer.length };
const server = createServer({ cert: certificatePem, key: keyPem }, (request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    if (chunks.length > 1) Buffer.concat(chunks);
    response.writeHead(200, headers);
    response.end(answer);
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
});
