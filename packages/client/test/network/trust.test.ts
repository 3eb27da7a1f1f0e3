// SPDX-License-Identifier: MIT
// Clients that trust nobody (spec/chain §4.22, §5.3): a network in memory whose members sign their list, and seeds that lie.
import { Account } from '@allium/protocol/account';
import { fromHex, toBase64, toHex } from '@allium/protocol/bytes';
import { ed25519KeyPair, ed25519PublicKeyToX25519, ed25519Sign } from '@allium/protocol/crypto';
import {
  encodeCertificate,
  type MembershipStatement,
  signStatement,
} from '@allium/protocol/membership/certificate';
import { certificateAnswerJson, staticListAnswerJson } from '@allium/protocol/membership/evidence';
import {
  addNodes,
  createStaticList,
  encodeStaticList,
  type StaticList,
  signStaticList,
} from '@allium/protocol/membership/static-list';
import { encodeSignedProof, signUptimeProof } from '@allium/protocol/membership/uptime-proof';
import { afterEach, describe, expect, test } from 'vitest';
import { Client } from '../../src/client.ts';
import { NETWORKS, type NetworkPreset } from '../../src/network/presets.ts';
import type { ListVerifier, TrustOptions } from '../../src/network/trust.ts';
import {
  certificateDigest,
  encodeTrustAnchor,
  parseTrustAnchor,
  type TrustAnchor,
} from '../../src/network/trust-anchor.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { FakeNetwork, FakeNode } from '../fake-network.ts';
import { TestClock, testEnv } from '../test-clock.ts';

const ALICE = Account.fromSeed(new Uint8Array(16).fill(1));
const REGISTRY = new Uint8Array(20).fill(7);
const EPOCH_SECONDS = 3600;
const DAY_MS = 24 * 3_600_000;

/** The twelve of the beginning; every later certificate takes `gone` of the oldest away and as many new ones in. */
class Governed {
  readonly clock = new TestClock();
  readonly network: FakeNetwork;
  readonly t0: number;
  readonly certificates = new Map<number, Uint8Array>();
  readonly clients: Client[] = [];
  readonly errors: string[][] = [];

  constructor(nodes = 12) {
    this.network = new FakeNetwork(this.clock, { nodes });
    this.t0 = Math.floor(this.clock.now() / 1000) - 100 * EPOCH_SECONDS;
    for (const node of this.network.nodes) node.proof = this.proofOf(node, node.host);
    this.network.evidence = (method, params) => this.evidence(method, params);
  }

  /** Epoch of now. */
  get epoch(): number {
    return Math.floor((this.clock.now() / 1000 - this.t0) / EPOCH_SECONDS);
  }

  evidence(method: string, params: unknown): string | undefined {
    if (method !== 'get_membership_certificate') return undefined;
    const epochs = [...this.certificates.keys()].sort((a, b) => a - b);
    const { epoch = epochs.at(-1), after = -1 } = params as { epoch?: number; after?: number };
    const certificate = epoch === undefined || epoch <= after ? undefined : this.certificates.get(epoch);
    return certificateAnswerJson({ epochs, certificate, t0: this.t0, epochSeconds: EPOCH_SECONDS }, epoch);
  }

  proofOf(node: FakeNode, host: string, time = this.clock.now(), signer = node): string {
    const facts = {
      registry: `0x${toHex(REGISTRY)}` as const,
      chainId: 1,
      epoch: 1,
      blockNumber: 1,
      blockHash: `0x${'00'.repeat(32)}` as const,
      host,
      httpsPort: node.httpsPort,
      omqPort: 1,
      storageVersion: [2, 11, 0] as const,
      nodeVersion: [0, 1, 0] as const,
      time: Math.floor(time / 1000),
    };
    const sign = (message: Uint8Array) => ed25519Sign(message, signer.ed25519.secretKey);
    return toBase64(encodeSignedProof(signUptimeProof(facts, { ed25519Key: node.ed25519Key, sign })));
  }

