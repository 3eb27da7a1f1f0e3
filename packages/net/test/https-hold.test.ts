// SPDX-License-Identifier: MIT
// Requests on hold: they wait without the places and the memory that others need.
import type { ClientRequest } from 'node:http';
import { Agent, request } from 'node:https';
import { afterEach, expect, test } from 'vitest';
import { createCertificate } from '../src/certificate.ts';
import { HttpsServer } from '../src/https-server.ts';
import { systemEnv } from '../src/system-env.ts';
import { until } from '../src/testing/until.ts';

const agent = new Agent({ rejectUnauthorized: false });
let server: HttpsServer | undefined;
afterEach(() => server?.stop());

test('a request on hold gives its place and its body back, and hears when its client goes', async () => {
  const held: (() => void)[] = [];
  let gone = 0;
  const made = new HttpsServer(
    {
      host: '127.0.0.1',
      port: 0,
      ...createCertificate(),
      maxConcurrentRequests: 1,
      maxBufferedBytes: 1_500,
      handler: (exchange) => {
        expect(exchange.body).toHaveLength(1_000);
        if (exchange.path === '/now') return { status: 200, body: 'now' };
        exchange.hold(() => gone++);
        exchange.hold(() => gone++); // in place of the first
        expect(exchange.body).toHaveLength(0);
        return new Promise((resolve) => held.push(() => resolve({ status: 200, body: 'late' })));
      },
    },
    systemEnv(),
  );
  server = made;
  const { port } = await made.start();
  const ask = (path: string): { sent: ClientRequest; answer: Promise<string> } => {
    const sent = request({ agent, host: '127.0.0.1', port, path, method: 'POST' });
    const answer = new Promise<string>((resolve, reject) => {
      sent.on('error', reject);
      sent.on('response', (response) => {
        response.on('data', (chunk) => resolve(`${response.statusCode} ${chunk}`));
      });
    });
    sent.end(Buffer.alloc(1_000));
    return { sent, answer };
  };
  const first = ask('/held');
  await until(() => held.length === 1, 'the first');
  const second = ask('/held');
  await until(() => held.length === 2, 'the second');
  expect(made.runningRequests).toBe(0);
  expect(await ask('/now').answer).toBe('200 now');
  second.answer.catch(() => undefined);
  second.sent.destroy();
  await until(() => gone === 1, 'word of the client that went');
  for (const finish of held) finish();
  expect(await first.answer).toBe('200 late');
  await until(() => made.connections === 0, 'the end');
  expect(gone).toBe(1);
  expect(made.runningRequests).toBe(0);
});
