// SPDX-License-Identifier: MIT
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { type EpochView, epochStart } from '../src/chain-view.ts';
import { ChainFollower, type FollowerOptions } from '../src/follower.ts';
import { hexOf } from '../src/packed.ts';
import type { SnapshotStore } from '../src/snapshot-keeper.ts';
import { EventWriter, NETWORK } from './support/event-writer.ts';
import { FakeEndpoint } from './support/fake-endpoint.ts';
import { FrozenClock, testEnv } from './support/test-clock.ts';

const R = NETWORK.revealSeconds;
const CONFIRM = 1;

/** A network of so many nodes, at the moment at which the epoch comes into force. */
function networkOf(count: number, epoch = 3): EventWriter {
  const writer = new EventWriter();
  writer.pass(1);
  for (let i = 0; i < count; i++) writer.register();
  for (let e = 2; e <= epoch; e++) {
    writer.passTo(epochStart(NETWORK, e) + 1);
    writer.reveal();
  }
  writer.passTo(epochStart(NETWORK, epoch) + R + CONFIRM);
  return writer;
}

/** A follower on a clock that goes with the chain, polled by hand. */
function follow(
  writer: EventWriter,
  endpoints: readonly FakeEndpoint[],
  options: Partial<FollowerOptions> = {},
) {
  const clock = new FrozenClock(writer.now);
  const { env, lines } = testEnv(clock);
  const urls = endpoints.map((endpoint) => endpoint.url);
  const follower = new ChainFollower(
    { network: NETWORK, endpoints: urls, requestTimeoutMs: 2000, ...options },
    env,
  );
  const turn = async () => {
    clock.seconds++;
    clock.tick();
    while (!clock.isWaitedFor) await sleep(1);
  };
  const start = async () => {
    const started = follower.start();
    started.catch(() => {});
    while (!clock.isWaitedFor) await sleep(1);
    return started;
  };
  /** Moves the chain, and our clock with it, and polls. */
  const passTo = async (seconds: number, sleeping = false) => {
    if (!sleeping) writer.passTo(seconds);
    clock.seconds = Math.max(clock.seconds, seconds - 1);
    await turn();
  };
  const says = (words: string) => lines.some(({ sentence }) => sentence.includes(words));
  return { follower, clock, lines, turn, start, passTo, says };
}

/** Everything that others see, to be compared. */
function sightOf(follower: ChainFollower) {
  const view = follower.epochView() as EpochView;
  return {
    epoch: view.epoch,
    seed: hexOf(view.seed),
    swarms: [...view.swarms],
    members: view.memberIds,
    nodes: [...follower.nodes().values()],
    quorum: follower.quorumOf(1, view.epoch),
  };
}

