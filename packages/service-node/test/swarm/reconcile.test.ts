// SPDX-License-Identifier: AGPL-3.0-or-later
// Members of a swarm that missed what others got, with no forward, push or retry left that would bring it
// (spec/storage-server §5.13).
import { DatabaseSync } from 'node:sqlite';
import { freePorts } from '@allium/net/free-ports';
import { Omq } from '@allium/net/omq';
import { systemEnv } from '@allium/net/system-env';
import { until } from '@allium/net/testing/until';
import { toBase64, utf8 } from '@allium/protocol/bytes';
import { decodeReconcileReply, encodeReconcileRequest } from '@allium/protocol/storage/reconcile';
import { describe, expect, test } from 'vitest';
import { TestAccount } from '../support/test-account.ts';
import { TestNetwork, type TestNode } from '../support/test-network.ts';

const OPTIONS = { reconcileEvery: 1 };

const entries = async (node: TestNode, account: TestAccount, namespace = 0) => {
  const { json } = await node.rpc('retrieve', account.retrieve({ namespace }));
  return (json.messages as { data: string; expiration: number; hash: string }[]).map((message) => ({
    text: Buffer.from(message.data, 'base64').toString(),
    expiry: message.expiration,
  }));
};
const texts = async (node: TestNode, account: TestAccount, namespace = 0) =>
  (await entries(node, account, namespace)).map(({ text }) => text).sort();

/** Whatever `work` does on `a` never reaches `b` by forward, retry or hand-over. */
async function missedBy(b: TestNode, a: TestNode, work: () => Promise<void>): Promise<void> {
  await b.service.stop();
  await work();
  await a.service.stop();
  const db = new DatabaseSync(a.folder.file('mailbox.sqlite'));
  db.exec('DELETE FROM forwards');
  db.close();
  await a.service.start();
  await b.service.start();
}

const ok = async (answer: Promise<{ status: number }>) => expect((await answer).status).toBe(200);

const remove = (node: TestNode, account: TestAccount, text: string) => {
  const hash = account.hash(text);
  return ok(
    node.rpc('delete', { ...account.params, messages: [hash], signature: account.sign('delete', hash) }),
  );
};

async function pair(account: TestAccount, ...stored: string[]): Promise<[TestNetwork, TestNode, TestNode]> {
  const net = await TestNetwork.start({ swarms: [2], options: OPTIONS });
  const [a, b] = net.nodes as [TestNode, TestNode];
  for (const text of stored) await ok(a.rpc('store', account.store(text)));
  return [net, a, b];
}

describe('what one member missed', () => {
  test('messages: each gets those of the other', async () => {
    const account = TestAccount.session();
    const [net, a, b] = await pair(account, 'both');
    await using _ = net;
    await missedBy(b, a, () => ok(a.rpc('store', account.store('only a'))));
    await missedBy(a, b, () => ok(b.rpc('store', account.store('only b'))));
    for (const node of [a, b]) {
      await until(async () => (await texts(node, account)).join() === 'both,only a,only b', 'all three');
    }
  });

  test('a deletion: the message goes and does not come back, until it is stored again', async () => {
    const account = TestAccount.session();
    const [net, a, b] = await pair(account, 'stays', 'goes');
    await using _ = net;
    await missedBy(b, a, () => remove(a, account, 'goes'));
    await until(async () => (await texts(b, account)).join() === 'stays', 'the deletion');
    expect(await texts(a, account)).toEqual(['stays']);
    await ok(b.rpc('store', account.store('goes', { timestamp: Date.now() - 5000 })));
    await missedBy(a, b, () => ok(b.rpc('store', account.store('marker'))));
    await until(async () => (await texts(a, account)).includes('marker'), 'the marker');
    for (const node of [a, b]) expect(await texts(node, account)).toEqual(['goes', 'marker', 'stays']);
  });

  test('a deletion of everything, and of what was stored while it was missed', async () => {
    const account = TestAccount.session();
    const [net, a, b] = await pair(account, 'first', 'second');
    await using _ = net;
    await missedBy(b, a, async () => {
      const timestamp = Date.now();
      const signature = account.sign('delete_all', timestamp);
      await ok(a.rpc('delete_all', { ...account.params, timestamp, signature }));
      await ok(a.rpc('store', account.store('after it', { timestamp: timestamp + 1 })));
    });
    await until(async () => (await texts(b, account)).join() === 'after it', 'the deletion');
    expect(await texts(a, account)).toEqual(['after it']);
  });

  test('expiries: longer and shorter ones', async () => {
    const account = TestAccount.session();
    const [net, a, b] = await pair(account, 'longer', 'shorter');
    await using _ = net;
    const [late, soon] = [Date.now() + 3_600_000, Date.now() + 200_000];
    const expire = (text: string, word: 'extend' | 'shorten', expiry: number) => {
      const messages = [account.hash(text)];
      const signature = account.sign('expire', word, expiry, ...messages);
      return ok(a.rpc('expire', { ...account.params, messages, expiry, [word]: true, signature }));
    };
    await expire('shorter', 'extend', late);
    await missedBy(b, a, async () => {
      await expire('longer', 'extend', late);
      await expire('shorter', 'shorten', soon);
    });
    await until(async () => {
      const found = new Map((await entries(b, account)).map(({ text, expiry }) => [text, expiry]));
      return found.get('longer') === late && found.get('shorter') === soon;
    }, 'both');
    const own = new Map((await entries(a, account)).map(({ text, expiry }) => [text, expiry]));
    expect([own.get('longer'), own.get('shorter')]).toEqual([late, soon]);
  });

  test('revocations, by a member without a single message, and their end', async () => {
    const group = TestAccount.raw();
    const [net, a, b] = await pair(group);
    await using _ = net;
    const { token } = group.subaccount(1);
    const change = (method: 'revoke' | 'unrevoke') => async () => {
      const timestamp = Date.now();
      const signature = group.sign(`${method}_subaccount`, timestamp, token);
      const params = { ...group.params, [method]: toBase64(token), timestamp, signature };
      await ok(a.rpc(`${method}_subaccount`, params));
    };
    const revoked = async () => {
      const timestamp = Date.now();
      const signature = group.sign('revoked_subaccounts', timestamp);
      const { json } = await b.rpc('revoked_subaccounts', { ...group.params, timestamp, signature });
      return json.revoked_subaccounts.length as number;
    };
    await missedBy(b, a, change('revoke'));
    await until(async () => (await revoked()) === 1, 'the revocation');
    await missedBy(b, a, change('unrevoke'));
    await until(async () => (await revoked()) === 0, 'its end');
  });
});

