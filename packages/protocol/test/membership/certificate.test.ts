// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ed25519KeyPair, ed25519Verify, sha256 } from '#crypto';
import vectors from '../../../../vectors/chain-quorum.json' with { type: 'json' };
import { fromHex, toHex, utf8 } from '../../src/bytes.ts';
import { encodeBt } from '../../src/codec/bencode.ts';
import { ParseError } from '../../src/errors.ts';
import {
  acceptCertificate,
  encodeCertificate,
  type MembershipCertificate,
  type MembershipStatement,
  parseCertificate,
  signedDigest,
  signStatement,
  statementDigest,
  verifyStatement,
} from '../../src/membership/certificate.ts';

const REGISTRY = new Uint8Array(20).fill(7);
const SEED = sha256(utf8('seed'));
const nodes = Array.from({ length: 30 }, (_, index) => ed25519KeyPair(sha256(utf8(`node ${index}`))));
const hexes = nodes.map((node) => toHex(node.publicKey));
const hex = (text: string) => fromHex(text.slice(2));

/** Nodes `from` … `until − 1` in two swarms. */
function statement(epoch: number, from = 0, until = 12): MembershipStatement {
  const keys = hexes.slice(from, until);
  const half = keys.length >> 1;
  const swarms = new Map([
    [0x8000000000000001n, keys.slice(half)],
    [3n, keys.slice(0, half)],
  ]);
  return { chainId: 31337, registry: REGISTRY, epoch, seed: SEED, swarms };
}

/** The statement with the signatures of the first `signers` of `from` … */
function certificate(of: MembershipStatement, signers: readonly number[]): MembershipCertificate {
  const signatures = new Map(
    signers.map((index) => [hexes[index]!, signStatement(of, nodes[index]!.secretKey)]),
  );
  return { ...of, signatures };
}

const range = (from: number, until: number) => Array.from({ length: until - from }, (_, i) => from + i);
const NOW = { epochNow: 48, trustedAgeMs: 0 };
const accept = (trusted: MembershipStatement, next: MembershipCertificate, options = NOW) => {
  try {
    acceptCertificate(trusted, next, options);
    return 'accepted';
  } catch (error) {
    return (error as { code: string }).code;
  }
};

describe('a membership certificate', () => {
  test('has the digest and the signature of the vector', () => {
    const vector = vectors.list_certificate;
    const of = {
      chainId: vectors.chain_id,
      registry: hex(vectors.registry),
      epoch: vector.epoch,
      seed: hex(vector.seed),
    };
    const digest = statementDigest(of, hex(vector.swarm_digest));
    expect(toHex(digest)).toBe(vector.digest.slice(2));
    const key = hex(vectors.registration.ed25519_public_key);
    expect(ed25519Verify(hex(vector.signature), signedDigest(digest), key)).toBe(true);
  });

  test('comes back from its bytes, whatever the map and the signers', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(29)), fc.integer({ min: 2, max: 30 }), (signers, count) => {
        const of = certificate(
          statement(24, 0, count),
          [...new Set(signers)].filter((index) => index < count),
        );
        const read = parseCertificate(encodeCertificate(of));
        expect(encodeCertificate(read)).toEqual(encodeCertificate(of));
        for (const [key, signature] of read.signatures) {
          expect(verifyStatement(read, fromHex(key), signature)).toBe(true);
        }
        expect(read.signatures.size).toBe(of.signatures.size);
      }),
      { numRuns: 30 },
    );
  });

  test('has one form only', () => {
    const good = encodeCertificate(certificate(statement(24), [0, 5]));
    for (let at = 0; at < good.length; at++) {
      const bad = good.slice();
      bad[at]! ^= 1;
      let read: MembershipCertificate;
      try {
        read = parseCertificate(bad);
      } catch (error) {
        expect(error).toBeInstanceOf(ParseError);
        continue;
      }
      expect(encodeCertificate(read)).toEqual(bad);
    }
    expect(() => parseCertificate(good.subarray(0, -1))).toThrow(ParseError);
    expect(() => parseCertificate(new Uint8Array(5_000_000))).toThrow(/5000000 bytes/);
  });

  test('with more signers than nodes, or nodes twice, is refused', () => {
    const head = { c: 1, e: 24, r: REGISTRY, s: SEED };
    const key = nodes[0]!.publicKey;
    const id = new Uint8Array(8);
    const wrong = [
      { ...head, m: [[id, key]], p: new Uint8Array([0xc0]), g: new Uint8Array(128) },
      { ...head, m: [[id, key]], p: new Uint8Array([0x80, 0]), g: new Uint8Array(64) },
      { ...head, m: [[id, key]], p: new Uint8Array([0x80]), g: new Uint8Array(128) },
      {
        ...head,
        m: [
          [id, key],
          [new Uint8Array(8).fill(1), key],
        ],
        p: new Uint8Array(1),
        g: new Uint8Array(0),
      },
      {
        ...head,
        m: [
          [id, key],
          [id, nodes[1]!.publicKey],
        ],
        p: new Uint8Array(1),
        g: new Uint8Array(0),
      },
      { ...head, m: [[id, key.subarray(1)]], p: new Uint8Array(1), g: new Uint8Array(0) },
      { ...head, m: [], p: new Uint8Array(0), g: new Uint8Array(0), z: 1 },
      { ...head, c: -1, m: [], p: new Uint8Array(0), g: new Uint8Array(0) },
    ];
    for (const dict of wrong) expect(() => parseCertificate(encodeBt(dict))).toThrow(ParseError);
    expect(
      parseCertificate(encodeBt({ ...head, m: [], p: new Uint8Array(0), g: new Uint8Array(0) })).swarms.size,
    ).toBe(0);
  });
});

