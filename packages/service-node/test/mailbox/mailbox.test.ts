// SPDX-License-Identifier: AGPL-3.0-or-later
// The storage cases of spec/storage-server §8.2 and the execution rules of §2.9.
import { statSync, writeFileSync } from 'node:fs';
import { DatabaseSync, StatementSync } from 'node:sqlite';
import { toHex } from '@allium/protocol/bytes';
import { randomBytes } from '@allium/protocol/crypto';
import { messageHash } from '@allium/protocol/message-hash';
import { parseAccountPubkey } from '@allium/protocol/storage/requests';
import { describe, expect, test, vi } from 'vitest';
import { Cleaner } from '../../src/mailbox/cleaner.ts';
import { Database, DatabaseError } from '../../src/mailbox/database.ts';
import { Mailbox } from '../../src/mailbox/mailbox.ts';
import { hashBytes, hashText, type NewMessage } from '../../src/mailbox/messages.ts';
import { TempFolder } from '../support/temp-folder.ts';
import { TestClock, testEnv } from '../support/test-clock.ts';

const MINUTE = 60_000;
const UNLIMITED = Number.POSITIVE_INFINITY;

class Fixture implements Disposable {
  readonly clock = new TestClock();
  readonly database: Database;
  readonly mailbox: Mailbox;
  readonly alice = parseAccountPubkey(`05${toHex(randomBytes(32))}`);
  readonly bob = parseAccountPubkey(`05${toHex(randomBytes(32))}`);

  constructor(path = ':memory:', maxBytes?: number) {
    this.database = new Database(maxBytes === undefined ? { path } : { path, maxBytes });
    this.mailbox = new Mailbox(this.database, this.clock);
  }

  message(text: string, more: Partial<NewMessage> = {}): NewMessage {
    const account = more.account ?? this.alice;
    const namespace = more.namespace ?? 0;
    const data = Buffer.from(text);
    return {
      account,
      namespace,
      timestamp: this.clock.now(),
      expiry: this.clock.now() + MINUTE,
      hash: messageHash(account.bytes, namespace, data),
      data,
      ...more,
    };
  }

  texts(namespace = 0, lastHash?: string, maxCount = UNLIMITED, maxSize = UNLIMITED, account = this.alice) {
    const found = this.mailbox.retrieve(account, namespace, lastHash, maxCount, maxSize);
    const { more } = found;
    return { texts: found.messages().map(({ data }) => Buffer.from(data).toString()), more };
  }

  [Symbol.dispose](): void {
    this.database.close();
  }
}

describe('storing', () => {
  test('messages come back in the order of their arrival, per account and namespace', async () => {
    using f = new Fixture();
    const many = Array.from({ length: 300 }, (_, i) => f.mailbox.store(f.message(`m${i}`)));
    await Promise.all([...many, f.mailbox.store(f.message('x', { namespace: 5 }))]);
    await f.mailbox.store(f.message('theirs', { account: f.bob }));
    expect(f.texts().texts).toEqual(Array.from({ length: 300 }, (_, i) => `m${i}`));
    expect(f.texts(5).texts).toEqual(['x']);
    expect(f.texts(0, undefined, UNLIMITED, UNLIMITED, f.bob).texts).toEqual(['theirs']);
    expect(f.texts(1).texts).toEqual([]);
  });

  test('storing again extends the expiry, never shortens it, and keeps the time', async () => {
    using f = new Fixture();
    const first = f.message('once');
    expect(await f.mailbox.store(first)).toMatchObject({ already: false, expiry: first.expiry });
    const sooner = { ...first, expiry: first.expiry - 10, timestamp: 5 };
    expect(await f.mailbox.store(sooner)).toMatchObject({ already: true, expiry: first.expiry });
    const later = { ...first, expiry: first.expiry + 10, timestamp: 5 };
    expect(await f.mailbox.store(later)).toMatchObject({ already: true, expiry: first.expiry + 10 });
    const found = f.mailbox.retrieve(f.alice, 0, undefined, UNLIMITED, UNLIMITED);
    expect(found.messages()).toMatchObject([{ timestamp: first.timestamp, expiry: first.expiry + 10 }]);
  });

  test('the same message twice in one turn of the event loop is one message', async () => {
    using f = new Fixture();
    const results = await Promise.all([f.mailbox.store(f.message('a')), f.mailbox.store(f.message('a'))]);
    expect(results.map(({ already }) => already)).toEqual([false, true]);
    expect(f.texts().texts).toEqual(['a']);
  });

  test('a public outbox holds the newest message only, also when an older one is handed over late', async () => {
    using f = new Fixture();
    const old = f.message('old', { namespace: -1, timestamp: f.clock.now() - 5 });
    await f.mailbox.store(f.message('first', { namespace: -1 }), true);
    await f.mailbox.store(f.message('second', { namespace: -1 }), true);
    expect(f.texts(-1).texts).toEqual(['second']);
    expect(await f.mailbox.storeMany([old])).toBe(0);
    expect(f.texts(-1).texts).toEqual(['second']);
  });

  test('messages handed over leave existing ones as they are', async () => {
    using f = new Fixture();
    const known = f.message('known');
    await f.mailbox.store(known);
    const added = await f.mailbox.storeMany([{ ...known, expiry: known.expiry + 99 }, f.message('new')]);
    expect(added).toBe(1);
    expect(f.mailbox.expiries(f.alice, [hashText(known.hash)])).toEqual(
      new Map([[hashText(known.hash), known.expiry]]),
    );
    expect(f.texts().texts).toEqual(['known', 'new']);
  });
});

