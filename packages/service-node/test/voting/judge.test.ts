// SPDX-License-Identifier: AGPL-3.0-or-later
// What a tester finds by proofs and chain (spec/chain §4.18), besides asking.
import { FakeChainView } from '@allium/chain/testing';
import { silentLog, systemRandom } from '@allium/net/system-env';
import { toHex } from '@allium/protocol/bytes';
import { ed25519KeyPair, ed25519Sign } from '@allium/protocol/crypto';
import { REASON } from '@allium/protocol/membership/reasons';
import {
  encodeSignedProof,
  signUptimeProof,
  type UptimeFacts,
} from '@allium/protocol/membership/uptime-proof';
import { expect, test } from 'vitest';
import { ClockWatch } from '../../src/membership/clock-watch.ts';
import { ProofBook } from '../../src/membership/proof-book.ts';
import { PeerBook } from '../../src/testing/peer-book.ts';
import { testTimings } from '../../src/testing/timings.ts';
import { Judge } from '../../src/voting/judge.ts';
import { TestClock } from '../support/test-clock.ts';

const NOW = 1_700_100_000_000;
const VALIDITY = 7_500_000;
const DOWN = { https: 'timeout', omq: 'timeout' };
const HASH = `0x${'ab'.repeat(32)}` as const;

const key = (id: number) => ed25519KeyPair(new Uint8Array(32).fill(id));
const hex = (id: number) => toHex(key(id).publicKey);

/** Eight nodes; the first one judges nodes 2 and 3. */
async function judging() {
  const clock = new TestClock(NOW);
  const env = { clock, random: systemRandom, log: silentLog };
  const view = new FakeChainView();
  for (let id = 1; id <= 8; id++) view.setNode({ nodeId: id, ed25519Hex: hex(id), slot: id - 1 });
  const proofs = new ProofBook(
    {
      rules: {
        registry: view.network.registry,
        chainId: view.network.chainId,
        frequencyMs: 3_600_000,
        validityMs: VALIDITY,
        toleranceMs: 300_000,
        privateAddresses: true,
        minimumVersion: () => [0, 0, 0],
      },
      files: { read: async () => undefined, write: async () => undefined },
      path: 'proofs.bt',
      isNode: () => true,
    },
    env,
  );
  const prove = (id: number, facts: Partial<UptimeFacts> = {}) => {
    const signed = signUptimeProof(
      {
        registry: view.network.registry,
        chainId: view.network.chainId,
        epoch: 1,
        blockNumber: 100,
        blockHash: HASH,
        host: '127.0.0.1',
        httpsPort: 1,
        omqPort: 2,
        storageVersion: [2, 11, 0],
        nodeVersion: [0, 1, 0],
        time: Math.floor(clock.now() / 1000),
        ...facts,
      },
      { ed25519Key: key(id).publicKey, sign: (message) => ed25519Sign(message, key(id).secretKey) },
    );
    expect(proofs.offer(encodeSignedProof(signed), 'pushed').accepted).toBe(true);
  };
  view.setHead({ number: 100n, hash: HASH, timestamp: NOW / 1000 });
  view.setHead({ number: 101n, hash: HASH, timestamp: NOW / 1000 + 5 });
  const vigil = { watchedMs: Number.POSITIVE_INFINITY, freshMs: Number.POSITIVE_INFINITY };
  const judge = new Judge({ view, proofs, ownHex: hex(1), validityMs: VALIDITY, vigil }, env);
  const book = new PeerBook(
    { clocks: new ClockWatch(() => 7, env), timings: testTimings('production') },
    env,
  );
  const epoch = (number: number, targets: readonly number[]) => {
    for (const target of targets) view.setQuorum(target, number, [4, 1, 5, 6]);
    view.setEpoch(number);
  };
  judge.start();
  epoch(10, [2, 3]);
  const verdict = (id: number) => judge.verdictOf(view.nodes().get(id)!, book);
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  return { clock, view, proofs, judge, book, vigil, prove, epoch, verdict, settle };
}

