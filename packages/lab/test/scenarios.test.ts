// SPDX-License-Identifier: AGPL-3.0-or-later
// Scenarios that are written once and run on both engines: real sockets and files, and virtual time.
import type { Client } from '@allium/client';
import { Account } from '@allium/protocol/account';
import { describe, expect, test } from 'vitest';
import { Devnet } from '../src/devnet.ts';
import type { ScenarioNetwork, ScenarioNode, ScenarioOptions } from '../src/scenario.ts';
import { Sim } from '../src/sim/sim.ts';
import { store, texts } from '../src/single-node.ts';

const ENGINES: readonly [string, (options: ScenarioOptions) => Promise<ScenarioNetwork>][] = [
  ['devnet', (options) => Devnet.start(options)],
  ['sim', (options) => Sim.start({ ...options, seed: 7 })],
];

describe.each(ENGINES)('on %s', (_, start) => {
  test('two of seven members killed: the others work on, and the two catch up', async () => {
    await using net = await start({ swarms: [7] });
    const account = Account.create();
    const [first, second, ...others] = net.swarmOf(account.id) as [
      ScenarioNode,
      ScenarioNode,
      ...ScenarioNode[],
    ];
    await store(net, first, account, 'before');
    await Promise.all([first.kill(), second.kill()]);
    const { status, failed } = await store(net, others[0]!, account, 'meanwhile');
    expect(status).toBe(200);
    expect(failed).toEqual([first.ed25519, second.ed25519].sort());
    for (const node of others) expect(await texts(net, node, account)).toEqual(['before', 'meanwhile']);
    await Promise.all([first.start(), second.start()]);
    for (const node of [first, second]) {
      await net.until(async () => (await texts(net, node, account)).length === 2);
      expect(await texts(net, node, account)).toEqual(['before', 'meanwhile']);
    }
  });

  test('a member that was cut off catches up', async () => {
    await using net = await start({ swarms: [5] });
    const account = Account.create();
    const [first, second] = net.swarmOf(account.id) as [ScenarioNode, ScenarioNode];
    await store(net, first, account, 'before');
    second.partition(true);
    await expect(texts(net, second, account)).rejects.toThrow();
    const { stored, failed } = await store(net, first, account, 'meanwhile');
    expect([stored.length, failed]).toEqual([4, [second.ed25519]]);
    second.partition(false);
    await net.until(async () => (await texts(net, second, account)).length === 2);
  });

  test('a message reaches every device of its account, and the guard may die', async () => {
    await using net = await start({ nodes: 14 });
    const account = Account.create();
    const clients = [await net.client({ account: Account.create() })];
    for (let i = 0; i < 3; i++) clients.push(await net.client({ account }));
    const [alice, ...devices] = clients as [Client, ...Client[]];
    const received = devices.map((device) => {
      const got: string[] = [];
      device.on('message', ({ text }) => got.push(text));
      return got;
    });
    await alice.conversation(account.id).send('first');
    const guard = net.nodes.find((node) => node.ed25519 === alice.path()?.[0]?.ed25519Hex);
    await guard?.kill();
    await alice.conversation(account.id).send('second');
    await net.until(() => received.every((got) => got.length >= 2));
    for (const got of received) expect(got.sort()).toEqual(['first', 'second']);
    await Promise.all(clients.map((client) => client.close()));
  });
});
