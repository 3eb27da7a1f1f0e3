// SPDX-License-Identifier: AGPL-3.0-or-later
// Real nodes on loopback that follow a chain: addresses by uptime proofs, swarms by epochs, lists as clients read them.
import { readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { FakeChainView } from '@allium/chain/testing';
import { freePorts } from '@allium/net/free-ports';
import { OmqError } from '@allium/net/omq/endpoint';
import { systemEnv } from '@allium/net/system-env';
import { until } from '@allium/net/testing/until';
import { fromUtf8 } from '@allium/protocol/bytes';
import { randomBytes } from '@allium/protocol/crypto';
import type { Clock, Logger } from '@allium/protocol/env';
import { parseJson } from '@allium/protocol/json';
import { encodeSignedProof, signUptimeProof } from '@allium/protocol/membership/uptime-proof';
import { chooseSwarm, swarmPosition } from '@allium/protocol/swarm';
import { describe, expect, test } from 'vitest';
import { NodeKeys } from '../../src/node-keys.ts';
import { ChainTestNetwork, ChainTestNode, SWARM_A, SWARM_B } from '../support/chain-network.ts';
import { TestAccount } from '../support/test-account.ts';

const UNASSIGNED = 18446744073709551615n;

const held = async (node: ChainTestNode, account: TestAccount) => {
  const answer = await node.rpc('retrieve', account.retrieve());
  return answer.status === 200 ? answer.json.messages.length : answer.status;
};

function errorsLog(lines: string[]): Logger {
  const add = (_: unknown, text: string) => lines.push(text);
  const log: Logger = { error: add, warn: add, info: () => {}, debug: () => {}, child: () => log };
  return log;
}

describe.concurrent('addresses', () => {
  test('nodes that know one of them find each other, serve accounts, and know the others after a restart', async () => {
    await using net = await ChainTestNetwork.start({ swarms: [3], extra: 1 });
    const account = TestAccount.session();
    const { status, json } = await net.node(0).rpc('store', account.store('by proofs'));
    expect(status).toBe(200);
    expect(Object.values(json.swarm).every((each) => 'hash' in (each as object))).toBe(true);
    expect(await held(net.node(2), account)).toBe(1);
    // A node that waits for its epoch is known and relays, but holds nothing.
    expect(await held(net.node(3), account)).toBe(421);

    const known = await net.node(2).addresses();
    await Promise.all(net.nodes.map((node) => node.service.stop()));
    await net.node(2).make({ peers: [] }).start();
    expect(await net.node(2).addresses()).toEqual(known);
    expect(await held(net.node(2), account)).toBe(1);
  });

  test('a node that comes back elsewhere is found there, and pollers see that the list changed', async () => {
    await using net = await ChainTestNetwork.start({ swarms: [3] });
    const [watcher, , mover] = net.nodes as [ChainTestNode, ChainTestNode, ChainTestNode];
    const { block_hash } = await watcher.list();
    expect(block_hash).toMatch(/^[0-9a-f]{64}$/);
    const poll = { poll_block_hash: block_hash };
    expect(await watcher.list(poll)).toEqual({ unchanged: true, status: 'OK' });
    await mover.service.stop();
    const [omqPort] = await freePorts(1);
    await mover.make({ omqPort: omqPort! }).start();
    await until(async () => {
      return (await watcher.addresses()).get(mover.hex) === `127.0.0.1:${omqPort}`;
    }, 'the new address');
    const list = await watcher.list(poll);
    expect(list.unchanged).toBe(false);
    expect(list.block_hash).not.toBe(block_hash);
  });

  test('behind a router the ports that it maps are announced', async () => {
    await using net = await ChainTestNetwork.start({ swarms: [2] });
    const [watcher, mapped] = [net.node(0), net.node(1)];
    await mapped.service.stop();
    const [openHttps, openOmq] = (await freePorts(2)) as [number, number];
    const router = [
      [openHttps, mapped.httpsPort],
      [openOmq, mapped.omqPort],
    ].map(([from, to]) =>
      createServer((outside) => {
        const inside = connect(to!, '127.0.0.1');
        outside.pipe(inside).pipe(outside);
        for (const socket of [outside, inside]) socket.on('error', () => {});
      }).listen(from, '127.0.0.1'),
    );
    try {
      await mapped.make({ publicHttpsPort: openHttps, publicOmqPort: openOmq }).start();
      await until(async () => {
        return (await watcher.addresses()).get(mapped.hex) === `127.0.0.1:${openOmq}`;
      }, 'the mapped port');
      const account = TestAccount.session();
      expect((await watcher.rpc('store', account.store('through the router'))).status).toBe(200);
      await until(async () => (await held(mapped, account)) === 1, 'the message behind it');
    } finally {
      await mapped.service.stop();
      for (const server of router) server.close();
    }
  });

  test('a clock 40 s off: the others refuse its proofs, and it theirs', async () => {
    await using net = await ChainTestNetwork.prepare({ swarms: [2] });
    const system = systemEnv();
    const clock: Clock = {
      now: () => system.clock.now() + 40_000,
      monotonic: () => system.clock.monotonic(),
      after: (ms, run) => system.clock.after(ms, run),
    };
    const ports = await freePorts(2);
    const late = new ChainTestNode({
      nodeId: 3,
      ports: [ports[0]!, ports[1]!],
      view: net.view,
      peers: [net.node(0).peer],
      env: { ...system, clock },
    });
    net.view.setNode({ nodeId: 3, ed25519Hex: late.hex });
    net.nodes.push(late);
    await Promise.all(net.nodes.map((node) => node.service.start()));
    await until(async () => (await net.node(0).addresses()).size === 2, 'the two to meet');
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect((await net.node(0).addresses()).has(late.hex)).toBe(false);
    // Its own is the only one that it takes.
    expect([...(await late.addresses()).keys()]).toEqual([late.hex]);
  });

  test('a node that announces the address of another, or its key, harms only itself', async () => {
    await using net = await ChainTestNetwork.prepare({ swarms: [3] });
    const thief = new NodeKeys(randomBytes(32));
    net.view.setNode({ nodeId: 4, ed25519Hex: thief.ed25519Hex });
    await Promise.all(net.nodes.map((node) => node.service.start()));
    await until(async () => (await net.node(1).addresses()).size === 3, 'the three to meet');
    const [victim, witness] = [net.node(0), net.node(1)];
    const before = await witness.addresses();
    const facts = {
      registry: net.view.network.registry,
      chainId: net.view.network.chainId,
      epoch: 2,
      blockNumber: 7,
      blockHash: net.view.head()!.hash,
      host: '127.0.0.1',
      httpsPort: victim.httpsPort,
      omqPort: victim.omqPort,
      storageVersion: [2, 11, 0],
      nodeVersion: [0, 1, 0],
      time: Math.floor(Date.now() / 1000) + 2,
    } as const;
    const show = async (wire: Uint8Array) =>
      fromUtf8((await net.omq(witness, 'sn.chain_proof', [wire], thief))[0]!);
    // The key of the victim, at an address of the thief.
    const sign = (message: Uint8Array) => thief.sign(message);
    const forged = signUptimeProof({ ...facts, omqPort: 9 }, { ed25519Key: victim.keys.ed25519Key, sign });
    expect(['signature', 'too_soon', 'older']).toContain(await show(encodeSignedProof(forged)));
    expect((await witness.addresses()).get(victim.hex)).toBe(before.get(victim.hex));
    // Its own key, at the address of the victim.
    expect(await show(encodeSignedProof(signUptimeProof(facts, thief)))).toBe('OK');
    await until(async () => (await witness.addresses()).size === 4, 'the list');
    const after = await witness.addresses();
    expect(after.get(thief.ed25519Hex)).toBe(after.get(victim.hex));
    for (const { hex } of net.nodes) expect(after.get(hex)).toBe(before.get(hex));
    // All three are still reached under their keys, and hold what is stored.
    const account = TestAccount.session();
    const { status, json } = await witness.rpc('store', account.store('by its key'));
    expect(status).toBe(200);
    expect(Object.values(json.swarm).every((each) => 'hash' in (each as object))).toBe(true);
    expect(await held(victim, account)).toBe(1);
  });

  test('of two processes with one key one falls silent and says so', async () => {
    const lines: string[] = [];
    await using net = await ChainTestNetwork.start({ swarms: [3], log: errorsLog(lines) });
    const first = net.node(2);
    const ports = await freePorts(2);
    const seed = readFileSync(first.folder.file('node.key'), 'utf8');
    const twin = new ChainTestNode({
      nodeId: 3,
      ports: [ports[0]!, ports[1]!],
      view: net.view,
      peers: [net.node(0).peer],
      seed: Buffer.from(seed.trim(), 'hex'),
      env: systemEnv(errorsLog(lines)),
      options: { bindHost: '127.0.0.2' },
    });
    try {
      await twin.service.start();
      let epoch = 3;
      const next = setInterval(() => net.setSwarms(epoch++, [3]), 2000);
      try {
        await until(() => lines.some((line) => /another process uses the key/.test(line)), 'the warning');
      } finally {
        clearInterval(next);
      }
    } finally {
      await twin.service.stop();
      twin.folder[Symbol.dispose]();
    }
  });

  test.each([
    [{ bindHost: '0.0.0.0' }, 'local', /--public-ip/],
    [{ bindHost: '127.0.0.1' }, 'production', /not a public address/],
    [{ publicIp: '10.1.2.3' }, 'production', /not a public address/],
    [{ publicIp: '2001:db8::1' }, 'local', /public IPv4 address/],
  ] as const)('a node that cannot be found does not start: %o', async (options, preset, text) => {
    await using net = await ChainTestNetwork.prepare({ swarms: [1], view: new FakeChainView({ preset }) });
    await expect(net.node(0).make(options).start()).rejects.toThrow(text);
  });
});

describe.concurrent('epochs', () => {
  test('messages follow their accounts into a new swarm; for a while the old one serves them too', async () => {
    await using net = await ChainTestNetwork.start({ swarms: [2], extra: 2 });
    const [a, b, c] = net.nodes as [ChainTestNode, ChainTestNode, ChainTestNode];
    const moving = accountAt(SWARM_B);
    const staying = accountAt(SWARM_A);
    for (const account of [moving, staying]) {
      expect((await a.rpc('store', account.store('before'))).status).toBe(200);
    }
    net.setSwarms(3, [2, 2]);
    await until(async () => (await held(c, moving)) === 1, 'the message in the new swarm');
    expect(await held(c, staying)).toBe(421);
    // Under the map before: what is stored here must be where it belongs now.
    const late = await b.rpc('store', moving.store('by the old map'));
    expect(late.status).toBe(200);
    expect(Object.keys(late.json.swarm).sort()).toEqual([b.hex, c.hex, net.node(3).hex].sort());
    expect(await held(net.node(3), moving)).toBe(2);
    expect(await held(a, staying)).toBe(1);
    await until(async () => (await held(a, moving)) === 421, 'the end of the old map');
    expect((await b.rpc('store', moving.store('too late'))).status).toBe(421);
    expect(await held(a, staying)).toBe(1);
  });

  test('a node that missed an epoch while it was down moves its messages when it starts', async () => {
    await using net = await ChainTestNetwork.start({ swarms: [2], extra: 2 });
    const [a, b, c] = net.nodes as [ChainTestNode, ChainTestNode, ChainTestNode];
    const moving = accountAt(SWARM_B);
    await a.rpc('store', moving.store('before'));
    await Promise.all([a.service.stop(), b.service.stop()]);
    net.setSwarms(3, [2, 2]);
    expect(await held(c, moving)).toBe(0);
    await a.make().start();
    await until(async () => (await held(c, moving)) === 1, 'the message in the new swarm');
    expect(await held(a, moving)).toBe(421);
  });

  test('a decommissioned node is shown as such at once, leaves its swarm with the epoch, and may still speak', async () => {
    await using net = await ChainTestNetwork.start({ swarms: [3] });
    const [a, , c] = net.nodes as [ChainTestNode, ChainTestNode, ChainTestNode];
    const account = TestAccount.session();
    const before = (await a.list()).block_hash;
    const now = Math.floor(Date.now() / 1000);
    net.view.changeNode(c.nodeId, {
      state: 'decommissioned',
      stateNonce: 1,
      until: 3,
      decommissionedAt: now,
      credit: 500,
      reasonsAll: 0x0001,
      reasonsAny: 0x0009,
    });
    await until(async () => (await a.list()).block_hash !== before, 'the list to change');
    const body = JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'get_n_service_nodes', params: {} });
    const list = parseJson((await a.post('/json_rpc', body)).text) as never as {
      result: { service_node_states: Record<string, unknown>[] };
    };
    const shown = list.result.service_node_states.find((state) => state.pubkey_ed25519 === c.hex);
    expect(shown).toMatchObject({
      active: false,
      funded: true,
      payable: false,
      swarm_id: UNASSIGNED,
      swarm: 'ffffffffffffffff',
      earned_downtime_blocks: 4,
      last_decommission_reason_consensus_all: 1,
      last_decommission_reason_consensus_any: 9,
      last_decomm_reasons: { all: ['uptime'], some: ['storage'] },
      public_ip: '127.0.0.1',
      storage_lmq_port: c.omqPort,
    });
    expect((await a.list({ active_only: true })).service_node_states).toHaveLength(2);
    // Until the epoch ends it holds messages like the others.
    const stored = await a.rpc('store', account.store('still three'));
    expect(Object.keys(stored.json.swarm)).toContain(c.hex);
    net.setSwarms(3, [2]);
    expect(Object.keys((await a.rpc('store', account.store('two'))).json.swarm)).not.toContain(c.hex);
    await until(async () => (await held(c, account)) === 421, 'the end of the old map');
    await c.service.stop();
    expect(fromUtf8((await net.omq(a, 'sn.ping', [], c.keys))[0]!)).toBe('pong');
    expect(Number(fromUtf8((await net.omq(a, 'sn.chain_time', [], c.keys))[0]!))).toBeGreaterThanOrEqual(now);
    await expect(net.omq(a, 'sn.ping', [])).rejects.toThrow(OmqError);
  });

  test('lists say of each node what the chain says', async () => {
    await using net = await ChainTestNetwork.start({ swarms: [2], extra: 1 });
    const { t0 } = net.view.network;
    const unlockAt = t0 + 120 * 50;
    net.view.changeNode(2, { unlockAt, feeBps: 1234, payable: false });
    await until(async () => {
      return (await net.node(0).list()).service_node_states.some(
        (state: { requested_unlock_height: number }) => state.requested_unlock_height === 50,
      );
    }, 'the change');
    const list = await net.node(0).list();
    expect(list).toMatchObject({
      height: Math.floor((Date.now() / 1000 - t0) / 120),
      hardfork: 21,
      snode_revision: 2,
    });
    const of = (node: ChainTestNode) =>
      list.service_node_states.find((state: { pubkey_ed25519: string }) => state.pubkey_ed25519 === node.hex);
    expect(of(net.node(1))).toMatchObject({
      service_node_pubkey: net.node(1).hex,
      active: true,
      payable: false,
      requested_unlock_height: 50,
      registration_height: 0,
      operator_fee: 123_400,
      portions_for_operator: expect.anything(),
      total_contributed: 100_000_000_000,
      storage_server_version: [2, 11, 0],
      swarm: SWARM_A.toString(16),
    });
    expect(of(net.node(0))).toMatchObject({ payable: true, requested_unlock_height: 0 });
    expect(of(net.node(0)).last_uptime_proof).toBeGreaterThan(t0);
    // Registered, and waiting for its epoch.
    expect(of(net.node(2))).toMatchObject({ active: true, swarm: 'ffffffffffffffff' });
    const text = (
      await net.node(0).post('/json_rpc', '{"jsonrpc":"2.0","id":0,"method":"get_service_nodes"}')
    ).text;
    expect(text).toContain('"swarm_id":18446744073709551615');
  });
});

/** An account of the half of the ring around a swarm id, when there are two. */
function accountAt(swarmId: bigint): TestAccount {
  for (;;) {
    const account = TestAccount.session();
    if (chooseSwarm(swarmPosition(account.key), [SWARM_A, SWARM_B]) === swarmId) return account;
  }
}