describe('retrieving', () => {
  test('continues after a known hash and starts over at an unknown one', async () => {
    using f = new Fixture();
    for (const text of ['a', 'b', 'c']) await f.mailbox.store(f.message(text));
    await f.mailbox.store(f.message('elsewhere', { namespace: 5 }));
    expect(f.texts(0, hashText(f.message('b').hash)).texts).toEqual(['c']);
    expect(f.texts(0, hashText(f.message('c').hash)).texts).toEqual([]);
    expect(f.texts(0, 'A'.repeat(43)).texts).toEqual(['a', 'b', 'c']);
    // A hash of another namespace is unknown here (§2.9.2).
    const elsewhere = hashText(f.message('elsewhere', { namespace: 5 }).hash);
    expect(f.texts(0, elsewhere).texts).toEqual(['a', 'b', 'c']);
  });

  test('stops at the count, and says exactly whether there is more', async () => {
    using f = new Fixture();
    for (const text of ['a', 'b', 'c']) await f.mailbox.store(f.message(text));
    expect(f.texts(0, undefined, 2)).toEqual({ texts: ['a', 'b'], more: true });
    expect(f.texts(0, undefined, 3)).toEqual({ texts: ['a', 'b', 'c'], more: false });
    expect(f.texts(0, undefined, 4)).toEqual({ texts: ['a', 'b', 'c'], more: false });
  });

  test('stops at the size, but gives one message at least', async () => {
    using f = new Fixture();
    const data = 'x'.repeat(300); // 100 + 43 + 400 each
    for (const text of ['a', 'b', 'c']) await f.mailbox.store(f.message(text + data));
    const count = (size: number) => f.texts(0, undefined, UNLIMITED, size).texts.length;
    expect([1, 544, 1087, 1088, 1631, 1632].map(count)).toEqual([1, 1, 1, 2, 2, 3]);
  });
});

