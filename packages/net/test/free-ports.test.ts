// SPDX-License-Identifier: MIT
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { freePorts, isFree } from '../src/free-ports.ts';

test('each port is given once, also to callers at the same time, and outside the range of outgoing connections', async () => {
  const all = (await Promise.all(Array.from({ length: 20 }, () => freePorts(5)))).flat();
  expect(new Set(all).size).toBe(100);
  for (const port of all) expect(port >= 20_000 && port < 32_000).toBe(true);
});

test('a port that somebody listens on is not free', async () => {
  const [port = 0] = await freePorts(1);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  expect(await isFree(port, '127.0.0.1')).toBe(false);
  await new Promise((resolve) => server.close(resolve));
  expect(await isFree(port, '127.0.0.1')).toBe(true);
});
