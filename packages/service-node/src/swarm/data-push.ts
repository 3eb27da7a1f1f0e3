// SPDX-License-Identifier: AGPL-3.0-or-later
// `sn.data`: stored messages handed from node to node (spec/storage-server §5.5), and the checks of §9.3.2 that a
// receiver makes, since a blob carries no client's signature.
import type { OmqEndpoint } from '@allium/net/omq/endpoint';
import { OmqError } from '@allium/net/omq/endpoint';
import { toHex } from '@allium/protocol/bytes';
import type { Clock } from '@allium/protocol/env';
import type { Member } from '@allium/protocol/membership';
import { messageHash } from '@allium/protocol/message-hash';
import { Namespace } from '@allium/protocol/namespaces';
import { encodeDataPush, type PushedMessage } from '@allium/protocol/storage/data-push';
import { hashText, type NewMessage, type WholeMessage } from '../mailbox/messages.ts';
import { peerOf } from '../peers.ts';
import type { Swarm } from './swarm.ts';

// From the specification.
const MAX_DATA_BYTES = 76_800;
const MAX_LIFE_MS = 30 * 86_400_000;
const MAX_SKEW_MS = 70_000;

// Ours.
const TIMEOUT_MS = 30_000;
/** Namespaces tried when a base sender lost the one of a message (§9.3.2). */
const KNOWN_NAMESPACES: readonly number[] = Object.values(Namespace);

/** Blobs of about `limitBytes` (the upper limit of §5.5 by default). */
export function encodeMessages(
  messages: readonly WholeMessage[],
  limitBytes?: number,
): Generator<Uint8Array> {
  const pushed = messages.map(
    ({ account, hash, timestamp, expiry, data, namespace }): PushedMessage => ({
      account,
      hash: hashText(hash),
      timestamp,
      expiry,
      data,
      namespace,
    }),
  );
  return limitBytes === undefined ? encodeDataPush(pushed) : encodeDataPush(pushed, limitBytes);
}

/** `refused`: the peer answered, but cannot take it now. `silent`: it did not answer. */
export type Delivery = 'taken' | 'refused' | 'silent';

/** Sends one blob. */
export async function sendData(
  omq: OmqEndpoint,
  member: Member,
  blob: Uint8Array,
  signal: AbortSignal,
): Promise<Delivery> {
  try {
    const reply = await omq.request(peerOf(member), 'sn.data', [blob], { timeoutMs: TIMEOUT_MS, signal });
    // §5.5: no parts when done; `OK` in later releases.
    const text = reply[0] === undefined ? '' : Buffer.from(reply[0]).toString();
    return text === '' || text === 'OK' ? 'taken' : 'refused';
  } catch (error) {
    if (error instanceof OmqError) return 'silent';
    throw error;
  }
}

/**
 * Whether only a wrong clock explains the time of a message: ours, or that of whoever stored it first. Such a message
 * may be good later.
 */
export function isAheadOf({ timestamp }: PushedMessage, clock: Clock): boolean {
  return timestamp > clock.now() + MAX_SKEW_MS;
}

/** The message as it may be stored here, or undefined when a rule of §9.3.2 refuses it. */
export function acceptPushed(message: PushedMessage, swarm: Swarm, clock: Clock): NewMessage | undefined {
  const { account, timestamp, expiry, data } = message;
  const now = clock.now();
  if (data.length > MAX_DATA_BYTES || account.length !== 33) return undefined;
  // `expire` may move an expiry up to 30 days from now in any namespace, so the time of storing says nothing.
  if (
    expiry <= now ||
    expiry > now + MAX_LIFE_MS + MAX_SKEW_MS ||
    timestamp > now + MAX_SKEW_MS ||
    timestamp < 0
  ) {
    return undefined;
  }
  if (!swarm.serves(account.subarray(1))) return undefined;
  const found = recoverNamespace(message);
  if (found === undefined) return undefined;
  return {
    account: { bytes: account, hex: toHex(account) },
    namespace: found.namespace,
    timestamp,
    expiry,
    hash: found.hash,
    data,
  };
}

/** The hash covers the namespace: of a base sender, who always says 0, the right one can be found. */
function recoverNamespace({ account, namespace, data, hash }: PushedMessage) {
  const candidates = namespace === 0 ? KNOWN_NAMESPACES : [namespace];
  for (const candidate of candidates) {
    const computed = messageHash(account, candidate, data);
    if (hashText(computed) === hash) return { namespace: candidate, hash: computed };
  }
  return undefined;
}