  /** A certificate of nodes by index, signed by those of them that are in `signers`. */
  certify(
    epoch: number,
    members: readonly number[] = range(0, this.network.nodes.length),
    signers = members,
  ): Uint8Array {
    const keyOf = (index: number) => this.network.nodes[index] ?? new FakeNode(index, '10.9.9.9');
    const half = members.length >> 1;
    const statement: MembershipStatement = {
      chainId: 1,
      registry: REGISTRY,
      epoch,
      seed: new Uint8Array(32),
      swarms: new Map([
        [1n, members.slice(0, half).map((index) => keyOf(index).ed25519Hex)],
        [2n, members.slice(half).map((index) => keyOf(index).ed25519Hex)],
      ]),
    };
    const signatures = new Map(
      signers.map((index) => [
        keyOf(index).ed25519Hex,
        signStatement(statement, keyOf(index).ed25519.secretKey),
      ]),
    );
    const bytes = encodeCertificate({ ...statement, signatures });
    this.certificates.set(epoch, bytes);
    return bytes;
  }

  anchor(certificate: Uint8Array): TrustAnchor {
    return { kind: 'certificate', certificate, t0: this.t0, epochSeconds: EPOCH_SECONDS };
  }

  async open(
    trust: TrustOptions | undefined,
    options: { storage?: Storage; preset?: Partial<NetworkPreset> } = {},
  ): Promise<Client> {
    const env = testEnv(this.clock, this.clients.length + 1);
    this.errors.push(env.errors);
    const preset = { ...NETWORKS.local, seeds: [{ url: this.network.seedUrl }], ...options.preset };
    const client = await this.clock.run(
      Client.open({
        account: ALICE,
        network: { preset, ...(trust !== undefined && { trust }) },
        receive: false,
        storage: options.storage ?? new MemoryStorage(),
        transport: this.network,
        env,
      }),
    );
    this.clients.push(client);
    return client;
  }

  /** Opens a client and waits for its first path; what it thinks of the list. */
  async trustOf(trust: TrustOptions | undefined, options: Parameters<Governed['open']>[1] = {}) {
    const client = await this.open(trust, options);
    await this.clock.run(client.ready());
    return client.health().trust;
  }

  /** A seed that lists nodes of its own under keys that it made, with proofs that these keys signed. */
  lyingSeed(url = 'https://liar.test:1'): string {
    const forged = range(100, 112).map((index) => new FakeNode(index, `10.7.${index}.1`));
    for (const node of forged) node.proof = this.proofOf(node, node.host);
    this.network.otherSeeds.set(url, (method, params) =>
      method === 'get_n_service_nodes' ? this.network.listJson(forged) : this.evidence(method, params),
    );
    return url;
  }
}

const range = (from: number, until: number) => Array.from({ length: until - from }, (_, i) => from + i);

let world: Governed;
afterEach(async () => {
  for (const client of world.clients) await world.clock.run(client.close());
  expect(world.errors.flat()).toEqual([]);
});

