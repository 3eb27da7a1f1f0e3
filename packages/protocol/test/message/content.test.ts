// SPDX-License-Identifier: MIT
import type { DescMessage } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import vectors from '../../../../vectors/client.json' with { type: 'json' };
import { concat, fromHex, toHex } from '../../src/bytes.ts';
import { ParseError } from '../../src/errors.ts';
import { type Content, decodeContent, encodeContent } from '../../src/message/content.ts';
import {
  AttachmentPointerSchema,
  ContentSchema,
  EnvelopeSchema,
  ProMessageSchema,
  WebSocketMessageSchema,
} from '../../src/message/generated/session_pb.js';
import { decodeProtobuf, encodeProtobuf } from '../../src/message/protobuf.ts';
import { contents } from './contents.ts';

const schemas: Record<string, DescMessage> = {
  AttachmentPointer: AttachmentPointerSchema,
  Content: ContentSchema,
  Envelope: EnvelopeSchema,
  ProMessage: ProMessageSchema,
  WebSocketMessage: WebSocketMessageSchema,
};

/** Fields that the vectors know by the name of one client. */
const ourNames: Record<string, string> = {
  deprecated_id: 'id',
  lastProfileUpdateSeconds: 'lastUpdateSeconds',
  genIndexHash: 'tag',
  expireAtMs: 'expiry',
};
const bigintFields = new Set(['deprecated_id', 'expireAtMs', 'profileBitset', 'messageBitset', 'seqno']);

/** The value of a vector in the form that the codec takes. */
function ours(value: unknown, name = ''): unknown {
  if (Array.isArray(value)) return value.map((item) => ours(item, name));
  if (typeof value === 'string' && value.startsWith('hex:')) return fromHex(value.slice(4));
  if (typeof value === 'number' && bigintFields.has(name)) return BigInt(value);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [ourNames[key] ?? key, ours(member, key)]),
  );
}

describe.each(vectors.protobuf)('vector: $name', ({ message, fields, hex }) => {
  const schema = schemas[message] as DescMessage;

  test('is written to the same bytes', () => {
    expect(toHex(encodeProtobuf(schema, ours(fields) as object))).toBe(hex);
  });

  test('is read to the same values', () => {
    expect(decodeProtobuf(schema, fromHex(hex))).toEqual(ours(fields));
  });
});

test('every content is read as it was written', () => {
  fc.assert(
    fc.property(contents, (content) => {
      expect(decodeContent(encodeContent(content))).toEqual(content);
    }),
  );
});

test('no bytes make the decoder throw anything but ParseError', () => {
  fc.assert(
    fc.property(contents, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }), (content, changes) => {
      const bytes = encodeContent(content);
      for (const [at, byte] of changes) bytes[at % Math.max(1, bytes.length)] = byte;
      try {
        decodeContent(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(ParseError);
      }
    }),
  );
});

test('absent is absent, and zero or empty is not absent', () => {
  expect(decodeContent(new Uint8Array(0))).toEqual({});
  const content: Content = { expirationTimer: 0, dataMessage: { body: '', flags: 0 } };
  expect(decodeContent(encodeContent(content))).toEqual(content);
  expect(encodeContent({ dataMessage: { attachments: [], preview: [] } })).toEqual(fromHex('0a00'));
});

test('a member that is undefined is not written', () => {
  const content = { sigTimestamp: 5, proMessage: undefined } as unknown as Content;
  expect(toHex(encodeContent(content))).toBe('7805');
});

test('unknown fields and unknown values are ignored', () => {
  const known = encodeContent({ sigTimestamp: 5 });
  const unknown = fromHex('9a060161 a00601 a30608 01a406'.replaceAll(' ', '')); // bytes, varint, group
  expect(decodeContent(concat(unknown, known, unknown))).toEqual({ sigTimestamp: 5 });
  expect(decodeContent(concat(known, fromHex('6063')))).toEqual({ sigTimestamp: 5 }); // expirationType 99
});

describe('a required member', () => {
  test.each([
    ['quote without author', '0a0442020801'],
    ['reaction without action', '0a095a0708011201612201'.slice(0, -2)],
    ['attachment without id', '0a04120222 00'.replace(' ', '')],
    ['typing message of unknown action', '320408011063'],
    ['call without uuid', '1a020801'],
    ['group invitation of an empty message', '0a05c207020a00'],
  ])('must be there: %s', (_, hex) => {
    expect(() => decodeContent(fromHex(hex))).toThrow(ParseError);
  });

  test('must be there to send, too', () => {
    const typing = { typingMessage: { timestamp: 5 } } as unknown as Content;
    expect(() => encodeContent(typing)).toThrow(ParseError);
  });
});

test('a time beyond 2^53 is refused, a bit set is not', () => {
  expect(() => decodeContent(fromHex('78ffffffffffffffffff01'))).toThrow(ParseError);
  expect(decodeContent(fromHex('82010b10ffffffffffffffffff01'))).toEqual({
    proMessage: { profileBitset: 2n ** 64n - 1n },
  });
});

test('what no protobuf holds is refused on sending', () => {
  for (const expirationTimer of [-1, 1.5, 2 ** 32]) {
    expect(() => encodeContent({ expirationTimer })).toThrow(ParseError);
  }
});

test('more than 32 attachments are refused, in both directions', () => {
  const many = (length: number) => ({
    dataMessage: { attachments: Array.from({ length }, () => ({ id: 1n })) },
  });
  expect(decodeContent(encodeContent(many(32))).dataMessage?.attachments).toHaveLength(32);
  expect(() => encodeContent(many(33))).toThrow(ParseError);
  const bytes = encodeProtobuf(ContentSchema, many(33));
  expect(() => decodeContent(bytes)).toThrow(ParseError);
});

test('size and depth are bounded', () => {
  expect(() => decodeContent(new Uint8Array(256 * 1024 + 1))).toThrow(ParseError);
  // Groups of the unknown field 50, one in the other.
  const nested = (levels: number) => fromHex('9303'.repeat(levels) + '9403'.repeat(levels));
  expect(decodeContent(nested(5))).toEqual({});
  expect(() => decodeContent(nested(50))).toThrow(ParseError);
  expect(() => decodeContent(nested(50_000))).toThrow(ParseError);
});
