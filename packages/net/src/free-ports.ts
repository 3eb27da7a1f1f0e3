// SPDX-License-Identifier: MIT
// Ports for devnets and tests: free ones that stay theirs over restarts.
import { createServer } from 'node:net';

/**
 * Ours: below the range from which systems take ports of outgoing connections (Linux: 32768 up), so that no such
 * connection sits on the port of a node that is down for a moment.
 */
const FIRST_PORT = 20_000;
const LAST_PORT = 31_999;

/** `count` ports that nobody listens on now. */
export async function freePorts(count: number, host = '127.0.0.1'): Promise<number[]> {
  const ports: number[] = [];
  // A random start lets several devnets come up at once without meeting each other.
  let port = FIRST_PORT + Math.floor(Math.random() * (LAST_PORT - FIRST_PORT));
  for (let tries = 0; ports.length < count; tries += 1) {
    if (tries > LAST_PORT - FIRST_PORT)
      throw new Error(`no ${count} free ports between ${FIRST_PORT} and ${LAST_PORT}`);
    port = port >= LAST_PORT ? FIRST_PORT : port + 1;
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