describe('a client with a certificate', () => {
  test('verifies the list of a seed, and takes the newest certificate that the old members vouch for', async () => {
    world = new Governed();
    const anchor = world.anchor(world.certify(24));
    world.certify(48);
    expect(await world.trustOf({ anchor })).toEqual({
      state: 'verified',
      reason: undefined,
      by: 'certificate',
      version: 48,
      refused: 0,
    });
  });

  test.each([
    ['one signature less than two thirds', range(0, 7), 'other'],
    ['two thirds', range(0, 8), 'taken'],
  ])('%s of the trusted members: %o', async (_, signers, outcome) => {
    world = new Governed();
    const anchor = world.anchor(world.certify(24));
    world.certify(48, range(0, 12), signers);
    const trust = await world.trustOf({ anchor });
    expect(trust).toMatchObject({ state: 'verified', version: outcome === 'taken' ? 48 : 24 });
  });

  test('signatures of outsiders do not count: strangers cannot replace the members', async () => {
    world = new Governed();
    const anchor = world.anchor(world.certify(24));
    // Only four of the old ones are left, and everybody else signs.
    world.certify(48, [...range(0, 4), ...range(50, 80)]);
    expect(await world.trustOf({ anchor })).toMatchObject({ state: 'verified', version: 24 });
  });

  test('neither an older one nor one of the future is taken', async () => {
    world = new Governed();
    const anchor = world.anchor(world.certify(48));
    world.certify(24);
    world.certify(world.epoch + 2);
    expect(await world.trustOf({ anchor })).toMatchObject({ version: 48 });
    world.certificates.delete(world.epoch + 2);
    world.certify(world.epoch + 1);
    expect(await world.trustOf({ anchor })).toMatchObject({ version: world.epoch + 1 });
  });

  test('goes over a change of 40 % of the members by the certificates in between', async () => {
    world = new Governed(20);
    const anchor = world.anchor(world.certify(12, range(0, 10)));
    // Each shares eight of ten with the one before it.
    for (let step = 1; step <= 5; step++) world.certify(12 + 12 * step, range(2 * step, 2 * step + 10));
    const members = new Set(world.network.nodes.slice(10, 20).map((node) => node.ed25519Hex));
    const trust = await world.trustOf({ anchor });
    expect(trust).toMatchObject({ state: 'verified', version: 72, refused: 10 });
    const hops = world.clients[0]!.path()!.map((hop) => hop.ed25519Hex);
    expect(hops.every((hop) => members.has(hop))).toBe(true);

    // Without the ones in between the jump is refused, and the list cannot be checked.
    const [oldest] = world.certificates.values();
    for (const epoch of [24, 36, 48, 60]) world.certificates.delete(epoch);
    world.certificates.set(12, oldest!);
    world.network.seedAnswer = undefined;
    const far = await world.trustOf({ anchor });
    expect(far).toMatchObject({ state: 'verified', version: 12, refused: 10 });
  });

  test('keeps what it accepted: the next start goes on from there, without the old ones', async () => {
    world = new Governed();
    const anchor = world.anchor(world.certify(24));
    world.certify(48);
    const storage = new MemoryStorage();
    expect(await world.trustOf({ anchor }, { storage })).toMatchObject({ version: 48 });
    expect(await storage.setting('trust')).toContain('certificate');
    world.certificates.clear();
    const again = await world.open({ anchor }, { storage: await copyOf(storage) });
    expect(again.health().trust).toMatchObject({ state: 'verified', version: 48 });
    expect(again.health().nodes).toBe(12);
  });

  test('an anchor of more than 90 days is expired, and says so', async () => {
    world = new Governed();
    const old = world.certify(24);
    world.certify(48);
    world.clock.skew = 95 * DAY_MS;
    const anchor = world.anchor(old);
    world.network.nodes.forEach((node) => {
      node.skew = 95 * DAY_MS;
    });
    expect(await world.trustOf({ anchor })).toMatchObject({
      state: 'expired',
      reason: 'anchor_expired',
      version: 24,
    });
    const strict = await world.open({ anchor, requireVerified: true });
    await expect(world.clock.run(strict.ready())).rejects.toMatchObject({
      code: 'unverified',
      message: expect.stringMatching(/too old.*newer certificate/),
    });
  });

  test('by its digest alone the certificate is found among those that nodes serve', async () => {
    world = new Governed();
    const digest = certificateDigest(world.certify(24));
    world.certify(48);
    const times = { t0: world.t0, epochSeconds: EPOCH_SECONDS };
    expect(await world.trustOf({ anchor: { kind: 'certificate_digest', digest, ...times } })).toMatchObject({
      state: 'verified',
      version: 48,
    });
    const wrong = 'ab'.repeat(32);
    expect(
      await world.trustOf({ anchor: { kind: 'certificate_digest', digest: wrong, ...times } }),
    ).toMatchObject({ state: 'unverified', reason: 'no_evidence' });
  });
});

