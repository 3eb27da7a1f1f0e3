// SPDX-License-Identifier: AGPL-3.0-or-later
// What `lab -- flood` does to a node: each attack opens, sends and holds what it can until it is told to stop, from a few
// loopback addresses. Answers are read and thrown away unless the attack is not to read them.
import { randomBytes } from 'node:crypto';
import { connect as connectTcp, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { deflateSync, gzipSync } from 'node:zlib';
import { Omq } from '@allium/net/omq';
import { systemEnv } from '@allium/net/system-env';
import { x25519KeyPair } from '@allium/protocol/crypto';
import { openTls } from './kept-connection.ts';
import type { Endpoint } from './post.ts';

interface Target extends Endpoint {
  readonly omqPort: number;
  /** X25519, 32 bytes. */
  readonly publicKey: Uint8Array;
}

/** An attack under way. */
export interface Assault {
  readonly target: Target;
  readonly addresses: readonly string[];
  readonly signal: AbortSignal;
  /** Connections and requests tried so far. */
  tried: number;
}

export interface Attack {
  readonly name: string;
  readonly what: string;
  readonly run: (assault: Assault) => Promise<void>;
}

/** Workers per address. */
const AT_ONCE = 16;
/** A worker that is refused tries again after this time. */
const RETRY_MS = 5;
const DRIP_MS = 500;
/** Held connections per address: more than a node takes from one. */
const HELD = 2_500;

const INFO = httpPost('/storage_rpc/v1', '{"method":"info","params":{}}');
const CLIENT_HELLO = Buffer.from(`1603010200010001fc0303${'5a'.repeat(100)}`, 'hex');
const BOMB_BYTES = 100 * 1024 * 1024;

export const ATTACKS: readonly Attack[] = [
  {
    name: 'requests',
    what: 'as many requests as it can, on kept connections',
    run: (a) => requests(a, INFO, 16),
  },
  {
    name: 'unknown paths',
    what: 'the same for a path that does not exist',
    run: (a) => requests(a, Buffer.from('GET /x HTTP/1.1\r\n\r\n'), 16),
  },
  { name: 'pipelined', what: 'a thousand requests in one write, answers unread', run: pipelined },
  { name: 'TLS handshakes', what: 'connects, shakes hands, closes', run: handshakes },
  { name: 'half-open TCP', what: 'connects and says nothing', run: (a) => held(a, undefined) },
  { name: 'half-open TLS', what: 'connects, sends half a ClientHello', run: (a) => held(a, CLIENT_HELLO) },
  { name: 'no TLS', what: 'connects, sends noise', run: noise },
  {
    name: 'slow heads',
    what: 'a line of a head every half second',
    run: (a) => slow(a, SLOW_HEAD, 'X: y\r\n'),
  },
  {
    name: 'slow bodies',
    what: '64 kB of 10 MB, then a byte every half second',
    run: (a) => slow(a, SLOW_BODY, 'x'),
  },
  { name: 'huge heads', what: 'heads of 15 kB, and of 64 kB', run: hugeHeads },
  { name: 'bombs', what: 'gzip and deflate of 100 MB, with and without saying so', run: bombs },
  { name: 'large bodies', what: '8 MB of JSON that is none', run: largeBodies },
  { name: 'OMQ handshakes', what: 'greeting and a HELLO that does not open', run: omqHandshakes },
  { name: 'OMQ frames', what: 'frames that claim 4 GB; messages of 9 MB from strangers', run: omqFrames },
];

const SLOW_HEAD = Buffer.from('POST /storage_rpc/v1 HTTP/1.1\r\nHost: x\r\n');
const SLOW_BODY = Buffer.concat([
  Buffer.from('POST /storage_rpc/v1 HTTP/1.1\r\nContent-Length: 10000000\r\n\r\n'),
  Buffer.alloc(65_536, 0x20),
]);

function httpPost(path: string, body: string | Uint8Array, header = ''): Buffer {
  const head = `POST ${path} HTTP/1.1\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${header}\r\n`;
  return Buffer.concat([Buffer.from(head), Buffer.from(body)]);
}

/** Runs `work` again and again, by so many workers per address. */
async function everywhere(
  { addresses, signal }: Assault,
  workers: number,
  work: (address: string) => Promise<void>,
): Promise<void> {
  const worker = async (address: string) => {
    while (!signal.aborted) {
      try {
        await work(address);
      } catch {
        await sleep(RETRY_MS);
      }
    }
  };
  await Promise.all(addresses.flatMap((address) => Array.from({ length: workers }, () => worker(address))));
}

/** Until the other side closes, or the attack ends. */
function gone(socket: Socket, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      signal.removeEventListener('abort', end);
      socket.destroy();
      resolve();
    };
    if (socket.destroyed || signal.aborted) end();
    socket.on('error', () => {});
    socket.once('close', end);
    signal.addEventListener('abort', end, { once: true });
  });
}

