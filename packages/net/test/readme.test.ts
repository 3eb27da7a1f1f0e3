// SPDX-License-Identifier: MIT
// The example of the README runs as it stands there.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { printedByReadme } from '../../../scripts/testing/readme.ts';

test('the OMQ example answers', async () => {
  expect(await printedByReadme(join(import.meta.dirname, '..'))).toEqual([['{"version":[2,11,0]}']]);
});
