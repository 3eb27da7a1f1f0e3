// SPDX-License-Identifier: MIT
// Nodes that lie: nothing crashes, nothing that was not proven counts, and no message is lost for good.
import { Account } from '@allium/protocol/account';
import { toBase64 } from '@allium/protocol/bytes';
import { ed25519Sign } from '@allium/protocol/crypto';
import { type Content, encodeContent } from '@allium/protocol/message/content';
import { encryptMessage } from '@allium/protocol/message/encryption-v1';
import { messageHashText } from '@allium/protocol/message-hash';
import { parseAccountPubkey, type StorageRequest } from '@allium/protocol/storage/requests';
import { nodeSignedText } from '@allium/protocol/storage/signatures';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { Client } from '../src/client.ts';
import { NETWORKS } from '../src/network/presets.ts';
import { MemoryStorage } from '../src/storage/memory.ts';
import { FakeNetwork, type FakeNode } from './fake-network.ts';
import { TestClock, testEnv } from './test-clock.ts';

const ALICE = Account.fromSeed(new Uint8Array(16).fill(1));
const BOB = Account.fromSeed(new Uint8Array(16).fill(2));

let clock: TestClock;
let network: FakeNetwork;
const clients: Client[] = [];
const errors: string[][] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) await clock.run(client.close());
  expect(errors.splice(0).flat()).toEqual([]);
});

function begin(): void {
  clock = new TestClock();
  network = new FakeNetwork(clock);
}

async function open(account: Account, receive = true): Promise<Client> {
  const env = testEnv(clock, clients.length + 1);
  errors.push(env.errors);
  const client = await clock.run(
    Client.open({
      account,
      network: { preset: { ...NETWORKS.local, seeds: [{ url: network.seedUrl }] } },
      receive,
      storage: new MemoryStorage(),
      transport: network,
      env,
    }),
  );
  clients.push(client);
  return client;
}

type Lie = (
  real: { hash?: string; swarm: Record<string, Record<string, unknown>> },
  node: FakeNode,
) => unknown;

const STORE_LIES: [string, Lie][] = [
  ['no members', () => ({ swarm: {}, hash: 'x', t: 1, hf: [21, 2] })],
  ['no swarm at all', () => ({ hash: 'x' })],
  ['null', () => null],
  [
    'every signature is zero',
    (real) => mapEntries(real, (entry) => ({ ...entry, signature: toBase64(new Uint8Array(64)) })),
  ],
  ['another hash', (real) => mapEntries(real, (entry) => ({ ...entry, hash: 'A'.repeat(43) }))],
  [
    'signatures of one member under all names',
    (real, node) =>
      mapEntries(real, () => real.swarm[node.ed25519Hex === '' ? '' : Object.keys(real.swarm)[0]!]!, 1),
  ],
  [
    'the members are of another swarm',
    (real) => ({
      ...real,
      swarm: Object.fromEntries(Object.values(real.swarm).map((e, i) => [`${i}`.repeat(64), e])),
    }),
  ],
];

function mapEntries(
  real: { swarm: Record<string, Record<string, unknown>> },
  change: (entry: Record<string, unknown>) => Record<string, unknown>,
  skip = 0,
): unknown {
  const entries = Object.entries(real.swarm).slice(skip);
  return { ...real, swarm: Object.fromEntries(entries.map(([key, entry]) => [key, change(entry)])) };
}

test.each(STORE_LIES)('store: %s — nobody believes it', async (_name, lie) => {
  begin();
  const alice = await open(ALICE, false);
  for (const node of network.swarm(BOB.id)) {
    node.answer = (request, real) => {
      if (request.method !== 'sequence' || request.requests[0]?.method !== 'store') return undefined;
      const { results } = JSON.parse(real.body);
      return {
        status: 200,
        body: JSON.stringify({ results: [{ code: 200, body: lie(results[0].body, node) }] }),
      };
    };
  }
  await expect(clock.run(alice.conversation(BOB.id).send('hello'))).rejects.toMatchObject({
    code: 'not_stored',
  });
  expect(await alice.conversation(BOB.id).history()).toMatchObject([{ state: 'failed' }]);
});

