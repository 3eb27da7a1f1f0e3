// SPDX-License-Identifier: MIT
// Stories of accounts on a network in memory, in virtual time.
import { Account } from '@allium/protocol/account';
import { afterEach, expect, test } from 'vitest';
import type { Client } from '../src/client.ts';
import type { Sent } from '../src/messaging/storing.ts';
import { NETWORKS } from '../src/network/presets.ts';
import { MemoryStorage } from '../src/storage/memory.ts';
import type { StoredMessage } from '../src/storage/storage.ts';
import { World } from './world.ts';

let world: World;
afterEach(() => world.end());

const ALICE = Account.fromSeed(new Uint8Array(16).fill(1));
const BOB = Account.fromSeed(new Uint8Array(16).fill(2));

function collect(client: Client): StoredMessage[] {
  const messages: StoredMessage[] = [];
  client.on('message', (message) => messages.push(message));
  return messages;
}

test('a message goes from one account to another and is stored by the whole swarm', async () => {
  world = new World();
  const { clock, network } = world;
  const alice = await world.open(ALICE);
  const bob = await world.open(BOB);
  const arrived = collect(bob);
  const sent = await clock.run(alice.conversation(BOB.id).send('hello Bob'));
  expect(sent).toMatchObject({ stored: 7, of: 7 });
  expect(new Set(sent.signers)).toEqual(new Set(network.swarm(BOB.id).map((node) => node.ed25519Hex)));
  await clock.until(() => arrived.length > 0);
  expect(arrived).toEqual([
    {
      sender: ALICE.id,
      timestamp: sent.timestamp,
      conversation: ALICE.id,
      text: 'hello Bob',
      state: 'received',
      hash: sent.hash,
      handled: false,
    },
  ]);
  await clock.pass(20_000);
  expect(arrived).toHaveLength(1);
});

test('a recipient who was offline gets everything once, in order, also over several pages', async () => {
  world = new World();
  const { clock } = world;
  const alice = await world.open(ALICE);
  const texts = Array.from({ length: 25 }, (_, index) => `message ${index}`);
  for (const text of texts) await clock.run(alice.conversation(BOB.id).send(text));
  const bob = await world.open(BOB);
  const arrived = collect(bob);
  await clock.until(() => arrived.length >= texts.length);
  await clock.pass(30_000); // second opinions of other members bring all of it again
  expect(arrived.map((message) => message.text)).toEqual(texts);
  const stored = await bob.conversation(ALICE.id).history({ limit: 100 });
  expect(stored.map((message) => message.text)).toEqual(texts);
});

test('messages() gives each message once, goes on after a restart, and ends with the client', async () => {
  world = new World();
  const { clock } = world;
  const alice = await world.open(ALICE);
  const storage = new MemoryStorage();
  const bob = await world.open(BOB, { storage });
  await clock.run(alice.conversation(BOB.id).send('one'));
  await clock.run(alice.conversation(BOB.id).send('two'));
  const take = async (client: Client, count: number) => {
    const texts: string[] = [];
    for await (const message of client.messages()) {
      texts.push(message.text);
      if (texts.length === count) break;
    }
    return texts;
  };
  expect(await clock.run(take(bob, 1))).toEqual(['one']);
  // Killed while it works on a message: it gets it again.
  const killed = bob.messages();
  expect((await clock.run(killed.next())).value).toMatchObject({ text: 'two' });
  await clock.run(bob.close());
  expect((await clock.run(killed.next())).done).toBe(true);
  await clock.run(alice.conversation(BOB.id).send('three'));
  const again = await world.open(BOB, { storage: storage.reopen() });
  expect(await clock.run(take(again, 2))).toEqual(['two', 'three']);
  const waiting = take(again, 1);
  await clock.pass(5_000);
  await clock.run(again.close());
  expect(await clock.run(waiting)).toEqual([]);
});

test('two devices of an account share what is sent and received', async () => {
  world = new World();
  const { clock } = world;
  const phone = await world.open(ALICE);
  const laptop = await world.open(ALICE);
  const own: StoredMessage[] = [];
  const echoes: StoredMessage[] = [];
  laptop.on('own_message', (message) => own.push(message));
  phone.on('own_message', (message) => echoes.push(message));
  const sent = await clock.run(phone.conversation(BOB.id).send('from the phone'));
  await clock.run(phone.noteToSelf().send('remember the milk'));
  await clock.until(() => own.length >= 2);
  expect(own).toMatchObject([
    {
      sender: ALICE.id,
      conversation: BOB.id,
      text: 'from the phone',
      timestamp: sent.timestamp,
      state: 'sent',
    },
    { sender: ALICE.id, conversation: ALICE.id, text: 'remember the milk', state: 'sent' },
  ]);
  await clock.pass(10_000);
  expect(own).toHaveLength(2);
  expect(echoes).toEqual([]); // a device does not hear itself
  expect(await laptop.conversation(BOB.id).history()).toMatchObject([
    { text: 'from the phone', sender: ALICE.id },
  ]);
});

