// SPDX-License-Identifier: MIT
// The example of the README runs as it stands there.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { printedByReadme } from '../../../scripts/testing/readme.ts';

test('the quorum of the example votes', async () => {
  expect(await printedByReadme(join(import.meta.dirname, '..'))).toEqual([['10 voted, 7 are enough']]);
});