test('a member that only claims to store is outvoted at the next attempt', async () => {
  begin();
  const alice = await open(ALICE, false);
  const bob = await open(BOB);
  const liar = network.swarm(BOB.id)[0]!;
  liar.answer = (request) =>
    request.method === 'sequence' ? { status: 200, body: '{"results":[{"code":200,"body":{}}]}' } : undefined;
  let count = 0;
  bob.on('message', () => count++);
  for (let i = 0; i < 10; i++) await clock.run(alice.conversation(BOB.id).send(`${i}`));
  await clock.until(() => count === 10);
});

/** Members of Bob's swarm answer polls with `answer`, all but the last one. */
function liePolls(answer: (real: string, request: StorageRequest) => string): void {
  for (const node of network.swarm(BOB.id).slice(0, -1)) {
    node.answer = (request, real) =>
      request.method === 'batch' ? { status: 200, body: answer(real.body, request) } : undefined;
  }
}

test('retrieve: messages under false hashes do not hide the true ones', async () => {
  begin();
  const alice = await open(ALICE, false);
  const { hash } = await clock.run(alice.conversation(BOB.id).send('the true one'));
  liePolls(() =>
    JSON.stringify({
      results: [
        {
          code: 200,
          body: {
            messages: [{ hash, timestamp: 1, expiration: 9e15, data: toBase64(new Uint8Array(200)) }],
            more: false,
            t: clock.trueNow(),
            hf: [21, 2],
          },
        },
      ],
    }),
  );
  const bob = await open(BOB);
  const texts: string[] = [];
  bob.on('message', (message) => texts.push(message.text));
  await clock.until(() => texts.length > 0, 3_600_000);
  expect(texts).toEqual(['the true one']);
});

test('retrieve: a member that hides everything is found out by a second opinion', async () => {
  begin();
  const alice = await open(ALICE, false);
  await clock.run(alice.conversation(BOB.id).send('hidden'));
  liePolls(() =>
    JSON.stringify({
      results: [{ code: 200, body: { messages: [], more: false, t: clock.trueNow(), hf: [21, 2] } }],
    }),
  );
  const bob = await open(BOB);
  let count = 0;
  bob.on('message', () => count++);
  await clock.until(() => count === 1, 3_600_000);
});

test('retrieve: always more of the same ends the round', async () => {
  begin();
  const alice = await open(ALICE, false);
  await clock.run(alice.conversation(BOB.id).send('one'));
  for (const node of network.swarm(BOB.id)) {
    node.answer = (request, real) =>
      request.method === 'batch'
        ? { status: 200, body: real.body.replaceAll('"more":false', '"more":true') }
        : undefined;
  }
  const bob = await open(BOB);
  await clock.until(() => bob.health().lastPollAt !== undefined);
  await clock.pass(3_000);
  const polls = network.destinations.filter(({ request }) => request.method === 'batch').length;
  expect(polls).toBeLessThan(40);
});

test('undecryptable data is marked seen, counted, and does not stop what follows', async () => {
  begin();
  const account = parseAccountPubkey(BOB.id);
  for (let i = 0; i < 5; i++) {
    const data = new Uint8Array(300).fill(i);
    for (const node of network.swarm(BOB.id)) {
      node.inbox(BOB.id).push({
        hash: messageHashText(account.bytes, 0, data),
        timestamp: clock.now(),
        expiration: clock.now() + 1e9,
        data,
      });
    }
  }
  const alice = await open(ALICE, false);
  await clock.run(alice.conversation(BOB.id).send('after the rubbish'));
  const bob = await open(BOB);
  const texts: string[] = [];
  bob.on('message', (message) => texts.push(message.text));
  await clock.until(() => texts.length > 0);
  await clock.pass(30_000);
  expect(texts).toEqual(['after the rubbish']);
  expect(bob.health().unreadableMessages).toBe(5);
});

test('421 with a false swarm costs attempts but no message', async () => {
  begin();
  const alice = await open(ALICE, false);
  await clock.run(alice.conversation(BOB.id).send('first'));
  const liar = network.swarm(BOB.id)[0]!;
  const others = network.nodes.filter((node) => node.swarm !== liar.swarm);
  liar.answer = (request) => {
    if (request.method !== 'sequence') return undefined;
    const snodes = others.map((node) => ({
      ip: node.host,
      port: String(node.httpsPort),
      pubkey_ed25519: node.ed25519Hex,
      pubkey_x25519: node.x25519Hex,
    }));
    return { status: 421, body: JSON.stringify({ snodes, swarm: 'ff', t: 1, hf: [21, 2] }) };
  };
  for (let i = 0; i < 20; i++) await clock.run(alice.conversation(BOB.id).send(`${i}`));
});

