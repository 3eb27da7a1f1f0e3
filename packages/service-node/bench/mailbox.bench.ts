// SPDX-License-Identifier: AGPL-3.0-or-later
// The mailbox alone, on a real file: CPU per store in groups as 16 clients make them, CPU per retrieve of 100, bytes on
// disk per message of 512 bytes. `MESSAGES=1000000 npm run bench -- mailbox` shows how it goes on.
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@allium/net/system-env';
import { toHex } from '@allium/protocol/bytes';
import { randomBytes } from '@allium/protocol/crypto';
import { parseAccountPubkey } from '@allium/protocol/storage/requests';
import { Database } from '../src/mailbox/database.ts';
import { Mailbox } from '../src/mailbox/mailbox.ts';

const MESSAGES = Number(process.env.MESSAGES ?? 100_000);
const GROUP = 16;
const PER_ACCOUNT = 100;

async function cpuMicroseconds(times: number, run: () => Promise<void> | void): Promise<string> {
  const before = process.cpuUsage();
  await run();
  const { user, system } = process.cpuUsage(before);
  return ((user + system) / times).toFixed(1);
}

/** Fills the mailbox at `path`; for measurements of whole nodes too. */
async function fill(path: string, messages: number, accounts: readonly Uint8Array[]): Promise<void> {
  const database = new Database({ path });
  const mailbox = new Mailbox(database, systemClock);
  const owners = accounts.map((bytes) => parseAccountPubkey(bytes));
  const now = Date.now();
  const data = randomBytes(512);
  for (let i = 0; i < messages; i += GROUP) {
    await Promise.all(
      Array.from({ length: Math.min(GROUP, messages - i) }, (_, j) =>
        mailbox.store({
          account: owners[(i + j) % owners.length]!,
          namespace: 0,
          timestamp: now,
          expiry: now + 86_400_000 + i,
          hash: randomBytes(32),
          data,
        }),
      ),
    );
  }
  database.close();
}

export async function run(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'allium-bench-'));
  const path = join(folder, 'mailbox.sqlite');
  const accounts = Array.from({ length: Math.ceil(MESSAGES / PER_ACCOUNT) }, () =>
    Buffer.from(`05${toHex(randomBytes(32))}`, 'hex'),
  );
  try {
    const store = await cpuMicroseconds(MESSAGES, () => fill(path, MESSAGES, accounts));
    const database = new Database({ path });
    const mailbox = new Mailbox(database, systemClock);
    const owners = accounts.map((bytes) => parseAccountPubkey(bytes));
    const rounds = Math.min(owners.length, 2000);
    const retrieve = await cpuMicroseconds(rounds, () => {
      for (let i = 0; i < rounds; i++)
        mailbox.retrieve(owners[i]!, 0, undefined, Number.POSITIVE_INFINITY, 7_800_000);
    });
    database.close();
    console.log(`messages            ${MESSAGES}`);
    console.log(`store               ${store} µs CPU`);
    console.log(`retrieve of 100     ${retrieve} µs CPU`);
    console.log(`bytes per message   ${(statSync(path).size / MESSAGES).toFixed(0)}`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
