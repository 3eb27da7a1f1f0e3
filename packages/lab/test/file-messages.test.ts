// SPDX-License-Identifier: AGPL-3.0-or-later
// Messages with files from one client to another: real nodes, a real file server.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@allium/client';
import type { FileServerAddress } from '@allium/client/network/presets';
import { systemEnv } from '@allium/net/system-env';
import { Account } from '@allium/protocol/account';
import { type FileServer, startFileServer } from '@allium/servers/files';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Devnet } from '../src/devnet.ts';

let net: Devnet;
let folder: string;
let server: FileServer;
const clients: Client[] = [];

const picture = (length: number) => new Uint8Array(length).map((_, i) => (i * 31) >> 3);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'allium-file-messages-'));
  net = await Devnet.start({
    ...{ nodes: 6, rateLimit: false },
    node: { relayExemptRanges: ['127.0.0.0/8'] },
  });
  server = await startFileServer({ folder, port: 0 }, systemEnv());
});

afterAll(async () => {
  for (const client of clients) await client.close();
  await server?.stop();
  await net?.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function open(account = Account.create(), before: readonly FileServerAddress[] = []): Promise<Client> {
  const { url, ed25519Hex } = server;
  const client = await net.client({ account, fileServers: [...before, { url, ed25519Hex }] });
  clients.push(client);
  return client;
}

async function next(client: Client) {
  for await (const message of client.messages()) return message;
  throw new Error('no message');
}

test('a picture goes from one client to the other', async () => {
  const [alice, bob] = [await open(), await open()];
  const data = picture(50_000);
  await alice.conversation(bob.id).send('look', {
    attachments: [{ data, contentType: 'image/png', fileName: 'cat.png', width: 640, height: 480 }],
  });
  const message = await next(bob);
  expect(message).toMatchObject({
    text: 'look',
    attachments: [
      { contentType: 'image/png', fileName: 'cat.png', sizeBytes: 50_000, width: 640, height: 480 },
    ],
  });
  const file = await bob.files.open(message, 0);
  expect(Buffer.compare(await file.bytes(), data)).toBe(0);
});

test('a file above what servers take, while the first server is down', async () => {
  const dead = { url: 'http://127.0.0.1:9', ed25519Hex: server.ed25519Hex };
  const [alice, bob] = [await open(Account.create(), [dead]), await open()];
  const data = picture(11_000_000);
  await alice.conversation(bob.id).send('film', {
    attachments: [{ data: new Blob([data]), fileName: 'film.mp4', contentType: 'video/mp4' }],
  });
  const message = await next(bob);
  expect(message.attachments).toMatchObject([
    { fileName: 'film.mp4', contentType: 'video/mp4', sizeBytes: 11_000_000 },
  ]);
  const file = await bob.files.open(message);
  let at = 0;
  for await (const piece of file.stream()) {
    expect(Buffer.compare(piece, data.subarray(at, at + piece.length))).toBe(0);
    at += piece.length;
  }
  expect(at).toBe(data.length);
});

test('the picture of a profile', async () => {
  const [alice, bob] = [await open(), await open()];
  const png = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 9, 9);
  await alice.setPicture(png);
  await alice.conversation(bob.id).send('hi');
  await next(bob);
  const seen = await bob.picture(alice.id);
  expect([seen?.contentType, [...((await seen?.bytes()) ?? [])]]).toEqual(['image/png', [...png]]);
});
