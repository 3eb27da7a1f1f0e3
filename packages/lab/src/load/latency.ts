// SPDX-License-Identifier: AGPL-3.0-or-later
// `npm run lab -- latency`: from `send` to `received` between two clients, through three hops and a swarm of seven,
// nodes as separate processes.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@allium/client';
import { openClient } from '@allium/client/node';
import { Account } from '@allium/protocol/account';
import { startProcessDevnet } from '../process-devnet.ts';

export interface LatencyOptions {
  readonly messages: number;
}

const POLL_EVERY_MS = 5_000;
/** Accounts that are polled for at the same time: with one, each message would take half an interval of waiting. */
const RECEIVERS = 20;
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
  {
    await using alice = await open(net.seed);
    await using bob = await open(net.seed);
    await until(() => bob.health().lastPollAt !== undefined);
    const times: number[] = [];
    for (let i = 0; i < options.messages; i += 1) times.push(await deliver(alice, bob, `message ${i}`));
    row('send until received, long poll', times);
  }
  {
    await using alice = await open(net.seed);
    const bobs = await Promise.all(
      Array.from({ length: Math.min(RECEIVERS, options.messages) }, () =>
        open(net.seed, { pollEveryMs: POLL_EVERY_MS, waitMs: 0 }),
      ),
    );
    const times: number[] = [];
    let begun = 0;
    await Promise.all(
      bobs.map(async (bob) => {
        while (begun < options.messages) {
          begun += 1;
          // Anywhere between two polls.
          await sleep(Math.random() * POLL_EVERY_MS);
          times.push(await deliver(alice, bob, `message ${begun}`));
        }
      }),
    );
    await Promise.all(bobs.map((bob) => bob.close()));
    row(`send until received, poll every ${POLL_EVERY_MS / 1000} s`, times);
  }
}

/** Ms from `send` to the event at the other side. */
async function deliver(alice: Client, bob: Client, text: string): Promise<number> {
  const arrival = nextMessage(bob);
  const began = performance.now();
  const sending = alice.conversation(bob.id).send(text);
  await arrival;
  const ms = performance.now() - began;
  await sending;
  return ms;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(20);
}

async function open(
  seed: string,
  more: { receive?: boolean; pollEveryMs?: number; waitMs?: number } = {},
): Promise<Client> {
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
