// SPDX-License-Identifier: MIT
// Subscriptions over OMQ (spec/storage-server §5.8): the request `monitor.messages` and its reply, the one-way
// `notify.message` and `notify.monitor_ended`.
//
// A request is one dict or a list of dicts, and each gets a reply of its own; so what is wrong with one is a value
// here (a refusal with its code), never an exception.
import { ed25519PublicKeyToX25519, ed25519Verify } from '#crypto';
import { concat, fromBinary, toBinary } from '../bytes.ts';
import {
  type BtDict,
  type BtInput,
  btBytes,
  btInteger,
  btList,
  decodeBt,
  decodeBtDict,
  encodeBt,
} from '../codec/bencode.ts';
import { ParseError } from '../errors.ts';
import { parseSubaccountToken, SubaccountFlag, subaccountAllows } from '../identity/subaccount.ts';
import { type AccountPubkey, parseAccountPubkey, type SubaccountAuth } from './requests.ts';
import type { SwarmResult } from './responses.ts';
import { monitorSignedText } from './signatures.ts';

// From the specification, §5.8.
const KEY_LENGTH = 32;
const ACCOUNT_LENGTH = 33;
const SIGNATURE_LENGTH = 64;
const TOKEN_LENGTH = 36;
const SESSION_PREFIX = 0x05;
/** Signed at most 14 days ago, and at most a day ahead of our clock. */
const MAX_AGE_SECONDS = 14 * 86_400;
const MAX_AHEAD_SECONDS = 86_400;

// Ours.
/** Each costs a signature: about 50 ms in all. */
export const MAX_SUBSCRIPTIONS_PER_REQUEST = 1_000;
/** Accounts use fewer than twenty. */
const MAX_NAMESPACES = 256;
const MAX_VALUES = MAX_SUBSCRIPTIONS_PER_REQUEST * 32;
/** Of the hash in a notification; ours have 43 characters. */
const MAX_HASH_LENGTH = 128;

/** `errcode` of a refusal. */
export const MonitorErrorCode = {
  badArguments: 1,
  badPubkey: 2,
  namespaces: 3,
  timestamp: 4,
  signature: 5,
  wrongSwarm: 6,
} as const;
export type MonitorErrorCode = (typeof MonitorErrorCode)[keyof typeof MonitorErrorCode];

export interface MonitorSubscription {
  readonly account: AccountPubkey;
  /** Of accounts of prefix 05: the Ed25519 key from which the id was made. */
  readonly ed25519Key?: Uint8Array | undefined;
  readonly subaccount?: SubaccountAuth | undefined;
  readonly wantsData: boolean;
  /** Ascending, at least one. */
  readonly namespaces: readonly number[];
  /** In seconds, unlike all other times. */
  readonly timestampSeconds: number;
  readonly signature: Uint8Array;
}

export interface MonitorRefusal {
  readonly errcode: MonitorErrorCode;
  readonly error: string;
  /** With `wrongSwarm`: where the account is. */
  readonly swarm?: Pick<SwarmResult, 'snodes' | 'swarm'> | undefined;
}

export type MonitorReply = 'success' | MonitorRefusal;

export interface MonitorRequest {
  /** The reply has the shape of the request. */
  readonly isList: boolean;
  readonly entries: readonly (MonitorSubscription | MonitorRefusal)[];
}

export const isMonitorRefusal = (entry: MonitorSubscription | MonitorRefusal): entry is MonitorRefusal =>
  'errcode' in entry;

const refusal = (errcode: MonitorErrorCode, error: string): MonitorRefusal => ({ errcode, error });

type ToX25519 = (ed25519Key: Uint8Array) => Uint8Array | undefined;

/**
 * Reads a request. Nothing throws: a request that cannot be read at all is one entry that is refused.
 * @param toX25519 a memoized `ed25519PublicKeyToX25519`, for servers
 */
