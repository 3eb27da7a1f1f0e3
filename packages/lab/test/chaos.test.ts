// SPDX-License-Identifier: AGPL-3.0-or-later
// The short version of `npm run lab -- chaos`, and that its check can fail.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type ChaosOptions, runChaos } from '../src/sim/chaos.ts';
import { describeChaos } from '../src/sim/chaos-result.ts';

const SMALL: ChaosOptions = {
  nodes: 16,
  clients: 18,
  devices: 3,
  messages: 60,
  seed: 1,
  chaosMs: 240_000,
  pollEveryMs: 10_000,
};
/** Fewer devices and less time: enough for something to go wrong. */
const TINY: ChaosOptions = {
  ...SMALL,
  nodes: 8,
  clients: 6,
  messages: 30,
  chaosMs: 60_000,
  settleMs: 60_000,
};
const SILENT = () => {};

test('after chaos every stored message is on every device, once and in one order', async () => {
  const result = await runChaos(SMALL, SILENT);
  expect(describeChaos(result).at(-1)).toBe('lost 0, doubled 0, disordered 0');
  // That there was chaos of each kind, and that most people hardly noticed.
  const { kills, joins, leaves, wrongClocks, wrongDevices, restarts, crashes, ...network } = result.events;
  expect(network).toMatchObject({ lists: 6, partitions: 3 });
  expect(network.swarmsDissolved).toBeGreaterThan(0);
  expect(network.swarmsCreated).toBeGreaterThan(0);
  expect(kills).toBeGreaterThan(10);
  for (const count of [joins, leaves]) expect(count).toBeGreaterThan(9);
  for (const count of [restarts, crashes]) expect(count).toBe(4);
  for (const count of [wrongClocks, wrongDevices]) expect(count).toBeGreaterThan(1);
  expect(result.sent).toBe(60);
  expect(result.stored).toBeGreaterThan(45);
  expect(result.stored + result.failed).toBeLessThanOrEqual(result.sent);
  expect(result.owed).toBe(6 * result.stored);
});

test('a run that is ended early judges what was sent until then', async () => {
  const end = new AbortController();
  const { sent, owed, stored, lost } = await runChaos({ ...TINY, signal: end.signal }, (line) => {
    if (line.startsWith('50 %')) end.abort();
  });
  expect(sent).toBeGreaterThan(5);
  expect(sent).toBeLessThan(TINY.messages);
  expect(stored).toBeGreaterThan(0);
  expect({ owed, lost }).toEqual({ owed: 6 * stored, lost: 0 });
});

describe('sabotage is found', () => {
  test.each([
    ['forget', 'nodes forget what they acknowledged', 'lost'],
    ['drop', 'a device loses what it received', 'lost'],
    ['double', 'a device forgets what it has seen', 'doubled'],
  ] as const)('%s: %s', async (sabotage, _what, found) => {
    const { lost, doubled, disordered } = await runChaos({ ...TINY, sabotage }, SILENT);
    const figures = { lost, doubled, disordered };
    expect(figures[found]).toBeGreaterThan(0);
    // What a device lost it may well show again, when the sender stores it a second time.
    const mayDouble = sabotage === 'drop' ? { doubled: figures.doubled } : {};
    expect(figures).toEqual({ lost: 0, doubled: 0, disordered: 0, ...mayDouble, [found]: figures[found] });
  });

  test('flip: a device shows its history the other way round, and the program ends with exit code 1', () => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [
        join(import.meta.dirname, '..', 'src', 'main.ts'),
        'chaos',
        ...['--nodes', '8', '--clients', '6', '--messages', '20', '--minutes', '1', '--sabotage', 'flip'],
      ],
      { encoding: 'utf8' },
    );
    expect(stderr).toBe('');
    expect(stdout.trimEnd().split('\n').at(-1)).toMatch(/^lost 0, doubled 0, disordered [1-9]\d*$/);
    expect(status).toBe(1);
  });
});
