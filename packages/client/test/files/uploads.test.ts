// SPDX-License-Identifier: MIT
// What is uploaded when, with servers that are only functions: nothing twice, the same bytes again, never a dead address.
import { Account } from '@allium/protocol/account';
import { contentId } from '@allium/protocol/files/content-id';
import { MAX_ATTACHMENT_BYTES } from '@allium/protocol/files/legacy';
import { PART_BYTES } from '@allium/protocol/files/parts';
import { beforeEach, expect, test } from 'vitest';
import { Contents } from '../../src/files/contents.ts';
import { FileTransferError } from '../../src/files/file-transfer-error.ts';
import type { SendBodyOptions } from '../../src/files/transfers.ts';
import { type FileProgress, Uploads } from '../../src/files/uploads.ts';
import { MemoryBlobs } from '../../src/storage/blobs.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import type { StoredMessage } from '../../src/storage/storage.ts';
import { TestClock, testEnv } from '../test-clock.ts';

const { id } = Account.fromSeed(new Uint8Array(16).fill(1));
const OWNER = { sender: id, timestamp: 7 };
const KEY = 'b8eef9821445ae16e2e97ef8aa6fe782fd11ad5253cd6723b281341dba22e371';
const DAY_MS = 86_400_000;
const live = new AbortController().signal;

let clock: TestClock;
let storage: MemoryStorage;
let port: MemoryBlobs;
let contents: Contents;
let uploads: Uploads;
let progress: FileProgress[];
/** Ids of what was given to the server, in order. */
let given: string[];
let send: (body: Uint8Array, options: SendBodyOptions) => Promise<void> | void;
let lifeMs: number;
let most: number;

async function restart(): Promise<void> {
  contents = await Contents.open(port, storage, clock);
  let now = 0;
  uploads = new Uploads({
    transfers: {
      sendBody: async (body, options = {}) => {
        most = Math.max(most, ++now);
        try {
          await send(body, options);
        } finally {
          now--;
        }
        const name = contentId(body);
        given.push(name);
        const server = { url: 'http://a.test', ed25519Hex: KEY };
        return {
          id: name,
          url: `http://a.test/file/${name}#p=${KEY}`,
          server,
          expiresAt: clock.now() + lifeMs,
        };
      },
    },
    ...{ contents, storage, env: testEnv(clock) },
    onProgress: (told) => progress.push(told),
  });
}

beforeEach(async () => {
  clock = new TestClock();
  storage = new MemoryStorage();
  port = new MemoryBlobs();
  progress = [];
  given = [];
  send = () => undefined;
  lifeMs = 21 * DAY_MS;
  most = 0;
  await restart();
});

async function written(...sizes: readonly number[]): Promise<StoredMessage> {
  const attachments = sizes.map((size, i) => ({
    data: new Uint8Array(size).fill(i + 1),
    fileName: `${i}.bin`,
  }));
  const { files, records } = await uploads.prepare({ attachments }, '', OWNER, undefined);
  const message: StoredMessage = {
    ...OWNER,
    conversation: id,
    text: '',
    state: 'sending',
    handled: true,
    ...files,
  };
  await storage.write({ messages: [message], records });
  return message;
}

test('what was uploaded is not uploaded again, though the program died before that was written', async () => {
  const message = await written(100, 200);
  let fails = true;
  send = (body) => {
    if (fails && body.length > 600) throw new FileTransferError('servers_down', 'down');
  };
  const large = await written(100, 2_000);
  await expect(uploads.run(large, live)).rejects.toMatchObject({ code: 'not_uploaded' });
  expect(given.length).toBe(1);
  await restart();
  fails = false;
  const done = await uploads.run(large, live);
  expect(given.length).toBe(2);
  expect(done.attachments?.map(({ url }) => url?.includes('/file/'))).toEqual([true, true]);
  expect(await uploads.run(done, live)).toBe(done);
  expect(message.attachments?.length).toBe(2);
});