test('two devices of an account that write in one millisecond lose nothing', async () => {
  world = new World();
  const { clock } = world;
  const phone = await world.open(ALICE);
  const laptop = await world.open(ALICE);
  const arrived = collect(await world.open(BOB));
  const devices = [phone, laptop, await world.open(ALICE)];
  for (const device of devices) await clock.run(device.ready());
  // The clocks of both say the same; what differs comes after the times were taken.
  const sends = [phone, laptop].map((device, i) => device.conversation(BOB.id).send(`from ${i}`));
  const [one, other] = (await clock.run(Promise.all(sends))) as [Sent, Sent];
  expect(one.timestamp).toBe(other.timestamp);
  await clock.run(phone.noteToSelf().send('a note'));
  await clock.until(() => arrived.length >= 2);
  await clock.pass(60_000);
  expect(arrived.map(({ text }) => text).sort()).toEqual(['from 0', 'from 1']);
  const texts = async (device: Client) =>
    (await device.conversation(BOB.id).history()).map(({ text }) => text);
  const order = await texts(phone);
  expect([...order].sort()).toEqual(['from 0', 'from 1']);
  for (const device of devices) expect(await texts(device)).toEqual(order);
});

test('a bot is not told what its own account says on another device', async () => {
  world = new World();
  const { clock } = world;
  const other = await world.open(BOB);
  const bot = await world.open(BOB);
  const alice = await world.open(ALICE);
  await clock.run(other.conversation(ALICE.id).send('by hand'));
  await clock.run(alice.conversation(BOB.id).send('hello bot'));
  const first = async (own: boolean) => {
    const texts: string[] = [];
    for await (const message of bot.messages({ own })) {
      texts.push(message.text);
      if (message.sender === ALICE.id) break;
    }
    return texts;
  };
  expect(await clock.run(first(false))).toEqual(['hello bot']);
});

test('no two messages have the same time, and a path never contains the node that it leads to', async () => {
  world = new World();
  const { clock, network } = world;
  const alice = await world.open(ALICE);
  await clock.run(alice.ready());
  const sent = await clock.run(
    Promise.all(Array.from({ length: 40 }, (_, index) => alice.conversation(BOB.id).send(`${index}`))),
  );
  expect(new Set(sent.map(({ timestamp }) => timestamp)).size).toBe(40);
  const onions = network.destinations.filter(({ hops }) => hops.length > 0);
  for (const { node, hops } of onions) {
    expect(hops).toHaveLength(3);
    expect(new Set([...hops, node]).size).toBe(4);
  }
});

test('arguments are checked before anything is sent', async () => {
  world = new World();
  const alice = await world.open(ALICE);
  for (const id of ['', '05ab', `15${'a'.repeat(64)}`, `05${'g'.repeat(64)}`, `${BOB.id}0`]) {
    expect(() => alice.conversation(id)).toThrow(expect.objectContaining({ code: 'invalid_recipient' }));
  }
  expect(alice.conversation(BOB.id.toUpperCase()).id).toBe(BOB.id);
  const conversation = alice.conversation(BOB.id);
  await expect(conversation.send('')).rejects.toMatchObject({ code: 'empty' });
  await expect(conversation.send('x'.repeat(2_001))).rejects.toMatchObject({ code: 'too_long' });
  await expect(conversation.send('x'.repeat(10_000_000))).rejects.toMatchObject({ code: 'too_long' });
  await expect(conversation.resend(5)).rejects.toMatchObject({ code: 'not_failed' });
  expect(await conversation.history()).toEqual([]);
  await world.clock.run(conversation.send('🧅'.repeat(2_000)));
  await world.clock.run(alice.close());
  await expect(conversation.send('late')).rejects.toMatchObject({ code: 'closed' });
});

test('a storage of another account is refused', async () => {
  world = new World();
  const storage = new MemoryStorage();
  const alice = await world.open(ALICE, { storage });
  await world.clock.run(alice.close());
  await expect(world.open(BOB, { storage: storage.reopen() })).rejects.toMatchObject({
    code: 'wrong_account',
  });
});

