// SPDX-License-Identifier: AGPL-3.0-or-later
// `npm run lab -- latency`: from `send` to `received` between two clients, through three hops and a swarm: on loopback,
// nodes as separate processes, and with 40 ms on each link, simulated (`sim-latency.ts`).
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@allium/client';
import { openClient } from '@allium/client/node';
import { Account } from '@allium/protocol/account';
import { startProcessDevnet } from '../process-devnet.ts';
import { measureSimLatency, POLL_EVERY_MS } from './sim-latency.ts';

export interface LatencyOptions {
  readonly messages: number;
  /** Of the simulation. */
  readonly seed: number;
}

const LINK_MS = 40;

/** Accounts that are polled for at the same time: with one, each message would take half an interval of waiting. */
const RECEIVERS = 20;
const RECEIVE_TIMEOUT_MS = 30_000;
const STORED = 'send until stored by the swarm';
const LONG_POLL = 'send until received, long poll';
const POLLING = `send until received, poll every ${POLL_EVERY_MS / 1000} s`;

export async function runLatency(options: LatencyOptions, print: (line: string) => void): Promise<void> {
  print('| what | one way per link | messages | p50 ms | p99 ms |');
  print('| --- | --- | --- | --- | --- |');
  const row = (what: string, link: string, given: readonly number[]) => {
    const times = [...given].sort((a, b) => a - b);
    print(`| ${what} | ${link} | ${times.length} | ${at(times, 0.5)} | ${at(times, 0.99)} |`);
  };
  await onLoopback(options, (what, times) => row(what, 'loopback', times));
  const { stored, longPoll, polling } = await measureSimLatency({ ...options, linkMs: LINK_MS });
  row(STORED, `${LINK_MS} ms`, stored);
  row(LONG_POLL, `${LINK_MS} ms`, longPoll);
  row(POLLING, `${LINK_MS} ms`, polling);
}

async function onLoopback(
  options: LatencyOptions,
  row: (what: string, times: readonly number[]) => void,
): Promise<void> {
  await using net = await startProcessDevnet({ nodes: 14, rateLimit: false });
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
    row(STORED, stored);
    row('send until received, poll at once', received);
  }
  {
    await using alice = await open(net.seed);
    await using bob = await open(net.seed);
    await until(() => bob.health().lastPollAt !== undefined);
    const times: number[] = [];
    for (let i = 0; i < options.messages; i += 1) times.push(await deliver(alice, bob, `message ${i}`));
    row(LONG_POLL, times);
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
    row(POLLING, times);
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
