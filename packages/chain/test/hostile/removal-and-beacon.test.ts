// SPDX-License-Identifier: MIT
// Limits of suspension, removal, and the beacon against those who cheat (spec/chain §4.7, §4.11, §5.3).
import { encodeAbiParameters, keccak256 as keccakHex, pad, toHex } from 'viem';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Hex } from '../../src/chain-view.ts';
import { bytesOf, hexOf } from '../../src/packed.ts';
import { genesisSeed, skippedSeed } from '../../src/seeds.ts';
import { refusal } from '../support/evm.ts';
import { DEPLOYER, nodeKeys, RegistryFixture } from '../support/registry-fixture.ts';

const NODES_SLOT = 11n;
let net: RegistryFixture;
let clean: Hex;
let timelock: Hex;

beforeAll(async () => {
  net = await RegistryFixture.withNodes(8);
  timelock = net.deployment.timelock as Hex;
  await net.evm.fund(timelock);
  clean = await net.evm.snapshot();
});
afterAll(() => net?.[Symbol.asyncDispose]());
beforeEach(async () => {
  clean = await net.evm.revert(clean);
});

describe('rate limit of deactivations', () => {
  test('exactly the limit passes, one over does not, the next epoch begins anew', async () => {
    // A quarter of eight: 2, which is also what every epoch allows.
    await net.evm.send(timelock, net.registry, 'setParam', 14, 2500n);
    await net.toEpoch(3);
    expect(await refusal(net.change(1, 1))).toBe('none');
    expect(await refusal(net.change(2, 1))).toBe('none');
    expect(await refusal(net.change(3, 1))).toBe('RateLimited');
    await net.toEpoch(3, 29);
    expect(await refusal(net.change(3, 1))).toBe('RateLimited');
    await net.toEpoch(4, 0);
    expect(await refusal(net.change(3, 1, { epoch: 3 }))).toBe('none');
  });
});

describe('deregistration', () => {
  async function suspended(): Promise<{ graceEnd: number; decommissionedAt: number }> {
    await net.toEpoch(3);
    await net.change(5, 1);
    const { decommissionedAt, credit } = await net.node(5);
    return { decommissionedAt, graceEnd: decommissionedAt + Math.max(credit, net.preset.params.minGrace) };
  }

  test('one second early', async () => {
    const { graceEnd } = await suspended();
    await net.evm.goTo(graceEnd - 1);
    expect(await refusal(net.change(5, 3))).toBe('GraceNotOver');
    await net.evm.goTo(graceEnd);
    expect(await refusal(net.change(5, 3))).toBe('none');
  });

  test('with votes from the decommissioning epoch', async () => {
    const { graceEnd } = await suspended();
    const votes = await net.drawVotes(5, 3, { epoch: 3 });
    await net.evm.goTo(graceEnd);
    expect(await refusal(net.evm.send(DEPLOYER, net.registry, 'submitStateChange', 5, 3, 3, 1, votes))).toBe(
      'StaleEpoch',
    );
  });

  test('after recommission: the nonce is stale', async () => {
    const { graceEnd } = await suspended();
    await net.evm.goTo(graceEnd);
    const epoch = net.votingEpoch;
    const votes = await net.drawVotes(5, 3);
    await net.change(5, 2);
    const submit = (nonce: number) =>
      refusal(net.evm.send(DEPLOYER, net.registry, 'submitStateChange', 5, 3, epoch, nonce, votes));
    expect(await submit(1)).toBe('BadNonce');
    expect(await submit(2)).toBe('BadState');
  });

  test('with exit running: the removal governs, with its lock and penalty', async () => {
    const { graceEnd } = await suspended();
    await net.evm.goTo(graceEnd - 30);
    const { operator } = nodeKeys(5);
    await net.evm.send(operator, net.registry, 'requestExit', 5, 0);
    await net.evm.goTo(graceEnd);
    await net.change(5, 3);
    const { unlockAt, lockedUntil, penalty, stake } = await net.node(5);
    expect(lockedUntil).toBeGreaterThan(unlockAt);
    await net.evm.goTo(unlockAt);
    await net.evm.send(DEPLOYER, net.registry, 'poke', 20);
    expect((await net.node(5)).state).toBe(4);
    expect(await refusal(net.evm.send(operator, net.registry, 'withdrawStake', 5, 0))).toBe('Locked');
    await net.evm.goTo(lockedUntil);
    await net.evm.send(operator, net.registry, 'withdrawStake', 5, 0);
    expect(await net.balance(operator)).toBe(stake - penalty);
  });

  test('once the exit is due nobody is removed any more, even before the queue was worked off', async () => {
    const { graceEnd } = await suspended();
    await net.evm.send(nodeKeys(5).operator, net.registry, 'requestExit', 5, 0);
    const { unlockAt } = await net.node(5);
    await net.evm.goTo(Math.max(unlockAt, graceEnd));
    expect(await refusal(net.change(5, 3))).toBe('BadState');
  });

  test('penalty larger than bound', async () => {
    expect(await refusal(net.evm.send(timelock, net.registry, 'setParam', 4, 501n))).toBe('OutOfBounds');
    expect(await refusal(net.evm.send(timelock, net.registry, 'setParam', 4, 500n))).toBe('none');
    const { graceEnd } = await suspended();
    // Announced less than 15 d ago: the old penalty.
    await net.evm.goTo(graceEnd);
    await net.change(5, 3);
    const { penalty, stake } = await net.node(5);
    expect(penalty).toBe((stake * 20n) / 10_000n);
  });
});

