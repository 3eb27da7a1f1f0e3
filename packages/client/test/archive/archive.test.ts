// SPDX-License-Identifier: MIT
import type { AccountId } from '@allium/protocol/account-id';
import { concat } from '@allium/protocol/bytes';
import type { Clock } from '@allium/protocol/env';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  HEADER_BYTES,
  lastChunk,
  MAX_LINES_BYTES,
  newArchive,
  openArchive,
  sealChunk,
} from '../../src/archive/container.ts';
import { exportArchive, exportPoint, storageDigest } from '../../src/archive/export.ts';
import { type ImportSummary, importArchive, readAbout } from '../../src/archive/import.ts';
import { mediaOf } from '../../src/archive/media.ts';
import { carriedMessage } from '../../src/archive/records.ts';
import { Contents, SEGMENT_BYTES } from '../../src/files/contents.ts';
import { DEFAULT_SETTINGS } from '../../src/messaging/settings.ts';
import { MemoryBlobs } from '../../src/storage/blobs.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { compareMessages, type Storage } from '../../src/storage/storage.ts';
import {
  ALICE,
  archived,
  CHEAP,
  contentOf,
  failing,
  history,
  id,
  NOW,
  PASSPHRASE,
  PEOPLE,
  plainMessage,
  readerOver,
  SMALL,
} from './support.ts';

const [, BOB, CAROL] = PEOPLE as [AccountId, AccountId, AccountId];

const read = (storage: Storage, bytes: Uint8Array, options: { resume?: boolean; size?: number } = {}) =>
  importArchive(storage, {
    account: ALICE,
    passphrase: PASSPHRASE,
    source: readerOver(bytes, options.size),
    now: NOW,
    ...(options.resume !== undefined && { resume: options.resume }),
  });

async function filled(count: number): Promise<MemoryStorage> {
  const storage = new MemoryStorage();
  await storage.write({ messages: Array.from({ length: count }, (_, index) => plainMessage(index)) });
  await storage.write({
    records: [
      {
        kind: 'contact',
        key: BOB,
        value: { id: BOB, approved: true, approvedMe: true, blocked: false, name: 'Bob' },
      },
      { kind: 'conversation', key: BOB, value: { readTo: NOW, pin: 1 } },
      { kind: 'settings', key: 'messaging', value: { ...DEFAULT_SETTINGS, readReceipts: true } },
      { kind: 'upload', key: 'x', value: { stays: 'here' } },
    ],
    settings: { files_key: 'stays here' },
  });
  return storage;
}