test('a file that would not outlive its message goes up again before it is sent: the same bytes, the same address', async () => {
  lifeMs = 14 * DAY_MS;
  const message = await written(100);
  const first = await uploads.run(message, live);
  await clock.pass(DAY_MS / 2);
  expect(await uploads.run(first, live)).toBe(first);
  await clock.pass(DAY_MS);
  const second = await uploads.run(first, live);
  expect(given).toEqual([given[0], given[0]]);
  expect(second.attachments?.[0]).toMatchObject({
    url: first.attachments?.[0]?.url,
    expiresAt: clock.now() + lifeMs,
  });
});

test('a few files at a time, and the first failure ends the others', async () => {
  const message = await written(...Array.from({ length: 8 }, (_, i) => 100 + i));
  send = () => new Promise((resolve) => setTimeout(resolve, 1));
  await uploads.run(message, live);
  expect(most).toBe(3);
  expect(given.length).toBe(8);

  const other = await written(100, 5_000);
  send = (body, { signal }) =>
    body.length > 1_000
      ? Promise.reject(new FileTransferError('too_large', 'too large'))
      : new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
  await expect(uploads.run(other, live)).rejects.toMatchObject({ code: 'file_refused' });
});

test('parts that arrived are not sent again after a restart, and progress only grows', async () => {
  const message = await written(MAX_ATTACHMENT_BYTES + 1);
  let parts = 0;
  send = (body, { onProgress }) => {
    if (body.length > 1_000_000 && ++parts === 2) throw new FileTransferError('servers_down', 'down');
    onProgress?.({ doneBytes: body.length, totalBytes: body.length });
  };
  await expect(uploads.run(message, live)).rejects.toMatchObject({ code: 'not_uploaded' });
  await restart();
  expect(await uploads.progress(message)).toMatchObject([{ index: 0, doneBytes: PART_BYTES }]);
  const done = await uploads.run(message, live);
  expect(given.length).toBe(3);
  expect(done.attachments?.[0]).toMatchObject({
    sizeBytes: MAX_ATTACHMENT_BYTES + 1,
    fileName: '0.bin',
    partsTextBytes: expect.any(Number),
  });
  const told = progress.map(({ doneBytes }) => doneBytes);
  expect(told).toEqual([...told].sort((a, b) => a - b));
  expect(progress.at(-1)).toMatchObject({
    doneBytes: MAX_ATTACHMENT_BYTES + 1,
    totalBytes: MAX_ATTACHMENT_BYTES + 1,
  });
});

test('parts that would be gone before the message go up again', async () => {
  lifeMs = 14 * DAY_MS;
  const message = await written(MAX_ATTACHMENT_BYTES + 1);
  let parts = 0;
  send = (body) => {
    if (body.length > 1_000_000 && ++parts === 2) throw new FileTransferError('servers_down', 'down');
  };
  await expect(uploads.run(message, live)).rejects.toMatchObject({ code: 'not_uploaded' });
  await clock.pass(2 * DAY_MS);
  const done = await uploads.run(message, live);
  expect(done.attachments?.[0]).toMatchObject({ uploadedAt: clock.now(), expiresAt: clock.now() + lifeMs });
  expect(given.length).toBe(6);
  expect(new Set(given).size).toBe(3);
});

test('content that is no longer here is said, and not sent as something else', async () => {
  const message = await written(100);
  const name = message.attachments?.[0]?.content ?? '';
  await port.put(`${name}-0`, new Uint8Array(200));
  await expect(uploads.run(message, live)).rejects.toMatchObject({ code: 'file_lost' });
  await uploads.drop(message.attachments ?? []);
  await expect(uploads.run(message, live)).rejects.toMatchObject({ code: 'file_lost' });
  expect(await storage.records('upload')).toEqual([]);
});

test('once it is sent its content may go, and what is written of the upload is gone', async () => {
  const message = await uploads.run(await written(100), live);
  await storage.write({ records: await uploads.sent(message) });
  expect(await storage.records('upload')).toEqual([]);
  expect((await storage.records('content'))[0]?.value).toMatchObject({ isPinned: false, isWhole: true });
  expect(contents.cachedBytes).toBe(100);
});
