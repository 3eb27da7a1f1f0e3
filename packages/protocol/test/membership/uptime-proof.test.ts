// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ed25519KeyPair, ed25519Sign } from '#crypto';
import vectors from '../../../../vectors/chain-quorum.json' with { type: 'json' };
import { concat, fromHex, toHex, utf8 } from '../../src/bytes.ts';
import { decodeBtDict, encodeBt } from '../../src/codec/bencode.ts';
import { ParseError } from '../../src/errors.ts';
import {
  decodeSignedProof,
  decodeUptimeProof,
  encodeSignedProof,
  encodeUptimeProof,
  MAX_PROOF_BYTES,
  signUptimeProof,
  type UptimeFacts,
  verifyUptimeProof,
} from '../../src/membership/uptime-proof.ts';

const { publicKey, secretKey } = ed25519KeyPair(new Uint8Array(32).fill(7));
const keys = { ed25519Key: publicKey, sign: (message: Uint8Array) => ed25519Sign(message, secretKey) };
const FACTS: UptimeFacts = {
  registry: `0x${'5f'.repeat(20)}`,
  chainId: 31_337,
  epoch: 8,
  blockNumber: 123_456,
  blockHash: `0x${'ab'.repeat(32)}`,
  host: '203.0.113.7',
  httpsPort: 22_021,
  omqPort: 22_020,
  storageVersion: [2, 11, 0],
  nodeVersion: [0, 1, 0],
  time: 1_700_000_123,
};

const unhex = (text: string) => fromHex(text.slice(2));

test('the proof of the vectors has its bytes, its signature and its meaning', () => {
  const { encoded, signature } = vectors.uptime_proof;
  const proof = decodeUptimeProof(unhex(encoded));
  expect(proof).toMatchObject({
    registry: vectors.registry.toLowerCase(),
    chainId: vectors.chain_id,
    epoch: 8,
    blockNumber: 123_456,
    host: '203.0.113.7',
    httpsPort: 22_021,
    omqPort: 22_020,
    storageVersion: [1, 0, 0],
    nodeVersion: [1, 0, 0],
    time: 1_700_000_123,
    ed25519Hex: vectors.registration.ed25519_public_key.slice(2),
  });
  expect(toHex(encodeUptimeProof(proof))).toBe(encoded.slice(2));
  const signed = { proof, bytes: unhex(encoded), signature: unhex(signature) };
  expect(verifyUptimeProof(signed)).toBe(true);
  expect(decodeSignedProof(encodeSignedProof(signed))).toEqual(signed);
  const changed = { ...signed, bytes: encodeUptimeProof({ ...proof, host: '203.0.113.8' }) };
  expect(verifyUptimeProof(changed)).toBe(false);
});

test('the seed of the vectors signs the same proof', () => {
  const seeds = ed25519KeyPair(unhex(vectors.beacon_chain.ed25519_seed));
  expect(`0x${toHex(seeds.publicKey)}`).toBe(vectors.registration.ed25519_public_key);
  const signed = signUptimeProof(decodeUptimeProof(unhex(vectors.uptime_proof.encoded)), {
    ed25519Key: seeds.publicKey,
    sign: (message) => ed25519Sign(message, seeds.secretKey),
  });
  expect(`0x${toHex(signed.signature)}`).toBe(vectors.uptime_proof.signature);
});

test('keys of later versions are kept and signed', () => {
  const dict = decodeBtDict(signUptimeProof(FACTS, keys).bytes);
  const bytes = encodeBt(new Map([...dict, ['zz', utf8('later')]]));
  const signature = keys.sign(concat(utf8('SN-UPTIME-v1'), bytes));
  const read = decodeSignedProof(encodeBt([bytes, signature]));
  expect(read.bytes).toEqual(bytes);
  expect(verifyUptimeProof(read)).toBe(true);
});

const without = (key: string) => {
  const dict = decodeBtDict(signUptimeProof(FACTS, keys).bytes);
  dict.delete(key);
  return encodeBt(dict);
};
const withValue = (key: string, value: Parameters<typeof encodeBt>[0]) =>
  encodeBt(new Map([...decodeBtDict(signUptimeProof(FACTS, keys).bytes), [key, value]]) as never);

