// SPDX-License-Identifier: MIT
// What every CryptoProvider must do: published vectors, our vectors, agreement with the reference on random input,
// and the rules of provider.ts for wrong lengths and for what does not open.
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import storageVectors from '../../../../vectors/storage-server.json' with { type: 'json' };
import { concat, fromHex, toHex, utf8 } from '../../src/bytes.ts';
import { CryptoError, type CryptoProvider, type KeyPair } from '../../src/crypto/provider.ts';
import { nonCanonicalPoints, oddSignatures, reference, torsionPoint } from './reference.ts';

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const message = fc.uint8Array({ maxLength: 300 });
/** Curve operations of the reference take a millisecond. */
const FEW = { numRuns: 15 };
const LOW_ORDER_X25519 = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
];
const L_BYTES = fromHex('edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010');

function flipped(input: Uint8Array, bit: number): Uint8Array {
  const copy = input.slice();
  const at = bit % (8 * copy.length);
  copy[at >> 3]! ^= 1 << (at & 7);
  return copy;
}

function code(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return error instanceof CryptoError ? error.code : `not a CryptoError: ${error}`;
  }
  return 'no error';
}

export function cryptoSuite(name: string, provider: CryptoProvider): void {
  const p = provider;

  describe(`${name}: published vectors`, () => {
    test('BLAKE2b of "abc" (RFC 7693)', () => {
      expect(toHex(p.blake2b(utf8('abc'), 64))).toBe(
        'ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1' +
          '7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923',
      );
    });

    test('SHA-2 of "abc" (FIPS 180)', () => {
      expect(toHex(p.sha256(utf8('abc')))).toBe(
        'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
      );
      expect(toHex(p.sha512(utf8('abc')))).toBe(
        'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a' +
          '2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
      );
    });

    test('HMAC-SHA-256 (RFC 4231, case 2)', () => {
      expect(toHex(p.hmacSha256(utf8('Jefe'), utf8('what do ya want for nothing?')))).toBe(
        '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
      );
    });

    test('Ed25519 (RFC 8032, test 2)', () => {
      const seed = fromHex('4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb');
      const { publicKey, secretKey } = p.ed25519KeyPair(seed);
      expect(toHex(publicKey)).toBe('3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c');
      expect(toHex(secretKey)).toBe(toHex(seed) + toHex(publicKey));
      expect(toHex(p.ed25519Sign(Uint8Array.of(0x72), secretKey))).toBe(
        '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da' +
          '085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
      );
    });

    test('X25519 (RFC 7748 §5.2)', () => {
      const secret = fromHex('a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4');
      const point = fromHex('e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c');
      expect(toHex(p.x25519(secret, point))).toBe(
        'c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552',
      );
    });

    test('AES-256-GCM (McGrew and Viega, cases 13 and 14)', () => {
      const zeros = (length: number) => new Uint8Array(length);
      expect(toHex(p.aesGcmSeal(zeros(32), zeros(12), zeros(0)))).toBe('530f8afbc74536b9a963b4f1c4cb738b');
      expect(toHex(p.aesGcmSeal(zeros(32), zeros(12), zeros(16)))).toBe(
        'cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919',
      );
    });
  });

  describe(`${name}: vectors of spec/storage-server`, () => {
    const { nodes, ...named } = storageVectors.keys;
    const keys = Object.values(named).filter((key) => typeof key === 'object');

    test.each([...keys, ...nodes])('keys from seed $ed25519_seed', (key) => {
      const { publicKey, secretKey } = p.ed25519KeyPair(fromHex(key.ed25519_seed));
      expect(toHex(publicKey)).toBe(key.pubkey_ed25519);
      expect(toHex(p.ed25519SecretKeyToX25519(secretKey))).toBe(key.x25519_seckey);
      expect(toHex(p.ed25519PublicKeyToX25519(publicKey)!)).toBe(key.pubkey_x25519);
      expect(toHex(p.x25519PublicKey(fromHex(key.x25519_seckey)))).toBe(key.pubkey_x25519);
    });

    const hops = storageVectors.onion.hop_crypto.filter((hop) => hop.enc_type !== 'aes-cbc');
    test.each(hops)('hop: $enc_type $direction', (hop) => {
      const clientKey = fromHex(hop.client_x25519_pubkey);
      const serverKey = fromHex(hop.server_x25519_pubkey);
      const shared = p.x25519(fromHex(hop.server_x25519_seckey), clientKey);
      expect(toHex(shared)).toBe(hop.x25519_shared);
      expect(p.x25519(fromHex(hop.client_x25519_seckey), serverKey)).toEqual(shared);
      const isAes = hop.enc_type === 'aes-gcm';
      const key = isAes ? p.hmacSha256(utf8('LOKI'), shared) : p.blake2b([shared, clientKey, serverKey], 32);
      expect(toHex(key)).toBe(hop.symmetric_key);
      const ciphertext = fromHex(hop.ciphertext);
      const nonceLength = isAes ? 12 : 24;
      const nonce = ciphertext.slice(0, nonceLength);
      const [seal, open] = isAes
        ? [p.aesGcmSeal, p.aesGcmOpen]
        : [p.xchacha20Poly1305Seal, p.xchacha20Poly1305Open];
      expect(open(key, nonce, ciphertext.slice(nonceLength))).toEqual(utf8(hop.plaintext_ascii));
      expect(seal(key, nonce, utf8(hop.plaintext_ascii))).toEqual(ciphertext.slice(nonceLength));
    });
  });

  describe(`${name}: agrees with the reference`, () => {
    test('hashes, whole and in parts', () => {
      fc.assert(
        fc.property(message, message, message, (a, b, key) => {
          const parts = concat(a, b);
          expect(p.sha256([a, b])).toEqual(reference.sha256(parts));
          expect(p.sha256(parts)).toEqual(reference.sha256(parts));
          expect(p.sha512([a, b])).toEqual(reference.sha512(parts));
          expect(p.sha512(parts)).toEqual(reference.sha512(parts));
          expect(p.hmacSha256(key, a)).toEqual(reference.hmacSha256(key, a));
        }),
      );
      expect(p.sha256([])).toEqual(p.sha256(new Uint8Array(0)));
    });

    test('HMAC at the lengths where ways of computing it change, also twice in a row', () => {
      for (const keyLength of [0, 1, 4, 63, 64, 65, 128]) {
        for (const length of [0, 1, 32, 127, 128, 129, 300]) {
          const key = new Uint8Array(keyLength).fill(0xa5);
          const data = new Uint8Array(length).fill(keyLength);
          const expected = reference.hmacSha256(key, data);
          expect(p.hmacSha256(key, data)).toEqual(expected);
          expect(p.hmacSha256(key, data)).toEqual(expected);
        }
      }
    });

    test('secretstream, chunk by chunk, and that it refuses what is changed or out of order', () => {
      const chunks = fc.array(message, { minLength: 1, maxLength: 4 });
      fc.assert(
        fc.property(bytes(32), bytes(24), chunks, fc.nat(), (key, header, texts, bit) => {
          const [ours, theirs] = [p.secretstream(key, header), reference.secretstream(key, header)];
          const sealed = texts.map((text, i) => ours.push(text, i === texts.length - 1));
          expect(sealed).toEqual(texts.map((text, i) => theirs.push(text, i === texts.length - 1)));
          const reader = p.secretstream(key, header);
          for (const [i, chunk] of sealed.entries()) {
            expect(reader.pull(chunk)).toEqual({ plaintext: texts[i], isLast: i === texts.length - 1 });
          }
          expect(p.secretstream(key, header).pull(flipped(sealed[0]!, bit))).toBeUndefined();
          if (sealed.length > 1) expect(p.secretstream(key, header).pull(sealed[1]!)).toBeUndefined();
          expect(p.secretstream(key, header).pull(new Uint8Array(16))).toBeUndefined();
        }),
        { numRuns: 50 },
      );
    });

    test('AES-256-CBC, and that it refuses broken padding and lengths', () => {
      fc.assert(
        fc.property(bytes(32), bytes(16), message, (key, iv, text) => {
          const sealed = p.aesCbcEncrypt(key, iv, text);
          expect(sealed).toEqual(reference.aesCbcEncrypt(key, iv, text));
          expect(p.aesCbcDecrypt(key, iv, sealed)).toEqual(text);
          expect(p.aesCbcDecrypt(key, iv, sealed.slice(1))).toBeUndefined();
          expect(p.aesCbcDecrypt(key, iv, new Uint8Array(0))).toBeUndefined();
          const other = flipped(sealed, 8 * (sealed.length - 1));
          expect(p.aesCbcDecrypt(key, iv, other)).toEqual(reference.aesCbcDecrypt(key, iv, other));
        }),
      );
    });

    test('hashes in pieces', () => {
      const options = fc.record({ salt: bytes(16), key: bytes(32) }, { requiredKeys: [] });
      fc.assert(
        fc.property(message, message, bytes(32), options, (a, b, key, chosen) => {
          const state = p.blake2bHasher(33, chosen);
          state.update(a);
          state.update(b);
          expect(state.digest()).toEqual(reference.blake2b(concat(a, b), 33, chosen));
          expect(p.hmacSha256(key, [a, b])).toEqual(reference.hmacSha256(key, concat(a, b)));
        }),
      );
    });

    test('BLAKE2b with every option', () => {
      const options = fc.record(
        { key: fc.uint8Array({ maxLength: 64 }), salt: bytes(16), personal: bytes(16) },
        { requiredKeys: [] },
      );
      fc.assert(
        fc.property(message, message, fc.integer({ min: 1, max: 64 }), options, (a, b, length, chosen) => {
          const expected = reference.blake2b(concat(a, b), length, chosen);
          expect(p.blake2b(concat(a, b), length, chosen)).toEqual(expected);
          expect(p.blake2b([a, b], length, chosen)).toEqual(expected);
        }),
        { numRuns: 200 },
      );
    });

    test('Ed25519 keys, signatures and conversions', () => {
      fc.assert(
        fc.property(bytes(32), message, fc.nat(), (seed, text, bit) => {
          const pair = p.ed25519KeyPair(seed);
          expect(pair).toEqual(reference.ed25519KeyPair(seed));
          const signature = p.ed25519Sign(text, pair.secretKey);
          expect(signature).toEqual(reference.ed25519Sign(text, pair.secretKey));
          expect(p.ed25519Verify(signature, text, pair.publicKey)).toBe(true);
          expect(p.ed25519Verify(flipped(signature, bit), text, pair.publicKey)).toBe(false);
          expect(p.ed25519Verify(signature, concat(text, Uint8Array.of(0)), pair.publicKey)).toBe(false);
          const wrongKey = flipped(pair.publicKey, bit);
          expect(p.ed25519Verify(signature, text, wrongKey)).toBe(false);
          const x25519 = p.ed25519SecretKeyToX25519(pair.secretKey);
          expect(x25519).toEqual(reference.ed25519SecretKeyToX25519(pair.secretKey));
          expect(p.ed25519PublicKeyToX25519(pair.publicKey)).toEqual(p.x25519PublicKey(x25519));
          expect(p.ed25519PublicKeyToX25519(wrongKey)).toEqual(reference.ed25519PublicKeyToX25519(wrongKey));
        }),
        FEW,
      );
    });

    test('odd Ed25519 keys and signatures are judged alike', () => {
      const verdicts: string[] = [];
      for (const [signature, text, publicKey, what] of oddSignatures()) {
        const verdict = p.ed25519Verify(signature, text, publicKey);
        expect(verdict, what).toBe(reference.ed25519Verify(signature, text, publicKey));
        if (verdict) verdicts.push(what);
      }
      // Of all these only the honest ones pass, and a key with torsion whose challenge happens to cancel it.
      expect(verdicts.filter((what) => !/^A \+ [1-7]T$/.test(what)).sort()).toEqual(['A + 0T', 'R + 0T']);
    });

    test('odd points convert and multiply alike', () => {
      const points = [...nonCanonicalPoints()].map(([point]) => point);
      const torsion = torsionPoint();
      const three = new Uint8Array(32);
      three[0] = 3;
      for (let i = 1n; i < 8n; i++) points.push(torsion.multiplyUnsafe(i).toBytes());
      points.push(torsion.add(torsionFree()).toBytes(), torsionFree().toBytes());
      for (const point of points) {
        expect(p.ed25519PublicKeyToX25519(point), toHex(point)).toEqual(
          reference.ed25519PublicKeyToX25519(point),
        );
        expect(p.pointMultiply(three, point), toHex(point)).toEqual(reference.pointMultiply(three, point));
      }
      expect(p.pointMultiply(three, torsionFree().toBytes())).toBeDefined();
      expect(p.pointMultiply(three, torsion.toBytes())).toBeUndefined();
    });

    test('X25519', () => {
      fc.assert(
        fc.property(bytes(32), bytes(32), (secret, other) => {
          const publicKey = p.x25519PublicKey(secret);
          expect(publicKey).toEqual(reference.x25519PublicKey(secret));
          expect(p.x25519(other, publicKey)).toEqual(reference.x25519(secret, p.x25519PublicKey(other)));
          expect(p.boxKey(other, publicKey)).toEqual(reference.boxKey(secret, p.x25519PublicKey(other)));
        }),
        FEW,
      );
      const pair = p.x25519KeyPair();
      expect(reference.x25519PublicKey(pair.secretKey)).toEqual(pair.publicKey);
      expect(p.x25519KeyPair()).not.toEqual(pair);
    });

    test('X25519 refuses points of small order', () => {
      const secret = new Uint8Array(32).fill(7);
      for (const hex of LOW_ORDER_X25519) {
        expect(
          code(() => p.x25519(secret, fromHex(hex))),
          hex,
        ).toBe('low_order');
        expect(
          code(() => p.boxKey(secret, fromHex(hex))),
          hex,
        ).toBe('low_order');
        expect(
          code(() => p.sealedBoxSeal(utf8('x'), fromHex(hex))),
          hex,
        ).toBe('low_order');
        const pair = { publicKey: p.x25519PublicKey(secret), secretKey: secret };
        expect(p.sealedBoxOpen(concat(fromHex(hex), new Uint8Array(40)), pair), hex).toBeUndefined();
      }
    });

    const ciphers = [
      ['AES-256-GCM', 12, 'aesGcmSeal', 'aesGcmOpen'],
      ['XChaCha20-Poly1305', 24, 'xchacha20Poly1305Seal', 'xchacha20Poly1305Open'],
      ['secretbox', 24, 'secretboxSeal', 'secretboxOpen'],
    ] as const;
    test.each(ciphers)('%s', (_name, nonceLength, seal, open) => {
      fc.assert(
        fc.property(bytes(32), bytes(nonceLength), message, fc.nat(), (key, nonce, text, bit) => {
          const sealed = p[seal](key, nonce, text);
          expect(sealed).toEqual(reference[seal](key, nonce, text));
          expect(sealed.length).toBe(text.length + 16);
          expect(p[open](key, nonce, sealed)).toEqual(text);
          expect(p[open](key, nonce, flipped(sealed, bit))).toBeUndefined();
          expect(p[open](key, flipped(nonce, bit), sealed)).toBeUndefined();
          expect(p[open](flipped(key, bit), nonce, sealed)).toBeUndefined();
          expect(p[open](key, nonce, sealed.slice(0, bit % sealed.length))).toBeUndefined();
        }),
      );
      const key = new Uint8Array(32).fill(1);
      const nonce = new Uint8Array(nonceLength).fill(2);
      const large = new Uint8Array(100_003).fill(3);
      expect(reference[open](key, nonce, p[seal](key, nonce, large))).toEqual(large);
    });

    test('sealed boxes', () => {
      fc.assert(
        fc.property(bytes(32), message, fc.nat(), (secretKey, text, bit) => {
          const pair: KeyPair = { secretKey, publicKey: p.x25519PublicKey(secretKey) };
          const sealed = p.sealedBoxSeal(text, pair.publicKey);
          expect(sealed.length).toBe(text.length + 48);
          expect(reference.sealedBoxOpen(sealed, pair)).toEqual(text);
          expect(p.sealedBoxOpen(reference.sealedBoxSeal(text, pair.publicKey), pair)).toEqual(text);
          expect(p.sealedBoxOpen(flipped(sealed, bit), pair)).toBeUndefined();
          expect(p.sealedBoxOpen(sealed.slice(0, bit % sealed.length), pair)).toBeUndefined();
          expect(p.sealedBoxSeal(text, pair.publicKey)).not.toEqual(sealed);
        }),
        FEW,
      );
    });

    test('scalars, also those above L', () => {
      const scalar = fc.oneof(bytes(32), fc.constantFrom(L_BYTES, new Uint8Array(32).fill(0xff)));
      fc.assert(
        fc.property(bytes(64), scalar, scalar, (wide, a, b) => {
          expect(p.scalarReduce(wide)).toEqual(reference.scalarReduce(wide));
          expect(p.scalarAdd(a, b)).toEqual(reference.scalarAdd(a, b));
          expect(p.scalarMultiply(a, b)).toEqual(reference.scalarMultiply(a, b));
          expect(p.scalarNegate(a)).toEqual(reference.scalarNegate(a));
        }),
      );
      fc.assert(
        fc.property(bytes(32), bytes(32), (a, b) => {
          const point = p.pointMultiplyBase(a);
          expect(point).toEqual(reference.pointMultiplyBase(a));
          expect(p.pointMultiply(b, point)).toEqual(p.pointMultiplyBase(p.scalarMultiply(a, b)));
          expect(p.pointMultiply(b, point)).toEqual(reference.pointMultiply(b, point));
        }),
        FEW,
      );
      const base = p.pointMultiplyBase(Uint8Array.of(1, ...new Uint8Array(31)));
      for (const zero of [new Uint8Array(32), L_BYTES]) {
        expect(code(() => p.pointMultiplyBase(zero))).toBe('out_of_range');
        expect(code(() => p.pointMultiply(zero, base))).toBe('out_of_range');
      }
    });

    test('Argon2id', () => {
      const password = utf8('correct horse');
      const salt = new Uint8Array(16).fill(5);
      for (const options of [
        { passes: 1, memoryBytes: 8192, length: 16 },
        { passes: 2, memoryBytes: 65_536, length: 32 },
        { passes: 3, memoryBytes: 20_000, length: 70 },
      ]) {
        expect(p.argon2id(password, salt, options)).toEqual(reference.argon2id(password, salt, options));
      }
      expect(p.argon2id(new Uint8Array(0), salt, { passes: 1, memoryBytes: 8192, length: 16 }).length).toBe(
        16,
      );
    });
  });

  describe(`${name}: rules`, () => {
    test('random bytes have the length asked for and do not repeat', () => {
      for (const length of [0, 1, 32, 1000]) expect(p.randomBytes(length).length).toBe(length);
      expect(p.randomBytes(32)).not.toEqual(p.randomBytes(32));
    });

    test('equalConstantTime', () => {
      expect(p.equalConstantTime(utf8('same'), utf8('same'))).toBe(true);
      expect(p.equalConstantTime(utf8('same'), utf8('sane'))).toBe(false);
      expect(p.equalConstantTime(utf8('same'), utf8('sam'))).toBe(false);
      expect(p.equalConstantTime(new Uint8Array(0), new Uint8Array(0))).toBe(true);
    });

    /** Function → lengths of its arguments; undefined: any length. */
    const fixed: [keyof CryptoProvider, (number | undefined)[]][] = [
      ['ed25519KeyPair', [32]],
      ['ed25519Sign', [undefined, 64]],
      ['ed25519Verify', [64, undefined, 32]],
      ['ed25519PublicKeyToX25519', [32]],
      ['ed25519SecretKeyToX25519', [64]],
      ['x25519PublicKey', [32]],
      ['x25519', [32, 32]],
      ['boxKey', [32, 32]],
      ['aesGcmSeal', [32, 12, undefined]],
      ['aesCbcEncrypt', [32, 16, undefined]],
      ['aesCbcDecrypt', [32, 16, undefined]],
      ['secretstream', [32, 24]],
      ['aesGcmOpen', [32, 12, undefined]],
      ['xchacha20Poly1305Seal', [32, 24, undefined]],
      ['xchacha20Poly1305Open', [32, 24, undefined]],
      ['secretboxSeal', [32, 24, undefined]],
      ['secretboxOpen', [32, 24, undefined]],
      ['sealedBoxSeal', [undefined, 32]],
      ['scalarReduce', [64]],
      ['scalarAdd', [32, 32]],
      ['scalarMultiply', [32, 32]],
      ['scalarNegate', [32]],
      ['pointMultiplyBase', [32]],
      ['pointMultiply', [32, 32]],
    ];
    test.each(fixed)('%s refuses arguments of the wrong length and changes none', (method, lengths) => {
      const call = p[method] as (...args: Uint8Array[]) => unknown;
      const right = () => lengths.map((length) => new Uint8Array(length ?? 50).fill(9));
      const args = right();
      call(...args);
      expect(args).toEqual(right());
      lengths.forEach((length, index) => {
        if (length === undefined) return;
        for (const wrong of [0, length - 1, length + 1]) {
          const changed = right();
          changed[index] = new Uint8Array(wrong).fill(9);
          expect(
            code(() => call(...changed)),
            `argument ${index} of ${wrong} bytes`,
          ).toBe('bad_length');
        }
      });
    });

    test('wrong lengths elsewhere', () => {
      const pair = p.x25519KeyPair();
      const box = new Uint8Array(60);
      const short = new Uint8Array(31);
      expect(code(() => p.sealedBoxOpen(box, { ...pair, publicKey: short }))).toBe('bad_length');
      expect(code(() => p.sealedBoxOpen(box, { ...pair, secretKey: short }))).toBe('bad_length');
      for (const length of [0, 65, 1.5, Number.NaN])
        expect(code(() => p.blake2b(box, length))).toBe('bad_length');
      expect(code(() => p.blake2b(box, 32, { key: new Uint8Array(65) }))).toBe('bad_length');
      expect(code(() => p.blake2b(box, 32, { salt: new Uint8Array(15) }))).toBe('bad_length');
      expect(code(() => p.blake2b(box, 32, { personal: new Uint8Array(17) }))).toBe('bad_length');
      const salt = new Uint8Array(16);
      const argon = { passes: 1, memoryBytes: 8192, length: 32 };
      expect(code(() => p.argon2id(box, short, argon))).toBe('bad_length');
      expect(code(() => p.argon2id(box, salt, { ...argon, length: 15 }))).toBe('bad_length');
      expect(code(() => p.argon2id(box, salt, { ...argon, passes: 0 }))).toBe('out_of_range');
      expect(code(() => p.argon2id(box, salt, { ...argon, memoryBytes: 8191 }))).toBe('out_of_range');
      expect(code(() => p.argon2id(box, salt, { ...argon, memoryBytes: 2 ** 40 }))).toBe('out_of_range');
    });

    test('results are plain arrays that do not share memory with the input', () => {
      const key = new Uint8Array(32).fill(1);
      const nonce = new Uint8Array(24).fill(2);
      const text = utf8('plain');
      const sealed = p.xchacha20Poly1305Seal(key, nonce, text);
      const gcm = p.aesGcmSeal(key, nonce.slice(12), text);
      const opened = p.aesGcmOpen(key, nonce.slice(12), gcm)!;
      for (const result of [
        sealed,
        gcm,
        opened,
        p.sha256(text),
        p.hmacSha256(key, text),
        p.blake2b(text, 32),
      ]) {
        expect(Object.getPrototypeOf(result)).toBe(Uint8Array.prototype);
      }
      opened.fill(0);
      expect(p.aesGcmOpen(key, nonce.slice(12), gcm)).toEqual(text);
    });

    test('inputs may be views into the middle of a buffer', () => {
      const buffer = new Uint8Array(200).map((_, i) => i);
      const key = buffer.subarray(3, 35);
      const nonce = buffer.subarray(41, 65);
      const text = buffer.subarray(67, 131);
      const whole = (view: Uint8Array) => view.slice();
      expect(p.secretboxSeal(key, nonce, text)).toEqual(
        p.secretboxSeal(whole(key), whole(nonce), whole(text)),
      );
      expect(p.boxKey(key, text.subarray(1, 33))).toEqual(p.boxKey(whole(key), text.slice(1, 33)));
      expect(p.blake2b([key, text], 32)).toEqual(p.blake2b([whole(key), whole(text)], 32));
      const pair = p.ed25519KeyPair(key);
      expect(p.ed25519Sign(text, pair.secretKey)).toEqual(reference.ed25519Sign(whole(text), pair.secretKey));
    });
  });
}

function torsionFree() {
  const base = torsionPoint().multiplyUnsafe(8n); // the identity, for its class
  return (base.constructor as unknown as { BASE: typeof base }).BASE.multiplyUnsafe(5n);
}
