// SPDX-License-Identifier: MIT
// What a regular expression stands for in an expected value (scripts/testing/setup.ts).
import { expect, test } from 'vitest';

test('a regular expression matches the texts that it describes, and nothing else', () => {
  const error = Object.assign(new Error('no such file'), { code: 404 });
  expect(error).toMatchObject({ message: /such/ });
  expect([{ a: { b: 'x' } }]).toEqual([{ a: { b: /^x$/ } }]);
  expect({ pattern: /x/ }).toEqual({ pattern: /x/ });
  expect(error).not.toMatchObject({ message: /other/ });
  expect([{ a: { b: 'x' } }]).not.toEqual([{ a: { b: /y/ } }]);
  expect(error).not.toMatchObject({ code: /500/ });
  for (const value of [404, null, undefined, true, {}, ['404'], new Date(0)]) {
    expect({ value }).not.toMatchObject({ value: /404/ });
    expect({ value }).not.toEqual({ value: /404/ });
  }
  expect({ pattern: /x/ }).not.toEqual({ pattern: /y/ });
});
