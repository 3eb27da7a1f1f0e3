// SPDX-License-Identifier: AGPL-3.0-or-later
// A node that the list leaves out, or moves, may be the only one that has a message (spec/storage-server §5.12 "Ours").
import { DatabaseSync } from 'node:sqlite';
import { Omq } from '@allium/net/omq';
import { systemEnv } from '@allium/net/system-env';
import { until } from '@allium/net/testing/until';
import { toBase64 } from '@allium/protocol/bytes';
import { swarmFor } from '@allium/protocol/membership';
import { changeStaticList, membershipOf } from '@allium/protocol/membership/static-list';
import { encodeDataPush } from '@allium/protocol/storage/data-push';
import { describe, expect, test } from 'vitest';
import { TestAccount } from '../support/test-account.ts';
import { TestNetwork, type TestNode } from '../support/test-network.ts';
import { Told } from '../support/told.ts';

/** Nothing is repaired in passing. */
const OPTIONS = { reconcileEvery: 3600 };

const ok = async (answer: Promise<{ status: number }>) => expect((await answer).status).toBe(200);

const texts = async (node: TestNode, account: TestAccount): Promise<string[]> => {
  const { status, json } = await node.rpc('retrieve', account.retrieve());
  if (status !== 200) return [String(status)];
  return (json.messages as { data: string }[])
    .map(({ data }) => Buffer.from(data, 'base64').toString())
    .sort();
};

const rows = (node: TestNode) => {
  const db = new DatabaseSync(node.folder.file('mailbox.sqlite'), { readOnly: true });
  const count = (table: string) => Number(db.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.n);
  const sum = ['messages', 'accounts', 'acts', 'marks', 'wipes', 'revocations', 'forwards'].map(count);
  db.close();
  return sum.reduce((a, b) => a + b, 0);
};

/** Others are cut off while `work` is done at `node`, and it forgets that it owes them something. */
async function alone(node: TestNode, others: readonly TestNode[], work: () => Promise<void>): Promise<void> {
  await Promise.all(others.map(({ service }) => service.stop()));
  await work();
  await node.service.stop();
  const db = new DatabaseSync(node.folder.file('mailbox.sqlite'));
  db.exec('DELETE FROM forwards');
  db.close();
  await Promise.all([node, ...others].map(({ service }) => service.start()));
}

const remove = (node: TestNode, account: TestAccount, text: string) => {
  const hash = account.hash(text);
  const signature = account.sign('delete', hash);
  return ok(node.rpc('delete', { ...account.params, messages: [hash], signature }));
};

const revoke = (node: TestNode, group: TestAccount, token: Uint8Array) => {
  const timestamp = Date.now();
  const signature = group.sign('revoke_subaccount', timestamp, token);
  return ok(
    node.rpc('revoke_subaccount', { ...group.params, revoke: toBase64(token), timestamp, signature }),
  );
};

const revoked = async (node: TestNode, group: TestAccount): Promise<number> => {
  const timestamp = Date.now();
  const signature = group.sign('revoked_subaccounts', timestamp);
  const { json } = await node.rpc('revoked_subaccounts', { ...group.params, timestamp, signature });
  return json.revoked_subaccounts?.length;
};