describe('a seed that lies', () => {
  test('about all nodes: the honest one is taken instead; alone it is marked, or refused when that is asked for', async () => {
    world = new Governed();
    const anchor = world.anchor(world.certify(24));
    const liar = world.lyingSeed();
    const both = { seeds: [{ url: liar }, { url: world.network.seedUrl }] };
    expect(await world.trustOf({ anchor, requireVerified: true }, { preset: both })).toMatchObject({
      state: 'verified',
      refused: 0,
    });
    const alone = { seeds: [{ url: liar }] };
    const marked = await world.open({ anchor }, { preset: alone });
    await expect(world.clock.run(marked.ready())).rejects.toMatchObject({ code: 'no_path' });
    expect(marked.health().trust).toMatchObject({
      state: 'unverified',
      reason: 'other_members',
      refused: 12,
    });
    const strict = await world.open({ anchor, requireVerified: true }, { preset: alone });
    await expect(world.clock.run(strict.ready())).rejects.toMatchObject({
      code: 'unverified',
      message: expect.stringMatching(/does not name the members.*Try another seed/),
    });
    expect(strict.health().nodes).toBe(0);
  });

  test('about the address or the encryption key of members, with old or foreign proofs, or with none: those are left out', async () => {
    world = new Governed(16);
    const anchor = world.anchor(world.certify(24));
    const [moved, read, old, foreign, silent] = world.network.nodes as readonly FakeNode[];
    const list = JSON.parse(world.network.listJson()) as { service_node_states: Record<string, unknown>[] };
    const entry = (node: FakeNode) =>
      list.service_node_states.find((state) => state.pubkey_ed25519 === node.ed25519Hex)!;
    entry(moved!).public_ip = '10.66.0.1';
    entry(moved!).proof = world.proofOf(moved!, '10.66.0.1', world.clock.now(), silent);
    entry(read!).pubkey_x25519 = toHex(
      ed25519PublicKeyToX25519(ed25519KeyPair(new Uint8Array(32).fill(99)).publicKey)!,
    );
    entry(old!).proof = world.proofOf(old!, old!.host, world.clock.now() - 2 * DAY_MS);
    entry(foreign!).proof = world.proofOf(silent!, foreign!.host);
    delete entry(silent!).proof;
    world.network.otherSeeds.set('https://liar.test:1', (method, params) =>
      method === 'get_n_service_nodes' ? JSON.stringify(list) : world.evidence(method, params),
    );
    const client = await world.open({ anchor }, { preset: { seeds: [{ url: 'https://liar.test:1' }] } });
    await world.clock.run(client.ready());
    expect(client.health()).toMatchObject({ nodes: 11, trust: { state: 'verified', refused: 5 } });
  });

  test('by leaving out most members', async () => {
    world = new Governed(16);
    const anchor = world.anchor(world.certify(24));
    const chosen = world.network.nodes.slice(0, 7);
    world.network.otherSeeds.set('https://liar.test:1', (method, params) =>
      method === 'get_n_service_nodes' ? world.network.listJson(chosen) : world.evidence(method, params),
    );
    const preset = { seeds: [{ url: 'https://liar.test:1' }] };
    expect(await world.trustOf({ anchor }, { preset })).toMatchObject({
      state: 'unverified',
      reason: 'other_members',
    });
  });

  test('does not take the verified list of the last run away', async () => {
    world = new Governed();
    const anchor = world.anchor(world.certify(24));
    const storage = new MemoryStorage();
    await world.trustOf({ anchor }, { storage });
    const forged = range(100, 112).map((index) => new FakeNode(index, `10.7.${index}.1`));
    const lie = `{"jsonrpc":"2.0","id":"0","result":${world.network.listJson(forged)}}`;
    world.network.seedAnswer = () => ({
      status: 200,
      headers: { 'content-type': 'application/json' },
      body: new TextEncoder().encode(lie),
    });
    // So small a pool is refreshed from seeds.
    const client = await world.open(
      { anchor },
      { storage: await copyOf(storage), preset: { refreshPool: 99 } },
    );
    await world.clock.pass(NETWORKS.local.firstRefreshMs + 60_000);
    expect(client.health()).toMatchObject({ nodes: 12, trust: { state: 'verified' } });
  });
});

