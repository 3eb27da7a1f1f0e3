// SPDX-License-Identifier: AGPL-3.0-or-later
// Whatever reaches only some members, after a few rounds of `sn.reconcile` all hold the same (spec/storage-server §5.13).
// Three mailboxes in memory, the real checks and signatures, no sockets; time is the test's.
import { createHash } from 'node:crypto';
import type { OmqEndpoint } from '@allium/net/omq/endpoint';
import { silentLog, systemRandom } from '@allium/net/system-env';
import { toBase64, toHex } from '@allium/protocol/bytes';
import type { Clock, Env } from '@allium/protocol/env';
import { parseJsonRequest } from '@allium/protocol/storage/request-reader';
import type { RecursiveRequest } from '@allium/protocol/storage/requests';
import { describe, expect, test } from 'vitest';
import { Database } from '../../src/mailbox/database.ts';
import { Mailbox } from '../../src/mailbox/mailbox.ts';
import { Metrics } from '../../src/metrics.ts';
import { Apply } from '../../src/rpc/apply.ts';
import { Checks } from '../../src/rpc/checks.ts';
import { KeyConverter } from '../../src/rpc/key-converter.ts';
import { encodeMessages } from '../../src/swarm/data-push.ts';
import { Holdings } from '../../src/swarm/holdings.ts';
import { Intake } from '../../src/swarm/intake.ts';
import { Reconciler } from '../../src/swarm/reconcile.ts';
import { ReconcileAnswers } from '../../src/swarm/reconcile-answers.ts';
import { Swarm } from '../../src/swarm/swarm.ts';
import { TestAccount } from '../support/test-account.ts';
import { TestNetwork, type TestNode } from '../support/test-network.ts';

const DAY = 86_400_000;

class Node {
  readonly database = new Database({ path: ':memory:' });
  readonly mailbox: Mailbox;
  readonly apply: Apply;
  readonly intake: Intake;
  readonly reconciler: Reconciler;
  readonly answers: ReconcileAnswers;
  readonly metrics: Metrics;
  readonly checks: Checks;
  readonly swarm: Swarm;

  constructor(net: TestNetwork, self: TestNode, world: World, bytesPerSecond = Number.POSITIVE_INFINITY) {
    const env: Env = { clock: world.clock, random: systemRandom, log: silentLog };
    this.mailbox = new Mailbox(this.database, world.clock);
    this.apply = new Apply(this.mailbox, self.keys, world.clock);
    this.checks = new Checks(this.mailbox, world.clock, new KeyConverter());
    this.metrics = new Metrics(env);
    const { membership } = net;
    this.swarm = new Swarm({ current: () => membership, onChange: () => () => undefined }, self.hex);
    const shared = { mailbox: this.mailbox, swarm: this.swarm, metrics: this.metrics };
    this.intake = new Intake(shared, env);
    const omq = {
      request: async (peer: { port: number }, command: string, [part]: Uint8Array[]) => {
        const target = world.nodes.get(peer.port)!;
        const caller = { keyHex: self.hex, swarmId: membership.byEd25519.get(self.hex)?.swarmId };
        const reply =
          command === 'sn.data'
            ? await target.intake.take(self.hex, part)
            : await target.answers.answer(caller, part);
        world.moved += part!.length + (reply[0]?.length ?? 0);
        return reply;
      },
    } as unknown as OmqEndpoint;
    const executor = {
      executeAct: async (request: RecursiveRequest, time: number) => {
        if (request.method === 'store' || this.checks.act(request, time) !== undefined) return false;
        await this.apply.other(request, time);
        return true;
      },
    };
    const holdings = new Holdings({ ...shared, executor }, env);
    this.reconciler = new Reconciler({ ...shared, omq, holdings, everySeconds: 60, bytesPerSecond }, env);
    this.answers = new ReconcileAnswers({ ...shared, holdings }, env);
  }

  async execute(request: RecursiveRequest): Promise<void> {
    if (request.method === 'store') await this.apply.store(request);
    else await this.apply.other(request);
  }

  /** All that a client could see. */
  state(account: TestAccount): unknown {
    const all = this.database
      .prepare(
        'SELECT namespace, hex(hash) AS hash, expiry, data FROM messages WHERE expiry > ? ORDER BY hash',
      )
      .all(0)
      .map((row) => `${row.namespace} ${Buffer.from(row.data as Uint8Array)} ${row.expiry}`);
    const revoked = this.mailbox.revocations.revoked({ bytes: account.bytes } as never).map(toHex);
    return { all: all.sort(), revoked: revoked.sort() };
  }
}

