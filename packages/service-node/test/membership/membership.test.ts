// SPDX-License-Identifier: AGPL-3.0-or-later
// The static node list in running nodes: trust, replacement, distribution (spec/chain §4.23), and what a change of the
// swarm does to messages (spec/storage-server §5.12).
import { readFileSync, writeFileSync } from 'node:fs';
import { freePorts } from '@allium/net/free-ports';
import { Omq } from '@allium/net/omq';
import { systemEnv } from '@allium/net/system-env';
import { until } from '@allium/net/testing/until';
import { toHex } from '@allium/protocol/bytes';
import { ed25519KeyPair, randomBytes } from '@allium/protocol/crypto';
import {
  addNodes,
  encodeStaticList,
  parseStaticList,
  removeNodes,
  type StaticList,
  signStaticList,
  staticListDigest,
} from '@allium/protocol/membership/static-list';
import { describe, expect, test } from 'vitest';
import { StaticSource } from '../../src/membership/static-source.ts';
import { TempFolder } from '../support/temp-folder.ts';
import { TestAccount } from '../support/test-account.ts';
import { TestClock, testEnv } from '../support/test-clock.ts';
import { TestNetwork, TestNode } from '../support/test-network.ts';

const validity = () => {
  const issued = Math.floor(Date.now() / 1000);
  return { issued, expires: issued + 86_400 };
};

describe('the source', () => {
  const open = (
    net: TestNetwork,
    folder: TempFolder,
    more: { networkFile?: string; networkDigest?: string } = {},
  ) => {
    const options = { dataDir: folder.path, networkFile: net.networkFile, networkDigest: '', ...more };
    return StaticSource.open(options, systemEnv());
  };
  const without = (net: TestNetwork, list = net.list): StaticList =>
    removeNodes(list, [net.node(0).hex], validity());

  test('trusts the first list by configuration and keeps it in the folder', async () => {
    await using net = await TestNetwork.prepare({ swarms: [2] });
    using folder = new TempFolder();
    const source = await open(net, folder);
    expect(source.current().members).toHaveLength(2);
    await source.stop();
    expect(parseStaticList(readFileSync(folder.file('network.json')))).toEqual(net.list);
    // Afterwards the folder alone is enough.
    expect((await open(net, folder, { networkFile: '' })).list).toEqual(net.list);
  });

  test('refuses to start without a list, with a broken one, a foreign one, one of another digest', async () => {
    await using net = await TestNetwork.prepare({ swarms: [2] });
    await using other = await TestNetwork.prepare({ swarms: [1] });
    using folder = new TempFolder();
    const code = (more: Parameters<typeof open>[2]) =>
      open(net, folder, more).then(
        () => 'opened',
        (error) => error.code,
      );
    expect(await code({ networkFile: '' })).toBe('no_network');
    expect(await code({ networkFile: folder.file('absent') })).toBe('no_network');
    writeFileSync(folder.file('broken'), '{}');
    expect(await code({ networkFile: folder.file('broken') })).toBe('malformed');
    expect(await code({ networkDigest: '00'.repeat(32) })).toBe('wrong_digest');
    expect(await code({ networkDigest: toHex(staticListDigest(net.list)) })).toBe('opened');
    expect(await code({ networkFile: other.networkFile })).toBe('other_network');
  });

  test('takes newer lists that enough admins signed, and nothing else', async () => {
    await using net = await TestNetwork.prepare({ swarms: [3] });
    using folder = new TempFolder();
    const source = await open(net, folder);
    const changes: number[] = [];
    source.onChange((next, previous) => changes.push(previous.members.length, next.members.length));
    const offer = (list: StaticList) => source.offer(encodeStaticList(list), 'test');
    const stranger = ed25519KeyPair(randomBytes(32));

    expect(offer(net.list)).toEqual({ accepted: false, text: 'OK' });
    expect(source.offer(Buffer.from('{'), 'test').accepted).toBe(false);
    const next = without(net);
    expect(offer(next).accepted).toBe(false);
    expect(() => offer(signStaticList(next, stranger))).not.toThrow();
    expect(source.list.version).toBe(1);
    const { issued } = validity();
    const expired = removeNodes(net.list, [net.node(0).hex], { issued: issued - 100, expires: issued - 50 });
    expect(offer(signStaticList(expired, net.admin)).accepted).toBe(false);
    expect(changes).toEqual([]);

    expect(offer(signStaticList(next, net.admin))).toEqual({ accepted: true, text: 'OK' });
    expect(changes).toEqual([3, 2]);
    // Another list of the same version, and an older one.
    const conflict = removeNodes(net.list, [net.node(1).hex], validity());
    expect(offer(signStaticList(conflict, net.admin)).accepted).toBe(false);
    expect(offer(net.list).accepted).toBe(false);
    expect(source.current().members).toHaveLength(2);
    await source.stop();
    expect(parseStaticList(readFileSync(folder.file('network.json'))).version).toBe(2);
  });

  test('a list that expires stays in force, and is complained about', async () => {
    await using net = await TestNetwork.prepare({ swarms: [1] });
    using folder = new TempFolder();
    const clock = new TestClock(Date.now() + 2 * 86_400_000);
    const errors: string[] = [];
    const env = testEnv(clock);
    const log = { ...env.log, error: (_: object, sentence: string) => errors.push(sentence) };
    const options = { dataDir: folder.path, networkFile: net.networkFile, networkDigest: '' };
    const source = await StaticSource.open(options, { ...env, log } as never);
    await source.start();
    await source.stop();
    expect(source.current().members).toHaveLength(1);
    expect(errors).toEqual(['the node list has expired: ask its admins for a new one']);
  });

  test('complains about one peer once in a minute, about each', async () => {
    await using net = await TestNetwork.prepare({ swarms: [2] });
    using folder = new TempFolder();
    const clock = new TestClock(Date.now());
    const warnings: string[] = [];
    const env = testEnv(clock);
    const log = { ...env.log, warn: (fields: { from: string }) => warnings.push(fields.from) };
    const options = { dataDir: folder.path, networkFile: net.networkFile, networkDigest: '' };
    const source = await StaticSource.open(options, { ...env, log } as never);
    const unsigned = encodeStaticList(without(net));
    for (const bad of [Buffer.from('{'), unsigned, unsigned]) {
      for (const from of ['one', 'two']) expect(source.offer(bad, from).accepted).toBe(false);
    }
    expect(warnings).toEqual(['one', 'two']);
    clock.advance(60_000);
    source.offer(unsigned, 'one');
    expect(warnings).toEqual(['one', 'two', 'one']);
    await source.stop();
  });

  test('notices when the file is replaced', async () => {
    await using net = await TestNetwork.prepare({ swarms: [2] });
    using folder = new TempFolder();
    const source = await open(net, folder);
    await source.start();
    writeFileSync(net.networkFile, encodeStaticList(signStaticList(without(net), net.admin)));
    await until(() => source.list.version === 2, 'the new list');
    await source.stop();
  });
});

