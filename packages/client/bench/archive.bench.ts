// SPDX-License-Identifier: MIT
// An account's history into an encrypted archive and from there into an empty account: seconds, bytes, memory, and whether
// both ends have the same digest. Both databases are encrypted. `MESSAGES=1000000 npm run bench -- archive`.
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AccountId } from '@allium/protocol/account-id';
import { storageDigest } from '../src/archive/export.ts';
import { exportArchiveFile, importArchiveFile } from '../src/node/archive-file.ts';
import { SqliteStorage } from '../src/node/sqlite.ts';
import type { StoredMessage } from '../src/storage/storage.ts';

const MESSAGES = Number(process.env.MESSAGES ?? 1_000_000);
const CONVERSATIONS = 200;
const BATCH = 1000;
const START = 1_600_000_000_000;
const WORDS =
  'the of and to in we is you that it he was for on are as with his they at be this have from or one had by word but'.split(
    ' ',
  );

const id = (number: number) => `05${String(number).padStart(64, '0')}` as AccountId;
const OWN = id(0);

/** Texts like those of people: 1 to 40 words; every fifth is ours, every tenth has a reaction. */
function message(number: number): StoredMessage {
  let seed = (number * 2_654_435_761) >>> 0;
  const next = () => {
    seed = (seed * 1_664_525 + 1_013_904_223) >>> 0;
    return seed >>> 8;
  };
  const words = Array.from({ length: 1 + (next() % 40) }, () => WORDS[next() % WORDS.length]!);
  const conversation = id(1 + (next() % CONVERSATIONS));
  const isOurs = number % 5 === 0;
  return {
    sender: isOurs ? OWN : conversation,
    timestamp: START + number * 1000,
    conversation,
    text: words.join(' '),
    state: isOurs ? 'sent' : 'received',
    handled: true,
    hash: `${number}`.padStart(43, 'H'),
    ...(number % 10 === 0 && {
      marks: { reactions: [{ by: conversation, emoji: '❤', at: START + number * 1000 + 5, on: true }] },
    }),
  };
}

async function timed<T>(what: string, path: string, work: () => Promise<T>): Promise<T> {
  let peak = 0;
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss);
  }, 50);
  const cpu = process.cpuUsage();
  const start = performance.now();
  try {
    return await work();
  } finally {
    clearInterval(watch);
    peak = process.resourceUsage().maxRSS * 1024;
    const seconds = (performance.now() - start) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    console.log(
      `${what.padEnd(22)} ${seconds.toFixed(1).padStart(7)} s  ${((user + system) / 1e6).toFixed(1).padStart(7)} s CPU  ` +
        `${Math.round(MESSAGES / seconds)
          .toString()
          .padStart(
            7,
          )} messages/s  ${(size / 1e6).toFixed(1).padStart(7)} MB  peak ${Math.round(peak / 1e6)} MB resident`,
    );
  }
}

export async function run(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'allium-bench-'));
  const [from, to, archive] = ['from.sqlite', 'to.sqlite', 'archive'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  const [key, otherKey] = [1, 2].map((byte) => new Uint8Array(32).fill(byte)) as [Uint8Array, Uint8Array];
  const options = { account: OWN, passphrase: 'a passphrase of a person', now: START };
  try {
    const source = new SqliteStorage(from, { key });
    await timed(`fill with ${MESSAGES}`, from, async () => {
      for (let at = 0; at < MESSAGES; at += BATCH) {
        const length = Math.min(BATCH, MESSAGES - at);
        await source.write({ messages: Array.from({ length }, (_, index) => message(at + index)) });
        await new Promise(setImmediate);
      }
    });
    const written = await timed('export', archive, () => exportArchiveFile(source, archive, options));
    await source.close();
    const target = new SqliteStorage(to, { key: otherKey });
    const read = await timed('import', to, () => importArchiveFile(target, archive, options));
    const now = await timed('digest of the account', to, () => storageDigest(target, { now: START }));
    const again = await timed('import once more', to, () => importArchiveFile(target, archive, options));
    await target.close();
    console.log(`digest written ${written.digest}`);
    console.log(`digest read    ${now.digest} (${now.digest === written.digest ? 'equal' : 'DIFFERENT'})`);
    console.log(`added ${read.added}, the second time ${again.added} (${again.known} known)`);
    if (now.digest !== written.digest || read.added !== MESSAGES || again.added !== 0) {
      throw new Error('the archive is not what was in the account');
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}
