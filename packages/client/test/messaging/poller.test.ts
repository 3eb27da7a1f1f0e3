// SPDX-License-Identifier: MIT
// Following several namespaces in one request, and what a client gets when it changes the member that it asks.
import { Account } from '@allium/protocol/account';
import { messageHashText } from '@allium/protocol/message-hash';
import { parseAccountPubkey, type RetrieveRequest } from '@allium/protocol/storage/requests';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Arrived, Follower } from '../../src/messaging/followers.ts';
import { Poller } from '../../src/messaging/poller.ts';
import { Network } from '../../src/network/network.ts';
import { NETWORKS } from '../../src/network/presets.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { FakeNetwork, type FakeNode } from '../fake-network.ts';
import { TestClock, testEnv } from '../test-clock.ts';

const BOB = Account.fromSeed(new Uint8Array(16).fill(2));
const PUBKEY = parseAccountPubkey(BOB.id);
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

let clock: TestClock;
let network: FakeNetwork;
const ends: (() => Promise<void>)[] = [];

beforeEach(() => {
  clock = new TestClock();
  network = new FakeNetwork(clock);
  for (const node of network.nodes) node.canWait = true;
});
afterEach(async () => {
  for (const end of ends.splice(0)) await clock.run(end());
});

/** Keeps the texts that it gets; its cursor is the poller's. */
class Texts implements Follower {
  readonly namespace: number;
  readonly texts: string[] = [];
  readonly retold: string[] = [];
  /** Rejects what it is given. */
  isBroken = false;

  constructor(namespace: number) {
    this.namespace = namespace;
  }

  async take({ fresh, retold }: Arrived) {
    if (this.isBroken) throw new Error('cannot take it');
    const text = (message: { data: Uint8Array }) => new TextDecoder().decode(message.data);
    this.retold.push(...retold.map(text));
    return { onWritten: () => this.texts.push(...fresh.map(text)) };
  }
}

async function open(
  namespaces: readonly number[],
  options: { storage?: Storage; waitMs?: number; crossCheckEveryMs?: number; seed?: number } = {},
) {
  const { storage = new MemoryStorage(), waitMs = 25_000, crossCheckEveryMs = 1_000 * HOUR_MS } = options;
  const env = testEnv(clock, options.seed ?? 1);
  const preset = {
    ...NETWORKS.local,
    seeds: [{ url: network.seedUrl }],
    crossCheckEveryMs,
    secondMemberMs: NETWORKS.main.secondMemberMs,
  };
  const net = new Network({ preset }, { storage, transport: network, env });
  await clock.run(net.start());
  const poller = new Poller(
    { account: BOB, preset, pollEveryMs: 3_000, waitMs },
    { network: net, storage, env, onRound: () => undefined },
  );
  const followers = namespaces.map((namespace) => new Texts(namespace));
  for (const follower of followers) poller.follow(follower);
  const close = async () => {
    await poller.stop();
    await net.stop();
  };
  ends.push(close);
  return { poller, followers, storage, env, close };
}

/** Stores at these members, default all of Bob's swarm, in the order given. */
function put(namespace: number, text: string, members: readonly FakeNode[] = network.swarm(BOB.id)): string {
  const data = new TextEncoder().encode(text);
  const hash = messageHashText(PUBKEY.bytes, namespace, data);
  const timestamp = clock.trueNow();
  for (const member of members) {
    member.inbox(BOB.id).push({ namespace, hash, timestamp, expiration: timestamp + 14 * DAY_MS, data });
    member.wake();
  }
  return hash;
}

/** Retrieves of each request since the last look. */
function asked(): { node: string; retrieves: RetrieveRequest[] }[] {
  return network.destinations.splice(0).flatMap(({ node, request }) => {
    if (request.method !== 'batch') return [];
    const retrieves = request.requests.filter((entry) => entry.method === 'retrieve');
    return retrieves.length > 0 ? [{ node, retrieves }] : [];
  });
}

const holders = () => network.nodes.filter((node) => node.held > 0);

