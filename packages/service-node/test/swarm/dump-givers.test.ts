// SPDX-License-Identifier: AGPL-3.0-or-later
// Who gives what when lists follow each other and swarms are made of others (docs/decisions/0036): the real `SwarmSync` of each
// old member on a mailbox in memory; what it sends is counted. Nobody compares here, so the parts alone must be the whole.
import { OmqError } from '@allium/net/omq/endpoint';
import { silentLog, systemRandom } from '@allium/net/system-env';
import { until } from '@allium/net/testing/until';
import { encodeBt } from '@allium/protocol/bencode';
import { toHex } from '@allium/protocol/bytes';
import { ed25519KeyPair, randomBytes } from '@allium/protocol/crypto';
import type { Clock, Env } from '@allium/protocol/env';
import { type Member, type Membership, swarmFor } from '@allium/protocol/membership';
import { createStaticList, membershipOf } from '@allium/protocol/membership/static-list';
import { messageHash } from '@allium/protocol/message-hash';
import { decodeDataPush } from '@allium/protocol/storage/data-push';
import { parseAccountPubkey } from '@allium/protocol/storage/requests';
import { expect, test } from 'vitest';
import { Database } from '../../src/mailbox/database.ts';
import { Mailbox } from '../../src/mailbox/mailbox.ts';
import type { NewMessage } from '../../src/mailbox/messages.ts';
import { Metrics } from '../../src/metrics.ts';
import { Swarm } from '../../src/swarm/swarm.ts';
import { SwarmSync } from '../../src/swarm/swarm-sync.ts';

const MESSAGES = 60;
const FIRST = 0x1234n;
const SECOND = 2n ** 63n;

interface Peer {
  readonly hex: string;
  readonly port: number;
}

let nextPort = 1;
const newPeer = (): Peer => ({ hex: toHex(ed25519KeyPair(randomBytes(32)).publicKey), port: nextPort++ });

/** A second of it takes ten milliseconds. */
const quick: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now() * 100,
  after: (ms, run) => {
    const timer = setTimeout(run, ms / 100);
    return () => clearTimeout(timer);
  },
};

/** A list with these swarms. */
function listOf(swarms: readonly (readonly [bigint, readonly Peer[]])[]): Membership {
  const issued = Math.floor(Date.now() / 1000);
  const nodes = swarms.flatMap(([swarmId, peers]) =>
    peers.map(({ hex, port }) => {
      return {
        ed25519Hex: hex,
        host: '127.0.0.1',
        httpsPort: 10_000 + port,
        omqPort: 20_000 + port,
        swarmId,
      };
    }),
  );
  return membershipOf(
    createStaticList({
      admins: [toHex(randomBytes(32))],
      threshold: 1,
      issued,
      expires: issued + 3600,
      nodes,
    }),
  );
}

function newMessages(count: number): NewMessage[] {
  return Array.from({ length: count }, () => {
    const account = parseAccountPubkey(`05${toHex(randomBytes(32))}`);
    const data = randomBytes(10);
    const hash = messageHash(account.bytes, 0, data);
    return { account, namespace: 0, timestamp: Date.now(), expiry: Date.now() + 3_600_000, hash, data };
  });
}

/** Members that hold the same messages, by the list `first`. */
class World implements AsyncDisposable {
  membership: Membership;
  readonly messages: readonly NewMessage[];
  /** Whether peers answer `sn.reconcile`. */
  isComparable = true;
  /** What a blob waits for. */
  onData: () => Promise<void> = async () => {};
  /** Peers that do not answer. */
  readonly absent = new Set<number>();
  /** By port of the receiver: hashes, as often as they came. */
  readonly received = new Map<number, string[]>();
  /** What comparing with a newcomer comes to, time after time; then `true`. */
  readonly comparisons: boolean[] = [];
  compared = 0;
  readonly syncs: SwarmSync[] = [];
  readonly #closers: (() => unknown)[] = [];

  constructor(first: Membership, messages = newMessages(MESSAGES)) {
    this.membership = first;
    this.messages = messages;
  }