test('421 with accomplices: what they sign does not count as stored', async () => {
  begin();
  const alice = await open(ALICE, false);
  await clock.run(alice.conversation(BOB.id).send('first'));
  const members = new Set(network.swarm(BOB.id).map((node) => node.ed25519Hex));
  const accomplices = network.nodes.filter((node) => !members.has(node.ed25519Hex));
  // They take what is not theirs, and sign for it.
  let taken = 0;
  for (const accomplice of accomplices) {
    accomplice.answer = (request) => {
      const store = request.method === 'sequence' ? request.requests[0] : undefined;
      if (store?.method !== 'store') return undefined;
      taken++;
      const result = { hash: messageHashText(store.account.bytes, 0, store.data), expiry: store.expiry };
      const signature = toBase64(ed25519Sign(nodeSignedText(store, result), accomplice.ed25519.secretKey));
      const body = { swarm: { [accomplice.ed25519Hex]: { ...result, signature } }, t: 1, hf: [21, 2] };
      return { status: 200, body: JSON.stringify({ results: [{ code: 200, body }] }) };
    };
  }
  const snodes = accomplices.map((node) => ({
    ip: node.host,
    port: String(node.httpsPort),
    pubkey_ed25519: node.ed25519Hex,
    pubkey_x25519: node.x25519Hex,
  }));
  for (const liar of network.swarm(BOB.id).slice(0, 3)) {
    liar.answer = (request) =>
      request.method === 'sequence'
        ? { status: 421, body: JSON.stringify({ snodes, swarm: 'ff', t: 1, hf: [21, 2] }) }
        : undefined;
  }
  for (let i = 0; i < 10; i++) {
    const sent = await clock.run(alice.conversation(BOB.id).send(`${i}`));
    expect(sent.signers.every((signer) => members.has(signer))).toBe(true);
  }
  expect(taken).toBeGreaterThan(0);
});

test('keys with which nothing can be encrypted are dropped', async () => {
  begin();
  for (const node of network.nodes.slice(0, 5)) Object.assign(node, { x25519Hex: '00'.repeat(32) });
  const alice = await open(ALICE, false);
  await clock.run(alice.ready());
  for (let i = 0; i < 30; i++) await clock.run(alice.conversation(BOB.id).send(`still ${i}`));
  expect(alice.health().nodes).toBeGreaterThanOrEqual(9); // only they
});

test('whatever a whole swarm answers, the client lives on', async () => {
  const json = fc.json({ maxDepth: 4 });
  const answers = fc.oneof(
    fc.string(),
    json,
    json.map((body) => `{"results":[{"code":200,"body":${body}}]}`),
    fc.tuple(fc.integer(), json).map(([code, body]) => `{"results":[{"code":${code},"body":${body}}]}`),
    json.map(
      (messages) =>
        `{"results":[{"code":200,"body":{"messages":[${messages}],"more":true,"t":1,"hf":[1,1]}}]}`,
    ),
    json.map((swarm) => `{"results":[{"code":200,"body":{"swarm":${swarm},"hash":"x","t":1,"hf":[1,1]}}]}`),
  );
  const statuses = fc.constantFrom(200, 200, 200, 200, 400, 401, 404, 406, 421, 500, 502, 503);
  await fc.assert(
    fc.asyncProperty(statuses, answers, fc.boolean(), async (status, body, inClear) => {
      begin();
      const bob = await open(BOB);
      await clock.run(bob.ready());
      for (const node of network.nodes) {
        if (inClear) node.hopAnswer = () => ({ status, body });
        else node.answer = () => ({ status, body });
      }
      const result = await clock.run(
        bob
          .conversation(ALICE.id)
          .send('x')
          .catch((error: unknown) => error),
      );
      expect(result).toMatchObject({ name: 'ClientError' });
      for (const node of network.nodes) {
        node.answer = undefined;
        node.hopAnswer = undefined;
      }
      await clock.until(async () => {
        const again = await bob
          .conversation(ALICE.id)
          .send('and now')
          .catch(() => undefined);
        return again !== undefined;
      });
      for (const client of clients.splice(0)) await clock.run(client.close());
      expect(errors.splice(0).flat()).toEqual([]);
    }),
    { numRuns: 40 },
  );
});

