// SPDX-License-Identifier: MIT
// Votes that must not count (spec/chain §4.10, §5.3 "votes").
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Hex } from '../../src/chain-view.ts';
import { hexOf } from '../../src/packed.ts';
import { domainSeparator, signDigest, voteDigest } from '../../src/votes.ts';
import { refusal } from '../support/evm.ts';
import { DEPLOYER, nodeKeys, RegistryFixture, type Vote } from '../support/registry-fixture.ts';

const TARGET = 5;
const EPOCH = 3;
/** Order of the curve. */
const N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const PARITY = 1n << 255n;
let net: RegistryFixture;
let clean: Hex;
/** All ten of the quorum, for the decommission of the target. */
let votes: Vote[];
let members: number[];

beforeAll(async () => {
  net = await RegistryFixture.withNodes(12);
  await net.toEpoch(EPOCH);
  votes = await net.drawVotes(TARGET, 1, { count: 10 });
  members = (await net.quorum(TARGET)).nodeIds;
  clean = await net.evm.snapshot();
});
afterAll(() => net?.[Symbol.asyncDispose]());
beforeEach(async () => {
  clean = await net.evm.revert(clean);
});

const submit = (list: unknown[], { nodeId = TARGET, action = 1, epoch = EPOCH, nonce = 0 } = {}) =>
  refusal(net.evm.send(DEPLOYER, net.registry, 'submitStateChange', nodeId, action, epoch, nonce, list));
/** The first seven, with the one at this place changed. */
const withVote = (place: number, change: Partial<Vote>) =>
  votes.slice(0, 7).map((vote, index) => (index === place ? { ...vote, ...change } : vote));
const secretOf = (nodeId: number) => nodeKeys(nodeId).votingSecret;
const word = (value: bigint): Hex => `0x${value.toString(16).padStart(64, '0')}`;

/** Seven signatures of the true members over another content or domain. */
function signedOtherwise(change: Record<string, number>, domain?: Uint8Array): Vote[] {
  const content = { nodeId: TARGET, action: 1, epoch: EPOCH, stateNonce: 0, reasons: 1, ...change } as const;
  const own = domainSeparator(net.deployment.chainId, net.deployment.registry);
  return members.slice(0, 7).map((nodeId, index) => {
    const signature = signDigest(voteDigest(domain ?? own, content), secretOf(nodeId));
    return {
      index,
      reasons: 1,
      r: hexOf(signature.subarray(0, 32)),
      vs: hexOf(signature.subarray(32)),
    };
  });
}

test('seven of ten are enough, whichever they are; the reasons are joined', async () => {
  const other = votes.slice(3).map((vote, place) => {
    const reasons = 1 << place;
    const content = {
      nodeId: TARGET,
      action: 1 as const,
      epoch: EPOCH,
      stateNonce: 0,
      reasons: reasons | 64,
    };
    return net.sign(content, vote.index, secretOf(members[vote.index] as number));
  });
  expect(await submit(other)).toBe('none');
  expect(await net.node(TARGET)).toMatchObject({ state: 3, reasonsAll: 64, reasonsAny: 127, stateNonce: 1 });
});

test('6 of 10', async () => {
  expect(await submit(votes.slice(0, 6))).toBe('TooFewVotes');
});

test('duplicate index', async () => {
  expect(await submit([votes[0], ...votes.slice(0, 6)])).toBe('BadIndex');
});

test('descending order', async () => {
  expect(await submit(votes.slice(0, 7).reverse())).toBe('BadIndex');
});

test('index not below q', async () => {
  expect(await submit(withVote(6, { index: 10 }))).toBe('BadIndex');
  expect(await submit(withVote(6, { index: 255 }))).toBe('BadIndex');
  expect(await submit([...votes, { ...votes[9], index: 10 }])).toBe('TooManyVotes');
});

