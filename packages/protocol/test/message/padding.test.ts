// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { expect, test } from 'vitest';
import vectors from '../../../../vectors/client.json' with { type: 'json' };
import { fromHex, toHex } from '../../src/bytes.ts';
import { pad, unpad } from '../../src/message/padding.ts';

const { lengths, example, unpad_cases } = vectors.message_padding;

test.each(lengths)('$content_length bytes are padded to $padded_length_current', (vector) => {
  const content = new Uint8Array(vector.content_length).fill(7);
  expect(pad(content)).toHaveLength(vector.padded_length_current);
  const older = new Uint8Array(vector.padded_length_older_clients);
  older.set(content);
  older[content.length] = 0x80;
  expect(unpad(older)).toEqual(content);
});

test('the example is padded and unpadded, by the older rule too', () => {
  expect(toHex(pad(fromHex(example.content)))).toBe(example.padded_current);
  expect(toHex(unpad(fromHex(example.padded_current)))).toBe(example.content);
  expect(toHex(unpad(fromHex(example.padded_older_clients)))).toBe(example.content);
});

test.each(unpad_cases)('$input is unpadded to $output', ({ input, output }) => {
  expect(toHex(unpad(fromHex(input)))).toBe(output);
});

test('what was padded is found again, in a length that tells only the block', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1000 }), (content) => {
      const padded = pad(content);
      expect(padded.length % 160).toBe(0);
      expect(padded.length - content.length).toBeLessThanOrEqual(321);
      expect(unpad(padded)).toEqual(content);
    }),
  );
});
