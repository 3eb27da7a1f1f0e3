// SPDX-License-Identifier: MIT
// Onion requests (spec/storage-server §4.2–4.8, §5.7; client side: spec/client §7): what is inside the layers, how a
// client builds them, how a relay reads them, and the answer. The same envelope serves on all levels:
//
//   N (u32 little-endian) ‖ N bytes blob ‖ JSON "control"
//
//   POST to the guard   blob: layer for the guard      control: ephemeral_key, enc_type, hop_no
//   in a relay's layer  blob: layer for the next node  control: destination, ephemeral_key, enc_type
//   before a server     blob: layer for the server     control: host, target, …; the server gets blob and control
//   at a destination    blob: RPC request              control: headers, json, base64
import { concat, fromBase64, fromHex, fromUtf8, readU32le, toBase64, toHex, u32le, utf8 } from '../bytes.ts';
import { btBytes, btInteger, decodeBtDict, encodeBt } from '../codec/bencode.ts';
import { parseJson, stringifyJson } from '../codec/json.ts';
import { AlliumError, ParseError } from '../errors.ts';
import {
  type EncType,
  encTypeName,
  type FixedLayer,
  layerOverhead,
  openReply,
  parseEncType,
  type ReceivedEncType,
  type ReplyKey,
  sealLayer,
  sealReply,
} from './layer.ts';

// From the specification (spec/storage-server §4.8).
/** An envelope or hop message greater than this is refused. */
export const MAX_ONION_BYTES = 10 * 1024 * 1024;
/** A hop message with a greater number is refused. */
export const MAX_HOPS = 15;
/** spec/storage-server §4.6: other codes become 500 on their way back. */
const RELAYED_STATUSES = new Set([200, 400, 401, 403, 404, 406, 410, 413, 421, 429, 500, 502, 503, 504]);

// Ours.
/** Bounds the time that parsing takes. Real ones have 250 bytes; padding of a server request may be here. */
const MAX_CONTROL_BYTES = 128 * 1024;
/** Size classes: powers of two up to the step, then multiples of it. */
const SMALLEST_CLASS = 1024;
const CLASS_STEP = 64 * 1024;
const MAX_HOST_LENGTH = 253;

/** Our own request cannot be sent: no path, or one too long; more than MAX_ONION_BYTES. */
export class OnionError extends AlliumError<'bad_path' | 'too_large'> {
  override readonly name = 'OnionError';
}

/** A layer on its way to the node that can open it. */
export interface Hop {
  readonly ciphertext: Uint8Array;
  /** X25519, 32 bytes. */
  readonly ephemeralKey: Uint8Array;
  readonly encType: ReceivedEncType;
  readonly hopNo: number;
}

/** This node is the destination. */
export interface FinalLayer {
  readonly kind: 'final';
  /** An RPC request (spec/storage-server §2.4). */
  readonly body: Uint8Array;
  /** Embed a JSON result as JSON instead of as text. */
  readonly embedJson: boolean;
  readonly base64: boolean;
}

/** To be posted to `relayUrl`. */
export interface ServerRelayLayer {
  readonly kind: 'server';
  readonly host: string;
  readonly port: number;
  readonly protocol: string;
  readonly target: string;
  /** What the server gets: the whole plaintext of the layer. */
  readonly payload: Uint8Array;
}

export interface NodeRelayLayer {
  readonly kind: 'node';
  /** Ed25519 key of the next node, lower-case hex. */
  readonly destination: string;
  readonly ephemeralKey: Uint8Array;
  readonly encType: ReceivedEncType;
  readonly ciphertext: Uint8Array;
}

export type Layer = FinalLayer | ServerRelayLayer | NodeRelayLayer;

/** What a destination answers. */
export interface FinalReply {
  readonly status: number;
  /** Text, or bytes, which travel as base64. */
  readonly body: string | Uint8Array;
  /** `body` is a JSON document. */
  readonly isJson?: boolean;
}

