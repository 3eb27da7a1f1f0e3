// SPDX-License-Identifier: MIT
// Receiving (spec/client §2.8, §4.3): one member of our own swarm is asked and may hold its answer until there is
// something (spec/storage-server §2.9.2 `wait`); a second one is asked now and then, over another path, for what the first
// may hide. What was seen is left out, the rest decrypted. What nodes say is checked: a message has the hash of its
// bytes, and one that is of no use to us is only marked seen.
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
import type { Path } from '../network/paths.ts';
import type { NetworkPreset } from '../network/presets.ts';
import type { PoolNode, Storage, StoredMessage } from '../storage/storage.ts';
import { StorageGuards } from './storage-guards.ts';

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
/** Held answers in a row that may come early without anything new, before there is a pause. */
const MAX_EARLY_ANSWERS = 20;
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
  /** Longest time for which a member may hold its answer; 0: it may not. */
  readonly waitMs: number;
}

interface InboxDeps {
  readonly network: Network;
  readonly storage: Storage;
  readonly env: Env;
  /** New, and stored already. */
  readonly onMessage: (message: StoredMessage) => void;
  readonly onRound: (error: ClientError | undefined) => void;
}

interface Taken {
  /** A message had not the hash it was under. */
  readonly lied: boolean;
  /** Messages not seen before. */
  readonly fresh: number;
  /** Hash of the last message. */
  readonly last: string | undefined;
}

/** What one member told, over all pages. */
interface Told {
  /** Undefined: it lied. */
  readonly node: string | undefined;
  /** Messages that were new to us. */
  readonly fresh: number;
  /** There were messages after those that we had from it. */
  readonly moved: boolean;
  /** It knows `wait`. */
  readonly canWait: boolean;
}

export class Inbox {
  readonly #options: InboxOptions;
  readonly #deps: InboxDeps;
  readonly #tasks: Tasks;
  readonly #guards: StorageGuards;
  /** The member that has shown in its last answer that it knows `wait`. */
  #waiter: string | undefined;
  /** The path over which the first member is asked. */
  #path: Path | undefined;
  #rounds = 0;
  /** In a row. */
  #earlyAnswers = 0;
  /** By the monotonic clock. */
  #nextCrossCheckAt: number;
  #state: PollState = { lastAt: undefined, error: undefined, unreadable: 0 };
  /** One answer is taken in at a time. */
  #processing: Promise<unknown> = Promise.resolve();

