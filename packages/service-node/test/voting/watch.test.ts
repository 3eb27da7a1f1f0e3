// SPDX-License-Identifier: AGPL-3.0-or-later
// What a voter knows of itself: how long it has watched, and how long its money lasts; and what it decides.
import { FakeChainView, FakeChainWriter } from '@allium/chain/testing';
import { silentLog, systemRandom } from '@allium/net/system-env';
import type { Env, Logger } from '@allium/protocol/env';
import { REASON } from '@allium/protocol/membership/reasons';
import { describe, expect, test } from 'vitest';
import { decide, type Verdict } from '../../src/voting/decision.ts';
import { GasTank } from '../../src/voting/gas-tank.ts';
import { Vigil } from '../../src/voting/vigil.ts';
import { TestClock } from '../support/test-clock.ts';

describe('how long a node has watched', () => {
  class Machine extends TestClock {
    shiftMs = 0;
    override now(): number {
      return super.now() + this.shiftMs;
    }
  }
  function watching() {
    const clock = new Machine();
    const chain = { isFresh: () => !chain.stands, stands: false };
    const vigil = new Vigil(chain, { clock, random: systemRandom, log: silentLog });
    vigil.start();
    clock.advance(600_000);
    return { clock, vigil, chain };
  }

  test('grows with time, also while the clock is corrected by a little', () => {
    const { clock, vigil } = watching();
    clock.shiftMs = 29_000;
    clock.advance(1_000);
    expect(vigil.watchedMs).toBe(601_000);
  });

  test('begins anew when the clock is set', () => {
    const { clock, vigil } = watching();
    clock.shiftMs = 40_000;
    clock.advance(1_000);
    expect(vigil.watchedMs).toBeLessThanOrEqual(1_000);
  });

  test('begins anew after a sleep, even when it is asked before any timer ran', () => {
    const { clock, vigil } = watching();
    vigil.stop();
    clock.advance(7_200_000);
    expect(vigil.watchedMs).toBe(0);
  });

  test('and how long the chain went on, which begins anew whenever it stood still', () => {
    const { clock, vigil, chain } = watching();
    expect(vigil.freshMs).toBe(600_000);
    chain.stands = true;
    clock.advance(60_000);
    expect(vigil.freshMs).toBe(0);
    chain.stands = false;
    clock.advance(5_000);
    expect(vigil.freshMs).toBe(5_000);
    expect(vigil.watchedMs).toBe(665_000);
  });
});

describe('money for gas', () => {
  function tank() {
    const clock = new TestClock();
    const told: string[] = [];
    const log: Logger = {
      error: (_, text) => void told.push(`error ${text}`),
      warn: (_, text) => void told.push(`warn ${text}`),
      info: (_, text) => void told.push(`info ${text}`),
      debug() {},
      child: () => log,
    };
    const env: Env = { clock, random: systemRandom, log };
    const writer = new FakeChainWriter(`0x${'aa'.repeat(20)}`);
    const gas = new GasTank({ writer, everyMs: 3_600_000 }, env);
    const spend = async (wei: bigint, hours: number) => {
      for (let hour = 0; hour < hours; hour++) {
        writer.wei -= wei;
        clock.advance(3_600_000);
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    return { gas, writer, told, spend };
  }

  test('warns below 30 days of what it cost so far, loudly below 3, and says when it is enough again', async () => {
    const { gas, writer, told, spend } = tank();
    writer.wei = 24n * 40n * 100n;
    gas.start();
    await spend(100n, 2);
    expect(gas.level).toBe('unknown');
    await spend(100n, 3);
    expect(gas.level).toBe('enough');
    expect(gas.daysLeft).toBeCloseTo(39.8, 1);
    await spend(100n, 24 * 10);
    expect(gas.level).toBe('low');
    expect(told.at(-1)).toMatch(/^warn the money for gas lasts for less than 30 days/);
    await spend(100n, 24 * 27);
    expect(gas.level).toBe('critical');
    expect(told.at(-1)).toMatch(/^error the money for gas lasts for less than 3 days/);
    writer.wei += 10n ** 9n;
    await spend(100n, 1);
    expect(told.at(-1)).toBe('info there is enough money for gas');
    await gas.stop();
  });

  test('nothing in it is told at once, and an endpoint that is down is no empty tank', async () => {
    const { gas, writer, told, spend } = tank();
    writer.wei = 0n;
    gas.start();
    await spend(0n, 1);
    expect(gas.level).toBe('empty');
    expect(told).toHaveLength(1);
    writer.balance = () => Promise.reject(new Error('connection refused'));
    await spend(0n, 1);
    expect(told).toHaveLength(1);
    await gas.stop();
  });
});

describe('what a member of a quorum votes for (spec/chain §4.11, §4.19)', () => {
  const view = new FakeChainView();
  const PASSES: Verdict = { reasons: 0, proofAt: 2_000_000, isBack: true, isFailing: false };
  const FAILS: Verdict = { reasons: REASON.storage, proofAt: 500_000, isBack: false, isFailing: true };
  const limits = { minGrace: 60 };
  const node = (facts: object) => view.setNode({ nodeId: 1, ed25519Hex: 'ab'.repeat(32), ...facts });
  const gone = (facts: object = {}) =>
    node({ state: 'decommissioned', decommissionedAt: 1_000, credit: 100, ...facts });

  test.each([
    ['an active node that passes: nothing', () => node({}), PASSES, 1_100, undefined],
    [
      'an active node that fails: suspend',
      () => node({}),
      FAILS,
      1_100,
      { action: 1, reasons: REASON.storage },
    ],
    ['one that is back: reinstate', gone, PASSES, 1_001, { action: 2, reasons: 0 }],
    [
      'one that is back with an old proof only: wait',
      gone,
      { ...PASSES, proofAt: 999_999 },
      1_099,
      undefined,
    ],
    ['one that is back, but not for long: wait', gone, { ...PASSES, isBack: false }, 1_500, undefined],
    ['one that fails within its grace: wait', gone, FAILS, 1_099, undefined],
    [
      'one that fails after its grace: remove',
      gone,
      FAILS,
      1_100,
      { action: 3, reasons: REASON.storage | REASON.uptime },
    ],
    ['a credit below the least grace', () => gone({ credit: 5 }), FAILS, 1_059, undefined],
    [
      'and when that is over',
      () => gone({ credit: 5 }),
      FAILS,
      1_060,
      { action: 3, reasons: REASON.storage | REASON.uptime },
    ],
    [
      'one that is back, but whose exit is due: nothing',
      () => gone({ unlockAt: 1_050 }),
      PASSES,
      1_050,
      undefined,
    ],
    ['one that is removed already: nothing', () => node({ state: 'deregistered' }), FAILS, 9_999, undefined],
  ])('%s', (_, target, verdict, now, expected) => {
    expect(decide(target(), verdict, now, limits)).toEqual(expected);
  });
});
