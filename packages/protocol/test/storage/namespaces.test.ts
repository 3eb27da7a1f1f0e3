// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import vectors from '../../../../vectors/storage-server.json' with { type: 'json' };
import {
  isOpenRetrieve,
  isPublicInbox,
  isPublicOutbox,
  isUnrevocable,
} from '../../src/storage/namespaces.ts';

test.each(vectors.namespaces.values)('namespace $namespace', (vector) => {
  expect(isPublicInbox(vector.namespace)).toBe(vector.public_inbox);
  expect(isPublicOutbox(vector.namespace)).toBe(vector.public_outbox);
  expect(isOpenRetrieve(vector.namespace)).toBe(vector.retrieve_without_auth);
  expect(isUnrevocable(vector.namespace)).toBe(vector.revoked_subaccount_may_retrieve);
});

test('a namespace has at most one of the writing rules', () => {
  for (let n = -32768; n <= 32767; n++)
    expect(isPublicInbox(n) && (isPublicOutbox(n) || isUnrevocable(n))).toBe(false);
});
