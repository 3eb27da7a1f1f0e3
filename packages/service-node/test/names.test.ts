// SPDX-License-Identifier: AGPL-3.0-or-later
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { accountIdOf } from '@allium/protocol/account-id';
import { fromBase64, toHex } from '@allium/protocol/bytes';
import { ParseError } from '@allium/protocol/errors';
import { type Json, parseJson } from '@allium/protocol/json';
import { nameHash, openNameValue, parseNameAnswer, parseSessionName } from '@allium/protocol/session-name';
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { NameBook, NamesFileError } from '../src/names.ts';

const folder = mkdtempSync(join(tmpdir(), 'allium-names-'));
afterAll(() => rmSync(folder, { recursive: true }));

const ID = accountIdOf(new Uint8Array(32).fill(9));
const NAME = parseSessionName('alice');
const book = new NameBook({ Alice: ID });
const ask = (name_hash: string, type = 0) => book.answer({ type, name_hash });

test('whoever knows the name learns the account; the hash is taken in hex and in base64', () => {
  const base64 = nameHash(NAME);
  const answer = ask(base64);
  expect(openNameValue(NAME, parseNameAnswer(parseJson(answer))!)).toBe(ID);
  expect(ask(base64.replace('=', ''))).toBe(answer);
  expect(ask(toHex(fromBase64(base64)))).toBe(answer);
  expect(ask(toHex(fromBase64(base64)).toUpperCase())).toBe(answer);
  expect(new NameBook({ alice: ID, bob: ID }).answer({ type: 0, name_hash: base64 })).toBe(answer);
});

test('what is not there has no value', () => {
  expect(ask(nameHash(parseSessionName('bob')))).toBe('{}');
  expect(ask(nameHash(NAME), 2)).toBe('{}');
});

test.each([
  undefined,
  null,
  {},
  [],
  'x',
  { type: 0 },
  { type: '0', name_hash: '00' },
  { type: 0, name_hash: 'x' },
  { type: 0, name_hash: 'z'.repeat(64) },
  { type: 0, name_hash: '='.repeat(44) },
])('refuses %j', (params) => {
  expect(() => book.answer(params as Json)).toThrow(ParseError);
});

test('any question gets an answer or a ParseError', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (params) => {
      try {
        expect(JSON.parse(book.answer(params as Json))).toBeTypeOf('object');
      } catch (error) {
        expect(error).toBeInstanceOf(ParseError);
      }
    }),
  );
});

test('a file: read, or refused with the reason', () => {
  const path = join(folder, 'names.json');
  writeFileSync(path, JSON.stringify({ alice: ID, 'b-o_b': ID }));
  expect(NameBook.read(path).size).toBe(2);
  for (const [text, reason] of [
    ['', /JSON/],
    ['[]', /no object/],
    ['{"alice":7}', /"alice" has no account id/],
    ['{"alice":"05"}', /66 hex digits/],
    [`{"-":"${ID}"}`, /a name has/],
    [`{"alice":"${ID}","ALICE":"${ID}"}`, /there twice/],
  ] as const) {
    writeFileSync(path, text);
    expect(() => NameBook.read(path)).toThrow(NamesFileError);
    expect(() => NameBook.read(path)).toThrow(reason);
  }
  expect(() => NameBook.read(join(folder, 'nothing'))).toThrow(NamesFileError);
});
