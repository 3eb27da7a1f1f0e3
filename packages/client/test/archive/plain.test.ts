// SPDX-License-Identifier: MIT
import type { AccountId } from '@allium/protocol/account-id';
import { toBase64, utf8 } from '@allium/protocol/bytes';
import { sha256 } from '@allium/protocol/crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { htmlPages } from '../../src/archive/html.ts';
import { jsonLines } from '../../src/archive/json-lines.ts';
import type { MediaSource } from '../../src/archive/media.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { compareMessages, type Storage } from '../../src/storage/storage.ts';
import { ALICE, history, NOW, PEOPLE, plainMessage } from './support.ts';

const [, BOB, CAROL] = PEOPLE as [AccountId, AccountId, AccountId];
const options = { account: ALICE, now: NOW };

async function joined(pieces: AsyncIterable<string>): Promise<string> {
  let all = '';
  for await (const piece of pieces) all += piece;
  return all;
}

const htmlOf = (storage: Storage, media?: MediaSource) => joined(htmlPages(storage, options, media));

test('JSON lines hold every message once, each conversation in its order', async () => {
  await fc.assert(
    fc.asyncProperty(history, async (messages) => {
      const storage = new MemoryStorage();
      await storage.write({ messages });
      const lines = (await joined(jsonLines(storage, options)))
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line));
      expect(lines[0]).toMatchObject({ type: 'account', id: ALICE });
      const read = lines.filter(({ type }) => type === 'message');
      expect(read).toHaveLength(messages.length);
      for (const person of PEOPLE) {
        const wanted = messages.filter(({ conversation }) => conversation === person).sort(compareMessages);
        const found = read.filter(({ conversation }) => conversation === person);
        expect(found.map((m) => [m.sender, m.timestamp])).toEqual(wanted.map((m) => [m.sender, m.timestamp]));
      }
    }),
    { numRuns: 25 },
  );
});

test('long conversations are read oldest first over many pages', async () => {
  const storage = new MemoryStorage();
  const messages = Array.from({ length: 1203 }, (_, at) => plainMessage(at, { conversation: BOB }));
  await storage.write({ messages });
  const lines = (await joined(jsonLines(storage, options))).trimEnd().split('\n').slice(1);
  expect(lines.map((line) => JSON.parse(line).timestamp)).toEqual(messages.map(({ timestamp }) => timestamp));
  await storage.write({ messages: [plainMessage(5000, { conversation: CAROL })] });
  const one = await joined(jsonLines(storage, { ...options, conversation: CAROL }));
  expect(one.trimEnd().split('\n')).toHaveLength(2);
});

test('HTML runs nothing and asks for nothing, whatever people wrote', async () => {
  const hostile =
    '</p><script>alert(1)</script><img src=x onerror=alert(1)>" onmouseover="x" \u202etxt.exe &amp;';
  const storage = new MemoryStorage();
  await storage.write({
    messages: [
      plainMessage(1, {
        text: hostile,
        attachments: [
          { contentType: 'image/svg+xml', sizeBytes: 5, fileName: `${hostile}.svg`, caption: hostile },
          { contentType: `image/png"><script>`, sizeBytes: 5 },
        ],
        preview: { url: 'https://example.org/"><script>', title: hostile },
        quote: { author: hostile, timestamp: 1e300 },
        marks: { reactions: [{ by: hostile, emoji: hostile, at: 1, on: true }] },
      }),
    ],
    records: [
      {
        kind: 'contact',
        key: plainMessage(1).sender,
        value: { id: BOB, approved: true, approvedMe: true, blocked: false, name: hostile },
      },
    ],
  });
  const html = await htmlOf(storage, async () => utf8('<svg onload="x"/>'));
  expect(html).not.toMatch(/<script|<svg|<img src=x|\u202e/);
  expect(html).not.toMatch(/ on[a-z]+="/);
  expect(html).not.toMatch(/(src|href)="(?!data:|#)/);
  expect(html).not.toContain('data:image');
  expect(html).toContain('&#60;script&#62;alert(1)');
  expect(html).toContain(`default-src 'none'`);
  const style = /<style>([\s\S]*)<\/style>/.exec(html)?.[1];
  expect(html).toContain(`style-src 'sha256-${toBase64(sha256(utf8(style!)))}'`);
});

test('HTML and JSON lines have the files that are here', async () => {
  const storage = new MemoryStorage();
  const attachments = ['image/png', 'audio/mpeg', 'application/pdf'].map((contentType, at) => ({
    contentType,
    sizeBytes: 3,
    fileName: `file-${at}`,
    content: `${at}`,
  }));
  await storage.write({ messages: [plainMessage(1, { attachments })] });
  const media: MediaSource = async ({ content }) => (content === '2' ? undefined : Uint8Array.of(1, 2, 3));
  const html = await htmlOf(storage, media);
  expect(html).toContain('<img alt="file-0" src="data:image/png;base64,AQID">');
  expect(html).toContain('<audio controls src="data:audio/mpeg;base64,AQID"></audio>');
  expect(html).toContain('File: file-2 (application/pdf');
  expect(await htmlOf(storage)).not.toContain('base64,AQID');
  const [, line] = (await joined(jsonLines(storage, options, media))).split('\n');
  expect(JSON.parse(line!).files).toEqual(['AQID', 'AQID', null]);
});

test('HTML tells what happened to messages', async () => {
  const storage = new MemoryStorage();
  const own = { sender: ALICE, conversation: BOB } as const;
  await storage.write({
    messages: [
      plainMessage(1, { ...own, state: 'sent', marks: { readAt: 5 } }),
      plainMessage(2, { ...own, state: 'failed' }),
      plainMessage(3, { conversation: BOB, marks: { deletedAt: 5 } }),
      plainMessage(4, { conversation: BOB, text: 'first', marks: { edits: [{ text: 'second', at: 9 }] } }),
      plainMessage(5, { conversation: BOB, text: '', notice: { kind: 'screenshot' } }),
      plainMessage(6, { conversation: BOB, marks: { expiresAt: NOW - 1 }, text: 'is gone' }),
    ],
  });
  const html = await htmlOf(storage);
  for (const wanted of [', read<', 'not sent', 'was deleted', 'second', 'edited', 'took a screenshot']) {
    expect(html).toContain(wanted);
  }
  for (const unwanted of ['first', 'is gone']) expect(html).not.toContain(unwanted);
});
