// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import { clientOf, forwardedAddress } from '../src/address.ts';

test.each([
  ['203.0.113.7', '203.0.113.7'],
  ['::ffff:203.0.113.7', '203.0.113.7'],
  ['::ffff:cb00:7107', '203.0.113.7'],
  ['2001:db8:0:1::1', '2001:db8:0:1'],
  ['2001:0db8::1:ffff:ffff:ffff:ffff', '2001:db8:0:1'],
  ['2001:db8:0:2::1', '2001:db8:0:2'],
  ['fe80::1%eth0', 'fe80:0:0:0'],
  ['::1', '0:0:0:0'],
  ['', undefined],
  ['localhost', undefined],
])('the client of %s is %s', (address, client) => {
  expect(clientOf(address)).toBe(client);
});

test.each([
  ['203.0.113.7', '203.0.113.7'],
  ['198.51.100.1, 203.0.113.7', '203.0.113.7'],
  [['198.51.100.1', '203.0.113.7'], '203.0.113.7'],
  ['203.0.113.7:52000', '203.0.113.7'],
  ['2001:db8::1', '2001:db8::1'],
  ['[2001:db8::1]', '2001:db8::1'],
  ['[2001:db8::1]:52000', '2001:db8::1'],
  ['203.0.113.7, unknown', undefined],
  ['203.0.113.7, _hidden', undefined],
  ['', undefined],
  [undefined, undefined],
])('a proxy that says %j means %s', (header, address) => {
  expect(forwardedAddress(header)).toBe(address);
});
