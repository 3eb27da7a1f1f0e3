// SPDX-License-Identifier: MIT
import { describe, expect, test } from 'vitest';
import { AddressRules, parseRange } from '../src/address-rules.ts';

describe('addresses for server relays (spec/storage-server §9.3.3)', () => {
  const rules = new AddressRules();

  test.each([
    '1.1.1.1',
    '8.8.8.8',
    '172.15.255.255',
    '172.32.0.1',
    '2606:4700:4700::1111',
    '::ffff:8.8.8.8',
    '64:ff9b::808:808',
  ])('allows %s', (address) => {
    expect(rules.allows(address)).toBe(true);
  });

  test.each([
    ['this host', '0.0.0.0'],
    ['this host', '::'],
    ['loopback', '127.0.0.1'],
    ['loopback', '127.255.255.254'],
    ['loopback', '::1'],
    ['mapped loopback', '::ffff:127.0.0.1'],
    ['mapped loopback in hex', '::ffff:7f00:1'],
    ['compatible loopback', '::7f00:1'],
    ['translated loopback', '::ffff:0:127.0.0.1'],
    ['private', '10.0.0.1'],
    ['private', '172.16.0.1'],
    ['private', '172.31.255.255'],
    ['private', '192.168.1.1'],
    ['private', 'fd00::1'],
    ['private', 'fc00::1'],
    ['site-local', 'fec0::1'],
    ['link-local', '169.254.1.1'],
    ['metadata', '169.254.169.254'],
    ['metadata of another cloud', '100.100.100.200'],
    ['metadata over IPv6', 'fd00:ec2::254'],
    ['link-local', 'fe80::1'],
    ['link-local with zone', 'fe80::1%eth0'],
    ['carrier-grade NAT', '100.64.0.1'],
    ['multicast', '224.0.0.1'],
    ['multicast', 'ff02::1'],
    ['broadcast', '255.255.255.255'],
    ['reserved', '240.0.0.1'],
    ['benchmarks', '198.18.0.1'],
    ['documentation', '2001:db8::1'],
    ['NAT64 of a private address', '64:ff9b::10.0.0.1'],
    ['NAT64 for local use', '64:ff9b:1::1'],
    ['6to4 of loopback', '2002:7f00:1::'],
    ['Teredo', '2001::1'],
    ['a name', 'localhost'],
    ['nothing', ''],
  ])('refuses %s: %s', (_, address) => {
    expect(rules.allows(address)).toBe(false);
  });

  test('exempt ranges pass, also in mapped form, and only they', () => {
    const open = new AddressRules(['127.0.0.0/8', 'fd00::/8']);
    expect(open.allows('127.0.0.1')).toBe(true);
    expect(open.allows('::ffff:127.0.0.1')).toBe(true);
    expect(open.allows('fd12::1')).toBe(true);
    expect(open.allows('10.0.0.1')).toBe(false);
    expect(open.allows('::1')).toBe(false);
  });
});

test('ranges', () => {
  expect(parseRange('10.0.0.0/8')).toEqual({ network: '10.0.0.0', prefix: 8, family: 'ipv4' });
  expect(parseRange('fd00::/8')).toEqual({ network: 'fd00::', prefix: 8, family: 'ipv6' });
  expect(parseRange('example.org/8')).toBeUndefined();
});
