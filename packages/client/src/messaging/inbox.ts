// SPDX-License-Identifier: MIT
// Receiving (spec/client §2.8, §4.3): polling members of our own swarm, leaving out what was seen, decrypting the rest.
// What nodes say is checked: a message has the hash of its bytes, and one that is of no use to us is only marked seen.
import type { Account } from '@allium/protocol/account';
import { type AccountId, parseAccountId } from '@allium/protocol/account-id';
import { delay, type Env } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import type { DataMessage } from '@allium/protocol/message/content';
import { decryptMessage, type IncomingMessage, MessageError } from '@allium/protocol/message/encryption-v1';
import { messageHashText } from '@allium/protocol/message-hash';
import { parseAccountPubkey, type SimpleRequest } from '@allium/protocol/storage/requests';
import { parseRetrieveResult, type RetrieveResult } from '@allium/protocol/storage/responses';
import { signRequest } from '@allium/protocol/storage/signatures';
import { ClientError, type ClientErrorCode } from '../errors.ts';
import { Tasks } from '../events.ts';
import type { Network } from '../network/network.ts';
import type { NetworkPreset } from '../network/presets.ts';
import type { PoolNode, Storage, StoredMessage } from '../storage/storage.ts';

// From the specification, §2.8.
const INBOX = 0;
const POLL_TIMEOUT_MS = 10_000;
/** The share of an answer that the inbox may fill: a half. */
const MAX_SIZE = -2;
/** So many messages in an answer mean that there may be more. */
const FULL_PAGE = 95;
const EXPIRATION_TIMER_UPDATE = 2; // §3.3
// Ours.
const DAY_MS = 24 * 3_600_000;
/** Seen hashes are kept for at least and at most so long, whatever expiry a node tells. */
const KEEP_SEEN_MS = [DAY_MS, 30 * DAY_MS] as const;
/** Pages of one round: a node that always has more may not keep us for ever. */
const MAX_PAGES = 100;
/** Every so many rounds a second member is asked too, so that nothing depends on what one node hides. */
const SECOND_OPINION_ROUNDS = 10;
const LONGEST_PAUSE_MS = 30_000;
const PRUNE_EVERY_ROUNDS = 1_000;

export interface PollState {
  /** Local time of the last round that worked. */
  readonly lastAt: number | undefined;
  readonly error: ClientErrorCode | undefined;
  /** Messages that could not be opened or understood since the start. */
  readonly unreadable: number;
}

interface InboxOptions {
  readonly account: Account;
  readonly preset: NetworkPreset;
  readonly pollEveryMs: number;
}

interface InboxDeps {
  readonly network: Network;
  readonly storage: Storage;
  readonly env: Env;
  /** New, and stored already. */
  readonly onMessage: (message: StoredMessage) => void;
  readonly onRound: (error: ClientError | undefined) => void;
}

export class Inbox {
  readonly #options: InboxOptions;
  readonly #deps: InboxDeps;
  readonly #tasks: Tasks;
  #pinned: string | undefined;
  #rounds = 0;
  #state: PollState = { lastAt: undefined, error: undefined, unreadable: 0 };
  /** One answer is taken in at a time. */
  #processing: Promise<unknown> = Promise.resolve();

  constructor(options: InboxOptions, deps: InboxDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#tasks = new Tasks(deps.env.log);
  }

  get state(): PollState {
    return this.#state;
  }