test('a dead guard is replaced while sending goes on', async () => {
  world = new World();
  const { clock, network } = world;
  const alice = await world.open(ALICE);
  await clock.run(alice.ready());
  await clock.until(() => alice.paths().filter((path) => path.state === 'usable').length === 2);
  const [first] = alice.paths();
  const guard = network.node(first!.hops[0]!.ed25519Hex);
  guard.isDead = true;
  for (let i = 0; i < 10; i++) await clock.run(alice.conversation(BOB.id).send(`${i}`));
  await clock.until(() => {
    const usable = alice.paths().filter((path) => path.state === 'usable');
    return usable.length === 2 && usable.every((path) => path.hops[0]!.ed25519Hex !== guard.ed25519Hex);
  });
  expect(alice.status).toBe('online');
});

test('both guards dead at once: the message arrives over new ones', async () => {
  world = new World();
  const { clock, network } = world;
  const alice = await world.open(ALICE);
  await clock.run(alice.ready());
  await clock.until(() => alice.paths().filter((path) => path.state === 'usable').length === 2);
  for (const path of alice.paths()) network.node(path.hops[0]!.ed25519Hex).isDead = true;
  await clock.run(alice.conversation(BOB.id).send('once is enough'));
});

test('a guard that falls silent is found out by the probe', async () => {
  world = new World();
  const { clock, network } = world;
  const alice = await world.open(ALICE);
  await clock.run(alice.ready());
  await clock.until(() => alice.paths().filter((path) => path.state === 'usable').length === 2);
  const guard = network.node(alice.paths()[0]!.hops[0]!.ed25519Hex);
  guard.isSilent = true;
  const before = clock.monotonic();
  for (let i = 0; i < 4; i++) await clock.run(alice.conversation(BOB.id).send(`${i}`));
  expect(clock.monotonic() - before).toBeLessThan(30_000);
  await clock.until(
    () => alice.paths().every((path) => path.hops.every((hop) => hop.ed25519Hex !== guard.ed25519Hex)),
    120_000,
  );
});

test('two of seven swarm members dead: nothing is lost', async () => {
  world = new World();
  const { clock, network } = world;
  const alice = await world.open(ALICE);
  const bob = await world.open(BOB);
  const arrived = collect(bob);
  for (const node of network.swarm(BOB.id).slice(0, 2)) node.isDead = true;
  for (let i = 0; i < 12; i++) {
    const sent = await clock.run(alice.conversation(BOB.id).send(`${i}`));
    expect(sent).toMatchObject({ stored: 5, of: 7 });
  }
  await clock.until(() => arrived.length === 12);
});

test('421: the new swarm is taken from the answer', async () => {
  world = new World();
  const { clock, network } = world;
  const alice = await world.open(ALICE, { receive: false });
  await clock.run(alice.conversation(BOB.id).send('to the old swarm'));
  const other = 1 - network.swarmNumber(BOB.id);
  network.swarmOf.set(BOB.id, other);
  const asked = network.destinations.filter(({ request }) => request.method === 'get_swarm').length;
  const sent = await clock.run(alice.conversation(BOB.id).send('to the new swarm'));
  expect(sent).toMatchObject({ stored: 7, of: 7 });
  expect(sent.signers.every((signer) => network.node(signer).swarm === other)).toBe(true);
  const onions = network.destinations.filter(
    ({ request, hops }) => request.method === 'get_swarm' && hops.length,
  );
  // One of them confirms it.
  expect(onions.length).toBeLessThanOrEqual(asked + 1);
});

test.each([
  ['an hour fast', 3_600_000],
  ['a day slow', -86_400_000],
])('406: a clock that is %s is corrected, and the message has the right time', async (_name, skew) => {
  world = new World();
  const { clock } = world;
  clock.skew = skew;
  const alice = await world.open(ALICE);
  const bob = await world.open(BOB);
  const arrived = collect(bob);
  const sent = await clock.run(alice.conversation(BOB.id).send('what time is it?'));
  expect(Math.abs(sent.timestamp - clock.trueNow())).toBeLessThan(1_000);
  await clock.until(() => arrived.length === 1);
  expect(arrived[0]!.timestamp).toBe(sent.timestamp);
  expect(await alice.conversation(BOB.id).history()).toMatchObject([
    { timestamp: sent.timestamp, state: 'sent' },
  ]);
  expect(Math.abs(alice.health().clockOffsetMs - skew)).toBeLessThan(1_000);
});

