// SPDX-License-Identifier: AGPL-3.0-or-later
// Uptime proofs between nodes, in virtual time and on the production preset.

import { PRESETS } from '@allium/chain/presets';
import { FakeChainView } from '@allium/chain/testing';
import { OmqError } from '@allium/net/omq/endpoint';
import { decodeBt, encodeBt } from '@allium/protocol/bencode';
import { fromUtf8 } from '@allium/protocol/bytes';
import { randomBytes } from '@allium/protocol/crypto';
import type { Env, Logger } from '@allium/protocol/env';
import {
  encodeSignedProof,
  signUptimeProof,
  type UptimeFacts,
} from '@allium/protocol/membership/uptime-proof';
import { describe, expect, test } from 'vitest';
import { ChainSource } from '../../src/membership/chain-source.ts';
import { ProofBook } from '../../src/membership/proof-book.ts';
import { type KnownPeer, ProofGossip } from '../../src/membership/proof-gossip.ts';
import { NodeKeys } from '../../src/node-keys.ts';
import { Swarm } from '../../src/swarm/swarm.ts';
import { MemoryOmqHub } from '../support/memory-omq.ts';
import { TestClock, testEnv } from '../support/test-clock.ts';

const SECOND = 1000;
const MINUTE = 60_000;
const HOUR = 3_600_000;
const HEAD = { number: 100n, hash: `0x${'ab'.repeat(32)}` as const, timestamp: 1_700_000_000 };

/** Lets everything run that only waits for messages. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}

class World {
  readonly clock = new TestClock();
  readonly hub = new MemoryOmqHub();
  readonly chain = new FakeChainView({ preset: 'production', t0: 1_699_990_000, epochSeconds: 3600 });
  readonly nodes: TestPeer[] = [];
  readonly errors: string[] = [];
  readonly env: Env;

  constructor(count: number) {
    this.chain.setHead(HEAD);
    const log: Logger = {
      ...testEnv(this.clock).log,
      error: (_, text) => this.errors.push(text),
      child: () => log,
    };
    this.env = { ...testEnv(this.clock), log };
    for (let i = 0; i < count; i++) this.add();
    for (const node of this.nodes)
      this.chain.setNode({ nodeId: node.index + 1, ed25519Hex: node.keys.ed25519Hex });
    this.chain.setEpoch(2);
  }

  add(facts: { keys?: NodeKeys; host?: string; peers?: readonly TestPeer[] } = {}): TestPeer {
    const node = new TestPeer(this, this.nodes.length, facts);
    this.nodes.push(node);
    return node;
  }

  /** All of them know where all are. */
  meet(): void {
    for (const a of this.nodes) for (const b of this.nodes) a.book.take(b.proof(), 'pushed');
  }

  async advance(ms: number, step = 30 * SECOND): Promise<void> {
    for (let passed = 0; passed < ms; passed += step) {
      this.clock.advance(Math.min(step, ms - passed));
      await settle();
    }
  }
}

class TestPeer {
  readonly keys: NodeKeys;
  readonly book: ProofBook;
  readonly source: ChainSource;
  readonly gossip: ProofGossip;
  readonly host: string;
  readonly index: number;
  readonly counts = { proofsTaken: 0, proofsRefused: 0, proofsSent: 0 };
  readonly #world: World;
  storageAnswers = true;