test('wrong signer', async () => {
  const outsider = net.sign(
    { nodeId: TARGET, action: 1, epoch: EPOCH, stateNonce: 0, reasons: 1 },
    3,
    secretOf(99),
  );
  expect(await submit(withVote(3, outsider))).toBe('BadSignature');
});

test('signature of another member at my index', async () => {
  const { r, vs } = votes[8] as Vote;
  expect(await submit(withVote(2, { r, vs }))).toBe('BadSignature');
});

test('high-s', async () => {
  const vs = BigInt((votes[0] as Vote).vs);
  const parity = vs & PARITY;
  // The other s of the same signature, with either parity, and the smallest s of the upper half.
  for (const s of [N - (vs & ~PARITY), N / 2n + 1n]) {
    for (const bit of [0n, PARITY, parity, PARITY ^ parity]) {
      expect(await submit(withVote(0, { vs: word(((s & ~PARITY) | bit) & (2n ** 256n - 1n)) }))).toBe(
        'BadSignature',
      );
    }
  }
});

test('parity bit flipped', async () => {
  expect(await submit(withVote(4, { vs: word(BigInt((votes[4] as Vote).vs) ^ PARITY) }))).toBe(
    'BadSignature',
  );
});

test('zero recovery', async () => {
  expect(await submit(withVote(0, { r: word(0n), vs: word(0n) }))).toBe('BadSignature');
  // No point has this abscissa, so nothing is recovered.
  expect(await submit(withVote(0, { r: word(5n) }))).toBe('BadSignature');
  expect(await submit(withVote(0, { r: word(N) }))).toBe('BadSignature');
});

test('other chain id', async () => {
  const domain = domainSeparator(net.deployment.chainId + 1, net.deployment.registry);
  expect(await submit(signedOtherwise({}, domain))).toBe('BadSignature');
});

test('other contract', async () => {
  const domain = domainSeparator(net.deployment.chainId, net.deployment.pools);
  expect(await submit(signedOtherwise({}, domain))).toBe('BadSignature');
  expect(await submit(signedOtherwise({}))).toBe('none');
});

test("other epoch inside the quorum's signature", async () => {
  expect(await submit(signedOtherwise({ epoch: EPOCH - 1 }))).toBe('BadSignature');
  expect(await submit(signedOtherwise({ epoch: EPOCH + 1 }))).toBe('BadSignature');
  expect(await submit(signedOtherwise({ nodeId: 6 }))).toBe('BadSignature');
  expect(await submit(signedOtherwise({ action: 2 }))).toBe('BadSignature');
});

test('expired: two epochs later', async () => {
  await net.toEpoch(EPOCH + 2, 0);
  expect(await submit(votes)).toBe('StaleEpoch');
});

test('future epoch', async () => {
  expect(await submit(signedOtherwise({ epoch: EPOCH + 1 }), { epoch: EPOCH + 1 })).toBe('StaleEpoch');
});

test('before the reveal window ends', async () => {
  await net.toEpoch(EPOCH + 1, net.preset.revealWindow - 1);
  expect(await submit(votes, { epoch: EPOCH + 1 })).toBe('TooEarly');
});

test('reused after nonce moved', async () => {
  expect(await submit(votes)).toBe('none');
  expect(await submit(votes)).toBe('BadNonce');
  expect(await submit(votes, { nonce: 1 })).toBe('BadState');
  await net.change(TARGET, 2);
  // Active again, the same epoch: only the nonce inside the signatures stands in the way.
  expect(await submit(votes, { nonce: 2 })).toBe('BadSignature');
});

test('forged quorum: keys never drawn', async () => {
  const forged = Array.from({ length: 10 }, (_, index) =>
    net.sign(
      { nodeId: TARGET, action: 1, epoch: EPOCH, stateNonce: 0, reasons: 1 },
      index,
      secretOf(200 + index),
    ),
  );
  expect(await submit(forged)).toBe('BadSignature');
});