test('a clock that is set wrong while the client runs is corrected', async () => {
  world = new World();
  const { clock } = world;
  const alice = await world.open(ALICE, { receive: false });
  await clock.run(alice.conversation(BOB.id).send('before'));
  clock.skew = 7_200_000;
  const sent = await clock.run(alice.conversation(BOB.id).send('after'));
  expect(Math.abs(sent.timestamp - clock.trueNow())).toBeLessThan(1_000);
});

test('a node whose own clock is wrong is left out', async () => {
  world = new World();
  const { clock, network } = world;
  const alice = await world.open(ALICE, { receive: false });
  await clock.run(alice.ready());
  const liar = network.swarm(BOB.id)[0]!;
  liar.skew = -3_600_000;
  for (let i = 0; i < 20; i++) {
    const sent = await clock.run(alice.conversation(BOB.id).send(`${i}`));
    expect(Math.abs(sent.timestamp - clock.trueNow())).toBeLessThan(1_000);
  }
});

test('a message that may have been stored keeps its time when another node refuses it', async () => {
  world = new World();
  const { clock, network } = world;
  const [alice, bob] = [await world.open(ALICE, { receive: false }), await world.open(BOB)];
  const arrived = collect(bob);
  await clock.run(alice.ready());
  let stores = 0;
  for (const node of network.swarm(BOB.id)) {
    node.answer = (request) => {
      if (request.method !== 'sequence') return undefined;
      stores++;
      // The first one stores, and nobody hears of it; the clock of the second one is slow.
      if (stores === 1) return { status: 500, body: 'so sorry' };
      return stores === 2 ? { status: 406, body: 'Timestamp error: check your clock' } : undefined;
    };
  }
  await clock.run(alice.conversation(BOB.id).send('once'));
  expect(stores).toBe(3);
  await clock.pass(60_000);
  expect(arrived.map(({ text }) => text)).toEqual(['once']);
});

test('a hop that does not know the next one: that one goes at once', async () => {
  world = new World();
  const { clock, network } = world;
  const alice = await world.open(ALICE);
  await clock.run(alice.ready());
  await clock.until(() => alice.paths().filter((path) => path.state === 'usable').length === 2);
  const [, middle, edge] = alice.paths()[0]!.hops;
  network.node(middle!.ed25519Hex).strangers.add(edge!.ed25519Hex);
  for (let i = 0; i < 6; i++) await clock.run(alice.conversation(BOB.id).send(`${i}`));
  await clock.until(() => alice.paths().filter((path) => path.state === 'usable').length === 2);
  expect(alice.health().nodes).toBe(13);
});

test('guards, node list and last hashes survive a restart', async () => {
  world = new World();
  const { clock, network } = world;
  const storage = new MemoryStorage();
  const bob = await world.open(BOB, { storage });
  const alice = await world.open(ALICE);
  const arrived = collect(bob);
  await clock.run(alice.conversation(BOB.id).send('before'));
  await clock.until(() => arrived.length === 1 && bob.paths().every((path) => path.state === 'usable'));
  await clock.pass(10_000);
  const guards = bob.paths().map((path) => path.hops[0]!.ed25519Hex);
  expect(guards).toHaveLength(2);
  await clock.run(bob.close());
  network.isSeedDown = true;
  network.seen.length = 0;
  network.destinations.length = 0;
  const again = await world.open(BOB, { storage: storage.reopen(), seed: 99 });
  const later = collect(again);
  await clock.until(() => again.paths().filter((path) => path.state === 'usable').length === 2);
  expect(new Set(again.paths().map((path) => path.hops[0]!.ed25519Hex))).toEqual(new Set(guards));
  await clock.run(alice.conversation(BOB.id).send('after'));
  await clock.until(() => later.length > 0);
  await clock.pass(2_000);
  expect(later.map((message) => message.text)).toEqual(['after']);
  expect(network.seen.filter(({ kind }) => kind !== 'onion')).toEqual([]); // neither seeds nor guard tests
  const lastHashes = network.destinations.flatMap(({ request }) =>
    request.method === 'batch'
      ? request.requests.flatMap((sub) =>
          sub.method === 'retrieve' && sub.namespace === 0 ? [sub.lastHash] : [],
        )
      : [],
  );
  expect(lastHashes).toContain(later[0]!.hash);
  const members = network.swarm(BOB.id).map((node) => node.ed25519Hex);
  const stored = await Promise.all(members.map((member) => storage.lastHash(member, BOB.id, 0)));
  expect(stored.some((last) => last?.hash === later[0]!.hash)).toBe(true);
});