/** What a client gets from it; `body` is text in any case. */
export interface ReceivedReply {
  readonly status: number;
  readonly body: string;
}

export interface PathNode {
  readonly ed25519Key: Uint8Array;
  readonly x25519Key: Uint8Array;
}

export interface ServerDestination {
  readonly kind: 'server';
  readonly x25519Key: Uint8Array;
  readonly host: string;
  /** For example `/oxen/v4/lsrpc`. */
  readonly target: string;
  /** Default 443 or, for http, 80. */
  readonly port?: number;
  /** Default https. */
  readonly protocol?: 'http' | 'https';
}

export type OnionDestination = ({ readonly kind: 'node' } & PathNode) | ServerDestination;

export interface OnionOptions {
  /** Guard first; one to fourteen nodes; none when `direct`. */
  readonly path: readonly PathNode[];
  readonly destination: OnionDestination;
  /** To a node: the RPC request's JSON. To a server: a v4 request. */
  readonly payload: Uint8Array;
  /** The destination, a node, is asked itself as a guard is, which hides nothing from it: for tests of guards. */
  readonly direct?: boolean;
  /** Absent: aes-gcm, without saying so. */
  readonly encType?: EncType;
  /** Where to start counting hops, to blur the position of the sender. */
  readonly hopNo?: number;
  /** Fill up to a size class (spec/storage-server §9.3.13). The payload to a node must be JSON then. */
  readonly padded?: boolean;
}

export interface BuiltOnion {
  /** Body of the POST to the guard. */
  readonly body: Uint8Array;
  /** Opens the destination's answer. */
  readonly replyKey: ReplyKey;
}

export function encodeEnvelope(blob: Uint8Array, controlJson: string): Uint8Array {
  return concat(u32le(blob.length), blob, utf8(controlJson));
}

/** `blob` is a part of `bytes`. @throws ParseError */
export function splitEnvelope(bytes: Uint8Array): { readonly blob: Uint8Array; readonly control: string } {
  if (bytes.length > MAX_ONION_BYTES) throw new ParseError('envelope', `${bytes.length} bytes are too many`);
  const end = 4 + readU32le(bytes, 0);
  if (end > bytes.length) {
    throw new ParseError('envelope', `a blob of ${end - 4} bytes in an envelope of ${bytes.length}`);
  }
  if (bytes.length - end > MAX_CONTROL_BYTES) throw new ParseError('envelope', 'control JSON is too long');
  return { blob: bytes.subarray(4, end), control: fromUtf8(bytes.subarray(end)) };
}

/** Body of `POST /onion_req/v2`. @throws ParseError: answer 400 `Error parsing onion request: <message>`, plain */
export function parseEntry(bytes: Uint8Array): Hop {
  const { blob, control } = splitEnvelope(bytes);
  const members = parseControl(control);
  return {
    ciphertext: blob,
    ephemeralKey: fromHex(requiredText(members, 'ephemeral_key'), 32),
    encType: parseEncType(optionalText(members, 'enc_type')),
    hopNo: Math.max(0, optionalInteger(members, 'hop_no') ?? 0), // spec/storage-server §4.2
  };
}

/** Parts of the result are parts of `plaintext`. @throws ParseError: answer 400 `Invalid json`, encrypted */
export function parseLayer(plaintext: Uint8Array): Layer {
  const { blob, control } = splitEnvelope(plaintext);
  const members = parseControl(control);
  // spec/storage-server §4.4: the order of these tests is part of the protocol.
  if (Object.hasOwn(members, 'headers')) {
    return {
      kind: 'final',
      body: blob,
      embedJson: optionalBoolean(members, 'json') ?? false,
      base64: optionalBoolean(members, 'base64') ?? true,
    };
  }
  if (Object.hasOwn(members, 'host')) {
    const port = optionalInteger(members, 'port') ?? 443;
    if (port < 0 || port > 0xffff) throw new ParseError('onion', 'a port is a number of 16 bits');
    return {
      kind: 'server',
      host: requiredText(members, 'host'),
      port,
      protocol: optionalText(members, 'protocol') ?? 'https',
      target: requiredText(members, 'target'),
      payload: plaintext,
    };
  }
  const destination = requiredText(members, 'destination');
  if (!/^[0-9a-f]{64}$/i.test(destination)) throw new ParseError('onion', 'destination is not 64 hex digits');
  return {
    kind: 'node',
    destination: destination.toLowerCase(),
    ephemeralKey: fromHex(requiredText(members, 'ephemeral_key'), 32),
    encType: parseEncType(optionalText(members, 'enc_type')),
    ciphertext: blob,
  };
}