  constructor(
    world: World,
    index: number,
    { keys, host, peers = [] }: { keys?: NodeKeys; host?: string; peers?: readonly TestPeer[] },
  ) {
    const { chain, hub, env } = world;
    this.#world = world;
    this.index = index;
    this.keys = keys ?? new NodeKeys(randomBytes(32));
    this.host = host ?? `1.2.3.${index + 1}`;
    const { timings } = PRESETS.production;
    this.book = new ProofBook(
      {
        rules: {
          registry: chain.network.registry,
          chainId: chain.network.chainId,
          frequencyMs: timings.proofFrequency * 1000,
          validityMs: timings.proofValidity * 1000,
          toleranceMs: timings.proofTolerance * 1000,
          privateAddresses: false,
          minimumVersion: () => chain.minimumVersion() ?? [0, 0, 0],
        },
        files: { read: async () => undefined, write: async () => {} },
        path: 'proofs.bt',
        isNode: (hex) => chain.nodeByEd25519(hex) !== undefined,
      },
      env,
    );
    this.source = new ChainSource({ chain, book: this.book, overlapMs: 5 * MINUTE }, env);
    this.source.start();
    const swarm = new Swarm(this.source, this.keys.ed25519Hex);
    const omq = hub.endpoint(this.host, 22_020, this.keys.x25519.publicKey, (key) =>
      swarm.knows(key) ? 'service_node' : 'none',
    );
    omq.category('sn', { access: 'service_node' });
    this.gossip = new ProofGossip(
      {
        chain,
        book: this.book,
        source: this.source,
        omq,
        swarm,
        keys: this.keys,
        peers: peers.map((peer) => peer.known),
        storageAnswers: () => this.storageAnswers,
        counts: this.counts,
      },
      env,
    );
    const member = (keyHex: string) => this.source.current().byX25519.get(keyHex);
    omq.register('sn.chain_proof', ({ peerKeyHex }, [part]) =>
      this.gossip.answerProof(member(peerKeyHex), part),
    );
    omq.register('sn.chain_proofs', ({ peerKeyHex }, [part]) =>
      this.gossip.answerProofs(member(peerKeyHex), part),
    );
    this.omq = omq;
  }

  readonly omq: ReturnType<MemoryOmqHub['endpoint']>;

  get known(): KnownPeer {
    return {
      host: this.host,
      port: 22_020,
      publicKey: this.keys.x25519.publicKey,
      keyHex: this.keys.ed25519Hex,
    };
  }

  proof(facts: Partial<UptimeFacts> = {}) {
    const { chain, clock } = this.#world;
    return signUptimeProof(
      {
        registry: chain.network.registry,
        chainId: chain.network.chainId,
        epoch: 2,
        blockNumber: 100,
        blockHash: HEAD.hash,
        host: this.host,
        httpsPort: 443,
        omqPort: 22_020,
        storageVersion: [2, 11, 0],
        nodeVersion: [0, 1, 0],
        time: Math.floor(clock.now() / 1000),
        ...facts,
      },
      this.keys,
    );
  }

  start(): void {
    this.gossip.start({
      host: this.host,
      httpsPort: 443,
      omqPort: 22_020,
      storageVersion: [2, 11, 0],
      nodeVersion: [0, 1, 0],
    });
  }

  /** How many nodes it knows the address of. */
  get addresses(): number {
    return this.source.current().members.filter(({ host }) => host !== '0.0.0.0').length;
  }

  hears(other: TestPeer): number | undefined {
    return this.book.proofOf(other.keys.ed25519Hex)?.proof.time;
  }
}

