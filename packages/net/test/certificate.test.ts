// SPDX-License-Identifier: MIT
// spec/storage-server §3.2.
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import { expect, test } from 'vitest';
import { createCertificate } from '../src/certificate.ts';

const DAY_MS = 86_400_000;

test('a certificate is self-signed, P-256, with the fields of the specification', () => {
  const made = Date.UTC(2026, 10, 21, 9, 0, 0);
  const { certificatePem, keyPem } = createCertificate(made);
  const certificate = new X509Certificate(certificatePem);
  expect(certificate.subject).toBe('C=AU\nCN=localhost\nO=Oxen');
  expect(certificate.issuer).toBe(certificate.subject);
  expect(certificate.serialNumber).toBe('01');
  expect(certificate.validFromDate.getTime()).toBe(made);
  expect(certificate.validToDate.getTime()).toBe(made + 10_000 * DAY_MS);
  expect(certificate.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' });
  expect(certificate.verify(certificate.publicKey)).toBe(true);
  expect(certificate.checkPrivateKey(createPrivateKey(keyPem))).toBe(true);
  // The subject key identifier (RFC 5280 §4.2.1.2): SHA-1 of the point, in the one extension.
  const point = certificate.publicKey.export({ type: 'spki', format: 'der' }).subarray(-65);
  const keyId = createHash('sha1').update(point).digest('hex');
  expect(certificate.raw.toString('hex')).toContain(`0603551d0e04160414${keyId}`);
});

test('each certificate has a key of its own', () => {
  expect(createCertificate().keyPem).not.toBe(createCertificate().keyPem);
});

test('dates before 2050 and after have their own forms', () => {
  for (const year of [2022, 2023, 2049, 2050]) {
    const made = Date.UTC(year, 0, 1);
    const certificate = new X509Certificate(createCertificate(made).certificatePem);
    expect(certificate.validFromDate.getTime()).toBe(made);
    expect(certificate.validToDate.getTime()).toBe(made + 10_000 * DAY_MS);
  }
});