describe('following', () => {
  test('shows members, swarms, quorums and proposers of the epoch in force', async () => {
    const writer = networkOf(14);
    await using endpoint = await FakeEndpoint.open(writer);
    const { follower, start } = follow(writer, [endpoint]);
    await start();
    const view = follower.epochView();
    expect(view).toMatchObject({ epoch: 3, slotCount: 14, revealed: true });
    expect(view?.swarms.size).toBe(2);
    expect(follower.nodes().size).toBe(14);
    expect(follower.nodeByEd25519(follower.nodes().get(7)?.ed25519Hex ?? '')?.nodeId).toBe(7);
    const quorum = follower.quorumOf(5, 3);
    expect(quorum?.members.length).toBe(10);
    expect(quorum?.threshold).toBe(7);
    expect(
      quorum?.members.every(({ nodeId, votingKey }) => follower.nodes().get(nodeId)?.votingKey === votingKey),
    ).toBe(true);
    expect(follower.quorumOf(5, 4)).toBeUndefined();
    expect(follower.quorumOf(99, 3)).toBeUndefined();
    expect(follower.proposerOf(4)).toBeDefined();
    expect(follower.proposerOf(5)).toBeUndefined();
    expect(follower.isFresh()).toBe(true);
    expect(Number(follower.head()?.number)).toBe(writer.block);
    expect((await follower.blockAt(2n))?.hash).toBe(endpoint.hashOf(2));
    expect(await follower.blockAt(9999n)).toBeUndefined();
    await follower.stop();
  });

  test('brings an epoch into force at start + R + confirm, also when no block is made then', async () => {
    const writer = networkOf(6);
    await using endpoint = await FakeEndpoint.open(writer);
    const { follower, start, passTo } = follow(writer, [endpoint]);
    const seen: number[] = [];
    follower.onEpoch((next) => seen.push(next.epoch));
    await start();
    await passTo(epochStart(NETWORK, 4));
    await passTo(epochStart(NETWORK, 4) + R + CONFIRM - 1, true);
    expect(follower.epochView()?.epoch).toBe(3);
    // Its proposer is known from the start of the epoch on.
    expect(follower.proposerOf(4)).toBeDefined();
    await passTo(epochStart(NETWORK, 4) + R + CONFIRM, true);
    expect(follower.epochView()?.epoch).toBe(4);
    expect(follower.previousEpochView()?.epoch).toBe(3);
    expect(seen).toEqual([3, 4]);
    await follower.stop();
  });

  test('stands still with a chain that stands still, and is not fresh', async () => {
    const writer = networkOf(6);
    await using endpoint = await FakeEndpoint.open(writer);
    const { follower, start, passTo } = follow(writer, [endpoint]);
    await start();
    await passTo(writer.now + 3600, true);
    expect(follower.isFresh()).toBe(false);
    expect(follower.epochView()?.epoch).toBe(3);
    await follower.stop();
  });

  test('tells of changed records, once', async () => {
    const writer = networkOf(6);
    await using endpoint = await FakeEndpoint.open(writer);
    const { follower, start, passTo } = follow(writer, [endpoint]);
    let changes = 0;
    follower.onNodes(() => changes++);
    await start();
    expect(changes).toBe(1);
    writer.pass(1);
    writer.decommission(2);
    await passTo(writer.now + 1);
    await passTo(writer.now + 1);
    expect(changes).toBe(2);
    expect(follower.nodes().get(2)?.state).toBe('decommissioned');
    // Within the epoch it stays where it is.
    expect(follower.epochView()?.memberIds).toContain(2);
    await follower.stop();
  });

  test('a safe block is known from the first reading on, and is older than the newest by `confirm`', async () => {
    const writer = networkOf(6);
    for (let n = 0; n < 3; n++) writer.pass(0);
    await using endpoint = await FakeEndpoint.open(writer);
    const { follower, start, passTo } = follow(writer, [endpoint]);
    expect(follower.safeHead()).toBeUndefined();
    await start();
    for (let n = 0; n < 3; n++) {
      const [head, safe] = [follower.head(), follower.safeHead()];
      expect(safe?.timestamp).toBeLessThanOrEqual((head?.timestamp ?? 0) - CONFIRM);
      expect(safe?.hash).toBe(endpoint.hashOf(Number(safe?.number)));
      await passTo(writer.now + 2);
    }
    // A branch that lost leaves nothing behind.
    const known = Number(follower.safeHead()?.number);
    endpoint.branchFrom = known;
    await passTo(writer.now + 2);
    const safe = follower.safeHead();
    expect(safe?.hash).toBe(endpoint.hashOf(Number(safe?.number)));
    await follower.stop();
  });

  test('tells the minimum version that governance announced last, also after a restart and a reorganisation', async () => {
    const writer = networkOf(6);
    await using endpoint = await FakeEndpoint.open(writer);
    const { follower, start, passTo } = follow(writer, [endpoint]);
    await start();
    expect(follower.minimumVersion()).toBeUndefined();
    writer.pass(1);
    writer.emit({ type: 'minimumVersion', version: [1, 4, 0] });
    writer.emit({ type: 'minimumVersion', version: [1, 2, 3] });
    const announced = writer.block;
    await passTo(epochStart(NETWORK, 5) + R + CONFIRM);
    expect(follower.minimumVersion()).toEqual([1, 2, 3]);
    const snapshots: SnapshotStore & { text?: string } = {
      load: async () => snapshots.text,
      save: async (text) => {
        snapshots.text = text;
      },
    };
    const other = follow(writer, [endpoint], { snapshots });
    await other.start();
    await other.follower.stop();
    expect(snapshots.text).toContain('"minimumVersion":[1,2,3]');
    endpoint.requests.length = 0;
    const restarted = follow(writer, [endpoint], { snapshots });
    await restarted.start();
    expect(restarted.follower.minimumVersion()).toEqual([1, 2, 3]);
    await restarted.follower.stop();
    writer.events.splice(
      writer.events.findIndex((event) => event.type === 'minimumVersion'),
      2,
    );
    endpoint.branchFrom = announced;
    await passTo(writer.now + 1);
    expect(follower.minimumVersion()).toBeUndefined();
    await follower.stop();
  });

  test('halves ranges that an endpoint refuses, and asks for times that logs do not tell', async () => {
    const writer = networkOf(40, 5);
    await using whole = await FakeEndpoint.open(writer);
    await using picky = await FakeEndpoint.open(writer);
    picky.maxLogs = 82;
    picky.tellsTimes = false;
    const first = follow(writer, [whole]);
    const second = follow(writer, [picky]);
    await first.start();
    await second.start();
    expect(sightOf(second.follower)).toEqual(sightOf(first.follower));
    expect(picky.count('eth_getLogs')).toBeGreaterThan(2);
    expect(whole.count('eth_getLogs')).toBe(1);
    await first.follower.stop();
    await second.follower.stop();
  });

  test('starts and stops twice', async () => {
    const writer = networkOf(5);
    await using endpoint = await FakeEndpoint.open(writer);
    const { follower, start } = follow(writer, [endpoint]);
    await start();
    await follower.stop();
    await follower.stop();
    await start();
    expect(follower.isFresh()).toBe(true);
    await follower.stop();
  });
});

