// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isCanonicalIp } from '../../src/membership/ip-address.ts';

test.each([
  '0.0.0.0',
  '1.2.3.4',
  '255.255.255.255',
  '10.0.0.100',
  '::',
  '::1',
  '1::',
  '2001:db8::1',
  '2001:db8:0:1:1:1:1:1',
  '2001:0:0:1::1',
  '2001:db8::1:0:0:1',
  '64:ff9b::102:304',
  '1:2:3:4:5:6:7:8',
  'fe80::abcd:ef01:2345:6789',
])('%s is canonical', (text) => {
  expect(isCanonicalIp(text)).toBe(true);
});

test.each([
  '',
  '1.2.3',
  '1.2.3.4.5',
  '1.2.3.4.',
  '.1.2.3.4',
  '1..2.3',
  '256.1.1.1',
  '01.2.3.4',
  '1.2.3.04',
  ' 1.2.3.4',
  '1.2.3.4\n',
  '0x1.2.3.4',
  'a.example',
  ':',
  ':::',
  '1:2:3:4:5:6:7',
  '1:2:3:4:5:6:7:8:9',
  '1::2::3',
  '2001:DB8::1',
  '2001:0db8::1',
  '2001:db8:0:0::1',
  '2001:db8::1:1:1:1:1',
  '0:0:0:0:0:0:0:1',
  '1:0:0:2:0:0:0:3',
  '2001::1:0:0:0:1',
  '::ffff:1.2.3.4',
  '::ffff:102:304',
  'fe80::1%eth0',
  '[::1]',
  '12345::',
  '1:2:3:4:5:6:7:',
  ':1:2:3:4:5:6:7',
])('%s is not', (text) => {
  expect(isCanonicalIp(text)).toBe(false);
});

test('every IPv4 address has its text', () => {
  fc.assert(fc.property(fc.ipV4(), (text) => isCanonicalIp(text)));
});

test('of the texts of an IPv6 address, that of the URL standard is canonical, and no other', () => {
  fc.assert(
    fc.property(fc.ipV6(), (text) => {
      const canonical = new URL(`http://[${text}]/`).hostname.slice(1, -1);
      expect(isCanonicalIp(text)).toBe(text === canonical && !canonical.startsWith('::ffff:'));
      expect(isCanonicalIp(canonical)).toBe(!canonical.startsWith('::ffff:'));
    }),
  );
});