test('one held request follows all namespaces, and each has its own place in the list of a member', async () => {
  const { poller, followers } = await open([2, 0, 5]);
  const [two, zero, five] = followers;
  poller.start();
  await clock.until(() => holders().length === 1);
  await clock.pass(60_000);
  for (const { retrieves } of asked()) {
    // Messages last, and half of the answer is theirs (spec/client §2.8).
    expect(retrieves.map(({ namespace, maxSize }) => [namespace, maxSize])).toEqual([
      [2, -4],
      [5, -4],
      [0, -2],
    ]);
    expect(new Set(retrieves.map(({ wait }) => wait)).size).toBe(1);
  }
  const began = clock.monotonic();
  const config = put(2, 'config');
  await clock.until(() => two!.texts.length > 0);
  expect(clock.monotonic() - began).toBeLessThan(200);
  const message = put(0, 'message');
  await clock.until(() => zero!.texts.length > 0);
  await clock.pass(1_000);
  expect(
    asked()
      .at(-1)!
      .retrieves.map(({ lastHash }) => lastHash),
  ).toEqual([config, undefined, message]);
  expect([two!.texts, zero!.texts, five!.texts]).toEqual([['config'], ['message'], []]);
  expect(holders()).toHaveLength(1);
});

test('a namespace that is followed later is in the request at once, and no longer when that ends', async () => {
  const { poller, followers } = await open([0]);
  poller.start();
  await clock.until(() => holders().length === 1);
  await clock.pass(5_000);
  asked();
  const late = new Texts(3);
  const cancel = poller.follow(late);
  expect(() => poller.follow(new Texts(3))).toThrow('namespace 3 is followed already');
  await clock.pass(200);
  expect(asked().map(({ retrieves }) => retrieves.map(({ namespace, wait }) => [namespace, wait]))).toEqual([
    [
      [3, 25_000],
      [0, 25_000],
    ],
  ]);
  put(3, 'for the late one');
  await clock.until(() => late.texts.length === 1);
  cancel();
  await clock.pass(30_000);
  asked();
  put(3, 'for nobody');
  put(0, 'still there');
  await clock.until(() => followers[0]!.texts.length === 1);
  await clock.pass(1_000);
  expect(late.texts).toEqual(['for the late one']);
  expect(
    asked()
      .at(-1)!
      .retrieves.map(({ namespace }) => namespace),
  ).toEqual([0]);
});

test('a follower that fails gets its messages again, and the others theirs', async () => {
  const { poller, followers, env } = await open([2, 0]);
  const [two, zero] = followers;
  two!.isBroken = true;
  poller.start();
  await clock.until(() => holders().length === 1);
  put(2, 'config');
  put(0, 'message');
  await clock.until(() => zero!.texts.length === 1);
  await clock.pass(60_000);
  expect(env.errors.length).toBeGreaterThan(0);
  // It is no reason to ask without a pause.
  expect(asked().length).toBeLessThan(12);
  two!.isBroken = false;
  await clock.until(() => two!.texts.length === 1);
  await clock.pass(60_000);
  expect([two!.texts, zero!.texts]).toEqual([['config'], ['message']]);
});

test('pages go on only for the namespaces that have more', async () => {
  for (let i = 0; i < 35; i++) put(0, `message ${i}`);
  for (let i = 0; i < 12; i++) put(2, `config ${i}`);
  put(5, 'one');
  const { poller, followers } = await open([2, 0, 5]);
  await clock.run(poller.poll());
  expect(followers.map(({ texts }) => texts.length)).toEqual([12, 35, 1]);
  expect(asked().map(({ retrieves }) => retrieves.map(({ namespace }) => namespace))).toEqual([
    [2, 5, 0],
    [2, 0],
    [0],
    [0],
  ]);
});

