// SPDX-License-Identifier: AGPL-3.0-or-later
// Quorums in virtual time: what they decide, who brings it to the chain, and what does not stop them.
import { encodeVote } from '@allium/chain/vote-message';
import { domainSeparator, signDigest, voteDigest } from '@allium/chain/votes';
import { REASON } from '@allium/protocol/membership/reasons';
import { describe, expect, test } from 'vitest';
import { FINE, GovernedNetwork, SILENT } from '../support/governed-network.ts';

const TARGET = 11;
/** Where a small quorum shows the same: four judge the fifth, three decide. */
const SMALL = 5;

/** All others judge the last node. */
function network(finds: (nodeId: number) => boolean = () => true, size = TARGET): GovernedNetwork {
  const net = new GovernedNetwork(size);
  for (const node of net.nodes) if (node.nodeId !== size && finds(node.nodeId)) node.finds.set(size, SILENT);
  return net;
}

const submitters = (net: GovernedNetwork) =>
  net.nodes.filter(({ writer }) => writer.changes.length > 0).map(({ nodeId }) => nodeId);

describe('a quorum', () => {
  test('suspends a silent node with one transaction, by the first voter', async () => {
    await using net = network();
    await net.pass(3_000);
    expect(net.view.nodes().get(TARGET)).toMatchObject({ state: 'decommissioned', stateNonce: 1 });
    expect(submitters(net)).toEqual([1]);
    expect(net.changes).toHaveLength(1);
    expect(net.changes[0]!.votes.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(net.view.nodes().get(TARGET)!.reasonsAny).toBe(REASON.uptime | REASON.storage);
    expect(net.node(1).told).toContain('info voted to suspend a node');
    expect(net.node(TARGET).told).toEqual([
      'warn other nodes vote to suspend this node',
      'warn other nodes vote to suspend this node',
      'error a quorum suspended this node: mend it before the grace time is over, or it is removed and its stake is locked',
    ]);
    // Nothing is left to repeat.
    const sent = net.sent.get('sn.chain_vote')!;
    for (const node of net.nodes) node.finds.clear();
    await net.pass(10_000);
    expect(net.sent.get('sn.chain_vote')).toBe(sent);
    expect(net.nodes.every(({ voting }) => voting.held === 0)).toBe(true);
  });

  test('a captured minority of six decides nothing, whatever it claims', async () => {
    await using net = network((nodeId) => nodeId <= 6);
    await net.pass(20_000);
    expect(net.view.nodes().get(TARGET)!.state).toBe('active');
    expect(submitters(net)).toEqual([]);
    expect(net.node(1).voting.held).toBe(6);
  });

  test('reinstates a node that came back, and removes one that did not when its grace is over', async () => {
    await using net = network(undefined, SMALL);
    await net.pass(3_000);
    const { decommissionedAt } = net.view.nodes().get(SMALL)!;
    const proofAt = (decommissionedAt + 5) * 1000;
    for (const node of net.nodes) node.finds.set(SMALL, { ...FINE, proofAt });
    await net.pass(3_000);
    expect(net.view.nodes().get(SMALL)).toMatchObject({ state: 'active', stateNonce: 2 });
    expect(net.node(SMALL).told.at(-1)).toBe('info a quorum reinstated this node');

    // Away again, now for good.
    for (const node of net.nodes) node.finds.set(SMALL, SILENT);
    await net.pass(3_000);
    expect(net.view.nodes().get(SMALL)).toMatchObject({ state: 'decommissioned', stateNonce: 3 });
    for (let epoch = 11; epoch <= 13; epoch++) {
      expect(net.view.nodes().get(SMALL)!.state).toBe('decommissioned');
      await net.pass(22_000);
      net.setEpoch(epoch);
      await net.pass(4_000);
    }
    expect(net.view.nodes().get(SMALL)).toMatchObject({ state: 'deregistered', stateNonce: 4 });
    const gone = net.changes.at(-1)!;
    expect(gone.action).toBe(3);
    // Of an epoch that began after the suspension (spec/chain §4.11).
    expect(gone.epoch).toBeGreaterThan(10);
  });

  test('votes of a node that crashed after voting count, and the next voter submits', async () => {
    await using net = network(undefined, SMALL);
    await net.pass(500);
    // Voted, and gone before it is its turn.
    await net.node(1).voting.stop();
    net.node(1).isUp = false;
    await net.pass(4_000);
    expect(net.view.nodes().get(SMALL)!.state).toBe('decommissioned');
    expect(submitters(net)).toEqual([2]);
  });

  test('all submitters but the last fail: the last one does it', async () => {
    await using net = network((nodeId) => nodeId >= 4);
    for (const node of net.nodes) {
      if (node.nodeId !== 10) node.writer.fails = { outcome: 'failed', reason: 'insufficient funds for gas' };
    }
    await net.pass(12_000);
    expect(net.view.nodes().get(TARGET)!.state).toBe('decommissioned');
    expect(submitters(net)).toEqual([4, 5, 6, 7, 8, 9, 10]);
    // Each gave up after three tries (spec/chain §4.19) or as soon as it was done.
    for (const node of net.nodes) expect(node.writer.changes.length).toBeLessThanOrEqual(3);
    expect(net.node(4).told).toContain(
      'warn the decision of a quorum to suspend a node could not be brought to the chain',
    );
  });

  test('a node that came late gets the votes by repetition', async () => {
    await using net = network((nodeId) => nodeId <= 7);
    net.node(3).isUp = false;
    await net.pass(3_000);
    expect(net.view.nodes().get(TARGET)!.state).toBe('active');
    net.node(3).isUp = true;
    await net.pass(4_000);
    expect(net.view.nodes().get(TARGET)!.state).toBe('decommissioned');
  });

  test('votes for epoch e die with epoch e + 1', async () => {
    await using net = network((nodeId) => nodeId <= 6);
    await net.pass(3_000);
    expect(net.node(1).voting.held).toBe(6);
    for (const node of net.nodes) node.finds.clear();
    await net.pass(27_000);
    net.setEpoch(11);
    expect(net.node(1).voting.held).toBe(6);
    await net.pass(30_000);
    net.setEpoch(12);
    expect(net.node(1).voting.held).toBe(0);
  });
});

describe('who may not accuse', () => {
  test('a node without a fresh view of the chain', async () => {
    await using net = network();
    net.view.setFresh(false);
    await net.pass(10_000);
    expect(net.sent.get('sn.chain_vote')).toBeUndefined();
  });

  test('a node that has not watched for the validity time; it may still vouch for others', async () => {
    await using net = network(undefined, SMALL);
    for (const node of net.nodes) node.watchedMs = 24_999;
    await net.pass(5_000);
    expect(net.sent.get('sn.chain_vote')).toBeUndefined();
    net.view.changeNode(SMALL, { state: 'decommissioned', decommissionedAt: 1_700_000_300, stateNonce: 1 });
    for (const node of net.nodes) node.finds.set(SMALL, { ...FINE, proofAt: 1_700_000_301_000 });
    await net.pass(3_000);
    expect(net.view.nodes().get(SMALL)).toMatchObject({ state: 'active', stateNonce: 2 });
  });

  test('a suspended node', async () => {
    await using net = network((nodeId) => nodeId === 1);
    net.view.changeNode(1, { state: 'decommissioned', decommissionedAt: 1_700_000_300, stateNonce: 1 });
    await net.pass(5_000);
    expect(net.sent.get('sn.chain_vote')).toBeUndefined();
  });

  test('a node whose own clock is 40 s off', async () => {
    await using net = network((nodeId) => nodeId === 1);
    for (const peer of net.nodes.slice(1)) net.node(1).book.timeAsked(peer.keys.ed25519Hex, 40_000);
    await net.pass(5_000);
    expect(net.sent.get('sn.chain_vote')).toBeUndefined();
    expect(net.node(1).told[0]).toMatch(/^warn the clock of this machine is wrong/);
  });

  test('a partition of four of ten: neither side has a quorum, and nobody is suspended', async () => {
    await using net = new GovernedNetwork(10);
    const side = (nodeId: number) => nodeId <= 4;
    net.reaches = (from, to) => side(from) === side(to);
    for (const node of net.nodes) {
      for (const other of net.nodes) {
        if (side(node.nodeId) !== side(other.nodeId)) node.finds.set(other.nodeId, SILENT);
      }
    }
    await net.pass(25_000);
    expect(net.changes).toEqual([]);
    // Votes that waited meet when it ends: six of nine in the quorums of the smaller side, four in those of the other.
    net.reaches = () => true;
    for (const node of net.nodes) node.finds.clear();
    await net.pass(5_000);
    expect(net.changes).toEqual([]);
    expect([...net.view.nodes().values()].every(({ state }) => state === 'active')).toBe(true);
  });
});

test('a node whose voting key was rotated on the chain alone is told, once, and when it is right again', async () => {
  await using net = network(undefined, SMALL);
  const own = net.view.nodes().get(1)!;
  net.view.changeNode(1, { votingKey: `0x${'77'.repeat(20)}` });
  net.view.changeNode(1, { feeBps: 1 });
  net.view.changeNode(1, { votingKey: own.votingKey });
  expect(net.node(1).told.filter((line) => line.includes('voting key'))).toEqual([
    expect.stringMatching(/^error the voting key is not the one/),
    expect.stringMatching(/^info the voting key is the one/),
  ]);
});

describe('hostile votes', () => {
  function vote(
    net: GovernedNetwork,
    changes: Partial<Parameters<typeof encodeVote>[0]>,
    signer = 1,
  ): Uint8Array {
    const { chainId, registry } = net.view.network;
    const message = {
      nodeId: TARGET,
      action: 1 as const,
      epoch: 10,
      stateNonce: 0,
      reasons: 9,
      index: signer - 1,
      signature: new Uint8Array(64),
      ...changes,
    };
    const digest = voteDigest(domainSeparator(chainId, registry), message);
    return encodeVote({ ...message, signature: signDigest(digest, net.node(signer).votingKey) });
  }
  const word = (net: GovernedNetwork, bytes: Uint8Array, from = 'peer') =>
    net.node(2).voting.answer(from, bytes)?.[0];

  test.each([
    ['of another quorum index', { index: 3 }, 'invalid'],
    ['of an index outside the quorum', { index: 10 }, 'invalid'],
    ['for an unknown node', { nodeId: 4_000_000 }, 'invalid'],
    ['of a far epoch', { epoch: 99 }, 'invalid'],
    ['of an action that the state does not allow', { action: 3 as const }, 'invalid'],
    ['of an old epoch', { epoch: 8 }, 'stale'],
    ['of a state to come', { stateNonce: 7 }, 'early'],
    ['as it should be', {}, 'OK'],
  ])('%s', async (_, changes, expected) => {
    await using net = new GovernedNetwork(11);
    expect(word(net, vote(net, changes))).toBe(expected);
    expect(net.node(2).voting.held).toBe(expected === 'OK' ? 1 : 0);
  });

  test('of an old state: no vote, no offence', async () => {
    await using net = new GovernedNetwork(11);
    net.view.changeNode(TARGET, { stateNonce: 3 });
    for (let i = 0; i < 20; i++) expect(word(net, vote(net, { stateNonce: 2 }))).toBe('stale');
  });

  test('reasons edited after signing, and a parity bit flipped', async () => {
    await using net = new GovernedNetwork(11);
    const bytes = vote(net, {});
    const text = Buffer.from(bytes).toString('latin1');
    expect(word(net, Buffer.from(text.replace('1:ri9e', '1:ri8e'), 'latin1'))).toBe('invalid');
    const flipped = Uint8Array.from(bytes);
    flipped[text.indexOf('64:') + 3 + 32]! ^= 0x80;
    expect(word(net, flipped)).toBe('invalid');
    expect(word(net, new Uint8Array(0))).toBe('invalid');
    expect(word(net, new Uint8Array(5000))).toBe('invalid');
  });

  test('signed by a node that is not in the quorum', async () => {
    await using net = new GovernedNetwork(13);
    // Node 13 judges nobody with a smaller number: quorums hold the first ten others.
    const { chainId, registry } = net.view.network;
    const message = { nodeId: 1, action: 1 as const, epoch: 10, stateNonce: 0, reasons: 9, index: 4 };
    const digest = voteDigest(domainSeparator(chainId, registry), message);
    const signature = signDigest(digest, net.node(13).votingKey);
    expect(word(net, encodeVote({ ...message, signature }))).toBe('invalid');
  });

  test('ten invalid ones within an hour, and the sender is not heard any more; others are', async () => {
    await using net = new GovernedNetwork(11);
    for (let i = 0; i < 10; i++) expect(word(net, vote(net, { index: 3 }), 'flooder')).toBe('invalid');
    expect(word(net, vote(net, {}), 'flooder')).toBeUndefined();
    expect(word(net, vote(net, {}), 'another')).toBe('OK');
    net.clock.advance(3_600_000);
    net.view.setEpoch(10);
    expect(word(net, vote(net, {}), 'flooder')).toBe('known');
  });

  test('a flood of votes fills one place per voter', async () => {
    await using net = new GovernedNetwork(11);
    for (let round = 0; round < 200; round++) {
      for (const signer of [1, 3, 4]) word(net, vote(net, { reasons: 1 + round }, signer), `peer ${signer}`);
    }
    expect(net.node(2).voting.held).toBe(3);
  });

  test('duplicates do not make a majority, and any order of arrival is put right', async () => {
    await using net = new GovernedNetwork(11);
    for (let i = 0; i < 7; i++) word(net, vote(net, {}, 1));
    await net.pass(2_000);
    expect(net.changes).toEqual([]);
    net.node(2).finds.set(TARGET, SILENT);
    for (const signer of [10, 8, 3, 5, 4]) word(net, vote(net, {}, signer), `peer ${signer}`);
    await net.pass(3_000);
    expect(net.changes[0]?.votes.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 7, 9]);
  });
});