  /** Polls until `stop`. */
  start(): void {
    const { clock } = this.#deps.env;
    this.#tasks.run('polling', async () => {
      let failures = 0;
      for (;;) {
        try {
          await this.poll(this.#tasks.signal);
          failures = 0;
        } catch {
          // Kept in the state by `poll`; anything that is not a failure of the network is logged there too.
          this.#tasks.signal.throwIfAborted();
          failures++;
        }
        const pause = this.#options.pollEveryMs * 2 ** Math.min(failures, 10);
        const longest = Math.max(LONGEST_PAUSE_MS, this.#options.pollEveryMs);
        await delay(clock, Math.min(pause, longest), this.#tasks.signal);
      }
    });
  }

  async stop(): Promise<void> {
    await this.#tasks.stop(new ClientError('closed', 'the client was closed'));
    await this.#processing.catch(() => undefined);
  }

  /** One round now: all pages of the nodes whose turn it is. @throws ClientError when no node answered */
  async poll(signal?: AbortSignal): Promise<void> {
    const { preset } = this.#options;
    const { env, network, storage } = this.#deps;
    const round = this.#rounds++;
    try {
      if (round % PRUNE_EVERY_ROUNDS === 0) await storage.prune(network.clock.now());
      const asked = new Set<string>();
      // The pinned member alone decides whether the round worked; what others add is welcome.
      this.#pinned = await this.#pollNode(this.#pinned, asked, signal);
      const others = round % SECOND_OPINION_ROUNDS === 1 ? Math.max(2, preset.pollNodes) : preset.pollNodes;
      for (let i = 1; i < others; i++) await this.#pollNode(undefined, asked, signal).catch(() => undefined);
      this.#state = { ...this.#state, lastAt: env.clock.now(), error: undefined };
      this.#deps.onRound(undefined);
      await network.freshenSwarm(this.#options.account.id, preset.ownSwarmEveryMs).catch(() => undefined);
    } catch (error) {
      this.#pinned = undefined;
      if (this.#tasks.signal.aborted || signal?.aborted) throw error;
      if (!(error instanceof ClientError)) env.log.error({ error: String(error) }, 'polling failed');
      else {
        this.#state = { ...this.#state, error: error.code };
        this.#deps.onRound(error);
      }
      throw error;
    }
  }

  /** All pages of one member: `prefer`, or one that was not asked in this round. The one to ask next time, if any. */
  async #pollNode(
    prefer: string | undefined,
    asked: Set<string>,
    signal: AbortSignal | undefined,
  ): Promise<string | undefined> {
    const { network } = this.#deps;
    const { account } = this.#options;
    const pubkey = parseAccountPubkey(account.id);
    let member = prefer;
    for (let page = 0; page < MAX_PAGES; page++) {
      const before = new Set(asked);
      if (member !== undefined) before.delete(member);
      const { node, result, lastHash } = await network.askSwarm({
        account: account.id,
        carrier: 'batch',
        attempts: 2, // Ours: the next poll would do, but a second member answers sooner.
        pauseMs: 0,
        timeoutMs: POLL_TIMEOUT_MS,
        prefer: member,
        avoid: before,
        ...(signal !== undefined && { signal }),
        make: async (polled): Promise<SimpleRequest[]> => {
          const last = await this.#deps.storage.lastHash(polled.ed25519Hex, account.id, INBOX);
          return [
            signRequest(
              {
                method: 'retrieve',
                account: pubkey,
                namespace: INBOX,
                lastHash: last?.hash,
                maxSize: MAX_SIZE,
                timestamp: network.clock.now(),
              },
              account,
            ),
          ];
        },
        accept: (results, answering, [request]) => ({
          node: answering,
          result: parseRetrieveResult(results[0]?.body),
          lastHash: request?.method === 'retrieve' ? request.lastHash : undefined,
        }),
      });
      asked.add(node.ed25519Hex);
      const newLast = await this.#takeIn(node, result);
      if (newLast === 'lied') {
        network.pool.strike(node.ed25519Hex);
        return undefined;
      }
      const mayHaveMore = result.more || result.messages.length >= FULL_PAGE;
      member = node.ed25519Hex;
      if (!mayHaveMore || newLast === undefined || newLast === lastHash) break;
    }
    return member;
  }

  /** Stores what is new in an answer; the hash of its last message. `lied`: a message had not the hash it was under. */
  async #takeIn(node: PoolNode, result: RetrieveResult): Promise<string | 'lied' | undefined> {
    const work = this.#processing.catch(() => undefined).then(() => this.#takeInAlone(node, result));
    this.#processing = work;
    return work;
  }

  async #takeInAlone(node: PoolNode, result: RetrieveResult): Promise<string | 'lied' | undefined> {
    const { storage, network, env } = this.#deps;
    const { account } = this.#options;
    const pubkey = parseAccountPubkey(account.id);
    const now = network.clock.now();
    const seen = new Set(await storage.seen(result.messages.map((message) => message.hash)));
    const arrived = new Map<string, StoredMessage>();
    const newSeen: { hash: string; expiry: number }[] = [];
    let lied = false;
    let unreadable = 0;
    let last: { hash: string; expiry: number } | undefined;
    for (const { hash, data, expiration } of result.messages) {
      const expiry = Math.min(Math.max(expiration, now + KEEP_SEEN_MS[0]), now + KEEP_SEEN_MS[1]);
      if (seen.has(hash)) {
        last = { hash, expiry };
        continue;
      }
      // Else a node could have us mark a message as seen that we never saw.
      if (messageHashText(pubkey.bytes, INBOX, data) !== hash) {
        lied = true;
        continue;
      }
      last = { hash, expiry };
      seen.add(hash);
      newSeen.push({ hash, expiry });
      const message = this.#read(data, hash);
      if (message === 'unreadable') unreadable++;
      if (typeof message === 'string') continue;
      const identity = `${message.sender} ${message.timestamp}`;
      // §4.3: same (sender, timestamp) is the same message.
      if (arrived.has(identity)) continue;
      if ((await storage.message(message.sender, message.timestamp)) !== undefined) continue;
      arrived.set(identity, message);
    }
    const messages = [...arrived.values()];
    if (last !== undefined) {
      await storage.write({
        messages,
        seen: newSeen,
        ...(!lied && {
          lastHashes: [{ node: node.ed25519Hex, account: account.id, namespace: INBOX, ...last }],
        }),
      });
    }
    if (unreadable > 0) {
      this.#state = { ...this.#state, unreadable: this.#state.unreadable + unreadable };
      env.log.debug({ unreadable }, 'messages that cannot be read');
    }
    for (const message of messages) this.#deps.onMessage(message);
    return lied ? 'lied' : last?.hash;
  }

