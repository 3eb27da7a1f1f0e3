// SPDX-License-Identifier: AGPL-3.0-or-later
import { randomBytes } from '@allium/protocol/crypto';
import {
  encodeSignedProof,
  type SignedUptimeProof,
  signUptimeProof,
  type UptimeFacts,
} from '@allium/protocol/membership/uptime-proof';
import { describe, expect, test } from 'vitest';
import {
  ProofBook,
  type ProofBookParts,
  type ProofFiles,
  type ProofRules,
} from '../../src/membership/proof-book.ts';
import { NodeKeys } from '../../src/node-keys.ts';
import { TestClock, testEnv } from '../support/test-clock.ts';

const RULES: ProofRules = {
  registry: `0x${'5f'.repeat(20)}`,
  chainId: 31_337,
  frequencyMs: 3_600_000,
  validityMs: 7_500_000,
  toleranceMs: 300_000,
  privateAddresses: false,
  minimumVersion: () => [0, 1, 0],
};
const HOUR = 3_600_000;

class MemoryFiles implements ProofFiles {
  bytes: Uint8Array | undefined;
  writes = 0;

  async read(): Promise<Uint8Array | undefined> {
    return this.bytes;
  }

  async write(_path: string, bytes: Uint8Array): Promise<void> {
    this.bytes = bytes;
    this.writes++;
  }
}

function make(parts: Partial<ProofBookParts> = {}, clock = new TestClock()) {
  const keys = new NodeKeys(randomBytes(32));
  const files = new MemoryFiles();
  const book = new ProofBook(
    { rules: RULES, files, path: 'proofs.bt', isNode: () => true, ...parts },
    testEnv(clock),
  );
  const proof = (facts: Partial<UptimeFacts> = {}): SignedUptimeProof =>
    signUptimeProof(
      {
        registry: RULES.registry,
        chainId: RULES.chainId,
        epoch: 8,
        blockNumber: 100,
        blockHash: `0x${'ab'.repeat(32)}`,
        host: '1.2.3.4',
        httpsPort: 443,
        omqPort: 22_020,
        storageVersion: [2, 11, 0],
        nodeVersion: [0, 1, 0],
        time: Math.floor(clock.now() / 1000),
        ...facts,
      },
      keys,
    );
  const reasonOf = (facts: Partial<UptimeFacts>) => {
    const verdict = book.take(proof(facts), 'pushed');
    return verdict.accepted ? 'accepted' : verdict.reason;
  };
  return { clock, keys, files, book, proof, reasonOf };
}

const seconds = (clock: TestClock, offset: number) => Math.floor(clock.now() / 1000) + offset;

describe('a proof is taken', () => {
  test('when all is as it should be, and others are told of it', () => {
    const { book, proof, keys, clock } = make();
    const told: unknown[] = [];
    book.onProof((known, previous) => told.push(known.proof.host, previous?.proof.host));
    const signed = proof();
    expect(book.offer(encodeSignedProof(signed), 'pushed')).toMatchObject({ accepted: true });
    expect(book.proofOf(keys.ed25519Hex)).toMatchObject({ proof: signed.proof, receivedAt: clock.now() });
    expect(told).toEqual(['1.2.3.4', undefined]);
  });

  test.each([
    [300, 'accepted'],
    [301, 'wrong_time'],
    [-300, 'accepted'],
    [-301, 'wrong_time'],
    [40, 'accepted'],
  ])('from a clock %i s off: %s', (offset, expected) => {
    const { clock, reasonOf } = make();
    expect(reasonOf({ time: seconds(clock, offset) })).toBe(expected);
  });

  test.each<[string, Partial<UptimeFacts>, string]>([
    ['another registry', { registry: `0x${'60'.repeat(20)}` }, 'other_network'],
    ['another chain', { chainId: 1 }, 'other_network'],
    ['a private address', { host: '192.168.1.4' }, 'address'],
    ['loopback', { host: '127.0.0.1' }, 'address'],
    ['no address', { host: '0.0.0.0' }, 'address'],
    ['a multicast address', { host: '224.0.0.1' }, 'address'],
    ['a metadata service of clouds', { host: '169.254.169.254' }, 'address'],
    ['an old node version', { nodeVersion: [0, 0, 9] }, 'version'],
  ])('never with %s', (_name, facts, expected) => {
    expect(make().reasonOf(facts)).toBe(expected);
  });

  test('at private addresses in test networks only, and never at no address', () => {
    const { reasonOf, clock } = make({ rules: { ...RULES, privateAddresses: true } });
    expect(reasonOf({ host: '0.0.0.0' })).toBe('address');
    expect(reasonOf({ host: '255.255.255.255' })).toBe('address');
    expect(reasonOf({ host: '127.0.0.1' })).toBe('accepted');
    clock.advance(HOUR);
    expect(reasonOf({ host: '10.0.0.1' })).toBe('accepted');
  });

  test('of registered nodes only', () => {
    expect(make({ isNode: () => false }).reasonOf({})).toBe('unknown_node');
  });

  test('never with a signature of somebody else', () => {
    const { book, proof, keys } = make();
    const forged = { ...proof(), signature: new NodeKeys(randomBytes(32)).sign(proof().bytes) };
    expect(book.take(forged, 'pushed')).toEqual({ accepted: false, reason: 'signature' });
    expect(book.proofOf(keys.ed25519Hex)).toBeUndefined();
  });

  test('never when it is no proof', () => {
    expect(make().book.offer(new Uint8Array(10), 'pushed')).toEqual({ accepted: false, reason: 'malformed' });
  });
});

