// SPDX-License-Identifier: AGPL-3.0-or-later
// When a chat locks itself, by clocks that go on alone.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { AppLock } from '../../src/chat/app-lock.ts';
import { keepLockMinutes, keptLockMinutes } from '../../src/lock-settings.ts';

const MINUTE = 60_000;

function lockAfter(afterMinutes: number | undefined) {
  const seen = { locked: 0, wall: 1e12, steady: 0, kept: [] as (number | undefined)[] };
  const lock = new AppLock({
    afterMinutes,
    keep: (minutes) => seen.kept.push(minutes),
    lock: () => {
      seen.locked += 1;
    },
    clocks: () => [seen.wall, seen.steady],
  });
  const pass = (wallMinutes: number, steadyMinutes = wallMinutes) => {
    seen.wall += wallMinutes * MINUTE;
    seen.steady += steadyMinutes * MINUTE;
    lock.look();
    return seen.locked;
  };
  return { lock, seen, pass };
}

test('locks when nobody was there for long enough, and not before', () => {
  const { lock, pass } = lockAfter(5);
  expect(pass(4)).toBe(0);
  lock.noteKey();
  expect(pass(4)).toBe(0);
  expect(pass(1)).toBe(1);
});

test('counts the sleep of the machine, and is not held off by a clock that is set back', () => {
  expect(lockAfter(5).pass(8 * 60, 0)).toBe(1);
  expect(lockAfter(5).pass(-60, 5)).toBe(1);
});

test('without minutes only by hand; what is chosen counts at once and is kept', () => {
  const { lock, seen, pass } = lockAfter(undefined);
  expect(pass(10_000)).toBe(0);
  lock.changeAfter(15);
  lock.noteKey();
  expect(pass(14)).toBe(0);
  expect(pass(1)).toBe(1);
  lock.lock();
  expect(seen).toMatchObject({ locked: 2, kept: [15] });
});

test('the minutes are kept beside the account; a file that cannot be read locks soon', () => {
  const folder = mkdtempSync(join(tmpdir(), 'allium-lock-test-'));
  try {
    const entry = { name: 'x', folder, id: '', encrypted: true };
    expect(keptLockMinutes(entry)).toBeUndefined();
    keepLockMinutes(entry, 15);
    expect(keptLockMinutes(entry)).toBe(15);
    writeFileSync(join(folder, 'lock.txt'), 'a while');
    expect(keptLockMinutes(entry)).toBe(1);
    keepLockMinutes(entry, undefined);
    expect(keptLockMinutes(entry)).toBeUndefined();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
