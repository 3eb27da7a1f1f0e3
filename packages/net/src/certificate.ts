// SPDX-License-Identifier: MIT
// Self-signed X.509 certificates for the HTTPS listener of a node (spec/storage-server §3.2), written as DER by hand:
// node:crypto reads certificates but cannot make them.
//
//   Certificate    SEQUENCE { tbsCertificate, algorithm, BIT STRING signature }
//   tbsCertificate SEQUENCE { [0] version 3, serial, algorithm, issuer, validity, subject, public key, [3] extensions }
//
// Nobody verifies these certificates; a node is known by its onion key. So the key is P-256, which makes a handshake
// cheaper than the RSA-2048 of upstream.
import { createHash, generateKeyPairSync, sign, X509Certificate } from 'node:crypto';

export interface Certificate {
  readonly certificatePem: string;
  /** PKCS #8. Secret. */
  readonly keyPem: string;
}

// From the specification, spec/storage-server §3.2.
const VALIDITY_DAYS = 10_000;
const SUBJECT = [
  { oid: '2.5.4.6', tag: 0x13, value: 'AU' }, // country, PrintableString
  { oid: '2.5.4.3', tag: 0x0c, value: 'localhost' }, // common name, UTF8String
  { oid: '2.5.4.10', tag: 0x0c, value: 'Oxen' }, // organization
] as const;
const DAY_MS = 86_400_000;

const OID_ECDSA_SHA256 = '1.2.840.10045.4.3.2';
const OID_SUBJECT_KEY_ID = '2.5.29.14';

/**
 * Makes a key and a certificate, valid from now. The caller keeps both: a node shows the same certificate after a
 * restart.
 * @param nowMs Unix time
 */
export function createCertificate(nowMs: number = Date.now()): Certificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const publicKeyDer = publicKey.export({ type: 'spki', format: 'der' });
  // RFC 5280 §4.2.1.2 method 1: SHA-1 of the bits of the public key, here the point (65 bytes at the end).
  const keyId = createHash('sha1').update(publicKeyDer.subarray(-65)).digest();
  const algorithm = sequence(objectId(OID_ECDSA_SHA256));
  const name = sequence(
    ...SUBJECT.map(({ oid, tag, value }) =>
      element(0x31, sequence(objectId(oid), element(tag, Buffer.from(value, 'latin1')))),
    ),
  );
  const unsigned = sequence(
    element(0xa0, integer(2)), // version 3
    integer(1), // serial
    algorithm,
    name,
    sequence(time(nowMs), time(nowMs + VALIDITY_DAYS * DAY_MS)),
    name,
    publicKeyDer,
    element(0xa3, sequence(sequence(objectId(OID_SUBJECT_KEY_ID), octets(octets(keyId))))),
  );
  const signature = sign('sha256', unsigned, privateKey);
  const der = sequence(unsigned, algorithm, element(0x03, Buffer.of(0), signature));
  return {
    certificatePem: new X509Certificate(der).toString(),
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  };
}

function element(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents);
  const { length } = content;
  const head =
    length < 0x80
      ? [tag, length]
      : length < 0x100
        ? [tag, 0x81, length]
        : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), content]);
}

function sequence(...members: readonly Uint8Array[]): Buffer {
  return element(0x30, ...members);
}

function octets(content: Uint8Array): Buffer {
  return element(0x04, content);
}

/** 0 … 127. */
function integer(value: number): Buffer {
  return element(0x02, Buffer.of(value));
}

function objectId(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [40 * first + second];
  for (const arc of rest) {
    const groups = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return element(0x06, Buffer.from(bytes));
}

/** RFC 5280 §4.1.2.5: UTCTime until 2049, GeneralizedTime from 2050 on. */
function time(ms: number): Buffer {
  const date = new Date(ms);
  const digits = `${date.toISOString().slice(0, 19).replace(/[-:T]/g, '')}Z`;
  return date.getUTCFullYear() < 2050
    ? element(0x17, Buffer.from(digits.slice(2), 'latin1'))
    : element(0x18, Buffer.from(digits, 'latin1'));
}
