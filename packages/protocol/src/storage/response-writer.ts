// SPDX-License-Identifier: MIT
// How a node writes the results of storage requests (responses.ts), as JSON or bt-encoded (spec/storage-server §2.7).
import { toBase32z, toBase64, toBinary, utf8 } from '../bytes.ts';
import { type BtInput, encodeBt } from '../codec/bencode.ts';
import type { SwarmEntry } from './responses.ts';

/**
 * JSON text of a result, bytes as padded base64, members that are undefined left out. Takes every result type above,
 * also inside `results` of a batch, and parsed JSON with bigints.
 */
export function toJsonResult(result: unknown): string {
  switch (typeof result) {
    case 'string':
      return JSON.stringify(result);
    case 'number':
      return Number.isFinite(result) ? String(result) : 'null';
    case 'bigint':
    case 'boolean':
      return String(result);
    case 'object':
      break;
    default:
      return 'null';
  }
  if (result === null) return 'null';
  if (result instanceof Uint8Array) return `"${toBase64(result)}"`;
  let text = '';
  if (Array.isArray(result)) {
    for (const item of result) text += text === '' ? toJsonResult(item) : `,${toJsonResult(item)}`;
    return `[${text}]`;
  }
  const members = result as Readonly<Record<string, unknown>>;
  for (const name in members) {
    const member = members[name];
    if (member === undefined) continue;
    text += `${text === '' ? '"' : ',"'}${PLAIN_NAME.test(name) ? name : JSON.stringify(name).slice(1, -1)}":`;
    text += toJsonResult(member);
  }
  return `{${text}}`;
}

/** Names that JSON writes as they are: those of the protocol, hashes and keys. */
const PLAIN_NAME = /^[\w+/-]*$/;

/**
 * The same in bt-encoding, bytes raw.
 * @throws ParseError for what bt-encoding does not have: floats and null, in foreign JSON (answer 500)
 */
export function toBtResult(result: object): Uint8Array {
  const value = result as BtInput;
  return encodeBt(hasWideName(value) ? withBinaryNames(value) : value);
}

/** JSON of the chain may have names beyond ASCII, which bt-encoding writes as UTF-8. */
function hasWideName(value: BtInput): boolean {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return false;
  if (Array.isArray(value)) return value.some(hasWideName);
  const members = value as { readonly [key: string]: BtInput | undefined };
  for (const name in members) {
    const member = members[name];
    if (!ASCII.test(name) || (member !== undefined && hasWideName(member))) return true;
  }
  return false;
}

const ASCII = /^[ -~]*$/;

function withBinaryNames(value: BtInput): BtInput {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map(withBinaryNames);
  const members = new Map<string, BtInput>();
  for (const [name, member] of Object.entries(value as { readonly [key: string]: BtInput | undefined })) {
    if (member !== undefined) members.set(toBinary(utf8(name)), withBinaryNames(member));
  }
  return members;
}

/** How a swarm member stands in answers (spec/storage-server §2.7). Our legacy key is the Ed25519 key. */
export function swarmEntry(member: {
  readonly ed25519Key: Uint8Array;
  readonly ed25519Hex: string;
  readonly x25519Hex: string;
  readonly host: string;
  readonly httpsPort: number;
  readonly omqPort: number;
}): SwarmEntry {
  return {
    address: `${toBase32z(member.ed25519Key)}.snode`,
    ip: member.host,
    port: String(member.httpsPort),
    port_https: member.httpsPort,
    port_omq: member.omqPort,
    port_quic: member.omqPort,
    pubkey_ed25519: member.ed25519Hex,
    pubkey_legacy: member.ed25519Hex,
    pubkey_x25519: member.x25519Hex,
  };
}
