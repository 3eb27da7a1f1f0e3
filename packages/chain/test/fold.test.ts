// SPDX-License-Identifier: MIT
import { swarmMapDigest } from '@allium/protocol/swarm/assignment';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type EpochView, epochStart, INFINITE_EPOCH } from '../src/chain-view.ts';
import type { ChainEvent } from '../src/events.ts';
import { ChainFold, KEPT_EPOCHS } from '../src/fold.ts';
import { encodeSnapshot, parseSnapshot } from '../src/fold-snapshot.ts';
import { hexOf } from '../src/packed.ts';
import { initialParameters } from '../src/parameters.ts';
import { PRESETS } from '../src/presets.ts';
import { genesisSeed, skippedSeed } from '../src/seeds.ts';
import { EventWriter, keyOf, NETWORK } from './support/event-writer.ts';

const R = NETWORK.revealSeconds;

const newFold = () =>
  new ChainFold(NETWORK, ChainFold.genesis(NETWORK, initialParameters(PRESETS.local.params)));

function foldOf(events: readonly ChainEvent[], fold = newFold()): ChainFold {
  for (const event of events) fold.apply(event);
  return fold;
}

/** A network of so many nodes, brought to the given epoch. */
function networkOf(count: number, epoch = 3): { writer: EventWriter; fold: ChainFold } {
  const writer = new EventWriter();
  writer.pass(1);
  for (let i = 0; i < count; i++) writer.register();
  writer.passTo(epochStart(NETWORK, epoch) + R);
  const fold = foldOf(writer.events);
  fold.passTime(writer.now);
  return { writer, fold };
}

const viewOf = (fold: ChainFold, epoch: number) =>
  fold.views.find((view) => view.epoch === epoch) as EpochView;
const textOf = (fold: ChainFold) => encodeSnapshot(NETWORK, fold.state());

describe('memberships', () => {
  test('begin two epochs after the registration', () => {
    const { fold } = networkOf(3);
    expect([0, 1, 2, 3].map((epoch) => viewOf(fold, epoch).memberIds.length)).toEqual([0, 0, 3, 3]);
    expect(fold.records[0]).toMatchObject({
      nodeId: 1,
      state: 'active',
      from: 2,
      until: INFINITE_EPOCH,
      valid: true,
    });
    expect([1, 2].map((epoch) => viewOf(fold, epoch).slotCount)).toEqual([0, 3]);
  });

  test('end with the epoch of a decommission, and begin anew two after a recommission', () => {
    const { writer, fold } = networkOf(12);
    const from = writer.events.length;
    writer.pass(1);
    writer.decommission(5);
    writer.passTo(epochStart(NETWORK, 5) + R);
    writer.recommission(5);
    writer.passTo(epochStart(NETWORK, 8) + R);
    foldOf(writer.events.slice(from), fold).passTime(writer.now);
    const isMember = (epoch: number) => viewOf(fold, epoch).memberIds.includes(5);
    expect([3, 4, 5, 6, 7, 8].map(isMember)).toEqual([true, false, false, false, true, true]);
    const holds = (epoch: number) =>
      [...viewOf(fold, epoch).swarms.values()].flat().includes(fold.records[4]?.ed25519Hex ?? '');
    expect([3, 4, 6, 7].map(holds)).toEqual([true, false, false, true]);
  });

  test('earn credit while active and pay for downtime', () => {
    const { writer, fold } = networkOf(12);
    const record = () => fold.records[4];
    const from = writer.events.length;
    writer.pass(1);
    const active = writer.now - (record()?.activeSince ?? 0);
    writer.decommission(5);
    foldOf(writer.events.slice(from), fold);
    const credit = 60 + Math.floor(active / 30);
    expect(record()).toMatchObject({
      state: 'decommissioned',
      credit,
      decommissionedAt: writer.now,
      stateNonce: 1,
    });
    const next = writer.events.length;
    writer.passTo(epochStart(NETWORK, 5) + R);
    writer.recommission(5);
    foldOf(writer.events.slice(next), fold);
    const downtime = writer.now - (record()?.decommissionedAt ?? 0);
    expect(downtime).toBeGreaterThan(40);
    expect(record()).toMatchObject({
      state: 'active',
      credit: Math.max(0, credit - 2 * downtime),
      stateNonce: 2,
    });
  });
});

