// SPDX-License-Identifier: MIT
// spec/storage-server §7 "Rate limiter".
import { describe, expect, test } from 'vitest';
import { RateLimiter, type RateLimiterOptions } from '../src/rate-limiter.ts';

function make(options: RateLimiterOptions = {}) {
  let now = 5000;
  const clock = { now: () => 0, monotonic: () => now, after: () => () => {} };
  const limiter = new RateLimiter(options, clock);
  const takeMany = (client: string, count: number) => {
    let taken = 0;
    for (let i = 0; i < count; i++) if (limiter.take(client)) taken++;
    return taken;
  };
  return { limiter, takeMany, advance: (ms: number) => (now += ms) };
}

test('a new client has 600 requests at once, then 300 per second', () => {
  const { takeMany, advance } = make();
  expect(takeMany('1.2.3.4', 700)).toBe(600);
  advance(1000);
  expect(takeMany('1.2.3.4', 700)).toBe(300); // ⌊1000 / 3.333⌋
  expect(takeMany('4.3.2.1', 700)).toBe(600);
});

test('a full refill is the most that comes back', () => {
  const { takeMany, advance } = make();
  takeMany('1.2.3.4', 600);
  advance(3_600_000);
  expect(takeMany('1.2.3.4', 1000)).toBe(600);
});

test('a bucket that holds nothing lets nobody through', () => {
  expect(make({ capacity: 0 }).takeMany('1.2.3.4', 10)).toBe(0);
});

test('fractions are lost when a token is taken, kept while there is none', () => {
  const { limiter, takeMany, advance } = make();
  takeMany('1.2.3.4', 600);
  advance(3);
  expect(limiter.take('1.2.3.4')).toBe(false);
  advance(0.4);
  expect(limiter.take('1.2.3.4')).toBe(true); // 3.4 ms since the mark
  advance(6);
  expect(takeMany('1.2.3.4', 2)).toBe(1); // 6 ms are one token, the rest of 2.67 ms is lost
  advance(3.34);
  expect(takeMany('1.2.3.4', 2)).toBe(1);
});

describe('the table', () => {
  test('limits new clients while it is full of clients that are not at rest', () => {
    const { limiter, advance } = make({ maxBuckets: 3 });
    for (const client of ['1.1.1.1', '2.2.2.2', '3.3.3.3']) expect(limiter.take(client)).toBe(true);
    expect(limiter.take('4.4.4.4')).toBe(false);
    expect(limiter.take('1.1.1.1')).toBe(true);
    advance(4); // 2.2.2.2 and 3.3.3.3 have their token back
    expect(limiter.take('4.4.4.4')).toBe(true);
    expect(limiter.size).toBe(2);
  });

  test('forgets clients at rest every 10 s', () => {
    const { limiter, advance } = make();
    for (let i = 0; i < 200; i++) limiter.take(`10.0.0.${i}`);
    expect(limiter.size).toBe(200);
    advance(10_000);
    limiter.take('10.1.0.1');
    expect(limiter.size).toBe(1);
  });
});

describe('a client is', () => {
  const same = (a: string, b: string) => {
    const { limiter } = make({ capacity: 1 });
    return limiter.take(a) && !limiter.take(b);
  };

  test('an IPv4 address, mapped or not', () => {
    expect(same('1.2.3.4', '::ffff:1.2.3.4')).toBe(true);
    expect(same('::ffff:102:304', '1.2.3.4')).toBe(true);
    expect(same('1.2.3.4', '1.2.3.5')).toBe(false);
    expect(same('0:0:0:0:0:ffff:1.2.3.4', '1.2.3.4')).toBe(true);
  });

  test('an IPv6 network of 64 bits', () => {
    expect(same('2001:db8:1:2::1', '2001:db8:1:2:ffff::9')).toBe(true);
    expect(same('2001:db8:1:2::1', '2001:DB8:0001:2:a:b:c:d')).toBe(true);
    expect(same('2001:db8:1:2::1', '2001:db8:1:3::1')).toBe(false);
    expect(same('fe80::1%eth0', 'fe80::2')).toBe(true);
    expect(same('::1', '1::')).toBe(false);
  });

  test('not any other text', () => {
    const { limiter } = make();
    for (const client of ['', 'localhost', '1.2.3', '1.2.3.4:80', '::g'])
      expect(limiter.take(client)).toBe(false);
    expect(limiter.size).toBe(0);
  });
});
