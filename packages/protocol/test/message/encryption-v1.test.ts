// SPDX-License-Identifier: MIT
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ed25519Verify, sealedBoxSeal } from '#crypto';
import vectors from '../../../../vectors/client.json' with { type: 'json' };
import { concat, fromBase64, fromHex, fromUtf8, toBase64, toHex, utf8 } from '../../src/bytes.ts';
import { Account } from '../../src/identity/account.ts';
import { x25519KeyOf } from '../../src/identity/account-id.ts';
import { type Content, encodeContent } from '../../src/message/content.ts';
import {
  decryptMessage,
  encryptMessage,
  MessageError,
  openText,
  repeatable,
  sealText,
  sealTextDeterministic,
} from '../../src/message/encryption-v1.ts';
import { EnvelopeSchema, WebSocketMessageSchema } from '../../src/message/generated/session_pb.js';
import { pad } from '../../src/message/padding.ts';
import { decodeProtobuf, encodeProtobuf } from '../../src/message/protobuf.ts';

const sender = Account.fromSeed(fromHex(vectors.test_keys.sender.seed32));
const recipient = Account.fromSeed(fromHex(vectors.test_keys.recipient.seed32));
const TIMESTAMP = 1700000000123;

const failure = (code: MessageError['code']) => expect.objectContaining({ name: 'MessageError', code });

interface Parts {
  type?: number;
  request?: { verb: string; path: string; id: number; body: Uint8Array };
}

/** Data for `store` around any envelope. */
function data(envelope: object, type = 1): Uint8Array {
  const body = encodeProtobuf(EnvelopeSchema, envelope);
  return encodeProtobuf(WebSocketMessageSchema, { type, request: { verb: '', path: '', id: 0, body } });
}

/** A good envelope with a content, to be spoiled. */
function envelopeOf(content: Content | Uint8Array, change: object = {}): object {
  const bytes = content instanceof Uint8Array ? content : encodeContent(content);
  const ciphertext = sealText(pad(bytes), sender, recipient.x25519Key);
  return { type: 6, timestamp: TIMESTAMP, content: ciphertext, ...change };
}

describe('vectors', () => {
  const vector = vectors.v1_encrypt;

  test('with the same ephemeral keys, a message has the same bytes', () => {
    const wrapped = encryptMessage(
      {
        content: fromHex(vector.content),
        sender,
        recipient: recipient.id,
        timestamp: vector.timestamp_ms,
      },
      {
        ephemeralSecret: fromHex(vector.ephemeral_x25519_secret),
        proSeed: fromHex(vector.pro_sig.rotating_or_dummy_ed25519_seed),
      },
    );
    expect(toBase64(wrapped)).toBe(vector.websocket_wrapped_base64);
  });

  test('the steps on the way have the same bytes', () => {
    const padded = pad(fromHex(vector.content));
    expect(toHex(padded)).toBe(vector.padded);
    const signed = concat(padded, sender.ed25519Key, recipient.x25519Key);
    expect(toHex(signed)).toBe(vector.signature_input);
    expect(toHex(sender.sign(signed))).toBe(vector.signature);
    const box = sealText(padded, sender, recipient.x25519Key, fromHex(vector.ephemeral_x25519_secret));
    expect(toHex(box)).toBe(vector.sealed_box);
    expect(toHex(recipient.openSealedBox(box) as Uint8Array)).toBe(vector.sealed_plaintext);
    const envelope = { type: 6, timestamp: vector.timestamp_ms, content: box };
    expect(toHex(encodeProtobuf(EnvelopeSchema, envelope))).toBe(vector.envelope_without_pro_sig);
    const { pro_sig } = vector;
    const proSig = fromHex(pro_sig.signature_over_sealed_box);
    const withSignature = encodeProtobuf(EnvelopeSchema, { ...envelope, proSig });
    expect(toHex(withSignature)).toBe(pro_sig.envelope_with_pro_sig);
    expect(ed25519Verify(proSig, box, fromHex(pro_sig.rotating_or_dummy_ed25519_public))).toBe(true);
  });

  test('it is decrypted by the recipient', () => {
    const incoming = decryptMessage(fromBase64(vector.websocket_wrapped_base64), recipient);
    expect(incoming.sender).toBe(sender.id);
    expect(incoming.senderEd25519Key).toEqual(sender.ed25519Key);
    expect(incoming.timestamp).toBe(vector.timestamp_ms);
    expect(toHex(incoming.contentBytes)).toBe(vector.content);
    expect(toHex(incoming.ciphertext)).toBe(vector.sealed_box);
    expect(toHex(incoming.proSignature as Uint8Array)).toBe(vector.pro_sig.signature_over_sealed_box);
  });

  test('a message of another implementation, with older padding and request line, is decrypted', () => {
    const { data_base64 = '', expect: expected } = vectors.v1_decrypt[0] as (typeof vectors.v1_decrypt)[0];
    const incoming = decryptMessage(fromBase64(data_base64), recipient);
    expect(incoming.sender).toBe(expected.sender_account_id);
    expect(toHex(incoming.senderEd25519Key)).toBe(expected.sender_ed25519);
    expect(incoming.timestamp).toBe(expected.envelope_timestamp);
    expect(toHex(incoming.contentBytes)).toBe(expected.content);
    expect(incoming.content.dataMessage?.body).toBe(expected.body);
    expect(incoming.proSignature).toBeUndefined();
    expect(openText(incoming.ciphertext, recipient).text).toHaveLength(expected.padded_length as number);
  });

  test('a bare sealed box is opened', () => {
    const { ciphertext = '', expect: expected } = vectors.v1_decrypt[1] as (typeof vectors.v1_decrypt)[0];
    const opened = openText(fromHex(ciphertext), recipient);
    expect(fromUtf8(opened.text)).toBe(expected.message_utf8);
    expect(opened.sender).toBe(expected.sender_account_id);
  });

  test('the deterministic variant gives the same bytes', () => {
    const { message_utf8, ciphertext } = vectors.v1_deterministic;
    const sealed = sealTextDeterministic(utf8(message_utf8), sender, recipient.x25519Key);
    expect(toHex(sealed)).toBe(ciphertext);
  });

  const codes: Record<string, MessageError['code']> = {
    'content changed after signing': 'bad_signature',
    'signature made for another recipient (forwarded inner message)': 'bad_signature',
    'sealed to another key': 'undecryptable',
    'too short': 'too_short',
  };
  test.each(vectors.v1_reject)('refused: $name', ({ name, sealed_box }) => {
    const code = codes[name] as MessageError['code'];
    expect(() => openText(fromHex(sealed_box), recipient)).toThrow(failure(code));
    const around = data({ type: 6, timestamp: TIMESTAMP, content: fromHex(sealed_box) });
    expect(() => decryptMessage(around, recipient)).toThrow(failure(code));
  });
});