export function decodeMonitorRequest(
  bytes: Uint8Array,
  toX25519: ToX25519 = ed25519PublicKeyToX25519,
): MonitorRequest {
  const bad = refusal(MonitorErrorCode.badArguments, 'Invalid arguments: expected a dict or a list of dicts');
  let value: unknown;
  try {
    value = decodeBt(bytes, { maxDepth: 3, maxValues: MAX_VALUES });
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    return { isList: false, entries: [bad] };
  }
  if (value instanceof Map) return { isList: false, entries: [entryOf(value, toX25519)] };
  if (!Array.isArray(value)) return { isList: false, entries: [bad] };
  if (value.length > MAX_SUBSCRIPTIONS_PER_REQUEST) {
    const error = `Invalid arguments: more than ${MAX_SUBSCRIPTIONS_PER_REQUEST} subscriptions`;
    return { isList: false, entries: [refusal(MonitorErrorCode.badArguments, error)] };
  }
  return {
    isList: true,
    entries: value.map((item) => (item instanceof Map ? entryOf(item, toX25519) : bad)),
  };
}

function entryOf(dict: BtDict, toX25519: ToX25519): MonitorSubscription | MonitorRefusal {
  const { badArguments, badPubkey, namespaces: badNamespaces } = MonitorErrorCode;
  try {
    const [P, p] = [btBytes(dict, 'P'), btBytes(dict, 'p')];
    const [S, T] = [btBytes(dict, 'S'), btBytes(dict, 'T')];
    const wanted = btInteger(dict, 'd') ?? 0;
    const list = btList(dict, 'n');
    const signature = btBytes(dict, 's', SIGNATURE_LENGTH);
    const timestampSeconds = btInteger(dict, 't');
    if ((P === undefined) === (p === undefined)) {
      return refusal(badArguments, 'Invalid arguments: expected exactly one of P and p');
    }
    if ((S === undefined) !== (T === undefined)) {
      return refusal(badArguments, 'Invalid arguments: expected both or none of S and T');
    }
    if (wanted !== 0 && wanted !== 1) return refusal(badArguments, 'Invalid arguments: d is 0 or 1');
    if (signature === undefined) return refusal(badArguments, 'Invalid arguments: s is missing');
    if (timestampSeconds === undefined || timestampSeconds < 0) {
      return refusal(badArguments, 'Invalid arguments: t is missing');
    }
    if (list === undefined || list.length === 0 || list.length > MAX_NAMESPACES) {
      return refusal(badArguments, `Invalid arguments: n has 1 to ${MAX_NAMESPACES} namespaces`);
    }
    const account = accountOf(P, p, toX25519);
    if (account === undefined) return refusal(badPubkey, 'Invalid pubkey');
    let subaccount: SubaccountAuth | undefined;
    if (S !== undefined && T !== undefined) {
      if (S.length !== SIGNATURE_LENGTH || T.length !== TOKEN_LENGTH) {
        return refusal(badPubkey, 'Invalid subaccount token or signature');
      }
      subaccount = { token: T.slice(), signature: S };
    }
    const namespaces: number[] = [];
    for (const namespace of list) {
      if (typeof namespace !== 'number' || namespace < -32_768 || namespace > 32_767) {
        return refusal(badArguments, 'Invalid arguments: a namespace that is no 16-bit integer');
      }
      if (namespaces.length > 0 && namespace <= namespaces[namespaces.length - 1]!) {
        return refusal(badNamespaces, 'Invalid namespaces: they must ascend, each once');
      }
      namespaces.push(namespace);
    }
    return {
      account,
      ed25519Key: P,
      subaccount,
      wantsData: wanted === 1,
      namespaces,
      timestampSeconds,
      signature,
    };
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    return refusal(badArguments, `Invalid arguments: ${error.message}`);
  }
}

/** Of its own memory: subscriptions are kept for an hour, the request is not. */
function accountOf(
  P: Uint8Array | undefined,
  p: Uint8Array | undefined,
  toX25519: ToX25519,
): AccountPubkey | undefined {
  if (P !== undefined) {
    const key = P.length === KEY_LENGTH ? toX25519(P) : undefined;
    return key && parseAccountPubkey(concat(Uint8Array.of(SESSION_PREFIX), key));
  }
  if (p?.length !== ACCOUNT_LENGTH || p[0] === SESSION_PREFIX) return undefined;
  return parseAccountPubkey(p.slice());
}

