// SPDX-License-Identifier: MIT
// Instant delivery in virtual time: one held request per account at one member, and what happens when that fails.
import { Account } from '@allium/protocol/account';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Client, type ClientOptions } from '../src/client.ts';
import { NETWORKS, type NetworkPreset } from '../src/network/presets.ts';
import { MemoryStorage } from '../src/storage/memory.ts';
import { FakeNetwork } from './fake-network.ts';
import { TestClock, testEnv } from './test-clock.ts';

const ALICE = Account.fromSeed(new Uint8Array(16).fill(1));
const BOB = Account.fromSeed(new Uint8Array(16).fill(2));
const HOUR_MS = 3_600_000;

let clock: TestClock;
let network: FakeNetwork;
const clients: Client[] = [];
const errors: string[][] = [];

beforeEach(() => {
  clock = new TestClock();
  network = new FakeNetwork(clock);
  for (const node of network.nodes) node.canWait = true;
});
afterEach(async () => {
  for (const client of clients.splice(0)) await clock.run(client.close());
  expect(errors.splice(0).flat()).toEqual([]);
  expect(network.nodes.map((node) => node.held)).toEqual(network.nodes.map(() => 0));
});

async function open(
  account: Account,
  options: Partial<ClientOptions> & { preset?: Partial<NetworkPreset> } = {},
): Promise<Client> {
  const env = testEnv(clock, clients.length + 1);
  errors.push(env.errors);
  // Intervals of the main network: polling would be far too slow for what is expected here.
  const { pollEveryMs, secondMemberMs } = NETWORKS.main;
  const intervals = { pollEveryMs, crossCheckEveryMs: 1_000 * HOUR_MS, secondMemberMs };
  const preset = { ...NETWORKS.local, seeds: [{ url: network.seedUrl }], ...intervals, ...options.preset };
  const client = await clock.run(
    Client.open({
      account,
      storage: new MemoryStorage(),
      transport: network,
      env,
      ...options,
      network: { preset },
    }),
  );
  clients.push(client);
  return client;
}

/** Polls of Bob's mailbox since the last look: by which node, with which wait. */
function polls(): { node: string; wait: number | undefined; guard: string | undefined }[] {
  return network.destinations.splice(0).flatMap(({ node, request, hops }) => {
    if (request.method !== 'batch') return [];
    const [first] = request.requests;
    return first?.method === 'retrieve' && first.account.hex === BOB.id
      ? [{ node, wait: first.wait, guard: hops[0] }]
      : [];
  });
}

const holders = () => network.nodes.filter((node) => node.held > 0);

/** Ms from now until Bob has one more message. */
async function delivery(bob: Client, send: () => Promise<unknown>): Promise<number> {
  let count = 0;
  const cancel = bob.on('message', () => count++);
  const began = clock.monotonic();
  await clock.run(send());
  while (count === 0) {
    if (clock.monotonic() - began > HOUR_MS) throw new Error('never');
    await clock.pass(5);
  }
  cancel();
  return clock.monotonic() - began;
}

test('one member holds one request, and a message is there as soon as it is stored', async () => {
  const [alice, bob] = [await open(ALICE, { receive: false }), await open(BOB)];
  await clock.until(() => holders().length === 1);
  await clock.pass(2 * 60_000);
  expect(holders()).toHaveLength(1);
  const asked = polls();
  // The first answer tells that the node knows the word; then about one request per 25 s.
  expect(asked[0]!.wait).toBe(0);
  expect(asked.slice(1).every(({ wait }) => wait === 25_000)).toBe(true);
  expect(asked.length).toBeLessThan(10);
  expect(new Set(asked.map(({ node }) => node)).size).toBe(1);
  expect(new Set(asked.map(({ guard }) => guard)).size).toBe(1);
  for (let i = 0; i < 5; i++) {
    expect(await delivery(bob, () => alice.conversation(BOB.id).send(`${i}`))).toBeLessThan(200);
    await clock.pass(7_000);
  }
});