describe('the command', () => {
  test('is for members of the swarm only, and survives nonsense', async () => {
    await using net = await TestNetwork.start({ swarms: [1, 1], options: OPTIONS });
    const [a, other] = net.nodes as [TestNode, TestNode];
    const question = encodeReconcileRequest({
      ask: 'digests',
      kind: 'm',
      cutoff: Date.now() + 120_000,
      prefix: new Uint8Array(0),
      first: 0,
      count: 256,
    });
    await expect(net.omq(a, 'sn.reconcile', [question])).rejects.toThrow();
    await other.service.stop();
    const stranger = new Omq({ keyPair: other.keys.x25519, isServiceNode: true }, systemEnv());
    await stranger.start();
    expect(await net.omq(a, 'sn.reconcile', [question], stranger)).toEqual([]);
    await stranger.stop();
  });

  test('answers a member, and nothing to what it does not understand', async () => {
    await using net = await TestNetwork.start({ swarms: [2], options: { reconcileEvery: 3600 } });
    const [a, b] = net.nodes as [TestNode, TestNode];
    await b.service.stop();
    const member = new Omq({ keyPair: b.keys.x25519, isServiceNode: true }, systemEnv());
    await member.start();
    const ask = (part: Uint8Array) => net.omq(a, 'sn.reconcile', [part], member);
    const question = { ask: 'digests', kind: 'm', prefix: new Uint8Array(0), first: 250, count: 6 } as const;
    const [reply] = await ask(encodeReconcileRequest({ ...question, cutoff: Date.now() + 120_000 }));
    expect(decodeReconcileReply(reply!).digests).toHaveLength(6 * 20);
    for (const bad of ['', 'x', 'de', 'd1:q4:liste', 'd1:k1:m1:q3:gete1', 'd1:h3:abc1:k1:m1:q3:gete'])
      expect(await ask(utf8(bad))).toEqual([]);
    expect(decodeReconcileReply((await ask(encodeReconcileRequest({ ...question, cutoff: 5 })))[0]!)).toEqual(
      {},
    );
    await member.stop();
  });

  test('off means off for others too: a node that does not know it is asked once, and left alone', async () => {
    await using net = await TestNetwork.prepare({ swarms: [2], options: OPTIONS });
    const [a, b] = net.nodes as [TestNode, TestNode];
    const [metricsPort = 0] = await freePorts(1);
    a.configure({ networkFile: net.networkFile, ...OPTIONS, metricsPort }, systemEnv(), {});
    b.configure({ networkFile: net.networkFile, reconcileEvery: 0 }, systemEnv(), {});
    await Promise.all([a.service.start(), b.service.start()]);
    const metric = async (name: string) => {
      const response = await fetch(`http://127.0.0.1:${metricsPort}/metrics`);
      return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(await response.text())?.[1]);
    };
    await until(async () => (await metric('allium_reconcile_failures_total')) === 1, 'the refusal');
    await new Promise((resolve) => setTimeout(resolve, 2500));
    expect(await metric('allium_reconcile_failures_total')).toBe(1);
    const account = TestAccount.session();
    await ok(a.rpc('store', account.store('still a member')));
    expect(await texts(b, account)).toEqual(['still a member']);
  });
});
