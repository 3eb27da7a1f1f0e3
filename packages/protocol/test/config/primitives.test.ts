// SPDX-License-Identifier: MIT
// What configs are made with, held against the vectors that come with them (spec/config-and-groups §5.1, §5.4, §5.6).
import { describe, expect, test } from 'vitest';
import { blake2b, ed25519SecretKeyToX25519 } from '#crypto';
import { concat, fromHex, toHex } from '../../src/bytes.ts';
import { Account } from '../../src/identity/account.ts';
import { MessageError, openText, sealText, sealTextDeterministic } from '../../src/message/encryption-v1.ts';
import { vectorsOf } from './vectors.ts';

describe('between two accounts', () => {
  test.each(vectorsOf('session_encrypt'))('$id', (vector) => {
    const sender = Account.fromSeed(fromHex(vector.sender_seed));
    const recipient = Account.fromSeed(fromHex(vector.recipient_seed));
    expect([sender.id, recipient.id]).toEqual([vector.sender_session_id, vector.recipient_session_id]);
    const message = fromHex(vector.message);
    const inner = concat(
      message,
      sender.ed25519Key,
      sender.sign(concat(message, sender.ed25519Key, recipient.x25519Key)),
    );
    expect(toHex(inner)).toBe(vector.signed_inner);
    const deterministic = sealTextDeterministic(message, sender, recipient.x25519Key);
    expect(toHex(deterministic)).toBe(vector.deterministic_ciphertext);
    const [ephemeral] = vector.ephemeral_seckey;
    expect(toHex(sealText(message, sender, recipient.x25519Key, fromHex(ephemeral)))).toBe(
      vector.random_ciphertext,
    );
    expect(() => openText(fromHex(vector.tampered), recipient)).toThrow(MessageError);
    // A message without text is none (spec/client §4.3).
    if (message.length === 0) return;
    const opened = openText(fromHex(vector.random_ciphertext), recipient);
    expect([opened.sender, opened.text]).toEqual([sender.id, message]);
  });
});

test.each(
  [...vectorsOf('key_conversion'), ...vectorsOf('key_conversion_published')].flatMap(({ cases }) => cases),
)('keys of the seed $seed', (one) => {
  const account = Account.fromSeed(fromHex(one.seed));
  expect(account.id).toBe(one.session_id);
  if (one.ed25519_secret64 === undefined) return;
  expect([toHex(account.ed25519Key), toHex(account.x25519Key)]).toEqual([
    one.ed25519_pubkey,
    one.x25519_pubkey,
  ]);
  expect(toHex(ed25519SecretKeyToX25519(fromHex(one.ed25519_secret64)))).toBe(one.x25519_seckey);
});

test.each(vectorsOf('blake2b').flatMap(({ cases }) => cases))(
  'BLAKE2b of $message, $size bytes, key $key',
  (one) => {
    const options = one.key === null ? {} : { key: fromHex(one.key) };
    expect(toHex(blake2b(fromHex(one.message), one.size, options))).toBe(one.hash);
  },
);