test('old voting key after rotation', async () => {
  const [first] = members as [number];
  const { operator } = nodeKeys(first);
  await net.evm.send(operator, net.registry, 'setVotingKey', first, nodeKeys(80).votingKey);
  expect(await submit(votes.slice(0, 7))).toBe('BadSignature');
  expect(await submit(votes.slice(1, 8))).toBe('none');
});

test('votes of members whose membership ended', async () => {
  const [gone] = members as [number];
  await net.change(gone, 1);
  // Suspended in this epoch it is still of its quorums, in the next one no longer.
  expect(await submit(votes.slice(0, 7))).toBe('none');
  await net.nextEpoch();
  for (const nodeId of [1, 2, 3, 4].filter((id) => id !== gone && id !== TARGET)) {
    const { nodeIds } = await net.quorum(nodeId);
    expect(nodeIds).not.toContain(gone);
    const content = { nodeId, action: 1 as const, epoch: EPOCH + 1, stateNonce: 0, reasons: 1 };
    const list = await net.drawVotes(nodeId, 1);
    list[0] = net.sign(content, 0, secretOf(gone));
    expect(await submit(list, { nodeId, epoch: EPOCH + 1 })).toBe('BadSignature');
  }
});

test('action illegal in the state', async () => {
  expect(await submit(signedOtherwise({ action: 2 }), { action: 2 })).toBe('BadState');
  expect(await submit(signedOtherwise({ action: 3 }), { action: 3 })).toBe('BadState');
  expect(await submit(votes, { nodeId: 77 })).toBe('BadState');
  expect(await submit(votes, { nodeId: 0 })).toBe('BadState');
  expect(await submit(votes)).toBe('none');
  for (const action of [0, 4, 255]) {
    expect(await submit(signedOtherwise({ action, stateNonce: 1 }), { action, nonce: 1 })).toBe('BadAction');
  }
  expect(await submit(signedOtherwise({ action: 1, stateNonce: 1 }), { nonce: 1 })).toBe('BadState');
});

test('two valid conflicting sets in one block: the first wins', async () => {
  await net.change(TARGET, 1);
  const { decommissionedAt, credit } = await net.node(TARGET);
  await net.evm.goTo(decommissionedAt + Math.max(credit, net.preset.params.minGrace));
  const epoch = net.votingEpoch;
  const back = await net.drawVotes(TARGET, 2);
  const away = await net.drawVotes(TARGET, 3);
  const before = await net.evm.snapshot();
  const calls: [string, ...unknown[]][] = [
    ['submitStateChange', TARGET, 2, epoch, 1, back],
    ['submitStateChange', TARGET, 3, epoch, 1, away],
  ];
  expect(await net.evm.sendTogether(DEPLOYER, net.registry, calls)).toEqual([true, false]);
  expect(await net.node(TARGET)).toMatchObject({ state: 2, stateNonce: 2 });
  await net.evm.revert(before);
  expect(await net.evm.sendTogether(DEPLOYER, net.registry, calls.reverse())).toEqual([true, false]);
  expect(await net.node(TARGET)).toMatchObject({ state: 4, stateNonce: 2 });
});

test('reasons edited after signing', async () => {
  expect(await submit(withVote(6, { reasons: 3 }))).toBe('BadSignature');
});

test('a captured minority of six with all that it can make up decides nothing', async () => {
  const six = votes.slice(0, 6);
  for (const filler of [
    { ...(votes[5] as Vote), index: 6 },
    { index: 6, reasons: 1, r: word(0n), vs: word(0n) },
    net.sign({ nodeId: TARGET, action: 1, epoch: EPOCH, stateNonce: 0, reasons: 1 }, 6, secretOf(TARGET)),
  ]) {
    expect(await submit([...six, filler])).toBe('BadSignature');
  }
  expect(await net.node(TARGET)).toMatchObject({ state: 2, stateNonce: 0 });
});