/**
 * Where to post a server relay; undefined: answer 400 `Invalid url`, encrypted (spec/storage-server §4.6).
 * The address that the host resolves to is still to be checked (§9.3.3).
 */
export function relayUrl(layer: Omit<ServerRelayLayer, 'kind' | 'payload'>): string | undefined {
  const { protocol, host, port, target } = layer;
  if (protocol !== 'http' && protocol !== 'https') return undefined;
  if (!isRelayTarget(target)) return undefined;
  // Ours: nothing but a name or an address, so that the rest of the URL is what it seems to be.
  const isHost = /^(?:[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?\.?|\[[0-9a-f:.]+\])$/i.test(host);
  if (!isHost || host.length > MAX_HOST_LENGTH || port === 0) return undefined;
  const isDefaultPort = port === (protocol === 'https' ? 443 : 80);
  const url = `${protocol}://${host}${isDefaultPort ? '' : `:${port}`}${target}`;
  return URL.canParse(url) ? url : undefined;
}

/** Whether relays post to this path (spec/storage-server §4.6). */
export function isRelayTarget(target: string): boolean {
  if (!target.startsWith('/loki/') && !target.startsWith('/oxen/')) return false;
  if (!target.endsWith('/lsrpc')) return false;
  // Also excludes `?`, as the spec asks. Ours: blanks, fragments and the like, and steps upwards.
  return /^[a-zA-Z0-9/._~%+-]+$/.test(target) && !/\/\.\.?(?:\/|$)|%2e/i.test(target);
}

/** The status that a hop passes on for the one that it got (spec/storage-server §4.6). */
export function relayedStatus(status: number): number {
  return RELAYED_STATUSES.has(status) ? status : 500;
}

/** The one part of `sn.onion_request` (spec/storage-server §5.7). */
export function encodeHop(hop: Hop): Uint8Array {
  return encodeBt({
    data: hop.ciphertext,
    enc_type: encTypeName(hop.encType),
    ephemeral_key: hop.ephemeralKey,
    hop_no: hop.hopNo,
  });
}

/**
 * Parts of the result are parts of `bytes`. MAX_HOPS is the caller's to check, for it has an answer of its own.
 * @throws ParseError: answer 400 `Invalid internal onion request: <message>`, plain
 */
export function parseHop(bytes: Uint8Array): Hop {
  if (bytes.length > MAX_ONION_BYTES) throw new ParseError('onion', `${bytes.length} bytes are too many`);
  const dict = decodeBtDict(bytes, { maxDepth: 4, maxValues: 64 });
  const ciphertext = btBytes(dict, 'data');
  const ephemeralKey = btBytes(dict, 'ephemeral_key', 32);
  const encType = btBytes(dict, 'enc_type');
  const hopNo = btInteger(dict, 'hop_no');
  if (ciphertext === undefined || ephemeralKey === undefined || hopNo === undefined) {
    throw new ParseError('onion', 'data, ephemeral_key or hop_no is missing');
  }
  return {
    ciphertext,
    ephemeralKey,
    encType: parseEncType(encType === undefined ? undefined : fromUtf8(encType)),
    hopNo: Math.max(1, hopNo), // spec/storage-server §5.7
  };
}

/** The wrapping of a destination's answer (spec/storage-server §4.5), before encryption. */
export function encodeFinalReply(reply: FinalReply, embedJson = false): Uint8Array {
  const text = typeof reply.body === 'string' ? reply.body : toBase64(reply.body);
  const body = embedJson && reply.isJson === true ? text : JSON.stringify(text);
  return utf8(`{"body":${body},"status":${reply.status}}`);
}

/** How the request wants its answer. */
export type ReplyForm = Pick<FinalLayer, 'embedJson' | 'base64'>;

/** Wraps, encrypts and, unless the request said no, base64-encodes: the HTTP body of the answer (status 200). */
export function sealFinalReply(reply: FinalReply, form: ReplyForm, replyKey: ReplyKey): Uint8Array {
  const sealed = sealReply(replyKey, encodeFinalReply(reply, form.embedJson));
  return form.base64 ? utf8(toBase64(sealed)) : sealed;
}

/** Accepts both names of the status, and a body that is JSON instead of text. @throws ParseError */
export function parseFinalReply(plaintext: Uint8Array): ReceivedReply {
  const reply = parseJson(fromUtf8(plaintext));
  if (typeof reply !== 'object' || reply === null || Array.isArray(reply)) {
    throw new ParseError('onion', 'the reply is not an object');
  }
  const members = reply as Readonly<Record<string, unknown>>;
  const status = members.status ?? members.status_code;
  if (typeof status !== 'number' || !Number.isInteger(status) || status < 0 || status > 999) {
    throw new ParseError('onion', 'the reply has no status');
  }
  const body = (reply as { readonly body?: Parameters<typeof stringifyJson>[0] }).body ?? '';
  if (typeof body === 'string') return { status, body };
  if (typeof body === 'object') return { status, body: stringifyJson(body) };
  throw new ParseError('onion', 'the body of the reply is neither text nor JSON');
}

/**
 * The answer of a node from the HTTP body that the guard gave; undefined when it does not open, as for an error that a
 * hop encrypted.
 * @throws ParseError when it is not base64, or opens to nonsense
 */
export function openFinalReply(httpBody: Uint8Array, replyKey: ReplyKey): ReceivedReply | undefined {
  if (httpBody.length > MAX_ONION_BYTES * 2) throw new ParseError('onion', 'the reply is too long');
  let text = fromUtf8(httpBody);
  if (text.startsWith('{')) {
    // spec/client §7.2: some wrap the text once more.
    const { result } = (parseJson(text) ?? {}) as { readonly result?: unknown };
    if (typeof result !== 'string') throw new ParseError('onion', 'a reply in JSON without result');
    text = result;
  }
  const plaintext = openReply(replyKey, fromBase64(text));
  return plaintext === undefined ? undefined : parseFinalReply(plaintext);
}

/**
 * Builds the whole request. `fixed`, for tests: destination first, guard last.
 * @throws OnionError for a path or size that no network takes
 */
export function buildOnion(options: OnionOptions, fixed?: readonly FixedLayer[]): BuiltOnion {
  const { path, destination, encType = 'aes-gcm' } = options;
  const isDirect = options.direct === true && destination.kind === 'node';
  if ((path.length === 0) !== isDirect || path.length >= MAX_HOPS) {
    throw new OnionError('bad_path', `a path of ${path.length} nodes`);
  }
  const fillBytes = options.padded === true ? fillOf(options, encType) : 0;
  let sealed = sealLayer(encType, innermost(options, fillBytes), destination.x25519Key, fixed?.[0]);
  const { replyKey } = sealed;
  const hopNo = options.hopNo !== undefined && { hop_no: options.hopNo };
  let control = isDirect
    ? JSON.stringify({ ...keyOf(sealed.ephemeralKey, options), ...hopNo })
    : destinationControl(destination, keyOf(sealed.ephemeralKey, options));
  if (destination.kind === 'server') control += ' '.repeat(fillBytes);
  for (const [index, node] of [...path.entries()].reverse()) {
    const plaintext = encodeEnvelope(sealed.ciphertext, control);
    sealed = sealLayer(encType, plaintext, node.x25519Key, fixed?.[path.length - index]);
    control = JSON.stringify(
      index > 0
        ? { destination: toHex(node.ed25519Key), ...keyOf(sealed.ephemeralKey, options) }
        : { ...keyOf(sealed.ephemeralKey, options), ...hopNo },
    );
  }
  const body = encodeEnvelope(sealed.ciphertext, control);
  if (body.length > MAX_ONION_BYTES) throw new OnionError('too_large', `an onion of ${body.length} bytes`);
  return { body, replyKey };
}

const FINAL_CONTROL = '{"headers":{}}';

/** Plaintext for the destination. A server gets its payload bare (spec/storage-server §4.10). */
function innermost({ destination, payload }: OnionOptions, fillBytes: number): Uint8Array {
  if (destination.kind === 'server') return payload;
  if (fillBytes === 0) return encodeEnvelope(payload, FINAL_CONTROL);
  return encodeEnvelope(concat(payload, new Uint8Array(fillBytes).fill(0x20)), FINAL_CONTROL);
}

/** What the last node of the path reads. */
function destinationControl(destination: OnionDestination, key: object): string {
  if (destination.kind === 'node') {
    return JSON.stringify({ destination: toHex(destination.ed25519Key), ...key });
  }
  const { host, target, protocol = 'https' } = destination;
  const port = destination.port ?? (protocol === 'https' ? 443 : 80);
  return JSON.stringify({ host, target, method: 'POST', protocol, port, ...key });
}

function keyOf(ephemeralKey: Uint8Array, { encType }: OnionOptions): object {
  const key = { ephemeral_key: toHex(ephemeralKey) };
  return encType === undefined ? key : { ...key, enc_type: encTypeName(encType) };
}

/**
 * How much to add so that the plaintext of the path's last node, and with it everything outside, has a size of a
 * class. That the destination is a node or a server does not show in the length then.
 */
function fillOf(options: OnionOptions, encType: EncType): number {
  const { destination } = options;
  const control = destinationControl(destination, keyOf(new Uint8Array(32), options));
  const layerBytes = innermost(options, 0).length + layerOverhead(encType);
  const sizeBytes = 4 + layerBytes + utf8(control).length;
  return sizeClass(sizeBytes) - sizeBytes;
}

function sizeClass(size: number): number {
  if (size > CLASS_STEP) return Math.ceil(size / CLASS_STEP) * CLASS_STEP;
  let sizeBytes = SMALLEST_CLASS;
  while (sizeBytes < size) sizeBytes *= 2;
  return sizeBytes;
}

type Members = Readonly<Record<string, unknown>>;

function parseControl(text: string): Members {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ParseError('onion', 'control JSON is malformed', { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ParseError('onion', 'control JSON is not an object');
  }
  return value as Members;
}

function optionalText(members: Members, name: string): string | undefined {
  if (!Object.hasOwn(members, name)) return undefined;
  const value = members[name];
  if (typeof value !== 'string') throw new ParseError('onion', `${name} is not text`);
  return value;
}

function requiredText(members: Members, name: string): string {
  const value = optionalText(members, name);
  if (value === undefined) throw new ParseError('onion', `${name} is missing`);
  return value;
}

function optionalInteger(members: Members, name: string): number | undefined {
  if (!Object.hasOwn(members, name)) return undefined;
  const value = members[name];
  if (!Number.isSafeInteger(value)) throw new ParseError('onion', `${name} is not an integer`);
  return value as number;
}

function optionalBoolean(members: Members, name: string): boolean | undefined {
  if (!Object.hasOwn(members, name)) return undefined;
  const value = members[name];
  if (typeof value !== 'boolean') throw new ParseError('onion', `${name} is neither true nor false`);
  return value;
}