test('where no node knows `wait` it polls at its interval, and none of them is asked to wait', async () => {
  for (const node of network.nodes) node.canWait = false;
  const [alice, bob] = [await open(ALICE, { receive: false }), await open(BOB)];
  await clock.pass(60_000);
  const asked = polls();
  expect(asked.length).toBeGreaterThan(15);
  expect(asked.length).toBeLessThan(25);
  expect(asked.every(({ wait }) => wait === 0)).toBe(true);
  expect(await delivery(bob, () => alice.conversation(BOB.id).send('polled'))).toBeLessThan(3_500);
});

test('a node that knows the word and never waits is not asked faster than at the interval', async () => {
  for (const node of network.nodes) node.isFull = true;
  await open(BOB);
  await clock.pass(60_000);
  expect(polls().length).toBeLessThan(25);
});

test('told not to wait, it says nothing of it', async () => {
  await open(BOB, { waitMs: 0 });
  await clock.pass(30_000);
  const asked = polls();
  expect(asked.length).toBeGreaterThan(5);
  expect(asked.every(({ wait }) => wait === undefined)).toBe(true);
});

test('the member that holds the request dies: another one delivers, and takes its place for good', async () => {
  const [alice, bob] = [await open(ALICE, { receive: false }), await open(BOB)];
  await clock.until(() => holders().length === 1);
  const [first] = holders();
  first!.isDead = true;
  first!.wake();
  expect(await delivery(bob, () => alice.conversation(BOB.id).send('still there'))).toBeLessThan(30_000);
  await clock.until(() => holders().length === 1 && holders()[0] !== first);
  const [second] = holders();
  await clock.pass(60_000);
  first!.isDead = false;
  polls();
  await clock.pass(120_000);
  expect(new Set(polls().map(({ node }) => node))).toEqual(new Set([second!.ed25519Hex]));
});

test('one failure of the network does not change whom it asks', async () => {
  await open(BOB);
  await clock.until(() => holders().length === 1);
  const [first] = holders();
  const [poll] = polls().slice(-1);
  const guard = network.node(poll!.guard!);
  guard.hopAnswer = () => ({ status: 504, body: 'Request time out' });
  first!.wake();
  await clock.pass(26_000);
  guard.hopAnswer = undefined;
  await clock.until(() => holders().length === 1 && holders()[0] === first);
});

test('the guard goes down while a request is held: it goes out again over the other path', async () => {
  const [alice, bob] = [await open(ALICE, { receive: false }), await open(BOB)];
  await clock.until(() => holders().length === 1);
  const [first] = holders();
  const guard = network.node(polls().at(-1)!.guard!);
  // Bob notices by something else that he does, long before the held request would time out.
  guard.isSilent = true;
  guard.isDead = true;
  for (let i = 0; i < 6; i++) await clock.run(bob.conversation(ALICE.id).send('something'));
  const began = clock.monotonic();
  await clock.until(() => polls().some(({ guard: other }) => other !== guard.ed25519Hex));
  expect(clock.monotonic() - began).toBeLessThan(5_000);
  await clock.until(() => holders().includes(first!), 5_000);
  expect(await delivery(bob, () => alice.conversation(BOB.id).send('over the other path'))).toBeLessThan(200);
});

test('whom it asks survives a restart, and changes when it leaves the swarm', async () => {
  const storage = new MemoryStorage();
  const bob = await open(BOB, { storage });
  await clock.until(() => holders().length === 1);
  const [first] = holders();
  await clock.run(bob.close());
  polls();
  const again = await open(BOB, { storage: storage.reopen() });
  await clock.until(() => holders().length === 1);
  expect(holders()).toEqual([first]);
  expect(new Set(polls().map(({ node }) => node))).toEqual(new Set([first!.ed25519Hex]));

  // It goes to the other swarm, and says so (421) when it is asked next.
  first!.swarm = 1 - first!.swarm;
  first!.wake();
  await clock.until(() => holders().length === 1 && holders()[0] !== first);
  expect(network.swarm(BOB.id)).toContain(holders()[0]);
  await clock.run(again.close());
});

