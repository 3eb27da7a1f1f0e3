// SPDX-License-Identifier: AGPL-3.0-or-later
// Real nodes with real sockets suspend and reinstate one of them, at the pace of a local network, with a clock that runs
// six times as fast.
import { epochAt, type StateChange } from '@allium/chain/chain-view';
import { FakeChainView, FakeChainWriter } from '@allium/chain/testing';
import { votingAddress } from '@allium/chain/votes';
import { freePorts } from '@allium/net/free-ports';
import { silentLog, systemClock, systemRandom } from '@allium/net/system-env';
import { until } from '@allium/net/testing/until';
import type { Env } from '@allium/protocol/env';
import { REASON } from '@allium/protocol/membership/reasons';
import { expect, test } from 'vitest';
import { ServiceNode } from '../../src/service-node.ts';
import { ChainTestNode } from '../support/chain-network.ts';
import { applyStateChange } from '../support/governed-network.ts';

const FASTER = 6;
const NODES = 4;

const began = Date.now();
const env: Env = {
  clock: {
    now: () => began + (Date.now() - began) * FASTER,
    monotonic: () => systemClock.monotonic() * FASTER,
    after: (ms, run) => systemClock.after(ms / FASTER, run),
  },
  random: systemRandom,
  log: silentLog,
};

test('a node that is gone is suspended by all others, and reinstated when it is back', async () => {
  const view = new FakeChainView({ t0: Math.floor(began / 1000) - 1000 });
  const now = () => Math.floor(env.clock.now() / 1000);
  const ports = await freePorts(2 * NODES);
  const nodes: ChainTestNode[] = [];
  const changes: StateChange[] = [];
  for (let i = 0; i < NODES; i++) {
    const votingKey = new Uint8Array(32).fill(50 + i);
    const node = new ChainTestNode({
      nodeId: i + 1,
      ports: [ports[2 * i]!, ports[2 * i + 1]!],
      view,
      peers: nodes.slice(0, 1).map(({ peer }) => peer),
      env,
      options: { peerTests: 'auto' },
    });
    const writer = new FakeChainWriter(votingAddress(votingKey));
    writer.submitStateChange = async (change) => {
      const submission = applyStateChange(view, change, now());
      if (submission.outcome === 'done') changes.push(change);
      return submission;
    };
    node.service = new ServiceNode(node.options, env, { chain: async () => ({ view, writer, votingKey }) });
    nodes.push(node);
    view.setNode({ nodeId: i + 1, ed25519Hex: node.hex, votingKey: writer.address, activeSince: now() });
  }
  const follow = () => {
    view.setHead({ number: BigInt(now()), hash: `0x${'11'.repeat(32)}`, timestamp: now() });
    const epoch = epochAt(view.network, now());
    if (view.epochView()?.epoch === epoch) return;
    const ids = nodes.map(({ nodeId }) => nodeId);
    for (const id of ids)
      view.setQuorum(
        id,
        epoch,
        ids.filter((other) => other !== id),
      );
    view.setEpoch(epoch);
  };
  const ticking = setInterval(follow, 50);
  follow();
  try {
    await Promise.all(nodes.map(({ service }) => service.start()));
    const victim = nodes[NODES - 1]!;
    const state = () => view.nodes().get(victim.nodeId)!.state;
    await until(
      async () =>
        (await Promise.all(nodes.map((node) => node.addresses()))).every(({ size }) => size === NODES),
      'everybody to know everybody',
    );
    await victim.service.stop();
    await until(() => state() === 'decommissioned', 'the node to be suspended');
    expect(changes).toHaveLength(1);
    expect(changes[0]).toMatchObject({ nodeId: victim.nodeId, action: 1, stateNonce: 0 });
    expect(changes[0]!.votes).toHaveLength(NODES - 1);
    expect(view.nodes().get(victim.nodeId)!.reasonsAny & (REASON.storage | REASON.uptime)).not.toBe(0);
    // Nobody else came to harm.
    for (const { nodeId } of nodes.slice(0, -1)) expect(view.nodes().get(nodeId)!.state).toBe('active');

    await victim.service.start();
    await until(() => state() === 'active', 'the node to be reinstated');
    expect(changes).toHaveLength(2);
    expect(changes[1]).toMatchObject({ nodeId: victim.nodeId, action: 2, stateNonce: 1 });
  } finally {
    clearInterval(ticking);
    await Promise.all(nodes.map(({ service }) => service.stop()));
    for (const node of nodes) node.folder[Symbol.dispose]();
  }
});
