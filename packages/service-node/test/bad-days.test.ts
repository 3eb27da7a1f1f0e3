// SPDX-License-Identifier: AGPL-3.0-or-later
// What a node does, and says, when its machine or its files fail it.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { DatabaseSync } from 'node:sqlite';
import { freePorts } from '@allium/net/free-ports';
import { Omq } from '@allium/net/omq';
import { systemEnv } from '@allium/net/system-env';
import { until } from '@allium/net/testing/until';
import { randomBytes } from '@allium/protocol/crypto';
import type { Env } from '@allium/protocol/env';
import {
  changeStaticList,
  createStaticList,
  encodeStaticList,
  type StaticList,
  signStaticList,
} from '@allium/protocol/membership/static-list';
import { messageHashText } from '@allium/protocol/message-hash';
import { encodeDataPush } from '@allium/protocol/storage/data-push';
import { describe, expect, test } from 'vitest';
import type { ServiceNodeOptions } from '../src/config.ts';
import { Database } from '../src/mailbox/database.ts';
import { medianOffset } from '../src/membership/clock-watch.ts';
import { ServiceNode } from '../src/service-node.ts';
import { TempFolder } from './support/temp-folder.ts';
import { TestAccount } from './support/test-account.ts';
import { http, TestNetwork, type TestNode } from './support/test-network.ts';
import { Told } from './support/told.ts';

/** The node again, with other options or another env. */
const again = (node: TestNode, options: Partial<ServiceNodeOptions>, env: Env) =>
  new ServiceNode({ ...node.options, ...options }, env);

const hashesOf = async (node: TestNode, account: TestAccount) =>
  (await node.rpc('retrieve', account.retrieve({ max_size: -1 }))).json.messages.map(
    ({ hash }: { hash: string }) => hash,
  ) as string[];

describe('a full mailbox', () => {
  test('refuses stores, serves the rest, also after a restart, and recovers when there is room', async () => {
    const told = new Told();
    const [metricsPort] = (await freePorts(1)) as [number];
    await using net = await TestNetwork.start({
      swarms: [1],
      options: { databaseMaxMib: 1, metricsPort },
      log: told.log,
    });
    const node = net.node(0);
    const account = TestAccount.session();
    const kept: string[] = [];
    const refused = async () => {
      for (;;) {
        const answer = await node.rpc('store', account.store(randomBytes(50_000)));
        if (answer.status !== 200) return answer;
        kept.push(answer.json.hash);
      }
    };
    const answer = await refused();
    expect(answer.status).toBe(500);
    expect(answer.json.swarm[node.hex]).toEqual({ failed: true, query_failure: true });
    expect(kept.length).toBeGreaterThan(10);
    expect((await node.rpc('store', account.store(randomBytes(50_000)))).status).toBe(500);
    expect(told.count(/^error the mailbox is full: .* Free disk space, or raise --database-max-mib$/)).toBe(
      1,
    );
    const metrics = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
    expect(metrics).toContain('allium_mailbox_failures_total 2');
    expect(await hashesOf(node, account)).toEqual(kept);

    await node.service.stop();
    await node.service.start();
    expect(await hashesOf(node, account)).toEqual(kept);
    expect((await refused()).status).toBe(500);

    const messages = kept.slice(0, 10);
    const signature = account.sign('delete', ...messages);
    const deleted = await node.rpc('delete', { ...account.params, messages, signature });
    expect(deleted.json.swarm[node.hex].deleted).toEqual([...messages].sort());
    const stored = await node.rpc('store', account.store(randomBytes(50_000)));
    expect(stored.status).toBe(200);
    expect(await hashesOf(node, account)).toEqual([...kept.slice(10), stored.json.hash]);
  });
});

test('a full mailbox refuses what members hand over, so that they come again, and says why', async () => {
  const told = new Told();
  await using net = await TestNetwork.start({ swarms: [2], options: { databaseMaxMib: 1 }, log: told.log });
  const [node, member] = net.nodes as [TestNode, TestNode];
  await member.service.stop();
  const account = TestAccount.session();
  while ((await node.rpc('store', account.store(randomBytes(50_000)))).status === 200);
  const caller = new Omq({ keyPair: member.keys.x25519, isServiceNode: true }, systemEnv());
  await caller.start();
  try {
    const data = randomBytes(50_000);
    const [blob] = encodeDataPush([
      {
        account: account.bytes,
        namespace: 0,
        hash: messageHashText(account.bytes, 0, data),
        timestamp: Date.now(),
        expiry: Date.now() + 60_000,
        data,
      },
    ]);
    const [reply] = await net.omq(node, 'sn.data', [blob!], caller);
    expect(Buffer.from(reply!).toString()).toBe('Mailbox is not available, try again later');
    expect(told.count(/omq handler failed/)).toBe(0);
    expect(told.count(/^error the mailbox is full: /)).toBeGreaterThan(0);
  } finally {
    await caller.stop();
  }
});

