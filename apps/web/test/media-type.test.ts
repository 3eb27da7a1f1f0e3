// SPDX-License-Identifier: AGPL-3.0-or-later
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mediaTypeOf } from '../src/components/media-type.ts';
import { resample } from '../src/components/voice-recorder.ts';

const file = (begin: string): Uint8Array => {
  const bytes = new Uint8Array(32);
  bytes.set(Uint8Array.from(begin, (letter) => letter.charCodeAt(0)));
  return bytes;
};

test.each([
  ['\x89PNG\r\n\x1a\n', 'image/png'],
  ['\xff\xd8\xff\xe0', 'image/jpeg'],
  ['GIF89a', 'image/gif'],
  ['RIFF....WEBPVP8 ', 'image/webp'],
  ['\x1aE\xdf\xa3', 'audio/webm'],
  ['OggS', 'audio/ogg'],
  ['....ftypM4A ', 'audio/mp4'],
  ['<svg xmlns="http://www.w3.org', undefined],
  ['<!doctype html><script>', undefined],
  ['MZ\x90\x00', undefined],
])('%j is %s', (begin, type) => {
  expect(mediaTypeOf(file(begin))).toBe(type);
});

test('any bytes give one of the types that can be shown, or none', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      expect(mediaTypeOf(bytes) ?? 'image/none').toMatch(/^(?:image|audio)\/[a-z0-9]+$/);
    }),
  );
});

test('a wave form has its number of bars whatever the length, and keeps the peaks', () => {
  expect(resample([], 4)).toEqual([0, 0, 0, 0]);
  expect(resample([0.5], 3)).toEqual([0.5, 0.5, 0.5]);
  expect(resample([0, 1, 0, 0, 0.2, 0, 0, 0.4], 4)).toEqual([1, 0, 0.2, 0.4]);
});