test('seeds of another network: the old list and guards are not used', async () => {
  world = new World();
  const { clock, network } = world;
  const storage = new MemoryStorage();
  const first = await world.open(ALICE, { storage });
  await clock.run(first.ready());
  await clock.run(first.close());
  network.seen.length = 0;
  const second = await world.open(ALICE, {
    storage: storage.reopen(),
    network: {
      preset: { ...NETWORKS.local, seeds: [{ url: 'https://other.test' }, { url: network.seedUrl }] },
    },
  });
  await clock.run(second.ready());
  expect(network.seen.some(({ kind }) => kind === 'seed')).toBe(true);
});

test('a stored list whose nodes are all gone is replaced from the seed', async () => {
  world = new World();
  const { clock, network } = world;
  const storage = new MemoryStorage();
  const gone = Array.from({ length: 14 }, (_, index) => ({
    ed25519Hex: network.nodes[index]!.x25519Hex, // keys that nobody has
    x25519Hex: network.nodes[index]!.x25519Hex,
    host: `10.9.${index}.1`,
    httpsPort: 9,
  }));
  await storage.write({
    nodes: gone,
    guards: [gone[0]!.ed25519Hex],
    settings: { network: `local ${network.seedUrl}` },
  });
  const alice = await world.open(ALICE, { storage });
  await clock.run(alice.conversation(BOB.id).send('found you'));
});

test('no network: sending fails at once and says so; afterwards all goes on by itself', async () => {
  world = new World();
  const { clock, network } = world;
  network.isOffline = true;
  const alice = await world.open(ALICE);
  const states: string[] = [];
  alice.on('status', (status) => states.push(status));
  await expect(clock.run(alice.conversation(BOB.id).send('hello?'))).rejects.toMatchObject({
    name: 'ClientError',
    code: 'no_network',
  });
  const [failed] = await alice.conversation(BOB.id).history();
  expect(failed).toMatchObject({ state: 'failed', text: 'hello?' });
  await clock.until(() => alice.health().lastError === 'no_network');
  expect(alice.status).toBe('offline');
  network.isOffline = false;
  await clock.until(() => alice.status === 'online');
  await clock.run(alice.conversation(BOB.id).resend(failed!.timestamp));
  expect(await alice.conversation(BOB.id).history()).toMatchObject([{ state: 'sent', text: 'hello?' }]);
  expect(states).toEqual(['online']);
});

test('the network goes away while paths stand: nobody is blamed', async () => {
  world = new World();
  const { clock, network } = world;
  const alice = await world.open(ALICE);
  await clock.run(alice.ready());
  await clock.until(() => alice.paths().filter((path) => path.state === 'usable').length === 2);
  network.isOffline = true;
  await expect(clock.run(alice.conversation(BOB.id).send('hello?'))).rejects.toMatchObject({
    code: 'no_network',
  });
  await clock.pass(120_000);
  expect(alice.health()).toMatchObject({ nodes: 14 });
  expect(alice.paths().filter((path) => path.state === 'usable')).toHaveLength(2);
  network.isOffline = false;
  await clock.run(alice.conversation(BOB.id).send('here again'));
});

test('no seed answers: no_nodes; with a bundled list that is enough', async () => {
  world = new World();
  const { clock, network } = world;
  network.isSeedDown = true;
  const alice = await world.open(ALICE, { receive: false });
  await expect(clock.run(alice.conversation(BOB.id).send('x'))).rejects.toMatchObject({ code: 'no_nodes' });
  const bob = await world.open(BOB, {
    network: {
      preset: { ...NETWORKS.local, seeds: [{ url: network.seedUrl }] },
      bundled: { json: network.listJson(), takenAt: clock.now() },
    },
  });
  await clock.run(bob.conversation(ALICE.id).send('from the list'));
});

test('the whole swarm dead: not_stored, kept as failed', async () => {
  world = new World();
  const { clock, network } = world;
  const alice = await world.open(ALICE, { receive: false });
  await clock.run(alice.conversation(BOB.id).send('first'));
  for (const node of network.swarm(BOB.id))
    node.answer = (request) =>
      request.method === 'sequence' ? { status: 503, body: 'Snode not ready' } : undefined;
  await expect(clock.run(alice.conversation(BOB.id).send('second'))).rejects.toMatchObject({
    code: 'not_stored',
  });
  expect(await alice.conversation(BOB.id).history()).toMatchObject([{ state: 'sent' }, { state: 'failed' }]);
});