describe('validity', () => {
  test('a registration that its identity key did not sign is in no swarm', () => {
    const writer = new EventWriter();
    writer.pass(1);
    for (let i = 0; i < 6; i++) writer.register({ validSignature: i !== 2 });
    writer.passTo(epochStart(NETWORK, 2) + R);
    const fold = foldOf(writer.events);
    fold.passTime(writer.now);
    expect(fold.records[2]?.valid).toBe(false);
    expect(viewOf(fold, 2).memberIds).toEqual([1, 2, 4, 5, 6]);
    // It has its place in draws all the same: the contract does not know.
    expect(viewOf(fold, 2).slotCount).toBe(6);
  });

  test('of two with one key the earlier counts, until it is gone and the key registers again', () => {
    const writer = new EventWriter();
    const seed = new Uint8Array(32).fill(7);
    writer.pass(1);
    writer.register({ seed });
    writer.register({ seed });
    writer.register({ seed: new Uint8Array(32).fill(8), validSignature: false });
    writer.register({ seed: new Uint8Array(32).fill(8) });
    writer.passTo(epochStart(NETWORK, 3) + R);
    writer.decommission(1);
    // Suspended is not gone.
    writer.register({ seed });
    writer.passTo(epochStart(NETWORK, 6));
    writer.deregister(1);
    writer.register({ seed });
    const fold = foldOf(writer.events);
    // A registration without the key's own signature takes nothing from its owner.
    expect(fold.records.map((record) => record.valid)).toEqual([true, false, false, true, false, true]);
    expect(fold.records[5]?.ed25519Hex).toBe(keyOf(seed));
  });
});

describe('seeds', () => {
  test('follow reveals, and skips when nobody revealed', () => {
    const { writer } = networkOf(5, 2);
    for (const epoch of [3, 4, 7]) {
      writer.passTo(epochStart(NETWORK, epoch) + 1);
      expect(writer.reveal()).toBe(true);
    }
    writer.passTo(epochStart(NETWORK, 9) + R);
    const fold = foldOf(writer.events);
    fold.passTime(writer.now);
    const genesis = genesisSeed(NETWORK.chainId, NETWORK.registry);
    expect(hexOf(viewOf(fold, 2).seed)).toBe(hexOf(skippedSeed(genesis, 0, 2)));
    expect(hexOf(viewOf(fold, 6).seed)).toBe(hexOf(skippedSeed(viewOf(fold, 4).seed, 4, 6)));
    expect(fold.views.filter((view) => view.revealed).map((view) => view.epoch)).toEqual([3, 4, 7]);
    const missed = fold.views.filter((view) => view.proposerId !== undefined && !view.revealed);
    expect(missed.map((view) => view.epoch)).toEqual([2, 5, 6, 8, 9]);
    const counted = fold.records.reduce((sum, record) => sum + record.missedTurns, 0);
    expect(counted).toBeGreaterThan(0);
  });

  test('turns are missed only while others reveal: a network that was switched off blames nobody', () => {
    const { writer } = networkOf(5, 2);
    writer.passTo(epochStart(NETWORK, 3) + 1);
    expect(writer.reveal()).toBe(true);
    const fold = foldOf(writer.events);
    fold.passTime(epochStart(NETWORK, 5) + R);
    const missed = () => fold.records.reduce((sum, record) => sum + record.missedTurns, 0);
    const atFirst = missed();
    expect(atFirst).toBeGreaterThanOrEqual(2);
    // Five nodes would have had some forty turns each.
    fold.passTime(epochStart(NETWORK, 205) + R);
    expect(missed()).toBe(atFirst);
  });

  test('an epoch is closed at the end of its window, not a second before', () => {
    const fold = newFold();
    fold.passTime(epochStart(NETWORK, 4) + R - 1);
    expect(fold.views.at(-1)?.epoch).toBe(3);
    fold.passTime(epochStart(NETWORK, 4) + R);
    expect(fold.views.at(-1)?.epoch).toBe(4);
  });
});

