// SPDX-License-Identifier: AGPL-3.0-or-later
import { type OmqEndpoint, OmqError } from '@allium/net/omq/endpoint';
import type { Member } from '@allium/protocol/membership';
import { expect, test } from 'vitest';
import { Flight } from '../../src/swarm/flight.ts';

const MEMBER = { host: '127.0.0.1', omqPort: 1, x25519Key: new Uint8Array(32) } as Member;

/** A member that answers when the test says so. */
function member() {
  const answers: ((text?: string) => void)[] = [];
  const request = () =>
    new Promise<Uint8Array[]>((resolve, reject) =>
      answers.push((text) => {
        if (text === 'silence') reject(new OmqError('timeout', 'no answer'));
        else resolve(text === undefined ? [] : [Buffer.from(text)]);
      }),
    );
  return { answers, omq: { request } as unknown as OmqEndpoint };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('three blobs are on their way, and each counts once all before it were taken', async () => {
  const { answers, omq } = member();
  const flight = new Flight(omq, new AbortController().signal);
  const taken: number[] = [];
  const sends = [0, 1, 2, 3].map((n) => flight.send(MEMBER, Uint8Array.of(n), () => taken.push(n)));
  await turn();
  expect(answers).toHaveLength(3);
  answers[1]!();
  await turn();
  expect(taken).toEqual([]);
  answers[0]!();
  await turn();
  expect(taken).toEqual([0, 1]);
  await sends[3];
  expect(answers).toHaveLength(4);
  answers[2]!();
  answers[3]!();
  expect(await flight.land()).toBe(true);
  expect(taken).toEqual([0, 1, 2, 3]);
});

test.each(['silence', 'Swarm mismatch'])('after "%s" nothing more is sent or counted', async (answer) => {
  const { answers, omq } = member();
  const flight = new Flight(omq, new AbortController().signal);
  const taken: number[] = [];
  for (const n of [0, 1, 2]) await flight.send(MEMBER, Uint8Array.of(n), () => taken.push(n));
  const late = flight.send(MEMBER, Uint8Array.of(3), () => taken.push(3));
  answers[0]!();
  answers[1]!(answer);
  answers[2]!();
  expect(await flight.land()).toBe(false);
  await late;
  await flight.send(MEMBER, Uint8Array.of(4), () => taken.push(4));
  expect(flight.hasFailed).toBe(true);
  expect(taken).toEqual([0]);
  expect(answers.length).toBeLessThanOrEqual(4);
});
