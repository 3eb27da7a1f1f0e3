// SPDX-License-Identifier: AGPL-3.0-or-later
// Clients with the transport of browsers, through a real gateway to a real network.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@allium/client';
import { BrowserTransport, browserEnv, openBrowserClient } from '@allium/client/browser';
import { MemoryStorage } from '@allium/client/storage/memory';
import { systemEnv } from '@allium/net/system-env';
import { Account } from '@allium/protocol/account';
import { type FileServer, startFileServer } from '@allium/servers/files';
import { Gateway, type GatewayOptions } from '@allium/servers/gateway';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Devnet } from '../src/devnet.ts';

let net: Devnet;
let folder: string;
let files: FileServer;
let gateway: Gateway;
const clients: Client[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'allium-gateway-'));
  net = await Devnet.start({
    ...{ nodes: 8, rateLimit: false },
    node: { relayExemptRanges: ['127.0.0.0/8'] },
  });
  files = await startFileServer({ folder, port: 0 }, systemEnv());
  gateway = await startGateway(0);
});

afterAll(async () => {
  for (const client of clients) await client.close();
  await gateway?.stop();
  await files?.stop();
  await net?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function startGateway(port: number, more: Partial<GatewayOptions> = {}): Promise<Gateway> {
  const made = new Gateway(
    {
      ...more,
      ...{ port, network: 'local', seeds: [{ url: net.seed }], allows: () => true },
      fileServers: [{ url: files.url, ed25519Hex: files.ed25519Hex }],
    },
    systemEnv(),
  );
  await made.start();
  return made;
}

async function open(transport?: BrowserTransport): Promise<Client> {
  const client = await openBrowserClient({
    account: Account.create(),
    gateway: gateway.url,
    storage: new MemoryStorage(),
    ...(transport !== undefined && { transport }),
  });
  clients.push(client);
  return client;
}

async function next(client: Client): Promise<string | undefined> {
  for await (const message of client.messages()) return message.text;
  return undefined;
}

test('two browsers talk, and all of it goes through the gateway', async () => {
  const transport = new BrowserTransport({ gateway: gateway.url, env: browserEnv() });
  const [alice, bob] = [await open(transport), await open()];
  await alice.conversation(bob.id).send('from page to page');
  expect(await next(bob)).toBe('from page to page');
  expect(transport.state).toBe('connected');
  expect(gateway.numbers.envelopes.get('answer')).toBeGreaterThan(2);
  // Both hold a question to their swarm open.
  await expect.poll(() => gateway.numbers.pending).toBeGreaterThan(1);
});

test('where WebSockets do not get through, single requests do', async () => {
  const transport = new BrowserTransport({
    gateway: gateway.url,
    env: browserEnv(),
    makeSocket: () => {
      throw new Error('no WebSocket here');
    },
  });
  const alice = await open(transport);
  await alice.noteToSelf().send('by fetch');
  const [stored] = await alice.noteToSelf().history();
  expect(stored).toMatchObject({ text: 'by fetch', state: 'sent' });
  expect(transport.state).toBe('fallback');
});

test('the list that the gateway hands over is checked as any other', async () => {
  const checked = await startGateway(0, { anchor: readFileSync(net.networkFile, 'utf8') });
  const client = await openBrowserClient({
    account: Account.create(),
    gateway: checked.url,
    storage: new MemoryStorage(),
  });
  await client.ready();
  expect(client.health().trust).toMatchObject({ state: 'verified', by: 'static_list' });
  await client.close();
  await checked.stop();
});

test('files go through it to a file server and back', async () => {
  const client = await open();
  const bytes = new Uint8Array(300_000).map((_, i) => (i * 31) >> 3);
  const pointer = await client.files.upload(bytes);
  expect(await client.files.download(pointer)).toEqual(bytes);
});

test('a gateway that is gone for a while loses nothing', async () => {
  const { port } = new URL(gateway.url);
  const transport = new BrowserTransport({ gateway: gateway.url, env: browserEnv() });
  const [alice, bob] = [await open(transport), await open()];
  const got: string[] = [];
  void (async () => {
    for await (const message of bob.messages()) got.push(message.text);
  })();
  const conversation = alice.conversation(bob.id);
  await conversation.send('0');
  await expect.poll(() => got).toEqual(['0']);
  await gateway.stop();
  const sent = ['1', '2', '3'].map((text) => conversation.send(text, { keepTrying: true }));
  await expect.poll(() => transport.state).toBe('unreachable');
  expect(got).toEqual(['0']);
  gateway = await startGateway(Number(port));
  await Promise.all(sent);
  await expect.poll(() => got.toSorted()).toEqual(['0', '1', '2', '3']);
  expect(transport.state).toBe('connected');
});

test('a guard that is gone is replaced by another one', async () => {
  const client = await open();
  await client.ready();
  const [guard] = client.path() ?? [];
  const node = net.nodes.find(({ ed25519 }) => ed25519 === guard?.ed25519Hex);
  await node?.kill();
  await client.noteToSelf().send('still here', { keepTrying: true });
  expect((await client.noteToSelf().history()).map(({ text }) => text)).toEqual(['still here']);
  await node?.start();
});
