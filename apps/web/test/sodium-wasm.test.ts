// SPDX-License-Identifier: AGPL-3.0-or-later
// libsodium's WASM leaves its script as it was in there.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { sodiumWasm } from '../sodium-wasm.ts';

interface Asset {
  readonly type: string;
  readonly source: Uint8Array<ArrayBuffer>;
}

const transform = sodiumWasm().transform as (
  this: { emitFile(file: Asset): string },
  code: string,
  id: string,
) => { readonly code: string } | undefined;

// The module that the build takes stands beside the one that `require` finds.
const packageFolder = join(dirname(createRequire(import.meta.url).resolve('libsodium-sumo')), '../..');
const id = join(packageFolder, 'dist/modules-sumo-esm/libsodium-sumo.mjs');
const run = (code: string, path = id) => {
  const files: Asset[] = [];
  const emitFile = (file: Asset) => {
    files.push(file);
    return 'REF';
  };
  return { result: transform.call({ emitFile }, code, path), files };
};

test('the WASM becomes a file of the same bytes, and its script fetches it', () => {
  const code = readFileSync(id, 'utf8');
  const { result, files } = run(code);
  expect(files.map(({ type }) => type)).toEqual(['asset']);
  const [{ source }] = files as [Asset];
  expect(WebAssembly.validate(source)).toBe(true);
  expect(code).toContain(`"${Buffer.from(source).toString('base64')}"`);
  expect(result?.code).toContain('fetch(import.meta.ROLLUP_FILE_URL_REF)');
  expect(result?.code.length).toBeLessThan(code.length - source.length);
});

test('other modules stay as they are, and a libsodium of another form stops the build', () => {
  expect(run('export {}', '/x/other.mjs')).toEqual({ result: undefined, files: [] });
  expect(() => run('export {}')).toThrow(/no WASM/);
});
