// SPDX-License-Identifier: MIT
// Addresses of communities and their canonical parts, which are keys of configs (spec/config-and-groups §3.4).
import { fromBase32z, fromBase64, fromHex, toHex } from '../bytes.ts';
import { ParseError } from '../errors.ts';

// From the specification, spec/config-and-groups §3.4. In bytes.
const MAX_BASE_URL = 267;
const MAX_ROOM = 64;
const KEY = 32;
const KEY_PARAMETER = '?public_key=';
const DEFAULT_PORTS = { http: 80, https: 443 } as const;

/** Ours: so that no address costs more than a glance. */
const MAX_URL = 1000;

export interface CommunityUrl {
  /** Canonical. */
  readonly baseUrl: string;
  /** As given; `canonicalRoom` checks it. */
  readonly room: string;
  /** 32 bytes; undefined when the address names none. */
  readonly serverKey: Uint8Array | undefined;
}

/** As people share it; its key may be missing. @throws ParseError `config` */
export function parseCommunityUrl(url: string): CommunityUrl {
  if (url.length > MAX_URL) throw new ParseError('config', `an address of ${url.length} characters`);
  const keyAt = url.lastIndexOf(KEY_PARAMETER);
  const place = keyAt < 0 ? url : url.slice(0, keyAt);
  const serverKey = keyAt < 0 ? undefined : parseKey(url.slice(keyAt + KEY_PARAMETER.length));
  const marked = place.lastIndexOf('/r/');
  const slash = marked < 0 ? place.lastIndexOf('/') : marked;
  if (slash < 0) throw new ParseError('config', 'an address without room');
  const room = place.slice(slash + (marked < 0 ? 1 : 3));
  return { baseUrl: canonicalBaseUrl(place.slice(0, slash)), room, serverKey };
}

export function communityUrl(baseUrl: string, room: string, serverKey: Uint8Array): string {
  return `${baseUrl}/${room}${KEY_PARAMETER}${toHex(serverKey)}`;
}

/** @throws ParseError `config` */
export function canonicalBaseUrl(url: string): string {
  const parts = /^(https?):\/\/([0-9a-z.-]+)(?::([0-9]{1,5}))?\/?$/.exec(url.toLowerCase());
  const [, protocol, host, portText] = parts ?? [];
  const port = Number(portText ?? 0);
  const isSound =
    host !== undefined &&
    host.length >= 4 &&
    host.includes('.') &&
    !host.split('.').includes('') &&
    port <= 65_535;
  if (!isSound) throw new ParseError('config', 'no address of a community server');
  const isDefault = portText === undefined || port === DEFAULT_PORTS[protocol as 'http' | 'https'];
  const canonical = `${protocol}://${host}${isDefault ? '' : `:${port}`}`;
  if (canonical.length > MAX_BASE_URL) throw new ParseError('config', 'an address that is too long');
  return canonical;
}

/** @throws ParseError `config` */
export function canonicalRoom(room: string): string {
  const canonical = room.toLowerCase();
  if (canonical.length > MAX_ROOM || !/^[-0-9_a-z]+$/.test(canonical)) {
    throw new ParseError('config', 'no name of a room');
  }
  return canonical;
}

function parseKey(text: string): Uint8Array {
  let key: Uint8Array | undefined;
  if (text.length === 64) key = fromHex(text);
  else if (text.length === 43 || (text.length === 44 && text.endsWith('='))) key = fromBase64(text);
  else if (text.length === 52) key = fromBase32z(text);
  if (key?.length !== KEY) throw new ParseError('config', 'no key of a community server');
  return key;
}
