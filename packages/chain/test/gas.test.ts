// SPDX-License-Identifier: MIT
// No operation costs more than its budget, or otherwise than the committed table says (spec/chain §4.26).
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { BUDGETS, gasProblems, measureGas } from './support/gas.ts';

const committed = JSON.parse(readFileSync(join(import.meta.dirname, '../bench/gas.json'), 'utf8'));

test('every operation stays in its budget and within a hundredth of the committed table', async () => {
  const measured = await measureGas();
  expect(Object.keys(measured)).toEqual(Object.keys(BUDGETS));
  expect(gasProblems(measured, committed)).toEqual([]);
});

test('what costs more, or is missing, is named', () => {
  const worse = { ...committed, reveal: committed.reveal * 1.02, withdrawStake: 70_000 };
  delete worse.requestExit;
  expect(gasProblems(worse, committed).map(({ row }) => row)).toEqual([
    'reveal',
    'withdrawStake',
    'withdrawStake',
    'requestExit',
  ]);
});
