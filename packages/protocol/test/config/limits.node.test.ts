// SPDX-License-Identifier: MIT
// How much a config takes in of what somebody with the account's keys has stored. In Node only, for their size.
import { expect, test } from 'vitest';
import { blake2b } from '#crypto';
import { fromBinary, toBinary, utf8 } from '../../src/bytes.ts';
import { Config } from '../../src/config/config.ts';
import { encryptConfig, packPlaintext, padConfig } from '../../src/config/encryption.ts';
import { EMPTY_VERSION, serializeVersion } from '../../src/config/message.ts';

const NOW = 1_767_225_600_000;
const KEY = new Uint8Array(32).fill(7);
const make = () => new Config({ domain: 'Test', keys: [KEY] });
const seal = (plaintext: Uint8Array) => encryptConfig(padConfig(plaintext), KEY, 'Test');

test('more than fits into memory is merged in steps', () => {
  const version = (n: number) => {
    const data = new Map([[`k${n}`, 'x'.repeat(7_000_000)]]);
    const diff = new Map([[`k${n}`, '' as const]]);
    const { plaintext } = serializeVersion({ ...EMPTY_VERSION, seqno: 1, data, diff });
    return { hash: `${n}`, data: seal(packPlaintext(plaintext, true)) };
  };
  const config = make();
  const result = config.merge([version(1), version(2), version(3), version(4)], NOW);
  expect(result).toMatchObject({ accepted: ['1', '2', '3', '4'], refused: [], changed: true });
  for (const n of [1, 2, 3, 4]) expect(config.get(`k${n}`)).toHaveLength(7_000_000);
});

test('unfinished parts have a limit', () => {
  const config = make();
  const chunk = 'x'.repeat(76_000);
  for (let i = 0; i < 400; i++) {
    const id = toBinary(blake2b(utf8(`${i}`), 32));
    const piece = fromBinary(`ml32:${id}1:\x001:\xff${chunk.length}:${chunk}e`);
    config.merge([{ hash: `${i}`, data: encryptConfig(piece, KEY, 'Test') }], NOW);
  }
  const held = config.activeHashes(NOW);
  expect(held.length).toBeGreaterThan(200);
  expect(held.length).toBeLessThan(300);
  expect(held).toContain('399');
});