describe('an archive', () => {
  test('brings every history into an empty account, with one digest at both ends', async () => {
    await fc.assert(
      fc.asyncProperty(history, fc.integer({ min: 1, max: 400 }), async (messages, size) => {
        const [source, target] = [new MemoryStorage(), new MemoryStorage()];
        for (const message of messages) await source.write({ messages: [message] });
        const bytes = await archived(source);
        const { archive, added, refused } = await read(target, bytes, { size });
        expect([added, refused]).toEqual([messages.length, 0]);
        const wanted = (await contentOf(source)).map(carriedMessage);
        expect(await contentOf(target)).toEqual(wanted);
        expect(await storageDigest(target, { now: NOW })).toEqual(archive);
        expect(await storageDigest(source, { now: NOW })).toEqual(archive);
      }),
      { numRuns: 25 },
    );
  });

  test('carries contacts, states and settings, and nothing that only concerns the device', async () => {
    const source = await filled(10);
    const target = new MemoryStorage();
    const bytes = await archived(source);
    const { records } = await read(target, bytes);
    expect(records).toBe(3);
    expect(await target.record('contact', BOB)).toEqual(await source.record('contact', BOB));
    const { autoDownload: _, fileCacheBytes: __, ...shared } = DEFAULT_SETTINGS;
    expect((await target.record('settings', 'messaging'))?.value).toEqual({ ...shared, readReceipts: true });
    expect(await storageDigest(target, { now: NOW })).toEqual(await storageDigest(source, { now: NOW }));
    const noted = ['contact', 'conversation', 'settings'].map((kind) => expect.stringMatching(`^${kind} `));
    expect((await target.records('unsynced')).map(({ key }) => key)).toEqual(noted);
    expect((await read(target, bytes)).records).toBe(0);
    expect(await target.records('upload')).toEqual([]);
    expect(await target.setting('files_key')).toBeUndefined();
    expect(await target.setting('import')).toBeUndefined();
  });

  test('adds nothing twice, however often and in which order archives come', async () => {
    await fc.assert(
      fc.asyncProperty(history, history, async (first, second) => {
        const [a, b] = [new MemoryStorage(), new MemoryStorage()];
        await a.write({ messages: first });
        await b.write({ messages: second });
        const [ofA, ofB] = [await archived(a), await archived(b)];
        const [ab, ba] = [new MemoryStorage(), new MemoryStorage()];
        for (const bytes of [ofA, ofB, ofA]) await read(ab, bytes);
        for (const bytes of [ofB, ofA, ofB, ofB]) await read(ba, bytes);
        const [one, other] = [await contentOf(ab), await contentOf(ba)];
        const places = (all: typeof one) =>
          [...all].sort(compareMessages).map((m) => [m.sender, m.timestamp, m.hash]);
        expect(places(one)).toEqual(places(other));
        expect(one.map(({ marks }) => marks)).toEqual(other.map(({ marks }) => marks));
        const again = await read(ab, ofB);
        expect([again.added, again.merged]).toEqual([0, 0]);
      }),
      { numRuns: 30 },
    );
  });

  test('undoes nothing in a used account', async () => {
    const source = await filled(4);
    const bytes = await archived(source);
    const used = new MemoryStorage();
    const [deleted, sent] = [plainMessage(1), plainMessage(2)];
    await used.write({
      messages: [
        { ...deleted, marks: { deletedAt: NOW } },
        { ...sent, text: 'as it is here', marks: { readAt: NOW - 5 } },
        plainMessage(99),
      ],
      records: [
        { kind: 'contact', key: BOB, value: { id: BOB, approved: false, approvedMe: false, blocked: true } },
        { kind: 'settings', key: 'messaging', value: { readReceipts: false } },
      ],
    });
    const summary = await read(used, bytes);
    expect(summary).toMatchObject({ added: 2, merged: 0, known: 2, refused: 0 });
    expect(await used.message(deleted.sender, deleted.timestamp)).toMatchObject({ text: '' });
    expect(await used.message(sent.sender, sent.timestamp)).toMatchObject({
      text: 'as it is here',
      marks: { readAt: NOW - 5 },
    });
    expect((await used.record('contact', BOB))?.value).toEqual({
      id: BOB,
      name: 'Bob',
      approved: true,
      approvedMe: true,
      blocked: true,
    });
    expect((await used.record('settings', 'messaging'))?.value).toMatchObject({ readReceipts: false });
  });

  test('by somebody else brings no path, no link that runs, and nothing that stops a client', async () => {
    const source = new MemoryStorage();
    const file = { contentType: 'text/html;x', sizeBytes: 1, fileName: '../../.profile' };
    await source.write({
      messages: [
        plainMessage(1, {
          attachments: [file],
          preview: { url: 'javascript:alert(1)', title: 'look' },
        }),
      ],
      records: [{ kind: 'kept', key: 'x', value: { sender: BOB, content: '?' } }],
    });
    const target = new MemoryStorage();
    const { refused } = await read(target, await archived(source));
    expect(refused).toBe(1);
    expect(await target.records('kept')).toEqual([]);
    const [message] = await contentOf(target);
    expect(message?.preview).toBeUndefined();
    expect(message?.attachments).toEqual([{ contentType: 'text/html', sizeBytes: 1, fileName: 'profile' }]);
  });

  test('of one conversation holds nothing of another', async () => {
    const source = await filled(10);
    const target = new MemoryStorage();
    await read(target, await archived(source, { conversation: CAROL }));
    expect((await target.conversations()).map(({ id }) => id)).toEqual([CAROL]);
    expect(await target.records('contact')).toEqual([]);
  });

  test('leaves out what disappeared, when it is written and when it is read', async () => {
    const source = new MemoryStorage();
    await source.write({
      messages: [
        plainMessage(1, { marks: { expiresAt: NOW - 1 } }),
        plainMessage(2, { marks: { expiresAt: NOW + 10 } }),
        plainMessage(3),
      ],
    });
    const bytes = await archived(source);
    const target = new MemoryStorage();
    const summary = await importArchive(target, {
      account: ALICE,
      passphrase: PASSPHRASE,
      source: readerOver(bytes),
      now: NOW + 20,
    });
    expect(summary).toMatchObject({ added: 1, expired: 1, archive: { messages: 2 } });
  });

  test('has the secret of the account only when that is wanted', async () => {
    const source = await filled(1);
    const secret = new Uint8Array(16).fill(7);
    const about = async (bytes: Uint8Array) => readAbout(readerOver(bytes), PASSPHRASE);
    expect(await about(await archived(source))).toEqual({ account: ALICE, exportedAt: NOW });
    expect(await about(await archived(source, { secret }))).toMatchObject({ secret });
  });

  test('keeps what it does not know of messages, and counts what it cannot keep', async () => {
    const archive = newArchive(PASSPHRASE, CHEAP);
    const { digest: _digest, ...empty } = await storageDigest(new MemoryStorage(), { now: NOW });
    const fancy = { ...plainMessage(1), poll: { of: ['the', 'future'] } };
    const lines = [
      `about ${JSON.stringify({ account: ALICE, exportedAt: NOW })}`,
      `hologram {"of":"the future"}`,
      `record ${JSON.stringify({ kind: 'vault', key: 'x', value: {} })}`,
      `message ${JSON.stringify(fancy)}`,
      `message ${JSON.stringify({ ...plainMessage(2), timestamp: -1 })}`,
      `message ${JSON.stringify({ ...plainMessage(3), marks: { reactions: 'all' } })}`,
      'message [',
    ];
    const target = new MemoryStorage();
    const bytes = concat(
      archive.header,
      sealChunk(archive, { number: 0, isLast: false, lines: `${lines.join('\n')}\n` }),
      sealChunk(archive, {
        number: 1,
        isLast: true,
        lines: `end ${JSON.stringify({ ...empty, digest: '0' })}\n`,
      }),
    );
    await expect(read(target, bytes)).rejects.toMatchObject({ code: 'damaged' });
    expect(await target.message(fancy.sender, fancy.timestamp)).toEqual(fancy);
    expect(await contentOf(target)).toHaveLength(1);
  });
});

