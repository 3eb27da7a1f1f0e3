// SPDX-License-Identifier: MIT
// The example of the README runs as it stands there.
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test, vi } from 'vitest';

const root = join(import.meta.dirname, '..');

test('the quorum of the example votes', async () => {
  const example = /```ts\n([\s\S]*?)```/.exec(readFileSync(join(root, 'README.md'), 'utf8'))?.[1] ?? '';
  // Beside the tests, so that package names resolve.
  const folder = await mkdtemp(join(root, 'test', 'readme-'));
  const log = vi.spyOn(console, 'log').mockImplementation(() => {});
  try {
    const file = join(folder, 'example.ts');
    await writeFile(file, example);
    await import(/* @vite-ignore */ pathToFileURL(file).href);
    expect(log.mock.calls).toEqual([['10 voted, 7 are enough']]);
  } finally {
    log.mockRestore();
    await rm(folder, { recursive: true });
  }
});
