// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseAddress, withChecksum } from '../../src/address.ts';
import { InputError } from '../../src/input-error.ts';
import { ether, parseTokens, tokens } from '../../src/stake/amounts.ts';

test('amounts are read as they are written', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 1n, max: 10n ** 20n }), (amount) => {
      expect(parseTokens(tokens(amount))).toBe(amount);
    }),
  );
  expect(parseTokens('0.5')).toBe(500_000_000n);
});

test.each(['', '0', '0.0', '-1', '1e3', '1,5', '.5', '5.', '0.0000000001', '9'.repeat(13), '1 '])(
  'no amount: %j',
  (text) => {
    expect(() => parseTokens(text)).toThrow(InputError);
  },
);

test.each([
  [0n, '0'],
  [10n ** 18n, '1'],
  [123_456_789_012_345n, '0.000123456'],
  [1_500_000_000_000_000_000n, '1.5'],
  [7n, '0.000000000000000007'],
])('%s wei', (wei, text) => {
  expect(ether(wei)).toBe(text);
});

// The examples of EIP-55.
test.each([
  '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed',
  '0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359',
  '0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB',
])('the checksum of %s', (address) => {
  expect(withChecksum(parseAddress(address))).toBe(address);
  const slip = address.replace(/[a-f](?=[^a-f]*$)/, (letter) => letter.toUpperCase());
  expect(() => parseAddress(slip)).toThrow('slip');
});

test.each([
  '',
  '0x',
  '5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed',
  `0x${'g'.repeat(40)}`,
  `0x${'1'.repeat(41)}`,
])('no address: %j', (text) => {
  expect(() => parseAddress(text)).toThrow(InputError);
});
