// SPDX-License-Identifier: MIT
import { connect } from 'node:net';
import { concat } from '@allium/protocol/bytes';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HttpsServer } from '../src/https-server.ts';
import { Pieces } from '../src/pieces.ts';
import { systemEnv } from '../src/system-env.ts';

test('pieces of any sizes make the whole', () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.uint8Array({ minLength: 900, maxLength: 1_200 }),
  );
  fc.assert(
    fc.property(fc.array(piece), (parts) => {
      const pieces = new Pieces();
      for (const part of parts) pieces.add(part);
      expect(pieces.take()).toEqual(concat(...parts));
      expect(pieces.count).toBe(0);
    }),
  );
});

test('tiny ones are held in few buffers, also between large ones', () => {
  const pieces = new Pieces();
  for (let i = 0; i < 100_000; i++) pieces.add(Uint8Array.of(i));
  expect(pieces.count).toBeLessThan(10);
  const mixed = new Pieces();
  for (let i = 0; i < 100; i++) mixed.add(new Uint8Array(i % 2 === 0 ? 1 : 2_000));
  expect(mixed.count).toBe(100);
});

test('a listener puts a body of tiny chunks together', async () => {
  await using server = new HttpsServer(
    {
      ...{ host: '127.0.0.1', port: 0 },
      handler: ({ body }) => ({ status: 200, body: `${body.length} ${body.every((byte) => byte === 97)}` }),
    },
    systemEnv(),
  );
  const { port } = await server.start();
  const socket = connect(port, '127.0.0.1');
  const head = 'POST /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n';
  socket.write(`${head}${'1\r\na\r\n'.repeat(50_000)}0\r\n\r\n`);
  let seen = '';
  for await (const chunk of socket) seen += chunk;
  expect(seen).toMatch(/\r\n\r\n50000 true$/);
});