describe('a node that leaves the list', () => {
  test('hands over what only it has, says so, and forgets', async () => {
    const told = new Told();
    await using net = await TestNetwork.start({ swarms: [3], options: OPTIONS, log: told.log });
    const [a, b, c] = net.nodes as [TestNode, TestNode, TestNode];
    const account = TestAccount.session();
    const group = TestAccount.raw();
    for (const text of ['everywhere', 'deleted at one']) await ok(a.rpc('store', account.store(text)));
    await alone(a, [b, c], async () => {
      await ok(a.rpc('store', account.store('only here')));
      await remove(a, account, 'deleted at one');
      await revoke(a, group, group.subaccount(1).token);
    });
    expect(await texts(b, account)).toEqual(['deleted at one', 'everywhere']);
    await net.change({ remove: [a] });
    for (const node of [b, c]) {
      await until(async () => (await texts(node, account)).join() === 'everywhere,only here', 'what it had');
      await until(async () => (await revoked(node, group)) === 1, 'the revocation');
    }
    await until(() => told.count(/^info handed over, safe to switch off/) === 1, 'the word');
    expect(rows(a)).toBe(0);
    expect(await texts(a, account)).toEqual(['421']);
  });

  test('does so after it was down while the list changed', async () => {
    const told = new Told();
    await using net = await TestNetwork.start({ swarms: [2], options: OPTIONS, log: told.log });
    const [a, b] = net.nodes as [TestNode, TestNode];
    const account = TestAccount.session();
    await alone(a, [b], () => ok(a.rpc('store', account.store('only here'))));
    await a.service.stop();
    await net.change({ remove: [a] });
    await until(() => b.service.listVersion === 2, 'the list');
    // Also who serves the accounts now may start again meanwhile.
    await b.service.stop();
    await b.service.start();
    await a.service.start();
    await until(async () => (await texts(b, account)).join() === 'only here', 'the message');
    await until(() => told.count(/safe to switch off/) === 1, 'the word');
  });

  test('keeps everything while nobody takes it', async () => {
    const told = new Told();
    await using net = await TestNetwork.start({ swarms: [2], options: OPTIONS, log: told.log });
    const [a, b] = net.nodes as [TestNode, TestNode];
    const account = TestAccount.session();
    await ok(a.rpc('store', account.store('kept')));
    await b.service.stop();
    await net.change({ remove: [a] });
    await until(() => told.count(/^warn not handed over yet/) >= 1, 'the complaint');
    expect(rows(a)).toBeGreaterThan(0);
    await b.service.start();
    await until(() => told.count(/safe to switch off/) === 1, 'the word');
    expect(rows(a)).toBe(0);
  });

  test('gets everything again when it comes back', async () => {
    const told = new Told();
    await using net = await TestNetwork.start({ swarms: [2], options: OPTIONS, log: told.log });
    const [a, b] = net.nodes as [TestNode, TestNode];
    const account = TestAccount.session();
    const group = TestAccount.raw();
    await ok(a.rpc('store', account.store('stays')));
    await net.change({ remove: [a] });
    await until(() => told.count(/safe to switch off/) === 1, 'the word');
    await revoke(b, group, group.subaccount(1).token);
    await net.change({ add: [a] });
    await until(async () => (await texts(a, account)).join() === 'stays', 'the message');
    expect(await revoked(a, group)).toBe(1);
  });

  test('may do that and nothing else, and what it gives is checked as ever', async () => {
    await using net = await TestNetwork.start({ swarms: [1, 1], options: OPTIONS });
    const [a, b] = net.nodes as [TestNode, TestNode];
    await using _ = { [Symbol.asyncDispose]: () => former.stop() };
    const former = new Omq({ keyPair: a.keys.x25519, isServiceNode: true }, systemEnv());
    await a.service.stop();
    await net.change({ remove: [a] });
    await until(() => b.service.listVersion === 2, 'the list');
    await former.start();
    const call = (command: string, part: Uint8Array | string) => net.omq(b, command, [part], former);
    for (const command of ['sn.ping', 'sn.onion_request', 'sn.storage_cc', 'sn.data_ready', 'sn.missed']) {
      await expect(call(command, 'x'), command).rejects.toThrow('FORBIDDEN_SN');
    }
    const account = TestAccount.session();
    const now = Date.now();
    const message = {
      account: account.bytes,
      timestamp: now,
      namespace: 0,
      data: Buffer.from('late'),
      hash: account.hash('late'),
    };
    const push = (expiry: number) => encodeDataPush([{ ...message, expiry }]).next().value as Uint8Array;
    expect(await call('sn.data', push(now + 40 * 86_400_000))).toEqual([]);
    expect(await texts(b, account)).toEqual([]);
    expect(await call('sn.data', push(now + 60_000))).toEqual([]);
    expect(await texts(b, account)).toEqual(['late']);
    // A stranger may not even that.
    await expect(net.omq(b, 'sn.data', [push(now + 60_000)])).rejects.toThrow('FORBIDDEN_SN');
  });
});

