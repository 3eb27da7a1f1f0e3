// SPDX-License-Identifier: AGPL-3.0-or-later
import { compareMessages, type StoredMessage } from '@allium/client/storage';
import { MemoryStorage } from '@allium/client/storage/memory';
import type { AccountId } from '@allium/protocol/account-id';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HistoryWindow } from '../../src/chat/history-window.ts';

const BEN = `05${'b'.repeat(64)}` as AccountId;

const message = (timestamp: number, text = String(timestamp)): StoredMessage => ({
  sender: BEN,
  timestamp,
  conversation: BEN,
  text,
  state: 'received',
  hash: `hash${timestamp}`,
  handled: true,
});

async function filled(count: number): Promise<MemoryStorage> {
  const storage = new MemoryStorage();
  await storage.write({ messages: Array.from({ length: count }, (_, at) => message(at + 1)) });
  return storage;
}

test('up to the first message and down to the last again, with a bounded part in memory', async () => {
  const storage = await filled(2_345);
  const window = new HistoryWindow((query) => storage.history(BEN, query));
  await window.newest();
  expect(window.messages.at(-1)?.timestamp).toBe(2_345);
  while (await window.older()) expect(window.messages.length).toBeLessThanOrEqual(600);
  expect(window.messages[0]?.timestamp).toBe(1);
  expect(window.hasNewer).toBe(true);
  // Meanwhile one arrives at the end, and one in the middle of what was let go.
  for (const late of [message(2_346), message(2_000.5)]) {
    await storage.write({ messages: [late] });
    window.put(late);
  }
  expect(window.messages.at(-1)!.timestamp).toBeLessThan(700);
  const seen = new Set<number>(window.messages.map(({ timestamp }) => timestamp));
  while (await window.newer()) for (const { timestamp } of window.messages) seen.add(timestamp);
  expect(window.hasNewer).toBe(false);
  expect(seen.size).toBe(2_347);
  expect(window.messages.at(-1)?.timestamp).toBe(2_346);
  expect(await window.reach(message(77))).toBe(true);
  expect(window.messages.some(({ timestamp }) => timestamp === 77)).toBe(true);
});

test('what is loaded is always one piece of the history, in order', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 900 }),
      fc.array(fc.constantFrom('older', 'newer', 'newest', 'arrive', 'change'), { maxLength: 25 }),
      async (count, actions) => {
        const storage = await filled(count);
        const window = new HistoryWindow((query) => storage.history(BEN, query));
        await window.newest();
        let next = count + 1;
        for (const action of actions) {
          if (action === 'arrive') {
            const fresh = message(next++);
            await storage.write({ messages: [fresh] });
            window.put(fresh);
          } else if (action === 'change') {
            const one = window.messages[3];
            if (one === undefined) continue;
            const changed = { ...one, text: 'changed' };
            await storage.write({ messages: [changed] });
            window.put(changed);
            expect(window.messages[3]).toBe(changed);
          } else await window[action]();
          const all = await storage.history(BEN, { limit: 5_000 });
          const { messages, hasNewer } = window;
          const from = all.findIndex(({ timestamp }) => timestamp === messages[0]?.timestamp);
          expect(messages).toEqual(from < 0 ? [] : all.slice(from, from + messages.length));
          expect([...messages].sort(compareMessages)).toEqual(messages);
          if (!hasNewer) expect(messages.at(-1)).toEqual(all.at(-1));
        }
      },
    ),
    { numRuns: 40 },
  );
});
