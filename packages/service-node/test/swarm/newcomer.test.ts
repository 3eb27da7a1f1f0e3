// SPDX-License-Identifier: AGPL-3.0-or-later
// A node that comes into a swarm gets each message once, and all of them when a member is down (docs/decisions/0036).
import { freePorts } from '@allium/net/free-ports';
import { silentLog, systemEnv } from '@allium/net/system-env';
import { until } from '@allium/net/testing/until';
import { randomBytes } from '@allium/protocol/crypto';
import { describe, expect, test } from 'vitest';
import { DumpParts } from '../../src/swarm/dump-parts.ts';
import { TestAccount } from '../support/test-account.ts';
import { TestNetwork, type TestNode } from '../support/test-network.ts';

const ACCOUNTS = 12;

async function swarmOfThree(accounts: readonly TestAccount[], reconcileEvery: (i: number) => number) {
  const net = await TestNetwork.prepare({ swarms: [4] });
  const ports = await freePorts(4);
  for (const [i, node] of net.nodes.entries()) {
    const { networkFile } = net;
    const more = { networkFile, metricsPort: ports[i]!, reconcileEvery: reconcileEvery(i) };
    node.configure({ ...more, peerTests: 'off' }, systemEnv(silentLog), {});
  }
  const newcomer = net.nodes[3] as TestNode;
  const members = net.nodes.slice(0, 3);
  await net.change({ remove: [newcomer] });
  await Promise.all(members.map(({ service }) => service.start()));
  for (const account of accounts) {
    const message = account.store('kept');
    const isEverywhere = async () => {
      const { json } = await members[0]!.rpc('store', message);
      return Object.values((json.swarm ?? {}) as Record<string, { hash?: string }>).every(({ hash }) => hash);
    };
    await until(isEverywhere, 'all members to have it');
  }
  // They were new themselves: those that have been there ask nobody.
  await Promise.all(members.map(({ service }) => service.stop()));
  await Promise.all(members.map(({ service }) => service.start()));
  return { net, members, newcomer, [Symbol.asyncDispose]: () => net[Symbol.asyncDispose]() };
}

const has = async (node: TestNode, accounts: readonly TestAccount[]): Promise<number> => {
  let count = 0;
  for (const account of accounts) {
    const { json } = await node.rpc('retrieve', account.retrieve());
    count += json?.messages?.length ?? 0;
  }
  return count;
};

const handedOver = async (nodes: readonly TestNode[]): Promise<number> => {
  let sum = 0;
  for (const node of nodes) sum += await node.metric('allium_messages_handed_over_total');
  return sum;
};

describe('a newcomer of a swarm', () => {
  const accounts = Array.from({ length: ACCOUNTS }, () => TestAccount.session());

  test('is given every message by one member', async () => {
    await using f = await swarmOfThree(accounts, () => 3600);
    await f.newcomer.service.start();
    await f.net.change({ add: [f.newcomer] });
    await until(async () => (await has(f.newcomer, accounts)) === ACCOUNTS, 'the messages');
    await until(async () => (await handedOver(f.members)) >= ACCOUNTS, 'the counts');
    expect(await handedOver(f.members)).toBe(ACCOUNTS);
  });

  test('gets what a member that is down should have given', async () => {
    await using f = await swarmOfThree(accounts, () => 3600);
    const absent = f.members.find(({ hex }) => {
      const parts = new DumpParts(
        hex,
        f.members.map((member) => member.hex),
      );
      return accounts.some((account) => parts.has(account.bytes));
    })!;
    await absent.service.stop();
    await f.newcomer.service.start();
    await f.net.change({ add: [f.newcomer] });
    await until(async () => (await has(f.newcomer, accounts)) === ACCOUNTS, 'the messages');
  });

  test('that cannot be compared with is given all by everybody', async () => {
    await using f = await swarmOfThree(accounts, (i) => (i === 3 ? 0 : 3600));
    await f.newcomer.service.start();
    await f.net.change({ add: [f.newcomer] });
    await until(async () => (await handedOver(f.members)) >= 3 * ACCOUNTS, 'three times the messages');
    expect(await has(f.newcomer, accounts)).toBe(ACCOUNTS);
  });
});

describe('the parts of a dump', () => {
  const key = () => Buffer.from(randomBytes(32)).toString('hex');
  const members = Array.from({ length: 5 }, key);
  const accounts = Array.from({ length: 500 }, () => randomBytes(33));
  const giverOf = (givers: readonly string[]) => {
    const parts = givers.map((own) => ({ own, parts: new DumpParts(own, givers) }));
    return accounts.map((account) => {
      const found = parts.filter((one) => one.parts.has(account));
      expect(found).toHaveLength(1);
      return found[0]!.own;
    });
  };

  test('are about equal, whatever the order of the members', () => {
    const givers = giverOf(members);
    expect(giverOf([...members].reverse())).toEqual(givers);
    for (const member of members)
      expect(givers.filter((giver) => giver === member).length).toBeGreaterThan(30);
  });

  test('of a member of which not all know are the only ones that differ', () => {
    const before = giverOf(members.slice(1));
    for (const [i, giver] of giverOf(members).entries()) {
      if (giver !== members[0]) expect(giver).toBe(before[i]);
    }
  });

  test('look after each newcomer in one order', () => {
    const newcomer = key();
    const places = members.map((own) => new DumpParts(own, members).placeFor(newcomer));
    expect(places.sort()).toEqual([0, 1, 2, 3, 4]);
  });
});
