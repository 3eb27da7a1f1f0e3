// SPDX-License-Identifier: AGPL-3.0-or-later
// Clients with the transport of browsers, through a real gateway to a real network.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@allium/client';
import { BrowserTransport, browserEnv, openBrowserClient } from '@allium/client/browser';
import { MemoryStorage } from '@allium/client/storage/memory';
import { systemEnv } from '@allium/net/system-env';
import { Account } from '@allium/protocol/account';
import { type FileServer, startFileServer } from '@allium/servers/files';
import { Gateway } from '@allium/servers/gateway';
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
  gateway = await start(0);
});

afterAll(async () => {
  for (const client of clients) await client.close();
  await gateway?.stop();
  await files?.stop();
  await net?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function start(port: number): Promise<Gateway> {
  const made = new Gateway(
    {
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
