// SPDX-License-Identifier: AGPL-3.0-or-later
// Two small servers in one process, one of them behind a cut.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { NetworkCut } from '../src/network-cut.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** Answers each chunk with "pong"; `ask` first when it shall go and ask another server itself. */
async function startServer(ask?: () => Promise<string>): Promise<number> {
  const server = createServer((socket: Socket) => {
    socket.on('error', () => {});
    socket.on('data', async () => {
      const answer = ask === undefined ? 'pong' : await ask();
      if (!socket.destroyed) socket.write(answer);
    });
  });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** The answer to one question over a new connection, or how it broke. */
function question(port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.on('data', (chunk) => {
      resolve(String(chunk));
      socket.destroy();
    });
    socket.on('error', () => resolve('broken'));
    socket.on('close', () => resolve('broken'));
    socket.write('ping');
  });
}

describe('a cut', () => {
  test('lets everything pass while it is off', async () => {
    const port = await new NetworkCut().run(() => startServer());
    expect(await question(port)).toBe('pong');
  });

  test('breaks connections to the node and lets them pass again afterwards', async () => {
    const cut = new NetworkCut();
    const port = await cut.run(() => startServer());
    cut.set(true);
    expect(await question(port)).toBe('broken');
    cut.set(false);
    expect(await question(port)).toBe('pong');
  });

  test('breaks connections that are open', async () => {
    const cut = new NetworkCut();
    const port = await cut.run(() => startServer());
    const socket = connect({ port, host: '127.0.0.1' });
    socket.on('error', () => {});
    socket.write('ping');
    await once(socket, 'data');
    const closed = new Promise((resolve) => socket.on('close', resolve));
    cut.set(true);
    await closed;
  });

  test('breaks connections that the node makes, also those that a request of somebody else leads to', async () => {
    const outside = await startServer();
    const cut = new NetworkCut();
    let asked = 0;
    const relay = await cut.run(() =>
      startServer(async () => {
        asked += 1;
        await new Promise((resolve) => setTimeout(resolve, 5));
        if (asked === 2) cut.set(true);
        return question(outside);
      }),
    );
    expect(await question(relay)).toBe('pong');
    expect(await question(relay)).toBe('broken');
  });

  test('leaves other nodes alone', async () => {
    const first = new NetworkCut();
    const second = new NetworkCut();
    await first.run(() => startServer());
    const port = await second.run(() => startServer());
    first.set(true);
    expect(await question(port)).toBe('pong');
  });

  test('outgoing connections alone', async () => {
    const outside = await startServer();
    const cut = new NetworkCut();
    expect(await cut.run(() => question(outside))).toBe('pong');
    cut.set(true);
    expect(await cut.run(() => question(outside))).toBe('broken');
    expect(await question(outside)).toBe('pong');
  });
});
