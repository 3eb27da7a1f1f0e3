// SPDX-License-Identifier: MIT
// `npm test`: runs vitest (Node project; Chromium project where a browser is found) and ends with
// the line `N passed, N failed`. Arguments go to vitest: `npm test -- packages/net -t handshake`.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { findChromium } from './chromium.ts';

const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');
const folder = mkdtempSync(join(tmpdir(), 'allium-test-'));
const report = join(folder, 'report.json');
// Programs that a test kills cannot remove what they had there.
const temporary = join(folder, 'tmp');
mkdirSync(temporary);
if (process.env.CHROMIUM === 'none') {
  console.log('CHROMIUM=none: the Chromium project is left out, only the Node project runs.');
} else if (findChromium() === undefined) {
  console.log(
    'No Chromium found: only the Node project runs. For the browser project: apt-get install chromium (or set CHROMIUM=/path/to/chrome).',
  );
}
const child = spawn(
  process.execPath,
  [
    vitest,
    'run',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...process.argv.slice(2),
  ],
  { stdio: 'inherit', env: { ...process.env, TMPDIR: temporary } },
);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => {
  let passed = 0;
  let failed = 0;
  let skipped = 0;
  try {
    const result = JSON.parse(readFileSync(report, 'utf8'));
    passed = result.numPassedTests;
    failed = result.numFailedTests;
    skipped = result.numPendingTests + result.numTodoTests;
    // A file that fails to load, or whose process dies, has no failed test of its own.
    type File = { status: string; assertionResults: { status: string }[] };
    failed += result.testResults.filter(
      ({ status, assertionResults }: File) =>
        status === 'failed' && assertionResults.every((test) => test.status !== 'failed'),
    ).length;
  } catch {
    failed = Math.max(1, failed);
  }
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  if (code !== 0 && failed === 0) failed = 1;
  // The last line has one form, whatever was skipped: programs read it.
  if (skipped > 0) console.log(`${skipped} skipped`);
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(signal !== null ? 1 : code === 0 && failed === 0 ? 0 : 1);
});
