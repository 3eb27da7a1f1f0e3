// SPDX-License-Identifier: MIT
// The view, the draw, the votes and the transactions against the contract itself, on a development chain.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { StateAction, type StateChange, type Vote } from '../src/chain-view.ts';
import { ChainFollower } from '../src/follower.ts';
import { hexOf } from '../src/packed.ts';
import { VotingKeyWriter } from '../src/submit.ts';
import { domainSeparator, signDigest, voteDigest } from '../src/votes.ts';
import { AnvilNetwork } from './support/anvil-network.ts';
import { FrozenClock, realClock, testEnv } from './support/test-clock.ts';

let chain: AnvilNetwork;
let follower: ChainFollower;
let clock: FrozenClock;

beforeAll(async () => {
  chain = await AnvilNetwork.start();
  // A new network lets ten in per epoch.
  for (let n = 0; n < 10; n++) await chain.register(n !== 8);
  await chain.passToEpoch(1);
  for (let n = 10; n < 12; n++) await chain.register();
  clock = new FrozenClock(await chain.now());
  const { network, anvil } = chain;
  follower = new ChainFollower({ network, endpoints: [anvil.url] }, testEnv(clock).env);
  const started = follower.start();
  while (!clock.isWaitedFor) await sleep(1);
  await started;
});

afterAll(async () => {
  await follower?.stop();
  await chain?.anvil.stop();
});

/** Polls once more, at the time of the chain. */
async function follow(): Promise<void> {
  clock.seconds = await chain.now();
  clock.tick();
  while (!clock.isWaitedFor) await sleep(1);
}

/** Brings the epoch into force. */
async function enter(epoch: number): Promise<void> {
  await chain.passToEpoch(epoch, chain.network.revealSeconds + 1);
  await follow();
  expect(follower.epochView()?.epoch).toBe(epoch);
}

function decision(nodeId: number, action: StateAction, epoch: number): StateChange {
  const quorum = follower.quorumOf(nodeId, epoch);
  const stateNonce = follower.nodes().get(nodeId)?.stateNonce ?? 0;
  const domain = domainSeparator(chain.network.chainId, chain.network.registry);
  const votes = (quorum?.members ?? []).slice(0, quorum?.threshold).map(({ index, nodeId: voter }): Vote => {
    const reasons = 1 << (index % 3);
    const digest = voteDigest(domain, { nodeId, action, epoch, stateNonce, reasons });
    const secret = chain.nodes[voter - 1]?.votingSecret as Uint8Array;
    return { index, reasons, signature: signDigest(digest, secret) };
  });
  return { nodeId, action, epoch, stateNonce, votes };
}

function writerOf(nodeId: number, url = chain.anvil.url): VotingKeyWriter {
  const { network } = chain;
  const secretKey = chain.nodes[nodeId - 1]?.votingSecret as Uint8Array;
  const env = { ...testEnv(clock).env, clock: realClock };
  return new VotingKeyWriter({ network, endpoints: [url], secretKey, patienceMs: 200 }, env);
}

test('quorums and proposers are those that the registry draws', async () => {
  await enter(3);
  expect(follower.epochView()?.memberIds).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12]);
  expect(follower.nodes().get(9)).toMatchObject({ valid: false, state: 'active' });
  for (const { nodeId } of chain.nodes) {
    const [ids, keys, threshold] = await chain.read<[number[], string[], number]>('quorumOf', [nodeId, 3]);
    const quorum = follower.quorumOf(nodeId, 3);
    expect(quorum?.members.map((member) => member.nodeId)).toEqual(ids);
    expect(quorum?.members.map((member) => member.votingKey)).toEqual(keys.map((key) => key.toLowerCase()));
    expect(quorum?.threshold).toBe(threshold);
  }
  expect(follower.proposerOf(4)?.nodeId).toBe(await chain.read('proposerOf', [4]));
  expect(hexOf(follower.epochView()?.seed as Uint8Array)).toBe(await chain.read('seedOf', [3]));
});

