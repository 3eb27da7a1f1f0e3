// SPDX-License-Identifier: MIT
// Gas of each operation of the contracts against its budget (spec/chain §4.26) and the committed table gas.json.
// `npm run bench -- gas`; exit code 1 when a row is over its budget or more than 1 % beside the table.
// `npm run bench -- gas --write` commits the new figures to gas.json.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BUDGETS, gasProblems, measureGas } from '../test/support/gas.ts';

const TABLE = join(import.meta.dirname, 'gas.json');

export async function run(): Promise<void> {
  const measured = await measureGas();
  if (process.argv.includes('--write')) writeFileSync(TABLE, `${JSON.stringify(measured, undefined, 2)}\n`);
  const committed = JSON.parse(readFileSync(TABLE, 'utf8')) as Record<string, number>;
  console.log('| operation | gas | committed | budget |\n| --- | --- | --- | --- |');
  for (const [row, gas] of Object.entries(measured)) {
    const budget = (BUDGETS as Record<string, number>)[row];
    console.log(`| ${[row, gas, committed[row] ?? 'none', budget].join(' | ')} |`);
  }
  for (const { row, why } of gasProblems(measured, committed)) {
    console.error(`${row}: ${why}`);
    process.exitCode = 1;
  }
}
