// SPDX-License-Identifier: MIT
import { fromHex, toHex } from '@allium/protocol/bytes';
import { ed25519KeyPair } from '@allium/protocol/crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import vectors from '../../../vectors/chain-quorum.json' with { type: 'json' };
import { BeaconChain } from '../src/beacon-chain.ts';
import type { Hex, Slot, StateAction } from '../src/chain-view.ts';
import { beaconSeed, draw, drawProposer, quorumSeed, voteThreshold } from '../src/draw.ts';
import { bytesOf, hexOf, keccak256 } from '../src/packed.ts';
import { boundKey, registrationMessage, signRegistration } from '../src/registration.ts';
import { genesisSeed, revealedSeed, skippedSeed, swarmSeed } from '../src/seeds.ts';
import { domainSeparator, recoverSigner, signDigest, voteDigest, votingAddress } from '../src/votes.ts';

const chainId = vectors.chain_id;
const registry = vectors.registry.toLowerCase() as Hex;
const INFINITE = 2 ** 32 - 1;
const votingKey = `0x${'00'.repeat(20)}` as const;

const seedAt = (epoch: number) => bytesOf(vectors.seeds.find((seed) => seed.epoch === epoch)?.seed ?? '', 32);
const slotsOf = (slots: string | number[][], count: number): Slot[] =>
  typeof slots === 'string'
    ? Array.from({ length: count }, (_, index) => ({
        nodeId: index + 1,
        votingKey,
        from: 2,
        until: INFINITE,
      }))
    : slots.map(([nodeId, from, until]) => ({ nodeId, votingKey, from, until }) as Slot);

describe('seeds', () => {
  test.each(vectors.seeds)('of epoch $epoch by $kind', (vector) => {
    const { epoch } = vector;
    const computed =
      vector.kind === 'genesis'
        ? genesisSeed(chainId, registry)
        : vector.from_epoch === undefined
          ? revealedSeed(bytesOf(vector.previous_seed ?? '', 32), epoch, bytesOf(vector.preimage ?? '', 32))
          : skippedSeed(seedAt(vector.from_epoch), vector.from_epoch, epoch);
    expect(hexOf(computed)).toBe(vector.seed);
  });

  test.each(vectors.swarm_seeds)('of the swarms of epoch $epoch', (vector) => {
    expect(swarmSeed(bytesOf(vector.seed)).toString(16)).toBe(vector.swarm_seed);
  });
});

describe('draws', () => {
  test.each(vectors.quorums)('$name', (vector) => {
    const { epoch, target, want } = vector;
    const seed = quorumSeed(bytesOf(vector.seed, 32), target);
    expect(hexOf(seed)).toBe(vector.quorum_seed);
    const slots = slotsOf(vector.slots, vector.slot_count);
    const drawn = draw({ seed, slots, slotCount: vector.slot_count, epoch, skipNode: target, want });
    expect(drawn.members.map((slot) => slot.nodeId)).toEqual(vector.members);
    expect(drawn.draws).toBe(vector.draws);
    expect(drawn.places).toEqual(
      vector.visited_slots.filter((place) => vector.members.includes(slots[place]?.nodeId ?? 0)),
    );
    expect(voteThreshold(drawn.members.length, 3)).toBe(vector.threshold ?? undefined);
  });

  test.each(vectors.beacons)('proposer of epoch $epoch among $slot_count', (vector) => {
    const previous = bytesOf(vector.previous_seed, 32);
    expect(hexOf(beaconSeed(previous, vector.epoch))).toBe(vector.beacon_seed);
    const slots =
      vector.slot_count === 16
        ? vectors.quorums[0]?.slots
        : vectors.quorums.find((q) => q.slot_count === 1500)?.slots;
    const drawn = drawProposer(
      previous,
      vector.epoch,
      slotsOf(slots ?? '', vector.slot_count),
      vector.slot_count,
    );
    expect(drawn?.nodeId).toBe(vector.proposer);
  });

  test('take every eligible slot once, none else, never the target', () => {
    const slot = fc.record({ from: fc.nat(6), until: fc.nat(9) });
    fc.assert(
      fc.property(
        fc.array(slot, { maxLength: 40 }),
        fc.nat(45),
        fc.nat(45),
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        (intervals, count, skipNode, seed) => {
          const slots = intervals.map((interval, index) => ({ ...interval, votingKey, nodeId: index + 1 }));
          const slotCount = Math.min(count, slots.length);
          const eligible = slots
            .slice(0, slotCount)
            .filter(({ nodeId, from, until }) => from <= 5 && 5 < until && nodeId !== skipNode);
          const all = draw({ seed, slots, slotCount, epoch: 5, skipNode, want: 100 }).members;
          expect([...all].sort((a, b) => a.nodeId - b.nodeId)).toEqual(eligible);
          // A smaller draw is the beginning of a larger one.
          expect(draw({ seed, slots, slotCount, epoch: 5, skipNode, want: 3 }).members).toEqual(
            all.slice(0, 3),
          );
        },
      ),
    );
  });

  test('thresholds are two thirds and one', () => {
    const sizes = [3, 4, 5, 6, 7, 8, 9, 10, 20];
    expect(sizes.map((size) => voteThreshold(size, 3))).toEqual([3, 3, 4, 5, 5, 6, 7, 7, 14]);
    expect(voteThreshold(6, 7)).toBeUndefined();
  });
});

