// SPDX-License-Identifier: MIT
// Ports for devnets and tests: free ones that stay theirs over restarts.
import { createServer } from 'node:net';
import { threadId } from 'node:worker_threads';

/**
 * Ours: below the range from which systems take ports of outgoing connections (Linux: 32768 up), so that no such
 * connection sits on the port of a node that is down for a moment.
 */
const FIRST_PORT = 20_000;
const LAST_PORT = 31_999;
const COUNT = LAST_PORT - FIRST_PORT + 1;
/** Near the golden section of `COUNT`: processes that start one after the other begin far from each other. */
const STRIDE = 7417;

let next = ((process.pid + threadId) * STRIDE) % COUNT;

/** `count` ports that nobody listens on now, none of which this process has got lately. @throws Error when there are not so many */
export async function freePorts(count: number, host = '127.0.0.1'): Promise<number[]> {
  const ports: number[] = [];
  for (let tries = 0; ports.length < count; tries++) {
    if (tries >= COUNT) throw new Error(`no ${count} free ports between ${FIRST_PORT} and ${LAST_PORT}`);
    // Taken before it is looked at: another call meanwhile gets the ones after it.
    const port = FIRST_PORT + next;
    next = (next + 1) % COUNT;
    if (await isFree(port, host)) ports.push(port);
  }
  return ports;
}

export function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