test('a reveal moves the seed, once; a second one finds it there', async () => {
  await chain.passToEpoch(4);
  await follow();
  const proposer = follower.proposerOf(4)?.nodeId as number;
  const preimage = hexOf(chain.nodes[proposer - 1]?.links.at(-2) as Uint8Array);
  await using writer = writerAs(proposer);
  expect(await writer.reveal(preimage)).toMatchObject({ outcome: 'done' });
  await using other = writerAs(1 + (proposer % 12));
  expect(await other.reveal(preimage)).toEqual({ outcome: 'already' });
  await enter(4);
  expect(follower.epochView()).toMatchObject({ revealed: true, proposerId: proposer });
  expect(follower.nodes().get(proposer)?.beaconAnchor).toBe(preimage);
  expect(hexOf(follower.epochView()?.seed as Uint8Array)).toBe(await chain.read('seedOf', [4]));
  const late = await other.reveal(hexOf(new Uint8Array(32)));
  expect(late).toEqual({ outcome: 'already' });
});

test('a quorum suspends a node and takes it back; what was decided already is known as such', async () => {
  await enter(5);
  const change = decision(5, StateAction.decommission, 5);
  await using writer = writerAs(1);
  const before = await writer.balance();
  const short = { ...change, votes: change.votes.slice(1) };
  expect(await writer.submitStateChange(short)).toEqual({ outcome: 'refused', reason: 'too few votes' });
  expect(await writer.balance()).toBe(before);
  await using second = writerAs(2);
  const both = await Promise.all([writer.submitStateChange(change), second.submitStateChange(change)]);
  expect(both.map(({ outcome }) => outcome).sort()).toEqual(['already', 'done']);
  await follow();
  const suspended = follower.nodes().get(5);
  expect(suspended).toMatchObject({
    state: 'decommissioned',
    stateNonce: 1,
    until: 6,
    reasonsAny: 7,
    reasonsAll: 0,
  });
  const onChain = await chain.readLens<{ credit: number; decommissionedAt: number }>('node', [5]);
  expect(suspended).toMatchObject({ credit: onChain.credit, decommissionedAt: onChain.decommissionedAt });
  await enter(6);
  expect(follower.epochView()?.memberIds).not.toContain(5);
  expect(await writer.submitStateChange(decision(5, StateAction.recommission, 6))).toMatchObject({
    outcome: 'done',
  });
  await follow();
  const back = follower.nodes().get(5);
  expect(back).toMatchObject({ state: 'active', stateNonce: 2, from: 8 });
  expect(back?.credit).toBe((await chain.readLens<{ credit: number }>('node', [5])).credit);
  await enter(7);
  const [ids] = await chain.read<[number[]]>('quorumOf', [1, 7]);
  expect(follower.quorumOf(1, 7)?.members.map((member) => member.nodeId)).toEqual(ids);
  await enter(8);
  expect(follower.epochView()?.memberIds).toContain(5);
  expect(await chain.read('slotCountFor', [8])).toBe(follower.epochView()?.slotCount);
});

test('a transaction whose answer was lost is known as ours when it was mined', async () => {
  const lossy = createServer(async (request, response) => {
    const body = await new Response(request as never).text();
    const answer = await fetch(chain.anvil.url, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json' },
    });
    const text = await answer.text();
    if (body.includes('eth_sendRawTransaction')) request.socket.destroy();
    else response.setHeader('content-type', 'application/json').end(text);
  });
  await new Promise<void>((resolve) => lossy.listen(0, '127.0.0.1', resolve));
  try {
    const epoch = follower.epochView()?.epoch as number;
    const writer = writerOf(2, `http://127.0.0.1:${(lossy.address() as AddressInfo).port}`);
    const submitted = await writer.submitStateChange(decision(11, StateAction.decommission, epoch));
    expect(submitted).toMatchObject({ outcome: 'done', hash: expect.stringMatching(/^0x[0-9a-f]{64}$/) });
    await writer.stop();
  } finally {
    lossy.close();
  }
});

test('a reorganisation takes back what it undid', async () => {
  const epoch = follower.epochView()?.epoch as number;
  await using writer = writerAs(1);
  expect(await writer.submitStateChange(decision(6, StateAction.decommission, epoch))).toMatchObject({
    outcome: 'done',
  });
  await follow();
  expect(follower.nodes().get(6)?.state).toBe('decommissioned');
  await chain.test.request({ method: 'anvil_reorg', params: [2, []] } as never);
  await chain.test.mine({ blocks: 1 });
  await follow();
  await follow();
  expect(follower.nodes().get(6)?.state).toBe('active');
  expect(await chain.readLens('node', [6])).toMatchObject({ state: 2 });
});