describe('deleting and expiring', () => {
  test('delete finds messages in any namespace of the account, and only of it', async () => {
    using f = new Fixture();
    const [mine, other, theirs] = [
      f.message('a'),
      f.message('b', { namespace: 7 }),
      f.message('c', { account: f.bob }),
    ];
    for (const message of [mine, other, theirs]) await f.mailbox.store(message);
    const texts = [mine, other, theirs].map(({ hash }) => hashText(hash));
    expect(await f.mailbox.delete(f.alice, [...texts, 'Z'.repeat(43), 'short'])).toEqual(
      texts.slice(0, 2).sort(),
    );
    expect(f.texts(0, undefined, UNLIMITED, UNLIMITED, f.bob).texts).toEqual(['c']);
  });

  test('a hash text whose unused bits differ names nothing', () => {
    const text = hashText(new Uint8Array(32));
    expect(hashBytes(text)).toEqual(Buffer.alloc(32));
    expect(hashBytes(`${text.slice(0, 42)}B`)).toBeUndefined();
    expect(hashBytes('!'.repeat(43))).toBeUndefined();
  });

  test('deleteBefore takes one namespace or all', async () => {
    using f = new Fixture();
    const at = (text: string, timestamp: number, namespace: number) =>
      f.mailbox.store(f.message(text, { timestamp, namespace }));
    await at('a', 1, 0);
    await at('b', 2, 0);
    await at('c', 1, -42);
    await at('d', 3, -42);
    const text = (name: string, namespace: number) => hashText(f.message(name, { namespace }).hash);
    expect(await f.mailbox.deleteBefore(f.alice, 0, 0)).toEqual({ one: [] });
    expect(await f.mailbox.deleteBefore(f.alice, 'all', 1)).toEqual({
      all: new Map([
        [0, [text('a', 0)]],
        [-42, [text('c', -42)]],
      ]),
    });
    expect(await f.mailbox.deleteBefore(f.alice, -42, 3)).toEqual({ one: [text('d', -42)] });
    expect(await f.mailbox.deleteBefore(f.bob, 'all', 3)).toEqual({ all: new Map() });
  });

  test('expire sets, extends or shortens', async () => {
    using f = new Fixture();
    const [a, b] = [f.message('a'), f.message('b')];
    await f.mailbox.store(a);
    await f.mailbox.store(b);
    const texts = [hashText(a.hash), hashText(b.hash)];
    const now = f.clock.now();
    expect(await f.mailbox.expire(f.alice, texts, [now + 5, now + 2 * MINUTE], 'extend')).toEqual({
      updated: new Map([[texts[1], now + 2 * MINUTE]]),
      unchanged: new Map([[texts[0], a.expiry]]),
    });
    expect(await f.mailbox.expire(f.alice, texts, [now + MINUTE], 'shorten')).toEqual({
      updated: new Map([[texts[1], now + MINUTE]]),
      unchanged: new Map([[texts[0], a.expiry]]),
    });
    const set = await f.mailbox.expire(f.alice, texts, [now + 7], 'set');
    expect([...set.updated.keys()]).toEqual(texts);
    expect(await f.mailbox.expire(f.bob, texts, [now + 9], 'set')).toEqual({
      updated: new Map(),
      unchanged: new Map(),
    });
  });

  test('expireAll only shortens', async () => {
    using f = new Fixture();
    const [long, short] = [f.message('long'), f.message('short', { expiry: f.clock.now() + 5 })];
    await f.mailbox.store(long);
    await f.mailbox.store(short);
    expect(await f.mailbox.expireAll(f.alice, 0, f.clock.now() + 10)).toEqual({ one: [hashText(long.hash)] });
  });

  test('the cleaner removes what is past its expiry, and accounts with their last message', async () => {
    using f = new Fixture();
    await f.mailbox.store(f.message('soon', { expiry: f.clock.now() + 5000 }));
    await f.mailbox.store(f.message('later'));
    await f.mailbox.store(f.message('theirs', { account: f.bob, expiry: f.clock.now() + 5000 }));
    const cleaner = new Cleaner(f.mailbox, testEnv(f.clock));
    cleaner.start();
    f.clock.advance(10_000);
    await cleaner.stop();
    expect(f.texts().texts).toEqual(['later']);
    expect(f.database.prepare('SELECT count(*) AS n FROM accounts').get()).toEqual({ n: 1 });
    // The account that vanished can come again.
    await f.mailbox.store(f.message('again', { account: f.bob }));
    expect(f.texts(0, undefined, UNLIMITED, UNLIMITED, f.bob).texts).toEqual(['again']);
  });
});