test('another member that does not know the last hash tells all again, and nothing is missed or doubled', async () => {
  const { poller, followers } = await open([2, 0]);
  const swarm = network.swarm(BOB.id);
  for (let i = 0; i < 25; i++) for (const namespace of [0, 2]) put(namespace, `${namespace} ${i}`);
  await clock.run(poller.poll());
  const guard = network.node(asked()[0]!.node);
  // Came to others only, before what all have.
  for (const member of swarm) {
    if (member === guard) continue;
    for (const namespace of [0, 2]) {
      const text = `${namespace} only others have`;
      put(namespace, text, [member]);
      member.inbox(BOB.id).unshift(member.inbox(BOB.id).pop()!);
    }
  }
  // The last one that we know is known to nobody else; the one before was deleted everywhere.
  const own = [put(0, 'only the guard had', [guard]), put(2, 'only the guard had', [guard])];
  await clock.run(poller.poll());
  guard.isDead = true;
  for (const member of swarm) {
    const rest = member.inbox(BOB.id).filter(({ data }) => !new TextDecoder().decode(data).endsWith(' 24'));
    member.mailbox.set(BOB.id, rest);
  }
  for (let i = 0; i < 5; i++) await clock.run(poller.poll());
  put(0, 'new', swarm.slice());
  await clock.run(poller.poll());
  const later = asked().filter(({ node }) => node !== guard.ed25519Hex);
  expect(later.flatMap(({ retrieves }) => retrieves.map(({ lastHash }) => lastHash))).not.toContain(own[0]);
  for (const { namespace, texts } of followers) {
    const expected = Array.from({ length: 25 }, (_, i) => `${namespace} ${i}`);
    expected.push('only the guard had', `${namespace} only others have`);
    if (namespace === 0) expected.push('new');
    expect([...texts].sort()).toEqual(expected.sort());
  }
});

test('a member that has forgotten what it told last tells all again, once', async () => {
  const { poller, followers } = await open([0]);
  for (let i = 0; i < 15; i++) put(0, `${i}`);
  await clock.run(poller.poll());
  // Retracted at all members: the hash that we name is known to nobody.
  for (const member of network.swarm(BOB.id)) member.inbox(BOB.id).pop();
  put(0, 'after it');
  await clock.run(poller.poll());
  const [{ texts, retold }] = followers as [Texts];
  expect(texts).toEqual([...Array.from({ length: 15 }, (_, i) => `${i}`), 'after it']);
  expect(retold.slice(0, 14)).toEqual(Array.from({ length: 14 }, (_, i) => `${i}`));
  // It could be that it lost more than that: a second one is asked, once.
  const times = asked().length;
  await clock.pass(35_000);
  expect(new Set(asked().map(({ node }) => node)).size).toBe(1);
  expect(times).toBeGreaterThan(0);
  const [before, gaps] = [retold.length, poller.gaps];
  await clock.run(poller.poll());
  expect(retold).toHaveLength(before);
  expect(gaps).toEqual({ found: 0, filled: 0 });
});

test('what the first member hides or has not got yet is found by the cross-check, in every namespace', async () => {
  const { poller, followers } = await open([2, 0], { crossCheckEveryMs: 5 * 60_000 });
  poller.start();
  await clock.until(() => holders().length === 1);
  const [first] = holders();
  // It answers with nothing, though it has what all have …
  first!.answer = (request, real) =>
    request.method === 'batch'
      ? { ...real, body: real.body.replace(/"messages":\[.*?\]/g, '"messages":[]') }
      : undefined;
  put(2, 'hidden');
  put(0, 'hidden');
  await clock.until(() => followers.every(({ texts }) => texts.length === 1), HOUR_MS);
  first!.answer = undefined;
  // … or is behind.
  const others = network.swarm(BOB.id).filter((member) => member !== first);
  put(2, 'not there yet', others);
  put(0, 'not there yet', others);
  await clock.until(() => followers.every(({ texts }) => texts.length === 2), HOUR_MS);
  for (const { texts } of followers) expect(texts).toEqual(['hidden', 'not there yet']);
  await clock.pass(5_000);
  // Where the check comes soon after the message, nobody is to blame yet.
  expect(poller.gaps.found).toBeGreaterThanOrEqual(1);
  expect(poller.gaps.filled).toBe(2 * poller.gaps.found);
});

