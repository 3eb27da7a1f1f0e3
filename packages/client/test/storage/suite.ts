// SPDX-License-Identifier: MIT
// What every storage must do. `make` gives a fresh one; `reopen` the same data after a restart of the program.
import type { AccountId } from '@allium/protocol/account-id';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { matches, readQuery, type SearchQuery } from '../../src/storage/search.ts';
import { compareMessages, type Storage, type StoredMessage } from '../../src/storage/storage.ts';

export interface Opened {
  readonly storage: Storage;
  reopen(): Promise<Storage>;
  /** Closes and removes everything. */
  remove(): Promise<void>;
}

const id = (digit: string) => `05${digit.repeat(64)}` as AccountId;
const ALICE = id('a');
const BOB = id('b');
const CAROL = id('c');

function message(timestamp: number, change: Partial<StoredMessage> = {}): StoredMessage {
  return {
    sender: BOB,
    timestamp,
    conversation: BOB,
    text: `text ${timestamp}`,
    state: 'received',
    handled: true,
    ...change,
  };
}

export function storageSuite(name: string, make: () => Promise<Opened>): void {
  describe(`storage: ${name}`, () => {
    let opened: Opened | undefined;
    const open = async () => {
      opened = await make();
      return opened.storage;
    };
    afterEach(async () => {
      await opened?.remove();
      opened = undefined;
    });

    test('is empty at first', async () => {
      const storage = await open();
      expect(await storage.message(BOB, 1)).toBeUndefined();
      expect(await storage.history(BOB, { limit: 10 })).toEqual([]);
      expect(await storage.conversations()).toEqual([]);
      expect(await storage.unhandled(10)).toEqual([]);
      expect(await storage.unsent()).toEqual([]);
      expect(await storage.seen(['x'])).toEqual(new Set());
      expect(await storage.lastHash('n', ALICE, 0)).toBeUndefined();
      expect(await storage.swarm(ALICE)).toBeUndefined();
      expect(await storage.nodes()).toEqual([]);
      expect(await storage.guards()).toEqual([]);
      expect(await storage.setting('x')).toBeUndefined();
    });

    test('what is to be fresh and is not, is not written, and nothing with it', async () => {
      const storage = await open();
      const first = message(5);
      await storage.write({ fresh: [first, message(6)], messages: [first] });
      const other = message(7);
      const again = message(5, { text: 'other' });
      await expect(
        storage.write({
          fresh: [other, again],
          removed: [first],
          messages: [other, again],
          settings: { a: 'b' },
        }),
      ).rejects.toMatchObject({ name: 'StorageError', code: 'taken' });
      expect(await storage.history(BOB, { limit: 9 })).toEqual([first]);
      expect(await storage.setting('a')).toBeUndefined();
      await storage.write({ fresh: [other], messages: [other] });
      expect(await storage.history(BOB, { limit: 9 })).toEqual([first, other]);
    });

    test('what is to be as it was read and is not, is not written, and nothing with it', async () => {
      const storage = await open();
      const [a, b] = ['a', 'b'].map((key) => ({
        kind: 'note',
        key,
        value: { at: 1, by: { x: [key, null] } },
      }));
      await storage.write({ records: [a!, b!] });
      const read = await storage.records('note');
      const changed = { ...b!, value: { at: 2 } };
      const gone = { kind: 'note', key: 'c', value: { at: 1 } };
      const removed = read.map(({ kind, key }) => ({ kind, key, value: undefined }));
      await storage.write({ records: [changed] });
      for (const unchanged of [read, [a!, gone]]) {
        await expect(
          storage.write({ unchanged, records: removed, messages: [message(1)], settings: { a: 'b' } }),
        ).rejects.toMatchObject({ name: 'StorageError', code: 'changed' });
      }
      expect(await storage.records('note')).toEqual([a, changed]);
      expect([await storage.message(BOB, 1), await storage.setting('a')]).toEqual([undefined, undefined]);
      await storage.write({ unchanged: await storage.records('note'), records: removed });
      expect(await storage.records('note')).toEqual([]);
    });

    test('keeps a message as it was given, whatever its text', async () => {
      const storage = await open();
      const texts = ['', 'a\u0000b', '🧅'.repeat(500), '"quotes" \\ \n', ' '];
      const messages = texts.map((text, index) => message(index + 1, { text }));
      await storage.write({ messages });
      for (const given of messages) expect(await storage.message(BOB, given.timestamp)).toEqual(given);
      const full = message(99, { hash: 'h', copyPending: false, state: 'sent' });
      await storage.write({ messages: [full] });
      expect(await storage.message(BOB, 99)).toEqual(full);
    });

    test('replaces a message of the same sender and time, and tells senders apart', async () => {
      const storage = await open();
      await storage.write({ messages: [message(1, { state: 'sending', copyPending: true, hash: 'old' })] });
      await storage.write({ messages: [message(1, { state: 'sent' }), message(1, { sender: ALICE })] });
      expect(await storage.message(BOB, 1)).toEqual(message(1, { state: 'sent' }));
      expect(await storage.history(BOB, { limit: 10 })).toHaveLength(2);
    });

    test('removes messages, and may write one under another time in the same change', async () => {
      const storage = await open();
      await storage.write({ messages: [message(1, { handled: false }), message(2)] });
      await storage.write({
        removed: [
          { sender: BOB, timestamp: 1 },
          { sender: CAROL, timestamp: 2 },
        ],
        messages: [message(3)],
      });
      expect((await storage.history(BOB, { limit: 10 })).map((m) => m.timestamp)).toEqual([2, 3]);
      expect(await storage.unhandled(10)).toEqual([]);
    });

    test('gives the history of one conversation by time, from its newest end, in pages', async () => {
      const storage = await open();
      const times = [5, 1, 4, 2, 3];
      await storage.write({ messages: times.map((time) => message(time)) });
      await storage.write({ messages: [message(6, { sender: ALICE, conversation: CAROL })] });
      const page = async (limit: number, before?: number) =>
        (await storage.history(BOB, { limit, ...(before !== undefined && { before: message(before) }) })).map(
          (m) => m.timestamp,
        );
      expect(await page(10)).toEqual([1, 2, 3, 4, 5]);
      expect(await page(2)).toEqual([4, 5]);
      expect(await page(2, 4)).toEqual([2, 3]);
      expect(await page(2, 1)).toEqual([]);
      expect(await page(0)).toEqual([]);
    });

    test('orders by sort timestamp and hash, in pages of any size, whatever the order of writing', async () => {
      const storage = await open();
      let round = 0;
      await fc.assert(
        fc.asyncProperty(
          fc.uniqueArray(
            fc.record({
              timestamp: fc.integer({ min: 1, max: 4 }),
              sender: fc.constantFrom(ALICE, BOB, CAROL),
              hash: fc.option(fc.constantFrom('+A', 'a', 'b', 'zz'), { nil: undefined }),
              sortTimestamp: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
            }),
            { selector: (place) => `${place.sender} ${place.timestamp}`, maxLength: 12 },
          ),
          fc.integer({ min: 1, max: 5 }),
          async (places, limit) => {
            // Identities are unique in a storage: each round has times of its own.
            const base = 10 * ++round;
            const conversation = `05${String(round).padStart(64, '0')}` as AccountId;
            const messages = places.map(({ timestamp, sender, hash, sortTimestamp }) =>
              message(base + timestamp, {
                sender,
                conversation,
                ...(hash !== undefined && { hash }),
                ...(sortTimestamp !== undefined && { sortTimestamp: base + sortTimestamp }),
              }),
            );
            for (const one of messages) await storage.write({ messages: [one] });
            const sorted = [...messages].sort(compareMessages);
            expect(await storage.history(conversation, { limit: 100 })).toEqual(sorted);
            const paged: StoredMessage[] = [];
            for (;;) {
              const [before] = paged;
              const page = await storage.history(conversation, { limit, ...(before && { before }) });
              if (page.length === 0) break;
              paged.unshift(...page);
            }
            expect(paged).toEqual(sorted);
            const summary = (await storage.conversations()).find(({ id: other }) => other === conversation);
            expect(summary?.last).toEqual(sorted.at(-1));
          },
        ),
        { numRuns: 30 },
      );
    });

    test('marks and moves messages without touching the rest of them, and finds those that were moved', async () => {
      const storage = await open();
      const given = message(5, { handled: false, hash: 'b', text: 'unchanged' });
      await storage.write({ messages: [given, message(3, { handled: false })] });
      expect(await storage.moved(['b'])).toEqual([]);
      await storage.write({ placed: [{ sender: BOB, timestamp: 5, hash: 'a', sortTimestamp: 2 }] });
      const moved = { ...given, hash: 'a', sortTimestamp: 2 };
      expect(await storage.moved(['a', 'b', 'c'])).toEqual([moved]);
      expect((await storage.history(BOB, { limit: 9 })).map((m) => m.timestamp)).toEqual([5, 3]);
      expect((await storage.unhandled(9)).map((m) => m.timestamp)).toEqual([5, 3]);
      await storage.write({
        handled: [moved, { sender: CAROL, timestamp: 5 }],
        placed: [{ sender: CAROL, timestamp: 5, hash: 'c' }],
      });
      expect(await storage.message(BOB, 5)).toEqual({ ...moved, handled: true });
      expect(await storage.message(CAROL, 5)).toBeUndefined();
      expect((await storage.unhandled(9)).map((m) => m.timestamp)).toEqual([3]);
      await storage.write({ placed: [{ sender: BOB, timestamp: 5, hash: 'a' }] });
      expect(await storage.moved(['a'])).toEqual([]);
      expect((await storage.history(BOB, { limit: 9 })).map((m) => m.timestamp)).toEqual([3, 5]);
    });

    test('lists conversations with their newest message, newest first', async () => {
      const storage = await open();
      await storage.write({
        messages: [
          message(1),
          message(9, { sender: ALICE, conversation: BOB }),
          message(5, { sender: CAROL, conversation: CAROL }),
          message(12, { sender: ALICE, conversation: ALICE }),
          message(2),
        ],
      });
      const list = await storage.conversations();
      expect(list.map(({ id: conversation, last }) => [conversation, last.timestamp])).toEqual([
        [ALICE, 12],
        [BOB, 9],
        [CAROL, 5],
      ]);
    });

    test('gives unhandled messages in the order of arrival until they are marked', async () => {
      const storage = await open();
      await storage.write({ messages: [message(7, { handled: false }), message(3, { handled: false })] });
      await storage.write({ messages: [message(5, { handled: false }), message(4)] });
      const times = async (limit: number) => (await storage.unhandled(limit)).map((m) => m.timestamp);
      expect(await times(10)).toEqual([7, 3, 5]);
      expect(await times(2)).toEqual([7, 3]);
      await storage.write({ messages: [message(3)] });
      expect(await times(10)).toEqual([7, 5]);
    });

    test('finds what is unsent or uncopied, oldest first', async () => {
      const storage = await open();
      await storage.write({
        messages: [
          message(4, { state: 'sending' }),
          message(3, { state: 'sent', copyPending: true }),
          message(2, { state: 'sent', copyPending: false }),
          message(1, { state: 'failed' }),
        ],
      });
      expect((await storage.unsent()).map((m) => m.timestamp)).toEqual([3, 4]);
      await storage.write({ messages: [message(4, { state: 'sent' }), message(3, { state: 'sent' })] });
      expect(await storage.unsent()).toEqual([]);
    });

    test('remembers seen hashes and last hashes until they expire', async () => {
      const storage = await open();
      const last = { node: 'n', account: ALICE, namespace: 0, hash: 'h', expiry: 20 };
      const other = { ...last, namespace: -11, hash: 'other', expiry: 10 };
      await storage.write({
        seen: [
          { hash: 'a', expiry: 10 },
          { hash: 'b', expiry: 20 },
        ],
        lastHashes: [last, other],
      });
      expect(await storage.seen(['a', 'b', 'c'])).toEqual(new Set(['a', 'b']));
      expect(await storage.lastHash('n', ALICE, 0)).toEqual(last);
      expect(await storage.lastHash('n', ALICE, -11)).toEqual(other);
      expect(await storage.lastHash('n', BOB, 0)).toBeUndefined();
      expect(await storage.lastHash('m', ALICE, 0)).toBeUndefined();
      await storage.write({ lastHashes: [{ ...last, hash: 'newer' }] });
      await storage.prune(20);
      expect(await storage.seen(['a', 'b'])).toEqual(new Set(['b']));
      expect(await storage.lastHash('n', ALICE, 0)).toMatchObject({ hash: 'newer' });
      expect(await storage.lastHash('n', ALICE, -11)).toBeUndefined();
    });

    test('replaces node list and guards as wholes, and removes settings', async () => {
      const storage = await open();
      const node = (digit: string, httpsPort: number) => ({
        ed25519Hex: digit.repeat(64),
        x25519Hex: digit.repeat(64),
        host: '127.0.0.1',
        httpsPort,
      });
      await storage.write({
        nodes: [{ ...node('b', 2), operator: '0xb' }, node('a', 1)],
        guards: ['y', 'x'],
        settings: { s: '1', t: '2' },
      });
      expect(await storage.nodes()).toEqual([{ ...node('b', 2), operator: '0xb' }, node('a', 1)]);
      expect(await storage.guards()).toEqual(['y', 'x']);
      await storage.write({ nodes: [node('c', 3)], guards: [], settings: { s: undefined } });
      expect(await storage.nodes()).toEqual([node('c', 3)]);
      expect(await storage.guards()).toEqual([]);
      expect(await storage.setting('s')).toBeUndefined();
      expect(await storage.setting('t')).toBe('2');
    });

    test('keeps swarms by account', async () => {
      const storage = await open();
      const swarm = { account: ALICE, members: ['a', 'b'], fetchedAt: 5 };
      await storage.write({ swarms: [swarm, { account: BOB, members: [], fetchedAt: 6 }] });
      expect(await storage.swarm(ALICE)).toEqual(swarm);
      expect(await storage.swarm(BOB)).toEqual({ account: BOB, members: [], fetchedAt: 6 });
      expect(await storage.swarm(CAROL)).toBeUndefined();
    });

    test('writes all of a change or nothing of it', async () => {
      const storage = await open();
      const poison = {
        hash: 'bad',
        get expiry(): number {
          throw new Error('poison');
        },
      };
      await expect(
        storage.write({
          messages: [message(1)],
          settings: { a: '1' },
          seen: [{ hash: 'good', expiry: 1 }, poison],
        }),
      ).rejects.toThrow();
      expect(await storage.message(BOB, 1)).toBeUndefined();
      expect(await storage.seen(['good'])).toEqual(new Set());
      expect(await storage.setting('a')).toBeUndefined();
      await storage.write({ messages: [message(2)] });
      expect(await storage.message(BOB, 2)).toBeDefined();
    });

    test('what was given or read can change afterwards without changing the storage', async () => {
      const storage = await open();
      const guards = ['x'];
      const mutable = { ...message(1), text: 'before' };
      await storage.write({ guards, messages: [mutable] });
      guards.push('y');
      mutable.text = 'after';
      expect(await storage.guards()).toEqual(['x']);
      expect(await storage.message(BOB, 1)).toMatchObject({ text: 'before' });
    });

    test('merges marks, also into messages that are replaced, and forgets what was deleted', async () => {
      const storage = await open();
      const heart = { by: ALICE, emoji: '❤', at: 5, on: true };
      await storage.write({
        messages: [
          message(1, { keepTrying: true, failure: 'clock', quote: { author: ALICE, timestamp: 7 } }),
        ],
        marked: [
          { sender: BOB, timestamp: 1, marks: { deliveredAt: 9 } },
          { sender: BOB, timestamp: 2, marks: { deliveredAt: 9 } },
        ],
      });
      await storage.write({ marked: [{ sender: BOB, timestamp: 1, marks: { reactions: [heart] } }] });
      expect(await storage.message(BOB, 1)).toEqual(
        message(1, {
          keepTrying: true,
          failure: 'clock',
          quote: { author: ALICE, timestamp: 7 },
          marks: { deliveredAt: 9, reactions: [heart] },
        }),
      );
      await storage.write({ messages: [message(1, { marks: { stored: 3, of: 7 } })] });
      await storage.write({ placed: [{ sender: BOB, timestamp: 1, hash: 'h' }] });
      const [known] = await storage.history(BOB, { limit: 5 });
      expect(known).toEqual(
        message(1, { hash: 'h', marks: { stored: 3, of: 7, deliveredAt: 9, reactions: [heart] } }),
      );
      await storage.write({ marked: [{ sender: BOB, timestamp: 1, marks: { deletedAt: 11 } }] });
      await storage.write({ messages: [message(1, { hash: 'h' })] });
      expect(await storage.message(BOB, 1)).toEqual(
        message(1, { hash: 'h', text: '', marks: { stored: 3, of: 7, deliveredAt: 9, deletedAt: 11 } }),
      );
      expect(await storage.message(BOB, 2)).toBeUndefined();
    });

    test('finds what disappears, the next one first, and what somebody sent', async () => {
      const storage = await open();
      const timer = { mode: 'after_read', seconds: 60 } as const;
      await storage.write({
        messages: [
          message(1, { timer }),
          message(2, { timer, marks: { expiresAt: 90 } }),
          message(3, { timer: { mode: 'after_send', seconds: 5 }, marks: { expiresAt: 50 } }),
          message(4),
          message(5, { sender: ALICE, notice: { kind: 'timer', timer }, text: '' }),
        ],
      });
      const ends = async (limit: number) => (await storage.expiring(limit)).map((m) => m.timestamp);
      expect(await ends(10)).toEqual([3, 2]);
      expect(await ends(1)).toEqual([3]);
      await storage.write({
        marked: [{ sender: BOB, timestamp: 1, marks: { expiresAt: 70 } }],
        messages: [message(3, { marks: { expiresAt: 95 } })], // the earliest counts
        removed: [{ sender: BOB, timestamp: 2 }],
      });
      expect(await ends(10)).toEqual([3, 1]);
      const again = await opened!.reopen();
      expect(await again.expiring(10)).toMatchObject([{ timestamp: 3 }, { timestamp: 1, timer }]);
      expect(await again.message(ALICE, 5)).toMatchObject({ notice: { kind: 'timer', timer }, text: '' });
      expect((await again.sentBy(BOB, 1, 4)).map((m) => m.timestamp)).toEqual([1, 3]);
      expect(await again.sentBy(BOB, 4, 4)).toEqual([]);
    });

    test('shows the newest version of a text, and keeps the others', async () => {
      const storage = await open();
      const edit = (at: number) => ({ marks: { edits: [{ at, text: `version ${at}` }] } });
      await storage.write({ messages: [message(1)] });
      await storage.write({ marked: [{ sender: BOB, timestamp: 1, ...edit(9) }] });
      await storage.write({ marked: [{ sender: BOB, timestamp: 1, ...edit(7) }] });
      // Told once more, as it was sent first.
      await storage.write({ messages: [message(1)] });
      const marks = { edits: [...edit(7).marks.edits, ...edit(9).marks.edits] };
      const edited = message(1, { text: 'version 9', original: 'text 1', marks });
      expect(await storage.message(BOB, 1)).toEqual(edited);
      await storage.write({ marked: [{ sender: BOB, timestamp: 1, marks: { deletedAt: 11 } }] });
      await storage.write({ marked: [{ sender: BOB, timestamp: 1, ...edit(12) }] });
      expect(await storage.message(BOB, 1)).toEqual(message(1, { text: '', marks: { deletedAt: 11 } }));
    });

    test('finds messages by words, phrases, beginnings and parts of texts without spaces', async () => {
      const storage = await open();
      const texts = [
        'The quick brown fox jumps over the lazy dog',
        'Brown bread, not a quick one',
        'Crème brûlée in Zürich, straße',
        'ΟΔΥΣΣΕΥΣ at home',
        '我们明天在北京见面',
        '明日は東京に行きます',
        'ฉันรักภาษาไทย',
        "don't panic 🧅 42",
        'iPhone手机 for sale: https://example.org/x',
      ];
      await storage.write({ messages: texts.map((text, i) => message(i + 1, { text })) });
      const found = async (query: Partial<SearchQuery>) =>
        (await storage.search({ limit: 20, ...query })).messages.map((m) => m.timestamp);
      expect(await found({})).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1]);
      expect(await found({ text: 'brown quick' })).toEqual([2, 1]);
      expect(await found({ text: 'BROWN fox' })).toEqual([1]);
      expect(await found({ text: 'quick br' })).toEqual([2, 1]);
      expect(await found({ text: 'quick bre' })).toEqual([2]);
      expect(await found({ text: 'bre ' })).toEqual([]); // nobody goes on with it
      expect(await found({ text: 'row' })).toEqual([]);
      expect(await found({ text: 'b' })).toEqual([]);
      expect(await found({ text: 'a' })).toEqual([2]);
      expect(await found({ phrase: 'quick brown' })).toEqual([1]);
      expect(await found({ phrase: 'brown quick' })).toEqual([]);
      expect(await found({ phrase: 'quick', text: 'dog' })).toEqual([1]);
      expect(await found({ text: 'creme brulee' })).toEqual([3]);
      expect(await found({ text: 'CRÈME zurich STRASSE' })).toEqual([3]);
      expect(await found({ text: 'οδυσσευς' })).toEqual([4]);
      for (const part of ['我', '北京', '京见', '面', '明天在北'])
        expect(await found({ text: part })).toContain(5);
      expect(await found({ text: '明' })).toEqual([6, 5]);
      expect(await found({ text: '東京' })).toEqual([6]);
      expect(await found({ text: '京東' })).toEqual([]);
      expect(await found({ text: 'ภาษา' })).toEqual([7]);
      expect(await found({ phrase: "don't panic" })).toEqual([8]);
      expect(await found({ text: '🧅 42' })).toEqual([8]);
      expect(await found({ text: 'iphone手机' })).toEqual([9]);
      expect(await found({ text: '手机 sale' })).toEqual([9]);
      expect(await found({ text: '?!…' })).toEqual([]);
      expect(await found({ text: '   ' })).toHaveLength(9);
      expect(await found({ kind: 'link' })).toEqual([9]);
    });

    test('finds messages by person, conversation, time and kind, and gives them in pages', async () => {
      const storage = await open();
      const file = (fileName: string, contentType: string, isVoice?: true) => ({
        attachments: [{ contentType, fileName, sizeBytes: 1, ...(isVoice && { isVoice }) }],
      });
      await storage.write({
        messages: [
          message(1, { text: 'lunch?' }),
          message(2, { sender: ALICE, text: 'lunch at one' }),
          message(3, { conversation: CAROL, sender: ALICE, text: 'lunch with you?' }),
          message(4, { text: '', ...file('Menü lunch.PDF', 'application/pdf') }),
          message(5, { text: 'look', ...file('x.jpg', 'image/jpeg') }),
          message(6, { text: '', ...file('', 'audio/aac', true) }),
          message(7, { text: '', notice: { kind: 'screenshot' } }),
          message(8, { text: 'lunch is over', marks: { deletedAt: 9 } }),
          message(9, { text: 'lunch, stored late', sortTimestamp: 2, hash: 'late' }),
        ],
        marked: [{ sender: BOB, timestamp: 8, marks: { deletedAt: 9 } }],
      });
      const found = async (query: Partial<SearchQuery>, from: Storage = storage) =>
        (await from.search({ limit: 20, ...query })).messages.map((m) => m.timestamp);
      expect(await found({ text: 'lunch' })).toEqual([4, 3, 9, 2, 1]);
      expect(await found({ text: 'lunch', conversation: BOB })).toEqual([4, 9, 2, 1]);
      expect(await found({ text: 'lunch', person: ALICE })).toEqual([3, 2]);
      expect(await found({ person: ALICE, conversation: CAROL })).toEqual([3]);
      expect(await found({ text: 'lunch', from: 2, to: 4 })).toEqual([3, 9, 2]);
      expect(await found({ from: 5 })).toEqual([6, 5]);
      expect(await found({ from: 4, to: 4 })).toEqual([]);
      expect(await found({ text: 'menu pdf' })).toEqual([4]);
      expect(await found({ kind: 'file' })).toEqual([5, 4]);
      expect(await found({ kind: 'image', text: 'jpg' })).toEqual([5]);
      expect(await found({ kind: 'voice' })).toEqual([6]);
      expect(await found({ kind: 'audio' })).toEqual([]);
      const pages: number[][] = [];
      for (let before: string | undefined; ; ) {
        const page = await storage.search({ text: 'lunch', limit: 2, ...(before && { before }) });
        pages.push(page.messages.map((m) => m.timestamp));
        before = page.next;
        if (before === undefined) break;
      }
      expect(pages).toEqual([[4, 3], [9, 2], [1]]);
      // In step with every change.
      const edits = [{ at: 3, text: 'dinner' }];
      await storage.write({
        removed: [{ sender: ALICE, timestamp: 2 }],
        marked: [{ sender: BOB, timestamp: 1, marks: { edits } }],
        placed: [{ sender: BOB, timestamp: 9, hash: 'late', sortTimestamp: 8 }],
        messages: [message(3, { conversation: CAROL, sender: ALICE, text: 'lunch with you?' }), message(10)],
      });
      expect(await found({ text: 'lunch' })).toEqual([9, 4, 3]);
      expect(await found({ text: 'dinner' })).toEqual([1]);
      const again = await opened!.reopen();
      expect(await found({ text: 'lunch' }, again)).toEqual([9, 4, 3]);
      await again.write({ marked: [{ sender: BOB, timestamp: 1, marks: { deletedAt: 5 } }] });
      expect(await found({ text: 'dinner' }, again)).toEqual([]);
    });

    test('a search goes through many messages of one time, and finds the few that have two frequent words', async () => {
      const storage = await open();
      const text = (i: number) =>
        ['lunch', ...(i % 2 === 0 ? ['even'] : []), ...(i % 3 === 0 ? ['third'] : [])].join(' ');
      const messages = Array.from({ length: 600 }, (_, i) =>
        message(i + 1, { text: text(i + 1), hash: `h${i}`, sortTimestamp: i < 300 ? 5_000 : 6_000 + i }),
      );
      await storage.write({ messages });
      const all = async (query: Partial<SearchQuery>, limit: number) => {
        const found: number[] = [];
        for (let before: string | undefined; ; ) {
          const page = await storage.search({ ...query, limit, ...(before && { before }) });
          found.push(...page.messages.map((m) => m.timestamp));
          before = page.next;
          if (before === undefined) return found;
        }
      };
      const down = Array.from({ length: 600 }, (_, i) => 600 - i);
      expect(await all({ text: 'lunch ' }, 1_000)).toEqual(down);
      expect(await all({ text: 'lunch ' }, 70)).toEqual(down);
      expect(await all({ text: 'even third ' }, 1_000)).toEqual(down.filter((i) => i % 6 === 0));
      expect(await all({ text: 'third lunch even ' }, 7)).toEqual(down.filter((i) => i % 6 === 0));
      expect(await all({ phrase: 'lunch third' }, 9)).toEqual(down.filter((i) => i % 6 === 3));
      expect(await all({ text: 'even none ' }, 9)).toEqual([]);
    });

    test('whatever is asked, a search finds what the words say', async () => {
      const storage = await open();
      const parts = fc.constantFrom(
        'a',
        'ab',
        'abc',
        'B',
        'é',
        '北',
        '京',
        '北京',
        ' ',
        '"',
        "'",
        '*',
        '-',
        'NOT',
        ':',
      );
      const text = fc.array(parts, { maxLength: 6 }).map((list) => list.join(''));
      const hostile = fc.oneof(text, fc.string({ unit: 'binary', maxLength: 20 }));
      const texts = ['ab abc', 'abc', 'é北京', '北京北', 'NOT a "b"', 'a-b*', 'words:ab', "';--", '京'];
      const messages = texts.map((said, i) => message(i + 1, { text: said }));
      await storage.write({ messages });
      await fc.assert(
        fc.asyncProperty(hostile, hostile, async (words, phrase) => {
          const query = { text: words, phrase, limit: 50 };
          const wanted = readQuery(query);
          const expected = messages.filter((m) => matches(m, wanted)).map((m) => m.timestamp);
          const found = (await storage.search(query)).messages.map((m) => m.timestamp);
          expect(found).toEqual(expected.reverse());
        }),
        { numRuns: 150 },
      );
      expect((await storage.search({ text: 'ab '.repeat(100_000), limit: 5 })).messages).toHaveLength(2);
      for (const bad of [
        { limit: 0 },
        { limit: 1_001 },
        { limit: 5, before: '1; DROP' },
        { limit: 5, from: Number.NaN },
      ]) {
        await expect(storage.search(bad)).rejects.toMatchObject({ code: 'bad_search' });
      }
    });

    test('keeps records by kind and key, and forgets those that expire', async () => {
      const storage = await open();
      const records = [
        { kind: 'a', key: 'y', value: { n: [1, { deep: 'ü' }] } },
        { kind: 'a', key: 'x', value: {}, expiry: 10 },
        { kind: 'ab', key: 'x', value: { other: true } },
      ];
      await storage.write({ records });
      expect(await storage.record('a', 'y')).toEqual(records[0]);
      expect(await storage.record('b', 'y')).toBeUndefined();
      expect(await storage.records('a')).toEqual([records[1], records[0]]);
      await storage.write({ records: [{ kind: 'a', key: 'y', value: { n: 2 } }] });
      const again = await opened!.reopen();
      await again.prune(11);
      expect(await again.records('a')).toEqual([{ kind: 'a', key: 'y', value: { n: 2 } }]);
      await again.write({ records: [{ kind: 'a', key: 'y', value: undefined }] });
      expect(await again.records('a')).toEqual([]);
      expect(await again.records('ab')).toHaveLength(1);
    });

    test('gives all messages page by page in the order of first writing', async () => {
      const storage = await open();
      expect(await storage.lastPlace()).toBe(0);
      expect(await storage.scan(0, 10)).toEqual([]);
      const messages = [7, 3, 9, 1, 5].map((time) => message(time, { handled: time !== 9 }));
      for (const one of messages) await storage.write({ messages: [one] });
      await storage.write({
        messages: [message(3, { text: 'replaced' })],
        marked: [{ sender: BOB, timestamp: 7, marks: { readAt: 5 } }],
        removed: [{ sender: BOB, timestamp: 9 }],
      });
      const again = await opened!.reopen();
      const found: StoredMessage[] = [];
      let after = 0;
      for (;;) {
        const page = await again.scan(after, 2);
        expect(page.length).toBeLessThanOrEqual(2);
        if (page.length === 0) break;
        for (const { place, message } of page) {
          expect(place).toBeGreaterThan(after);
          after = place;
          found.push(message);
        }
      }
      expect(found).toEqual([
        message(7, { marks: { readAt: 5 } }),
        message(3, { text: 'replaced' }),
        message(1),
        message(5),
      ]);
      expect(await again.lastPlace()).toBe(after);
      expect(await again.scan(0, 0)).toEqual([]);
    });

    test('everything is there after a restart', async () => {
      const storage = await open();
      await storage.write({
        records: [{ kind: 'k', key: 'x', value: { a: 1 } }],
        messages: [message(1, { handled: false }), message(2, { state: 'sending' })],
        seen: [{ hash: 'a', expiry: 10 }],
        lastHashes: [{ node: 'n', account: ALICE, namespace: 0, hash: 'h', expiry: 20 }],
        swarms: [{ account: ALICE, members: ['m'], fetchedAt: 1 }],
        guards: ['g'],
        settings: { name: 'value' },
      });
      const again = await opened!.reopen();
      expect(await again.history(BOB, { limit: 10 })).toHaveLength(2);
      expect(await again.unhandled(10)).toHaveLength(1);
      expect(await again.unsent()).toHaveLength(1);
      expect(await again.seen(['a'])).toEqual(new Set(['a']));
      expect(await again.lastHash('n', ALICE, 0)).toMatchObject({ hash: 'h' });
      expect(await again.swarm(ALICE)).toMatchObject({ members: ['m'] });
      expect(await again.guards()).toEqual(['g']);
      expect(await again.setting('name')).toBe('value');
      expect(await again.record('k', 'x')).toMatchObject({ value: { a: 1 } });
    });

    test('refuses everything once closed', async () => {
      const storage = await open();
      await storage.close();
      await storage.close();
      const refused = { code: 'closed', name: 'StorageError' };
      await expect(storage.write({})).rejects.toMatchObject(refused);
      await expect(storage.guards()).rejects.toMatchObject(refused);
      await expect(storage.seen([])).rejects.toMatchObject(refused);
    });
  });
}
