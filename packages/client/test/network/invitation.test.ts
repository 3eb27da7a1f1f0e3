// SPDX-License-Identifier: MIT
import { ParseError } from '@allium/protocol/errors';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  encodeInvitation,
  type Invitation,
  type InvitedTrust,
  isInvitation,
  MAX_INVITATION,
  parseInvitation,
} from '../../src/network/invitation.ts';
import { encodeShortAnchor, parseTrustAnchor } from '../../src/network/trust-anchor.ts';

const KEY = 'ab'.repeat(32);
const SEED = 'https://203.0.113.7:22021';

const keys = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => hex(bytes));
const hex = (bytes: Uint8Array) => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
const origins = fc
  .tuple(fc.constantFrom('https', 'http'), fc.ipV4(), fc.integer({ min: 1_024, max: 65_535 }))
  .map(([scheme, host, port]) => `${scheme}://${host}:${port}`);
const trusts: fc.Arbitrary<InvitedTrust> = fc.oneof(
  fc.record({
    kind: fc.constant('certificate_digest' as const),
    digest: keys,
    t0: fc.nat(),
    epochSeconds: fc.integer({ min: 1, max: 1e6 }),
  }),
  fc.uniqueArray(keys, { minLength: 1, maxLength: 5 }).chain((admins) =>
    fc.record({
      kind: fc.constant('admins' as const),
      admins: fc.constant(admins),
      threshold: fc.integer({ min: 1, max: admins.length }),
    }),
  ),
);
const invitations: fc.Arbitrary<Invitation> = fc.record(
  {
    seeds: fc.uniqueArray(origins, { minLength: 1, maxLength: 8 }),
    trust: trusts,
    name: fc.string({ unit: fc.constantFrom(...'aé 名&=#%+'), minLength: 1, maxLength: 20 }),
    fileServers: fc.array(fc.record({ url: origins, ed25519Hex: keys }), { maxLength: 2 }),
  },
  { requiredKeys: ['seeds', 'fileServers'] },
);

test('written and read again; the trust in it also as a file', () => {
  fc.assert(
    fc.property(invitations, (invitation) => {
      const text = encodeInvitation(invitation);
      expect(isInvitation(text)).toBe(true);
      expect(text.length).toBeLessThanOrEqual(MAX_INVITATION);
      expect(parseInvitation(` ${text}\n`)).toEqual(invitation);
      if (invitation.trust === undefined) return;
      expect(parseTrustAnchor(encodeShortAnchor(invitation.trust))).toEqual(invitation.trust);
    }),
  );
});

test('it is short, and can be read by people', () => {
  const trust = { kind: 'admins', admins: [KEY], threshold: 1 } as const;
  expect(encodeInvitation({ name: 'Club', seeds: [SEED], trust, fileServers: [] })).toBe(
    `allium:join?v=1&seed=${SEED}&name=Club&admin=${KEY}&of=1`,
  );
});

test.each([
  '',
  'https://example.org',
  'allium:join',
  'allium:join?',
  `allium:join?seed=${SEED}`,
  `allium:join?v=2&seed=${SEED}`,
  `allium:join?v=1&v=1&seed=${SEED}`,
  'allium:join?v=1',
  'allium:join?v=1&seed=javascript:alert(1)',
  'allium:join?v=1&seed=file:///etc/passwd',
  'allium:join?v=1&seed=https://user:secret@203.0.113.7',
  'allium:join?v=1&seed=https://203.0.113.7/path',
  `allium:join?v=1${`&seed=${SEED}`.repeat(9)}`,
  `allium:join?v=1&seed=${SEED}&name=`,
  `allium:join?v=1&seed=${SEED}&name=${'x'.repeat(65)}`,
  `allium:join?v=1&seed=${SEED}&name=a%1b[31m`,
  `allium:join?v=1&seed=${SEED}&digest=${KEY}`,
  `allium:join?v=1&seed=${SEED}&digest=${KEY}&t0=1&epoch=0`,
  `allium:join?v=1&seed=${SEED}&digest=${KEY}&t0=-1&epoch=1`,
  `allium:join?v=1&seed=${SEED}&digest=x&t0=1&epoch=1`,
  `allium:join?v=1&seed=${SEED}&admin=${KEY}`,
  `allium:join?v=1&seed=${SEED}&of=1`,
  `allium:join?v=1&seed=${SEED}&admin=${KEY}&of=2`,
  `allium:join?v=1&seed=${SEED}&admin=${KEY}&admin=${KEY}&of=2`,
  `allium:join?v=1&seed=${SEED}&admin=${KEY}&of=1&digest=${KEY}&t0=1&epoch=1`,
  `allium:join?v=1&seed=${SEED}&files=https://203.0.113.9`,
  `allium:join?v=1&seed=${SEED}&x=${'y'.repeat(MAX_INVITATION)}`,
])('refuses %j', (text) => {
  expect(() => parseInvitation(text)).toThrow(ParseError);
});

test('what later versions of version 1 add does not disturb', () => {
  expect(parseInvitation(`ALLIUM:JOIN?v=1&seed=${SEED}&new=7`)).toEqual({ seeds: [SEED], fileServers: [] });
});

test('any text is an invitation or refused', () => {
  const piece = fc.oneof(
    fc.string(),
    fc.constantFrom(
      'allium:join?',
      'v=1',
      '&',
      `seed=${SEED}`,
      `admin=${KEY}`,
      'of=1',
      `digest=${KEY}`,
      't0=1',
      'epoch=1',
    ),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 9 }), (pieces) => {
      try {
        const invitation = parseInvitation(pieces.join(''));
        expect(parseInvitation(encodeInvitation(invitation))).toEqual(invitation);
      } catch (error) {
        expect(error).toBeInstanceOf(ParseError);
      }
    }),
  );
});

test.each([
  '{"kind":"admins","admins":[],"threshold":1}',
  `{"kind":"admins","admins":["${KEY}"],"threshold":0}`,
  `{"kind":"admins","admins":["${KEY}"],"threshold":1.5}`,
  '{"kind":"admins","admins":["x"],"threshold":1}',
  '{"kind":"admins","admins":{},"threshold":1}',
  `{"kind":"certificate_digest","digest":"${KEY}"}`,
  '{"kind":"certificate_digest","digest":7,"t0":1,"epoch_seconds":1}',
])('a file that holds %s is no anchor', (text) => {
  expect(() => parseTrustAnchor(new TextEncoder().encode(text))).toThrow(ParseError);
});