describe('somebody else at the files', () => {
  test('a second node on the same folder is refused, and the first goes on', async () => {
    await using net = await TestNetwork.start({ swarms: [1] });
    const node = net.node(0);
    const second = again(node, { httpsPort: 0, omqPort: 0 }, systemEnv());
    await expect(second.start()).rejects.toThrow(
      /another node runs on the data folder .*: stop that one first/,
    );
    expect((await node.rpc('info', {})).status).toBe(200);
    await node.service.stop();
    await second.start();
    await second.stop();
  });

  test('a mailbox that another program holds is an error in words', () => {
    using folder = new TempFolder();
    const path = folder.file('mailbox.sqlite');
    new Database({ path }).close();
    const shell = new DatabaseSync(path);
    shell.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
    expect(() => new Database({ path, busyTimeoutMs: 1 })).toThrow(
      /mailbox\.sqlite is locked by another program .* a backup or a database shell/,
    );
    shell.close();
    new Database({ path }).close();
  });

  test('a mailbox of another program is refused', async () => {
    await using net = await TestNetwork.prepare({ swarms: [1] });
    const node = net.node(0);
    const foreign = new DatabaseSync(node.folder.file('mailbox.sqlite'));
    foreign.exec('CREATE TABLE recipes (name TEXT)');
    foreign.close();
    await expect(node.service.start()).rejects.toThrow(/a database of another program/);
  });

  test('a mailbox that lost its end is refused, and a node without it starts', async () => {
    await using net = await TestNetwork.start({ swarms: [1] });
    const node = net.node(0);
    const account = TestAccount.session();
    for (let i = 0; i < 20; i++) await node.rpc('store', account.store(randomBytes(5_000)));
    await node.service.stop();
    const path = node.folder.file('mailbox.sqlite');
    const bytes = readFileSync(path);
    writeFileSync(path, Buffer.concat([bytes.subarray(0, 4096), randomBytes(bytes.length - 4096)]));
    await expect(node.service.start()).rejects.toThrow(/mailbox\.sqlite is damaged .*Move it/);
    rmSync(path);
    await node.service.start();
    expect(await hashesOf(node, account)).toEqual([]);
  });
});

describe('the file of the node list', () => {
  const write = (path: string, list: StaticList, net: TestNetwork) =>
    writeFileSync(path, encodeStaticList(signStaticList(list, net.admin)));

  test('that cannot be read is no obstacle for a node that holds a list', async () => {
    const told = new Told();
    await using net = await TestNetwork.prepare({ swarms: [1], log: told.log });
    const { service, folder } = net.node(0);
    const good = readFileSync(net.networkFile);
    writeFileSync(net.networkFile, good.subarray(0, 100));
    await expect(service.start()).rejects.toThrow(/is not a signed node list/);
    expect(existsSync(folder.file('network.json'))).toBe(false);
    writeFileSync(net.networkFile, good);
    await service.start();
    await service.stop();
    writeFileSync(net.networkFile, good.subarray(0, 100));
    await service.start();
    expect(service.listVersion).toBe(1);
    expect(told.count(/^warn node list refused: malformed$/)).toBe(1);
    writeFileSync(net.networkFile, good);
  });

  test('of another network is refused', async () => {
    await using net = await TestNetwork.start({ swarms: [1] });
    const { service } = net.node(0);
    await service.stop();
    const { admins, threshold, nodes, issued, expires } = net.list;
    write(net.networkFile, createStaticList({ admins, threshold, nodes, issued, expires }), net);
    await expect(service.start()).rejects.toThrow(
      /is the list of another network .*: choose another data folder/,
    );
  });

  test('that has expired stays in force, and the operator hears of it', async () => {
    const told = new Told();
    await using net = await TestNetwork.prepare({ swarms: [1], log: told.log });
    const now = Math.floor(Date.now() / 1000);
    const { admins, threshold, nodes } = net.list;
    const expired = createStaticList({ admins, threshold, nodes, issued: now - 100, expires: now - 1 });
    write(net.networkFile, expired, net);
    const node = net.node(0);
    await node.service.start();
    expect(told.count(/^error the node list has expired: ask its admins for a new one$/)).toBe(1);
    expect((await node.rpc('store', TestAccount.session().store('still here'))).status).toBe(200);
  });
});

