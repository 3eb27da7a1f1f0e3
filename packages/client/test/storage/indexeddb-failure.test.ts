// SPDX-License-Identifier: MIT
// Failures of the browser's database are told apart.
import { expect, test } from 'vitest';
import { indexedDbFailure } from '../../src/storage/indexeddb-failure.ts';
import { StorageError } from '../../src/storage/storage.ts';

test.each([
  ['the quota itself', new DOMException('no space', 'QuotaExceededError'), 'full'],
  [
    'an aborted transaction because of the quota',
    Object.assign(new Error('aborted'), { cause: new DOMException('no space', 'QuotaExceededError') }),
    'full',
  ],
  ['an aborted transaction', new DOMException('aborted', 'AbortError'), 'failed'],
  ['nothing', undefined, 'failed'],
  ['what is told already', new StorageError('wrong_key', 'another key'), 'wrong_key'],
])('%s', (_, cause, code) => {
  expect(indexedDbFailure(cause, 'the change could not be written')).toMatchObject({ code });
});
