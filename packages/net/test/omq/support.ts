// SPDX-License-Identifier: MIT
// Endpoints of ours and of libzmq for the tests.
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { x25519KeyPair } from '@allium/protocol/crypto';
import type { KeyPair } from '@allium/protocol/crypto/provider';
import type { Cancel, Clock, Env } from '@allium/protocol/env';
import { CurveClient, type CurveSession, MESSAGE_OVERHEAD, MessageFlag } from '../../src/omq/curve.ts';
import type { OmqOptions, OmqPeer } from '../../src/omq/endpoint.ts';
import { Omq } from '../../src/omq/omq.ts';
import {
  encodeFrame,
  encodeGreeting,
  encodeMetadata,
  FrameFlag,
  FrameReader,
  frameHeadSize,
  writeFrameHead,
} from '../../src/omq/zmtp.ts';
import { systemEnv } from '../../src/system-env.ts';
import { until } from '../../src/testing/until.ts';

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
export async function listener(options: Partial<OmqOptions> = {}, env: Env = systemEnv()): Promise<Endpoint> {
  const keyPair = options.keyPair ?? x25519KeyPair();
  const omq = new Omq(
    { keyPair, listen: { host: '127.0.0.1', port: 0 }, isServiceNode: true, ...options },
    env,
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
export async function connector(
  options: Partial<OmqOptions> = {},
  env: Env = systemEnv(),
): Promise<Endpoint> {
  const keyPair = options.keyPair ?? x25519KeyPair();
  const omq = new Omq({ keyPair, isServiceNode: true, ...options }, env);
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

/** A line to a port of this machine that counts what goes through it. */
export class Line implements AsyncDisposable {
  there = 0;
  back = 0;
  readonly #sockets = new Set<Socket>();
  readonly #server;

  constructor(port: number) {
    this.#server = createServer((near) => {
      const far = connect(port, '127.0.0.1');
      near.on('data', (bytes: Buffer) => {
        this.there += bytes.length;
      });
      far.on('data', (bytes: Buffer) => {
        this.back += bytes.length;
      });
      near.pipe(far).pipe(near);
      for (const socket of [near, far]) {
        socket.on('error', () => {});
        this.#sockets.add(socket);
      }
    });
  }

  /** Its own port. */
  async open(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** Time that moves only when told. */
export class ManualClock implements Clock {
  #now = 1_000_000;
  readonly #timers = new Set<{ at: number; run: () => void }>();

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now;
  }

  after(ms: number, run: () => void): Cancel {
    const timer = { at: this.#now + ms, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Runs what is due in steps of a second, and lets sockets do their work in between. */
  async advance(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 1000) {
      this.#now += Math.min(left, 1000);
      for (const timer of [...this.#timers]) {
        if (timer.at <= this.#now && this.#timers.delete(timer)) timer.run();
      }
      for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}

/** Time by hand, sockets of the system. */
export function manualEnv() {
  const clock = new ManualClock();
  return { clock, env: { ...systemEnv(), clock } };
}

export interface RawOptions {
  readonly keyPair?: KeyPair;
  /** What is vouched for instead of `keyPair`: a thief. */
  readonly shownKey?: Uint8Array;
  readonly identity?: Uint8Array;
  readonly socketType?: string;
}

/** The connecting side by hand, to do what neither we nor libzmq would. */
export class RawPeer implements AsyncDisposable {
  readonly socket: Socket;
  readonly received: Uint8Array[][] = [];
  readonly commands: string[] = [];
  isReady = false;
  isClosed = false;
  answersPing = true;
  readonly #client: CurveClient;
  readonly #reader = new FrameReader(20_000_000);
  #session: CurveSession | undefined;
  #step = 0;
  #parts: Uint8Array[] = [];

  constructor(to: OmqPeer, options: RawOptions = {}) {
    const own = options.keyPair ?? x25519KeyPair();
    const keyPair = { publicKey: options.shownKey ?? own.publicKey, secretKey: own.secretKey };
    this.#client = new CurveClient({
      keyPair,
      serverKey: to.publicKey,
      metadata: encodeMetadata({
        socketType: options.socketType ?? 'DEALER',
        identity: options.identity ?? new Uint8Array(0),
      }),
    });
    this.socket = connect({ port: to.port, host: to.host, noDelay: true });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.isClosed = true;
    });
    this.socket.write(encodeGreeting({ isServer: false, identityLength: 0 }));
    this.socket.on('data', (chunk: Buffer) => this.#reader.read(chunk, this));
  }

  onGreeting(): void {
    this.socket.write(encodeFrame(FrameFlag.command, this.#client.hello()));
  }

  onFrame(_flags: number, body: Uint8Array): void {
    if (this.#step++ === 0) {
      this.socket.write(encodeFrame(FrameFlag.command, this.#client.initiate(body)));
      return;
    }
    if (this.#session === undefined) {
      this.#session = this.#client.finish(body).session;
      this.isReady = true;
      return;
    }
    const plain = this.#session.open(body);
    const flags = plain[0] ?? 0;
    const payload = plain.slice(1);
    if ((flags & MessageFlag.command) !== 0) {
      this.commands.push(Buffer.from(payload.subarray(1, 5)).toString());
      if (this.answersPing && payload[1] === 0x50 && payload[2] === 0x49) {
        this.sendPart(Buffer.from('\x04PONG', 'latin1'), MessageFlag.command);
      }
      return;
    }
    this.#parts.push(payload);
    if ((flags & MessageFlag.more) !== 0) return;
    this.received.push(this.#parts);
    this.#parts = [];
  }

  sendPart(payload: Uint8Array, flags: number): void {
    const length = payload.length + MESSAGE_OVERHEAD;
    const out = Buffer.alloc(frameHeadSize(length) + length);
    this.#session?.seal(out, writeFrameHead(out, 0, 0, length), flags, payload);
    this.socket.write(out);
  }

  send(...parts: (string | Uint8Array)[]): void {
    parts.forEach((part, index) => {
      const bytes = typeof part === 'string' ? Buffer.from(part, 'latin1') : part;
      this.sendPart(bytes, index === parts.length - 1 ? 0 : MessageFlag.more);
    });
  }

  ready(): Promise<void> {
    return until(() => this.isReady, 'a handshake');
  }

  closed(): Promise<void> {
    return until(() => this.isClosed, 'the connection to be closed');
  }

  async next(): Promise<Uint8Array[]> {
    await until(() => this.received.length > 0, 'a message');
    return this.received.shift() ?? [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
  }
}