class World {
  time = 1_700_000_000_000;
  moved = 0;
  /** What was waited for, when the test's clock skips it. */
  waited = 0;
  readonly nodes = new Map<number, Node>();
  readonly clock: Clock = {
    now: () => this.time,
    monotonic: () => this.time,
    after: (ms, run) => {
      this.waited += ms;
      const immediate = setImmediate(run);
      return () => clearImmediate(immediate);
    },
  };

  constructor(net: TestNetwork, bytesPerSecond?: number) {
    for (const node of net.nodes) this.nodes.set(node.omqPort, new Node(net, node, this, bytesPerSecond));
  }

  get list(): Node[] {
    return [...this.nodes.values()];
  }

  async rounds(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      for (const node of this.list) {
        for (const peer of node.swarm.peers) {
          this.time += 10;
          expect(await node.reconciler.reconcile(peer)).toBe(true);
        }
      }
    }
  }
}

/** A seeded sequence of numbers in 0 … below-1. */
function dice(seed: string): (below: number) => number {
  let n = 0;
  return (below) => createHash('sha256').update(`${seed} ${n++}`).digest().readUInt32BE(0) % below;
}

const TEXTS = ['a', 'b', 'c', 'd', 'e', 'f'];

/** A random request; `deleted`: what each request means for the texts is checked by the caller. */
function operation(account: TestAccount, tokens: Uint8Array[], roll: (below: number) => number, now: number) {
  const namespace = [0, 0, 3, -21][roll(4)]!;
  const ns = namespace === 0 ? '' : namespace;
  const text = TEXTS[roll(TEXTS.length)]!;
  const messages = [account.hash(text, namespace)];
  const make = (method: string, more: Record<string, unknown>) =>
    parseJsonRequest(method, { ...account.params, ...more } as never) as RecursiveRequest;
  switch (roll(9)) {
    case 0:
      return make('delete', { messages, signature: account.sign('delete', ...messages) });
    case 1:
      return make('delete_all', {
        namespace,
        timestamp: now,
        signature: account.sign('delete_all', ns, now),
      });
    case 2: {
      const before = now - roll(3000);
      return make('delete_before', {
        namespace,
        before,
        signature: account.sign('delete_before', ns, before),
      });
    }
    case 3:
    case 4: {
      const word = roll(2) === 0 ? 'extend' : 'shorten';
      const expiry = now + DAY + roll(10) * DAY;
      const signature = account.sign('expire', word, expiry, ...messages);
      return make('expire', { messages, expiry, [word]: true, signature });
    }
    case 5: {
      const word = roll(2) === 0 ? 'revoke' : 'unrevoke';
      const token = tokens[roll(tokens.length)]!;
      const signature = account.sign(`${word}_subaccount`, now, token);
      return make(`${word}_subaccount`, { [word]: toBase64(token), timestamp: now, signature });
    }
    default: {
      const params = account.store(text, {
        namespace,
        timestamp: now - roll(500),
        ttl: 10 * DAY,
        signed: true,
      });
      return make('store', params);
    }
  }
}

describe('three members, each of which misses much', () => {
  test('hold the same after some rounds, whatever was done', async () => {
    await using net = await TestNetwork.prepare({ swarms: [3] });
    for (let run = 0; run < 10; run++) {
      const roll = dice(`run ${run}`);
      const world = new World(net);
      const account = TestAccount.raw();
      const tokens = Array.from({ length: 3 }, () => account.subaccount(1).token);
      for (let step = 0; step < 60; step++) {
        world.time += 1 + roll(1000);
        const request = operation(account, tokens, roll, world.time);
        const reached = 1 + roll(7);
        for (const [i, node] of world.list.entries()) {
          if ((reached & (1 << i)) !== 0) await node.execute(request);
        }
        if (roll(20) === 0) await world.rounds(1);
      }
      await world.rounds(3);
      const [first, ...others] = world.list.map((node) => node.state(account));
      for (const other of others) expect(other, `run ${run}`).toEqual(first);
      // Once equal, there is nothing to move.
      const items = world.list.reduce((sum, node) => sum + node.metrics.reconciledItems, 0);
      await world.rounds(1);
      expect(world.list.reduce((sum, node) => sum + node.metrics.reconciledItems, 0)).toBe(items);
      for (const node of world.list) node.database.close();
    }
  });
});