describe('a snapshot', () => {
  function memory(): SnapshotStore & { text: string | undefined } {
    const store = {
      text: undefined as string | undefined,
      load: async () => store.text,
      save: async (text: string) => {
        store.text = text;
      },
    };
    return store;
  }

  test('shortens the way after a restart, and shows the network before any endpoint answers', async () => {
    const writer = networkOf(12, 6);
    await using endpoint = await FakeEndpoint.open(writer);
    const snapshots = memory();
    const first = follow(writer, [endpoint], { snapshots });
    await first.start();
    await first.follower.stop();
    expect(snapshots.text).toBeDefined();

    endpoint.isDown = true;
    const second = follow(writer, [endpoint], { snapshots });
    void second.start().catch(() => {});
    await expect.poll(() => second.follower.nodes().size).toBe(12);
    expect(second.follower.epochView()?.memberIds.length).toBe(12);
    expect(second.follower.isFresh()).toBe(false);
    endpoint.isDown = false;
    endpoint.requests.length = 0;
    while (!second.clock.isWaitedFor) await sleep(1);
    await second.turn();
    expect(sightOf(second.follower)).toEqual(sightOf(first.follower));
    const logs = endpoint.requests.find(({ method }) => method === 'eth_getLogs');
    expect(logs?.params[0]).toMatchObject({ fromBlock: expect.not.stringMatching(/^0x[0-3]$/) });
    await second.follower.stop();
  });

  test('that is torn, or ends in a block that was replaced, costs a complete reading and nothing else', async () => {
    const writer = networkOf(12, 6);
    await using endpoint = await FakeEndpoint.open(writer);
    const snapshots = memory();
    const first = follow(writer, [endpoint], { snapshots });
    await first.start();
    await first.follower.stop();
    const torn = follow(writer, [endpoint], { snapshots: { ...snapshots, load: async () => 'torn' } });
    await torn.start();
    expect(torn.says('snapshot of the chain is of no use')).toBe(true);
    endpoint.branchFrom = 2;
    const replaced = follow(writer, [endpoint], { snapshots });
    await replaced.start();
    for (const { follower } of [torn, replaced]) {
      expect(sightOf(follower)).toEqual(sightOf(first.follower));
      await follower.stop();
    }
  });
});

