// SPDX-License-Identifier: AGPL-3.0-or-later
// vectors:retrieve_limits: how many messages a retrieve returns for given sizes and limits (spec/storage-server §2.9.2).
import { randomBytes } from '@allium/protocol/crypto';
import { parseAccountPubkey } from '@allium/protocol/storage/requests';
import { retrieveLimits } from '@allium/protocol/storage/retrieve-limits';
import { expect, test } from 'vitest';
import vectors from '../../../../vectors/storage-server.json' with { type: 'json' };
import { Database } from '../../src/mailbox/database.ts';
import { Mailbox } from '../../src/mailbox/mailbox.ts';
import { TestClock } from '../support/test-clock.ts';

/** Some vectors tell large mailboxes in words. */
function sizesOf(described: number[] | string): number[] {
  if (typeof described !== 'string') return described;
  const [, count, size] = /^(\d+) messages of (\d+) bytes$/.exec(described) ?? [];
  return Array<number>(Number(count)).fill(Number(size));
}

const cases = vectors.retrieve_limits.map(
  (vector) => [JSON.stringify(vector).slice(0, 100), vector] as const,
);

test.each(cases)('%s', async (_, vector) => {
  const database = new Database({ path: ':memory:' });
  const clock = new TestClock();
  const mailbox = new Mailbox(database, clock);
  const account = parseAccountPubkey(`05${'ab'.repeat(32)}`);
  await Promise.all(
    sizesOf(vector.data_sizes).map((size) =>
      mailbox.store({
        account,
        namespace: 0,
        timestamp: clock.now(),
        expiry: clock.now() + 60_000,
        hash: randomBytes(32),
        data: new Uint8Array(size),
      }),
    ),
  );
  const { max_count, max_size } = vector;
  const { maxCount, maxCost } = retrieveLimits({
    maxCount: max_count ?? undefined,
    maxSize: max_size ?? undefined,
  });
  const found = mailbox.retrieve(account, 0, undefined, maxCount, maxCost);
  expect([found.messages().length, found.more]).toEqual([vector.returned, vector.more]);
  database.close();
});