test('a swarm that was out for a while is found again', async () => {
  world = new World();
  const { clock, network } = world;
  const alice = await world.open(ALICE);
  await clock.run(alice.conversation(BOB.id).send('first'));
  const members = network.swarm(BOB.id);
  for (const node of members) node.isDead = true;
  let failures = 0;
  for (let i = 0; i < 12; i++) {
    await clock.run(
      alice
        .conversation(BOB.id)
        .send('x')
        .catch(() => failures++),
    );
  }
  expect(failures).toBe(12);
  for (const node of members) node.isDead = false;
  await clock.until(async () => {
    const sent = await alice
      .conversation(BOB.id)
      .send('again')
      .catch(() => undefined);
    return sent !== undefined;
  });
});

test('the network goes away while a path is suspect: sending does not wait for ever', async () => {
  world = new World();
  const { clock, network } = world;
  const alice = await world.open(ALICE, { receive: false });
  await clock.run(alice.conversation(BOB.id).send('first'));
  await clock.until(() => alice.paths().filter((path) => path.state === 'usable').length === 2);
  for (const path of alice.paths()) network.node(path.hops[0]!.ed25519Hex).isSilent = true;
  const sending = alice.conversation(BOB.id).send('second');
  sending.catch(() => undefined);
  await clock.pass(12_000);
  network.isOffline = true;
  await expect(clock.run(sending)).rejects.toMatchObject({ code: 'no_network' });
});

test('the polling member dies: the next one is asked, and stays the one that is asked', async () => {
  world = new World();
  const { clock, network } = world;
  const bob = await world.open(BOB);
  await clock.run(bob.poll());
  const pollers = () =>
    network.destinations.filter(({ request }) => request.method === 'batch').map(({ node }) => node);
  const [first] = pollers();
  network.node(first!).answer = (request) =>
    request.method === 'batch' ? { status: 500, body: 'request failed' } : undefined;
  await clock.pass(2_000);
  network.destinations.length = 0;
  await clock.pass(2_000);
  expect(pollers().length).toBeGreaterThan(2);
  expect(pollers()).not.toContain(first);
});

test('a swarm that is busy is asked three times, with pauses', async () => {
  world = new World();
  const { clock, network } = world;
  const alice = await world.open(ALICE, { receive: false });
  await clock.run(alice.conversation(BOB.id).send('first'));
  await clock.run(alice.flush());
  for (const node of network.swarm(BOB.id)) node.answer = () => ({ status: 503, body: 'Snode not ready' });
  network.destinations.length = 0;
  const start = clock.monotonic();
  await expect(clock.run(alice.conversation(BOB.id).send('second'))).rejects.toMatchObject({
    code: 'not_stored',
  });
  const stores = network.destinations.filter(({ request }) => request.method === 'sequence');
  expect(stores).toHaveLength(3);
  expect(new Set(stores.map(({ node }) => node)).size).toBe(3);
  expect(clock.monotonic() - start).toBeGreaterThanOrEqual(200);
});

test('every hop lies: no_path, and no crash', async () => {
  world = new World();
  const { clock, network } = world;
  for (const node of network.nodes) node.hopAnswer = () => ({ status: 200, body: 'AAAA' });
  const alice = await world.open(ALICE, { receive: false });
  await expect(clock.run(alice.conversation(BOB.id).send('x'))).rejects.toMatchObject({
    code: expect.stringMatching(/^no_(path|nodes)$/),
  });
});

test('aborting ends a send', async () => {
  world = new World();
  const { clock, network } = world;
  for (const node of network.nodes) node.isSilent = true;
  const alice = await world.open(ALICE, { receive: false });
  const abort = new AbortController();
  const sending = alice.conversation(BOB.id).send('x', { signal: abort.signal });
  sending.catch(() => undefined);
  await clock.pass(3_000);
  abort.abort();
  await expect(clock.run(sending)).rejects.toMatchObject({ name: 'ClientError', code: 'aborted' });
});

test('a message that was under way when the client was closed is sent at the next start, once', async () => {
  world = new World();
  const { clock, network } = world;
  const storage = new MemoryStorage();
  const alice = await world.open(ALICE, { storage, receive: false });
  const bob = await world.open(BOB);
  const arrived = collect(bob);
  for (const node of network.swarm(BOB.id)) {
    node.answer = (request) =>
      request.method === 'sequence' ? { status: 503, body: 'Snode not ready' } : undefined;
  }
  const sending = alice.conversation(BOB.id).send('do not forget me');
  const refused = expect(sending).rejects.toMatchObject({ code: 'closed' });
  await clock.pass(60); // paths are being built
  await clock.run(alice.close());
  await clock.run(refused);
  for (const node of network.nodes) node.answer = undefined;
  const again = await world.open(ALICE, { storage: storage.reopen(), receive: false });
  await clock.until(() => arrived.length > 0);
  await clock.pass(20_000);
  expect(arrived.map((message) => message.text)).toEqual(['do not forget me']);
  expect(await again.conversation(BOB.id).history()).toMatchObject([{ state: 'sent', copyPending: false }]);
});