test('sits where it was drawn, in the epoch in force and the one before', async () => {
  const { judge, epoch, view } = await judging();
  let changes = 0;
  judge.targets.onChange(() => changes++);
  expect(judge.seats).toEqual([
    { nodeId: 2, epoch: 10, index: 1 },
    { nodeId: 3, epoch: 10, index: 1 },
  ]);
  epoch(11, [3, 7]);
  expect(changes).toBe(1);
  expect(judge.seats.map(({ nodeId, epoch: drawn }) => `${nodeId}/${drawn}`).sort()).toEqual([
    '2/10',
    '3/10',
    '3/11',
    '7/11',
  ]);
  expect(new Map(judge.targets.current().map(({ ed25519Hex, round }) => [ed25519Hex, round]))).toEqual(
    new Map([
      [hex(2), 10],
      [hex(3), 11],
      [hex(7), 11],
    ]),
  );
  epoch(12, []);
  expect(judge.seats.map(({ nodeId }) => nodeId).sort()).toEqual([3, 7]);
  // An invalid registration is judged, but there is nobody to ask.
  view.changeNode(7, { valid: false });
  expect(judge.targets.current().map(({ ed25519Hex }) => ed25519Hex)).toEqual([hex(3)]);
});

test('without a proof for the validity time a node fails; registration and recommission begin it anew', async () => {
  const { clock, prove, verdict, view } = await judging();
  for (let id = 2; id <= 8; id++) prove(id);
  clock.advance(VALIDITY);
  expect(verdict(2).reasons).toBe(0);
  for (let id = 3; id <= 8; id++) prove(id);
  clock.advance(1);
  expect(verdict(2)).toMatchObject({ reasons: REASON.uptime, proofAt: NOW });
  view.changeNode(2, { activeSince: clock.now() / 1000 - 60 });
  expect(verdict(2).reasons).toBe(0);
});

test('a node that has just started, or whose chain stood still, misses no proofs, not even for its operator', async () => {
  const { clock, prove, verdict, judge, vigil } = await judging();
  for (let id = 3; id <= 8; id++) prove(id);
  clock.advance(VALIDITY + 1);
  for (let id = 3; id <= 8; id++) prove(id);
  const said = () => [verdict(2).reasons, judge.reasonsOf(hex(2), 0)];
  expect(said()).toEqual([REASON.uptime, REASON.uptime]);
  vigil.watchedMs = VALIDITY;
  expect(said()).toEqual([0, 0]);
  vigil.watchedMs = VALIDITY + 1;
  expect(said()).toEqual([REASON.uptime, REASON.uptime]);
  // The chain stood still, and goes on: others may not have noticed yet.
  vigil.freshMs = 3_599_999;
  expect(said()).toEqual([0, 0]);
  vigil.freshMs = 3_600_000;
  expect(said()).toEqual([REASON.uptime, REASON.uptime]);
});

test('when the proofs of most are missing, it is this node that they do not reach', async () => {
  const { clock, prove, verdict, judge } = await judging();
  clock.advance(VALIDITY + 1);
  for (const id of [4, 5, 6]) prove(id);
  expect(verdict(2).reasons).toBe(0);
  // The operator sees it all the same.
  expect(judge.reasonsOf(hex(2), 0)).toBe(REASON.uptime);
  prove(7);
  expect(verdict(2).reasons).toBe(REASON.uptime);
});

test('when most cannot be reached, nobody is accused of it', async () => {
  const { clock, prove, verdict, book } = await judging();
  for (let id = 2; id <= 8; id++) {
    prove(id);
    book.pinged(hex(id), id <= 5 ? DOWN : {});
  }
  clock.advance(66 * 60_000);
  for (let id = 2; id <= 5; id++) book.pinged(hex(id), DOWN);
  expect(book.reasons(hex(2))).toBe(REASON.storage);
  expect(verdict(2)).toMatchObject({ reasons: 0, isFailing: false });
  book.pinged(hex(5), {});
  expect(verdict(2)).toMatchObject({ reasons: REASON.storage, isFailing: true });
});

