// SPDX-License-Identifier: MIT
// The invariants of spec/chain §5.4 in short: `npm run invariants` makes 10^5 calls, and breaks the contract itself.
import { encodeAbiParameters, keccak256, pad, toHex } from 'viem';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Hex } from '../src/chain-view.ts';
import type { SeenNode } from './support/invariants/look.ts';
import { Storm } from './support/invariants/storm.ts';
import { type Happened, InvariantWatch } from './support/invariants/watch.ts';

/** Places of the registry's storage, as in RegistryLens. */
const [ACCOUNTING, SLOTS, NODES, PAY_QUEUE] = [3n, 8n, 11n, 13n];
const [BALANCES, SUPPLY] = [0n, 2n];
let storm: Storm;

beforeAll(async () => {
  storm = await Storm.start();
});
afterAll(() => storm?.[Symbol.asyncDispose]());

test('a thousand random calls break nothing, and everybody takes his stake home', async () => {
  expect(await storm.run(1000, 42)).toEqual([]);
  const { registry, pools } = (await storm.look()).held;
  expect([registry, pools]).toEqual([0n, 0n]);
  for (const name of [
    'register',
    'contribute',
    'submitStateChange',
    'claim',
    'requestExit',
    'withdrawStake',
    'reveal',
  ]) {
    expect([name, storm.tally.get(name)?.accepted]).toEqual([name, expect.toSatisfy((n: number) => n > 0)]);
    expect([name, storm.tally.get(name)?.refused]).toEqual([name, expect.toSatisfy((n: number) => n > 0)]);
  }
  expect(storm.watch.checks).toBeGreaterThan(20);
});

const place = (key: bigint | Hex, slot: bigint) =>
  keccak256(encodeAbiParameters([{ type: 'uint256' }, { type: 'uint256' }], [BigInt(key), slot]));
const plus = (slot: Hex | bigint, words: bigint): Hex => pad(toHex(BigInt(slot) + words), { size: 32 });
const bit = (at: number) => 1n << BigInt(at);

test('what is wrong is seen: one word of the storage changed at a time', async () => {
  const { evm, registry, token, deployment, preset } = storm.net;
  expect(await storm.run(600, 7, false)).toEqual([]);
  const before = await storm.look();
  expect(storm.watch.findings).toEqual([]);
  const paid = before.nodes.find(({ isPayable }) => isPayable) as SeenNode;
  const active = before.nodes.filter(({ state }) => state === 2);
  const [first, second] = active as [SeenNode, SeenNode];
  const suspended = before.nodes.find(({ state }) => state === 3) as SeenNode;
  const nodeWord = (node: SeenNode, word: bigint) => plus(place(BigInt(node.nodeId), NODES), word);
  const balance = (holder: Hex) => place(holder, BALANCES);
  const unclaimed = before.nodes.flatMap(({ contributors }) => contributors.map(({ claimed }) => claimed));
  const cases: [numbers: string[], contract: Hex, slot: Hex, change: (word: bigint) => bigint][] = [
    [['1', '4'], token.address, balance(registry.address), (word) => word - 1n],
    [['2', '4'], token.address, balance(deployment.pools), (word) => word + 1n],
    [['3'], registry.address, plus(ACCOUNTING, 0n), (word) => word & (bit(128) - 1n)],
    [['3', '4'], token.address, balance(deployment.pool), () => 0n],
    [['4'], token.address, plus(SUPPLY, 0n), (word) => word + 1n],
    [['5'], registry.address, plus(ACCOUNTING, 1n), (word) => word + bit(40)],
    [['5'], registry.address, plus(ACCOUNTING, 1n), (word) => word + bit(72)],
    [['6'], registry.address, plus(ACCOUNTING, 0n), (word) => word - 1n],
    [['6'], registry.address, nodeWord(suspended, 0n), (word) => word - bit(224)],
    [['3', '7'], registry.address, nodeWord(paid, 3n), (word) => word + bit(80)],
    [
      ['8'],
      registry.address,
      nodeWord(first, 0n),
      (word) => word + (BigInt(second.slot - first.slot) << 160n),
    ],
    [['8'], registry.address, place(BigInt(first.slot), SLOTS), (word) => word + bit(64)],
    [['8'], registry.address, place(BigInt(first.slot), SLOTS), (word) => word - bit(32)],
    [['11'], registry.address, nodeWord(suspended, 0n), (word) => word + bit(192)],
    [['13'], registry.address, nodeWord(first, 1n), (word) => word | bit(150)],
    [
      ['14'],
      registry.address,
      place(BigInt(await headOfQueue()), PAY_QUEUE),
      (word) => word - (bit(40) << 32n) / 1024n,
    ],
  ];
  let state = await evm.snapshot();
  for (const [numbers, contract, slot, change] of cases) {
    state = await evm.revert(state);
    storm.watch = new InvariantWatch({ t0: deployment.t0, epochLength: preset.epochLength });
    // All that was released before is released now, for a watch that begins here.
    storm.watch.see(before, { ...nothing(), accrued: before.allocated + sum(unclaimed), accruals: 1e6 });
    expect(storm.watch.findings).toEqual([]);
    const word = BigInt(await evm.rpc<Hex>('eth_getStorageAt', contract, slot, 'latest'));
    await evm.rpc(
      'anvil_setStorageAt',
      contract,
      slot,
      pad(toHex(BigInt.asUintN(256, change(word))), { size: 32 }),
    );
    await storm.look();
    expect(found(storm.watch)).toEqual(expect.arrayContaining(numbers));
  }

  // Those that follow from what happens rather than from what stands there.
  const watch = new InvariantWatch({ t0: deployment.t0, epochLength: preset.epochLength });
  watch.see(before, { ...nothing(), accrued: before.supply, accruals: 1e6 });
  const suspensions = Array.from({ length: 90 }, (_, nodeId) => ({ nodeId, state: 3, epoch: 1 }));
  watch.see(before, { ...nothing(), accrued: before.supply, stateChanges: suspensions });
  watch.seeQuorums([{ nodeId: 1, epoch: 9, nodeIds: [2, 3, 4], threshold: 3 }]);
  expect(found(watch)).toEqual(['12', '7']);
  watch.seeQuorums([{ nodeId: 1, epoch: 9, nodeIds: [2, 3, 5], threshold: 3 }]);
  expect(found(watch)).toEqual(['12', '7', '9']);
  watch.seeQuorums([{ nodeId: 7, epoch: 9, nodeIds: [2, 3, 7], threshold: 3 }]);
  expect(found(watch)).toEqual(['12', '7', '9', '10']);
});

async function headOfQueue(): Promise<number> {
  const { evm, lens } = storm.net;
  return (await evm.read<{ payHead: number }>(lens, 'positions')).payHead;
}

function nothing(): Happened {
  return {
    stateChanges: [],
    accrued: 0n,
    accruals: 0,
    given: 0n,
    deactivationBps: [],
    rates: [],
    creditMax: [],
  };
}

function sum(values: readonly bigint[]): bigint {
  return values.reduce((a, b) => a + b, 0n);
}

function found(watch: InvariantWatch): string[] {
  return [...new Set(watch.findings.map((finding) => finding.split('.')[0] as string))];
}
