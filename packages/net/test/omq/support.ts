// SPDX-License-Identifier: MIT
// Endpoints of ours and of libzmq for the tests.
import { x25519KeyPair } from '@allium/protocol/crypto';
import type { KeyPair } from '@allium/protocol/crypto/provider';
import { Omq, type OmqOptions, type OmqPeer } from '../../src/omq/omq.ts';
import { systemEnv } from '../../src/system-env.ts';

const Z85 = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#';

/** Text form of keys in libzmq (ZeroMQ RFC 32). */
export function z85(bytes: Uint8Array): string {
  let text = '';
  const view = Buffer.from(bytes);
  for (let i = 0; i < view.length; i += 4) {
    const value = view.readUInt32BE(i);
    for (let divisor = 85 ** 4; divisor >= 1; divisor /= 85) text += Z85[Math.floor(value / divisor) % 85];
  }
  return text;
}

export interface Endpoint extends AsyncDisposable {
  readonly omq: Omq;
  readonly keyPair: KeyPair;
  readonly peer: OmqPeer;
}

/** An endpoint on loopback with `test.echo`, open to anyone. */
export async function listener(options: Partial<OmqOptions> = {}): Promise<Endpoint> {
  const keyPair = options.keyPair ?? x25519KeyPair();
  const omq = new Omq(
    { keyPair, listen: { host: '127.0.0.1', port: 0 }, isServiceNode: true, ...options },
    systemEnv(),
  );
  omq.category('test', { access: 'none' });
  omq.register('test.echo', (_context, parts) => parts);
  const { port } = await omq.start();
  return {
    omq,
    keyPair,
    peer: { host: '127.0.0.1', port: port ?? 0, publicKey: keyPair.publicKey },
    [Symbol.asyncDispose]: () => omq.stop(),
  };
}

/** An endpoint that only connects. */
export async function connector(options: Partial<OmqOptions> = {}): Promise<Endpoint> {
  const keyPair = options.keyPair ?? x25519KeyPair();
  const omq = new Omq({ keyPair, isServiceNode: true, ...options }, systemEnv());
  omq.category('test', { access: 'none' });
  omq.register('test.echo', (_context, parts) => parts);
  await omq.start();
  return {
    omq,
    keyPair,
    peer: { host: '127.0.0.1', port: 0, publicKey: keyPair.publicKey },
    [Symbol.asyncDispose]: () => omq.stop(),
  };
}

export const text = (parts: readonly Uint8Array[]): string[] =>
  parts.map((part) => Buffer.from(part).toString('latin1'));

/** Waits for a condition of the world, not for time. */
export async function until(condition: () => boolean, what: string, timeoutMs = 10_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