test('over many restarts the first member is asked over one guard, and the second over the other', async () => {
  // Large enough that a member is seldom a hop of a path.
  network = new FakeNetwork(clock, { nodes: 100, swarms: 12 });
  for (const node of network.nodes) node.canWait = true;
  const storage = new MemoryStorage();
  const guards = { first: new Set<string | undefined>(), second: new Set<string | undefined>() };
  let first: string | undefined;
  for (let start = 0; start < 12; start++) {
    const bob = await open(BOB, { storage: storage.reopen(), preset: { crossCheckEveryMs: 60_000 } });
    await clock.until(() => holders().length === 1);
    first ??= holders()[0]!.ed25519Hex;
    await clock.pass(120_000);
    // A member that is a hop of the other path cannot be asked over it.
    const hops = new Set(bob.paths().flatMap((path) => path.hops.map((hop) => hop.ed25519Hex)));
    await clock.run(bob.close());
    for (const { node, guard } of polls()) {
      if (!hops.has(node)) guards[node === first ? 'first' : 'second'].add(guard);
    }
    // Its path is the last to be ready after the next starts.
    for (const guard of guards.first) network.node(guard!).slowMs = 400;
  }
  expect(guards.first.size).toBe(1);
  expect(guards.second.size).toBe(1);
  expect(guards.second).not.toEqual(guards.first);
});

test('copies and notes to self go where polls go', async () => {
  network = new FakeNetwork(clock, { nodes: 100, swarms: 12 });
  for (const node of network.nodes) node.canWait = true;
  const bob = await open(BOB);
  await clock.until(() => holders().length === 1);
  const [poll] = polls().slice(-1);
  for (let i = 0; i < 10; i++) {
    await clock.run(bob.conversation(i % 2 === 0 ? ALICE.id : BOB.id).send(`${i}`));
    await clock.run(bob.flush());
  }
  const stores = network.destinations.flatMap(({ node, request, hops }) => {
    const [first] = request.method === 'sequence' ? request.requests : [];
    return first?.method === 'store' && first.account.hex === BOB.id ? [{ node, guard: hops[0] }] : [];
  });
  expect(stores).toEqual(Array.from({ length: 10 }, () => ({ node: poll!.node, guard: poll!.guard })));
});

test('a second member is asked over another path, at random intervals, and brings what the first hides', async () => {
  const preset = { crossCheckEveryMs: 5 * 60_000 };
  const [alice, bob] = [await open(ALICE, { receive: false }), await open(BOB, { preset })];
  await clock.until(() => holders().length === 1);
  const [first] = holders();
  polls();
  const checks: { at: number; node: string; guard: string | undefined }[] = [];
  const mainGuards = new Set<string | undefined>();
  const end = clock.monotonic() + 2 * HOUR_MS;
  while (clock.monotonic() < end) {
    await clock.pass(1_000);
    for (const { node, guard } of polls()) {
      if (node === first!.ed25519Hex) mainGuards.add(guard);
      else checks.push({ at: clock.monotonic(), node, guard });
    }
  }
  // 24 are expected; one member for all of them.
  expect(checks.length).toBeGreaterThan(10);
  expect(checks.length).toBeLessThan(45);
  expect(new Set(checks.map(({ node }) => node)).size).toBe(1);
  expect(mainGuards.size).toBe(1);
  for (const { guard } of checks) expect(mainGuards).not.toContain(guard);
  const pauses = checks.slice(1).map(({ at }, i) => at - checks[i]!.at);
  expect(Math.max(...pauses) / Math.min(...pauses)).toBeGreaterThan(3);

  first!.answer = (request, real) =>
    request.method === 'batch'
      ? { ...real, body: real.body.replace(/"messages":\[.*?\]/, '"messages":[]') }
      : undefined;
  const texts: string[] = [];
  bob.on('message', ({ text }) => texts.push(text));
  await clock.run(alice.conversation(BOB.id).send('hidden by one'));
  await clock.until(() => texts.length > 0, HOUR_MS);
  first!.answer = undefined;
  await clock.pass(60_000);
  expect(texts).toEqual(['hidden by one']);
});
