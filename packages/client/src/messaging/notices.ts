// SPDX-License-Identifier: MIT
// What is sent besides messages: receipts, answers to requests, reactions, deletions (spec/client §4.4). Each is in the storage
// until a swarm has proven that it keeps it, and tried with growing pauses until then, also after a restart. Receipts
// wait for a random time, and those for one person go together: when they are sent must not tell when a message came.
import type { Account } from '@allium/protocol/account';
import type { AccountId } from '@allium/protocol/account-id';
import { fromBase64, toBase64 } from '@allium/protocol/bytes';
import { delay, type Env } from '@allium/protocol/env';
import { type Content, decodeContent, encodeContent, ReceiptType } from '@allium/protocol/message/content';
import { encryptMessage, repeatable } from '@allium/protocol/message/encryption-v1';
import { messageHashText } from '@allium/protocol/message-hash';
import { parseAccountPubkey, type StoreRequest } from '@allium/protocol/storage/requests';
import { signRequest } from '@allium/protocol/storage/signatures';
import { ClientError } from '../errors.ts';
import { Signal, Tasks } from '../events.ts';
import type { Network } from '../network/network.ts';
import type { MessageIdentity, Storage, StoredRecord } from '../storage/storage.ts';
import { MESSAGE_TTL_MS, readExpiries, readSigned, STORE_LIMITS } from './proofs.ts';
import type { OwnRoute } from './storage-guards.ts';

const KIND = 'notice';
/** spec/client §2.6. */
const OWN_SWARM_LIMITS = { attempts: 3, pauseMs: 500, timeoutMs: 10_000 } as const;
// Ours.
/** Of receipts. */
const DELAY_MS = [1_000, 15_000] as const;
/** Of one receipt message. */
const MAX_RECEIPTS = 100;
const AT_ONCE = 4;
const FIRST_PAUSE_MS = 5_000;
const LONGEST_PAUSE_MS = 10 * 60_000;

/** Receipts have their time when they are sent; everything else has it from the start. */
interface Notice {
  readonly recipient: AccountId;
  /** Sent times of messages. */
  readonly receipts?: readonly number[];
  readonly receiptType?: ReceiptType;
  /** To be deleted from our own swarm. */
  readonly hashes?: readonly string[];
  /** To be kept in our own swarm no longer than until `givenUpAt`. */
  readonly shortened?: readonly NamedMessage[];
  /** Base64 of a Content. */
  readonly content?: string;
  readonly timestamp?: number;
  readonly ttlMs: number;
  /** Of the copy, where that is not the same. */
  readonly copyTtlMs?: number;
  /** A copy for our own devices follows; content as for the peer, or with syncTarget. */
  readonly copy?: 'same' | 'sync';
  /** The peer's swarm keeps it; only the copy is left. */
  readonly isStored?: boolean;
  /** Network time in ms. */
  readonly dueAt: number;
  readonly givenUpAt: number;
}

/** A message, and its name in our own swarm. */
export interface NamedMessage extends MessageIdentity {
  readonly hash: string;
}

/** `record` is written with whatever it belongs to, then `taken` is called. */
export interface Prepared {
  readonly record: StoredRecord;
  readonly taken: () => void;
}

interface Waiting {
  notice: Notice;
  /** By the monotonic clock. */
  at: number;
  failures: number;
  isRunning: boolean;
}

interface NoticesDeps {
  /** Other devices of this account get what is sent. */
  readonly ownCopies: boolean;
  readonly network: Network;
  readonly storage: Storage;
  readonly env: Env;
  readonly ownRoute: () => Promise<OwnRoute>;
  /** Whether they may be told that what they sent was delivered, or read; asked when that is about to be sent. */
  readonly allowsReceipt: (recipient: AccountId, type: ReceiptType) => boolean;
  /** Another device had these shortened before: they end at this network time in ms. */
  readonly onShortened: (messages: readonly MessageIdentity[], expiresAt: number) => Promise<void>;
}

