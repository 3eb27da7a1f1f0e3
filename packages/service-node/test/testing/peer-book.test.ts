// SPDX-License-Identifier: AGPL-3.0-or-later
import { REASON, reasonCodes, reasonWords } from '@allium/protocol/membership/reasons';
import { describe, expect, test } from 'vitest';
import { ClockWatch } from '../../src/membership/clock-watch.ts';
import { PeerBook } from '../../src/testing/peer-book.ts';
import { testTimings } from '../../src/testing/timings.ts';
import { TestClock, testEnv } from '../support/test-clock.ts';

const MINUTE = 60_000;
const DOWN = { https: 'timeout', omq: 'unreachable' };

/** A clock that can be set, as an operator or NTP does. */
class SettableClock extends TestClock {
  shiftMs = 0;
  override now(): number {
    return super.now() + this.shiftMs;
  }
}

function makeBook(others = 10) {
  const clock = new SettableClock();
  const clocks = new ClockWatch(() => others, testEnv(clock));
  const book = new PeerBook({ clocks, timings: testTimings('production') }, testEnv(clock));
  return { clock, clocks, book };
}

describe('reachability (spec/chain §1.11)', () => {
  test('a node is unreachable after 65 minutes of failures, and only while the last one is fresh', () => {
    const { clock, book } = makeBook();
    book.pinged('a', {});
    for (let minute = 0; minute < 65; minute += 1) {
      book.pinged('a', DOWN);
      expect(book.reasons('a')).toBe(0);
      clock.advance(MINUTE);
    }
    book.pinged('a', DOWN);
    expect(book.reasons('a')).toBe(REASON.storage);
    clock.advance(5 * MINUTE - 1);
    expect(book.reasons('a')).toBe(REASON.storage);
    clock.advance(1);
    expect(book.reasons('a')).toBe(0);
  });

  test('one listener that fails is a failure, one success ends it', () => {
    const { clock, book } = makeBook();
    expect(book.pinged('a', { omq: 'timeout' })).toBe(1);
    clock.advance(65 * MINUTE);
    expect(book.pinged('a', { omq: 'timeout' })).toBe(2);
    expect(book.reasons('a')).toBe(REASON.storage);
    expect(book.tests('a')).toMatchObject({ fault: 'omq: timeout', failingSince: expect.any(Number) });
    expect(book.pinged('a', {})).toBe(0);
    expect(book.reasons('a')).toBe(0);
    expect(book.tests('a')).toMatchObject({ fault: undefined, failingSince: undefined });
  });

  test('setting the clock by hours changes no verdict', () => {
    const { clock, book } = makeBook();
    book.pinged('a', DOWN);
    clock.shiftMs = 3 * 60 * MINUTE;
    book.pinged('a', DOWN);
    expect(book.reasons('a')).toBe(0);
    clock.advance(65 * MINUTE);
    clock.shiftMs = -3 * 60 * MINUTE;
    book.pinged('a', DOWN);
    expect(book.reasons('a')).toBe(REASON.storage);
  });

  test('a node is back after two successes a minute apart without a failure between', () => {
    const { clock, book } = makeBook();
    book.pinged('a', DOWN);
    expect(book.isBack('a')).toBe(false);
    book.pinged('a', {});
    clock.advance(MINUTE - 1);
    book.pinged('a', {});
    expect(book.isBack('a')).toBe(false);
    clock.advance(1);
    book.pinged('a', {});
    expect(book.isBack('a')).toBe(true);
    book.pinged('a', DOWN);
    expect(book.isBack('a')).toBe(false);
    expect(book.isBack('never seen')).toBe(false);
  });

  test('when most nodes fail it is presumed to be our own network', () => {
    const { book } = makeBook();
    for (const key of ['a', 'b', 'c', 'd', 'e']) book.pinged(key, key < 'd' ? {} : DOWN);
    expect(book.isCutOff).toBe(false);
    book.pinged('a', DOWN);
    expect(book.isCutOff).toBe(true);
  });

  test('forgets nodes that left', () => {
    const { book } = makeBook();
    book.pinged('a', {});
    book.pinged('b', {});
    book.retain((key) => key === 'b');
    expect(book.size).toBe(1);
    expect(book.tests('a')).toBeUndefined();
  });
});

