// SPDX-License-Identifier: MIT
// Attachments, avatars and file addresses: vectors of spec/client §5, properties, and what must be refused.

import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sha256 } from '#crypto';
import vectors from '../../../../vectors/client.json' with { type: 'json' };
import serverVectors from '../../../../vectors/community-and-file-servers.json' with { type: 'json' };
import { concat, fromBase64, fromHex, toHex } from '../../src/bytes.ts';

import { ParseError } from '../../src/errors.ts';
import {
  DeterministicHasher,
  DeterministicOpener,
  DeterministicSealer,
  deterministicLength,
  deterministicPadding,
  FileDomain,
  MAX_DETERMINISTIC_BYTES,
  openDeterministic,
  sealDeterministic,
} from '../../src/files/deterministic.ts';
import { FileError } from '../../src/files/file-error.ts';
import {
  MAX_ATTACHMENT_BYTES,
  openAttachment,
  openAvatar,
  paddedAttachmentLength,
  sealAttachment,
  sealAvatar,
} from '../../src/files/legacy.ts';
import { DEFAULT_FILE_SERVER, formatFileUrl, parseFileUrl } from '../../src/files/url.ts';

const data = fc.uint8Array({ minLength: 1, maxLength: 3000 });

function code(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof FileError) return error.code;
    throw error;
  }
  return 'none';
}

function flipped(input: Uint8Array, at: number): Uint8Array {
  const copy = input.slice();
  copy[at % copy.length]! ^= 1;
  return copy;
}

describe('legacy form', () => {
  const vector = vectors.attachment_legacy;

  test.each(vector.padding_sizes)('$size bytes are padded to $padded', ({ size, padded }) => {
    expect(paddedAttachmentLength(size)).toBe(padded);
  });

  test('makes and opens the vector', () => {
    const key = fromHex(vector.key_64);
    const plaintext = fromHex(vector.plaintext);
    const sealed = sealAttachment(plaintext, {}, { key, iv: fromHex(vector.iv) });
    expect(sealed.body).toEqual(fromBase64(vector.encrypted_base64));
    expect(toHex(sealed.digest)).toBe(vector.digest);
    const digest = fromHex(vector.digest);
    expect(openAttachment(sealed.body, { key, digest, sizeBytes: vector.size_field })).toEqual(plaintext);
    for (const sizeBytes of [0, vector.padded_length, 1e9]) {
      expect(openAttachment(sealed.body, { key, digest, sizeBytes })).toHaveLength(vector.padded_length);
    }
  });

  test('opens what it made, padded or not, and nothing that was changed', () => {
    fc.assert(
      fc.property(data, fc.boolean(), fc.nat(), (plain, padded, at) => {
        const sealed = sealAttachment(plain, { padded });
        expect(openAttachment(sealed.body, sealed)).toEqual(plain);
        const changed = flipped(sealed.body, at);
        expect(code(() => openAttachment(changed, sealed))).toBe('bad_digest');
        // Whoever can change the digest as well still lacks the key of the MAC.
        expect(code(() => openAttachment(changed, { ...sealed, digest: sha256(changed) }))).toBe('bad_file');
      }),
    );
  });

  test('says what is wrong with size, key, digest and length', () => {
    const sealed = sealAttachment(Uint8Array.of(1));
    expect(code(() => sealAttachment(new Uint8Array(0)))).toBe('empty');
    expect(code(() => sealAttachment(new Uint8Array(MAX_ATTACHMENT_BYTES + 1)))).toBe('too_large');
    expect(code(() => openAttachment(sealed.body, { ...sealed, key: sealed.key.slice(1) }))).toBe('bad_key');
    expect(code(() => openAttachment(sealed.body, { ...sealed, digest: undefined }))).toBe('bad_key');
    expect(code(() => openAttachment(sealed.body.slice(0, 47), sealed))).toBe('bad_file');
    expect(code(() => openAttachment(new Uint8Array(MAX_ATTACHMENT_BYTES + 100), sealed))).toBe('too_large');
  });

  test('avatars: makes and opens the vector, nothing changed', () => {
    const { key_32, iv, plaintext, encrypted } = vectors.avatar_legacy;
    const key = fromHex(key_32);
    expect(toHex(sealAvatar(fromHex(plaintext), key, fromHex(iv)))).toBe(encrypted);
    expect(toHex(openAvatar(fromHex(encrypted), key))).toBe(plaintext);
    expect(code(() => openAvatar(flipped(fromHex(encrypted), 20), key))).toBe('bad_file');
    expect(code(() => openAvatar(fromHex(encrypted).slice(0, 5), key))).toBe('bad_file');
    expect(code(() => openAvatar(fromHex(encrypted), key.slice(1)))).toBe('bad_key');
  });
});