async function tcp(assault: Assault, address: string, port = assault.target.port): Promise<Socket> {
  assault.tried += 1;
  const socket = connectTcp({ host: assault.target.host, port, localAddress: address });
  socket.on('error', () => {});
  socket.resume();
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('close', () => reject(new Error('refused')));
  });
  return socket;
}

async function tls(assault: Assault, address: string): Promise<TLSSocket> {
  assault.tried += 1;
  const socket = await openTls(assault.target, address);
  socket.resume();
  return socket;
}

/** Sends `batch` requests, and the next ones when all have an answer. */
async function requests(assault: Assault, request: Buffer, batch: number): Promise<void> {
  const bytes = Buffer.concat(Array.from({ length: batch }, () => request));
  await everywhere(assault, AT_ONCE, async (address) => {
    const socket = await tls(assault, address);
    let answers = 0;
    socket.on('data', (chunk: Buffer) => {
      for (let at = chunk.indexOf('HTTP/1.1 '); at >= 0; at = chunk.indexOf('HTTP/1.1 ', at + 9))
        answers += 1;
      if (answers < batch) return;
      answers = 0;
      assault.tried += batch;
      socket.write(bytes);
    });
    socket.write(bytes);
    await gone(socket, assault.signal);
  });
}

async function pipelined(assault: Assault): Promise<void> {
  const bytes = Buffer.concat(Array.from({ length: 1000 }, () => INFO));
  await everywhere(assault, AT_ONCE, async (address) => {
    const socket = await tls(assault, address);
    socket.pause();
    assault.tried += 1000;
    socket.write(bytes);
    await gone(socket, assault.signal);
  });
}

async function handshakes(assault: Assault): Promise<void> {
  await everywhere(assault, AT_ONCE, async (address) => {
    (await tls(assault, address)).destroy();
  });
}

async function held(assault: Assault, first: Uint8Array | undefined): Promise<void> {
  let open = 0;
  await everywhere(assault, AT_ONCE, async (address) => {
    if (open >= HELD * assault.addresses.length) {
      await sleep(DRIP_MS);
      return;
    }
    const socket = await tcp(assault, address);
    if (first !== undefined) socket.write(first);
    open += 1;
    void gone(socket, assault.signal).then(() => {
      open -= 1;
    });
  });
}

async function noise(assault: Assault): Promise<void> {
  await everywhere(assault, AT_ONCE, async (address) => {
    const socket = await tcp(assault, address);
    socket.write(randomBytes(512));
    await gone(socket, assault.signal);
  });
}

/** Holds as many requests as it can, and keeps each alive. */
async function slow(assault: Assault, first: Uint8Array, drip: string): Promise<void> {
  let open = 0;
  await everywhere(assault, AT_ONCE, async (address) => {
    if (open >= HELD * assault.addresses.length) {
      await sleep(DRIP_MS);
      return;
    }
    const socket = await tls(assault, address);
    socket.write(first);
    const timer = setInterval(() => socket.write(drip), DRIP_MS);
    open += 1;
    void gone(socket, assault.signal).then(() => {
      clearInterval(timer);
      open -= 1;
    });
  });
}

