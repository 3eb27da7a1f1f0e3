// SPDX-License-Identifier: AGPL-3.0-or-later
// Messages of real clients over a network of fourteen real nodes: how they travel, and what they survive.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Client } from '@allium/client';
import { openClient } from '@allium/client/node';
import { until } from '@allium/net/testing/until';
import { Account } from '@allium/protocol/account';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Devnet, type DevnetNode } from '../src/devnet.ts';
import { type WalkStep, walk } from '../src/walk.ts';
import { retrieve } from './rpc.ts';

let net: Devnet;
const clients: Client[] = [];

beforeAll(async () => {
  net = await Devnet.start();
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  for (const node of net.nodes) {
    node.partition(false);
    await node.start();
  }
});
afterAll(() => net.stop());

async function open(
  account = Account.create(),
  more: { receive?: boolean; pollEveryMs?: number } = {},
): Promise<Client> {
  const client = await openClient({ account, network: 'local', seeds: [net.seed], ...more });
  clients.push(client);
  return client;
}

/** The next `count` texts that a client receives. */
async function received(client: Client, count: number): Promise<string[]> {
  const texts: string[] = [];
  for await (const message of client.messages({ signal: AbortSignal.timeout(90_000) })) {
    texts.push(message.text);
    if (texts.length === count) break;
  }
  return texts;
}

const nodeOf = (hop: { ed25519Hex: string }) =>
  net.nodes.find((node) => node.ed25519 === hop.ed25519Hex) as DevnetNode;

test('the walk that npm start shows', async () => {
  const steps: WalkStep[] = [];
  await walk({
    seed: net.seed,
    nodes: net.nodes,
    alice: { account: Account.create() },
    bob: { account: Account.create() },
    report: (step) => steps.push(step),
  });
  expect(steps.map((step) => step.kind)).toEqual([
    'path',
    'stored',
    'received',
    'stored',
    'received',
    'stored',
    'received',
  ]);
  for (const step of steps) {
    if (step.kind === 'stored') expect(step.signers).toHaveLength(7);
  }
});

describe('a message', () => {
  test('is stored by the whole swarm of its recipient, and nobody else', async () => {
    const [alice, bob] = [await open(), await open()];
    const sent = await alice.conversation(bob.id).send('hello');
    expect(sent).toMatchObject({ stored: 7, of: 7 });
    const swarm = net.swarmOf(bob.id).map((node) => node.ed25519);
    expect([...sent.signers].sort()).toEqual(swarm.sort());
    expect(await received(bob, 1)).toEqual(['hello']);
  });

  test('is there as soon as it is stored, long before a poll would find it', async () => {
    const pollEveryMs = 600_000;
    const [alice, bob] = [await open(), await open(Account.create(), { pollEveryMs })];
    await until(() => bob.health().lastPollAt !== undefined);
    for (const text of ['one', 'two', 'three']) {
      const arrival = received(bob, 1);
      await alice.conversation(bob.id).send(text);
      expect(await arrival).toEqual([text]);
    }
  });

  test('waits for a recipient who was never online', async () => {
    const alice = await open();
    const account = Account.create();
    await alice.conversation(account.id).send('first');
    await alice.conversation(account.id).send('second');
    expect(await received(await open(account), 2)).toEqual(['first', 'second']);
  });

  test('to an account that does not exist is no message', async () => {
    const alice = await open();
    expect(() => alice.conversation('05abc')).toThrow(expect.objectContaining({ code: 'invalid_recipient' }));
  });

  test('reaches the other devices of its sender', async () => {
    const account = Account.create();
    const [first, second] = [await open(account), await open(account)];
    const bob = Account.create();
    const copy = new Promise<{ text: string; conversation: string }>((resolve) =>
      second.on('own_message', resolve),
    );
    await first.conversation(bob.id).send('from my other device');
    expect(await copy).toMatchObject({ text: 'from my other device', conversation: bob.id });
  });
});

