// SPDX-License-Identifier: MIT
// Runs the example of a package's README as it stands there.
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { vi } from 'vitest';

/**
 * @param packageFolder where README.md is
 * @returns the arguments of each `console.log` of its first block of TypeScript
 */
export async function printedByReadme(packageFolder: string): Promise<unknown[][]> {
  const readme = readFileSync(join(packageFolder, 'README.md'), 'utf8');
  const example = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? '';
  // Beside the tests, so that package names resolve.
  const folder = await mkdtemp(join(packageFolder, 'test', 'readme-'));
  const log = vi.spyOn(console, 'log').mockImplementation(() => {});
  // Where examples have their files.
  vi.stubEnv('TMPDIR', folder);
  try {
    const file = join(folder, 'example.ts');
    await writeFile(file, example);
    await import(/* @vite-ignore */ pathToFileURL(file).href);
    return [...log.mock.calls];
  } finally {
    vi.unstubAllEnvs();
    log.mockRestore();
    await rm(folder, { recursive: true });
  }
}
