// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { silentLog, systemClock, systemEnv, systemRandom } from '../src/system-env.ts';

test('the clock tells the time, waits, and takes back', async () => {
  expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(1000);
  const start = systemClock.monotonic();
  let cancelled = false;
  const cancel = systemClock.after(5, () => {
    cancelled = true;
  });
  cancel();
  cancel();
  await new Promise<void>((resolve) => systemClock.after(20, resolve));
  expect(systemClock.monotonic() - start).toBeGreaterThan(15);
  expect(cancelled).toBe(false);
});

test('a wait longer than a Node timer holds does not end at once', async () => {
  let ended = false;
  const cancel = systemClock.after(2 ** 40, () => {
    ended = true;
  });
  await new Promise<void>((resolve) => systemClock.after(20, resolve));
  expect(ended).toBe(false);
  cancel();
});

test('what is due already comes soon, without a warning', async () => {
  const warnings: string[] = [];
  const onWarning = ({ name }: Error) => warnings.push(name);
  process.on('warning', onWarning);
  try {
    await new Promise<void>((resolve) => systemClock.after(-5, resolve));
    await new Promise<void>((resolve) => systemClock.after(0, resolve));
  } finally {
    process.off('warning', onWarning);
  }
  expect(warnings).toEqual([]);
});

test('chance stays in its range', () => {
  for (let i = 0; i < 200; i++) {
    expect([0, 1, 2]).toContain(systemRandom.below(3));
    const unit = systemRandom.unit();
    expect(unit >= 0 && unit < 1).toBe(true);
  }
});

test('the environment carries the given log, else a silent one', () => {
  expect(systemEnv().log).toBe(silentLog);
  const log = { ...silentLog };
  expect(systemEnv(log).log).toBe(log);
});
