// SPDX-License-Identifier: MIT
// The contract's own seeds, draws and digests against vectors/chain-quorum.json, and against the draw in TypeScript on
// a thousand random tables (spec/chain §5.2).

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { u32be } from '@allium/protocol/bytes';
import { type Abi, encodeDeployData } from 'viem';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Hex } from '../src/chain-view.ts';
import { draw } from '../src/draw.ts';
import { bytesOf, hexOf, keccak256 } from '../src/packed.ts';
import { PRESETS } from '../src/presets.ts';
import { type Contract, Evm } from './support/evm.ts';
import { abi, bytecode } from './support/generated/RegistryHarness.ts';
import { DEPLOYER } from './support/registry-fixture.ts';

const vectors = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../../vectors/chain-quorum.json'), 'utf8'),
);
const INF = 2 ** 32 - 1;
const ONE: Hex = '0x0000000000000000000000000000000000000001';
const ZERO_WORD: Hex = `0x${'00'.repeat(32)}`;
const { epochLength, revealWindow, params } = PRESETS.local;
let evm: Evm;
let registry: Contract;
let t0: number;
let clean: Hex;

type Row = readonly [nodeId: number, from: number, until: number];

/** A voting key that tells the node: its id. */
const word = ([nodeId, from, until]: Row) =>
  (BigInt(nodeId) << 96n) | (BigInt(nodeId) << 64n) | (BigInt(from) << 32n) | BigInt(until);

async function setSlots(rows: readonly Row[], count: number): Promise<void> {
  for (let i = 0; i < rows.length; i += 300) {
    await evm.send(DEPLOYER, registry, 'setSlots', i, rows.slice(i, i + 300).map(word));
  }
  await evm.send(DEPLOYER, registry, 'setSlotCount', count);
}

/** As if this seed had been revealed for the epoch, and the time were in it. */
async function enter(epoch: number, seed: Hex): Promise<void> {
  await evm.goTo(t0 + epoch * epochLength + revealWindow);
  await evm.send(DEPLOYER, registry, 'setRevealed', epoch, seed, 0, ZERO_WORD);
}

beforeAll(async () => {
  evm = await Evm.start();
  evm.errorAbis.push(abi as Abi);
  const config = {
    ...{ token: ONE, rewardPool: ONE, contributionPools: ONE, governor: ONE, guardian: ONE },
    ...{ epochLength, revealWindow, t0: 0, registrationOpenAt: 0, seedMode: 0 },
  };
  const data = encodeDeployData({ abi, bytecode, args: [config, { ...params }] });
  // The first contract of anvil's first account has the address that the vectors were made for.
  const { logs: _, ...receipt } = await evm.sendRaw({ from: DEPLOYER, data, gas: '0x1c00000' });
  registry = { address: vectors.registry.toLowerCase(), abi: abi as Abi };
  const block = await evm.rpc<{ timestamp: Hex }>('eth_getBlockByNumber', receipt.blockNumber, false);
  t0 = Number(block.timestamp);
  clean = await evm.snapshot();
});
beforeEach(async () => {
  clean = await evm.revert(clean);
});
afterAll(() => evm?.anvil.stop());

test('seeds: genesis, skipped, several skipped in a row, revealed', async () => {
  const seedOf = (epoch: number) => evm.read<Hex>(registry, 'seedOf', epoch);
  for (const entry of vectors.seeds) {
    const { epoch, kind, seed, preimage } = entry;
    if (kind === 'reveal') {
      // In turn, whoever the proposer is: with one node in the only slot.
      await evm.goTo(t0 + epoch * epochLength);
      await setSlots([[1, 0, INF]], 1);
      await evm.send(DEPLOYER, registry, 'setAnchor', 1, hexOf(keccak256(bytesOf(preimage))));
      await evm.send(DEPLOYER, registry, 'reveal', preimage);
    }
    await evm.goTo(t0 + epoch * epochLength + revealWindow);
    expect([epoch, await seedOf(epoch)]).toEqual([epoch, seed]);
    if (epoch > 0) expect(await seedOf(epoch - 1)).toBe(vectors.seeds[epoch - 1].seed);
    if (epoch > 1) await expect(seedOf(epoch - 2)).rejects.toMatchObject({ errorName: 'StaleEpoch' });
  }
});

test('quorums: members in order, size, threshold', async () => {
  for (const quorum of vectors.quorums) {
    const { epoch, seed, target, want, slot_count: count } = quorum;
    const rows: Row[] = Array.isArray(quorum.slots)
      ? quorum.slots
      : Array.from({ length: count }, (_, i) => [i + 1, 2, INF] as const);
    await setSlots(rows, count);
    await evm.send(DEPLOYER, registry, 'setQuorumSize', want);
    await enter(epoch, seed);
    const [members, keys, threshold] = await evm.read<[number[], Hex[], number]>(
      registry,
      'quorumOf',
      target,
      epoch,
    );
    expect(members).toEqual(quorum.members);
    expect(keys.map(Number)).toEqual(quorum.members);
    expect(threshold).toBe(quorum.threshold ?? 0);
  }
});

test('proposers', async () => {
  for (const { epoch, previous_seed: seed, slot_count: count, proposer } of vectors.beacons) {
    await setSlots(
      Array.from({ length: count }, (_, i) => [i + 1, 2, INF] as const),
      count,
    );
    await enter(epoch - 1, seed);
    expect(await evm.read(registry, 'proposerOf', epoch)).toBe(proposer);
  }
});

test('digests of votes', async () => {
  for (const { message, digest } of vectors.eip712.votes) {
    const { nodeId, action, epoch, stateNonce, reasons } = message;
    expect(await evm.read(registry, 'voteDigest', nodeId, action, epoch, stateNonce, reasons)).toBe(digest);
  }
});

test('the draw is that of the software on a thousand tables with holes, ends, and few or no members', async () => {
  // Numbers that look random and are the same in every run.
  let state = keccak256(u32be(1));
  const next = (limit: number) => {
    state = keccak256(state);
    return new DataView(state.buffer).getUint32(0) % limit;
  };
  for (let table = 0; table < 20; table++) {
    const length = [1, 2, 11, 40, 200][table % 5] as number;
    const eligible = [0, 1, 2, 3][Math.floor(table / 5)] as number;
    const rows = Array.from({ length }, (_, i): Row => {
      if (next(3) >= eligible) return [i + 1, 9, 9 - next(3)];
      return [next(length) + 1, next(8), next(2) === 0 ? INF : 5 + next(6)];
    });
    await setSlots(rows, length);
    const slots = rows.map(([nodeId, from, until]) => ({ nodeId, from, until, votingKey: ONE }));
    const calls = Array.from({ length: 50 }, () => ({
      seed: state.slice(),
      slotCount: next(length + 1),
      epoch: 4 + next(4),
      skipNode: next(length + 1),
      want: 1 + next(32),
    }));
    const found = await Promise.all(
      calls.map(({ seed, slotCount, epoch, skipNode, want }) =>
        evm.read<bigint[]>(registry, 'draw', hexOf(seed), slotCount, epoch, skipNode, want),
      ),
    );
    const expected = calls.map((call) => draw({ ...call, slots }).members.map(({ nodeId }) => nodeId));
    expect(found.map((words) => words.map((w) => Number((w >> 64n) & 0xffffffffn)))).toEqual(expected);
  }
});