describe('own proofs', () => {
  test('go out 30 s after the start, then 15 s before the hour is over, and reach all nodes through others', async () => {
    const world = new World(30);
    world.meet();
    world.clock.advance(HOUR);
    const [node] = world.nodes;
    node!.start();
    const began = Math.floor(world.clock.now() / 1000);
    await world.advance(29 * SECOND, SECOND);
    expect(node!.counts.proofsSent).toBe(0);
    await world.advance(31 * SECOND, SECOND);
    expect(node!.counts.proofsSent).toBe(1);
    // Nobody but the sender knows more than eight nodes and its swarm: the others relay.
    for (const other of world.nodes)
      expect(other.hears(node!), `node ${other.index}`).toBeGreaterThanOrEqual(began + 30);
    const sent = node!.hears(node!)!;
    await world.advance(HOUR - 3 * MINUTE);
    expect(node!.counts.proofsSent).toBe(1);
    await world.advance(3 * MINUTE, SECOND);
    expect(node!.counts.proofsSent).toBe(2);
    expect(node!.hears(node!)! - sent).toBeGreaterThanOrEqual(3585);
    expect(node!.hears(node!)! - sent).toBeLessThanOrEqual(3615);
  });

  test('go out at once when the address is another than before', async () => {
    const world = new World(3);
    world.meet();
    const [node] = world.nodes;
    world.clock.advance(2 * MINUTE);
    node!.book.take(node!.proof({ host: '9.9.9.9' }), 'pushed');
    world.clock.advance(MINUTE);
    node!.start();
    await world.advance(30 * SECOND);
    expect(node!.counts.proofsSent).toBe(1);
    expect(world.nodes[1]!.book.proofOf(node!.keys.ed25519Hex)?.proof.host).toBe(node!.host);
  });

  test('that nobody took are sent again until somebody does', async () => {
    const world = new World(2);
    world.meet();
    world.clock.advance(HOUR);
    const [node, other] = world.nodes as [TestPeer, TestPeer];
    other.omq.isUp = false;
    node.start();
    await world.advance(2 * MINUTE);
    expect(other.hears(node)).toBeLessThan(node.hears(node)!);
    other.omq.isUp = true;
    await world.advance(MINUTE);
    expect(other.hears(node)).toBe(node.hears(node));
    const sent = node.counts.proofsSent;
    await world.advance(10 * MINUTE);
    expect(node.counts.proofsSent).toBe(sent);
  });

  test('are not sent while the view of the chain is not fresh', async () => {
    const world = new World(2);
    world.meet();
    const [node] = world.nodes;
    node!.start();
    await world.advance(50 * MINUTE);
    world.chain.setFresh(false);
    await world.advance(MINUTE);
    expect(node!.gossip.silence).toBe('stale_chain');
    const sent = node!.counts.proofsSent;
    await world.advance(2 * HOUR);
    expect(node!.counts.proofsSent).toBe(sent);
    expect(world.errors[0]).toMatch(/chain cannot be read/);
    world.chain.setFresh(true);
    await world.advance(MINUTE);
    expect(node!.counts.proofsSent).toBe(sent + 1);
    expect(node!.gossip.silence).toBeUndefined();
  });

  test('name a block that a small reorganisation does not take back', async () => {
    const world = new World(2);
    world.meet();
    const safe = { number: 97n, hash: `0x${'97'.repeat(32)}` as const, timestamp: 1_699_999_960 };
    world.chain.setSafeHead(safe);
    const [first, other] = world.nodes as [TestPeer, TestPeer];
    first.start();
    await world.advance(62 * MINUTE);
    expect(other.book.proofOf(first.keys.ed25519Hex)?.proof).toMatchObject({
      blockNumber: 97,
      blockHash: safe.hash,
    });
  });

  test('are not sent by a version that the network does not take any more, which its operator is told', async () => {
    const world = new World(2);
    world.meet();
    world.chain.setMinimumVersion([0, 2, 0]);
    const [first, other] = world.nodes as [TestPeer, TestPeer];
    first.start();
    await world.advance(62 * MINUTE);
    expect(first.counts.proofsSent).toBe(0);
    expect(first.gossip.silence).toBe('version');
    expect(world.errors.join()).toMatch(/older than the version that the network asks for/);
    // As sent by an operator who has not heard of it.
    const old = encodeSignedProof(first.proof());
    expect(other.book.offer(old, 'pushed')).toMatchObject({ accepted: false, reason: 'version' });
    world.chain.setMinimumVersion([0, 1, 0]);
    await world.advance(2 * MINUTE);
    expect(first.gossip.silence).toBeUndefined();
    expect(first.counts.proofsSent).toBe(1);
  });

  test('are not sent while the mailbox does not answer, or the node is not registered', async () => {
    const world = new World(2);
    world.meet();
    const [node] = world.nodes;
    const stranger = world.add();
    stranger.start();
    node!.storageAnswers = false;
    node!.start();
    await world.advance(2 * HOUR);
    expect(stranger.gossip.silence).toBe('not_registered');
    expect(stranger.counts.proofsSent).toBe(0);
    expect(node!.gossip.silence).toBe('storage');
    world.chain.setNode({ nodeId: 3, ed25519Hex: stranger.keys.ed25519Hex, from: 5 });
    node!.storageAnswers = true;
    await world.advance(MINUTE);
    expect(stranger.counts.proofsSent).toBe(1);
    expect(node!.gossip.silence).toBeUndefined();
  });

  test('stop with an error when another process uses the key elsewhere', async () => {
    const world = new World(4);
    world.meet();
    world.clock.advance(2 * HOUR);
    const [first] = world.nodes;
    first!.start();
    await world.advance(2 * MINUTE);
    const twin = world.add({ keys: first!.keys, host: '7.7.7.7', peers: [world.nodes[1]!] });
    twin.start();
    await world.advance(20 * MINUTE);
    expect(twin.counts.proofsSent).toBe(1);
    expect(world.nodes[1]!.book.proofOf(first!.keys.ed25519Hex)?.proof.host).toBe('7.7.7.7');
    // At the next epoch the first one asks, and sees what others hold of it.
    expect(first!.gossip.silence).toBeUndefined();
    world.chain.setEpoch(3);
    await world.advance(MINUTE);
    expect(first!.gossip.silence).toBe('other_process');
    expect(world.errors.some((text) => /another process uses the key/.test(text))).toBe(true);
    const sent = first!.counts.proofsSent;
    for (let epoch = 4; epoch < 8; epoch++) {
      await world.advance(HOUR);
      world.chain.setEpoch(epoch);
    }
    expect(first!.counts.proofsSent).toBe(sent);
    expect(twin.counts.proofsSent).toBeGreaterThan(3);
    // The twin ends; some time after its last proof the first one goes on by itself.
    twin.omq.isUp = false;
    await twin.gossip.stop();
    await world.advance(4 * HOUR);
    expect(first!.gossip.silence).toBeUndefined();
    expect(first!.counts.proofsSent).toBeGreaterThan(sent);
    expect(world.nodes[1]!.book.proofOf(first!.keys.ed25519Hex)?.proof.host).toBe(first!.host);
  });

  test('stop also when the answer to one tells of the other process', async () => {
    const world = new World(2);
    world.meet();
    const [first, other] = world.nodes as [TestPeer, TestPeer];
    first.start();
    await world.advance(30 * MINUTE);
    other.book.take(first.proof({ host: '7.7.7.7' }), 'pushed');
    await world.advance(32 * MINUTE);
    expect(first.counts.proofsSent).toBe(1);
    expect(first.gossip.silence).toBe('other_process');
  });
});

