// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';

test('a regular expression in the place of a text must match it', async () => {
  expect({ said: 'a port is taken' }).toMatchObject({ said: /port/ });
  expect({ said: 'a port is taken' }).not.toMatchObject({ said: /disk/ });
  expect(['a port is taken']).not.toEqual([/disk/]);
  await expect(Promise.reject(new Error('a port is taken'))).rejects.not.toMatchObject({ message: /disk/ });
});