describe('reveal', () => {
  const reveal = (pre: Hex | undefined) => refusal(net.evm.send(DEPLOYER, net.registry, 'reveal', pre));
  const proposerOf = (epoch: number) => net.evm.read<number>(net.registry, 'proposerOf', epoch);
  /** Puts an anchor in the registry's storage. */
  async function setAnchor(nodeId: number, anchor: Hex): Promise<void> {
    const key = encodeAbiParameters([{ type: 'uint256' }, { type: 'uint256' }], [BigInt(nodeId), NODES_SLOT]);
    const slot = pad(toHex(BigInt(keccakHex(key)) + 5n), { size: 32 });
    await net.evm.rpc('anvil_setStorageAt', net.registry.address, slot, anchor);
    expect((await net.node(nodeId)).beaconAnchor).toBe(anchor);
  }

  test('wrong pre-image, second reveal, outside the window', async () => {
    await net.toEpoch(3, 0);
    const pre = await net.preimageOf(await proposerOf(3));
    expect(await reveal(`0x${'11'.repeat(32)}`)).toBe('WrongPreimage');
    const open = await net.evm.snapshot();
    expect(await reveal(pre)).toBe('none');
    expect(await reveal(pre)).toBe('AlreadyRevealed');
    await net.evm.revert(open);
    await net.toEpoch(3, net.preset.revealWindow);
    expect(await reveal(pre)).toBe('WindowClosed');
  });

  test("for another node's turn", async () => {
    await net.toEpoch(3, 0);
    const proposer = await proposerOf(3);
    for (let nodeId = 1; nodeId <= 8; nodeId++) {
      if (nodeId !== proposer) expect(await reveal(await net.preimageOf(nodeId))).toBe('WrongPreimage');
    }
  });

  test('replay of an older pre-image', async () => {
    const used = new Map<number, Hex>();
    for (let epoch = 3; epoch < 60; epoch++) {
      await net.toEpoch(epoch, 0);
      const proposer = await proposerOf(epoch);
      const older = used.get(proposer);
      if (older !== undefined) {
        expect(await reveal(older)).toBe('WrongPreimage');
        expect(await reveal(await net.preimageOf(proposer))).toBe('none');
        return;
      }
      const pre = (await net.preimageOf(proposer)) as Hex;
      expect(await reveal(pre)).toBe('none');
      used.set(proposer, pre);
    }
    expect.unreachable('nobody had a second turn');
  });

  test('anchor zero: its turn is skipped, whatever is sent', async () => {
    await net.toEpoch(3, 0);
    const proposer = await proposerOf(3);
    const pre = await net.preimageOf(proposer);
    await setAnchor(proposer, `0x${'00'.repeat(32)}`);
    expect(await reveal(pre)).toBe('WrongPreimage');
    expect(await reveal(`0x${'00'.repeat(32)}`)).toBe('WrongPreimage');
  });

  test('chain exhausted: nothing is left to reveal, the epoch is skipped', async () => {
    await net.toEpoch(3, 0);
    const proposer = await proposerOf(3);
    const { links } = nodeKeys(proposer);
    await setAnchor(proposer, hexOf(links[0] as Uint8Array));
    for (const link of links.slice(0, 3)) expect(await reveal(hexOf(link))).toBe('WrongPreimage');
    await net.toEpoch(3);
    expect(await refusal(net.evm.read(net.registry, 'seedOf', 3))).toBe('none');
  });

  test('many skipped epochs, and seeds asked too old revert', async () => {
    const { chainId, registry } = net.deployment;
    await net.toEpoch(500);
    const genesis = genesisSeed(chainId, registry);
    expect(bytesOf(await net.evm.read<Hex>(net.registry, 'seedOf', 500), 32)).toEqual(
      skippedSeed(genesis, 0, 500),
    );
    expect(bytesOf(await net.evm.read<Hex>(net.registry, 'seedOf', 499), 32)).toEqual(
      skippedSeed(genesis, 0, 499),
    );
    expect(await refusal(net.evm.read(net.registry, 'seedOf', 498))).toBe('StaleEpoch');
    expect(await refusal(net.evm.read(net.registry, 'seedOf', 501))).toBe('StaleEpoch');
    expect(await refusal(net.evm.read(net.registry, 'quorumOf', 1, 498))).toBe('StaleEpoch');
    await net.toEpoch(501, 0);
    expect(await reveal(await net.preimageOf(await proposerOf(501)))).toBe('none');
    await net.toEpoch(502);
    expect(await refusal(net.change(5, 1))).toBe('none');
  });
});