describe('revocations (§2.9.12)', () => {
  const token = (n: number) => Uint8Array.from({ length: 36 }, () => n);

  test('hold without any message, and of more than 50 the oldest is valid again', async () => {
    using f = new Fixture();
    for (let n = 0; n < 50; n++) await f.mailbox.revocations.revoke(f.alice, [token(n)], n);
    await f.mailbox.revocations.revoke(f.alice, [token(0)], 100); // refreshed: 1 is the oldest now
    await f.mailbox.revocations.revoke(f.alice, [token(50)], 100);
    expect(f.mailbox.revocations.isRevoked(f.alice, token(0))).toBe(true);
    expect(f.mailbox.revocations.isRevoked(f.alice, token(1))).toBe(false);
    expect(f.mailbox.revocations.isRevoked(f.alice, token(50))).toBe(true);
    expect(f.mailbox.revocations.isRevoked(f.bob, token(50))).toBe(false);
    expect(f.mailbox.revocations.revoked(f.alice)).toHaveLength(50);
    expect(await f.mailbox.revocations.unrevoke(f.alice, [token(1), token(2), token(3)], 200)).toBe(2);
  });

  test('a change that was signed earlier does not undo a later one', async () => {
    using f = new Fixture();
    await f.mailbox.revocations.revoke(f.alice, [token(1)], 100);
    expect(await f.mailbox.revocations.unrevoke(f.alice, [token(1)], 99)).toBe(0);
    await f.mailbox.revocations.revoke(f.alice, [token(1)], 50);
    expect(await f.mailbox.revocations.unrevoke(f.alice, [token(1)], 99)).toBe(0);
    expect(await f.mailbox.revocations.unrevoke(f.alice, [token(1)], 100)).toBe(1);
  });

  test('of dead accounts go away in time, those of accounts with messages stay', async () => {
    using f = new Fixture();
    await f.mailbox.revocations.revoke(f.alice, [token(1)], f.clock.now());
    await f.mailbox.revocations.revoke(f.bob, [token(1)], f.clock.now());
    await f.mailbox.store(f.message('alive'));
    f.clock.advance(91 * 86_400_000);
    expect(await f.mailbox.revocations.clean(10)).toBe(1);
    expect(f.mailbox.revocations.isRevoked(f.alice, token(1))).toBe(true);
  });
});