describe('clocks (spec/chain §4.18)', () => {
  test('five of eight questions without an answer fail', () => {
    const { book } = makeBook();
    for (const offset of [0, undefined, undefined, 0, undefined, undefined]) book.timeAsked('a', offset);
    expect(book.reasons('a')).toBe(0);
    book.timeAsked('a', undefined);
    expect(book.reasons('a')).toBe(REASON.timecheck);
    for (let i = 0; i < 4; i++) book.timeAsked('a', 0);
    expect(book.reasons('a')).toBe(0);
  });

  test('a clock off by more than 30 s in five of eight answers fails', () => {
    const { book } = makeBook();
    for (const key of ['b', 'c', 'd']) book.timeAsked(key, 200);
    for (let i = 0; i < 4; i++) book.timeAsked('a', -30_001);
    for (let i = 0; i < 4; i++) book.timeAsked('a', 30_000);
    expect(book.reasons('a')).toBe(0);
    for (let i = 0; i < 5; i++) book.timeAsked('a', 30_001);
    expect(book.reasons('a')).toBe(REASON.timesync);
    expect(book.reasons('b')).toBe(0);
  });

  test('own clock 40 s off: nobody is accused, neither then nor after it was set', () => {
    const { clock, clocks, book } = makeBook();
    const keys = ['a', 'b', 'c', 'd', 'e', 'f'];
    clock.shiftMs = 40_000;
    for (let round = 0; round < 8; round++) for (const key of keys) book.timeAsked(key, 40_000);
    expect(clocks.isPresumedWrong).toBe(true);
    expect(keys.map((key) => book.reasons(key))).toEqual(keys.map(() => 0));
    clock.shiftMs = 0;
    for (const key of keys) book.timeAsked(key, 0);
    expect(clocks.isPresumedWrong).toBe(false);
    expect(keys.map((key) => book.reasons(key))).toEqual(keys.map(() => 0));
  });

  test('own clock drifts off slowly: what was noted before the others agreed that it is us is forgotten', () => {
    const { clocks, book } = makeBook();
    const keys = ['a', 'b', 'c', 'd', 'e', 'f'];
    for (const key of keys) book.timeAsked(key, 29_000);
    // The drift passes the tolerance: the first nodes asked look wrong one after the other.
    for (let round = 0; round < 6; round++) for (const key of keys) book.timeAsked(key, 31_000);
    expect(clocks.isPresumedWrong).toBe(true);
    expect(keys.map((key) => book.reasons(key))).toEqual(keys.map(() => 0));
  });

  test('one honest node of six does not hide that our clock is wrong; two do', () => {
    const { clocks, book } = makeBook();
    for (const key of ['a', 'b', 'c', 'd', 'e']) book.timeAsked(key, 40_000);
    book.timeAsked('f', 0);
    expect(clocks.isPresumedWrong).toBe(true);
    book.timeAsked('e', 0);
    expect(clocks.isPresumedWrong).toBe(false);
  });

  test('a liar among the first answers does not move the offset shown', () => {
    const { clocks, book } = makeBook();
    book.timeAsked('liar', 9e9);
    expect(clocks.offsetMs).toBeUndefined();
    book.timeAsked('b', 3);
    book.timeAsked('c', -2);
    expect(clocks.offsetMs).toBe(3);
  });
});

test('three probes missed in a row fail, one found ends it', () => {
  const { book } = makeBook();
  book.probed('a', false);
  book.probed('a', false);
  expect(book.reasons('a')).toBe(0);
  book.probed('a', false);
  expect(book.reasons('a')).toBe(REASON.probe);
  book.probed('a', true);
  expect(book.reasons('a')).toBe(0);
});

test('reasons have codes and words', () => {
  expect(reasonCodes(0x0001 | 0x0008 | 0x0400)).toEqual(['uptime', 'storage', 'probe']);
  expect(reasonCodes(0x0002 | 0x0004 | 0x0040 | 0x0100)).toEqual([]);
  expect(reasonWords(REASON.storage | REASON.timesync)).toBe('it cannot be reached; its clock is wrong');
});
