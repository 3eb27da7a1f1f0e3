// SPDX-License-Identifier: MIT
// Both implementations side by side, in Node, which can run the two.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import * as node from '../../src/text-encoding/node.ts';
import * as web from '../../src/text-encoding/web.ts';

test('node and web export the same names', () => {
  expect(Object.keys(web).sort()).toEqual(Object.keys(node).sort());
});

test('node and web encode and decode alike', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.string({ unit: 'binary', maxLength: 90 }),
      (bytes, text) => {
        expect(web.encodeHex(bytes)).toBe(node.encodeHex(bytes));
        expect(web.encodeBase64(bytes)).toBe(node.encodeBase64(bytes));
        expect(web.encodeLatin1(bytes)).toBe(node.encodeLatin1(bytes));
        expect(web.decodeUtf8(bytes)).toBe(node.decodeUtf8(bytes));
        expect(web.encodeUtf8(text)).toEqual(node.encodeUtf8(text));
        expect(web.decodeLatin1(text)).toEqual(node.decodeLatin1(text));
      },
    ),
    { numRuns: 500 },
  );
});

test('node and web take the same base64', () => {
  const unit = fc.constantFrom(...'AZaz09+/-_= \n\u0141\u0000é');
  const near = fc.oneof(
    fc.string({ unit, maxLength: 24 }),
    fc.tuple(fc.uint8Array({ maxLength: 200 }), unit, fc.nat()).map(([bytes, wrong, at]) => {
      const text = web.encodeBase64(bytes).replaceAll('=', '');
      const i = at % (text.length + 1);
      return text.slice(0, i) + wrong + text.slice(i + 1);
    }),
  );
  fc.assert(
    fc.property(near, (text) => {
      if (text.length % 4 === 1) return; // bytes.ts has refused it
      const length = Math.floor((text.length * 3) / 4);
      expect(node.decodeBase64(text, length), JSON.stringify(text)).toEqual(web.decodeBase64(text, length));
    }),
    { numRuns: 3000 },
  );
});
