// SPDX-License-Identifier: AGPL-3.0-or-later
// The room of signed deletions and revocations (docs/decisions/0010, spec/storage-server §5.13).
import { toHex } from '@allium/protocol/bytes';
import { randomBytes } from '@allium/protocol/crypto';
import { messageHash } from '@allium/protocol/message-hash';
import { parseAccountPubkey } from '@allium/protocol/storage/requests';
import { expect, test } from 'vitest';
import { Cleaner } from '../../src/mailbox/cleaner.ts';
import { Database } from '../../src/mailbox/database.ts';
import { Mailbox } from '../../src/mailbox/mailbox.ts';
import { TestClock, testEnv } from '../support/test-clock.ts';

const MIB = 1024 * 1024;
const FIRST = new Uint8Array(16);
const LAST = new Uint8Array(17).fill(255);

function open() {
  const clock = new TestClock();
  const database = new Database({ path: ':memory:', maxBytes: 16 * MIB });
  const mailbox = new Mailbox(database, clock);
  const cleaner = new Cleaner(mailbox, testEnv(clock));
  return { clock, mailbox, cleaner, [Symbol.dispose]: () => database.close() };
}

const newAccount = () => parseAccountPubkey(`05${toHex(randomBytes(32))}`);

test('all acts together have a sixteenth of the mailbox; the oldest go first, and no revocation for them', async () => {
  using f = open();
  const { mailbox, clock } = f;
  const account = newAccount();
  const token = randomBytes(36);
  const revoked = { method: 'revoke_subaccount', body: randomBytes(2_000), time: clock.now() };
  await mailbox.revocations.revoke(account, [token], clock.now(), revoked);
  await f.cleaner.run();

  const data = Buffer.from('deleted');
  const hash = messageHash(account.bytes, 0, data);
  const first = { method: 'delete', body: randomBytes(60_000), time: clock.now() + 1 };
  await mailbox.delete(account, [Buffer.from(hash).toString('base64').slice(0, 43)], first);
  for (let i = 0; i < 20; i++) {
    const act = { method: 'delete', body: randomBytes(60_000), time: clock.now() + 2 + i };
    await mailbox.delete(newAccount(), [], act);
  }
  const kept = () => mailbox.acts.keys(FIRST, LAST, 1000).map(({ time }) => time - clock.now());
  expect(kept()).toHaveLength(22);
  await f.cleaner.run();
  const left = kept().sort((a, b) => a - b);
  expect(left).toEqual([0, ...Array.from({ length: 15 }, (_, i) => 7 + i)]);
  expect(mailbox.revocations.isRevoked(account, token)).toBe(true);
  // The act is gone, what it did is not: a member that hands the message over does not bring it back.
  const message = { account, namespace: 0, timestamp: clock.now(), expiry: clock.now() + 60_000, hash, data };
  expect(await mailbox.storeMany([message])).toBe(0);
});

test('acts that revoke have another sixteenth: those of accounts without messages go first, the tokens stay revoked', async () => {
  using f = open();
  const { mailbox, clock } = f;
  const revoke = async (account: ReturnType<typeof newAccount>, order: number) => {
    const token = randomBytes(36);
    const time = clock.now() + order;
    const act = { method: 'revoke_subaccount', body: randomBytes(60_000), time };
    await mailbox.revocations.revoke(account, [token], time, act);
    return { account, token };
  };
  const owner = newAccount();
  const data = Buffer.from('here');
  const hash = messageHash(owner.bytes, 0, data);
  const expiry = clock.now() + 60_000;
  await mailbox.store({ account: owner, namespace: 0, timestamp: clock.now(), expiry, hash, data });
  const change = { method: 'delete', body: randomBytes(60_000), time: clock.now() + 500 };
  await mailbox.delete(newAccount(), [], change);
  const revoked = [await revoke(owner, 0)];
  for (let i = 1; i <= 20; i++) revoked.push(await revoke(newAccount(), i));
  await f.cleaner.run();
  const left = mailbox.acts.keys(FIRST, LAST, 1000).map(({ time }) => time - clock.now());
  expect(left.sort((a, b) => a - b)).toEqual([0, ...Array.from({ length: 14 }, (_, i) => 7 + i), 500]);
  for (const { account, token } of revoked) expect(mailbox.revocations.isRevoked(account, token)).toBe(true);
});

test('small steps drop what one large step would', async () => {
  using f = open();
  const { mailbox, clock } = f;
  for (let i = 0; i < 40; i++) {
    const account = newAccount();
    // Every fourth account has a message, of the ten oldest all but one.
    if (i % 4 === 0 || (i < 10 && i !== 5)) {
      const data = Buffer.from('here');
      const hash = messageHash(account.bytes, 0, data);
      await mailbox.store({
        account,
        namespace: 0,
        timestamp: clock.now(),
        expiry: clock.now() + 60_000,
        hash,
        data,
      });
    }
    const time = clock.now() + i;
    const act = { method: 'revoke_subaccount', body: randomBytes(60_000), time };
    await mailbox.revocations.revoke(account, [randomBytes(36)], time, act);
  }
  const idle = Array.from({ length: 40 }, (_, i) => i).filter((i) => i % 4 !== 0 && (i >= 10 || i === 5));
  const steps: number[] = [];
  do steps.push(await mailbox.trimActs(7));
  while (steps.at(-1) !== 0);
  // 15 of 60,000 bytes are below nine tenths of a MiB.
  const left = mailbox.acts.keys(FIRST, LAST, 1000).map(({ time }) => time - clock.now());
  const others = Array.from({ length: 40 }, (_, i) => i).filter((i) => !idle.includes(i));
  expect(left.sort((a, b) => a - b)).toEqual(others.slice(-15));
  expect(steps).toEqual([7, 7, 7, 4, 0]);
});

test('of revocations only those acts are kept that are the last of a token', async () => {
  using f = open();
  const { mailbox, clock } = f;
  const account = newAccount();
  const [one, two] = [randomBytes(36), randomBytes(36)];
  for (let i = 1; i <= 50; i++) {
    const time = clock.now() + i;
    const act = { method: 'revoke_subaccount', body: randomBytes(500), time };
    await mailbox.revocations.revoke(account, i === 1 ? [one, two] : [one], time, act);
  }
  const times = mailbox.acts.keys(FIRST, LAST, 1000).map(({ time }) => time - clock.now());
  expect(times.sort((a, b) => a - b)).toEqual([1, 50]);
  expect(mailbox.revocations.isRevoked(account, two)).toBe(true);
});
