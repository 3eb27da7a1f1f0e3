// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { Events, Signal, Tasks } from '../src/events.ts';
import { Semaphore } from '../src/network/semaphore.ts';
import { TestClock, testEnv } from './test-clock.ts';

const never = new AbortController().signal;

test('listeners hear what comes until they leave; one that throws harms nobody', () => {
  const env = testEnv(new TestClock());
  const events = new Events<{ a: number; b: string }>(env.log);
  const heard: unknown[] = [];
  const listener = (value: number) => heard.push(value);
  const leave = events.on('a', listener);
  events.on('a', listener);
  events.on('a', () => {
    throw new Error('mine');
  });
  events.on('b', (value) => heard.push(value));
  events.emit('a', 1);
  expect(heard).toEqual([1, 1]);
  leave();
  leave();
  events.emit('a', 2);
  events.emit('b', 'x');
  expect(heard).toEqual([1, 1, 2, 'x']);
  expect(env.errors).toHaveLength(2);
});

test('a signal wakes all who wait and leaves with those who abort', async () => {
  const signal = new Signal();
  const abort = new AbortController();
  const waits = [signal.wait(never), signal.wait(never)];
  const aborted = signal.wait(abort.signal);
  abort.abort('reason');
  await expect(aborted).rejects.toBe('reason');
  await expect(signal.wait(abort.signal)).rejects.toBe('reason');
  signal.notify();
  await Promise.all(waits);
});

test('stopping waits for work that was begun, and reports failures that are not its own', async () => {
  const tasks = new Tasks(testEnv(new TestClock()).log);
  let ended = 0;
  tasks.run('waits', async () => {
    await new Signal().wait(tasks.signal).catch(() => undefined);
    ended++;
  });
  tasks.run('fails', () => Promise.reject(new Error('x')));
  await tasks.stop('stopped');
  expect(ended).toBe(1);
});

test('a semaphore lets through as many as it has places, in order', async () => {
  const semaphore = new Semaphore(2);
  const order: number[] = [];
  const first = await semaphore.acquire(never);
  await semaphore.acquire(never);
  const abort = new AbortController();
  const third = semaphore.acquire(abort.signal);
  const fourth = semaphore.acquire(never).then((place) => {
    order.push(4);
    return place;
  });
  abort.abort('gone');
  await expect(third).rejects.toBe('gone');
  first[Symbol.dispose]();
  (await fourth)[Symbol.dispose]();
  expect(order).toEqual([4]);
  await semaphore.acquire(never);
});