describe('a client without an anchor', () => {
  test('marks the list', async () => {
    world = new Governed();
    world.certify(24);
    expect(await world.trustOf(undefined)).toMatchObject({ state: 'unverified', reason: 'no_anchor' });
    const strict = await world.open({ requireVerified: true });
    await expect(world.clock.run(strict.ready())).rejects.toMatchObject({ code: 'unverified' });
  });

  test('that requires verified lists does not use the unverified one of the last run', async () => {
    world = new Governed();
    const anchor = world.anchor(world.certify(24));
    const storage = new MemoryStorage();
    await world.trustOf(undefined, { storage });
    expect(await storage.nodes()).toHaveLength(12);
    const plain = await world.open(undefined, { storage: await copyOf(storage) });
    expect(plain.health()).toMatchObject({ nodes: 12, trust: { state: 'unverified', reason: 'no_anchor' } });
    world.network.isSeedDown = true;
    for (const trust of [{ requireVerified: true }, { requireVerified: true, anchor }]) {
      const strict = await world.open(trust, { storage: await copyOf(storage) });
      await expect(world.clock.run(strict.ready())).rejects.toMatchObject({ code: 'no_nodes' });
      expect(strict.health().nodes).toBe(0);
    }
  });

  test('says when three independent seeds name the same members, and leaves out what one of them adds', async () => {
    world = new Governed();
    world.certify(24);
    const honest = (method: string, params: unknown) =>
      method === 'get_n_service_nodes' ? world.network.listJson() : world.evidence(method, params);
    for (const name of ['a', 'b', 'c']) world.network.otherSeeds.set(`https://${name}.test`, honest);
    const seeds = ['a', 'b', 'c'].map((name) => ({ url: `https://${name}.test` }));
    const client = await world.open(undefined, { preset: { seeds } });
    await world.clock.run(client.ready());
    await world.clock.until(() => client.health().trust.reason === 'seeds_agree');
    expect(client.health().trust.state).toBe('unverified');
    // A refresh from those nodes does not forget it.
    await world.clock.pass(NETWORKS.local.firstRefreshMs + 60_000);
    expect(client.health()).toMatchObject({ nodes: 12, trust: { reason: 'seeds_agree' } });

    // Three names of one network are one voice.
    const near = ['10.1.1.1', '10.1.1.2', '10.1.1.3'].map((host) => ({ url: `https://${host}:9` }));
    for (const { url } of near) world.network.otherSeeds.set(url, honest);
    const other = await world.open(undefined, { preset: { seeds: near } });
    await world.clock.run(other.ready());
    await world.clock.pass(20_000);
    expect(other.health().trust.reason).toBe('no_anchor');
  });
});

describe('a client with a verifier of its own', () => {
  const verifier = (keys: () => readonly string[]): ListVerifier => ({
    members: async () => new Set(keys()),
  });

  test('believes it, and its anchor when it cannot tell', async () => {
    world = new Governed();
    const anchor = world.anchor(world.certify(24));
    const keys = () => world.network.nodes.slice(0, 10).map((node) => node.ed25519Hex);
    expect(await world.trustOf({ verifier: verifier(keys), requireVerified: true })).toMatchObject({
      state: 'verified',
      by: 'chain',
      refused: 2,
    });
    const broken: ListVerifier = { members: () => Promise.reject(new Error('no endpoint')) };
    expect(await world.trustOf({ verifier: broken, anchor })).toMatchObject({ by: 'certificate' });
    expect(await world.trustOf({ verifier: broken })).toMatchObject({
      state: 'unverified',
      reason: 'chain_silent',
    });
  });
});

