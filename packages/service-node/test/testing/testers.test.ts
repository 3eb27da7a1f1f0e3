// SPDX-License-Identifier: AGPL-3.0-or-later
// The pace of tests in virtual time, at that of production; and the storage probe against a swarm of pretenders.
import { silentLog, systemRandom } from '@allium/net/system-env';
import { fromUtf8, utf8 } from '@allium/protocol/bytes';
import { ed25519KeyPair } from '@allium/protocol/crypto';
import { type Env, type Transport, TransportError } from '@allium/protocol/env';
import { buildMembership, type Member, type Membership, memberOf } from '@allium/protocol/membership';
import { REASON } from '@allium/protocol/membership/reasons';
import { describe, expect, test } from 'vitest';
import { ClockWatch } from '../../src/membership/clock-watch.ts';
import { Swarm } from '../../src/swarm/swarm.ts';
import { PeerBook, type PingResult } from '../../src/testing/peer-book.ts';
import { StorageProbe } from '../../src/testing/storage-probe.ts';
import { type Target, Testers } from '../../src/testing/testers.ts';
import { testTimings } from '../../src/testing/timings.ts';
import { TestClock } from '../support/test-clock.ts';

const MINUTE = 60_000;

function membershipOf(count: number, swarms = 1): Membership {
  const members: Member[] = [];
  for (let i = 1; i <= count; i++) {
    const { publicKey } = ed25519KeyPair(new Uint8Array(32).fill(i));
    const swarmId = (2n ** 64n / BigInt(swarms)) * BigInt(i % swarms);
    members.push(
      memberOf({ ed25519Key: publicKey, host: '192.0.2.1', httpsPort: i, omqPort: 1000 + i, swarmId })!,
    );
  }
  const facts = { epoch: 1, seed: new Uint8Array(32), height: 1, blockHash: '00'.repeat(32), members };
  return buildMembership(facts);
}

function testing(count: number, targets: () => readonly Target[] = () => []) {
  const clock = new TestClock();
  const env: Env = { clock, random: systemRandom, log: silentLog };
  const membership = membershipOf(count);
  const own = membership.members[0]!;
  const others = membership.members.slice(1).map(({ ed25519Hex }) => ed25519Hex);
  const swarm = new Swarm({ current: () => membership, onChange: () => () => {} }, own.ed25519Hex);
  const timings = testTimings('production');
  const clocks = new ClockWatch(() => others.length, env);
  const book = new PeerBook({ clocks, timings }, env);
  const pings = new Map<string, number[]>();
  const down = new Set<string>();
  const liars = new Set<string>();
  const probes: string[] = [];
  const missing = new Set<string>();
  const changed = new Set<() => void>();
  const testers = new Testers(
    {
      swarm,
      book,
      timings,
      ownHex: own.ed25519Hex,
      questions: {
        async ping({ ed25519Hex }: Member): Promise<PingResult> {
          pings.set(ed25519Hex, [...(pings.get(ed25519Hex) ?? []), clock.now()]);
          return down.has(ed25519Hex) ? { https: 'timeout', omq: 'timeout' } : {};
        },
        clockOffset: async ({ ed25519Hex }: Member) => (liars.has(ed25519Hex) ? 90_000 : 10),
      },
      probe: {
        async run(target: string) {
          probes.push(target);
          return missing.has(target) ? 'missed' : 'found';
        },
      },
      targets: {
        current: targets,
        onChange: (listener) => {
          changed.add(listener);
          return () => changed.delete(listener);
        },
      },
    },
    env,
  );
  const pass = async (ms: number) => {
    for (let done = 0; done < ms; done += 1_000) {
      clock.advance(1_000);
      await Promise.resolve();
      for (let i = 0; i < 8; i++) await Promise.resolve();
    }
  };
  const count_ = () => [...pings.values()].reduce((sum, times) => sum + times.length, 0);
  return {
    own,
    others,
    book,
    testers,
    pings,
    down,
    liars,
    probes,
    missing,
    changed,
    pass,
    count: count_,
    clock,
  };
}

