// SPDX-License-Identifier: MIT
// What a WebSocket of a browser costs when nobody reads at its other end; packages/servers/test/gateway has the rest.
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { ENTRY_PROTOCOL, requestFrames } from '@allium/protocol/onion/entry';
import { expect, test } from 'vitest';
import { EntrySockets } from '../src/entry-sockets.ts';
import { systemEnv } from '../src/system-env.ts';

/** A connection whose other end sends and never reads. */
class Deaf extends Duplex {
  override _read(): void {}
  override _write(): void {}
}

/** RFC 6455 §5.2: a short binary frame of a client, with a mask that changes nothing. */
const masked = (payload: Uint8Array): Uint8Array =>
  Uint8Array.from([0x82, 0x80 | payload.length, 0, 0, 0, 0, ...payload]);

test('whoever asks on and does not read the refusals is cut off', async () => {
  const refused = new Map<string, number>();
  const sockets = new EntrySockets(
    {
      carry: () => new Promise(() => {}),
      admits: () => false,
      onRefused: (limit) => refused.set(limit, (refused.get(limit) ?? 0) + 1),
    },
    systemEnv(),
  );
  const request = new IncomingMessage(new Socket());
  Object.assign(request, { method: 'GET', url: '/v1/socket' });
  Object.assign(request.headers, {
    upgrade: 'websocket',
    'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
    'sec-websocket-version': '13',
    'sec-websocket-protocol': ENTRY_PROTOCOL,
  });
  const connection = new Deaf();
  sockets.upgrade(request, connection as unknown as Socket, Buffer.alloc(0), '198.51.100.1');
  expect(sockets.size).toBe(1);
  for (let id = 1; id <= 10_000; id++) {
    const [frame] = requestFrames(id, 'ab'.repeat(32), new Uint8Array(3));
    connection.push(masked(frame!));
  }
  await expect.poll(() => sockets.size).toBe(0);
  expect(refused.get('socket_slow')).toBe(1);
  await sockets.stop();
});
