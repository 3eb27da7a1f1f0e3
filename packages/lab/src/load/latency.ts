// SPDX-License-Identifier: AGPL-3.0-or-later
// `npm run lab -- latency`: from `send` to `received` between two clients, through three hops and a swarm of seven,
// nodes as separate processes.
import type { Client } from '@allium/client';
import { openClient } from '@allium/client/node';
import { Account } from '@allium/protocol/account';
import { startProcessDevnet } from '../process-devnet.ts';

export interface LatencyOptions {
  readonly messages: number;
}

const POLL_EVERY_MS = [500, 3_000] as const;
const RECEIVE_TIMEOUT_MS = 30_000;

export async function runLatency(options: LatencyOptions, print: (line: string) => void): Promise<void> {
  await using net = await startProcessDevnet({ nodes: 14, rateLimit: false });
  print('| what | messages | p50 ms | p99 ms |');
  print('| --- | --- | --- | --- |');
  const row = (what: string, times: number[]) => {
    times.sort((a, b) => a - b);
    print(`| ${what} | ${times.length} | ${at(times, 0.5)} | ${at(times, 0.99)} |`);
  };
  {
    await using alice = await open(net.seed);
    await using bob = await open(net.seed, { receive: false });
    const stored: number[] = [];
    const received: number[] = [];
    for (let i = 0; i < options.messages; i += 1) {
      const arrival = nextMessage(bob);
      const began = performance.now();
      await alice.conversation(bob.id).send(`message ${i}`);
      stored.push(performance.now() - began);
      await bob.poll();
      await arrival;
      received.push(performance.now() - began);
    }
    row('send until stored by the swarm', stored);
    row('send until received, poll at once', received);
  }
  for (const pollEveryMs of POLL_EVERY_MS) {
    await using alice = await open(net.seed);
    await using bob = await open(net.seed, { pollEveryMs });
    const times: number[] = [];
    const count = Math.min(options.messages, Math.ceil(60_000 / pollEveryMs));
    for (let i = 0; i < count; i += 1) {
      // Anywhere between two polls.
      await new Promise((resolve) => setTimeout(resolve, Math.random() * pollEveryMs));
      const arrival = nextMessage(bob);
      const began = performance.now();
      await alice.conversation(bob.id).send(`message ${i}`);
      await arrival;
      times.push(performance.now() - began);
    }
    row(`send until received, poll every ${pollEveryMs} ms`, times);
  }
}

async function open(seed: string, more: { receive?: boolean; pollEveryMs?: number } = {}): Promise<Client> {
  const client = await openClient({ account: Account.create(), network: 'local', seeds: [seed], ...more });
  await client.ready({ signal: AbortSignal.timeout(RECEIVE_TIMEOUT_MS) });
  return client;
}

function nextMessage(client: Client): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error('a message was not received in time')),
      RECEIVE_TIMEOUT_MS,
    );
    const cancel = client.on('message', () => {
      clearTimeout(timer);
      cancel();
      resolve();
    });
  });
}

function at(sorted: readonly number[], share: number): string {
  return (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN).toFixed(1);
}