describe('a client of a network without chain', () => {
  const ADMIN = ed25519KeyPair(new Uint8Array(32).fill(200));
  const OTHER = ed25519KeyPair(new Uint8Array(32).fill(201));

  function listed(admin = ADMIN, nodes = world.network.nodes): StaticList {
    const now = Math.floor(world.clock.now() / 1000);
    return signStaticList(
      createStaticList({
        network: 'ab'.repeat(16),
        issued: now,
        expires: now + 86_400,
        admins: [toHex(admin.publicKey)],
        threshold: 1,
        nodes: nodes.map(({ ed25519Hex, host, httpsPort, omqPort }) => ({
          ed25519Hex,
          host,
          httpsPort,
          omqPort,
        })),
      }),
      admin,
    );
  }

  const serve = (list: StaticList) => {
    world.network.evidence = (method) =>
      method === 'get_static_list' ? staticListAnswerJson(encodeStaticList(list)) : undefined;
  };

  test('verifies by the signed list, by its admins, and takes the next version', async () => {
    world = new Governed();
    const first = listed();
    const { issued, expires } = first;
    serve(first);
    const anchor: TrustAnchor = { kind: 'static_list', list: encodeStaticList(first) };
    expect(await world.trustOf({ anchor, requireVerified: true })).toMatchObject({
      state: 'verified',
      by: 'static_list',
      version: 1,
    });
    const extra = new FakeNode(50, '10.0.50.1');
    const next = signStaticList(addNodes(first, [{ ...extra, omqPort: 1 }], { issued, expires }), ADMIN);
    serve(next);
    expect(await world.trustOf({ anchor })).toMatchObject({ state: 'verified', version: 2 });
    const admins = [toHex(ADMIN.publicKey)];
    expect(await world.trustOf({ anchor: { kind: 'admins', admins, threshold: 1 } })).toMatchObject({
      state: 'verified',
      version: 2,
    });
    // Signed by somebody else: the trusted one stays.
    serve(signStaticList(addNodes(first, [{ ...extra, omqPort: 1 }], { issued, expires }), OTHER));
    expect(await world.trustOf({ anchor })).toMatchObject({ state: 'verified', version: 1 });
  });

  test("marks a stranger's list without the signatures of the admins", async () => {
    world = new Governed();
    serve(listed(OTHER));
    const admins = [toHex(ADMIN.publicKey)];
    expect(await world.trustOf({ anchor: { kind: 'admins', admins, threshold: 1 } })).toMatchObject({
      state: 'unverified',
      reason: 'no_evidence',
    });
    const liar = world.lyingSeed();
    const anchor: TrustAnchor = { kind: 'static_list', list: encodeStaticList(listed()) };
    const strict = await world.open(
      { anchor, requireVerified: true },
      { preset: { seeds: [{ url: liar }] } },
    );
    await expect(world.clock.run(strict.ready())).rejects.toMatchObject({ code: 'unverified' });
  });
});

describe('an anchor in a file', () => {
  test('is read back, a signed list as it is, and nothing else', () => {
    world = new Governed();
    const certificate = world.certify(24);
    const times = { t0: 5, epochSeconds: 30 };
    expect(parseTrustAnchor(encodeTrustAnchor(certificate, times))).toEqual({
      kind: 'certificate',
      certificate,
      ...times,
    });
    for (const text of [
      '{}',
      '[]',
      'null',
      '{"kind":"certificate","certificate":"ab"}',
      '{"mode":"static"}',
      'x',
    ]) {
      expect(() => parseTrustAnchor(new TextEncoder().encode(text))).toThrow(
        expect.objectContaining({ name: 'ParseError' }),
      );
    }
    expect(fromHex(certificateDigest(certificate), 32)).toHaveLength(32);
  });
});

/** What the storage of a client that is closed would still hold. */
async function copyOf(storage: Storage): Promise<Storage> {
  const copy = new MemoryStorage();
  const settings: Record<string, string | undefined> = {};
  for (const name of ['account', 'network', 'trust', 'list_trust'])
    settings[name] = await storage.setting(name);
  await copy.write({ nodes: await storage.nodes(), guards: await storage.guards(), settings });
  return copy;
}