test('store: signatures of nodes outside the swarm, and of earlier messages, do not count', async () => {
  begin();
  const alice = await open(ALICE, false);
  const strangers = network.nodes.filter((node) => node.swarm !== network.swarmNumber(BOB.id));
  let earlier: string | undefined;
  let mode: 'keep' | 'strangers' | 'replay' = 'keep';
  for (const member of network.swarm(BOB.id)) {
    member.answer = (request, real) => {
      const store = request.method === 'sequence' ? request.requests[0] : undefined;
      if (store?.method !== 'store') return undefined;
      if (mode === 'keep') {
        earlier = real.body;
        return undefined;
      }
      if (mode === 'replay') return { status: 200, body: earlier! };
      const { results } = JSON.parse(real.body);
      const { hash } = results[0].body;
      for (const node of strangers) {
        const signature = toBase64(
          ed25519Sign(nodeSignedText(store, { hash, expiry: store.expiry }), node.ed25519.secretKey),
        );
        results[0].body.swarm[node.ed25519Hex] = { hash, expiry: store.expiry, signature };
      }
      return { status: 200, body: JSON.stringify({ results }) };
    };
  }
  await clock.run(alice.conversation(BOB.id).send('honest'));
  mode = 'strangers';
  const sent = await clock.run(alice.conversation(BOB.id).send('padded with strangers'));
  expect(sent).toMatchObject({ stored: 7, of: 7 });
  expect(sent.signers.some((signer) => strangers.includes(network.node(signer)))).toBe(false);
  mode = 'replay';
  await expect(clock.run(alice.conversation(BOB.id).send('replayed'))).rejects.toMatchObject({
    code: 'not_stored',
  });
});

/** Puts what Alice encrypted for Bob into his mailbox, as she could with any program. */
function inject(content: Content, timestamp: number): void {
  const account = parseAccountPubkey(BOB.id);
  const data = encryptMessage({
    content: encodeContent(content),
    sender: ALICE,
    recipient: BOB.id,
    timestamp,
  });
  const hash = messageHashText(account.bytes, 0, data);
  for (const node of network.swarm(BOB.id)) {
    node.inbox(BOB.id).push({ hash, timestamp, expiration: timestamp + 1e9, data });
  }
}

test('what a sender may not do: the same message twice, a syncTarget, forbidden flags, a crowd in one millisecond', async () => {
  begin();
  const now = clock.now();
  inject({ dataMessage: { body: 'one' }, sigTimestamp: now }, now);
  inject({ dataMessage: { body: 'one' }, sigTimestamp: now }, now);
  inject({ dataMessage: { body: 'as if from Bob', syncTarget: ALICE.id }, sigTimestamp: now + 1 }, now + 1);
  inject({ dataMessage: { body: 'flags', flags: 1 }, sigTimestamp: now + 2 }, now + 2);
  inject({ typingMessage: { timestamp: now + 4, action: 0 }, sigTimestamp: now + 4 }, now + 4);
  inject({ dataMessage: { body: '' }, sigTimestamp: now + 5 }, now + 5);
  inject({ dataMessage: { body: 'last' }, sigTimestamp: now + 6 }, now + 6);
  const bob = await open(BOB);
  const texts: string[] = [];
  bob.on('message', (message) => texts.push(message.text));
  bob.on('own_message', (message) => texts.push(`own ${message.text}`));
  await clock.until(() => texts.includes('last'));
  inject({ dataMessage: { body: 'one' }, sigTimestamp: now }, now);
  for (let i = 0; i < 20; i++)
    inject({ dataMessage: { body: `crowd ${i}` }, sigTimestamp: now - 60 }, now - 60);
  await clock.pass(20_000);
  expect(texts.slice(0, 2)).toEqual(['one', 'last']);
  expect(texts.slice(2).every((text) => text.startsWith('crowd'))).toBe(true);
  expect(texts).toHaveLength(2 + 8);
  expect(await bob.conversation(ALICE.id).history()).toHaveLength(2 + 8);
});