describe('a bad archive', () => {
  test('is refused in words: wrong passphrase, other account, other file, newer version, costly', async () => {
    const bytes = await archived(await filled(2));
    const refused = async (change: (copy: Uint8Array) => void, passphrase = PASSPHRASE, account = ALICE) => {
      const copy = bytes.slice();
      change(copy);
      const target = new MemoryStorage();
      const failure = await importArchive(target, {
        account,
        passphrase,
        source: readerOver(copy),
        now: NOW,
      }).then(
        () => undefined,
        (error) => error,
      );
      expect(await contentOf(target)).toEqual([]);
      return failure?.code;
    };
    expect(await refused(() => {}, 'wrong')).toBe('wrong_passphrase');
    expect(await refused(() => {}, PASSPHRASE, id('d'))).toBe('wrong_account');
    expect(await refused((copy) => copy.set([1], 0))).toBe('not_an_archive');
    expect(await refused((copy) => copy.set([9], 17))).toBe('unsupported');
    expect(await refused((copy) => copy.set([255], 23))).toBe('damaged');
    const costly = newArchive(PASSPHRASE, { passes: 17, memoryBytes: 8 * 1024 });
    await expect(openArchive(readerOver(costly.header), PASSPHRASE)).rejects.toMatchObject({
      code: 'unsupported',
    });
    expect(() => newArchive('')).toThrow(expect.objectContaining({ code: 'empty_passphrase' }));
  });

  test('that is damaged or cut anywhere brings nothing that is wrong', async () => {
    const source = await filled(1500);
    const bytes = await archived(source);
    expect(bytes.length).toBeGreaterThan(10_000);
    const known = new Map((await contentOf(source)).map((m) => [`${m.sender} ${m.timestamp}`, m]));
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: bytes.length - 1 }),
        fc.option(fc.integer({ min: 1, max: 255 }), { nil: undefined }),
        async (at, flip) => {
          const copy = flip === undefined ? bytes.slice(0, at) : bytes.slice();
          if (flip !== undefined) copy[at]! ^= flip;
          const target = new MemoryStorage();
          const failure = await read(target, copy, { size: 4096 }).catch((error) => error);
          expect(failure).toMatchObject({ name: 'ArchiveError' });
          if (flip === undefined && at > HEADER_BYTES) expect(failure.code).toBe('truncated');
          for (const message of await contentOf(target)) {
            expect(message).toEqual(known.get(`${message.sender} ${message.timestamp}`));
          }
        },
      ),
      { numRuns: 25 },
    );
  });

  test('whose chunks were left out, repeated, moved or followed by something is refused', async () => {
    const archive = newArchive(PASSPHRASE, CHEAP);
    const about = `about ${JSON.stringify({ account: ALICE, exportedAt: NOW })}\n`;
    const chunks = [0, 1, 2, 3].map((number) =>
      sealChunk(archive, {
        number,
        isLast: number === 3,
        lines:
          number === 3
            ? `end ${JSON.stringify({ messages: 0, records: 0, digest: '0'.repeat(64) })}\n`
            : about,
      }),
    );
    const join = (...order: number[]) => concat(archive.header, ...order.map((number) => chunks[number]!));
    const codeOf = async (bytes: Uint8Array) =>
      read(new MemoryStorage(), bytes).then(
        () => 'fine',
        (error) => error.code,
      );
    expect(await codeOf(join(0, 1, 2, 3))).toBe('fine');
    expect(await codeOf(join(0, 2, 3))).toBe('damaged');
    expect(await codeOf(join(0, 1, 1, 2, 3))).toBe('damaged');
    expect(await codeOf(join(0, 2, 1, 3))).toBe('damaged');
    expect(await codeOf(join(0, 1, 2))).toBe('truncated');
    expect(await codeOf(concat(join(0, 1, 2, 3), Uint8Array.of(0)))).toBe('damaged');
    const unflagged = join(0, 1, 2, 3);
    unflagged[join(0, 1, 2).length]! &= 0x7f;
    expect(await codeOf(unflagged)).toBe('damaged');
  });

  test('that is a bomb costs nothing', async () => {
    const archive = newArchive(PASSPHRASE, CHEAP);
    expect(() =>
      sealChunk(archive, { number: 0, isLast: true, lines: 'a'.repeat(MAX_LINES_BYTES + 1) }),
    ).toThrow(expect.objectContaining({ code: 'too_large' }));
    const long = concat(archive.header, Uint8Array.of(0x7f, 255, 255, 255));
    await expect(read(new MemoryStorage(), long)).rejects.toMatchObject({ code: 'damaged' });
    const lines = '\n'.repeat(MAX_LINES_BYTES - 10);
    const bytes = concat(
      archive.header,
      sealChunk(archive, {
        number: 0,
        isLast: true,
        lines: `about ${JSON.stringify({ account: ALICE, exportedAt: 1 })}\n${lines.slice(200)}`,
      }),
    );
    await expect(read(new MemoryStorage(), bytes)).rejects.toMatchObject({ code: 'damaged' });
  });
});

