// SPDX-License-Identifier: MIT
// Members of a request in either carrier (spec/storage-server §2.5): text and base64 in JSON, raw bytes in bt-encoding, and
// the few rules that JSON alone has. Every text is exact: clients compare them.
import { fromBase64, fromHex, fromUtf8, toBinary, utf8 } from '../bytes.ts';
import type { BtDict, BtValue } from '../codec/bencode.ts';
import { checkJson, isLightJson, type Json, parseJson } from '../codec/json.ts';
import { ParseError } from '../errors.ts';
import { type AccountPubkey, accountPubkey, attempt, RequestError, type SubaccountAuth } from './requests.ts';

// From the specification, spec/storage-server §2.9 and §7.
const MAX_DATA_LENGTH = 76_800;
const MAX_DATA_TEXT = 102_400;
const MAX_SUBREQUESTS = 20;
const TOKEN_LENGTH = 36;
/** 10^6 seconds: a smaller number was meant as seconds. */
const MIN_JSON_TIMESTAMP = 1_000_000_000;

// Ours.
/** Foreign text in an answer is cut: otherwise 10 MiB of nonsense are sent back. */
const MAX_QUOTED = 200;
export function invalid(text: string): RequestError {
  return new RequestError(`invalid request: ${text}`);
}

export function invalidValue(name: string, expected: string): RequestError {
  return invalid(`Invalid value given for '${name}': expected ${expected}`);
}

export function missing(name: string): RequestError {
  return invalid(`Required field '${name}' missing`);
}

export function cut(text: string): string {
  return text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text;
}

/** Members of a request. An absent one is undefined; a wrong type throws the text of §2.5. */
export interface Fields {
  has(name: string): boolean;
  text(name: string): string | undefined;
  flag(name: string): boolean;
  integer(name: string): number | undefined;
  /** `inMs`: refuse what looks like seconds; JSON only. */
  timestamp(name: string, inMs: boolean): number | undefined;
  /** `timestamp` and `ttl` of `store`: decimal text is allowed in JSON. */
  storeTime(name: string, expected: string): number | undefined;
  namespace(): number | undefined;
  namespaceOrAll(): number | 'all';
  texts(name: string): string[] | undefined;
  timestamps(name: string): number[] | undefined;
  integers(name: string, max: number): number[] | undefined;
  account(name: string): AccountPubkey | undefined;
  ed25519Key(): Uint8Array | undefined;
  signature(): Uint8Array | undefined;
  subaccount(): SubaccountAuth | undefined;
  tokens(name: string): Uint8Array[] | undefined;
  data(): Uint8Array | undefined;
  json(name: string): Json | undefined;
  /** Each entry of `requests`, in order, as `read` understands it. */
  subrequests<T>(read: (method: string, fields: Fields) => T): T[];
  conditions(): Fields | undefined;
  branch<T>(name: string, read: (method: string, fields: Fields) => T): T | undefined;
}

export const TIMESTAMP = 'integer timestamp (in milliseconds)';
const NO_SIGNATURE_JSON = 'expected base64 encoded Ed25519 signature';
const NO_SIGNATURE_BT = 'expected 64-byte Ed25519 signature';
const NO_ED25519_KEY = 'Invalid pubkey_ed25519: expected 64 hex char or 32 byte pubkey';
const DATA_TOO_LONG = `Message body exceeds maximum allowed length of ${MAX_DATA_LENGTH} bytes`;

export function isTimestamp(value: unknown): value is number {
  // Ours: times beyond 2^53 are refused (spec/storage-server §1.3 has none) rather than rounded.
  return typeof value === 'number' && value >= 0 && Number.isSafeInteger(value);
}

function checkedNamespace(value: number | bigint): number {
  if (value < -32768 || value > 32767) {
    throw invalid("Invalid value given for 'namespace': value out of range");
  }
  return Number(value);
}

/** 64 hex digits or 32 raw bytes, given as text. */
function ed25519KeyOfText(text: string): Uint8Array {
  if (text.length === 64) {
    const key = attempt(fromHex, text);
    if (key === undefined) throw invalid('invalid pubkey_ed25519: value is not hex');
    return key;
  }
  const raw = text.length <= 32 ? utf8(text) : undefined;
  if (raw?.length !== 32) throw invalid(NO_ED25519_KEY);
  return raw;
}

/** 86 characters, or 88 of which the last two are padding. */
function signatureOfText(text: string): Uint8Array | undefined {
  if (text.length !== 86 && !(text.length === 88 && text.endsWith('=='))) return undefined;
  const signature = attempt(fromBase64, text);
  return signature?.length === 64 ? signature : undefined;
}

