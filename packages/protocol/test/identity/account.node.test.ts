// SPDX-License-Identifier: MIT
import { format, inspect } from 'node:util';
import { expect, test } from 'vitest';
import { Account } from '../../src/identity/account.ts';

test('what console.log prints of an account holds nothing but the short id', () => {
  const account = Account.fromSeed(new Uint8Array(16).fill(0x41));
  const short = `Account(${account.id.slice(0, 8)}…${account.id.slice(-4)})`;
  expect(format(account)).toBe(short);
  expect(format('%s %o %O %j', account, account, account, account)).toBe(
    `${short} ${short} ${short} "${short}"`,
  );
  expect(inspect({ deep: [account] }, { depth: 10 })).toBe(`{ deep: [ ${short} ] }`);
  const raw = inspect(account, { customInspect: false, showHidden: true, depth: 10 });
  expect(raw).not.toContain('65, 65, 65');
  expect(raw).not.toContain('41 41 41');
});