test('a message arrives as it was sent, and says who sent it', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), fc.maxSafeNat(), (body, timestamp) => {
      const content = { dataMessage: { body }, sigTimestamp: timestamp };
      const sent = encryptMessage({
        content: encodeContent(content),
        sender,
        recipient: recipient.id,
        timestamp,
      });
      const incoming = decryptMessage(sent, recipient);
      expect(incoming).toMatchObject({ sender: sender.id, timestamp, content });
      expect(incoming.proSignature).toHaveLength(64);
      expect(() => decryptMessage(sent, sender)).toThrow(failure('undecryptable'));
    }),
    { numRuns: 30 },
  );
});

test('of many senders, each is named right, the first time and again', () => {
  const accounts = Array.from({ length: 260 }, (_, i) => {
    const seed = new Uint8Array(16);
    seed.set([i >> 8, i]);
    return Account.fromSeed(seed);
  });
  for (const account of [...accounts, ...accounts.toReversed()]) {
    const { sender: told } = openText(sealText(utf8('hi'), account, recipient.x25519Key), recipient);
    expect(told).toBe(account.id);
  }
});

test('an account can write to itself', () => {
  const content = encodeContent({ dataMessage: { body: 'note' } });
  const sent = encryptMessage({ content, sender, recipient: sender.id, timestamp: 1 });
  expect(decryptMessage(sent, sender).sender).toBe(sender.id);
});

test('two messages of the same text share nothing that tells so', () => {
  const message = { content: utf8('x'), sender, recipient: recipient.id, timestamp: 1 };
  const parts = [encryptMessage(message), encryptMessage(message)].map((sent) => {
    const { request } = decodeProtobuf(WebSocketMessageSchema, sent) as Parts;
    return decodeProtobuf(EnvelopeSchema, request?.body as Uint8Array) as {
      content: Uint8Array;
      proSig: Uint8Array;
    };
  });
  expect(toHex(parts[0]?.content.subarray(0, 32) as Uint8Array)).not.toBe(
    toHex(parts[1]?.content.subarray(0, 32) as Uint8Array),
  );
  expect(toHex(parts[0]?.proSig as Uint8Array)).not.toBe(toHex(parts[1]?.proSig as Uint8Array));
});

test('the largest message that a server takes is sent, one block more is not', () => {
  const message = { sender, recipient: recipient.id, timestamp: TIMESTAMP };
  const size = (length: number) => encryptMessage({ ...message, content: new Uint8Array(length) }).length;
  const overhead = size(159) - 320;
  const largest = Math.floor((76_800 - overhead - 8) / 160) * 160 - 2;
  expect(size(largest)).toBeLessThanOrEqual(76_800);
  expect(() => size(largest + 320)).toThrow(failure('too_large'));
  expect(() => decryptMessage(new Uint8Array(76_801), recipient)).toThrow(failure('too_large'));
});

