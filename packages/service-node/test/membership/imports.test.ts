// SPDX-License-Identifier: AGPL-3.0-or-later
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';

/** The files that a fresh process loads for an import. */
function loadedBy(path: string): string[] {
  const script = `
    import { registerHooks } from 'node:module';
    const urls = new Set();
    registerHooks({ load(url, context, next) { urls.add(url); return next(url, context); } });
    await import(${JSON.stringify(new URL(path, import.meta.url).href)});
    console.log(JSON.stringify([...urls]));
  `;
  const out = execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  return JSON.parse(out) as string[];
}

test('a node of a signed list loads nothing that reads a chain', () => {
  const files = loadedBy('../../src/main.ts');
  expect(files.length).toBeGreaterThan(50);
  expect(files.filter((url) => /viem|chain-network|open-chain|follower/.test(url))).toEqual([]);
});