test('closing while the answer of the swarm is being written down is told as closed', async () => {
  world = new World();
  const { clock } = world;
  const storage = new MemoryStorage();
  const write = storage.write.bind(storage);
  let closing: Promise<void> | undefined;
  storage.write = async (changes) => {
    // The last moment: the message is stored, and the storage is closed before that is kept.
    if (closing === undefined && changes.messages?.[0]?.state === 'sent') {
      closing = alice.close();
      await closing;
    }
    return write(changes);
  };
  const alice = await world.open(ALICE, { storage, receive: false });
  const bob = await world.open(BOB);
  const arrived = collect(bob);
  const sending = alice.conversation(BOB.id).send('to the last');
  await expect(clock.run(sending)).rejects.toMatchObject({ name: 'ClientError', code: 'closed' });
  const again = await world.open(ALICE, { storage: storage.reopen(), receive: false });
  const history = again.conversation(BOB.id);
  await clock.until(() => arrived.length > 0);
  await clock.pass(20_000);
  expect(arrived.map(({ text }) => text)).toEqual(['to the last']);
  expect(await history.history()).toMatchObject([{ state: 'sent' }]);
});

test('a message that may have been stored keeps its time after a start, while the right time is not known', async () => {
  world = new World();
  const { clock, network } = world;
  const storage = new MemoryStorage();
  const alice = await world.open(ALICE, { storage, receive: false });
  const bob = await world.open(BOB);
  const arrived = collect(bob);
  const everywhere = (answer: (typeof network.nodes)[0]['answer']) => {
    for (const node of network.nodes) node.answer = answer;
  };
  // It is stored, and nobody hears of it.
  everywhere(({ method }) => (method === 'sequence' ? { status: 500, body: 'so sorry' } : undefined));
  const sending = alice.conversation(BOB.id).send('once');
  const refused = expect(sending).rejects.toMatchObject({ code: 'closed' });
  await clock.until(() => network.swarm(BOB.id).some((node) => node.inbox(BOB.id).length > 0));
  await clock.run(alice.close());
  await clock.run(refused);
  // The machine's clock is slow by now, a node refuses the message for its own clock's sake, and none tells the time.
  clock.skew = -480_000;
  let stores = 0;
  everywhere(({ method }) => {
    if (method === 'info') return { status: 503, body: 'Snode not ready' };
    if (method !== 'sequence' || stores++ > 0) return undefined;
    return { status: 406, body: 'Timestamp error: check your clock' };
  });
  const again = await world.open(ALICE, { storage: storage.reopen(), receive: false });
  await clock.until(() => stores > 1);
  await clock.pass(60_000);
  expect(arrived.map(({ text }) => text)).toEqual(['once']);
  expect(await again.conversation(BOB.id).history()).toMatchObject([
    { state: 'sent', timestamp: arrived[0]!.timestamp },
  ]);
});

test('a message that failed is not copied to other devices at the next start', async () => {
  world = new World();
  const { clock, network } = world;
  network.swarmOf.set(ALICE.id, 0).set(BOB.id, 1);
  const storage = new MemoryStorage();
  const alice = await world.open(ALICE, { storage, receive: false });
  for (const node of network.swarm(BOB.id)) node.answer = () => ({ status: 500, body: 'request failed' });
  const sending = alice.conversation(BOB.id).send('never left');
  await clock.run(expect(sending).rejects.toMatchObject({ code: 'not_stored' }));
  await clock.run(alice.close());
  for (const node of network.nodes) node.answer = undefined;
  const again = await world.open(ALICE, { storage: storage.reopen(), receive: false });
  const laptop = await world.open(ALICE);
  await clock.run(again.ready());
  await clock.pass(60_000);
  await clock.run(again.flush());
  await clock.run(laptop.poll());
  expect(await laptop.conversation(BOB.id).history()).toEqual([]);
  expect(await again.conversation(BOB.id).history()).toMatchObject([{ state: 'failed' }]);
});