describe('a further proof', () => {
  test('that is held already is the same, an older one is a replay, and both leave what is held', () => {
    const { book, proof, keys, clock } = make();
    const first = proof();
    book.take(first, 'pushed');
    expect(book.take(first, 'pushed')).toMatchObject({ accepted: false, reason: 'same' });
    clock.advance(HOUR);
    const second = proof();
    expect(book.take(second, 'pushed').accepted).toBe(true);
    expect(book.take(first, 'pulled')).toMatchObject({
      accepted: false,
      reason: 'older',
      known: { proof: second.proof },
    });
    expect(book.proofOf(keys.ed25519Hex)?.proof).toEqual(second.proof);
  });

  test('is taken from half the frequency on', () => {
    const { clock, reasonOf } = make();
    expect(reasonOf({})).toBe('accepted');
    clock.advance(HOUR / 2 - 1);
    expect(reasonOf({ time: seconds(clock, 1) })).toBe('too_soon');
    clock.advance(1);
    expect(reasonOf({})).toBe('accepted');
  });

  test('from another address is taken after a minute, six times a day', () => {
    const { clock, reasonOf } = make();
    expect(reasonOf({})).toBe('accepted');
    clock.advance(59_999);
    expect(reasonOf({ host: '1.2.3.5', time: seconds(clock, 1) })).toBe('too_soon');
    clock.advance(1);
    expect(reasonOf({ host: '1.2.3.5' })).toBe('accepted');
    for (let i = 0; i < 5; i++) {
      clock.advance(60_000);
      expect(reasonOf({ omqPort: 1000 + i })).toBe('accepted');
    }
    clock.advance(60_000);
    expect(reasonOf({ host: '1.2.3.6' })).toBe('too_soon');
    // The ordinary pace is free for everybody, and the next day begins anew.
    clock.advance(HOUR / 2);
    expect(reasonOf({ host: '1.2.3.6' })).toBe('accepted');
    clock.advance(24 * HOUR);
    expect(reasonOf({ host: '1.2.3.7' })).toBe('accepted');
    clock.advance(60_000);
    expect(reasonOf({ host: '1.2.3.8' })).toBe('accepted');
  });

  test('that was asked for may be as old as proofs are valid, and counts from its own time', () => {
    const { book, proof, keys, clock } = make();
    const old = proof();
    clock.advance(RULES.validityMs);
    expect(book.take(old, 'pushed')).toMatchObject({ reason: 'wrong_time' });
    expect(book.take(old, 'pulled').accepted).toBe(true);
    expect(book.proofOf(keys.ed25519Hex)?.receivedAt).toBe(old.proof.time * 1000);
    expect(book.take(proof(), 'pushed').accepted).toBe(true);
    const other = make({}, clock);
    const tooOld = other.proof();
    clock.advance(RULES.validityMs + 1);
    expect(other.book.take(tooOld, 'pulled')).toMatchObject({ reason: 'wrong_time' });
  });
});

describe('what is kept', () => {
  test('survives a restart, limits included', async () => {
    const { book, proof, files, keys, clock } = make();
    await book.start();
    book.take(proof(), 'pushed');
    clock.advance(60_000);
    const moved = proof({ host: '1.2.3.5' });
    book.take(moved, 'pushed');
    await book.stop();
    const again = make({ files }, clock).book;
    await again.start();
    expect(again.proofOf(keys.ed25519Hex)).toEqual(book.proofOf(keys.ed25519Hex));
    expect(again.take(moved, 'pushed')).toMatchObject({ reason: 'same' });
    await again.stop();
  });

  test('is written while the node runs', async () => {
    const { book, proof, files, clock } = make();
    await book.start();
    book.take(proof(), 'pushed');
    expect(files.writes).toBe(0);
    clock.advance(30_000);
    await book.stop();
    expect(files.writes).toBe(1);
  });

  test.each([new Uint8Array([1, 2, 3]), Buffer.from('d1:pli1ee1:vi1ee'), Buffer.from('d1:vi9ee')])(
    'a broken file (%#) is replaced',
    async (bytes) => {
      const { book, proof, files } = make();
      files.bytes = bytes;
      await book.start();
      expect(book.size).toBe(0);
      expect(book.take(proof(), 'pushed').accepted).toBe(true);
      await book.stop();
      expect(files.bytes).not.toBe(bytes);
    },
  );

  test('is forgotten when the folder goes to another network', async () => {
    const { book, proof, files, clock } = make();
    await book.start();
    book.take(proof(), 'pushed');
    await book.stop();
    const other = make({ files, rules: { ...RULES, chainId: 1 } }, clock).book;
    await other.start();
    expect(other.size).toBe(0);
    await other.stop();
  });

  test('goes six hours after its node left', async () => {
    let isThere = true;
    const { book, proof, keys, clock } = make({ isNode: () => isThere });
    await book.start();
    book.take(proof(), 'pushed');
    clock.advance(12 * HOUR);
    expect(book.proofOf(keys.ed25519Hex)).toBeDefined();
    isThere = false;
    clock.advance(6 * HOUR);
    expect(book.proofOf(keys.ed25519Hex)).toBeDefined();
    clock.advance(60_000);
    expect(book.proofOf(keys.ed25519Hex)).toBeUndefined();
    await book.stop();
  });
});