describe('votes', () => {
  const domain = domainSeparator(chainId, registry);

  test('domain separator', () => {
    expect(hexOf(domain)).toBe(vectors.eip712.domain_separator);
  });

  test.each(vectors.eip712.votes)('on node $message.nodeId, action $message.action', (vector) => {
    const vote = { ...vector.message, action: vector.message.action as StateAction };
    const digest = voteDigest(domain, vote);
    expect(hexOf(digest)).toBe(vector.digest);
    const secretKey = bytesOf(vector.private_key, 32);
    expect(votingAddress(secretKey)).toBe(vector.address.toLowerCase());
    const signature = signDigest(digest, secretKey);
    expect(hexOf(signature)).toBe(vector.r + vector.vs.slice(2));
    expect(recoverSigner(digest, signature)).toBe(vector.address.toLowerCase());
  });

  test('a changed reason, bit or parity names another signer or none', () => {
    const secretKey = keccak256(new Uint8Array(1));
    const vote = { nodeId: 1, action: 1, epoch: 4, stateNonce: 0, reasons: 1 } as const;
    const digest = voteDigest(domain, vote);
    const signature = signDigest(digest, secretKey);
    const signer = votingAddress(secretKey);
    expect(recoverSigner(voteDigest(domain, { ...vote, reasons: 3 }), signature)).not.toBe(signer);
    fc.assert(
      fc.property(fc.nat(511), (bit) => {
        const changed = Uint8Array.from(signature);
        changed[bit >> 3] = (changed[bit >> 3] as number) ^ (0x80 >> (bit & 7));
        expect(recoverSigner(digest, changed)).not.toBe(signer);
      }),
    );
  });

  test('s in the upper half is refused, as the contract does', () => {
    const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
    // With the parity bit taken off only values below 2^255 can stand there: this one is between n/2 and that.
    const high = (order >> 1n) + 1n;
    const digest = keccak256(Uint8Array.of(1));
    const r = signDigest(digest, keccak256(new Uint8Array(1))).subarray(0, 32);
    const upper = fromHex(toHex(r) + high.toString(16).padStart(64, '0'));
    expect(recoverSigner(digest, upper)).toBeUndefined();
    const lower = fromHex(toHex(r) + (order >> 1n).toString(16).padStart(64, '0'));
    expect(recoverSigner(digest, lower)).toMatch(/^0x[0-9a-f]{40}$/);
  });

  test('bytes that are no signature are no signer and no exception', () => {
    const digest = keccak256(new Uint8Array(2));
    expect(recoverSigner(digest, new Uint8Array(64))).toBeUndefined();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
        const signer = recoverSigner(digest, bytes);
        expect(signer === undefined || signer.length === 42).toBe(true);
      }),
    );
  });
});

describe('registration', () => {
  const vector = vectors.registration;
  const facts = {
    chainId,
    registry,
    operator: vector.operator as Hex,
    votingKey: vector.voting_key as Hex,
    beaconAnchor: vector.anchor as Hex,
  };
  const key = bytesOf(vector.ed25519_public_key, 32);

  test('message and signature', () => {
    const message = registrationMessage(facts);
    expect(message.length).toBe(138);
    expect(hexOf(message)).toBe(vector.message);
    const keys = ed25519KeyPair(bytesOf(vectors.beacon_chain.ed25519_seed, 32));
    expect(toHex(keys.publicKey)).toBe(toHex(key));
    expect(hexOf(signRegistration(facts, keys.secretKey))).toBe(vector.signature);
  });

  test('is bound to operator, voting key, anchor, chain and contract', () => {
    const signature = bytesOf(vector.signature, 64);
    const other = `0x${'11'.repeat(20)}` as const;
    expect(boundKey(facts, key, signature)?.length).toBe(32);
    for (const change of [
      { chainId: 1 },
      { registry: other },
      { operator: other },
      { votingKey: other },
      { beaconAnchor: `0x${'11'.repeat(32)}` as const },
    ]) {
      expect(boundKey({ ...facts, ...change }, key, signature)).toBeUndefined();
    }
  });

  test('a key of small order is never bound', () => {
    const smallOrder = new Uint8Array(32);
    smallOrder[0] = 1;
    expect(boundKey(facts, smallOrder, bytesOf(vector.signature, 64))).toBeUndefined();
  });
});

describe('beacon chain', () => {
  const vector = vectors.beacon_chain;
  const chain = new BeaconChain({
    ed25519Seed: bytesOf(vector.ed25519_seed, 32),
    chainId,
    registry,
    nonce: vector.nonce,
  });

  test('anchor and first reveal', () => {
    expect(hexOf(chain.anchor)).toBe(vector.anchor);
    expect(hexOf(chain.preimageOf(chain.anchor) ?? new Uint8Array())).toBe(vector.first_reveal);
    expect(chain.remaining(chain.anchor)).toBe(65_536);
  });

  test('each pre-image is the next anchor, past the links that are kept', () => {
    let anchor = chain.anchor;
    for (let turn = 0; turn < 600; turn++) {
      const preimage = chain.preimageOf(anchor);
      expect(preimage && hexOf(keccak256(preimage))).toBe(hexOf(anchor));
      anchor = preimage as Uint8Array;
    }
    expect(chain.remaining(anchor)).toBe(65_536 - 600);
  });

  test('ends at its first link, and knows no foreign one', () => {
    const first = bytesOf(vector.x0, 32);
    expect(chain.preimageOf(first)).toBeUndefined();
    expect(hexOf(chain.preimageOf(keccak256(first)) ?? new Uint8Array())).toBe(vector.x0);
    expect(chain.preimageOf(new Uint8Array(32))).toBeUndefined();
  });
});
