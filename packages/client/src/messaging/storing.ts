// SPDX-License-Identifier: MIT
// One message on its way into one swarm (spec/client §4.2, §4.4): sealed, stored, and who signed for it. To the recipient,
// or as a copy for our other devices into our own swarm.
import type { Account } from '@allium/protocol/account';
import type { AccountId } from '@allium/protocol/account-id';
import { type Content, encodeContent } from '@allium/protocol/message/content';
import { encryptMessage, repeatable } from '@allium/protocol/message/encryption-v1';
import { messageHashText } from '@allium/protocol/message-hash';
import { parseAccountPubkey, type StoreRequest } from '@allium/protocol/storage/requests';
import { writeFiles } from '../files/stored-attachment.ts';
import type { Network } from '../network/network.ts';
import type { StoredMessage } from '../storage/storage.ts';
import type { OwnTimes } from './own-times.ts';
import type { OwnProfile } from './profile.ts';
import { readSigned, STORE_LIMITS } from './proofs.ts';
import type { OwnRoute } from './storage-guards.ts';
import { timerToWire, ttlOf } from './timers.ts';

// Ours.
/** Network time is known to so much; nodes tolerate 10 s (spec/storage-server §2.9.1). */
const TOLERANCE_MS = 5_000;

/** A swarm keeps the message. */
export interface Sent {
  /** Its name in the recipient's swarm; for a note to self, in our own. */
  readonly hash: string;
  /** Network time in ms; with our id the message's identity. */
  readonly timestamp: number;
  /** Members of the swarm that proved with their signature that they keep it, … */
  readonly stored: number;
  /** … of so many. */
  readonly of: number;
  /** Ed25519 keys of those who signed, hex. */
  readonly signers: readonly string[];
}

export interface StoringDeps {
  readonly account: Account;
  readonly network: Network;
  readonly profile: OwnProfile;
  readonly times: OwnTimes;
  /** Whom to ask of our own swarm, and over which guard. */
  readonly ownRoute: () => Promise<OwnRoute>;
}

/**
 * Stores the message, or its copy when `recipient` is ourselves. `onBuilt` is told what will be sent before it is;
 * the time differs from the given one when nodes refused that.
 */
export async function storeMessage(
  given: StoredMessage,
  recipient: AccountId,
  onBuilt: (message: StoredMessage, hash: string, expiry: number) => Promise<void>,
  signal: AbortSignal | undefined,
  deps: StoringDeps,
): Promise<Sent> {
  const { account, network, times } = deps;
  const isCopy = recipient === account.id;
  const pubkey = parseAccountPubkey(recipient);
  let message = given;
  let request: StoreRequest | undefined;
  let hash = '';
  // While we do not know the time, our own clock is as doubtful as that of the node that refuses.
  const isWrong = (timestamp: number) => {
    if (!network.clock.isSettled) return false;
    const age = network.clock.now() - timestamp;
    return age < -TOLERANCE_MS || age > ttlOf(message.timer, isCopy);
  };
  const build = async () => {
    const { timestamp } = message;
    const content = encodeContent(contentOf(message, isCopy, deps.profile));
    const said = { content, sender: account, recipient, timestamp };
    // Sealed before a crash, or in an attempt before, it was stored, perhaps: the same bytes again.
    const data = encryptMessage(said, repeatable(said));
    request = {
      method: 'store',
      account: pubkey,
      namespace: 0,
      timestamp,
      expiry: timestamp + ttlOf(message.timer, isCopy),
      data,
    };
    hash = messageHashText(pubkey.bytes, 0, data);
    await onBuilt(message, hash, request.expiry);
    return request;
  };
  // Who stores for us should not learn more by it than who answers our polls knows anyway.
  const route = isCopy ? await deps.ownRoute() : {};
  return network.askSwarm({
    ...route,
    account: recipient,
    carrier: 'sequence',
    ...STORE_LIMITS,
    ...(signal !== undefined && { signal }),
    make: async (_node, timeRefused) => {
      // The copy keeps the time of the message whatever happens: it is the same message. So does a message whose
      // time the network confirms: the node's clock is wrong then, and an attempt before may have been stored.
      if (timeRefused && recipient === message.conversation && isWrong(message.timestamp)) {
        message = { ...message, timestamp: await times.free() };
        request = undefined;
      }
      // The same bytes at every attempt, so that a swarm that has them already keeps one message.
      return [request ?? (await build())];
    },
    accept: (results) => {
      const { of, signers } = readSigned(network, recipient, request!, results);
      return { hash, timestamp: message.timestamp, stored: signers.length, of, signers };
    },
  });
}

/** No swarm would keep it any more. */
export function isTooOld({ timestamp, timer, conversation, sender }: StoredMessage, now: number): boolean {
  return now - timestamp > ttlOf(timer, conversation === sender);
}

/** §4.4: the copy has the syncTarget, and no profile. */
function contentOf(message: StoredMessage, isCopy: boolean, profile: OwnProfile): Content {
  return {
    dataMessage: {
      ...(message.text !== '' && { body: message.text }),
      ...writeFiles(message),
      ...(!isCopy && profile.toWire()),
      ...(message.quote !== undefined && {
        quote: { id: message.quote.timestamp, author: message.quote.author },
      }),
      ...(isCopy && { syncTarget: message.conversation }),
    },
    ...timerToWire(message.timer),
    sigTimestamp: message.timestamp, // spec/client §3.2: equal to the envelope's
  };
}
