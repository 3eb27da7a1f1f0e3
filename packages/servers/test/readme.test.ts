// SPDX-License-Identifier: AGPL-3.0-or-later
// The example of the README runs as it stands there.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { printedByReadme } from '../../../scripts/testing/readme.ts';

test('the file of the example comes back', async () => {
  expect(await printedByReadme(join(import.meta.dirname, '..'))).toEqual([['as encrypted by who sends it']]);
});
