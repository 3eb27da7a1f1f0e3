// SPDX-License-Identifier: MIT
// Between the generated protobuf code and plain objects: absent fields are absent members, required fields are
// required, 64-bit numbers are numbers where they are times and counts. One walk over the schema serves all messages.
import {
  create,
  type DescField,
  type DescMessage,
  fromBinary,
  ScalarType,
  toBinary,
} from '@bufbuild/protobuf';
import { ParseError } from '../errors.ts';

/** FeatureSet.FieldPresence.LEGACY_REQUIRED of Protobuf's descriptor.proto: `required` of proto2. */
const LEGACY_REQUIRED: number = 3;

/** Ours: the deepest message has four levels; unknown groups count too. */
const MAX_DEPTH = 10;

/** 64-bit fields that use all their bits, or whose value must not decide whether a message is accepted. */
const BIGINT_FIELDS = new Set([
  'session.AttachmentPointer.id',
  'session.ProMessage.messageBitset',
  'session.ProMessage.profileBitset',
  'session.ProProof.expiry',
  'session.SharedConfigMessage.seqno',
]);

type Plain = Record<string, unknown>;

/**
 * Fields in the order of their numbers, nothing unknown: equal values, equal bytes.
 * @throws ParseError `content` for what the schema does not allow, such as a required member that is absent
 */
export function encodeProtobuf(schema: DescMessage, value: object): Uint8Array {
  try {
    return toBinary(schema, create(schema, toInit(schema, value as Plain)));
  } catch (cause) {
    if (cause instanceof ParseError) throw cause;
    throw new ParseError('content', `not encodable as ${schema.name}`, { cause });
  }
}

/**
 * Unknown fields and unknown values of enums are dropped. Byte strings are parts of `bytes`.
 * @throws ParseError `content`
 */
export function decodeProtobuf(schema: DescMessage, bytes: Uint8Array): object {
  let message: object;
  try {
    // A Buffer would hand its type on to the byte strings.
    const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    message = fromBinary(schema, plain, { readUnknownFields: false, recursionLimit: MAX_DEPTH });
  } catch (cause) {
    throw new ParseError('content', `malformed ${schema.name}`, { cause });
  }
  return toPlain(schema, message as Plain);
}

/** Whether there is something in it that `decodeProtobuf` drops; false for what it refuses. */
export function hasUnknownFields(schema: DescMessage, bytes: Uint8Array): boolean {
  try {
    const message = fromBinary(schema, bytes, { readUnknownFields: true, recursionLimit: MAX_DEPTH });
    return isMore(schema, message as Plain);
  } catch {
    return false;
  }
}

function isMore(schema: DescMessage, message: Plain): boolean {
  if (((message.$unknown as readonly unknown[] | undefined)?.length ?? 0) > 0) return true;
  return schema.fields.some((field) => {
    const { message: inner } = field;
    const value = Object.hasOwn(message, field.localName) ? message[field.localName] : undefined;
    if (inner === undefined || value === undefined) return false;
    const items = field.fieldKind === 'list' ? (value as readonly Plain[]) : [value as Plain];
    return items.some((item) => isMore(inner, item));
  });
}

function toPlain(schema: DescMessage, message: Plain): Plain {
  const plain: Plain = {};
  for (const field of schema.fields) {
    const name = field.localName;
    // Defaults are on the prototype; what was on the wire is the message's own.
    const value = Object.hasOwn(message, name) ? message[name] : undefined;
    if (value === undefined) {
      if (isRequired(field)) throw new ParseError('content', `${String(field)} is missing`);
    } else if (field.fieldKind === 'list') {
      const items = value as readonly unknown[];
      if (items.length > 0) plain[name] = items.map((item) => plainValue(field, item));
    } else plain[name] = plainValue(field, value);
  }
  return plain;
}

function plainValue(field: DescField, value: unknown): unknown {
  if (field.message !== undefined) return toPlain(field.message, value as Plain);
  if (!isLong(field) || BIGINT_FIELDS.has(nameOf(field))) return value;
  const number = Number(value as bigint);
  if (!Number.isSafeInteger(number)) throw new ParseError('content', `${String(field)} is beyond 2^53`);
  return number;
}

function toInit(schema: DescMessage, plain: Plain): Plain {
  const init: Plain = {};
  for (const field of schema.fields) {
    const name = field.localName;
    const value = plain[name];
    if (value === undefined) {
      if (isRequired(field)) throw new ParseError('content', `${String(field)} is missing`);
    } else if (field.fieldKind === 'list') {
      init[name] = (value as readonly unknown[]).map((item) => initValue(field, item));
    } else init[name] = initValue(field, value);
  }
  return init;
}

function initValue(field: DescField, value: unknown): unknown {
  if (field.message !== undefined) return toInit(field.message, value as Plain);
  return isLong(field) ? BigInt(value as number | bigint) : value;
}

function isRequired(field: DescField): boolean {
  return field.presence === LEGACY_REQUIRED;
}

function isLong(field: DescField): boolean {
  switch (field.scalar) {
    case ScalarType.INT64:
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return true;
    default:
      return false;
  }
}

function nameOf(field: DescField): string {
  return `${field.parent.typeName}.${field.name}`;
}
