// SPDX-License-Identifier: MIT
// Request and echo between two processes: our OMQ against libzmq with CURVE in the same run, and our HTTPS server
// against a bare node:https. 32 requests in flight. CPU is that of the whole process, per request.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request as httpsRequest } from 'node:https';
import { x25519KeyPair } from '@allium/protocol/crypto';
import { Dealer } from 'zeromq';
import type { OmqPeer } from '../src/omq/endpoint.ts';
import { Omq } from '../src/omq/omq.ts';
import { systemEnv } from '../src/system-env.ts';
import { z85 } from '../test/omq/support.ts';

const IN_FLIGHT = 32;
const WARM_UP = 3000;
const RUNS = 20_000;

type Ask = () => Promise<unknown>;
interface Caller {
  ask: Ask;
  close(): Promise<void> | void;
}

async function startPeer(
  kind: string,
): Promise<{ child: ChildProcess; peer: OmqPeer; cpu(): Promise<number> }> {
  const child = fork(new URL('peer.ts', import.meta.url), [kind]);
  const [hello] = (await once(child, 'message')) as [{ port: number; publicKey: number[] }];
  return {
    child,
    peer: { host: '127.0.0.1', port: hello.port, publicKey: Uint8Array.from(hello.publicKey) },
    async cpu() {
      child.send('cpu');
      const [answer] = (await once(child, 'message')) as [{ cpu: number }];
      return answer.cpu;
    },
  };
}

async function inFlight(ask: Ask, runs: number): Promise<number[]> {
  const times: number[] = [];
  let left = runs;
  await Promise.all(
    Array.from({ length: IN_FLIGHT }, async () => {
      while (left-- > 0) {
        const start = performance.now();
        await ask();
        times.push(performance.now() - start);
      }
    }),
  );
  return times.sort((a, b) => a - b);
}

async function omqCaller(peer: OmqPeer, size: number): Promise<Caller> {
  const omq = new Omq({ keyPair: x25519KeyPair(), isServiceNode: true }, systemEnv());
  await omq.start();
  const body = Buffer.alloc(size, 1);
  return { ask: () => omq.request(peer, 'test.echo', [body]), close: () => omq.stop() };
}

function zeromqCaller(peer: OmqPeer, size: number): Caller {
  const { publicKey, secretKey } = x25519KeyPair();
  const dealer = new Dealer({
    curvePublicKey: z85(publicKey),
    curveSecretKey: z85(secretKey),
    curveServerKey: z85(peer.publicKey),
    linger: 0,
  });
  dealer.connect(`tcp://${peer.host}:${peer.port}`);
  const body = Buffer.alloc(size, 1);
  const waiting = new Map<string, () => void>();
  let sent = 0;
  let queue = Promise.resolve();
  void (async () => {
    for await (const [, tag] of dealer) {
      const key = tag!.toString();
      waiting.get(key)?.();
      waiting.delete(key);
    }
  })();
  const ask = () =>
    new Promise<void>((resolve) => {
      const tag = String(sent++);
      waiting.set(tag, resolve);
      queue = queue.then(() => dealer.send(['test.echo', tag, body])); // one send at a time
    });
  return { ask, close: () => dealer.close() };
}

function httpsCaller(peer: OmqPeer, size: number): Caller {
  const agent = new Agent({ keepAlive: true, maxSockets: IN_FLIGHT });
  const body = Buffer.alloc(size, 1);
  const options = { agent, host: peer.host, port: peer.port, method: 'POST', rejectUnauthorized: false };
  const ask = () =>
    new Promise<void>((resolve, reject) => {
      const request = httpsRequest(options, (response) => {
        response.on('end', resolve);
        response.resume();
      });
      request.on('error', reject);
      request.end(body);
    });
  return { ask, close: () => agent.destroy() };
}

export async function run(): Promise<void> {
  console.log('caller → answerer          size   requests/s   caller µs   answerer µs   p50 ms   p99 ms');
  for (const size of [1024, 3072]) {
    for (const [label, kind, makeCaller] of [
      ['ours → ours', 'omq', omqCaller],
      ['zeromq → zeromq', 'zeromq', zeromqCaller],
      ['ours → zeromq', 'zeromq', omqCaller],
      ['zeromq → ours', 'omq', zeromqCaller],
      ['https → HttpsServer', 'https', httpsCaller],
      ['https → bare node:https', 'node-https', httpsCaller],
    ] as const) {
      const { child, peer, cpu } = await startPeer(kind);
      const caller = await makeCaller(peer, size);
      await inFlight(caller.ask, WARM_UP);
      const [theirs, own, start] = [await cpu(), process.cpuUsage(), performance.now()];
      const times = await inFlight(caller.ask, RUNS);
      const seconds = (performance.now() - start) / 1000;
      const used = process.cpuUsage(own);
      const answered = (await cpu()) - theirs;
      const columns = [
        label.padEnd(24),
        String(size).padStart(6),
        (RUNS / seconds).toFixed(0).padStart(12),
        ((used.user + used.system) / RUNS).toFixed(1).padStart(11),
        (answered / RUNS).toFixed(1).padStart(13),
        (times[Math.floor(RUNS / 2)] ?? 0).toFixed(2).padStart(8),
        (times[Math.floor(RUNS * 0.99)] ?? 0).toFixed(2).padStart(8),
      ];
      console.log(columns.join(' '));
      await caller.close();
      child.disconnect();
      await once(child, 'exit');
    }
  }
}
