// SPDX-License-Identifier: MIT
// The table in README.md, sentence of spec/chain §5.3 "Contract" → test, names only tests that exist.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const read = (path: string) => readFileSync(join(import.meta.dirname, path), 'utf8');
const rows = read('README.md')
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| ---') && !line.startsWith('| Sentence'))
  .map((line) => line.slice(2, -2).split(' | ') as [sentence: string, file: string, name: string]);

test('each row names a test that is there', () => {
  expect(rows.length).toBeGreaterThan(70);
  for (const [sentence, file, name] of rows) {
    const text = read(file);
    // Names of a template stand as keys of a table.
    const isThere = [`test('${name}`, `test("${name}`, `    ${name}: async`].some((start) =>
      text.includes(start),
    );
    expect([sentence, isThere]).toEqual([sentence, true]);
  }
});
