// SPDX-License-Identifier: MIT
// What encryption of the SQLite file costs: the same work on a plain and on an encrypted file, median of five rounds.
// `MESSAGES=1000000 npm run bench -- storage` shows how it goes on.
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AccountId } from '@allium/protocol/account-id';
import { SqliteStorage } from '../src/node/sqlite.ts';
import type { Storage, StoredMessage } from '../src/storage/storage.ts';

const MESSAGES = Number(process.env.MESSAGES ?? 50_000);
const ROUNDS = 5;
const BATCH = 500;
const SINGLE = 300;
const PAGES = 200;
const CONVERSATIONS = 50;

const conversation = (number: number) => `05${String(number).padStart(64, '0')}` as AccountId;

function message(number: number): StoredMessage {
  const id = conversation(number % CONVERSATIONS);
  const text = `Message ${number}: as long as what people write to each other in the middle of a day.`;
  return {
    sender: id,
    timestamp: 1_700_000_000_000 + number,
    conversation: id,
    text,
    state: 'received',
    handled: true,
    hash: `${number}`.padStart(43, 'h'),
  };
}

async function timed(times: number, work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return ((performance.now() - start) * 1000) / times;
}

/** Microseconds of each kind of work. */
export async function measure(open: () => Storage): Promise<number[]> {
  const filled = open();
  const bulk = await timed(MESSAGES, async () => {
    for (let from = 0; from < MESSAGES; from += BATCH) {
      await filled.write({ messages: Array.from({ length: BATCH }, (_, index) => message(from + index)) });
    }
  });
  const single = await timed(SINGLE, async () => {
    for (let n = 0; n < SINGLE; n++) await filled.write({ messages: [message(MESSAGES + n)] });
  });
  await filled.close();
  let storage: Storage | undefined;
  const reopened = await timed(1, async () => {
    storage = open();
    await storage.setting('account');
  });
  const again = storage!;
  const page = await timed(PAGES, async () => {
    for (let n = 0; n < PAGES; n++) await again.history(conversation(n % CONVERSATIONS), { limit: 50 });
  });
  const one = await timed(PAGES * 10, async () => {
    for (let n = 0; n < PAGES * 10; n++) {
      const { sender, timestamp } = message((n * 7919) % MESSAGES);
      await again.message(sender, timestamp);
    }
  });
  await again.close();
  return [bulk, single, reopened, page, one];
}

export async function run(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'allium-bench-'));
  try {
    const key = new Uint8Array(32).fill(1);
    const rounds: { plain: number[][]; encrypted: number[][] } = { plain: [], encrypted: [] };
    let size = 0;
    for (let round = 0; round < ROUNDS; round++) {
      for (const [name, options] of [
        ['plain', {}],
        ['encrypted', { key }],
      ] as const) {
        const path = join(folder, `${name}-${round}`);
        rounds[name].push(await measure(() => new SqliteStorage(path, options)));
        size = statSync(path).size;
        rmSync(path);
      }
    }
    const median = (all: number[][], at: number) =>
      all.map((row) => row[at]!).sort((a, b) => a - b)[ROUNDS >> 1]!;
    const names = [
      'write, 500 at once',
      'write, alone',
      'open',
      'page of 50 (random conversation)',
      'one message',
    ];
    console.table(
      Object.fromEntries(
        names.map((name, at) => {
          const [plain, encrypted] = [median(rounds.plain, at), median(rounds.encrypted, at)];
          return [
            name,
            {
              'plain µs': plain.toFixed(1),
              'encrypted µs': encrypted.toFixed(1),
              ratio: (encrypted / plain).toFixed(2),
            },
          ];
        }),
      ),
    );
    console.log(`${MESSAGES} messages, ${(size / MESSAGES).toFixed(0)} bytes each on disk`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