describe('the file', () => {
  test('data survive closing and opening, with all columns', async () => {
    using folder = new TempFolder();
    const path = folder.file('mailbox.sqlite');
    let message: NewMessage;
    let alice: Fixture['alice'];
    {
      using f = new Fixture(path);
      alice = f.alice;
      message = f.message('kept', { namespace: -42 });
      expect(f.mailbox.isVirgin()).toBe(true);
      await f.mailbox.store(message);
      await f.mailbox.revocations.revoke(f.alice, [new Uint8Array(36)], f.clock.now());
    }
    using f = new Fixture(path);
    expect(f.mailbox.retrieve(alice, -42, undefined, UNLIMITED, UNLIMITED).messages()).toEqual([
      {
        hash: Buffer.from(message.hash),
        timestamp: message.timestamp,
        expiry: message.expiry,
        data: message.data,
      },
    ]);
    expect(f.mailbox.revocations.isRevoked(alice, new Uint8Array(36))).toBe(true);
    expect(f.mailbox.isVirgin()).toBe(false);
  });

  test('row numbers are not used again, so that order holds over deletions and restarts', async () => {
    using folder = new TempFolder();
    const path = folder.file('mailbox.sqlite');
    let first: number;
    {
      using f = new Fixture(path);
      first = (await f.mailbox.store(f.message('a'))).id;
      await f.mailbox.delete(f.alice, [hashText(f.message('a').hash)]);
    }
    using f = new Fixture(path);
    expect((await f.mailbox.store(f.message('b'))).id).toBeGreaterThan(first);
  });

  test('a full database refuses the store that does not fit and takes the others of the same turn', async () => {
    using folder = new TempFolder();
    using f = new Fixture(folder.file('mailbox.sqlite'), 200_000);
    const big = f.message('x'.repeat(300_000));
    const results = await Promise.allSettled([
      f.mailbox.store(f.message('small')),
      f.mailbox.store(big),
      f.mailbox.store(f.message('another', { account: f.bob })),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect((results[1] as PromiseRejectedResult).reason).toMatchObject({ code: 'full' });
    expect(f.texts().texts).toEqual(['small']);
    expect(f.texts(0, undefined, UNLIMITED, UNLIMITED, f.bob).texts).toEqual(['another']);
    // Deleting makes room again.
    await f.mailbox.delete(f.alice, [hashText(f.message('small').hash)]);
    await f.mailbox.store(f.message('more'));
  });

  test('512-byte messages cost at most 837 bytes each', async () => {
    using folder = new TempFolder();
    const path = folder.file('mailbox.sqlite');
    const count = 6000;
    {
      using f = new Fixture(path);
      const accounts = Array.from({ length: 60 }, () => parseAccountPubkey(`05${toHex(randomBytes(32))}`));
      const stores = Array.from({ length: count }, (_, i) => {
        const account = accounts[i % accounts.length]!;
        const data = randomBytes(512);
        return f.mailbox.store(f.message('', { account, data, hash: messageHash(account.bytes, 0, data) }));
      });
      await Promise.all(stores);
    }
    expect(statSync(path).size / count).toBeLessThan(837);
  });

  test('a damaged or foreign file is refused with a sentence that says what to do', () => {
    using folder = new TempFolder();
    const code = (path: string) => {
      try {
        new Database({ path }).close();
      } catch (error) {
        if (error instanceof DatabaseError) return `${error.code} ${error.message}`;
        throw error;
      }
      return 'opened';
    };
    writeFileSync(folder.file('noise'), randomBytes(20_000));
    expect(code(folder.file('noise'))).toMatch(/^corrupt .*Move it/);
    const foreign = new DatabaseSync(folder.file('foreign'));
    foreign.exec('CREATE TABLE t (x)');
    foreign.close();
    expect(code(folder.file('foreign'))).toMatch(/^foreign .*another data folder/);
    const newer = new DatabaseSync(folder.file('newer'));
    newer.exec('PRAGMA application_id = 1634495597; PRAGMA user_version = 99; CREATE TABLE t (x)');
    newer.close();
    expect(code(folder.file('newer'))).toMatch(/^newer .*update/);
    const older = new DatabaseSync(folder.file('older'));
    older.exec('PRAGMA application_id = 1634495597; PRAGMA user_version = 1; CREATE TABLE t (x)');
    older.close();
    expect(code(folder.file('older'))).toMatch(/^foreign .*before the first release/);
    expect(code(folder.file('no/such/folder'))).toMatch(/^unreadable/);
  });

  test('a header that is right over pages that are not is noticed at the start', async () => {
    using folder = new TempFolder();
    const path = folder.file('mailbox.sqlite');
    {
      using f = new Fixture(path);
      await f.mailbox.store(f.message('a'));
    }
    const { readFileSync } = await import('node:fs');
    const bytes = readFileSync(path);
    bytes.fill(0xff, 4096);
    writeFileSync(path, bytes);
    expect(() => new Database({ path })).toThrow(/damaged/);
  });

  test('a change that cannot be undone fails its writes, not the process, and later ones work again', async () => {
    using f = new Fixture();
    const run = StatementSync.prototype.run;
    // A device that fails, as SQLite would tell it.
    using _ = vi.spyOn(StatementSync.prototype, 'run').mockImplementation(function (
      this: StatementSync,
      ...values
    ) {
      if (this.sourceSQL === 'ROLLBACK') throw Object.assign(new Error('disk I/O error'), { errcode: 10 });
      return run.apply(this, values as never);
    });
    const writes = [
      f.mailbox.store(f.message('innocent')),
      f.database.write(() => {
        throw new Error('on purpose');
      }),
    ];
    const codes = await Promise.all(writes.map((write) => write.catch((error) => error.code)));
    expect(codes).toEqual(['failed', 'failed']);
    vi.restoreAllMocks();
    // The first finds the transaction open, and ends it.
    await f.mailbox.store(f.message('one')).catch(() => undefined);
    await f.mailbox.store(f.message('two'));
    expect(f.texts().texts).toEqual(['two']);
  });

  test('writing after closing fails, closing twice does not', async () => {
    const f = new Fixture();
    const pending = f.mailbox.store(f.message('in work'));
    f.database.close();
    await expect(pending).resolves.toMatchObject({ already: false });
    await expect(f.mailbox.store(f.message('late'))).rejects.toMatchObject({ code: 'closed' });
    f.database.close();
  });
});
