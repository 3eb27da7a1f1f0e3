// SPDX-License-Identifier: MIT
// Runs before each test file. In `toMatchObject` and `toEqual` a regular expression stands for every text that it matches: without
// this vitest takes it for equal to anything, and such a test could not fail.
import { expect } from 'vitest';

expect.addEqualityTesters([
  (actual: unknown, expected: unknown) =>
    expected instanceof RegExp && !(actual instanceof RegExp)
      ? typeof actual === 'string' && expected.test(actual)
      : undefined,
]);
