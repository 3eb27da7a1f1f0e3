// SPDX-License-Identifier: MIT
// Ours: the way into a network as a text that fits a QR code: where it begins, and what its node list is to be checked against.
//
//   allium:join?v=1&seed=https://203.0.113.7:22021&seed=…&name=…
//     &digest=HEX64&t0=SECONDS&epoch=SECONDS       a membership certificate (spec/chain §4.22)
//     &admin=HEX64&admin=…&of=K                    the administrators of a signed list (spec/chain §4.23)
//     &files=https://HOST/%23HEX64                 a file server and its key
//
// Whoever wrote it chooses the network: it is as good as the person that it comes from.
import { ParseError, quote } from '@allium/protocol/errors';
import type { FileServerAddress } from './presets.ts';
import type { TrustAnchor } from './trust-anchor.ts';

export type InvitedTrust = Extract<TrustAnchor, { kind: 'certificate_digest' | 'admins' }>;

export interface Invitation {
  /** What people call the network. */
  readonly name?: string;
  /** Origins, one to eight. */
  readonly seeds: readonly string[];
  /** Absent: node lists cannot be checked. */
  readonly trust?: InvitedTrust;
  readonly fileServers: readonly FileServerAddress[];
}

const PREFIX = 'allium:join?';
const VERSION = '1';
/** A QR code holds 2 953 bytes at most; one that telephones read from a screen, half of that. */
export const MAX_INVITATION = 2_000;
const MAX_SEEDS = 8;
const MAX_ADMINS = 16;
const MAX_FILE_SERVERS = 4;
const MAX_NAME = 64;
const KEY = /^[0-9a-f]{64}$/i;

/** Whether somebody meant it to be one; it may still be broken. */
export function isInvitation(text: string): boolean {
  return text.trimStart().toLowerCase().startsWith(PREFIX);
}

/** @throws ParseError `invitation` when it would be too long or is no invitation, as `parseInvitation` */
export function encodeInvitation({ name, seeds, trust, fileServers }: Invitation): string {
  const fields = new URLSearchParams({ v: VERSION });
  for (const seed of seeds) fields.append('seed', seed);
  if (name !== undefined) fields.append('name', name);
  if (trust?.kind === 'certificate_digest') {
    fields.append('digest', trust.digest);
    fields.append('t0', `${trust.t0}`);
    fields.append('epoch', `${trust.epochSeconds}`);
  } else if (trust?.kind === 'admins') {
    for (const admin of trust.admins) fields.append('admin', admin);
    fields.append('of', `${trust.threshold}`);
  }
  for (const { url, ed25519Hex } of fileServers) fields.append('files', `${url}#${ed25519Hex}`);
  // Colons and slashes are harmless there, and shorter as they are.
  const text = PREFIX + fields.toString().replaceAll('%3A', ':').replaceAll('%2F', '/');
  parseInvitation(text);
  return text;
}

/** @throws ParseError `invitation` with what is wrong */
export function parseInvitation(text: string): Invitation {
  const given = text.trim();
  if (given.length > MAX_INVITATION) throw bad(`more than ${MAX_INVITATION} characters`);
  if (!isInvitation(given)) throw bad(`it begins with ${PREFIX}`);
  const fields = new URLSearchParams(given.slice(PREFIX.length));
  const all = (name: string, most: number) => {
    const values = fields.getAll(name);
    if (values.length > most) throw bad(`more than ${most} of ${name}`);
    return values;
  };
  const one = (name: string) => all(name, 1)[0];
  if (one('v') !== VERSION) throw bad('it is of another version: update this program');
  const seeds = all('seed', MAX_SEEDS).map((seed) => originOf(seed, 'seed'));
  if (seeds.length === 0) throw bad('it names no seed');
  const name = one('name');
  if (name !== undefined && (name === '' || name.length > MAX_NAME || /\p{C}/u.test(name))) {
    throw bad(`a name has up to ${MAX_NAME} characters`);
  }
  const trust = trustOf(one('digest'), one('t0'), one('epoch'), all('admin', MAX_ADMINS), one('of'));
  const fileServers = all('files', MAX_FILE_SERVERS).map((server) => {
    const [url = '', ed25519Hex = '', ...more] = server.split('#');
    if (more.length > 0 || !KEY.test(ed25519Hex)) throw bad('a file server without its key');
    return { url: originOf(url, 'file server'), ed25519Hex: ed25519Hex.toLowerCase() };
  });
  return {
    ...(name !== undefined && { name }),
    seeds: [...new Set(seeds)],
    ...(trust !== undefined && { trust }),
    fileServers,
  };
}

function trustOf(
  digest: string | undefined,
  t0: string | undefined,
  epoch: string | undefined,
  admins: readonly string[],
  of: string | undefined,
): InvitedTrust | undefined {
  const isChain = digest !== undefined || t0 !== undefined || epoch !== undefined;
  const isList = admins.length > 0 || of !== undefined;
  if (isChain && isList) throw bad('a certificate and administrators: a network has one of them');
  if (isChain) {
    if (digest === undefined || !KEY.test(digest)) throw bad('a digest has 64 hex digits');
    const epochSeconds = whole(epoch, 'epoch');
    if (epochSeconds === 0) throw bad('an epoch without length');
    return { kind: 'certificate_digest', digest: digest.toLowerCase(), t0: whole(t0, 't0'), epochSeconds };
  }
  if (!isList) return undefined;
  if (!admins.every((key) => KEY.test(key))) throw bad('the key of an administrator has 64 hex digits');
  const keys = [...new Set(admins.map((key) => key.toLowerCase()))];
  const threshold = whole(of, 'of');
  if (threshold < 1 || threshold > keys.length) throw bad(`${threshold} of ${keys.length} administrators`);
  return { kind: 'admins', admins: keys, threshold };
}

function whole(text: string | undefined, what: string): number {
  if (text === undefined || !/^\d{1,12}$/.test(text)) throw bad(`${what} is no number`);
  return Number(text);
}

function originOf(text: string, what: string): string {
  const url = URL.parse(text);
  const isPlain =
    url !== null &&
    (url.protocol === 'https:' || url.protocol === 'http:') &&
    url.username === '' &&
    url.password === '' &&
    /^\/?$/.test(url.pathname) &&
    url.search === '' &&
    url.hash === '' &&
    url.hostname !== '';
  if (!isPlain) throw bad(`${quote(text)} is no address of a ${what}`);
  return url.origin;
}

function bad(what: string): ParseError {
  return new ParseError('invitation', `no invitation to a network: ${what}`);
}
