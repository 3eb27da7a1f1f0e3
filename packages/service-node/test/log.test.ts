// SPDX-License-Identifier: AGPL-3.0-or-later
// What the program's log makes of faults and of what peers say.
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';

const MAIN = JSON.stringify(new URL('../src/main.ts', import.meta.url).href);

/** Standard output of a program that logs with `call`. */
const logged = (logFormat: string, call: string) =>
  execFileSync(process.execPath, [
    ...['--input-type=module', '-e'],
    `import { makeLog } from ${MAIN}; makeLog({ logLevel: 'info', logFormat: '${logFormat}' })${call};`,
  ]).toString();

test.each(['json', 'pretty'])('a fault is logged with its message and place (%s)', (format) => {
  const line = logged(
    format,
    ".child({ id: 'a' }).error({ error: new RangeError('too deep') }, 'handler failed')",
  );
  expect(line).toContain('handler failed');
  expect(line).toMatch(/RangeError: too deep[\s\S]*at /);
});

test('escape sequences do not reach the terminal', () => {
  const line = logged('pretty', ".warn({ answer: 'red \\u001b[31m\\u009b0m' }, 'odd')");
  expect(line).toContain('answer=red \ufffd[31m\ufffd0m');
});
