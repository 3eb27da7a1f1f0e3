// SPDX-License-Identifier: MIT
// What a client trusts from the start (spec/chain §4.22, §4.23), and its form in a file.
import { fromBase64, fromUtf8, toBase64, toHex, utf8 } from '@allium/protocol/bytes';
import { ParseError } from '@allium/protocol/errors';
import { type Json, type JsonObject, parseJson, stringifyJson } from '@allium/protocol/json';
import {
  type MembershipStatement,
  parseCertificate,
  statementDigest,
} from '@allium/protocol/membership/certificate';
import { parseStaticList } from '@allium/protocol/membership/static-list';
import { swarmMapDigest } from '@allium/protocol/swarm/assignment';

/** Times of a chain network, which stand in no certificate. */
export interface EpochTimes {
  /** Start of epoch 0, unix seconds. */
  readonly t0: number;
  readonly epochSeconds: number;
}

/**
 * What a client trusts from the start. `certificate`: of a chain network, in bytes. `certificate_digest`: 64 hex digits that
 * name one which nodes still serve. `static_list`: the signed file of a network without chain. `admins`: the keys (hex) of
 * whom so many must have signed it.
 */
export type TrustAnchor =
  | ({ readonly kind: 'certificate'; readonly certificate: Uint8Array } & EpochTimes)
  | ({ readonly kind: 'certificate_digest'; readonly digest: string } & EpochTimes)
  | { readonly kind: 'static_list'; readonly list: Uint8Array }
  | { readonly kind: 'admins'; readonly admins: readonly string[]; readonly threshold: number };

/** The digest D of a certificate, 64 hex digits: two who have the same one have the same list. */
export function certificateDigest(bytes: Uint8Array): string {
  return statementName(parseCertificate(bytes));
}

/**
 * An anchor in a file: the signed list of a network without chain as it is, or
 * `{"kind":"certificate","certificate":base64,"t0":seconds,"epoch_seconds":n}`,
 * `{"kind":"certificate_digest","digest":hex,"t0":seconds,"epoch_seconds":n}`, `{"kind":"admins","admins":[hex],"threshold":k}`.
 * @throws ParseError
 */
export function parseTrustAnchor(bytes: Uint8Array): TrustAnchor {
  const value = parseJson(fromUtf8(bytes)) as JsonObject;
  if (value?.mode === 'static') {
    parseStaticList(bytes);
    return { kind: 'static_list', list: bytes };
  }
  const { kind, certificate, digest, t0, epoch_seconds: epochSeconds } = value ?? {};
  if (kind === 'admins') return parseAdmins(value);
  if (kind === 'certificate_digest') {
    if (!isKey(digest)) throw new ParseError('evidence', 'a digest has 64 hex digits');
    if (!isWhole(t0) || !isWhole(epochSeconds) || epochSeconds === 0) {
      throw new ParseError('evidence', 'a digest without t0 and epoch_seconds');
    }
    return { kind, digest, t0, epochSeconds };
  }
  if (kind !== 'certificate' || typeof certificate !== 'string') {
    throw new ParseError('evidence', 'neither a certificate nor a signed list of nodes');
  }
  if (!isWhole(t0) || !isWhole(epochSeconds) || epochSeconds === 0) {
    throw new ParseError('evidence', 'a certificate without t0 and epoch_seconds');
  }
  const anchor = fromBase64(certificate);
  parseCertificate(anchor);
  return { kind, certificate: anchor, t0, epochSeconds };
}

/** The form that `parseTrustAnchor` reads. */
export function encodeTrustAnchor(certificate: Uint8Array, { t0, epochSeconds }: EpochTimes): Uint8Array {
  return utf8(
    stringifyJson({
      kind: 'certificate',
      certificate: toBase64(certificate),
      t0,
      epoch_seconds: epochSeconds,
    }),
  );
}

/** The same for what fits an invitation. */
export function encodeShortAnchor(
  anchor: Extract<TrustAnchor, { kind: 'certificate_digest' | 'admins' }>,
): Uint8Array {
  if (anchor.kind === 'admins') return utf8(stringifyJson({ ...anchor, admins: [...anchor.admins] }));
  const { kind, digest, t0, epochSeconds } = anchor;
  return utf8(stringifyJson({ kind, digest, t0, epoch_seconds: epochSeconds }));
}

function parseAdmins({ admins, threshold }: JsonObject): TrustAnchor {
  if (!Array.isArray(admins) || admins.length > MAX_ADMINS || !admins.every(isKey)) {
    throw new ParseError('evidence', 'administrators are keys of 64 hex digits');
  }
  if (!isWhole(threshold) || threshold < 1 || threshold > admins.length) {
    throw new ParseError('evidence', 'the threshold of administrators is out of bounds');
  }
  return { kind: 'admins', admins: admins as string[], threshold };
}

/** The same of a certificate that was read. */
export function statementName(certificate: MembershipStatement): string {
  return toHex(statementDigest(certificate, swarmMapDigest(certificate.swarms)));
}

const MAX_ADMINS = 100;

const isKey = (value: Json | undefined): value is string =>
  typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);

const isWhole = (value: Json | undefined): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