  async add({ hex }: Peer): Promise<void> {
    const env: Env = { clock: quick, random: systemRandom, log: silentLog };
    const database = new Database({ path: ':memory:' });
    const mailbox = new Mailbox(database, env.clock);
    await mailbox.storeMany(this.messages);
    const swarm = new Swarm({ current: () => this.membership, onChange: () => () => undefined }, hex);
    const omq = {
      request: async ({ port }: { port: number }, command: string, [part]: Uint8Array[]) => {
        if (this.absent.has(port - 20_000)) throw new OmqError('unreachable', 'nobody there');
        if (command !== 'sn.data') return [Buffer.from('OK')];
        await this.onData();
        const hashes = decodeDataPush(part!).map((message) => message.hash);
        this.received.set(port - 20_000, [...(this.received.get(port - 20_000) ?? []), ...hashes]);
        return [];
      },
    };
    const give = async (_peer: Member, kinds: readonly string[] = []) => {
      if (!kinds.includes('m')) return true;
      this.compared++;
      return this.comparisons.shift() ?? true;
    };
    const reconciler = { give, reaches: async () => this.isComparable, cannot: () => !this.isComparable };
    const metrics = new Metrics(env);
    const sync = new SwarmSync({ database, mailbox, omq: omq as never, swarm, metrics, reconciler }, env);
    sync.start();
    this.syncs.push(sync);
    this.#closers.push(
      () => sync.stop(),
      () => database.close(),
    );
  }

  change(next: Membership): void {
    const previous = this.membership;
    this.membership = next;
    for (const sync of this.syncs) sync.changed(previous);
  }

  /** Resolves when a peer has all that is its swarm's; throws when all who give are through without that. */
  async whole({ port }: Peer, swarmId: bigint): Promise<void> {
    const theirs = this.messages.filter(
      ({ account }) => swarmFor(this.membership, account.bytes.subarray(1))?.id === swarmId,
    );
    expect(theirs.length).toBeGreaterThan(this.messages.length / 10);
    await until(
      () => new Set(this.received.get(port)).size === theirs.length,
      'all messages of the swarm to come',
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closers) await close();
  }
}

test('members that went over to the new swarm are not counted on to give to it', async () => {
  // In one order or the other most accounts would fall to those who went over.
  const old = Array.from({ length: 6 }, newPeer);
  const newcomer = newPeer();
  await using world = new World(listOf([[FIRST, old]]));
  for (const peer of old) await world.add(peer);
  world.change(
    listOf([
      [FIRST, old.slice(0, 2)],
      [SECOND, [...old.slice(2), newcomer]],
    ]),
  );
  await world.whole(newcomer, SECOND);
});

test('newcomers that have not got everything yet are not counted on to give to the next one', async () => {
  const old = Array.from({ length: 2 }, newPeer);
  const before = Array.from({ length: 4 }, newPeer);
  const newcomer = newPeer();
  await using world = new World(listOf([[FIRST, old]]));
  for (const peer of old) await world.add(peer);
  for (const { port } of before) world.absent.add(port);
  world.change(listOf([[FIRST, [...old, ...before]]]));
  world.change(listOf([[FIRST, [...old, ...before, newcomer]]]));
  await world.whole(newcomer, FIRST);
});

test('a comparison that fails is made again, a few times', async () => {
  const old = Array.from({ length: 2 }, newPeer);
  const newcomer = newPeer();
  await using world = new World(listOf([[FIRST, old]]));
  world.comparisons.push(false, false);
  for (const peer of old) await world.add(peer);
  world.change(listOf([[FIRST, [...old, newcomer]]]));
  await until(() => world.compared === 4, 'both to have compared, and to have tried anew');
});

test('one that cannot be compared with and asks anew gets everything anew', async () => {
  const old = Array.from({ length: 2 }, newPeer);
  const newcomer = newPeer();
  await using world = new World(listOf([[FIRST, old]]), newMessages(1100));
  world.isComparable = false;
  await world.add(old[0]!);
  // The first thousand are taken, the others are on their way.
  let blobs = 0;
  let goOn = () => {};
  const asked = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  world.onData = async () => {
    if (++blobs > 1) await asked;
  };
  world.change(listOf([[FIRST, [...old, newcomer]]]));
  await until(() => blobs === 2 && world.received.get(newcomer.port)?.length === 1000, 'some of it');
  await new Promise(setImmediate);
  // It has lost what it had.
  world.received.clear();
  const member = world.membership.byEd25519.get(newcomer.hex);
  world.syncs[0]!.greeted(member, encodeBt({ '@': 0, t: 1 }));
  goOn();
  await world.whole(newcomer, FIRST);
});