  /** The text message in `data`; `other` is a kind of content that this client does not show. */
  #read(data: Uint8Array, hash: string): StoredMessage | 'unreadable' | 'other' {
    const { account } = this.#options;
    let incoming: IncomingMessage;
    try {
      incoming = decryptMessage(data, account);
    } catch (error) {
      if (error instanceof MessageError || error instanceof ParseError) return 'unreadable';
      throw error;
    }
    const { sender, timestamp, content } = incoming;
    const message = content.dataMessage;
    if (message === undefined || !isAcceptable(message)) return 'other';
    const conversation = conversationOf(message.syncTarget, sender, account.id);
    if (conversation === undefined || message.body === undefined || message.body === '') return 'other';
    return {
      sender,
      timestamp,
      conversation,
      text: message.body,
      state: sender === account.id ? 'sent' : 'received',
      hash,
      handled: false,
    };
  }
}

/** spec/client §3.3: with any other flag desktop refuses the message. */
function isAcceptable({ flags = 0 }: DataMessage): boolean {
  return flags === 0 || flags === EXPIRATION_TIMER_UPDATE;
}

/** spec/client §4.3.9: a syncTarget belongs in messages from ourselves, and only there. */
function conversationOf(
  syncTarget: string | undefined,
  sender: AccountId,
  own: AccountId,
): AccountId | undefined {
  if (sender !== own) return syncTarget === undefined ? sender : undefined;
  if (syncTarget === undefined) return undefined;
  try {
    return parseAccountId(syncTarget);
  } catch {
    return undefined;
  }
}
