// SPDX-License-Identifier: AGPL-3.0-or-later
// A full browser is told once, and once more when there is space again.
import { StorageError } from '@allium/client/storage';
import { expect, test } from 'vitest';
import { watchSpace } from '../src/worker/space.ts';

test('full, still full, another failure, space again', async () => {
  let failure: unknown;
  const fails = async () => {
    if (failure !== undefined) throw failure;
  };
  const [storage, files] = [{ write: fails }, { put: fails }];
  const told: boolean[] = [];
  watchSpace([storage, files], (full) => told.push(full));
  await storage.write();
  failure = new StorageError('full', 'no space');
  await expect(storage.write()).rejects.toBe(failure);
  await expect(files.put()).rejects.toBe(failure);
  failure = new StorageError('failed', 'something else');
  await expect(storage.write()).rejects.toBe(failure);
  expect(told).toEqual([true]);
  failure = undefined;
  await files.put();
  expect(told).toEqual([true, false]);
});