describe('a client', () => {
  const trusted = statement(24);

  test('takes what two thirds of the trusted nodes vouch for, and not one signature less', () => {
    expect(accept(trusted, certificate(statement(48), range(0, 8)))).toBe('accepted');
    expect(accept(trusted, certificate(statement(48), range(0, 7)))).toBe('too_few_signatures');
  });

  test('counts a signer once, and only signers whom it trusts', () => {
    const next = statement(48, 6, 30);
    expect(accept(trusted, certificate(next, range(6, 30)))).toBe('too_few_signatures');
    // Positions cannot name a key twice; a signature of another node under a member's key is none.
    const forged = new Map(
      range(0, 12).map((index) => [hexes[index]!, signStatement(next, nodes[0]!.secretKey)]),
    );
    expect(accept(trusted, { ...next, signatures: forged })).toBe('too_few_signatures');
  });

  test('refuses what is older, of the future, of another network, or signed for another map', () => {
    const all = range(0, 12);
    expect(accept(trusted, certificate(statement(24), all))).toBe('stale');
    expect(accept(trusted, certificate(statement(49), all))).toBe('accepted');
    expect(accept(trusted, certificate(statement(50), all))).toBe('future');
    expect(accept(trusted, certificate({ ...statement(48), chainId: 1 }, all))).toBe('other_network');
    expect(accept(trusted, certificate({ ...statement(48), registry: SEED.subarray(12) }, all))).toBe(
      'other_network',
    );
    const other = certificate(statement(48), all);
    expect(accept(trusted, { ...other, swarms: statement(48, 0, 13).swarms })).toBe('too_few_signatures');
    expect(accept(trusted, { ...other, seed: REGISTRY })).toBe('too_few_signatures');
  });

  test('trusts nothing older than 90 days, and an empty map not at all', () => {
    const next = certificate(statement(48), range(0, 12));
    const days = 24 * 60 * 60_000;
    expect(accept(trusted, next, { epochNow: 48, trustedAgeMs: 90 * days })).toBe('accepted');
    expect(accept(trusted, next, { epochNow: 48, trustedAgeMs: 90 * days + 1 })).toBe('anchor_expired');
    expect(accept({ ...trusted, swarms: new Map() }, next)).toBe('too_few_signatures');
  });

  test('goes over a change of 40 % of the nodes in two steps, not in one', () => {
    const far = certificate(statement(72, 5, 17), range(5, 17));
    const now = { epochNow: 72, trustedAgeMs: 0 };
    expect(accept(trusted, far, now)).toBe('too_few_signatures');
    const between = certificate(statement(48, 3, 15), range(3, 15));
    expect(accept(trusted, between, now)).toBe('accepted');
    expect(accept(between, far, now)).toBe('accepted');
  });
});
