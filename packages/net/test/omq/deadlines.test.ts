// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { Deadlines, type Expiring } from '../../src/omq/deadlines.ts';

/** Like the system's clock, by hand, in single steps. */
function clockByHand() {
  let now = 12_345.6;
  let armed: { at: number; run: () => void } | undefined;
  return {
    clock: {
      now: () => now,
      monotonic: () => now,
      after(ms: number, run: () => void) {
        if (armed !== undefined) throw new Error('more than one timer');
        armed = { at: now + ms, run };
        return () => {
          armed = undefined;
        };
      },
    },
    isArmed: () => armed !== undefined,
    advance(ms: number) {
      const end = now + ms;
      while (armed !== undefined && armed.at <= end) {
        now = armed.at;
        const { run } = armed;
        armed = undefined;
        run();
      }
      now = end;
    },
  };
}

const item = (log: string[], name: string, run?: () => void): Expiring => ({
  bucket: -1,
  expire() {
    log.push(name);
    run?.();
  },
});

test('expires in order, never early, at most 100 ms late, on one timer', () => {
  const { clock, advance, isArmed } = clockByHand();
  const deadlines = new Deadlines(clock);
  const log: string[] = [];
  deadlines.add(item(log, '300'), 300);
  deadlines.add(item(log, '10'), 10);
  deadlines.add(item(log, '200'), 200);
  advance(9);
  expect(log).toEqual([]);
  advance(101);
  expect(log).toEqual(['10']);
  advance(200);
  expect(log).toEqual(['10', '200']);
  advance(100);
  expect(log).toEqual(['10', '200', '300']);
  advance(200);
  expect(isArmed()).toBe(false);
});

test('what was removed does not expire, also when another’s expiry removes it', () => {
  const { clock, advance } = clockByHand();
  const deadlines = new Deadlines(clock);
  const log: string[] = [];
  const first = item(log, 'first', () => deadlines.remove(second));
  const second = item(log, 'second');
  const third = item(log, 'third');
  for (const each of [first, second, third]) deadlines.add(each, 100);
  deadlines.remove(third);
  advance(1000);
  expect(log).toEqual(['first']);
});

test('an expiry may add a new deadline; clear forgets all', () => {
  const { clock, advance, isArmed } = clockByHand();
  const deadlines = new Deadlines(clock);
  const log: string[] = [];
  deadlines.add(
    item(log, 'one', () => deadlines.add(item(log, 'two'), 100)),
    100,
  );
  advance(500);
  expect(log).toEqual(['one', 'two']);
  deadlines.add(item(log, 'three'), 100);
  deadlines.clear();
  expect(isArmed()).toBe(false);
  advance(500);
  expect(log).toEqual(['one', 'two']);
});
