// SPDX-License-Identifier: MIT
// Histories to archive, archives in memory, and storages that fail.
import type { AccountId } from '@allium/protocol/account-id';
import { concat } from '@allium/protocol/bytes';
import { cleanFileName } from '@allium/protocol/files/names';
import fc from 'fast-check';
import { type ByteReader, readerOf } from '../../src/archive/container.ts';
import { type ExportOptions, exportArchive } from '../../src/archive/export.ts';
import { mergeMarks } from '../../src/storage/marks.ts';
import { type Changes, type Storage, StorageError, type StoredMessage } from '../../src/storage/storage.ts';

export const NOW = 1_800_000_000_000;
export const PASSPHRASE = 'correct horse';
export const CHEAP = { passes: 1, memoryBytes: 8 * 1024 };
export const SMALL = 128 * 1024;
export const id = (digit: string) => `05${digit.repeat(64)}` as AccountId;
export const ALICE = id('a');
export const PEOPLE = [id('a'), id('b'), id('c')];

const person = fc.constantFrom(...PEOPLE);
const time = fc.integer({ min: NOW - 500, max: NOW });
const optional = { requiredKeys: [] };

const marks = fc.record(
  {
    stored: fc.integer({ min: 0, max: 5 }),
    of: fc.integer({ min: 0, max: 5 }),
    deliveredAt: time,
    readAt: time,
    reactions: fc.uniqueArray(
      fc.record({ by: person, emoji: fc.constantFrom('❤', '👍'), at: time, on: fc.boolean() }),
      { selector: ({ by, emoji }) => `${by} ${emoji}`, maxLength: 3, minLength: 1 },
    ),
    edits: fc.uniqueArray(fc.record({ text: fc.string(), at: time }), {
      selector: ({ at }) => at,
      minLength: 1,
      maxLength: 2,
    }),
    expiresAt: fc.integer({ min: NOW + 1, max: NOW + 1000 }),
  },
  optional,
);

const anyMessage: fc.Arbitrary<StoredMessage> = fc
  .record(
    {
      sender: person,
      timestamp: time,
      conversation: person,
      text: fc.string({ unit: 'grapheme' }),
      state: fc.constantFrom('received', 'sent', 'sending', 'failed'),
      handled: fc.boolean(),
      hash: fc.base64String({ minLength: 4 }),
      sortTimestamp: time,
      copyPending: fc.boolean(),
      failure: fc.constantFrom('clock', 'no_path'),
      quote: fc.record({ author: person, timestamp: time }),
      attachments: fc.array(
        fc.record(
          {
            contentType: fc.constant('image/png'),
            sizeBytes: fc.nat(),
            fileName: fc.string().map((name) => cleanFileName(name) ?? 'file'),
          },
          { requiredKeys: ['contentType', 'sizeBytes'] },
        ),
        { minLength: 1, maxLength: 2 },
      ),
      marks,
    },
    { requiredKeys: ['sender', 'timestamp', 'conversation', 'text', 'state', 'handled'] },
  )
  // As storages keep them.
  .map(
    (message) =>
      ({
        ...message,
        ...(message.marks && { marks: mergeMarks(message.marks, message.marks) }),
      }) as StoredMessage,
  );

export const history = fc.uniqueArray(anyMessage, {
  selector: ({ sender, timestamp }) => `${sender} ${timestamp}`,
  maxLength: 30,
});

export const plainMessage = (number: number, change: Partial<StoredMessage> = {}): StoredMessage => ({
  sender: PEOPLE[number % PEOPLE.length]!,
  timestamp: NOW - 1_000_000 + number,
  conversation: PEOPLE[1 + (number % 2)]!,
  text: `message ${number} ${'says something '.repeat(number % 20)}`,
  state: 'received',
  handled: true,
  hash: `hash${number}`,
  ...change,
});

/** An archive in memory, as pieces of the sizes in which they were written. */
export async function archived(storage: Storage, options: Partial<ExportOptions> = {}): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  await exportArchive(storage, {
    account: ALICE,
    passphrase: PASSPHRASE,
    now: NOW,
    cost: CHEAP,
    chunkTarget: SMALL,
    write: async (bytes) => {
      pieces.push(bytes);
    },
    ...options,
  });
  return concat(...pieces);
}

/** In pieces of `size` bytes. */
export function readerOver(bytes: Uint8Array, size = 1000): ByteReader {
  return readerOf(
    (async function* () {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
    })(),
  );
}

/** All messages as they are, by identity. */
export async function contentOf(storage: Storage): Promise<readonly StoredMessage[]> {
  const page = await storage.scan(0, 1_000_000);
  return page
    .map(({ message }) => message)
    .sort((a, b) => a.timestamp - b.timestamp || (a.sender < b.sender ? -1 : 1));
}

/** The storage, whose every `every`-th write fails: before it writes anything, or (`late`) after all of it. */
export function failing(storage: Storage, every: number, late = false): Storage & { failures: number } {
  let writes = 0;
  const face = new Proxy(storage, {
    get(target, name) {
      if (name === 'failures') return failures;
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      if (name !== 'write') return value.bind(target);
      return async (changes: Changes) => {
        const fails = ++writes % every === 0;
        if (!fails || late) await target.write(changes);
        if (fails) {
          failures++;
          throw new StorageError('full', 'no space is left');
        }
      };
    },
  }) as Storage & { failures: number };
  let failures = 0;
  return face;
}
