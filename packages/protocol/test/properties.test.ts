// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { expect, test } from 'vitest';

test('properties try the same values in every run', () => {
  expect(fc.readConfigureGlobal().seed).toSatisfy(Number.isSafeInteger);
  expect(fc.sample(fc.integer(), 5)).toEqual(fc.sample(fc.integer(), 5));
});
