// SPDX-License-Identifier: MIT
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { epochStart } from '../src/chain-view.ts';
import { chainVerifier } from '../src/list-verifier.ts';
import { EventWriter, NETWORK } from './support/event-writer.ts';
import { FakeEndpoint } from './support/fake-endpoint.ts';
import { FrozenClock, testEnv } from './support/test-clock.ts';

const never = new AbortController().signal;

test('names the valid active nodes, and says so when the chain stands still or does not answer', async () => {
  const writer = new EventWriter();
  writer.pass(1);
  for (let i = 0; i < 12; i++) writer.register();
  writer.passTo(epochStart(NETWORK, 2) + 1);
  await using endpoint = await FakeEndpoint.open(writer);
  const clock = new FrozenClock(writer.now);
  const { env } = testEnv(clock);
  await using verifier = chainVerifier({ rpc: [endpoint.url], deployment: NETWORK }, env);
  const members = await verifier.members(never);
  expect(members.size).toBe(12);
  expect([...members][0]).toMatch(/^[0-9a-f]{64}$/);
  // An hour later nothing new was read.
  clock.seconds += 3600;
  await expect(verifier.members(never)).rejects.toMatchObject({ code: 'unreachable' });

  await using silent = chainVerifier({ rpc: ['http://127.0.0.1:1'], deployment: NETWORK }, env);
  const asked = silent.members(never);
  asked.catch(() => {});
  const ended = asked.then(
    () => 'read',
    (error: { code: string }) => error.code,
  );
  while ((await Promise.race([ended, sleep(10)])) === undefined) {
    clock.seconds += 30;
    clock.tick();
  }
  expect(await ended).toBe('unreachable');
});