describe('reorganisations', () => {
  test('of the newest blocks are followed: the other branch counts', async () => {
    const writer = networkOf(8, 4);
    await using endpoint = await FakeEndpoint.open(writer);
    const { follower, start, passTo, says } = follow(writer, [endpoint]);
    writer.pass(1);
    writer.decommission(3);
    const gone = writer.block;
    await start();
    await passTo(writer.now + 1);
    expect(follower.nodes().get(3)?.state).toBe('decommissioned');
    // On the other branch it was never voted out.
    writer.events.splice(
      writer.events.findIndex((event) => event.block === gone),
      2,
    );
    endpoint.branchFrom = gone;
    await passTo(writer.now + 1);
    expect(says('reorganised')).toBe(true);
    expect(follower.nodes().get(3)?.state).toBe('active');
    expect(follower.head()?.hash).toBe(endpoint.hashOf(writer.block));
    await follower.stop();
  });

  test('across the border of an epoch change the view in force, and say so', async () => {
    const writer = networkOf(8, 4);
    await using endpoint = await FakeEndpoint.open(writer);
    const { follower, start, passTo } = follow(writer, [endpoint]);
    await start();
    const changes: [number, string][] = [];
    follower.onEpoch((next) => changes.push([next.epoch, hexOf(next.seed)]));
    await passTo(epochStart(NETWORK, 5) + 1);
    writer.pass(1);
    writer.reveal();
    const revealed = writer.block;
    await passTo(epochStart(NETWORK, 5) + R + CONFIRM);
    expect(follower.epochView()).toMatchObject({ epoch: 5, revealed: true });
    // The branch that won lacks the reveal.
    writer.events.splice(
      writer.events.findIndex((event) => event.block === revealed),
      1,
    );
    endpoint.branchFrom = revealed;
    await passTo(writer.now + 1);
    expect(follower.epochView()).toMatchObject({ epoch: 5, revealed: false });
    expect(changes.map(([epoch]) => epoch)).toEqual([5, 5]);
    expect(changes[0]?.[1]).not.toBe(changes[1]?.[1]);
    // As if it had never been otherwise.
    const late = follow(writer, [endpoint]);
    await late.start();
    expect(sightOf(late.follower)).toEqual(sightOf(follower));
    await late.follower.stop();
    await follower.stop();
  });

  test('of everything read so far', async () => {
    const writer = networkOf(8, 4);
    await using endpoint = await FakeEndpoint.open(writer);
    const { follower, start, passTo } = follow(writer, [endpoint]);
    await start();
    const before = sightOf(follower);
    endpoint.branchFrom = 1;
    await passTo(writer.now + 1);
    expect(sightOf(follower)).toEqual(before);
    expect(follower.head()?.hash).toBe(endpoint.hashOf(writer.block));
    await follower.stop();
  });
});