describe('a kill', () => {
  test('of an export costs one chunk, and what is there is not written again', async () => {
    const source = await filled(4000);
    const whole = await archived(source);
    const pieces: Uint8Array[] = [];
    const stopped = exportArchive(source, {
      account: ALICE,
      passphrase: PASSPHRASE,
      now: NOW,
      cost: CHEAP,
      chunkTarget: SMALL,
      write: async (bytes) => {
        if (pieces.length === 3) throw new Error('killed');
        pieces.push(bytes);
      },
    });
    await expect(stopped).rejects.toThrow('killed');
    const part = concat(...pieces, pieces[2]!.subarray(0, 50));
    const source2 = readerOver(part);
    const archive = await openArchive(source2, PASSPHRASE);
    const last = await lastChunk(archive, source2);
    expect(last?.end).toBe(concat(...pieces).length);
    const point = exportPoint(last!.chunk);
    const rest: Uint8Array[] = [];
    const summary = await exportArchive(source, {
      account: ALICE,
      passphrase: PASSPHRASE,
      now: NOW,
      write: async (bytes) => {
        rest.push(bytes);
      },
      chunkTarget: SMALL,
      from: { archive, point },
    });
    expect(point.messages).toBeGreaterThan(0);
    const target = new MemoryStorage();
    const { archive: told, added } = await read(target, concat(...pieces, ...rest));
    expect([told, added]).toEqual([summary, 4000]);
    expect(await storageDigest(source, { now: NOW })).toEqual(summary);
    const from = readerOver(whole);
    const done = await lastChunk(await openArchive(from, PASSPHRASE), from);
    expect(() => exportPoint(done!.chunk)).toThrow(expect.objectContaining({ code: 'cannot_resume' }));
  });

  test.each([
    [2, false],
    [3, true],
  ])(
    'of an import, or a storage whose every %ith write fails (late: %s), loses and doubles nothing',
    async (every, late) => {
      const source = await filled(4000);
      const bytes = await archived(source);
      const target = new MemoryStorage();
      const face = failing(target, every, late);
      let tries = 0;
      for (;;) {
        tries++;
        const ended = await read(face, bytes, { resume: true }).catch((error) => error);
        if (!(ended instanceof Error)) break;
        expect(ended).toMatchObject({ code: 'full' });
      }
      expect(tries).toBe(face.failures + 1);
      expect(face.failures).toBeGreaterThan(0);
      expect(await contentOf(target)).toEqual((await contentOf(source)).map(carriedMessage));
      expect(await storageDigest(target, { now: NOW })).toEqual(await storageDigest(source, { now: NOW }));
    },
  );
});