test('another block than ours at the height of the proof, or one that is an hour old, fails', async () => {
  const { clock, view, prove, verdict, settle } = await judging();
  prove(2);
  prove(3, { blockHash: `0x${'66'.repeat(32)}` });
  await settle();
  expect([verdict(2).reasons, verdict(3).reasons]).toEqual([0, REASON.l2]);
  // The next proof decides anew.
  clock.advance(3_600_000);
  view.setHead({ number: 200n, hash: `0x${'cd'.repeat(32)}`, timestamp: clock.now() / 1000 });
  view.setHead({ number: 201n, hash: HASH, timestamp: clock.now() / 1000 + 5 });
  prove(3, { blockNumber: 200, blockHash: `0x${'cd'.repeat(32)}` });
  await settle();
  expect(verdict(3).reasons).toBe(0);
  clock.advance(1_000);
  view.setHead({ number: 202n, hash: HASH, timestamp: clock.now() / 1000 + 5 });
  prove(2);
  await settle();
  expect(verdict(2).reasons).toBe(REASON.l2);
});

test('a block that may still be reorganised proves nothing until it is older', async () => {
  const { clock, view, prove, verdict, settle, epoch } = await judging();
  view.setHead({ number: 102n, hash: `0x${'66'.repeat(32)}`, timestamp: NOW / 1000 + 5 });
  prove(2, { blockNumber: 102 });
  await settle();
  expect(verdict(2).reasons).toBe(0);
  clock.advance(30_000);
  view.setHead({ number: 103n, hash: HASH, timestamp: clock.now() / 1000 });
  epoch(11, [2]);
  await settle();
  expect(verdict(2).reasons).toBe(REASON.l2);
  // It was our own endpoint that stood on a branch that lost.
  view.setHead({ number: 102n, hash: HASH, timestamp: NOW / 1000 + 5 });
  view.setHead({ number: 103n, hash: HASH, timestamp: clock.now() / 1000 });
  epoch(12, [2]);
  await settle();
  expect(verdict(2).reasons).toBe(0);
});

test('a block that we have not seen yet, or that no endpoint tells, proves nothing', async () => {
  const { prove, verdict, settle, view } = await judging();
  prove(2, { blockNumber: 5_000, blockHash: `0x${'66'.repeat(32)}` });
  view.blockAt = () => Promise.reject(new Error('no endpoint answers'));
  prove(3, { blockHash: `0x${'66'.repeat(32)}` });
  await settle();
  expect([verdict(2).reasons, verdict(3).reasons]).toEqual([0, 0]);
});

test('an invalid registration fails whatever its key does; three missed turns fail while active', async () => {
  const { view, verdict, prove } = await judging();
  prove(2);
  view.changeNode(3, { valid: false, ed25519Hex: hex(2) });
  expect(verdict(3)).toMatchObject({ reasons: REASON.binding, isBack: false });
  expect(verdict(2).reasons).toBe(0);
  view.changeNode(2, { missedTurns: 2 });
  expect(verdict(2).reasons).toBe(0);
  view.changeNode(2, { missedTurns: 3 });
  expect(verdict(2).reasons).toBe(REASON.beacon);
  view.changeNode(2, { state: 'decommissioned' });
  expect(verdict(2).reasons).toBe(0);
});

test('missed probes count while a node is active, and do not hold it back when it is suspended', async () => {
  const { view, verdict, prove, book } = await judging();
  prove(2);
  for (let i = 0; i < 3; i++) book.probed(hex(2), false);
  expect(verdict(2).reasons).toBe(REASON.probe);
  view.changeNode(2, { state: 'decommissioned' });
  expect(verdict(2).reasons).toBe(0);
  view.changeNode(2, { state: 'active', activeSince: NOW / 1000 + 1 });
  expect(verdict(2).reasons).toBe(0);
});
