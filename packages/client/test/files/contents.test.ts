// SPDX-License-Identifier: MIT
// The content of files at rest: unreadable without the storage, whole or not there, and gone when nothing needs it.
import { Account } from '@allium/protocol/account';
import { utf8 } from '@allium/protocol/bytes';
import { beforeEach, expect, test } from 'vitest';
import { Contents, SEGMENT_BYTES } from '../../src/files/contents.ts';
import { MemoryBlobs } from '../../src/storage/blobs.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { TestClock } from '../test-clock.ts';

const { id } = Account.fromSeed(new Uint8Array(16).fill(1));
const OWNER = { sender: id, timestamp: 5 };
const HOUR_MS = 3_600_000;

let clock: TestClock;
let port: MemoryBlobs;
let storage: MemoryStorage;
const open = () => Contents.open(port, storage, clock);

beforeEach(() => {
  clock = new TestClock();
  port = new MemoryBlobs();
  storage = new MemoryStorage();
});

async function* inPieces(length: number): AsyncIterable<Uint8Array> {
  for (let left = length; left > 0; left -= 999_999)
    yield new Uint8Array(Math.min(left, 999_999)).fill(left & 255);
}

test('segments are encrypted, each for its place', async () => {
  const contents = await open();
  const secret = utf8('a very secret picture');
  await contents.keep('ab', secret, undefined);
  const sealed = await port.get('ab-0');
  expect(sealed?.length).toBe(24 + secret.length + 16);
  expect(new TextDecoder().decode(sealed)).not.toContain('secret');
  expect(await contents.bytes('ab')).toEqual(secret);
  await port.put('cd-0', sealed!);
  expect(await contents.segment('cd', 0)).toBeUndefined();
  sealed![30]! ^= 1;
  await port.put('ab-0', sealed!);
  expect(await contents.bytes('ab')).toBeUndefined();
  // Another storage, another key.
  expect((await Contents.open(port, new MemoryStorage(), clock)).nameOf('url', 'key')).not.toBe(
    contents.nameOf('url', 'key'),
  );
});

test('takes streams of any pieces, in segments', async () => {
  const contents = await open();
  const length = SEGMENT_BYTES + 12_345;
  const { content, record } = await contents.put('ab', inPieces(length), { limit: length });
  await storage.write({ records: [record] });
  expect(content).toMatchObject({ sizeBytes: length, isWhole: true, isPinned: true });
  expect((await contents.segment('ab', 0))?.length).toBe(SEGMENT_BYTES);
  expect((await contents.segment('ab', 1))?.length).toBe(12_345);
  await expect(contents.put('cd', inPieces(1_001), { limit: 1_000 })).rejects.toMatchObject({
    code: 'too_large',
  });
  expect(await port.names()).toEqual(['ab-0', 'ab-1']);
});

test('what no message owns goes at a later start, and what was fetched in part after a week', async () => {
  const contents = await open();
  await contents.keep('aa', utf8('owned'), OWNER);
  await contents.keep('bb', utf8('orphan'), { sender: id, timestamp: 6 });
  await contents.begin('cc', 3 * SEGMENT_BYTES, OWNER);
  await contents.putSegment('cc', 0, utf8('part'));
  await storage.write({
    messages: [{ ...OWNER, conversation: id, text: '', state: 'received', handled: true }],
  });
  await open();
  expect(await port.names()).toEqual(['aa-0', 'bb-0', 'cc-0']);
  await clock.pass(25 * HOUR_MS);
  await open();
  expect(await port.names()).toEqual(['aa-0', 'cc-0']);
  await clock.pass(7 * 24 * HOUR_MS);
  const last = await open();
  expect(await port.names()).toEqual(['aa-0']);
  expect(last.cachedBytes).toBe(5);
  await storage.write({ marked: [{ ...OWNER, marks: { deletedAt: 9 } }] });
  await open();
  expect(await port.names()).toEqual([]);
});

test('what is pinned is never removed to make room', async () => {
  const contents = await open();
  contents.limitBytes = 10;
  const { content, record } = await contents.put('aa', utf8('to be uploaded'), { limit: 100 });
  await storage.write({ records: [record] });
  await contents.keep('bb', utf8('12345678'), undefined);
  await clock.pass(1);
  await contents.keep('cc', utf8('12345678'), undefined);
  expect(await port.names()).toEqual(['aa-0', 'cc-0']);
  await storage.write({ records: [contents.unpinned('aa', content)] });
  await clock.pass(1);
  await contents.keep('dd', utf8('12345678'), undefined);
  expect(await port.names()).toEqual(['dd-0']);
});

test('two writers of the same name leave what can be read', async () => {
  const contents = await open();
  await Promise.all([
    contents.keep('aa', utf8('same'), undefined),
    contents.keep('aa', utf8('same'), undefined),
  ]);
  expect(await contents.bytes('aa')).toEqual(utf8('same'));
});