test('a member that lost its messages is found out at once, and what others keep is fetched from them', async () => {
  const { poller, followers } = await open([0], { crossCheckEveryMs: 24 * HOUR_MS });
  for (let i = 0; i < 3; i++) put(0, `${i}`);
  poller.start();
  await clock.until(() => holders().length === 1);
  const [first] = holders();
  const others = network.swarm(BOB.id).filter((member) => member !== first);
  // Each of the others keeps another one of those that came while it was restored from an old copy.
  await clock.pass(20_000);
  for (const [i, member] of others.entries()) put(0, `missed ${i}`, [member]);
  put(0, 'missed by the first', others);
  await clock.pass(120_000);
  expect(followers[0]!.texts).toEqual(['0', '1', '2']);
  first!.inbox(BOB.id).pop();
  put(0, 'new', [first!]);
  await clock.until(() => followers[0]!.texts.includes('missed by the first'), 60_000);
  await clock.pass(10_000);
  const { found, filled } = poller.gaps;
  expect(found).toBe(1);
  // The second one and three more, of which each had something new.
  expect(filled).toBe(1 + Math.min(4, others.length));
  expect(followers[0]!.texts).toHaveLength(4 + filled);
});

test('a member that hides messages again and again is asked no more', async () => {
  const { poller, followers } = await open([0], { crossCheckEveryMs: 60_000 });
  poller.start();
  await clock.until(() => holders().length === 1);
  const [first] = holders();
  first!.answer = (request, real) =>
    request.method === 'batch'
      ? { ...real, body: real.body.replace(/"messages":\[.*?\]/g, '"messages":[]') }
      : undefined;
  let hidden = 0;
  for (; poller.gaps.found < 3 && hidden < 50; hidden++) {
    put(0, `${hidden}`);
    await clock.pass(120_000);
  }
  await clock.pass(60_000);
  expect(followers[0]!.texts).toHaveLength(hidden);
  asked();
  const began = clock.monotonic();
  put(0, 'at once');
  await clock.until(() => followers[0]!.texts.length === hidden + 1);
  expect(clock.monotonic() - began).toBeLessThan(1_000);
  expect(asked().map(({ node }) => node)).not.toContain(first!.ed25519Hex);
  expect(poller.gaps.found).toBe(3);
});

test.each([1, 2, 3])(
  'whatever members do, all that one of them keeps arrives once (seed %i)',
  async (seed) => {
    const { poller, followers } = await open([0, 2, 3], { crossCheckEveryMs: 60_000, seed });
    const { random } = testEnv(clock, 100 + seed);
    const swarm = network.swarm(BOB.id);
    const texts: string[][] = [[], [], []];
    poller.start();
    for (let i = 0; i < 150; i++) {
      const [member, which] = [swarm[random.below(swarm.length)]!, random.below(3)];
      const namespace = [0, 2, 3][which]!;
      switch (random.below(5)) {
        case 0: // Up or down, never more than half.
          member.isDead = !member.isDead && swarm.filter(({ isDead }) => isDead).length < swarm.length / 2;
          member.wake();
          break;
        case 1: // Its list begins anew in another order, as after a repair.
          member.mailbox.set(
            BOB.id,
            [...member.inbox(BOB.id)].sort((a, b) => (a.hash < b.hash ? -1 : 1)),
          );
          break;
        default: {
          const text = `${seed} ${i}`;
          texts[which]!.push(text);
          // To each at another time, and in another place of its list.
          for (const other of swarm) {
            const late = random.below(20_000);
            clock.after(late, () => put(namespace, text, [other]));
          }
        }
      }
      await clock.pass(random.below(10_000));
    }
    for (const member of swarm) member.isDead = false;
    const missing = () => followers.some((follower, i) => follower.texts.length < texts[i]!.length);
    await clock.until(() => !missing(), 2 * HOUR_MS);
    await clock.pass(10 * 60_000);
    followers.forEach((follower, i) => {
      expect([...follower.texts].sort()).toEqual(texts[i]!.sort());
    });
  },
);