test('a member that slept for two days brings back nothing that was deleted meanwhile', async () => {
  await using net = await TestNetwork.prepare({ swarms: [3] });
  const world = new World(net);
  const [a, b, sleeper] = world.list as [Node, Node, Node];
  const account = TestAccount.session();
  const run = async (request: unknown, nodes: Node[]) => {
    for (const node of nodes) await node.execute(request as RecursiveRequest);
  };
  const stored = ['by hash', 'by time', 'stays'].map((text, i) =>
    account.store(text, {
      timestamp: world.time + i,
      ttl: 10 * DAY,
      namespace: i === 1 ? 3 : 0,
      signed: true,
    }),
  );
  for (const params of stored) await run(parseJsonRequest('store', params as never), world.list);
  world.time += 1000;
  const messages = [account.hash('by hash')];
  const remove = { ...account.params, messages, signature: account.sign('delete', ...messages) };
  await run(parseJsonRequest('delete', remove as never), [a, b]);
  const timestamp = world.time;
  const wipe = { ...account.params, namespace: 3, timestamp };
  const signature = account.sign('delete_all', 3, timestamp);
  await run(parseJsonRequest('delete_all', { ...wipe, signature } as never), [a, b]);
  world.time += 2 * DAY;
  // It wakes, and first of all pushes everything that it has.
  for (const blob of encodeMessages(sleeper.mailbox.page(0, 100))) {
    for (const node of [a, b]) expect(await node.intake.take('sleeper', blob)).toEqual([]);
  }
  const texts = (node: Node) =>
    (node.state(account) as { all: string[] }).all.map((line) => line.split(' ')[1]);
  expect([a, b].map(texts)).toEqual([['stays'], ['stays']]);
  expect(texts(sleeper)).toHaveLength(3);
  await world.rounds(2);
  expect(world.list.map(texts)).toEqual([['stays'], ['stays'], ['stays']]);
  for (const node of world.list) node.database.close();
});

describe('a comparison', () => {
  const store = (account: TestAccount, text: string | Uint8Array, now: number) =>
    parseJsonRequest('store', account.store(text, { timestamp: now, ttl: DAY }) as never) as RecursiveRequest;

  test('of thousands of messages moves what is missing, not more, and keeps to its bandwidth', async () => {
    await using net = await TestNetwork.prepare({ swarms: [2] });
    const world = new World(net, 100_000);
    const [a, b] = world.list as [Node, Node];
    const account = TestAccount.session();
    for (let i = 0; i < 3000; i++) {
      const request = store(account, `message ${i}`, world.time);
      await Promise.all([a.execute(request), ...(i % 100 === 0 ? [] : [b.execute(request)])]);
    }
    const big = store(account, new Uint8Array(70_000), world.time);
    await b.execute(big);
    world.waited = 0;
    world.moved = 0;
    expect(await a.reconciler.reconcile(a.swarm.peers[0]!)).toBe(true);
    expect(b.state(account)).toEqual(a.state(account));
    expect(a.metrics.reconciledItems).toBe(31);
    // Every byte on the wire was waited for.
    expect(a.metrics.reconciledBytes).toBeGreaterThanOrEqual(world.moved);
    expect(world.waited).toBeGreaterThanOrEqual((world.moved / 100_000) * 1000);
    expect(a.metrics.reconciledBytes).toBeGreaterThan(70_000);
    expect(a.metrics.reconciledBytes).toBeLessThan(300_000);
  });

  test('takes no deletion, revocation or change of expiry without the signature of its account', async () => {
    await using net = await TestNetwork.prepare({ swarms: [2] });
    const world = new World(net);
    const [a, b] = world.list as [Node, Node];
    const [account, thief] = [TestAccount.session(), TestAccount.session()];
    const request = store(account, 'mine', world.time);
    await Promise.all([a.execute(request), b.execute(request)]);
    const hash = account.hash('mine');
    const forged = parseJsonRequest('delete', {
      ...account.params,
      messages: [hash],
      signature: thief.sign('delete', hash),
    } as never) as RecursiveRequest;
    await a.execute(forged);
    const foreign = parseJsonRequest('delete', {
      ...thief.params,
      messages: [hash],
      signature: thief.sign('delete', hash),
    } as never) as RecursiveRequest;
    await a.execute(foreign);
    await world.rounds(1);
    // Not even the liar's own mailbox may keep others from the message: it marks it for itself alone.
    expect((b.state(account) as { all: string[] }).all).toHaveLength(1);
    expect(b.mailbox.acts.deletedUpTo(account.bytes, 0, Buffer.from(hash, 'base64'))).toBe(-1);
  });
});