describe('deterministic form', () => {
  const vector = vectors.attachment_deterministic;
  const seed = fromHex(vector.seed);
  const rule = (length: number) => Uint8Array.from({ length }, (_, i) => (7 * i) & 0xff);

  test('paddings and lengths of all vectors', () => {
    expect(vector.cases.length).toBeGreaterThan(20);
    for (const { size, leading_padding_bytes_including_the_01: padding, encrypted_size } of vector.cases) {
      expect(deterministicPadding(size)).toBe(padding);
      expect(deterministicLength(size)).toBe(encrypted_size);
    }
  });

  // The large ones cost seconds in a browser and differ in their number of chunks only.
  const small = vector.cases.filter(({ size }) => size <= 300_000);
  test.each(small)('$size bytes: key, header and file', ({ size, key, header, sha256_of_encrypted }) => {
    const plain = rule(size);
    const sealed = sealDeterministic(plain, seed);
    expect(toHex(sealed.key)).toBe(key);
    expect(toHex(sealed.body.slice(1, 25))).toBe(header);
    expect(toHex(sha256(sealed.body))).toBe(sha256_of_encrypted);
    expect(openDeterministic(sealed.body, sealed.key)).toEqual(plain);
  });

  test('whole file of ten bytes, and a profile picture', () => {
    const sealed = sealDeterministic(rule(10), seed);
    expect(sealed.body).toEqual(fromBase64(vector.full_example_size_10.encrypted_base64));
    const picture = sealDeterministic(rule(10), seed, FileDomain.avatar);
    expect(toHex(picture.key)).toBe(vector.profile_picture_size_10.key);
    expect(toHex(sha256(picture.body))).toBe(vector.profile_picture_size_10.sha256_of_encrypted);
  });

  test('pieces of any size make the same file and the same data', () => {
    const plain = rule(100_000);
    const whole = sealDeterministic(plain, seed);
    const cuts = fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(cuts, (sizes) => {
        const pieces = (bytes: Uint8Array) => {
          const out: Uint8Array[] = [];
          for (let at = 0, i = 0; at < bytes.length; at += sizes[i++ % sizes.length]!) {
            out.push(bytes.subarray(at, at + sizes[i % sizes.length]!));
          }
          return out;
        };
        const hasher = new DeterministicHasher(seed, FileDomain.attachment);
        for (const piece of pieces(plain)) hasher.update(piece);
        const keys = hasher.digest();
        const sealer = new DeterministicSealer(keys, plain.length);
        expect(concat(...pieces(plain).map((piece) => sealer.push(piece)))).toEqual(whole.body);
        const opener = new DeterministicOpener(keys.key);
        const opened = pieces(whole.body).map((piece) => opener.push(piece));
        expect(concat(...opened, opener.finish())).toEqual(plain);
      }),
      { numRuns: 10 },
    );
  });

  test('refuses what is changed, cut, longer, of another form or key', () => {
    const sealed = sealDeterministic(rule(70_000), seed);
    fc.assert(
      fc.property(fc.nat(), (at) => {
        expect(code(() => openDeterministic(flipped(sealed.body, at), sealed.key))).toBe('bad_file');
        expect(code(() => openDeterministic(sealed.body.slice(0, at % sealed.body.length), sealed.key))).toBe(
          'bad_file',
        );
      }),
      { numRuns: 30 },
    );
    const longer = concat(sealed.body, Uint8Array.of(0));
    expect(code(() => openDeterministic(longer, sealed.key))).toBe('bad_file');
    expect(code(() => openDeterministic(sealed.body, sealed.key.slice(1)))).toBe('bad_key');
    // Also a file that was cut between two chunks.
    expect(code(() => openDeterministic(sealed.body.slice(0, 25 + 32_785), sealed.key))).toBe('bad_file');
    const tooMuch = { length: MAX_DETERMINISTIC_BYTES + 1 } as Uint8Array;
    expect(code(() => sealDeterministic(tooMuch, seed))).toBe('too_large');
  });
});

describe('addresses', () => {
  test.each(serverVectors.sections.file_urls.cases)('$id: $url', ({ url, parsed, build }) => {
    if (parsed === null) {
      expect(() => parseFileUrl(url)).toThrow(ParseError);
      return;
    }
    const file = parseFileUrl(url);
    expect(file).toEqual({
      server: parsed.base,
      id: parsed.file_id,
      ed25519Hex: parsed.ed25519_pk,
      isDeterministic: parsed.deterministic,
    });
    expect(formatFileUrl(file)).toBe(build);
  });

  test.each([
    ['the old form with s', 'http://filev2.getsession.org/files/123', '123'],
    ['a host that only ends alike', 'http://evilgetsession.org/file/1', undefined],
    ['a user', `http://me@files.example.org/file/1#p=${'ab'.repeat(32)}`, undefined],
    ['a query', `http://files.example.org/file/1?x#p=${'ab'.repeat(32)}`, undefined],
    ['another scheme', `ftp://files.example.org/file/1#p=${'ab'.repeat(32)}`, undefined],
    ['steps upwards', `http://files.example.org/file/..%2f1#p=${'ab'.repeat(32)}`, undefined],
    ['a short key', 'http://files.example.org/file/1#p=abcd', undefined],
    ['something else', 'hello', undefined],
  ])('%s', (_name, url, id) => {
    if (id === undefined) expect(() => parseFileUrl(url)).toThrow(ParseError);
    else expect(parseFileUrl(url).id).toBe(id);
  });

  test('the key is left out on hosts of the default server only', () => {
    const text = `http://files.example.org/file/1#p=${DEFAULT_FILE_SERVER.ed25519Hex}`;
    expect(formatFileUrl(parseFileUrl(text))).toBe(text);
  });

  test('no text makes it throw anything else', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('', 'http://', 'http://files.example.org/file/', 'https://a/file/1#'),
        fc.string(),
        (a, b) => {
          const text = a + b;
          try {
            parseFileUrl(text);
          } catch (error) {
            expect(error).toBeInstanceOf(ParseError);
          }
        },
      ),
    );
  });
});