describe('events that no registry emits', () => {
  const { writer } = networkOf(6, 2);
  writer.passTo(epochStart(NETWORK, 3) + 1);
  writer.reveal();
  writer.pass(R);
  writer.decommission(2);
  const { events } = writer;
  const refuses = (list: readonly ChainEvent[]) => {
    expect(() => foldOf(list)).toThrowError(
      expect.objectContaining({ name: 'ChainError', code: 'inconsistent' }),
    );
  };

  test('missing registrations, places in the table and states are noticed', () => {
    refuses(events.filter((event) => !(event.type === 'registered' && event.nodeId === 3)));
    refuses(events.filter((event) => !(event.type === 'membership' && event.nodeId === 3)));
    const [state] = events.filter((event) => event.type === 'state');
    refuses([...events, { ...(state as ChainEvent), block: 99, logIndex: 0 }]);
  });

  test('a made-up reveal', () => {
    const at = events.findIndex((event) => event.type === 'seed');
    const seed = events[at] as ChainEvent & { type: 'seed' };
    for (const change of [
      { seed: `0x${'11'.repeat(32)}` as const },
      { preimage: `0x${'11'.repeat(32)}` as const },
      { nodeId: (seed.nodeId % 6) + 1 },
      { epoch: seed.epoch + 1 },
    ]) {
      refuses(events.with(at, { ...seed, ...change }));
    }
  });

  test('out of order, twice, or after a leap of ages', () => {
    refuses([events[1] as ChainEvent, events[0] as ChainEvent]);
    refuses([events[0] as ChainEvent, events[0] as ChainEvent]);
    refuses([{ ...(events[0] as ChainEvent), timestamp: 2 ** 40 }]);
  });
});

/** A few things that happen to a network, in any order. */
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('pass' as const), seconds: fc.integer({ min: 1, max: 40 }) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('register' as const), seconds: fc.nat(9) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('decommission' as const, 'recommission' as const, 'deregister' as const),
      seconds: fc.nat(60),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('reveal' as const), seconds: fc.nat(1) }) },
);

function history(steps: readonly { kind: string; seconds: number }[], start: number): EventWriter {
  const writer = new EventWriter();
  writer.pass(1);
  for (let i = 0; i < start; i++) writer.register();
  for (const { kind, seconds } of steps) {
    if (kind === 'pass') writer.pass(seconds);
    else if (kind === 'register')
      for (let i = 0; i <= seconds / 3; i++) writer.register({ validSignature: seconds !== 1 });
    else if (kind === 'reveal') {
      writer.passTo(epochStart(NETWORK, writer.epoch + 1) + seconds);
      writer.reveal();
    } else if (writer.nodes.length > 0) {
      const nodeId = 1 + (seconds % writer.nodes.length);
      if (kind === 'decommission') writer.decommission(nodeId);
      else if (kind === 'recommission') writer.recommission(nodeId);
      else writer.deregister(nodeId);
    }
  }
  writer.passTo(epochStart(NETWORK, writer.epoch + 1) + R);
  return writer;
}

