// SPDX-License-Identifier: MIT
// Who waits for a download, and who does not any more.
import type { Clock } from '@allium/protocol/env';
import { expect, test } from 'vitest';
import { Contents } from '../../src/files/contents.ts';
import { Downloads } from '../../src/files/downloads.ts';
import type { TransferOptions } from '../../src/files/transfer.ts';
import { MemoryBlobs } from '../../src/storage/blobs.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';

const FILE = {
  contentType: 'image/png',
  sizeBytes: 3,
  url: 'http://filev2.getsession.org/file/1',
  key: 'ab'.repeat(64),
};
const CLOCK = { now: () => 1_800_000_000_000 } as Clock;

/** Downloads that end when the test says so, or when they are aborted. */
async function slow() {
  const contents = await Contents.open(new MemoryBlobs(), new MemoryStorage(), CLOCK);
  const begun: { readonly end: () => void; readonly signal: AbortSignal }[] = [];
  const download = (_pointer: unknown, { signal }: TransferOptions = {}) =>
    new Promise<Uint8Array>((resolve, reject) => {
      begun.push({ end: () => resolve(Uint8Array.of(1, 2, 3)), signal: signal! });
      // As a request that has to be ended first.
      signal?.addEventListener('abort', () => setTimeout(() => reject(signal.reason), 5));
    });
  const fetchBody = () => Promise.reject(new Error('not in parts'));
  return { contents, begun, downloads: new Downloads({ contents, transfers: { download, fetchBody } }) };
}

test('a download that nobody waits for ends, and who asks right then gets another one', async () => {
  const { contents, begun, downloads } = await slow();
  const cancel = new AbortController();
  const first = downloads.fetch(FILE, undefined, { signal: cancel.signal });
  await expect.poll(() => begun.length).toBe(1);
  cancel.abort(new Error('not now'));
  const again = first.catch((error: Error) => {
    expect(error.message).toBe('not now');
    return downloads.fetch(FILE, undefined);
  });
  await expect.poll(() => begun.length).toBe(2);
  expect(begun.map(({ signal }) => signal.aborted)).toEqual([true, false]);
  begun[1]!.end();
  expect(await contents.bytes(await again)).toEqual(Uint8Array.of(1, 2, 3));
});

test('two who wait for a file share its download, and one of them may leave', async () => {
  const { begun, downloads } = await slow();
  const cancel = new AbortController();
  const leaver = downloads.fetch(FILE, undefined, { signal: cancel.signal });
  const stayer = downloads.fetch(FILE, undefined);
  await expect.poll(() => begun.length).toBe(1);
  cancel.abort(new Error('enough'));
  await expect(leaver).rejects.toThrow('enough');
  begun[0]!.end();
  expect(await stayer).toBe(downloads.namesOf(FILE)[0]);
  expect(begun).toHaveLength(1);
});