export class Notices {
  readonly #account: Account;
  readonly #deps: NoticesDeps;
  readonly #tasks: Tasks;
  readonly #waiting = new Map<string, Waiting>();
  /** Sent times of read receipts that are being written, by key: who prepares more meanwhile must not leave them out. */
  readonly #writing = new Map<string, Set<number>>();
  readonly #changed = new Signal();
  #running = 0;

  constructor(account: Account, deps: NoticesDeps) {
    this.#account = account;
    this.#deps = deps;
    this.#tasks = new Tasks(deps.env.log);
  }

  /** Takes up what an earlier run left, and works until `stop`. */
  async start(): Promise<void> {
    const now = this.#deps.network.clock.now();
    for (const { key, value } of await this.#deps.storage.records(KIND)) {
      const notice = value as Notice;
      // A clock that was ahead may not keep it for ever.
      this.#wait(key, notice, Math.min(Math.max(0, notice.dueAt - now), DELAY_MS[1]));
    }
    this.#tasks.run('notices', () => this.#work());
  }

  async stop(): Promise<void> {
    await this.#tasks.stop(new ClientError('closed', 'the client was closed'));
  }

  /** Waits until all but receipts, which have their random pause, are stored or were tried once. */
  async flush(): Promise<void> {
    const { signal } = this.#tasks;
    const isDue = ({ notice, failures }: Waiting) => notice.receiptType === undefined && failures === 0;
    while (!signal.aborted && [...this.#waiting.values()].some(isDue)) {
      await this.#changed.wait(signal).catch(() => undefined);
    }
  }

  /**
   * The record is to be written with whatever asks for the receipts; `taken` is called when that is done.
   * Of more than fit in one receipt message the newest count: they imply the others for people.
   */
  receipts(recipient: AccountId, type: ReceiptType, timestamps: readonly number[]): Prepared {
    const key = `receipt ${type} ${recipient}`;
    const { clock } = this.#deps.network;
    const { random } = this.#deps.env;
    const old = this.#waiting.get(key);
    const writing = this.#writing.get(key) ?? new Set();
    const all = new Set([...(old?.notice.receipts ?? []), ...writing, ...timestamps]);
    // Of deliveries one answer is taken in at a time, and what was not written did not arrive.
    if (type === ReceiptType.read) this.#writing.set(key, all);
    const pause = DELAY_MS[0] + random.below(DELAY_MS[1] - DELAY_MS[0]);
    const notice: Notice = {
      recipient,
      receipts: [...all].sort((a, b) => a - b).slice(-MAX_RECEIPTS),
      receiptType: type,
      ttlMs: MESSAGE_TTL_MS,
      dueAt: old === undefined || old.isRunning ? clock.now() + pause : old.notice.dueAt,
      givenUpAt: clock.now() + MESSAGE_TTL_MS,
    };
    return {
      record: { kind: KIND, key, value: notice },
      taken: () => {
        if (this.#writing.get(key) === all) this.#writing.delete(key);
        const now = this.#waiting.get(key);
        if (now === undefined || now.isRunning) this.#wait(key, notice, pause);
        else now.notice = notice;
      },
    };
  }

  /**
   * Something with a time of its own. The record is to be written with whatever asks for it, then `taken` called.
   * `copy`: for our own devices, as it is or with a syncTarget.
   */
  content(
    recipient: AccountId,
    content: Content,
    timestamp: number,
    options: {
      readonly copy?: 'same' | 'sync';
      readonly ttlMs?: number;
      readonly copyTtlMs?: number;
    } = {},
  ): Prepared {
    const { ttlMs = MESSAGE_TTL_MS, copyTtlMs } = options;
    const copy = this.#deps.ownCopies ? options.copy : undefined;
    const now = this.#deps.network.clock.now();
    const key = `content ${timestamp}`;
    const notice: Notice = {
      recipient,
      content: toBase64(encodeContent({ ...content, sigTimestamp: timestamp })),
      timestamp,
      ttlMs,
      ...(copyTtlMs !== undefined && { copyTtlMs }),
      ...(copy !== undefined && { copy }),
      dueAt: now,
      givenUpAt: now + ttlMs,
    };
    return { record: { kind: KIND, key, value: notice }, taken: () => this.#wait(key, notice, 0) };
  }

  /** Sent at once or never, and not kept: typing (§6.3). */
  fleeting(recipient: AccountId, make: (timestamp: number) => Content, ttlMs: number): void {
    if (this.#running >= AT_ONCE) return;
    this.#tasks.run('fleeting notice', async () => {
      const { network, env } = this.#deps;
      try {
        const timestamp = network.clock.unique();
        await this.#store(recipient, { ...make(timestamp), sigTimestamp: timestamp }, timestamp, ttlMs);
      } catch (error) {
        env.log.debug({ error: String(error) }, 'a fleeting notice was not stored');
      }
    });
  }

  /** Deletes messages from our own swarm (§6.6); at least one hash. */
  deletion(hashes: readonly string[]): Prepared {
    const now = this.#deps.network.clock.now();
    const key = `deletion ${hashes[0]}`;
    const notice: Notice = {
      recipient: this.#account.id,
      hashes,
      ttlMs: MESSAGE_TTL_MS,
      dueAt: now,
      givenUpAt: now + MESSAGE_TTL_MS,
    };
    return { record: { kind: KIND, key, value: notice }, taken: () => this.#wait(key, notice, 0) };
  }

  /**
   * Has our own swarm keep messages no longer than until `expiresAt`, so that our other devices know when they were read
   * (§6.7); at least one.
   */
  shortening(messages: readonly NamedMessage[], expiresAt: number): Prepared {
    const now = this.#deps.network.clock.now();
    const key = `shortening ${messages[0]!.hash}`;
    const notice: Notice = {
      recipient: this.#account.id,
      shortened: messages,
      ttlMs: MESSAGE_TTL_MS,
      dueAt: now,
      givenUpAt: expiresAt,
    };
    return { record: { kind: KIND, key, value: notice }, taken: () => this.#wait(key, notice, 0) };
  }

  #wait(key: string, notice: Notice, ms: number): void {
    const at = this.#deps.env.clock.monotonic() + ms;
    this.#waiting.set(key, { notice, at, failures: 0, isRunning: false });
    this.#changed.notify();
  }

  async #work(): Promise<void> {
    const { clock } = this.#deps.env;
    const { signal } = this.#tasks;
    for (;;) {
      signal.throwIfAborted();
      let next = Number.POSITIVE_INFINITY;
      for (const [key, waiting] of this.#waiting) {
        if (waiting.isRunning || this.#running >= AT_ONCE) continue;
        if (waiting.at <= clock.monotonic()) this.#start(key, waiting);
        else next = Math.min(next, waiting.at);
      }
      const woken = new AbortController();
      const end = AbortSignal.any([signal, woken.signal]);
      const changed = this.#changed.wait(end).catch(() => undefined);
      const due =
        next === Number.POSITIVE_INFINITY
          ? changed
          : delay(clock, next - clock.monotonic(), end).catch(() => undefined);
      await Promise.race([changed, due]);
      woken.abort();
    }
  }

  #start(key: string, waiting: Waiting): void {
    waiting.isRunning = true;
    this.#running++;
    this.#tasks.run('notice', async () => {
      const { network, storage, env } = this.#deps;
      const { notice } = waiting;
      try {
        // First: by a clock that is ahead everything would be given up.
        await network.settleClock(this.#tasks.signal);
        if (network.clock.now() < notice.givenUpAt) await this.#send(key, waiting);
        // Receipts that came meanwhile have their own place.
        if (this.#waiting.get(key) === waiting) {
          this.#waiting.delete(key);
          await storage.write({ records: [{ kind: KIND, key, value: undefined }] });
        }
      } catch (error) {
        this.#tasks.signal.throwIfAborted();
        env.log.debug({ error: String(error) }, 'a notice was not stored');
        const pause = Math.min(FIRST_PAUSE_MS * 2 ** waiting.failures++, LONGEST_PAUSE_MS);
        waiting.at = env.clock.monotonic() + pause / 2 + env.random.below(pause);
      } finally {
        waiting.isRunning = false;
        this.#running--;
        this.#changed.notify();
      }
    });
  }

  async #send(key: string, waiting: Waiting): Promise<void> {
    const { network, storage } = this.#deps;
    const { notice } = waiting;
    if (notice.hashes !== undefined) return this.#delete(notice.hashes);
    if (notice.shortened !== undefined) return this.#shorten(notice.shortened, notice.givenUpAt);
    const isReceipt = notice.content === undefined;
    // What was wanted when the message came need not be wanted any more.
    if (isReceipt && !this.#deps.allowsReceipt(notice.recipient, notice.receiptType ?? ReceiptType.read))
      return;
    const timestamp = notice.timestamp ?? network.clock.unique();
    const content: Content =
      notice.content === undefined
        ? {
            receiptMessage: {
              type: notice.receiptType ?? ReceiptType.read,
              timestamp: notice.receipts ?? [],
            },
            sigTimestamp: timestamp,
          }
        : decodeContent(fromBase64(notice.content));
    const { copy, recipient } = notice;
    if (notice.isStored !== true) {
      await this.#store(recipient, content, timestamp, notice.ttlMs);
      if (copy === undefined) return;
      waiting.notice = { ...notice, isStored: true };
      await storage.write({ records: [{ kind: KIND, key, value: waiting.notice }] });
    }
    if (copy !== undefined) {
      const own = copy === 'same' ? content : withSyncTarget(content, recipient);
      await this.#store(this.#account.id, own, timestamp, notice.copyTtlMs ?? notice.ttlMs);
    }
  }

  async #delete(hashes: readonly string[]): Promise<void> {
    const { network } = this.#deps;
    const account = parseAccountPubkey(this.#account.id);
    const request = signRequest(
      { method: 'delete', account, messages: hashes, required: false },
      this.#account,
    );
    await network.askSwarm({
      ...(await this.#deps.ownRoute()),
      account: this.#account.id,
      carrier: 'sequence',
      ...OWN_SWARM_LIMITS,
      signal: this.#tasks.signal,
      make: () => [request],
      accept: (results) => readSigned(network, this.#account.id, request, results),
    });
  }

  async #shorten(messages: readonly NamedMessage[], expiresAt: number): Promise<void> {
    const { network, onShortened } = this.#deps;
    const account = parseAccountPubkey(this.#account.id);
    const hashes = messages.map(({ hash }) => hash);
    const request = signRequest(
      { method: 'expire', account, messages: hashes, expiries: [expiresAt], shorten: true, extend: false },
      this.#account,
    );
    const told = await network.askSwarm({
      ...(await this.#deps.ownRoute()),
      account: this.#account.id,
      carrier: 'sequence',
      ...OWN_SWARM_LIMITS,
      signal: this.#tasks.signal,
      make: () => [request],
      accept: (results) => readExpiries(network, this.#account.id, request, results),
    });
    for (const message of messages) {
      const earlier = told.get(message.hash);
      if (earlier !== undefined && earlier < expiresAt) await onShortened([message], earlier);
    }
  }

  async #store(recipient: AccountId, content: Content, timestamp: number, ttlMs: number): Promise<void> {
    const { network, storage } = this.#deps;
    const account = parseAccountPubkey(recipient);
    const isOwn = recipient === this.#account.id;
    const said = { content: encodeContent(content), sender: this.#account, recipient, timestamp };
    const data = encryptMessage(said, repeatable(said));
    const expiry = timestamp + ttlMs;
    const request: StoreRequest = { method: 'store', account, namespace: 0, timestamp, expiry, data };
    if (isOwn) await storage.write({ seen: [{ hash: messageHashText(account.bytes, 0, data), expiry }] });
    await network.askSwarm({
      ...(isOwn ? await this.#deps.ownRoute() : {}),
      account: recipient,
      carrier: 'sequence',
      ...STORE_LIMITS,
      signal: this.#tasks.signal,
      make: () => [request],
      accept: (results) => readSigned(network, recipient, request, results),
    });
  }
}

/** spec/client §4.4: the copy has the syncTarget, and no profile. */
function withSyncTarget(content: Content, syncTarget: AccountId): Content {
  const { profile: _profile, profileKey: _key, ...dataMessage } = content.dataMessage ?? {};
  return { ...content, dataMessage: { ...dataMessage, syncTarget } };
}
