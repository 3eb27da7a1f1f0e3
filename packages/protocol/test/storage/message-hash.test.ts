// SPDX-License-Identifier: MIT
import { expect, test } from 'vitest';
import clientVectors from '../../../../vectors/client.json' with { type: 'json' };
import vectors from '../../../../vectors/storage-server.json' with { type: 'json' };
import { fromBase64, fromHex, toBase64Unpadded } from '../../src/bytes.ts';
import { messageHash, messageHashText } from '../../src/storage/message-hash.ts';

test.each(vectors.message_hash)('hash $hash', ({ pubkey, namespace, data_base64, hash }) => {
  const data = fromBase64(data_base64);
  expect(messageHashText(fromHex(pubkey), namespace, data)).toBe(hash);
  expect(toBase64Unpadded(messageHash(fromHex(pubkey), namespace, data))).toBe(hash);
});

test('the vectors of the client', () => {
  const { pubkey, data_base64, namespace_0, namespace_3, namespace_minus_21 } = clientVectors.message_hash;
  const hash = (namespace: number) => messageHashText(fromHex(pubkey), namespace, fromBase64(data_base64));
  expect([hash(0), hash(3), hash(-21)]).toEqual([namespace_0, namespace_3, namespace_minus_21]);
});