/** A refusal, or undefined when the subscription is signed by one who may read, at an acceptable time. */
export function checkMonitor(
  subscription: MonitorSubscription,
  nowMs: number,
  isRevoked?: (token: Uint8Array) => boolean,
): MonitorRefusal | undefined {
  const { account, ed25519Key, subaccount, signature, timestampSeconds } = subscription;
  const age = nowMs / 1000 - timestampSeconds;
  if (age > MAX_AGE_SECONDS || -age > MAX_AHEAD_SECONDS) {
    return refusal(MonitorErrorCode.timestamp, 'Invalid timestamp: too old or too far ahead');
  }
  const failed = refusal(MonitorErrorCode.signature, 'Signature verification failed');
  let key = ed25519Key ?? account.key;
  if (subaccount !== undefined) {
    // Ours, as §5.8 asks: upstream does not look at revocations.
    if (isRevoked?.(subaccount.token)) return failed;
    const token = parseSubaccountToken(subaccount.token);
    if (!subaccountAllows(token, account.prefix, SubaccountFlag.read)) return failed;
    if (!ed25519Verify(subaccount.signature, token.bytes, key)) return failed;
    key = token.ed25519Key;
  }
  return ed25519Verify(signature, monitorSignedText(subscription), key) ? undefined : failed;
}

/** For subscribers: one dict, or a list when `isList`. */
export function encodeMonitorRequest(
  subscriptions: readonly MonitorSubscription[],
  isList: boolean,
): Uint8Array {
  const dicts = subscriptions.map((subscription): BtInput => {
    const { account, ed25519Key, subaccount, wantsData, namespaces, timestampSeconds, signature } =
      subscription;
    return {
      ...(ed25519Key === undefined ? { p: account.bytes } : { P: ed25519Key }),
      S: subaccount?.signature,
      T: subaccount?.token,
      d: wantsData ? 1 : undefined,
      n: namespaces,
      s: signature,
      t: timestampSeconds,
    };
  });
  return encodeBt(isList ? dicts : dicts[0]!);
}

/** One reply, or a list of them for a list request. */
export function encodeMonitorReply(replies: readonly MonitorReply[], isList: boolean): Uint8Array {
  const dicts = replies.map(
    (reply): BtInput =>
      reply === 'success'
        ? { success: 1 }
        : { errcode: reply.errcode, error: reply.error, ...swarmMembers(reply.swarm) },
  );
  return encodeBt(isList ? dicts : dicts[0]!);
}

function swarmMembers(swarm: MonitorRefusal['swarm']): { readonly [key: string]: BtInput } {
  if (swarm === undefined) return {};
  return { snodes: swarm.snodes.map((entry): BtInput => ({ ...entry })), swarm: swarm.swarm };
}

/** What `notify.message` tells. */
export interface MessageNotification {
  /** 33 bytes. */
  readonly account: Uint8Array;
  readonly hash: string;
  readonly namespace: number;
  readonly timestamp: number;
  readonly expiry: number;
  /** Where the subscriber wants it. */
  readonly data?: Uint8Array | undefined;
}

/** The part of `notify.message`. */
export function encodeMessageNotification(notification: MessageNotification): Uint8Array {
  const { account, hash, namespace, timestamp, expiry, data } = notification;
  return encodeBt({ '@': account, h: fromBinary(hash), n: namespace, t: timestamp, z: expiry, '~': data });
}

/** For subscribers. @throws ParseError */
export function decodeMessageNotification(bytes: Uint8Array): MessageNotification {
  const dict = decodeBtDict(bytes, { maxDepth: 1, maxValues: 16 });
  const account = btBytes(dict, '@', ACCOUNT_LENGTH);
  const hash = btBytes(dict, 'h');
  const [namespace, timestamp, expiry] = [btInteger(dict, 'n'), btInteger(dict, 't'), btInteger(dict, 'z')];
  const data = btBytes(dict, '~');
  if (
    account === undefined ||
    hash === undefined ||
    hash.length > MAX_HASH_LENGTH ||
    namespace === undefined ||
    timestamp === undefined ||
    expiry === undefined
  ) {
    throw new ParseError('monitor', 'a notification in which something is missing');
  }
  return { account, hash: toBinary(hash), namespace, timestamp, expiry, data };
}

/** The part of `notify.monitor_ended`: the swarm no longer holds the account, `swarm` does. */
export function encodeMonitorEnded(
  account: Uint8Array,
  ended: Pick<MonitorRefusal, 'error' | 'swarm'>,
): Uint8Array {
  return encodeBt({
    '@': account,
    errcode: MonitorErrorCode.wrongSwarm,
    error: ended.error,
    ...swarmMembers(ended.swarm),
  });
}
