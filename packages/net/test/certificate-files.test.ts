// SPDX-License-Identifier: MIT
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, expect, test } from 'vitest';
import { createCertificate } from '../src/certificate.ts';
import {
  type ReadCertificate,
  readCertificateFiles,
  watchCertificateFiles,
} from '../src/certificate-files.ts';
import { systemEnv } from '../src/system-env.ts';
import { serve } from './https-support.ts';

const folder = mkdtempSync(join(tmpdir(), 'allium-certificate-'));
const paths = { certificate: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write({ certificatePem, keyPem } = createCertificate()) {
  writeFileSync(paths.certificate, certificatePem);
  writeFileSync(paths.key, keyPem);
  return { certificatePem, keyPem };
}

test('reads a certificate and its key, and nothing else', () => {
  const { certificatePem } = write();
  const read = readCertificateFiles(paths);
  expect(read.certificatePem).toBe(certificatePem);
  expect(read.validTo).toBeGreaterThan(Date.now());
  writeFileSync(paths.key, createCertificate().keyPem);
  expect(() => readCertificateFiles(paths)).toThrow(expect.objectContaining({ code: 'malformed' }));
  writeFileSync(paths.key, 'hello');
  expect(() => readCertificateFiles(paths)).toThrow(expect.objectContaining({ code: 'malformed' }));
  expect(() => readCertificateFiles({ ...paths, key: join(folder, 'none') })).toThrow(
    expect.objectContaining({ code: 'unreadable' }),
  );
});

test('hands over what is new, once it is whole', async () => {
  const seen: ReadCertificate[] = [];
  const cancel = watchCertificateFiles(paths, write(), (now) => seen.push(now), systemEnv(), 10);
  const { certificatePem, keyPem } = createCertificate();
  writeFileSync(paths.certificate, certificatePem);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(seen).toEqual([]);
  writeFileSync(paths.key, keyPem);
  await expect.poll(() => seen).toMatchObject([{ certificatePem, keyPem }]);
  cancel();
  write();
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(seen).toHaveLength(1);
});

test('a listener shows a new certificate to new connections', async () => {
  await using made = await serve();
  const shown = () =>
    new Promise<string>((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port: made.port, rejectUnauthorized: false }, () => {
        resolve(socket.getPeerCertificate().fingerprint256);
        socket.destroy();
      });
      socket.on('error', reject);
    });
  const before = await shown();
  expect(await shown()).toBe(before);
  made.server.setCertificate(createCertificate());
  expect(await shown()).not.toBe(before);
  expect(() => made.server.setCertificate({ certificatePem: 'no', keyPem: 'no' })).toThrow();
});
