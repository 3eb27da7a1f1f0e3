// SPDX-License-Identifier: MIT
import { ParseError } from '@allium/protocol/errors';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseGatewayNetwork } from '../src/browser/browser.ts';

const KEY = 'ab'.repeat(32);
const whole = {
  version: 1,
  network: 'main',
  id: 'ab12',
  nodes: 3,
  file_servers: [{ url: 'http://files.example', ed25519_key: KEY }],
  entries: [{ url: 'https://node.example:22021', ed25519_key: KEY }],
};

test('reads what a gateway says of its network', () => {
  expect(parseGatewayNetwork(JSON.stringify(whole))).toEqual({
    ...{ network: 'main', id: 'ab12', nodes: 3, anchor: undefined },
    fileServers: [{ url: 'http://files.example', ed25519Hex: KEY }],
    entries: [{ url: 'https://node.example:22021', ed25519Hex: KEY }],
  });
  expect(parseGatewayNetwork('{"network":"local","nodes":0}')).toMatchObject({ id: '', entries: [] });
});

test.each<[string, object]>([
  ['an unknown network', { network: 'moon' }],
  ['a name that objects have', { network: 'constructor' }],
  ['an id that is none', { id: '../x' }],
  ['no number of nodes', { nodes: -1 }],
  ['a file server with a path', { file_servers: [{ url: 'http://a.example/x', ed25519_key: KEY }] }],
  ['another scheme', { file_servers: [{ url: 'javascript:alert(1)', ed25519_key: KEY }] }],
  ['an entry without TLS', { entries: [{ url: 'http://node.example', ed25519_key: KEY }] }],
  ['a key that is none', { entries: [{ url: 'https://node.example', ed25519_key: 'x' }] }],
  ['too many', { entries: new Array(17).fill(whole.entries[0]) }],
  ['no list', { entries: 'x' }],
  ['an anchor that is none', { anchor: '{}' }],
])('refuses %s', (_, change) => {
  expect(() => parseGatewayNetwork(JSON.stringify({ ...whole, ...change }))).toThrow(ParseError);
});

test('refuses any other text with a ParseError', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      try {
        parseGatewayNetwork(text);
      } catch (error) {
        expect(error).toBeInstanceOf(ParseError);
      }
    }),
  );
});