describe('proofs of others', () => {
  test('a new node that knows one address learns all of them, and is found by all', async () => {
    const world = new World(20);
    world.meet();
    const fresh = world.add({ peers: [world.nodes[3]!] });
    world.chain.setNode({ nodeId: 21, ed25519Hex: fresh.keys.ed25519Hex, from: 5 });
    expect(fresh.addresses).toBe(0);
    fresh.start();
    await world.advance(MINUTE);
    expect(fresh.addresses).toBe(21);
    // Whom chance left out asks with the next epoch.
    world.chain.setEpoch(3);
    await world.advance(MINUTE);
    for (const node of world.nodes) expect(node.hears(fresh), `node ${node.index}`).toBeDefined();
  });

  test('are asked for again while the others do not know the registration yet', async () => {
    const world = new World(3);
    world.meet();
    const late = new World(0);
    // A chain of its own, which is ahead of that of the others.
    const fresh = new TestPeer(
      Object.assign(late, { clock: world.clock, hub: world.hub, env: world.env }),
      9,
      { peers: [world.nodes[0]!] },
    );
    for (const node of world.nodes)
      late.chain.setNode({ nodeId: node.index + 1, ed25519Hex: node.keys.ed25519Hex });
    late.chain.setNode({ nodeId: 4, ed25519Hex: fresh.keys.ed25519Hex });
    late.chain.setEpoch(2);
    fresh.start();
    await world.advance(MINUTE);
    expect(fresh.addresses).toBeLessThan(2);
    world.chain.setNode({ nodeId: 4, ed25519Hex: fresh.keys.ed25519Hex });
    await world.advance(MINUTE);
    expect(fresh.addresses).toBe(4);
  });

  test('are asked for once per epoch when they are missing', async () => {
    const world = new World(4);
    world.meet();
    const [node, other] = world.nodes as [TestPeer, TestPeer];
    node.start();
    await world.advance(HOUR + 10 * MINUTE);
    const news = other.proof();
    for (const third of world.nodes.slice(1)) third.book.take(news, 'pushed');
    world.hub.requests.length = 0;
    world.chain.setEpoch(3);
    await world.advance(20 * SECOND, SECOND);
    expect(
      world.hub.requests.filter((request) => request.startsWith('sn.chain_proofs')).length,
    ).toBeLessThanOrEqual(3);
    expect(node.hears(other)).toBe(news.proof.time);
    expect(node.book.proofOf(other.keys.ed25519Hex)?.receivedAt).toBe(news.proof.time * 1000);
  });

  test('are for nodes of the registry only', async () => {
    const world = new World(2);
    world.meet();
    const stranger = world.add();
    const ask = stranger.omq.request(world.nodes[0]!.known, 'sn.chain_proofs', [
      encodeBt({ k: world.nodes[1]!.keys.ed25519Key }),
    ]);
    await expect(ask).rejects.toThrow(OmqError);
  });

  test('come in answer to a proof that is older than the one held', async () => {
    const world = new World(3);
    world.meet();
    const [a, b, c] = world.nodes as [TestPeer, TestPeer, TestPeer];
    const old = b.proof();
    world.clock.advance(2 * MINUTE);
    const news = b.proof({ host: '5.5.5.5' });
    c.book.take(news, 'pushed');
    const reply = await a.omq.request(c.known, 'sn.chain_proof', [
      encodeSignedProof({ ...old, ...a.proof({ time: old.proof.time - 1 }) }),
    ]);
    // A replay of our own older proof: what is held comes back.
    expect(fromUtf8(reply[0]!)).toBe('older');
    expect(decodeBt(reply[1]!)).toEqual([c.book.proofOf(a.keys.ed25519Hex)!.signed.bytes, expect.anything()]);
  });

  test('a flood by one node is cut off, and the others are heard as before', async () => {
    const world = new World(3);
    world.meet();
    const [bad, victim, good] = world.nodes as [TestPeer, TestPeer, TestPeer];
    const words = new Map<string, number>();
    for (let i = 0; i < 1000; i++) {
      const wire = encodeSignedProof(bad.proof({ httpsPort: 1000 + i }));
      const [word] = await bad.omq.request(victim.known, 'sn.chain_proof', [wire]);
      const text = fromUtf8(word!);
      words.set(text, (words.get(text) ?? 0) + 1);
    }
    expect(words.get('busy')).toBeGreaterThanOrEqual(880);
    expect(words.get('OK')).toBeUndefined();
    world.clock.advance(HOUR);
    const wire = encodeSignedProof(good.proof());
    expect(fromUtf8((await good.omq.request(victim.known, 'sn.chain_proof', [wire]))[0]!)).toBe('OK');
    // Questions are limited as well.
    let busy = 0;
    for (let i = 0; i < 100; i++) {
      const [word] = await bad.omq.request(victim.known, 'sn.chain_proofs', [
        encodeBt({ k: good.keys.ed25519Key }),
      ]);
      if (word!.length === 4 && fromUtf8(word!) === 'busy') busy++;
    }
    expect(busy).toBe(40);
  });

  test.each([
    ['nothing', new Uint8Array(0)],
    ['half a key', encodeBt({ k: new Uint8Array(16) })],
    ['too many keys', encodeBt({ k: new Uint8Array(32 * 257) })],
    ['another form', encodeBt([1])],
  ])('a question with %s is malformed', async (_name, part) => {
    const world = new World(2);
    world.meet();
    const [a, b] = world.nodes as [TestPeer, TestPeer];
    const [word] = await a.omq.request(b.known, 'sn.chain_proofs', [part]);
    expect(fromUtf8(word!)).toBe('malformed');
  });

  test('an answer that was not asked for is not read', async () => {
    const world = new World(2);
    const liar = world.nodes[1]!;
    liar.omq.register('sn.chain_proofs', () => [
      encodeBt(Array.from({ length: 50 }, () => [new Uint8Array(10), new Uint8Array(64)])),
    ]);
    const node = world.add({ peers: [liar] });
    world.chain.setNode({ nodeId: 3, ed25519Hex: node.keys.ed25519Hex });
    node.start();
    await world.advance(20 * SECOND, SECOND);
    expect(node.counts.proofsRefused).toBe(0);
    expect(node.addresses).toBe(0);
  });
});
