// SPDX-License-Identifier: AGPL-3.0-or-later
// The captures would notice: what was sent in a frame is found in every form.
import { expect, test } from 'vitest';
import { formsOf, unmasked } from '../e2e/recorder.ts';

function frame(content: Buffer): Buffer {
  const mask = Buffer.from([9, 200, 33, 71]);
  const masked = Buffer.from(content.map((byte, i) => byte ^ mask[i % 4]!));
  const head = Buffer.from([0x82, 0x80 | 126, content.length >> 8, content.length & 255]);
  return Buffer.concat([head, mask, masked]);
}

test('frames of clients are unmasked', () => {
  const stream = Buffer.concat([
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    frame(Buffer.from('first')),
    frame(Buffer.alloc(300, 'x')),
  ]);
  expect(unmasked(stream).toString()).toBe(`GET / HTTP/1.1first${'x'.repeat(300)}`);
});

test('a secret is found as text, as bytes, and in base64 at any place', () => {
  const id = `05${'c3'.repeat(32)}`;
  const forms = formsOf(id);
  const shows = (bytes: Buffer) => forms.some((form) => bytes.includes(form));
  expect(shows(Buffer.from(`to ${id}`))).toBe(true);
  expect(shows(Buffer.from(id.slice(2), 'hex'))).toBe(true);
  for (const before of ['', 'a', 'ab', 'abc']) {
    expect(shows(Buffer.from(Buffer.from(before + id).toString('base64')))).toBe(true);
    expect(
      shows(
        Buffer.from(Buffer.concat([Buffer.from(before), Buffer.from(id.slice(2), 'hex')]).toString('base64')),
      ),
    ).toBe(true);
  }
  expect(shows(Buffer.from('nothing of it'))).toBe(false);
});
