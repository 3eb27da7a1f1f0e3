// SPDX-License-Identifier: AGPL-3.0-or-later
// The example of README.md, run as it stands there.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Account } from '@allium/protocol/account';
import { expect, test } from 'vitest';

test('the example of the README runs', async () => {
  const readme = readFileSync(join(import.meta.dirname, '..', 'README.md'), 'utf8');
  const example = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? '';
  expect(example).toContain('Devnet.start');
  const program = `const accountId = ${JSON.stringify(Account.create().id)};\n${example}\nexport const swarmSize = net.swarmOf(accountId).length;\n`;
  // Beside the test, so that package names resolve.
  const file = join(import.meta.dirname, `readme-example.${process.pid}.ts`);
  writeFileSync(file, program);
  try {
    expect((await import(/* @vite-ignore */ file)).swarmSize).toBe(7);
  } finally {
    rmSync(file);
  }
});