describe('tests of other nodes', () => {
  test('about one every ten seconds, everybody in turn, never ourselves', async () => {
    const all = testing(30);
    all.testers.start();
    await all.pass(30 * MINUTE);
    // 1800 s at 10 s on average, and the five of the start.
    expect(all.count()).toBeGreaterThan(150);
    expect(all.count()).toBeLessThan(220);
    expect([...all.pings.keys()].sort()).toEqual([...all.others].sort());
    const counts = [...all.pings.values()].map((times) => times.length);
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(3);
    await all.testers.stop();
    const before = all.count();
    await all.pass(MINUTE);
    expect(all.count()).toBe(before);
  });

  test('a failing node is asked again with growing patience, at most every two minutes, and not by turns as well', async () => {
    const all = testing(10);
    const [victim] = all.others as [string];
    all.down.add(victim);
    all.testers.start();
    await all.pass(64 * MINUTE);
    const times = all.pings.get(victim)!;
    const gaps = times.slice(1).map((time, i) => time - times[i]!);
    expect(gaps.every((gap) => gap <= 121_000)).toBe(true);
    expect(gaps.slice(0, 3).every((gap) => gap < 60_000)).toBe(true);
    expect(Math.min(...gaps.slice(14))).toBeGreaterThan(110_000);
    expect(all.book.reasons(victim)).toBe(0);
    await all.pass(5 * MINUTE);
    expect(all.book.reasons(victim)).toBe(REASON.storage);
    all.down.delete(victim);
    await all.pass(5 * MINUTE);
    expect(all.book.reasons(victim)).toBe(0);
    expect(all.book.isBack(victim)).toBe(true);
    await all.testers.stop();
  });

  test('targets are tested every five minutes and probed once a round', async () => {
    let targets: Target[] = [];
    const all = testing(200, () => targets);
    const [one, two] = all.others as [string, string];
    targets = [
      { ed25519Hex: one, round: 1 },
      { ed25519Hex: two, round: 1 },
    ];
    all.liars.add(two);
    all.testers.start();
    await all.pass(60 * MINUTE);
    expect(all.pings.get(one)!.length).toBeGreaterThanOrEqual(11);
    expect(all.pings.get(one)!.length).toBeLessThanOrEqual(17);
    expect(all.probes.sort()).toEqual([one, two].sort());
    expect(all.book.reasons(one)).toBe(0);
    expect(all.book.reasons(two)).toBe(REASON.timesync);
    targets = [{ ed25519Hex: one, round: 2 }];
    for (const listener of all.changed) listener();
    await all.pass(10 * MINUTE);
    expect(all.probes.filter((key) => key === one)).toHaveLength(2);
    expect(all.probes.filter((key) => key === two)).toHaveLength(1);
    await all.testers.stop();
  });

  test('a node that is away misses no probe: it is probed when it is there again', async () => {
    let targets: Target[] = [];
    const all = testing(5, () => targets);
    const [victim] = all.others as [string];
    targets = [{ ed25519Hex: victim, round: 1 }];
    all.missing.add(victim);
    all.down.add(victim);
    all.testers.start();
    await all.pass(30 * MINUTE);
    expect(all.probes.length).toBeGreaterThan(3);
    expect(all.book.probesMissed(victim)).toBe(0);
    all.missing.clear();
    all.down.clear();
    await all.pass(5 * MINUTE);
    expect(all.book.reasons(victim)).toBe(0);
    expect(all.book.tests(victim)?.probeAt).toBeGreaterThan(0);
    await all.testers.stop();
  });

  test('a missed probe is repeated until three in a row have failed', async () => {
    let targets: Target[] = [];
    const all = testing(5, () => targets);
    const [victim] = all.others as [string];
    targets = [{ ed25519Hex: victim, round: 1 }];
    all.missing.add(victim);
    all.testers.start();
    await all.pass(30 * MINUTE);
    expect(all.probes).toEqual([victim, victim, victim]);
    expect(all.book.reasons(victim)).toBe(REASON.probe);
    all.missing.clear();
    targets = [{ ed25519Hex: victim, round: 2 }];
    for (const listener of all.changed) listener();
    await all.pass(10 * MINUTE);
    expect(all.book.reasons(victim)).toBe(0);
    await all.testers.stop();
  });
});

describe('the storage probe', () => {
  /** Nodes that store and give out, or do not, as the sets say. */
  function probing() {
    const clock = new TestClock();
    const membership = membershipOf(12, 2);
    const held = new Map<number, unknown[]>();
    const empty = new Set<number>();
    const refusing = new Set<number>();
    const asked: string[] = [];
    const [own] = membership.members as [Member];
    const transport: Transport = {
      async request({ url, body }) {
        const port = Number(new URL(url).port);
        if (refusing.has(port)) throw new TransportError('unreachable', 'gone');
        const { method, params } = JSON.parse(fromUtf8(body!)) as {
          method: string;
          params: Record<string, unknown>;
        };
        asked.push(method);
        const answer = (json: object) => ({ status: 200, headers: {}, body: utf8(JSON.stringify(json)) });
        if (method === 'store') {
          const swarm = membership.members.find(({ httpsPort }) => httpsPort === port)!.swarmId;
          for (const member of membership.swarms.get(swarm)!) {
            held.set(member.httpsPort, [
              { hash: 'h', timestamp: params.timestamp, expiration: 9e12, data: params.data },
            ]);
          }
          return answer({});
        }
        const messages = empty.has(port) ? [] : (held.get(port) ?? []);
        return answer({ messages, more: false, hf: [21, 0], t: clock.now() });
      },
    };
    const probe = new StorageProbe(
      { transport, membership: () => membership, ownHex: own.ed25519Hex, timeoutMs: 5_000, waitMs: MINUTE },
      { clock, random: systemRandom, log: silentLog },
    );
    const [id] = [...membership.swarms.keys()].filter((swarm) => swarm !== own.swarmId) as [bigint];
    const mates = membership.swarms.get(id)!;
    const run = async (target = mates[0]!) => {
      const result = probe.run(target.ed25519Hex, new AbortController().signal);
      for (let i = 0; i < 200; i++) {
        await Promise.resolve();
        if (i === 100) clock.advance(MINUTE);
      }
      return result;
    };
    return { run, mates, empty, refusing, asked };
  }

  test('finds what was stored through another member', async () => {
    const { run, asked } = probing();
    expect(await run()).toBe('found');
    expect(asked).toEqual(['store', 'retrieve']);
  });

  test('a target that gives nothing out missed it; so did one that refuses to answer', async () => {
    const first = probing();
    first.empty.add(first.mates[0]!.httpsPort);
    expect(await first.run()).toBe('missed');
    const second = probing();
    second.refusing.add(second.mates[0]!.httpsPort);
    expect(await second.run()).toBe('missed');
  });

  test('when less than half of the others have it, or none takes it, nothing was learnt', async () => {
    const { run, mates, empty, refusing } = probing();
    for (const mate of mates.slice(0, 4)) empty.add(mate.httpsPort);
    expect(await run()).toBe('void');
    for (const mate of mates.slice(1)) refusing.add(mate.httpsPort);
    expect(await run()).toBe('void');
  });
});
