// SPDX-License-Identifier: AGPL-3.0-or-later
// `npm run lab -- latency` with distance: every link takes its time in one direction, in virtual time, so that the
// machine's speed has no part in the figures. Connections stand already; handshakes are left out (docs/decisions/0008).
import type { Client } from '@allium/client';
import { NETWORKS } from '@allium/client/network/presets';
import { Account } from '@allium/protocol/account';
import { Sim } from '../sim/sim.ts';

export interface SimLatencyOptions {
  readonly messages: number;
  /** One way, in ms. */
  readonly linkMs: number;
  readonly seed: number;
}

/** Ms of virtual time. */
export interface SimLatency {
  /** From `send` until the swarm had it. */
  readonly stored: readonly number[];
  /** From `send` until the other side had it, by long poll … */
  readonly longPoll: readonly number[];
  /** … and by polling. */
  readonly polling: readonly number[];
}

const NODES = 30;
const SENDERS = 2;
const RECEIVERS = 20;
/** Mean between two messages to one receiver, at random: some come while its request goes out anew. */
const PAUSE_MS = 10_000;
export const POLL_EVERY_MS = 5_000;
const PATIENCE_MS = 60_000;

export async function measureSimLatency({ messages, linkMs, seed }: SimLatencyOptions): Promise<SimLatency> {
  await using net = await Sim.start({ nodes: NODES, seed, latencyMs: [linkMs, linkMs], jitterMs: 0 });
  const stored: number[] = [];
  const longPoll = await deliveries(net, messages, NETWORKS.main.waitMs, stored);
  const polling = await deliveries(net, messages, 0, []);
  return { stored, longPoll, polling };
}

async function deliveries(net: Sim, messages: number, waitMs: number, stored: number[]): Promise<number[]> {
  // The intervals of the main network: cross-checks are not to deliver what polls should.
  const { crossCheckEveryMs, secondMemberMs } = NETWORKS.main;
  const open = async (receive: boolean): Promise<Client> => {
    const client = await net.client({
      account: Account.fromSeed(net.random.bytes(16)),
      receive,
      waitMs,
      pollEveryMs: POLL_EVERY_MS,
      preset: { crossCheckEveryMs, secondMemberMs },
    });
    await client.ready();
    return client;
  };
  const senders = await Promise.all(Array.from({ length: SENDERS }, () => open(false)));
  const receivers = await Promise.all(
    Array.from({ length: Math.min(RECEIVERS, messages) }, () => open(true)),
  );
  try {
    await net.until(() => receivers.every((bob) => bob.health().lastPollAt !== undefined));
    // Each sender has asked for the swarms of its receivers before: only the first message of a conversation does.
    for (const alice of senders) for (const bob of receivers) await alice.conversation(bob.id).send('hello');
    await net.pass(PATIENCE_MS);
    const arrivals = new Map<string, (ms: number) => void>();
    for (const bob of receivers) bob.on('message', ({ text }) => arrivals.get(text)?.(net.time.ms));
    const span = (messages * PAUSE_MS) / receivers.length;
    return await Promise.all(
      Array.from({ length: messages }, async (_, index) => {
        const bob = receivers[index % receivers.length]!;
        const alice = net.random.pick(senders, 1)[0]!;
        const text = `message ${index}`;
        await net.pass(net.random.unit() * span);
        const began = net.time.ms;
        const arrival = new Promise<number>((resolve, reject) => {
          arrivals.set(text, resolve);
          net.time.after(PATIENCE_MS, () => reject(new Error('a message was not received in time')));
        });
        await alice.conversation(bob.id).send(text);
        stored.push(net.time.ms - began);
        return (await arrival) - began;
      }),
    );
  } finally {
    await Promise.all([...senders, ...receivers].map((client) => client.close()));
  }
}