describe('endpoints that fail', () => {
  test('down: another is read; all down: what is known stays, and is not fresh', async () => {
    const writer = networkOf(6);
    await using first = await FakeEndpoint.open(writer);
    await using second = await FakeEndpoint.open(writer);
    const { follower, start, passTo, turn, says } = follow(writer, [first, second]);
    await start();
    first.isDown = true;
    await passTo(writer.now + 1);
    await turn();
    expect(Number(follower.head()?.number)).toBe(writer.block);
    expect(says('the next one is read')).toBe(true);
    second.isDown = true;
    await passTo(writer.now + 60);
    await turn();
    expect(follower.isFresh()).toBe(false);
    expect(follower.epochView()?.epoch).toBe(3);
    expect(follower.nodes().size).toBe(6);
    second.isDown = false;
    await turn();
    await turn();
    expect(follower.isFresh()).toBe(true);
    expect(says('can be read again')).toBe(true);
    await follower.stop();
  });

  test('of the future: not read, not turned to, and said in words', async () => {
    const writer = networkOf(6);
    const dreamt = networkOf(6);
    await using honest = await FakeEndpoint.open(writer);
    await using liar = await FakeEndpoint.open(dreamt);
    const { follower, start, passTo, turn, says } = follow(writer, [honest, liar]);
    await start();
    dreamt.passTo(epochStart(NETWORK, 40));
    for (let n = 0; n < 4; n++) await passTo(writer.now + 6);
    expect(says('another one is read')).toBe(false);
    expect(Number(follower.head()?.number)).toBe(writer.block);
    // The honest one fails for a while.
    honest.isDown = true;
    for (let n = 0; n < 3; n++) await turn();
    expect(follower.epochView()?.epoch).toBeLessThan(6);
    expect(follower.isFresh()).toBe(true);
    honest.isDown = false;
    await follower.stop();

    const alone = follow(writer, [liar]);
    void alone.start().catch(() => {});
    while (!alone.lines.some(({ fields }) => /ahead of the clock/.test(String(fields.reason))))
      await sleep(1);
    expect(alone.follower.epochView()).toBeUndefined();
    expect(alone.follower.isFresh()).toBe(false);
    await alone.follower.stop();
  });

  test('behind: the one that is ahead is read', async () => {
    const writer = networkOf(6);
    await using first = await FakeEndpoint.open(writer);
    await using second = await FakeEndpoint.open(writer);
    const { follower, start, passTo, says } = follow(writer, [first, second]);
    await start();
    writer.passTo(writer.now + 6);
    first.lag = 1;
    await passTo(writer.now + 6);
    first.lag = 2;
    await passTo(writer.now + 6);
    expect(says('is behind; another one is read')).toBe(true);
    await passTo(writer.now + 6);
    expect(Number(follower.head()?.number)).toBe(writer.block);
    await follower.stop();
  });

  test('of another chain, or without the registry: refused in words', async () => {
    const writer = networkOf(6);
    await using endpoint = await FakeEndpoint.open(writer);
    endpoint.chainId = 1;
    const other = follow(writer, [endpoint]);
    await expect(other.follower.start()).rejects.toMatchObject({
      code: 'wrong_chain',
      message: expect.stringContaining('serves chain 1, not 31337'),
    });
    endpoint.chainId = 31337;
    const { network, ...rest } = { network: { ...NETWORK, t0: NETWORK.t0 + 1 } };
    const stranger = follow(writer, [endpoint], { network, ...rest });
    await expect(stranger.follower.start()).rejects.toMatchObject({
      code: 'wrong_chain',
      message: expect.stringContaining('has no registry of this network'),
    });
    await other.follower.stop();
    await stranger.follower.stop();
  });

  test.each([
    ['no JSON', '<html>502</html>'],
    ['an empty answer', ''],
    ['another shape', '{"jsonrpc":"2.0","id":1,"result":{"number":"x"}}'],
    ['an answer to nothing', '{"jsonrpc":"2.0","id":987654,"result":"0x1"}'],
    ['deep nesting', '['.repeat(100_000)],
  ])('garbage (%s): nothing is believed, the next is read', async (_, answer) => {
    const writer = networkOf(6);
    await using first = await FakeEndpoint.open(writer);
    await using second = await FakeEndpoint.open(writer);
    const { follower, start, passTo, turn, lines } = follow(writer, [first, second]);
    await start();
    first.answer = answer;
    await passTo(writer.now + 1);
    await turn();
    expect(Number(follower.head()?.number)).toBe(writer.block);
    expect(lines.some(({ fields }) => fields.code === 'bad_answer')).toBe(true);
    await follower.stop();
  });

  test('huge answers are cut off', async () => {
    const writer = networkOf(6);
    await using endpoint = await FakeEndpoint.open(writer);
    const { follower, start, turn, lines } = follow(writer, [endpoint], { requestTimeoutMs: 20_000 });
    await start();
    endpoint.answer = `"${'x'.repeat(33 * 1024 * 1024)}"`;
    await turn();
    expect(lines.some(({ fields }) => fields.code === 'too_large')).toBe(true);
    await follower.stop();
  });

  test('events left out: noticed by what follows, and read anew', async () => {
    const writer = networkOf(6);
    await using endpoint = await FakeEndpoint.open(writer);
    // The third registration.
    endpoint.falsify = (logs) => logs.filter((_, index) => index !== 4);
    const { follower, clock, turn, lines, start } = follow(writer, [endpoint]);
    void start();
    while (!clock.isWaitedFor) await sleep(1);
    expect(lines.some(({ fields }) => fields.code === 'inconsistent')).toBe(true);
    expect(follower.epochView()).toBeUndefined();
    endpoint.falsify = (logs) => logs;
    await turn();
    expect(follower.nodes().size).toBe(6);
    await follower.stop();
  });

  test('newest events told late: noticed at the next comparison, also with one endpoint', async () => {
    const writer = networkOf(6);
    await using endpoint = await FakeEndpoint.open(writer);
    const { follower, start, passTo, turn, says } = follow(writer, [endpoint]);
    await start();
    await passTo(writer.now + 6);
    writer.pass(1);
    writer.changeVotingKey(2, `0x${'ab'.repeat(20)}`);
    endpoint.falsify = () => [];
    await passTo(writer.now + 1);
    expect(follower.nodes().get(2)?.votingKey).not.toBe(`0x${'ab'.repeat(20)}`);
    endpoint.falsify = (logs) => logs;
    await passTo(writer.now + 6);
    expect(says('tells other events than before')).toBe(true);
    await turn();
    expect(follower.nodes().get(2)?.votingKey).toBe(`0x${'ab'.repeat(20)}`);
    await follower.stop();
  });
});

