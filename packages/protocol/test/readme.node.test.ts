// SPDX-License-Identifier: MIT
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { isSigned, opened, shown } from './readme-example.ts';

test('the example of the README is the file that runs here, and it works', () => {
  const read = (...path: string[]) => readFileSync(join(import.meta.dirname, ...path), 'utf8');
  const example = read('readme-example.ts').replace(/^(\/\/.*\n)+/, '');
  expect(read('..', 'README.md')).toContain(`\`\`\`ts\n${example}\`\`\``);
  expect(shown).toMatch(/^Account\(05[0-9a-f]{6}…[0-9a-f]{4}\)$/);
  expect(isSigned).toBe(true);
  expect(opened).toBe('only for Alice');
});