describe('files of messages', () => {
  const clock = { now: () => NOW } as unknown as Clock;
  const sizes = [1, 500_000, SEGMENT_BYTES + 5];

  async function withFiles() {
    const storage = new MemoryStorage();
    const contents = await Contents.open(new MemoryBlobs(), storage, clock);
    const attachments = [];
    for (const [at, size] of sizes.entries()) {
      const bytes = new Uint8Array(size).map((_, index) => (index * 31 + at) % 251);
      const file = { contentType: 'image/png', sizeBytes: size };
      const [url, key] = [`http://files/${at}`, `${at}`.repeat(64)];
      const name = at % 2 === 0 ? contents.newName() : contents.nameOf(url, key);
      await contents.keep(name, bytes, undefined);
      attachments.push(at % 2 === 0 ? { ...file, content: name } : { ...file, url, key });
    }
    attachments.push({
      contentType: 'image/png',
      sizeBytes: 7,
      url: 'http://not/here',
      key: 'ab'.repeat(32),
    });
    await storage.write({ messages: [plainMessage(1, { attachments }), plainMessage(2)] });
    return { storage, contents };
  }

  test('go along when that is wanted, and an import in pieces brings each of them once', async () => {
    const source = await withFiles();
    const without = await archived(source.storage);
    const bytes = await archived(source.storage, { contents: source.contents });
    expect(bytes.length).toBeGreaterThan(without.length + 10_000);
    const target = new MemoryStorage();
    const contents = await Contents.open(new MemoryBlobs(), target, clock);
    const face = failing(target, 7);
    let summary: ImportSummary | undefined;
    for (let tries = 0; summary === undefined && tries < 60; tries++) {
      const options = { account: ALICE, passphrase: PASSPHRASE, source: readerOver(bytes, 65_536), now: NOW };
      summary = await importArchive(face, { ...options, contents, resume: true }).catch(() => undefined);
    }
    expect(face.failures).toBeGreaterThan(0);
    expect(summary?.archive.files).toBe(sizes.length);
    const message = await target.message(plainMessage(1).sender, plainMessage(1).timestamp);
    const [one, other] = [mediaOf(source.contents), mediaOf(contents)];
    for (const file of message!.attachments!) expect(await other(file)).toEqual(await one(file));
    const again = await importArchive(target, {
      ...{ account: ALICE, passphrase: PASSPHRASE, source: readerOver(bytes), now: NOW, contents },
    });
    expect(again).toMatchObject({ added: 0, files: 0 });
    const records = await target.records('content');
    expect(records).toHaveLength(sizes.length);
    for (const { value } of records) expect(value).toMatchObject({ isWhole: true, isPinned: true });
  });

  test('are left out by whoever has no place for them', async () => {
    const { storage, contents } = await withFiles();
    const bytes = await archived(storage, { contents });
    expect(await read(new MemoryStorage(), bytes)).toMatchObject({
      added: 2,
      files: 0,
      refused: 0,
      unknown: 0,
    });
  });
});