describe('endpoints that contradict each other', () => {
  test('two: nobody is believed until they agree', async () => {
    const writer = networkOf(6);
    await using honest = await FakeEndpoint.open(writer);
    await using liar = await FakeEndpoint.open(writer);
    const { follower, start, passTo, turn, lines, says } = follow(writer, [honest, liar]);
    await start();
    expect(follower.isFresh()).toBe(true);
    writer.pass(1);
    writer.changeVotingKey(2, `0x${'ab'.repeat(20)}`);
    liar.falsify = (logs) => logs.slice(0, -1);
    await passTo(writer.now + 6);
    // Might be a reorganisation that one of them has not seen.
    expect(follower.isFresh()).toBe(true);
    for (let n = 0; n < 3; n++) await turn();
    expect(follower.isFresh()).toBe(false);
    const [complaint] = lines.filter(({ level }) => level === 'error');
    expect(complaint?.sentence).toContain('contradict each other');
    liar.falsify = (logs) => logs;
    await passTo(writer.now + 1);
    expect(follower.isFresh()).toBe(true);
    expect(says('agree again')).toBe(true);
    await follower.stop();
  });

  test('two, about a block', async () => {
    const writer = networkOf(6);
    await using one = await FakeEndpoint.open(writer);
    await using other = await FakeEndpoint.open(writer);
    other.branchFrom = 3;
    const { follower, start, turn, passTo } = follow(writer, [one, other]);
    await start();
    await passTo(writer.now + 6);
    for (let n = 0; n < 3; n++) await turn();
    expect(follower.isFresh()).toBe(false);
    await follower.stop();
  });

  test('three: the majority is believed', async () => {
    const writer = networkOf(6);
    await using liar = await FakeEndpoint.open(writer);
    await using second = await FakeEndpoint.open(writer);
    await using third = await FakeEndpoint.open(writer);
    const { follower, start, passTo, turn, says } = follow(writer, [liar, second, third]);
    await start();
    writer.pass(1);
    writer.changeVotingKey(2, `0x${'ab'.repeat(20)}`);
    liar.falsify = (logs) => logs.slice(0, -1);
    await passTo(writer.now + 6);
    for (let n = 0; n < 4; n++) await turn();
    expect(says('most chain endpoints contradict')).toBe(true);
    await turn();
    expect(follower.nodes().get(2)?.votingKey).toBe(`0x${'ab'.repeat(20)}`);
    expect(follower.isFresh()).toBe(true);
    await follower.stop();
  });
});

test('an address that is none is refused before anything is read', () => {
  const { env } = testEnv(new FrozenClock(0));
  const withUrl = (url: string) => () => new ChainFollower({ network: NETWORK, endpoints: [url] }, env);
  expect(withUrl('localhost:8545')).toThrowError(expect.objectContaining({ code: 'unreachable' }));
  expect(withUrl('ftp://example.org')).toThrowError(/http or https/);
  expect(() => new ChainFollower({ network: NETWORK, endpoints: [] }, env)).toThrowError(/no chain endpoint/);
});
