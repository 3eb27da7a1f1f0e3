// SPDX-License-Identifier: MIT
// A certificate that somebody else renews: read from files, and read again when they change. Files that do not fit, as between
// the writing of one and the other, change nothing.
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { Cancel, Env } from '@allium/protocol/env';
import { AlliumError } from '@allium/protocol/errors';
import type { Certificate } from './certificate.ts';

export interface CertificatePaths {
  /** PEM: the certificate, and those between it and an authority. */
  readonly certificate: string;
  /** PEM. */
  readonly key: string;
}

export interface ReadCertificate extends Certificate {
  /** Unix ms. */
  readonly validTo: number;
}

/** `unreadable`: a file cannot be read. `malformed`: not PEM, or the key is of another certificate. */
export class CertificateFileError extends AlliumError<'unreadable' | 'malformed'> {
  override readonly name = 'CertificateFileError';
}

/** Ours: certificates are renewed weeks before they end. */
const LOOK_EVERY_MS = 60_000;

/** @throws CertificateFileError whose message names the file, never what is in it */
export function readCertificateFiles({ certificate, key }: CertificatePaths): ReadCertificate {
  const certificatePem = read(certificate);
  const keyPem = read(key);
  try {
    createSecureContext({ cert: certificatePem, key: keyPem });
    return { certificatePem, keyPem, validTo: new X509Certificate(certificatePem).validToDate.getTime() };
  } catch {
    throw new CertificateFileError(
      'malformed',
      `${certificate} and ${key} are not a certificate and its key in PEM`,
    );
  }
}

/** Looks every minute, and hands over what is new. */
export function watchCertificateFiles(
  paths: CertificatePaths,
  current: Certificate,
  onChange: (certificate: ReadCertificate) => void,
  env: Env,
  everyMs = LOOK_EVERY_MS,
): Cancel {
  let known = current;
  let told: string | undefined;
  let cancel: Cancel;
  const look = () => {
    try {
      const now = readCertificateFiles(paths);
      told = undefined;
      if (now.certificatePem !== known.certificatePem || now.keyPem !== known.keyPem) {
        known = now;
        onChange(now);
        env.log.info({ until: new Date(now.validTo).toISOString() }, 'a new certificate is shown');
      }
    } catch (error) {
      if (!(error instanceof CertificateFileError)) throw error;
      if (told !== error.message) env.log.warn({ error: error.message }, 'the old certificate is kept');
      told = error.message;
    }
    cancel = env.clock.after(everyMs, look);
  };
  cancel = env.clock.after(everyMs, look);
  return () => cancel();
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new CertificateFileError('unreadable', `${path} cannot be read (${code ?? 'unknown reason'})`);
  }
}
