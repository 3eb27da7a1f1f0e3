// SPDX-License-Identifier: AGPL-3.0-or-later
// Seeds revealed in turn, in virtual time: by the proposer, by those whom it asks for help, or not at all.
import { writeFileSync } from 'node:fs';
import type { Hex } from '@allium/chain/chain-view';
import { hexOf, keccak256 } from '@allium/chain/packed';
import { encodeReveal } from '@allium/chain/vote-message';
import { expect, test } from 'vitest';
import { Beacon } from '../../src/voting/beacon.ts';
import { BeaconStore, prepareBeaconChain } from '../../src/voting/beacon-store.ts';
import { GovernedNetwork } from '../support/governed-network.ts';
import { TempFolder } from '../support/temp-folder.ts';

const PREIMAGE: Hex = `0x${'5e'.repeat(32)}`;
const ANCHOR = hexOf(keccak256(new Uint8Array(32).fill(0x5e)));
const PROPOSER = 2;
/** The proposer's turn is in epoch 11, which begins 23 s after the network's clock. */
const TURN = 11;

function network(preimageOf = (anchor: Hex): Hex | undefined => (anchor === ANCHOR ? PREIMAGE : undefined)) {
  const net = new GovernedNetwork(6);
  net.view.changeNode(PROPOSER, { beaconAnchor: ANCHOR });
  net.view.setProposer(TURN, PROPOSER);
  net.reveal = (preimage) => {
    const { beaconAnchor } = net.view.nodes().get(PROPOSER)!;
    if (beaconAnchor === preimage) return { outcome: 'already' };
    net.view.changeNode(PROPOSER, { beaconAnchor: preimage });
    return { outcome: 'done', hash: `0x${'00'.repeat(32)}`, gasUsed: 60_000n };
  };
  const beacons = net.nodes.map((node) => {
    const beacon = new Beacon(
      {
        view: net.view,
        writer: node.writer,
        preimageOf: node.nodeId === PROPOSER ? preimageOf : () => undefined,
        ownHex: node.keys.ed25519Hex,
        omq: net.busOf(node),
        swarm: net,
      },
      node.env,
    );
    beacon.start();
    return beacon;
  });
  net.handlers.set('sn.chain_reveal', (to, part, peerHex) => beacons[to - 1]!.answer(peerHex, part));
  const revealers = () =>
    net.nodes.filter(({ writer }) => writer.reveals.length > 0).map(({ nodeId }) => nodeId);
  const anchor = () => net.view.nodes().get(PROPOSER)!.beaconAnchor;
  const stop = async () => {
    await Promise.all(beacons.map((beacon) => beacon.stop()));
    await net.stop();
  };
  return { net, beacons, revealers, anchor, [Symbol.asyncDispose]: stop };
}

test('the proposer reveals in the first third of the window, alone', async () => {
  await using all = network();
  await all.net.pass(22_750);
  expect(all.anchor()).toBe(ANCHOR);
  await all.net.pass(2_250);
  expect(all.anchor()).toBe(PREIMAGE);
  await all.net.pass(8_000);
  expect(all.revealers()).toEqual([PROPOSER]);
  expect(all.net.sent.get('sn.chain_reveal')).toBeUndefined();
  expect(all.beacons[PROPOSER - 1]!.turns).toEqual({ revealed: 1, missed: 0 });
});

test('a proposer without money has it done by others', async () => {
  await using all = network();
  all.net.node(PROPOSER).writer.fails = { outcome: 'failed', reason: 'insufficient funds for gas' };
  await all.net.pass(30_000);
  expect(all.anchor()).toBe(PREIMAGE);
  expect(all.net.sent.get('sn.chain_reveal')).toBe(3);
  expect(all.revealers().length).toBeGreaterThan(1);
  expect(all.beacons[PROPOSER - 1]!.turns).toEqual({ revealed: 1, missed: 0 });
});

test('a withheld seed changes nothing, and the node that cannot reveal is told', async () => {
  await using all = network(() => undefined);
  await all.net.pass(35_000);
  expect(all.anchor()).toBe(ANCHOR);
  expect(all.revealers()).toEqual([]);
  expect(all.beacons[PROPOSER - 1]!.turns).toEqual({ revealed: 0, missed: 1 });
  expect(all.net.node(PROPOSER).told.at(-1)).toMatch(
    /^error it is the turn of this node to reveal a seed, but beacon.json/,
  );
});

test('when nobody can bring it to the chain the turn is missed', async () => {
  await using all = network();
  for (const { writer } of all.net.nodes) writer.fails = { outcome: 'failed', reason: 'no endpoint answers' };
  await all.net.pass(35_000);
  expect(all.anchor()).toBe(ANCHOR);
  expect(all.beacons[PROPOSER - 1]!.turns).toEqual({ revealed: 0, missed: 1 });
  expect(all.net.node(PROPOSER).told.at(-1)).toMatch(/^warn this node missed its turn/);
});

test('forged, early and late reveals of others are not submitted; a forger is not heard any more', async () => {
  await using all = network();
  const [helper] = all.beacons;
  const good = encodeReveal({ epoch: TURN, preimage: PREIMAGE });
  expect(helper!.answer('forger', good)).toEqual(['stale']);
  all.net.node(PROPOSER).isUp = false;
  await all.beacons[PROPOSER - 1]!.stop();
  await all.net.pass(23_500);
  const forged = encodeReveal({ epoch: TURN, preimage: `0x${'66'.repeat(32)}` });
  for (let i = 0; i < 10; i++) expect(helper!.answer('forger', forged)).toEqual(['invalid']);
  expect(helper!.answer('forger', good)).toBeUndefined();
  expect(helper!.answer('other', new Uint8Array(3))).toEqual(['invalid']);
  expect(helper!.answer('other', good)).toEqual(['OK']);
  await all.net.pass(2_000);
  expect(all.revealers()).toEqual([1]);
  expect(all.anchor()).toBe(PREIMAGE);
  await all.net.pass(5_000);
  expect(helper!.answer('other', good)).toEqual(['stale']);
});

test('chains are kept by their nonces, one for each registration, and found again', () => {
  using folder = new TempFolder();
  const seed = new Uint8Array(32).fill(9);
  const network = { chainId: 31337, registry: `0x${'5f'.repeat(20)}` } as const;
  const first = prepareBeaconChain(folder.path, seed, network, 1_700_000_000);
  // With a clock that went back: never the same chain.
  const second = prepareBeaconChain(folder.path, seed, network, 1_600_000_000);
  expect(second).not.toBe(first);
  const store = new BeaconStore(folder.path, seed, network);
  const preimage = store.preimageOf(second)!;
  expect(hexOf(keccak256(Buffer.from(preimage.slice(2), 'hex')))).toBe(second);
  // The anchor moves with each reveal.
  const next = store.preimageOf(preimage)!;
  expect(hexOf(keccak256(Buffer.from(next.slice(2), 'hex')))).toBe(preimage);
  expect(new BeaconStore(folder.path, seed, { ...network, chainId: 1 }).preimageOf(second)).toBeUndefined();
  writeFileSync(folder.file('beacon.json'), '{"chains": 7}');
  expect(() => new BeaconStore(folder.path, seed, network).preimageOf(second)).toThrow(
    /is damaged: bring it back from a backup/,
  );
  expect(() => prepareBeaconChain(folder.path, seed, network, 1_800_000_000)).toThrow(/is damaged/);
});