async function hugeHeads(assault: Assault): Promise<void> {
  const line = (bytes: number) => `X: ${'x'.repeat(bytes)}\r\n`;
  const heads = [15_000, 64_000].map((bytes) => httpPost('/storage_rpc/v1', '{}', line(bytes)));
  await everywhere(assault, AT_ONCE, async (address) => {
    const socket = await tls(assault, address);
    for (const head of heads) {
      assault.tried += 1;
      socket.write(head);
    }
    await gone(socket, assault.signal);
  });
}

async function bombs(assault: Assault): Promise<void> {
  const zeros = Buffer.alloc(BOMB_BYTES);
  const [gzip, deflate] = [gzipSync(zeros), deflateSync(zeros)];
  const bodies = [
    httpPost('/storage_rpc/v1', gzip, 'Content-Encoding: gzip\r\n'),
    httpPost('/onion_req/v2', deflate, 'Content-Encoding: deflate\r\n'),
    httpPost('/storage_rpc/v1', gzip),
    httpPost('/onion_req/v2', deflate),
  ];
  let next = 0;
  await everywhere(assault, AT_ONCE, async (address) => {
    const socket = await tls(assault, address);
    assault.tried += 1;
    socket.write(bodies[next++ % bodies.length]!);
    // Longer than the node takes to answer.
    await Promise.race([gone(socket, assault.signal), sleep(DRIP_MS)]);
    socket.destroy();
  });
}

async function largeBodies(assault: Assault): Promise<void> {
  const body = httpPost('/storage_rpc/v1', Buffer.alloc(8_000_000, 0x5b));
  await everywhere(assault, 4, async (address) => {
    const socket = await tls(assault, address);
    const answered = new Promise((resolve) => socket.once('data', resolve));
    assault.tried += 1;
    socket.write(body);
    await Promise.race([answered, gone(socket, assault.signal)]);
    socket.destroy();
  });
}

/** ZMTP 3.1, CURVE, as a client; then the command HELLO of 200 bytes. */
const OMQ_GREETING = Buffer.concat([
  Buffer.from('ff00000000000000017f0301', 'hex'),
  Buffer.from('CURVE'.padEnd(20, '\0'), 'latin1'),
  Buffer.alloc(32),
]);

async function omqHandshakes(assault: Assault): Promise<void> {
  await everywhere(assault, AT_ONCE, async (address) => {
    const socket = await tcp(assault, address, assault.target.omqPort);
    const hello = Buffer.concat([
      Buffer.from('\x05HELLO\x01\x00', 'latin1'),
      Buffer.alloc(72),
      randomBytes(120),
    ]);
    socket.write(Buffer.concat([OMQ_GREETING, Buffer.from([0x04, hello.length]), hello]));
    await gone(socket, assault.signal);
  });
}

async function omqFrames(assault: Assault): Promise<void> {
  const { target, signal } = assault;
  const huge = Buffer.concat([OMQ_GREETING, Buffer.from('060000000100000000', 'hex'), Buffer.alloc(10_000)]);
  const message = Buffer.alloc(9_000_000, 0x64);
  const messages = async () => {
    const omq = new Omq({ keyPair: x25519KeyPair(), isServiceNode: false }, systemEnv());
    await omq.start();
    while (!signal.aborted) {
      assault.tried += 1;
      const peer = { host: target.host, port: target.omqPort, publicKey: target.publicKey };
      await omq.request(peer, 'storage.store', [message], { timeoutMs: 2_000 }).catch(() => sleep(RETRY_MS));
    }
    await omq.stop();
  };
  await Promise.all([
    ...Array.from({ length: 4 }, messages),
    everywhere(assault, 4, async (address) => {
      const socket = await tcp(assault, address, target.omqPort);
      socket.write(huge);
      await gone(socket, signal);
    }),
  ]);
}