test('a whole view read anew is the one that was followed', async () => {
  const { network, anvil } = chain;
  const late = new ChainFollower(
    { network, endpoints: [anvil.url] },
    testEnv(new FrozenClock(await chain.now())).env,
  );
  await follow();
  await late.start();
  expect([...late.nodes().values()]).toEqual([...follower.nodes().values()]);
  expect([...(late.epochView()?.swarms ?? [])]).toEqual([...(follower.epochView()?.swarms ?? [])]);
  await late.stop();
});

test('a transaction that is passed by is sent again with a higher price, and an empty purse is told', async () => {
  await chain.test.setAutomine(false);
  await using writer = writerAs(3);
  const asked = await chain.usualPrice();
  const sending = writer.poke(1);
  const prices = async () => {
    const { pending, queued } = await chain.test.getTxpoolContent();
    const waiting = [pending, queued].flatMap((pool) => Object.values(pool).flatMap(Object.values));
    return waiting.map(({ maxFeePerGas }) => BigInt(maxFeePerGas));
  };
  await expect.poll(async () => (await prices()).some((price) => price > asked)).toBe(true);
  await chain.test.setNextBlockTimestamp({ timestamp: BigInt((await chain.now()) + 1) });
  await chain.test.mine({ blocks: 1 });
  const sent = await sending;
  expect(sent).toMatchObject({ outcome: 'done' });
  expect(await chain.priceOf((sent as { hash: `0x${string}` }).hash)).toBeGreaterThan(asked);
  await chain.test.setAutomine(true);
  await chain.test.setBalance({ address: writer.address, value: 1000n });
  const empty = await writer.poke(1);
  expect(empty).toMatchObject({ outcome: 'failed', reason: expect.stringContaining('send it some') });
});

test('a reorganisation across the border of an epoch takes back its seed, its swarms and its quorums', async () => {
  const before = (follower.epochView()?.epoch as number) + 1;
  await enter(before);
  const point = await chain.test.snapshot();
  await using writer = writerAs(1);
  expect(await writer.submitStateChange(decision(7, StateAction.decommission, before))).toMatchObject({
    outcome: 'done',
  });
  const epoch = before + 1;
  await chain.passToEpoch(epoch);
  await follow();
  const proposer = follower.proposerOf(epoch)?.nodeId as number;
  const preimage = hexOf(chain.nodes[proposer - 1]?.links.at(-2) as Uint8Array);
  expect(await writer.reveal(preimage)).toMatchObject({ outcome: 'done' });
  await enter(epoch);
  const lost = follower.epochView();
  expect(lost).toMatchObject({ epoch, revealed: true });
  expect(lost?.memberIds).not.toContain(7);

  const told: (number | undefined)[][] = [];
  const cancel = follower.onEpoch((next, previous) => told.push([next.epoch, previous?.epoch]));
  await chain.test.revert({ id: point });
  await chain.passToEpoch(epoch, chain.network.revealSeconds + 1);
  // Longer than the branch that lost.
  await chain.test.mine({ blocks: 8 });
  for (let n = 0; n < 3; n++) await follow();
  cancel();
  expect(told).toContainEqual([epoch, epoch]);
  const view = follower.epochView();
  expect(view).toMatchObject({ epoch, revealed: false });
  expect(view?.memberIds).toContain(7);
  expect(hexOf(view?.seed as Uint8Array)).toBe(await chain.read('seedOf', [epoch]));
  expect(follower.nodes().get(7)).toMatchObject({ state: 'active', stateNonce: 0 });
  for (const nodeId of [1, 7]) {
    const [ids] = await chain.read<[number[]]>('quorumOf', [nodeId, epoch]);
    expect(follower.quorumOf(nodeId, epoch)?.members.map((member) => member.nodeId)).toEqual(ids);
  }
  // What the chain that lost had decided would be refused, what this one says is taken.
  expect(await writer.submitStateChange(decision(7, StateAction.decommission, epoch))).toMatchObject({
    outcome: 'done',
  });
  await follow();
  expect(follower.nodes().get(7)?.state).toBe('decommissioned');
});

function writerAs(nodeId: number): VotingKeyWriter & AsyncDisposable {
  const writer = writerOf(nodeId);
  return Object.assign(writer, { [Symbol.asyncDispose]: () => writer.stop() });
}