test('a copy that could not be stored follows when our swarm is back', async () => {
  world = new World();
  const { clock, network } = world;
  network.swarmOf.set(ALICE.id, 0).set(BOB.id, 1);
  const alice = await world.open(ALICE);
  await clock.run(alice.ready());
  await clock.pass(2_000);
  for (const node of network.swarm(ALICE.id)) {
    node.answer = (request) =>
      request.method === 'sequence' ? { status: 500, body: 'request failed' } : undefined;
  }
  const sent = await clock.run(alice.conversation(BOB.id).send('hi'));
  await clock.run(alice.flush());
  expect(await alice.conversation(BOB.id).history()).toMatchObject([{ state: 'sent', copyPending: true }]);
  for (const node of network.nodes) node.answer = undefined;
  const laptop = await world.open(ALICE);
  const own: StoredMessage[] = [];
  laptop.on('own_message', (message) => own.push(message));
  await clock.until(() => own.length === 1, 3_600_000);
  expect(own[0]).toMatchObject({ timestamp: sent.timestamp, text: 'hi', conversation: BOB.id });
});

test('close twice, open again on the same storage, and nothing runs in between', async () => {
  world = new World();
  const { clock, network } = world;
  const storage = new MemoryStorage();
  const alice = await world.open(ALICE, { storage });
  await clock.run(alice.ready());
  await clock.run(Promise.all([alice.close(), alice.close()]));
  network.seen.length = 0;
  await clock.pass(60_000);
  expect(network.seen).toEqual([]);
  await expect(alice.ready()).rejects.toMatchObject({ code: 'closed' });
  const again = await world.open(ALICE, { storage: storage.reopen() });
  await clock.run(again.ready());
});

test('the node list is refreshed over onion and dead entries leave', async () => {
  world = new World({}, { pollEveryMs: 60_000 });
  const { clock, network } = world;
  const alice = await world.open(ALICE);
  await clock.run(alice.ready());
  network.seen.length = 0;
  await clock.pass(6 * 60_000);
  const asked = network.destinations.filter(({ request }) => request.method === 'oxend_request');
  expect(asked.length).toBeGreaterThanOrEqual(3);
  expect(new Set(asked.map(({ node }) => node)).size).toBeGreaterThanOrEqual(3);
  expect(network.seen.some(({ kind }) => kind === 'seed')).toBe(false);
});

test.each([4, 5, 7])('a network of %i nodes in one swarm works', async (nodes) => {
  world = new World({ nodes, swarms: 1 });
  const { clock } = world;
  const alice = await world.open(ALICE);
  const bob = await world.open(BOB);
  const arrived = collect(bob);
  for (let i = 0; i < 6; i++) await clock.run(alice.conversation(BOB.id).send(`${i}`));
  await clock.until(() => arrived.length === 6);
});

test('with distinct subnets asked for, no path has two nodes of one /24', async () => {
  world = new World({ nodes: 24, host: (index) => `10.0.${index % 8}.${index + 1}` });
  const { clock, network } = world;
  const alice = await world.open(ALICE, {
    network: { preset: { ...NETWORKS.local, distinctSubnets: true, seeds: [{ url: network.seedUrl }] } },
  });
  await clock.run(alice.ready());
  await clock.until(() => alice.paths().filter((path) => path.state === 'usable').length === 2);
  for (const path of alice.paths()) {
    const subnets = path.hops.map((hop) => hop.host.split('.').slice(0, 3).join('.'));
    expect(new Set(subnets).size).toBe(3);
  }
});

test('with distinct operators asked for, no path has two nodes of one operator', async () => {
  world = new World({ nodes: 24 });
  const { clock, network } = world;
  network.nodes.forEach((node, index) => {
    node.operator = `0x${index % 7}`;
  });
  const preset = { ...NETWORKS.local, distinctOperators: true, seeds: [{ url: network.seedUrl }] };
  const alice = await world.open(ALICE, { network: { preset } });
  await clock.run(alice.ready());
  await clock.until(() => alice.paths().filter((path) => path.state === 'usable').length === 2);
  for (const path of alice.paths()) expect(new Set(path.hops.map((hop) => hop.operator)).size).toBe(3);
});

test('of a network in which two run everything, the error says so, and without the rule it works', async () => {
  world = new World({ nodes: 12 });
  const { clock, network } = world;
  network.nodes.forEach((node, index) => {
    node.operator = `0x${index % 2}`;
  });
  const preset = { ...NETWORKS.main, seeds: [{ url: network.seedUrl }] };
  const alice = await world.open(ALICE, { network: { preset } });
  await expect(clock.run(alice.ready())).rejects.toMatchObject({
    code: 'no_path',
    message: expect.stringMatching(/12 known nodes stand in 12 networks .* belong to 2 operators/),
  });
  const bob = await world.open(BOB, { network: { preset: { ...preset, distinctOperators: false } } });
  await clock.run(bob.ready());
});
