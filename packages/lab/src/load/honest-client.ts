// SPDX-License-Identifier: AGPL-3.0-or-later
// Honest clients of `lab -- flood`, a process of its own: each stores one message after another, from an address of its
// own and below every limit. Told `begin`, it starts to count; told `end`, it says what it counted.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Account } from '@allium/protocol/account';
import { KeptConnection } from './kept-connection.ts';
import type { Endpoint } from './post.ts';
import { median } from './ssbench.ts';

export interface HonestFigures {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Requests without the right answer. */
  readonly failed: number;
  readonly firstFailure?: string;
}

const [host = '', port = '', clients = ''] = process.argv.slice(2);
const node: Endpoint = { host, port: Number(port) };
const MESSAGE_BYTES = 512;
/** So that no client sends more than 250 requests a second; an address may send 300. */
const LEAST_MS = 4;
/** Messages live so short that the mailbox does not grow with the run. */
const TTL_MS = 12_000;
const ADDRESS_BASE = '127.20.0.';

let times: number[] = [];
let failed = 0;
let firstFailure: string | undefined;
let began = 0;

process.on('message', (message) => {
  if (message === 'begin') {
    times = [];
    failed = 0;
    firstFailure = undefined;
    began = performance.now();
  } else {
    const seconds = (performance.now() - began) / 1000;
    const sorted = times.sort((a, b) => a - b);
    const figures: HonestFigures = {
      perSecond: sorted.length / seconds,
      p50Ms: median(sorted),
      p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN,
      failed,
      ...(firstFailure !== undefined && { firstFailure }),
    };
    process.send?.(figures);
  }
});
process.on('disconnect', () => process.exit(0));

async function client(index: number): Promise<void> {
  const account = Account.create().id;
  let connection: KeptConnection | undefined;
  for (;;) {
    const sent = performance.now();
    try {
      if (connection === undefined || connection.isClosed) {
        connection = await KeptConnection.open(node, `${ADDRESS_BASE}${index + 1}`);
      }
      const data = randomBytes(MESSAGE_BYTES).toString('base64');
      const params = { pubkey: account, timestamp: Date.now(), ttl: TTL_MS, data };
      await connection.post('/storage_rpc/v1', Buffer.from(JSON.stringify({ method: 'store', params })));
      const ms = performance.now() - sent;
      times.push(ms);
      if (ms < LEAST_MS) await sleep(LEAST_MS - ms);
    } catch (error) {
      failed += 1;
      firstFailure ??= String(error);
      connection?.close();
      await sleep(50);
    }
  }
}

for (let i = 0; i < Number(clients); i += 1) void client(i);