/** 48 base64 characters or 72 hex digits. */
function tokenOfText(text: string): Uint8Array | undefined {
  const token =
    text.length === 48 ? attempt(fromBase64, text) : text.length === 72 ? attempt(fromHex, text) : undefined;
  return token?.length === TOKEN_LENGTH ? token : undefined;
}

export type JsonParams = Readonly<Record<string, unknown>>;

export class JsonFields implements Fields {
  readonly params: JsonParams;

  constructor(params: JsonParams) {
    this.params = params;
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  /** null counts as absent. */
  get(name: string): unknown {
    return this.params[name] ?? undefined;
  }

  text(name: string): string | undefined {
    const value = this.get(name);
    if (value === undefined || typeof value === 'string') return value;
    throw invalidValue(name, 'string');
  }

  flag(name: string): boolean {
    const value = this.get(name);
    if (value === undefined) return false;
    if (typeof value === 'boolean') return value;
    throw invalidValue(name, 'boolean');
  }

  integer(name: string): number | undefined {
    const value = this.get(name);
    if (value === undefined) return undefined;
    if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
    throw invalidValue(name, 'integer');
  }

  timestamp(name: string, inMs: boolean): number | undefined {
    const value = this.get(name);
    if (value === undefined) return undefined;
    if (!isTimestamp(value)) throw invalidValue(name, TIMESTAMP);
    if (inMs && value < MIN_JSON_TIMESTAMP) {
      throw invalid(`Invalid timestamp for '${name}': timestamp must be in milliseconds`);
    }
    return value;
  }

  storeTime(name: string, expected: string): number | undefined {
    const value = this.get(name);
    if (typeof value === 'string') {
      const time = /^[0-9]{1,16}$/.test(value) ? Number(value) : -1;
      if (!isTimestamp(time)) throw invalid(`Invalid value given for '${name}': "${cut(value)}"`);
      return time;
    }
    if (value === undefined || isTimestamp(value)) return value;
    throw invalidValue(name, expected);
  }

  namespace(): number | undefined {
    const value = this.get('namespace');
    if (value === undefined) return undefined;
    if (typeof value !== 'number' || !Number.isInteger(value))
      throw invalidValue('namespace', '16-bit integer');
    return checkedNamespace(value);
  }

  namespaceOrAll(): number | 'all' {
    const value = this.get('namespace');
    if (value === undefined) return 0;
    if (value === 'all') return 'all';
    if (typeof value !== 'number' || !Number.isInteger(value)) {
      throw invalidValue('namespace', 'integer or "all"');
    }
    return checkedNamespace(value);
  }

  /** An array, or a scalar in place of an array of one. */
  list<T>(name: string, expected: string, isItem: (value: unknown) => value is T): T[] | undefined {
    const value = this.get(name);
    if (value === undefined) return undefined;
    if (Array.isArray(value)) {
      if (value.every(isItem)) return value;
    } else if (isItem(value)) return [value];
    throw invalidValue(name, expected);
  }

  texts(name: string): string[] | undefined {
    return this.list(name, 'string array', (value) => typeof value === 'string');
  }

  timestamps(name: string): number[] | undefined {
    return this.list(name, 'timestamp array', isTimestamp);
  }

  integers(name: string, max: number): number[] | undefined {
    const values = this.list(
      name,
      'integer array',
      Number.isSafeInteger as (value: unknown) => value is number,
    );
    if (values !== undefined && values.length > max) throw invalidValue(name, 'integer array');
    return values;
  }

  account(name: string): AccountPubkey | undefined {
    const text = this.text(name);
    return text === undefined ? undefined : accountPubkey(text);
  }

  ed25519Key(): Uint8Array | undefined {
    const text = this.text('pubkey_ed25519');
    return text === undefined ? undefined : ed25519KeyOfText(text);
  }

  signature(): Uint8Array | undefined {
    const text = this.text('signature');
    if (text === undefined) return undefined;
    const signature = signatureOfText(text);
    if (signature === undefined) throw invalid(`invalid signature: ${NO_SIGNATURE_JSON}`);
    return signature;
  }

  subaccount(): SubaccountAuth | undefined {
    const text = this.text('subaccount');
    const signatureText = this.text('subaccount_sig');
    if (text === undefined || text === '') return undefined;
    if (signatureText === undefined) throw noSubaccountSignature();
    const token = tokenOfText(text);
    if (token === undefined) {
      throw invalid('invalid subaccount: expected base64 or hex-encoded subaccount token');
    }
    const signature = signatureOfText(signatureText);
    if (signature === undefined) throw invalid(`invalid subaccount signature: ${NO_SIGNATURE_JSON}`);
    return { token, signature };
  }

  tokens(name: string): Uint8Array[] | undefined {
    return this.texts(name)?.map((text) => {
      const token = tokenOfText(text);
      if (token === undefined) {
        throw invalid(`invalid ${name}: expected base64 or hex-encoded subaccount tag`);
      }
      return token;
    });
  }

  data(): Uint8Array | undefined {
    const text = this.text('data');
    if (text === undefined) return undefined;
    if (text.length > MAX_DATA_TEXT) throw invalid(DATA_TOO_LONG); // before it is decoded
    const data = attempt(fromBase64, text);
    if (data === undefined) throw invalid("Invalid 'data' value: not base64 encoded");
    return data;
  }

  json(name: string): Json | undefined {
    const value = this.get(name) as Json | undefined;
    if (value === undefined) return undefined;
    checkDepth(value);
    return value;
  }

  subrequests<T>(read: (method: string, fields: Fields) => T): T[] {
    const requests = this.params.requests;
    if (!Array.isArray(requests) || requests.length === 0) throw noRequests();
    if (requests.length > MAX_SUBREQUESTS) throw tooManyRequests();
    return requests.map((request: unknown) => {
      if (!isObject(request)) throw invalid('Invalid batch request: requests must be objects');
      const { method, params } = request;
      if (typeof method !== 'string' || !isObject(params)) {
        throw invalid('Invalid batch request: subrequests must have method/params keys');
      }
      return read(method, new JsonFields(params));
    });
  }

  conditions(): Fields | undefined {
    const value = this.get('if');
    return isObject(value) ? new JsonFields(value) : undefined;
  }

  branch<T>(name: string, read: (method: string, fields: Fields) => T): T | undefined {
    const value = this.get(name);
    if (value === undefined) return undefined;
    if (!isObject(value)) throw invalid(`Invalid ifelse request: ${name} must be an object`);
    const { method, params } = value;
    if (typeof method !== 'string' || !isObject(params)) throw noBranchKeys(name);
    return read(method, new JsonFields(params));
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export class BtFields implements Fields {
  readonly params: BtDict;

  constructor(params: BtDict) {
    this.params = params;
  }

  has(name: string): boolean {
    return this.params.has(name);
  }

  bytes(name: string): Uint8Array | undefined {
    const value = this.params.get(name);
    if (value === undefined || value instanceof Uint8Array) return value;
    throw invalidValue(name, 'string');
  }

  text(name: string): string | undefined {
    const bytes = this.bytes(name);
    return bytes === undefined ? undefined : toBinary(bytes);
  }

  flag(name: string): boolean {
    const value = this.params.get(name);
    if (value === undefined) return false;
    if (value === 0 || value === 1) return value === 1;
    throw invalidValue(name, 'boolean');
  }

  integer(name: string): number | undefined {
    const value = this.params.get(name);
    if (value === undefined || typeof value === 'number') return value;
    throw invalidValue(name, 'integer');
  }

  timestamp(name: string): number | undefined {
    return this.storeTime(name, TIMESTAMP);
  }

  storeTime(name: string, expected: string): number | undefined {
    const value = this.params.get(name);
    if (value === undefined || isTimestamp(value)) return value;
    throw invalidValue(name, expected);
  }

  namespace(): number | undefined {
    const value = this.params.get('namespace');
    if (value === undefined) return undefined;
    if (typeof value !== 'number' && typeof value !== 'bigint')
      throw invalidValue('namespace', '16-bit integer');
    return checkedNamespace(value);
  }

  namespaceOrAll(): number | 'all' {
    const value = this.params.get('namespace');
    if (value === undefined) return 0;
    if (typeof value === 'number' || typeof value === 'bigint') return checkedNamespace(value);
    if (value instanceof Uint8Array && value.length === 3 && toBinary(value) === 'all') return 'all';
    throw invalidValue('namespace', 'integer or "all"');
  }

  list<T>(name: string, expected: string, item: (value: BtValue) => T | undefined): T[] | undefined {
    const value = this.params.get(name);
    if (value === undefined) return undefined;
    const items: T[] = [];
    for (const element of Array.isArray(value) ? value : [value]) {
      const parsed = item(element);
      if (parsed === undefined) throw invalidValue(name, expected);
      items.push(parsed);
    }
    return items;
  }

  texts(name: string): string[] | undefined {
    return this.list(name, 'string array', (v) => (v instanceof Uint8Array ? toBinary(v) : undefined));
  }

  timestamps(name: string): number[] | undefined {
    return this.list(name, 'timestamp array', (v) => (isTimestamp(v) ? v : undefined));
  }

  integers(name: string, max: number): number[] | undefined {
    const values = this.list(name, 'integer array', (v) => (typeof v === 'number' ? v : undefined));
    if (values !== undefined && values.length > max) throw invalidValue(name, 'integer array');
    return values;
  }

  account(name: string): AccountPubkey | undefined {
    const bytes = this.bytes(name);
    return bytes === undefined ? undefined : accountPubkey(bytes);
  }

  ed25519Key(): Uint8Array | undefined {
    const bytes = this.bytes('pubkey_ed25519');
    if (bytes === undefined || bytes.length === 32) return bytes;
    if (bytes.length !== 64) throw invalid(NO_ED25519_KEY);
    return ed25519KeyOfText(toBinary(bytes));
  }

  signature(): Uint8Array | undefined {
    const bytes = this.bytes('signature');
    if (bytes === undefined || bytes.length === 64) return bytes;
    throw invalid(`invalid signature: ${NO_SIGNATURE_BT}`);
  }

  subaccount(): SubaccountAuth | undefined {
    const token = this.bytes('subaccount');
    const signature = this.bytes('subaccount_sig');
    if (token === undefined || token.length === 0) return undefined;
    if (signature === undefined) throw noSubaccountSignature();
    if (token.length !== TOKEN_LENGTH) throw invalid('invalid subaccount token: invalid token length');
    if (signature.length !== 64) throw invalid(`invalid subaccount signature: ${NO_SIGNATURE_BT}`);
    return { token, signature };
  }

  tokens(name: string): Uint8Array[] | undefined {
    const tokens = this.list(name, 'string array', (v) => (v instanceof Uint8Array ? v : undefined));
    if (tokens?.some((token) => token.length !== TOKEN_LENGTH)) {
      throw invalid(`invalid ${name} subaccount: invalid subaccount tag length`);
    }
    return tokens;
  }

  data(): Uint8Array | undefined {
    const data = this.bytes('data');
    if (data !== undefined && data.length > MAX_DATA_LENGTH) throw invalid(DATA_TOO_LONG);
    return data;
  }

  json(name: string): Json | undefined {
    const bytes = this.bytes(name);
    if (bytes === undefined) return undefined;
    try {
      const text = fromUtf8(bytes);
      if (!isLightJson(text)) throw new ParseError('json', 'too many values');
      const value = parseJson(text);
      return value === null ? undefined : value;
    } catch (error) {
      if (!(error instanceof ParseError)) throw error;
      throw invalid('oxend_request params field does not contain valid json');
    }
  }

  subrequests<T>(read: (method: string, fields: Fields) => T): T[] {
    const requests = this.params.get('requests');
    if (!Array.isArray(requests)) throw noRequests();
    if (requests.length === 0) throw invalid('Invalid batch request: empty "requests" list');
    if (requests.length > MAX_SUBREQUESTS) throw tooManyRequests();
    return requests.map((request) => {
      if (!(request instanceof Map)) throw invalid('Invalid batch request: requests must be dicts');
      const method = request.get('method');
      const params = request.get('params');
      if (!(method instanceof Uint8Array)) {
        throw invalid('Invalid batch request: subrequests must have a method');
      }
      if (!(params instanceof Map)) {
        throw invalid('Invalid batch request: subrequests must have a params dict');
      }
      return read(toBinary(method), new BtFields(params));
    });
  }

  conditions(): Fields | undefined {
    const value = this.params.get('if');
    return value instanceof Map ? new BtFields(value) : undefined;
  }

  branch<T>(name: string, read: (method: string, fields: Fields) => T): T | undefined {
    const value = this.params.get(name);
    if (value === undefined) return undefined;
    if (!(value instanceof Map)) throw invalid(`Invalid ifelse request: ${name} must be an object`);
    const method = value.get('method');
    const params = value.get('params');
    if (!(method instanceof Uint8Array) || !(params instanceof Map)) throw noBranchKeys(name);
    return read(toBinary(method), new BtFields(params));
  }
}

function noSubaccountSignature(): RequestError {
  return invalid('invalid subaccount: subaccount_sig is required when using subaccount');
}

function noRequests(): RequestError {
  return invalid('Invalid batch request: no valid "requests" field');
}

function tooManyRequests(): RequestError {
  return invalid('Invalid batch request: subrequest limit exceeded');
}

function noBranchKeys(name: string): RequestError {
  return invalid(`Invalid ifelse request: ${name} must have method/params keys`);
}

function checkDepth(value: Json): void {
  try {
    checkJson(value);
  } catch {
    throw invalidValue('params', 'JSON that nests less deeply');
  }
}