test('a message is delivered when it is reacted to, and gone from devices and nodes when it is taken back', async () => {
  const account = Account.create();
  const [phone, bob] = [await open(), await open(account)];
  await bob.conversation(phone.id).approve();
  const { timestamp, hash } = await phone.conversation(bob.id).send('hasty words');
  await phone.flush();
  expect(await received(bob, 1)).toEqual(['hasty words']);
  const swarm = net.swarmOf(bob.id);
  const kept = async () => {
    const answers = await Promise.all(swarm.map((node) => retrieve(node, account)));
    return answers.map(({ json }) => json.messages.map((message: { hash: string }) => message.hash));
  };
  for (const hashes of await kept()) expect(hashes).toEqual([hash]);
  await bob.conversation(phone.id).react({ sender: phone.id, timestamp }, '🧅');
  await until(() => phone.isDelivered(timestamp));
  await phone.conversation(bob.id).deleteForEveryone(timestamp);
  await until(async () => (await bob.conversation(phone.id).history())[0]?.text === '');
  await until(async () => (await kept()).every((hashes) => !hashes.includes(hash)));
});

test('the bot of the examples answers', async () => {
  const bot = spawn(
    process.execPath,
    [join(import.meta.dirname, '..', '..', '..', 'examples', 'echo-bot.ts')],
    {
      env: { PATH: process.env.PATH, ALLIUM_SEED: net.seed },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  try {
    const [line] = await once(bot.stdout, 'data');
    const id = /05[0-9a-f]{64}/.exec(String(line))?.[0] ?? '';
    const alice = await open();
    await alice.conversation(id).send('anybody there?');
    expect(await received(alice, 1)).toEqual(['anybody there?']);
  } finally {
    bot.kill();
  }
});

describe('faults', () => {
  test('two of seven members killed: nothing is lost, and sending works', async () => {
    const [alice, bob] = [await open(), Account.create()];
    await alice.conversation(bob.id).send('before');
    // Not nodes of alice's paths: what happens to those is another story.
    const hops = new Set(alice.paths().flatMap((path) => path.hops.map((hop) => hop.ed25519Hex)));
    const victims = net
      .swarmOf(bob.id)
      .filter((node) => !hops.has(node.ed25519))
      .slice(0, 2);
    expect(victims).toHaveLength(2);
    await Promise.all(victims.map((node) => node.kill()));
    const sent = await alice.conversation(bob.id).send('meanwhile');
    expect(sent.stored).toBe(5);
    expect((await received(await open(bob), 2)).sort()).toEqual(['before', 'meanwhile']);
  });

  test('the guard killed: the client rebuilds and the person sees nothing but a short delay', async () => {
    const [alice, bob] = [await open(), await open()];
    await alice.conversation(bob.id).send('before');
    const guard = nodeOf(alice.path()![0]!);
    await guard.kill();
    await alice.conversation(bob.id).send('after');
    expect((await received(bob, 2)).sort()).toEqual(['after', 'before']);
    // A path is found dead when it is used; the message after may have gone over the other one.
    const hasGuard = () =>
      alice.paths().some(({ hops }) => hops.some((hop) => hop.ed25519Hex === guard.ed25519));
    for (let again = 0; hasGuard() && again < 20; again++) await alice.conversation(bob.id).send('again');
    await until(() => alice.paths().filter((path) => path.state === 'usable').length === 2);
    expect(hasGuard()).toBe(false);
  });

  test('a hop in the middle cut off: the same', async () => {
    const [alice, bob] = [await open(), await open()];
    await alice.conversation(bob.id).send('before');
    for (const path of alice.paths()) nodeOf(path.hops[1]!).partition(true);
    await alice.conversation(bob.id).send('after');
    expect((await received(bob, 2)).sort()).toEqual(['after', 'before']);
  });

  test('the seed gone: a client that knows the network needs none', async () => {
    const [alice, bob] = [await open(), await open()];
    await alice.ready();
    await net.nodes[0]!.kill();
    await alice.conversation(bob.id).send('without a seed');
    expect(await received(bob, 1)).toEqual(['without a seed']);
  });

  test('no node at all: sending says so, and the message can be sent again later', async () => {
    const [alice, bob] = [await open(), Account.create()];
    await alice.ready();
    for (const node of net.nodes) node.partition(true);
    const text = 'into the void';
    const signal = AbortSignal.timeout(4_000);
    await expect(alice.conversation(bob.id).send(text, { signal })).rejects.toThrow();
    for (const node of net.nodes) node.partition(false);
    const [failed] = await alice.conversation(bob.id).history();
    expect(failed).toMatchObject({ state: 'failed', text });
    await until(async () => {
      try {
        await alice.conversation(bob.id).resend(failed!.timestamp);
        return true;
      } catch {
        return false;
      }
    });
    expect(await received(await open(bob), 1)).toEqual([text]);
  });
});