test.each(['a', 'c', 'e', 'h', 'hh', 'ip', 'pke', 'shp', 'sop', 'sv', 't', 'v'])(
  'a proof without %s is refused',
  (key) => {
    expect(() => decodeUptimeProof(without(key))).toThrow(ParseError);
  },
);

test.each<[string, string, Parameters<typeof encodeBt>[0]]>([
  ['a registry of 19 bytes', 'a', new Uint8Array(19)],
  ['a negative chain id', 'c', -1],
  ['a chain id beyond 2^53', 'c', 2n ** 60n],
  ['an epoch beyond 32 bits', 'e', 2 ** 32],
  ['a block hash as text', 'hh', 'ab'.repeat(32)],
  ['a name for an address', 'ip', 'node.example'],
  ['an IPv6 address', 'ip', '2001:db8::1'],
  ['an address with leading zeros', 'ip', '010.0.0.1'],
  ['a short key', 'pke', new Uint8Array(31)],
  ['port 0', 'shp', 0],
  ['port 65536', 'sop', 65_536],
  ['a version of two numbers', 'sv', [2, 11]],
  ['a version with text', 'v', [1, 0, 'rc']],
  ['a time before 1970', 't', -1],
  ['more than the limit', 'zz', new Uint8Array(MAX_PROOF_BYTES)],
  ['lists without end', 'zz', [[[[[1]]]]]],
  ['many small values', 'zz', Array.from({ length: 100 }, () => 0)],
])('a proof with %s is refused', (_name, key, value) => {
  expect(() => decodeUptimeProof(withValue(key, value))).toThrow(ParseError);
});

test('the wire form is a list of two and nothing else', () => {
  const { bytes, signature } = signUptimeProof(FACTS, keys);
  for (const list of [[bytes], [bytes, signature.subarray(1)], [bytes, signature, 1], [1, 2], bytes]) {
    expect(() => decodeSignedProof(encodeBt(list as never))).toThrow(ParseError);
  }
});

test('every proof comes back as it went', () => {
  const port = fc.integer({ min: 1, max: 0xffff });
  const version = fc.tuple(fc.nat(0xffff), fc.nat(0xffff), fc.nat(0xffff));
  const hex = (length: number) =>
    fc.uint8Array({ minLength: length, maxLength: length }).map((bytes) => `0x${toHex(bytes)}` as const);
  const facts = fc.record({
    registry: hex(20),
    chainId: fc.maxSafeNat(),
    epoch: fc.nat(0xffffffff),
    blockNumber: fc.maxSafeNat(),
    blockHash: hex(32),
    host: fc.ipV4(),
    httpsPort: port,
    omqPort: port,
    storageVersion: version,
    nodeVersion: version,
    time: fc.maxSafeNat(),
  });
  fc.assert(
    fc.property(facts, (given) => {
      const signed = signUptimeProof(given, keys);
      expect(signed.proof).toMatchObject(given);
      expect(signed.bytes.length).toBeLessThanOrEqual(MAX_PROOF_BYTES);
      const read = decodeSignedProof(encodeSignedProof(signed));
      expect(read).toEqual(signed);
      expect(verifyUptimeProof(read)).toBe(true);
    }),
    { numRuns: 50 },
  );
});

test('no flipped bit passes', () => {
  const wire = encodeSignedProof(signUptimeProof(FACTS, keys));
  fc.assert(
    fc.property(fc.nat(wire.length - 1), fc.nat(7), (at, bit) => {
      const flipped = Uint8Array.from(wire);
      flipped[at]! ^= 1 << bit;
      let read: ReturnType<typeof decodeSignedProof>;
      try {
        read = decodeSignedProof(flipped);
      } catch (error) {
        expect(error).toBeInstanceOf(ParseError);
        return;
      }
      expect(verifyUptimeProof(read)).toBe(false);
    }),
    { numRuns: 100 },
  );
});