  constructor(options: InboxOptions, deps: InboxDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#tasks = new Tasks(deps.env.log);
    this.#guards = new StorageGuards(options.preset.secondMemberMs, {
      storage: deps.storage,
      env: deps.env,
      isGone: (member) => {
        const known = deps.network.swarmMembers(options.account.id);
        return (known.size > 0 && !known.has(member)) || deps.network.pool.get(member) === undefined;
      },
    });
    this.#nextCrossCheckAt = this.#drawCrossCheck();
  }

  get state(): PollState {
    return this.#state;
  }

  /** Asks until `stop`. */
  start(): void {
    const { clock } = this.#deps.env;
    const { signal } = this.#tasks;
    this.#tasks.run('polling', async () => {
      let failures = 0;
      for (;;) {
        let goesOn = false;
        try {
          goesOn = await this.#round(this.#options.waitMs, signal);
          failures = 0;
        } catch {
          // Kept in the state by `#round`; anything that is not a failure of the network is logged there too.
          signal.throwIfAborted();
          failures++;
        }
        if (goesOn) continue;
        const pause = this.#options.pollEveryMs * 2 ** Math.min(failures, 10);
        const longest = Math.max(LONGEST_PAUSE_MS, this.#options.pollEveryMs);
        await delay(clock, Math.min(pause, longest), signal);
      }
    });
    this.#tasks.run('cross-checks', async () => {
      for (;;) {
        await delay(clock, Math.max(0, this.#nextCrossCheckAt - clock.monotonic()), signal);
        await this.#crossCheck(signal);
      }
    });
  }

  async stop(): Promise<void> {
    await this.#tasks.stop(new ClientError('closed', 'the client was closed'));
    await this.#processing.catch(() => undefined);
  }

  /** All that is there now. @throws ClientError when no node answered */
  async poll(signal?: AbortSignal): Promise<void> {
    await this.#round(0, signal);
    if (this.#deps.env.clock.monotonic() >= this.#nextCrossCheckAt) await this.#crossCheck(signal);
  }

  /** Asks the first member; whether the next round may follow at once. @throws ClientError when no node answered */
  async #round(waitMs: number, signal: AbortSignal | undefined): Promise<boolean> {
    const { preset, account } = this.#options;
    const { env, network, storage } = this.#deps;
    try {
      if (this.#rounds++ % PRUNE_EVERY_ROUNDS === 0) await storage.prune(network.clock.now());
      const first = await this.#guards.first();
      const second = await this.#guards.second();
      // The first answer of a member tells whether it knows `wait`; others never see it.
      const wait = first !== undefined && first === this.#waiter ? waitMs : 0;
      const began = env.clock.monotonic();
      const told = await this.#ask(
        {
          prefer: [first, second].filter((member) => member !== undefined),
          waiter: first,
          waitMs: wait,
          preferPath: this.#path,
          onSent: (path) => {
            this.#path = path;
          },
        },
        signal,
      );
      this.#waiter = told.canWait ? told.node : undefined;
      if (told.node !== undefined) await this.#guards.answered(told.node);
      this.#state = { ...this.#state, lastAt: env.clock.now(), error: undefined };
      this.#deps.onRound(undefined);
      await network.freshenSwarm(account.id, preset.ownSwarmEveryMs).catch(() => undefined);
      if (waitMs === 0 || !told.canWait) return false;
      if (wait === 0) return told.node === (await this.#guards.first());
      if (told.fresh > 0 || env.clock.monotonic() - began >= wait / 2) {
        this.#earlyAnswers = 0;
        return true;
      }
      // It came early and brought nothing new. Messages of our own are a good reason, now and then; else the member
      // holds too much already, or stops.
      return told.moved && ++this.#earlyAnswers <= MAX_EARLY_ANSWERS;
    } catch (error) {
      this.#waiter = undefined;
      if (this.#tasks.signal.aborted || signal?.aborted) throw error;
      if (!(error instanceof ClientError)) env.log.error({ error: String(error) }, 'polling failed');
      else {
        this.#state = { ...this.#state, error: error.code };
        this.#deps.onRound(error);
      }
      throw error;
    }
  }

  /** A second member, over another path, for what the first may hide. */
  async #crossCheck(signal: AbortSignal | undefined): Promise<void> {
    this.#nextCrossCheckAt = this.#drawCrossCheck();
    const first = await this.#guards.first();
    const second = await this.#guards.second();
    try {
      const told = await this.#ask(
        {
          prefer: second === undefined ? [] : [second],
          avoid: first,
          waitMs: 0,
          avoidPath: this.#path,
        },
        signal,
      );
      if (told.node !== undefined) await this.#guards.answeredSecond(told.node);
    } catch (error) {
      this.#tasks.signal.throwIfAborted();
      this.#deps.env.log.debug({ error: String(error) }, 'no cross-check');
    }
  }

  /** Exponential: the past tells nothing about the next one. */
  #drawCrossCheck(): number {
    const { clock, random } = this.#deps.env;
    const pause = -Math.log(1 - random.unit()) * this.#options.preset.crossCheckEveryMs;
    return clock.monotonic() + Math.ceil(pause);
  }

  /** All pages of one member. */
  async #ask(
    options: {
      readonly prefer: readonly string[];
      readonly avoid?: string | undefined;
      /** The only one that is to hold its answer; absent and asked to wait: nobody. */
      readonly waiter?: string | undefined;
      readonly waitMs: number;
      readonly preferPath?: Path | undefined;
      readonly avoidPath?: Path | undefined;
      readonly onSent?: (path: Path) => void;
    },
    signal: AbortSignal | undefined,
  ): Promise<Told> {
    const { network } = this.#deps;
    const { account } = this.#options;
    const pubkey = parseAccountPubkey(account.id);
    let { prefer, waitMs } = options;
    let fresh = 0;
    let moved = false;
    let canWait = false;
    let member: string | undefined;
    for (let page = 0; page < MAX_PAGES; page++) {
      const { node, result, lastHash } = await network.askSwarm({
        account: account.id,
        carrier: 'batch',
        attempts: 2, // Ours: the next poll would do, but a second member answers sooner.
        pauseMs: 0,
        timeoutMs: POLL_TIMEOUT_MS + waitMs,
        prefer,
        ...(options.avoid !== undefined && { avoid: new Set([options.avoid]) }),
        preferPath: options.preferPath,
        avoidPath: options.avoidPath,
        ...(options.onSent !== undefined && { onSent: options.onSent }),
        endsWithPath: waitMs > 0,
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
                // Zero only asks whether it knows the word.
                wait:
                  this.#options.waitMs === 0 ? undefined : polled.ed25519Hex === options.waiter ? waitMs : 0,
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
      const taken = await this.#takeIn(node, result);
      if (taken.lied) {
        network.pool.strike(node.ed25519Hex);
        await this.#guards.drop(node.ed25519Hex);
        return { node: undefined, fresh, moved, canWait: false };
      }
      fresh += taken.fresh;
      if (taken.last !== undefined && taken.last !== lastHash) moved = true;
      canWait = result.waited !== undefined;
      member = node.ed25519Hex;
      const mayHaveMore = result.more || result.messages.length >= FULL_PAGE;
      if (!mayHaveMore || taken.last === undefined || taken.last === lastHash) break;
      prefer = [member];
      waitMs = 0;
    }
    return { node: member, fresh, moved, canWait };
  }

  /** Stores what is new in an answer. */
  async #takeIn(node: PoolNode, result: RetrieveResult): Promise<Taken> {
    const work = this.#processing.catch(() => undefined).then(() => this.#takeInAlone(node, result));
    this.#processing = work;
    return work;
  }

  async #takeInAlone(node: PoolNode, result: RetrieveResult): Promise<Taken> {
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
    return { lied, fresh: newSeen.length, last: last?.hash };
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