describe('a change of swarms', () => {
  test('a node that moves gives its former swarm what only it has', async () => {
    await using net = await TestNetwork.start({ swarms: [2, 1], options: OPTIONS });
    const [a, b, other] = net.nodes as [TestNode, TestNode, TestNode];
    const account = net.accountOf(a);
    await alone(a, [b], () => ok(a.rpc('store', account.store('only here'))));
    await net.change({ remove: [a], add: [{ ...a, hex: a.hex, swarmId: other.swarmId } as TestNode] });
    await until(async () => (await texts(b, account)).join() === 'only here', 'the message');
    expect(await texts(a, account)).toEqual(['421']);
  });

  test('members of a dissolved swarm take deletions and revocations along', async () => {
    await using net = await TestNetwork.start({ swarms: [1, 1], options: OPTIONS });
    const [a, b] = net.nodes as [TestNode, TestNode];
    const account = net.accountOf(a);
    const group = net.accountOf(a, () => TestAccount.raw());
    const timestamp = Date.now();
    for (const text of ['stays', 'goes']) await ok(a.rpc('store', account.store(text, { timestamp })));
    await remove(a, account, 'goes');
    await revoke(a, group, group.subaccount(1).token);
    await net.change({ remove: [a], add: [{ ...a, hex: a.hex, swarmId: b.swarmId } as TestNode] });
    await until(async () => (await texts(b, account)).join() === 'stays', 'the message');
    await until(async () => (await revoked(b, group)) === 1, 'the revocation');
    // Late from somebody who slept.
    const blob = encodeDataPush([
      {
        account: account.bytes,
        timestamp,
        expiry: timestamp + 60_000,
        namespace: 0,
        data: Buffer.from('goes'),
        hash: account.hash('goes'),
      },
    ]).next().value as Uint8Array;
    await a.service.stop();
    const peer = new Omq({ keyPair: a.keys.x25519, isServiceNode: true }, systemEnv());
    await peer.start();
    expect(await net.omq(b, 'sn.data', [blob], peer)).toEqual([]);
    await peer.stop();
    expect(await texts(b, account)).toEqual(['stays']);
  });

  test('members of a dissolved swarm give each account to the swarm that is responsible now', async () => {
    await using net = await TestNetwork.start({ swarms: [1, 1, 1], options: OPTIONS });
    const [a, b, c] = net.nodes as [TestNode, TestNode, TestNode];
    const issued = Math.floor(Date.now() / 1000);
    const after = membershipOf(
      changeStaticList(net.list, { issued, expires: issued + 60, remove: [a.hex], byHand: true }),
    );
    const groups = new Map<TestNode, TestAccount>();
    for (const heir of [b, c]) {
      const make = () => TestAccount.raw();
      let group = net.accountOf(a, make);
      while (swarmFor(after, group.key)?.id !== heir.swarmId) group = net.accountOf(a, make);
      for (const text of ['stays', 'goes']) await ok(a.rpc('store', group.store(text)));
      await remove(a, group, 'goes');
      await revoke(a, group, group.subaccount(1).token);
      groups.set(heir, group);
    }
    // It goes on as a member of another swarm.
    await net.change({ remove: [a], add: [{ ...a, hex: a.hex, swarmId: b.swarmId } as TestNode] });
    for (const [heir, group] of groups) {
      await until(async () => (await texts(heir, group)).join() === 'stays', 'the message');
      await until(async () => (await revoked(heir, group)) === 1, 'the revocation');
    }
    expect(await texts(a, groups.get(b)!)).toEqual(['stays']);
    expect(await texts(a, groups.get(c)!)).toEqual(['421']);
  });

  test('a new swarm gets messages, deletions and revocations of the accounts that are now its own', async () => {
    await using net = await TestNetwork.start({ swarms: [1, 1], options: OPTIONS });
    const [a, b] = net.nodes as [TestNode, TestNode];
    const group = net.accountOf(b, () => TestAccount.raw());
    // Before there is a second swarm.
    await net.change({ remove: [b] });
    await until(() => a.service.listVersion === 2, 'one swarm');
    await ok(a.rpc('store', group.store('stays', { signed: true })));
    await revoke(a, group, group.subaccount(1).token);
    await net.change({ add: [b] });
    await until(async () => (await texts(b, group)).join() === 'stays', 'the message');
    await until(async () => (await revoked(b, group)) === 1, 'the revocation');
  });
});