describe('whatever happens', () => {
  const histories = fc.tuple(fc.array(step, { maxLength: 40 }), fc.integer({ min: 0, max: 30 }));

  test('each member is in one swarm, nobody else is, and of several swarms none is small', () => {
    fc.assert(
      fc.property(histories, ([steps, start]) => {
        const writer = history(steps, start);
        const fold = foldOf(writer.events);
        fold.passTime(writer.now);
        for (const view of fold.views) {
          const members = view.memberIds.map((id) => fold.records[id - 1]?.ed25519Hex).sort();
          expect([...view.swarms.values()].flat().sort()).toEqual(members);
          if (view.swarms.size > 1) {
            for (const keys of view.swarms.values()) expect(keys.length).toBeGreaterThanOrEqual(5);
          }
        }
      }),
      { numRuns: 40 },
    );
  });

  test('the fold from any snapshot, through a file, ends as the one from the beginning', () => {
    fc.assert(
      fc.property(histories, fc.nat(), ([steps, start], choice) => {
        const writer = history(steps, start);
        const whole = foldOf(writer.events);
        whole.passTime(writer.now);
        const snapshot = whole.snapshots[choice % Math.max(1, whole.snapshots.length)];
        if (snapshot === undefined) return;
        const restored = new ChainFold(NETWORK, parseSnapshot(NETWORK, encodeSnapshot(NETWORK, snapshot)));
        const later = writer.events.filter(
          ({ block, logIndex }) =>
            block > snapshot.cursor.block ||
            (block === snapshot.cursor.block && logIndex > snapshot.logIndex),
        );
        foldOf(later, restored).passTime(writer.now);
        expect(textOf(restored)).toBe(textOf(whole));
      }),
      { numRuns: 40 },
    );
  });

  test('rewound to any block and replayed it ends the same, and a fork changes nothing', () => {
    fc.assert(
      fc.property(histories, fc.nat(), ([steps, start], choice) => {
        const writer = history(steps, start);
        const fold = foldOf(writer.events);
        fold.passTime(writer.now);
        const expected = textOf(fold);
        const block = choice % (writer.block + 1);
        const fork = fold.fork();
        if (!fork.rewind(block)) return;
        expect(fork.cursor.block).toBeLessThanOrEqual(block);
        foldOf(
          writer.events.filter((event) => event.block > fork.cursor.block),
          fork,
        ).passTime(writer.now);
        expect(textOf(fork)).toBe(expected);
        expect(textOf(fold)).toBe(expected);
      }),
      { numRuns: 40 },
    );
  });

  test('time that passes in between, in whatever steps, changes nothing', () => {
    fc.assert(
      fc.property(histories, fc.infiniteStream(fc.nat(50)), ([steps, start], jumps) => {
        const writer = history(steps, start);
        const whole = foldOf(writer.events);
        whole.passTime(writer.now);
        const other = newFold();
        let time = NETWORK.t0;
        for (const event of writer.events) {
          for (const jump of jumps) {
            if (time + jump >= event.timestamp) break;
            time += jump + 1;
            other.passTime(time);
          }
          other.apply(event);
          time = event.timestamp;
        }
        other.passTime(writer.now);
        const digest = (fold: ChainFold) => fold.views.map((view) => hexOf(swarmMapDigest(view.swarms)));
        expect(digest(other)).toEqual(digest(whole));
        expect(textOf(other)).toBe(textOf(whole));
      }),
      { numRuns: 20 },
    );
  });
});

describe('a snapshot file', () => {
  const { fold } = networkOf(8);
  const text = textOf(fold);

  test('comes back as it was', () => {
    expect(encodeSnapshot(NETWORK, parseSnapshot(NETWORK, text))).toBe(text);
  });

  test('is refused when torn, changed, or of another network', () => {
    const isBad = expect.objectContaining({ code: 'bad_snapshot' });
    expect(() => parseSnapshot(NETWORK, '')).toThrowError(isBad);
    expect(() => parseSnapshot(NETWORK, text.slice(0, -9))).toThrowError(isBad);
    expect(() => parseSnapshot(NETWORK, text.replace('"valid":true', '"valid":false'))).toThrowError(isBad);
    expect(() => parseSnapshot({ ...NETWORK, chainId: 1 }, text)).toThrowError(isBad);
    expect(() => parseSnapshot(NETWORK, text)).not.toThrow();
  });
});

test('views and snapshots of the newest epochs are kept, no more', () => {
  const { writer, fold } = networkOf(5);
  for (let epoch = 4; epoch < 120; epoch++) {
    writer.passTo(epochStart(NETWORK, epoch) + 20);
    const from = writer.events.length;
    writer.changeVotingKey(1 + (epoch % 5), `0x${epoch.toString(16).padStart(40, '0')}`);
    foldOf(writer.events.slice(from), fold);
  }
  expect(fold.views.length).toBe(KEPT_EPOCHS);
  expect(fold.snapshots.length).toBe(KEPT_EPOCHS);
  expect(fold.rewind(10)).toBe(false);
  expect(fold.rewind(writer.block - 3)).toBe(true);
});