describe('in a network', () => {
  /** A node that is not in the list yet, with an entry for it. */
  async function newcomer(net: TestNetwork, swarmId: bigint) {
    const [httpsPort, omqPort] = (await freePorts(2)) as [number, number];
    const node = new TestNode(httpsPort, omqPort, swarmId);
    node.configure({ networkFile: net.networkFile }, systemEnv(), {});
    net.nodes.push(node);
    const entry = { ed25519Hex: node.hex, host: '127.0.0.1', httpsPort, omqPort, swarmId };
    return { node, entry };
  }
  const replace = (net: TestNetwork, list: StaticList) => {
    net.list = signStaticList(list, net.admin);
    writeFileSync(net.networkFile, encodeStaticList(net.list));
  };
  const held = async (node: TestNode, account: TestAccount) => {
    const answer = await node.rpc('retrieve', account.retrieve());
    return answer.status === 200 ? answer.json.messages.length : answer.status;
  };

  test('a new member of a swarm gets the list from others and all messages of its accounts', async () => {
    await using net = await TestNetwork.start({ swarms: [2] });
    const account = TestAccount.session();
    const data = Array.from({ length: 300 }, (_, i) => `message ${i}`);
    await Promise.all(data.map((text) => net.node(0).rpc('store', account.store(text))));
    const { node, entry } = await newcomer(net, net.node(0).swarmId);
    await node.service.start();
    expect(await held(node, account)).toBe(421);
    // Only one node reads the new file; the others hear of it.
    const list = addNodes(net.list, [entry], validity());
    net.list = signStaticList(list, net.admin);
    writeFileSync(net.node(0).folder.file('network.json'), encodeStaticList(net.list));
    await until(() => net.nodes.every(({ service }) => service.listVersion === 2), 'the list everywhere');
    await until(async () => (await held(node, account)) === 300, 'all messages');
    // From now on it takes part.
    const { json } = await net.node(1).rpc('store', account.store('to all three'));
    expect(Object.values(json.swarm).every((each) => 'hash' in (each as object))).toBe(true);
  });

  test('a list that only a newcomer has reaches those who do not know it', async () => {
    await using net = await TestNetwork.start({ swarms: [2] });
    const { node, entry } = await newcomer(net, net.node(0).swarmId);
    const list = signStaticList(addNodes(net.list, [entry], validity()), net.admin);
    writeFileSync(node.folder.file('network.json'), encodeStaticList(list));
    await node.service.start();
    await until(() => net.nodes.every(({ service }) => service.listVersion === 2), 'the list everywhere');
  });

  test('a list that a member missed comes without its asking, as soon as it is there', async () => {
    await using net = await TestNetwork.start({ swarms: [2] });
    const [a, b] = net.nodes as [TestNode, TestNode];
    await b.service.stop();
    // Everything that speaks here is `a`: in the place of `b` stands an endpoint that asks for nothing.
    const list = signStaticList(addNodes(net.list, [], validity()), net.admin);
    await net.omq(a, 'sn.chain_static', [encodeStaticList(list)]);
    expect(a.service.listVersion).toBe(2);
    const silent = new Omq(
      {
        keyPair: b.keys.x25519,
        isServiceNode: true,
        listen: { host: '127.0.0.1', port: b.omqPort },
        accessOf: () => 'service_node',
      },
      systemEnv(),
    );
    const pushed: string[] = [];
    silent.category('sn', { access: 'service_node' });
    silent.register('sn.chain_static', (_, [part]) => {
      const text = Buffer.from(part!).toString();
      if (text.startsWith('{')) pushed.push(text);
      return ['OK'];
    });
    await silent.start();
    await until(() => pushed.length > 0, 'the push');
    await silent.stop();
    expect(parseStaticList(Buffer.from(pushed[0]!)).version).toBe(2);
  });

  test('strangers may ask for the list and show one, within a limit', async () => {
    await using net = await TestNetwork.start({ swarms: [1] });
    const node = net.node(0);
    const ask = async (part: string) => {
      const reply = await net.omq(node, 'sn.chain_static', [part]);
      return reply.map((each) => Buffer.from(each).toString());
    };
    expect(parseStaticList(Buffer.from((await ask('0'))[0]!))).toEqual(net.list);
    expect(await ask('1')).toEqual([]);
    expect(await ask('2')).toEqual(['1']);
    expect(await ask('{"nodes":1}')).toEqual(['malformed list']);
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask('0')));
    const limited = answers.filter(([text]) => text?.startsWith('too many requests'));
    expect(limited.length).toBeGreaterThanOrEqual(10);
  });

  test('messages follow their accounts into a new swarm', async () => {
    await using net = await TestNetwork.start({ swarms: [2] });
    const { node, entry } = await newcomer(net, 2n ** 63n);
    const list = addNodes(net.list, [entry], validity());
    const before = { ...net, list: net.list };
    net.list = signStaticList(list, net.admin);
    const moving = net.accountOf(node);
    const staying = net.accountOf(net.node(0));
    net.list = before.list;
    for (const account of [moving, staying]) await net.node(0).rpc('store', account.store('follows'));
    await node.service.start();
    replace(net, list);
    await until(async () => (await held(node, moving)) === 1, 'the message in the new swarm');
    expect(await held(net.node(0), moving)).toBe(421);
    expect(await held(node, staying)).toBe(421);
    expect(await held(net.node(0), staying)).toBe(1);
  });

  test('a member that lost its mailbox asks for it', async () => {
    await using net = await TestNetwork.start({ swarms: [2] });
    const account = TestAccount.session();
    await net.node(0).rpc('store', account.store('once lost'));
    const [, b] = net.nodes as [TestNode, TestNode];
    await b.service.stop();
    const { rmSync } = await import('node:fs');
    for (const end of ['', '-wal', '-shm']) rmSync(b.folder.file(`mailbox.sqlite${end}`), { force: true });
    await b.service.start();
    await until(async () => (await held(b, account)) === 1, 'the message');
  });
});
