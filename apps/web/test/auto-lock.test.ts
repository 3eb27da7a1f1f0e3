// SPDX-License-Identifier: AGPL-3.0-or-later
// The lock that comes by itself: after how long, in which tab, of which account.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { SessionView } from '../src/model.ts';
import { startAutoLock } from '../src/state/auto-lock.ts';
import { PreferenceStore } from '../src/state/preferences.ts';
import { Store } from '../src/state/store.ts';

const account = { key: 'a', id: '', setAside: [], phraseConfirmed: true } as const;
const open = (sealedBy: 'browser' | 'passphrase' | 'passkey'): SessionView => ({
  phase: 'open',
  accounts: [],
  current: { ...account, sealedBy },
  profile: {},
});
const MINUTE = 60_000;
let kept: Map<string, string>;
const stops: (() => void)[] = [];

beforeEach(() => {
  vi.useFakeTimers();
  kept = new Map();
});
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
  vi.useRealTimers();
});

function tab(session: SessionView | undefined, lockMinutes: number) {
  const target = new EventTarget();
  const preferences = new PreferenceStore();
  preferences.change({ lockMinutes });
  const lock = vi.fn();
  const store = new Store<SessionView | undefined>(session);
  stops.push(
    startAutoLock({
      preferences,
      session: store,
      lock,
      kept: { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => void kept.set(key, value) },
      target,
      now: Date.now,
    }),
  );
  return { lock, store, press: () => target.dispatchEvent(new Event('keydown')), target };
}

test('a sealed account is locked after the time without anybody, not before', () => {
  const { lock, press } = tab(open('passphrase'), 5);
  vi.advanceTimersByTime(4 * MINUTE);
  press();
  vi.advanceTimersByTime(4.9 * MINUTE);
  expect(lock).not.toHaveBeenCalled();
  vi.advanceTimersByTime(0.3 * MINUTE);
  expect(lock).toHaveBeenCalled();
});

test.each([
  ['that the browser opens', open('browser'), 5],
  ['when that is off', open('passkey'), 0],
  ['that is locked already', { ...open('passphrase'), phase: 'locked' } as SessionView, 5],
])('an account %s is not locked', (_, session, minutes) => {
  const { lock } = tab(session, minutes);
  vi.advanceTimersByTime(120 * MINUTE);
  expect(lock).not.toHaveBeenCalled();
});

test('whoever is active in one tab keeps the others open; when all are left, the account is locked', () => {
  const [one, two] = [tab(open('passphrase'), 1), tab(open('passphrase'), 1)];
  for (let i = 0; i < 20; i++) {
    vi.advanceTimersByTime(10_000);
    one.press();
  }
  expect(two.lock).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1.2 * MINUTE);
  expect(two.lock).toHaveBeenCalled();
});

test('a laptop that was shut is locked when somebody looks, and a clock that was set back locks no later', () => {
  const { lock, target } = tab(open('passphrase'), 15);
  // Timers slept, too.
  vi.setSystemTime(Date.now() + 60 * MINUTE);
  target.dispatchEvent(new Event('visibilitychange'));
  expect(lock).toHaveBeenCalledTimes(1);
  const moved = tab(open('passphrase'), 15);
  vi.setSystemTime(Date.now() + 60 * MINUTE);
  moved.press();
  expect(moved.lock).toHaveBeenCalledTimes(1);
  const other = tab(open('passphrase'), 15);
  vi.setSystemTime(Date.now() - 600 * MINUTE);
  vi.advanceTimersByTime(15.2 * MINUTE);
  expect(other.lock).toHaveBeenCalled();
});

test('opening it counts as being there', () => {
  const { lock, store } = tab({ ...open('passphrase'), phase: 'locked' }, 1);
  vi.advanceTimersByTime(10 * MINUTE);
  store.set(open('passphrase'));
  vi.advanceTimersByTime(0.9 * MINUTE);
  expect(lock).not.toHaveBeenCalled();
});

test('a page that is opened anew finds an account that should have been locked, and locks it', () => {
  const { press } = tab(open('passphrase'), 5);
  press();
  // The laptop slept, and its timers too; whoever wakes it opens another page at once, and moves the pointer there.
  vi.setSystemTime(Date.now() + 60 * MINUTE);
  const fresh = tab(undefined, 5);
  fresh.press();
  fresh.store.set(open('passphrase'));
  expect(fresh.lock).toHaveBeenCalled();
  // One that is opened in time counts as being there.
  kept.set('allium-active-at', String(Date.now() - 4 * MINUTE));
  const inTime = tab(undefined, 5);
  inTime.store.set(open('passphrase'));
  vi.advanceTimersByTime(4 * MINUTE);
  expect(inTime.lock).not.toHaveBeenCalled();
});
