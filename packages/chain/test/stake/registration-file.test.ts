// SPDX-License-Identifier: MIT
import { ed25519KeyPair } from '@allium/protocol/crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hexOf } from '../../src/packed.ts';
import { signRegistration } from '../../src/registration.ts';
import {
  encodeRegistrationFile,
  parseRegistrationFile,
  type RegistrationFile,
  RegistrationFileError,
} from '../../src/stake/registration-file.ts';

const pair = ed25519KeyPair(new Uint8Array(32).fill(7));
const facts = {
  chainId: 42161,
  registry: `0x${'11'.repeat(20)}`,
  operator: `0x${'22'.repeat(20)}`,
  votingKey: `0x${'33'.repeat(20)}`,
  beaconAnchor: `0x${'44'.repeat(32)}`,
} as const;
const file: RegistrationFile = {
  ...facts,
  ed25519: hexOf(pair.publicKey),
  signature: hexOf(signRegistration(facts, pair.secretKey)),
};

test('what is written is read', () => {
  expect(parseRegistrationFile(encodeRegistrationFile(file))).toEqual(file);
});

test.each(['chainId', 'registry', 'operator', 'votingKey', 'beaconAnchor', 'ed25519'] as const)(
  'a file whose %s was changed is refused',
  (name) => {
    const changed = name === 'chainId' ? 1 : `0x${'55'.repeat((file[name].length - 2) / 2)}`;
    const text = encodeRegistrationFile({ ...file, [name]: changed });
    expect(() => parseRegistrationFile(text)).toThrow(expect.objectContaining({ code: 'bad_signature' }));
  },
);

test('nothing but a registration file is taken for one, and the error is ours', () => {
  const whole = JSON.parse(encodeRegistrationFile(file)) as Record<string, unknown>;
  const anyField = fc.tuple(fc.constantFrom(...Object.keys(whole)), fc.jsonValue());
  fc.assert(
    fc.property(fc.oneof(fc.string(), anyField), (input) => {
      const text = typeof input === 'string' ? input : JSON.stringify({ ...whole, [input[0]]: input[1] });
      try {
        expect(parseRegistrationFile(text)).toEqual(file);
      } catch (error) {
        expect(error).toBeInstanceOf(RegistrationFileError);
      }
    }),
    { numRuns: 300 },
  );
  expect(() => parseRegistrationFile(' '.repeat(10_000))).toThrow(RegistrationFileError);
});
