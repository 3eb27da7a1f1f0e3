// SPDX-License-Identifier: AGPL-3.0-or-later
// The example of the README, as it stands there.
import { spawn } from 'node:child_process';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { TestNetwork } from './support/test-network.ts';

test('the example runs', async () => {
  const folder = fileURLToPath(new URL('..', import.meta.url));
  const example = /```ts\n([\s\S]*?)```/.exec(readFileSync(`${folder}README.md`, 'utf8'))?.[1];
  await using net = await TestNetwork.prepare({ swarms: [1] });
  copyFileSync(net.networkFile, net.folder.file('network.json'));
  // Beside the sources, where packages are found by name; run in a folder of its own.
  const path = `${folder}test/support/readme-example.generated.ts`;
  writeFileSync(path, example ?? '');
  const child = spawn(process.execPath, [path], { cwd: net.folder.path });
  let output = '';
  child.stdout.on('data', (part: Buffer) => {
    output += part.toString();
  });
  child.stderr.on('data', (part: Buffer) => {
    output += part.toString();
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  const { rmSync } = await import('node:fs');
  rmSync(path);
  expect(output).toMatch(/^[0-9a-f]{64} \{ https: \d+, omq: \d+ \}\n$/);
  expect(code).toBe(0);
});