describe('accepted:', () => {
  test('a bare envelope', () => {
    const envelope = encodeProtobuf(EnvelopeSchema, envelopeOf({ sigTimestamp: TIMESTAMP }));
    expect(decryptMessage(envelope, recipient)).toMatchObject({ sender: sender.id, timestamp: TIMESTAMP });
  });

  test('a source that is empty or an id, without trusting it', () => {
    for (const source of ['', recipient.id]) {
      const incoming = decryptMessage(data(envelopeOf({}, { source })), recipient);
      expect(incoming.sender).toBe(sender.id);
    }
  });

  test('a content without signed time, unless it is of Pro', () => {
    expect(decryptMessage(data(envelopeOf({})), recipient).content).toEqual({});
    expect(() => decryptMessage(data(envelopeOf({ proMessage: {} })), recipient)).toThrow(
      failure('bad_timestamp'),
    );
  });

  test('no padding, and an empty Pro signature', () => {
    const content = sealText(encodeContent({ sigTimestamp: TIMESTAMP }), sender, recipient.x25519Key);
    const bytes = data({ type: 6, timestamp: TIMESTAMP, content, proSig: new Uint8Array(0) });
    expect(decryptMessage(bytes, recipient)).toMatchObject({
      content: { sigTimestamp: TIMESTAMP },
      proSignature: undefined,
    });
  });
});

describe('refused:', () => {
  const good = envelopeOf({ sigTimestamp: TIMESTAMP });

  test.each([
    ['nothing', new Uint8Array(0), 'malformed'],
    ['nonsense', utf8('hello there'), 'malformed'],
    ['a response', data(good, 2), 'malformed'],
    ['a request without body', fromHex('08011200'), 'malformed'],
    ['an empty body', fromHex('080112021a00'), 'malformed'],
    ['a body that is no envelope', fromHex('080112031a01ff'), 'malformed'],
    ['an envelope without time', fromHex('080112041a020806'), 'malformed'],
    ['a source that is no id', data({ ...good, source: 'alice' }), 'malformed'],
    ['a message of a group', data({ ...good, type: 7 }), 'not_for_account'],
    ['a message from a group', data({ ...good, source: `03${'ab'.repeat(32)}` }), 'not_for_account'],
    ['a message of version 2', concat(Uint8Array.of(0), utf8('d1:ee')), 'version_2'],
    ['an envelope without content', data({ type: 6, timestamp: TIMESTAMP }), 'too_short'],
    ['a short Pro signature', data({ ...good, proSig: new Uint8Array(63) }), 'bad_pro_signature'],
    ['another time than the signed one', data({ ...good, timestamp: TIMESTAMP + 1 }), 'bad_timestamp'],
    ['a content that is none', data(envelopeOf(utf8('not protobuf'))), 'bad_content'],
  ] as const)('%s', (_, bytes, code) => {
    expect(() => decryptMessage(bytes, recipient)).toThrow(failure(code));
  });

  test('a sender whose key is of small order', () => {
    // Signatures under such keys can be made by anyone: R and key the neutral element, s zero.
    const neutral = new Uint8Array(32);
    neutral[0] = 1;
    const forged = concat(pad(utf8('x')), neutral, neutral, new Uint8Array(32));
    const box = sealedBoxSeal(forged, recipient.x25519Key);
    expect(() => openText(box, recipient)).toThrow(MessageError);
  });

  test('a signature by somebody else than the named sender', () => {
    const text = pad(utf8('x'));
    const mallory = Account.fromSeed(new Uint8Array(32).fill(9));
    const signature = mallory.sign(concat(text, sender.ed25519Key, recipient.x25519Key));
    const box = sealedBoxSeal(concat(text, sender.ed25519Key, signature), x25519KeyOf(recipient.id));
    expect(() => openText(box, recipient)).toThrow(failure('bad_signature'));
  });
});

test('no change of a message makes the reader throw anything but MessageError', () => {
  const bytes = data(envelopeOf({ sigTimestamp: TIMESTAMP }));
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const spoiled = bytes.slice();
      spoiled[at] = (spoiled[at] as number) ^ change;
      try {
        const { sender: found } = decryptMessage(spoiled, recipient);
        expect(found).toBe(sender.id);
      } catch (error) {
        expect(error).toBeInstanceOf(MessageError);
      }
    }),
  );
});

test('what is repeatable has the same bytes again, and shares nothing with any other message', () => {
  const content = encodeContent({ dataMessage: { body: 'hi' }, sigTimestamp: TIMESTAMP });
  const message = { content, sender, recipient: recipient.id, timestamp: TIMESTAMP };
  const data = encryptMessage(message, repeatable(message));
  expect(encryptMessage(message, repeatable({ ...message }))).toEqual(data);
  expect(decryptMessage(data, recipient)).toMatchObject({ sender: sender.id, contentBytes: content });
  const others = [
    { ...message, timestamp: TIMESTAMP + 1 },
    { ...message, recipient: sender.id },
    { ...message, sender: recipient },
    { ...message, content: encodeContent({ dataMessage: { body: 'ho' }, sigTimestamp: TIMESTAMP }) },
  ];
  const drawn = [message, ...others].flatMap((other) => {
    const { ephemeralSecret, proSeed } = repeatable(other);
    return [toHex(ephemeralSecret), toHex(proSeed)];
  });
  expect(new Set(drawn).size).toBe(10);
});