describe('the clock', () => {
  test('the offset is the one in the middle', () => {
    expect(medianOffset([])).toBeUndefined();
    expect(medianOffset([5])).toBe(5);
    expect(medianOffset([600_000, 3, -1])).toBe(3);
    expect(medianOffset([-9e9, 2, 9e9, 1, 3])).toBe(2);
  });

  test('off by ten minutes is told and shown, and so is that it is right again', async () => {
    await using net = await TestNetwork.start({ swarms: [3] });
    const node = net.node(0);
    await node.service.stop();
    const told = new Told();
    const { clock, random } = systemEnv();
    let aheadMs = 600_000;
    const shifted = { ...clock, now: () => clock.now() + aheadMs };
    const [metricsPort] = (await freePorts(1)) as [number];
    await using service = again(
      node,
      { metricsPort, peerTests: 'local' },
      { clock: shifted, random, log: told.log },
    );
    await service.start();
    const wrong = /^warn the clock of this machine is wrong: requests will be refused until it is set/;
    await until(() => told.count(wrong) > 0, 'the clock to be compared');
    const offset = async () =>
      Number(
        /^allium_clock_offset_seconds (\S+)$/m.exec(
          await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text(),
        )?.[1],
      );
    expect(Math.abs((await offset()) - 600)).toBeLessThan(60);
    aheadMs = 0;
    await until(() => told.count(/^info the clock is right again$/) > 0, 'the clock to be right');
    expect(Math.abs(await offset())).toBeLessThan(60);
  });
});

describe('addresses', () => {
  test('a changed address of this node is told; a list with the new one ends it', async () => {
    const told = new Told();
    await using net = await TestNetwork.prepare({ swarms: [1], log: told.log });
    const node = net.node(0);
    const before = changeStaticList(net.list, {
      issued: net.list.issued,
      expires: net.list.expires,
      update: [{ ed25519Hex: node.hex, host: '203.0.113.1', httpsPort: 1, omqPort: 2 }],
    });
    writeFileSync(net.networkFile, encodeStaticList(signStaticList(before, net.admin)));
    await using service = again(node, { publicIp: '127.0.0.1' }, systemEnv(told.log));
    await service.start();
    expect(told.count(/^warn the node list has another address of this node than --public-ip/)).toBe(1);
    expect((await node.rpc('store', TestAccount.session().store('by the old guard'))).status).toBe(200);
    const after = changeStaticList(before, {
      issued: net.list.issued,
      expires: net.list.expires,
      update: [{ ...net.list.nodes[0]! }],
    });
    writeFileSync(net.networkFile, encodeStaticList(signStaticList(after, net.admin)));
    await until(
      () => told.count(/^info the node list now has this node at its address$/) === 1,
      'the new list',
    );
  });

  test('of IPv6 serve clients and members; one listener takes both families', async ({ skip }) => {
    if (!(await hasIpv6())) skip('this machine has no IPv6');
    await using net = await TestNetwork.prepare({ swarms: [2] });
    const { issued, expires } = net.list;
    const list = changeStaticList(net.list, {
      ...{ issued, expires, byHand: true },
      update: net.list.nodes.map((node) => ({ ...node, host: '::1' })),
    });
    writeFileSync(net.networkFile, encodeStaticList(signStaticList(list, net.admin)));
    const services = net.nodes.map((node) => again(node, { bindHost: '::', publicIp: '::1' }, systemEnv()));
    await Promise.all(services.map((service) => service.start()));
    try {
      const [first, second] = net.nodes as [TestNode, TestNode];
      const account = TestAccount.session();
      const body = JSON.stringify({ method: 'store', params: account.store('by six') });
      const stored = await http(first.httpsPort, 'POST', '/storage_rpc/v1', body, {}, '::1');
      expect(stored.status).toBe(200);
      expect(Object.keys(stored.json.swarm)).toHaveLength(2);
      expect(stored.json.swarm[second.hex].hash).toBe(stored.json.hash);
      expect(await hashesOf(second, account)).toEqual([stored.json.hash]);
    } finally {
      await Promise.all(services.map((service) => service.stop()));
    }
  });
});

function hasIpv6(): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(0, '::1', () => server.close(() => resolve(true)));
  });
}
