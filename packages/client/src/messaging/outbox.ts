// SPDX-License-Identifier: MIT
// Sending messages (spec/client §4.2, §4.4): upload their files, store in the recipient's swarm (`storing.ts`), then a copy for
// our other devices in our own swarm; how long that is tried, and what becomes of the message meanwhile. What was not finished
// when the program ended is taken up at the next start.
import type { Account } from '@allium/protocol/account';
import type { AccountId } from '@allium/protocol/account-id';
import { delay, type Env } from '@allium/protocol/env';
import { ClientError, noWayOut } from '../errors.ts';
import { Signal, Tasks } from '../events.ts';
import type { OutgoingFiles, Uploads } from '../files/uploads.ts';
import type { Network } from '../network/network.ts';
import { marked } from '../storage/marks.ts';
import {
  type Changes,
  type MessageReference,
  type Storage,
  StorageError,
  type StoredMessage,
  type StoredRecord,
} from '../storage/storage.ts';
import type { Contact, ContactChange, Contacts } from './contacts.ts';
import type { Notices } from './notices.ts';
import type { OwnTimes } from './own-times.ts';
import type { OwnProfile } from './profile.ts';
import type { OwnRoute } from './storage-guards.ts';
import { isTooOld, type Sent, type StoringDeps, storeMessage } from './storing.ts';
import { checkLength } from './text.ts';
import { expiryOfSent } from './timers.ts';
import { writeOrUndo } from './write-or-undo.ts';

// From the specification.
/** §6.2. */
const ANSWER_BEFORE_MS = 100;
// Ours.
/** Pauses of a message that is tried until it is too old; they grow. */
const FIRST_PAUSE_MS = 5_000;
const LONGEST_PAUSE_MS = 10 * 60_000;
/** A time that is further from the network's is taken anew, even if nodes would accept it. */
const MAX_CLOCK_ERROR_MS = 10_000;
/** How long closing waits for copies that are under way. */
const CLOSE_MS = 3_000;

export interface SendOptions extends OutgoingFiles {
  readonly signal?: AbortSignal;
  /**
   * Attempts go on, with growing pauses and after restarts, until a swarm keeps the message or it is 14 days old; then
   * the result is there or rejects. Default false: failed after a few attempts.
   */
  readonly keepTrying?: boolean;
  /** What it answers. */
  readonly quote?: MessageReference;
}

interface OutboxDeps {
  /** Other devices of this account get what is sent. */
  readonly ownCopies: boolean;
  readonly network: Network;
  readonly storage: Storage;
  readonly env: Env;
  readonly onChange: (message: StoredMessage) => void;
  readonly contacts: Contacts;
  readonly notices: Notices;
  readonly profile: OwnProfile;
  readonly uploads: Uploads;
  readonly times: OwnTimes;
  /** Whom to ask of our own swarm, and over which guard. */
  readonly ownRoute: () => Promise<OwnRoute>;
}

export class Outbox {
  readonly #account: Account;
  readonly #tasks: Tasks;
  /** Identities of messages whose copy is under way. */
  readonly #copying = new Set<number>();
  readonly #wake = new Signal();
  /** By timestamp, of messages that a swarm keeps and of which the storage does not say so. */
  readonly #unwritten = new Map<number, StoredMessage>();
  /** By timestamp, of messages that are being sent. */
  readonly #cancels = new Map<number, AbortController>();
  readonly #deps: OutboxDeps;
  readonly #storing: StoringDeps;

  constructor(account: Account, deps: OutboxDeps) {
    this.#account = account;
    this.#deps = deps;
    this.#storing = { ...deps, account };
    this.#tasks = new Tasks(deps.env.log);
  }

  /**
   * Resolves when at least one member of the swarm has proven that it keeps the message.
   * @throws ClientError; the message is kept as `failed` then, or as `sending` when the client was closed
   */
  send(conversation: AccountId, text: string, options: SendOptions = {}): Promise<Sent> {
    return this.#send(conversation, text, options).catch(toldAsClosed);
  }

  /** Once more, with its old identity. @throws ClientError `not_failed` */
  resend(timestamp: number, signal: AbortSignal | undefined): Promise<Sent> {
    return this.#resend(timestamp, signal).catch(toldAsClosed);
  }

  async #send(conversation: AccountId, text: string, options: SendOptions): Promise<Sent> {
    this.#tasks.signal.throwIfAborted();
    if (text === '' && !options.attachments?.length)
      throw new ClientError('empty', 'a message without text or file');
    checkLength(text);
    const { network, storage, contacts, notices, profile, uploads, times } = this.#deps;
    const { signal, keepTrying = false, quote } = options;
    const { offset } = network.clock;
    const sender = this.#account.id;
    const first = await times.free();
    const prepared = await uploads.prepare(options, text, { sender, timestamp: first }, signal);
    const contact = contacts.get(conversation);
    const unsent: Omit<StoredMessage, 'timestamp'> = {
      sender,
      conversation,
      text,
      state: 'sending',
      copyPending: this.#deps.ownCopies && conversation !== this.#account.id,
      handled: true,
      ...(keepTrying && { keepTrying }),
      ...(quote !== undefined && { quote }),
      ...prepared.files,
      ...(contact.timer !== undefined && { timer: contact.timer }),
    };
    // §6.2: who writes accepts, and says so before the first answer to a request.
    const isNew = !contact.approved && conversation !== this.#account.id;
    const { message, answer } = await times.take(first, async (timestamp) => {
      const message: StoredMessage = { ...unsent, timestamp };
      const answer =
        isNew && contact.approvedMe
          ? notices.content(
              conversation,
              { messageRequestResponse: { isApproved: true, ...profile.toWire() } },
              network.clock.unique(timestamp - ANSWER_BEFORE_MS),
            )
          : undefined;
      const changes: Changes = {
        fresh: [message],
        messages: [message],
        records: [
          ...(isNew ? [contacts.change(conversation, { approved: true })] : []),
          ...(answer === undefined ? [] : [answer.record]),
          ...uploads.owned(prepared.records, message),
        ],
      };
      await writeOrUndo<Contact>(storage, changes, {
        before: contact,
        changed: isNew ? ['approved'] : [],
        now: () => contacts.get(conversation),
        put: (undone: ContactChange) => contacts.change(conversation, undone),
      });
      return { message, answer };
    });
    answer?.taken();
    this.#deps.onChange(message);
    return keepTrying ? this.#insist(message, signal, offset) : this.#deliverOnce(message, signal, offset);
  }

  async #resend(timestamp: number, signal: AbortSignal | undefined): Promise<Sent> {
    const message = await this.#deps.storage.message(this.#account.id, timestamp);
    if (message?.state !== 'failed') throw new ClientError('not_failed', 'no failed message of this time');
    if (isTooOld(message, this.#deps.network.clock.now())) {
      throw new ClientError('too_late', 'no swarm would keep it any more: send it as a new message');
    }
    const { failure: _failure, ...rest } = message;
    const again: StoredMessage = { ...rest, state: 'sending' };
    await this.#save(again);
    return this.#deliverOnce(again, signal, undefined);
  }

  /** Takes up what an earlier run or a failed copy left (§4.4). */
  resume(): void {
    this.#tasks.run('resume', async () => {
      for (const message of await this.#deps.storage.unsent()) {
        const isOld = await this.#isTooOld(message);
        if (message.state === 'sending') {
          if (isOld) {
            await this.#save({ ...message, state: 'failed', failure: 'not_stored', copyPending: false });
          } else if (message.keepTrying === true) {
            this.#tasks.run('insist', () =>
              this.#insist(message, this.#tasks.signal, undefined).catch(() => undefined),
            );
          } else {
            const sent = this.#deliverOnce(message, this.#tasks.signal, undefined).catch(() => undefined); // kept as failed
            // Files may take long: others need not wait for them.
            if (message.attachments === undefined) await sent;
            else this.#tasks.run('files', () => sent);
          }
        } else if (isOld) await this.#save({ ...message, copyPending: false });
        // Of a failed one other devices would show that it was sent.
        else if (message.state === 'sent') this.#copyInBackground(message);
      }
    });
  }

  /** Not by a clock that nobody has confirmed: one that is ahead would end everything. */
  async #isTooOld(message: StoredMessage): Promise<boolean> {
    const { clock } = this.#deps.network;
    if (!isTooOld(message, clock.now())) return false;
    if (!clock.isSettled) {
      await this.#deps.network
        .settleClock(this.#tasks.signal)
        .catch(() => this.#tasks.signal.throwIfAborted());
    }
    return clock.isSettled && isTooOld(message, clock.now());
  }

  /** What is tried again and again is tried now. */
  wake(): void {
    this.#wake.notify();
  }

  /** Tries pending copies again; cheap when there are none. */
  retryCopies(): void {
    this.#tasks.run('copies', async () => {
      for (const [timestamp, message] of this.#unwritten) {
        const kept = await this.#deps.storage.message(message.sender, timestamp);
        // Removed meanwhile, with its conversation.
        if (kept === undefined) this.#unwritten.delete(timestamp);
        else await this.#stored(message).catch(() => undefined);
      }
      for (const message of await this.#deps.storage.unsent()) {
        if (message.state === 'sent') this.#copyInBackground(message);
      }
    });
  }

  /** Waits for all copies that are under way. */
  async flush(): Promise<void> {
    await this.#tasks.idle();
  }

  async stop(): Promise<void> {
    const patience = new AbortController();
    await Promise.race([
      this.#tasks.idle().finally(() => patience.abort()),
      delay(this.#deps.env.clock, CLOSE_MS, patience.signal).catch(() => undefined),
    ]);
    patience.abort();
    await this.#tasks.stop(new ClientError('closed', 'the client was closed'));
  }

  /** Ends sending and uploading; the message is kept as failed (`aborted`). False when nothing was under way. */
  cancel(timestamp: number): boolean {
    const cancel = this.#cancels.get(timestamp);
    cancel?.abort(new ClientError('aborted', 'sending was aborted'));
    return cancel !== undefined;
  }

  #cancelOf({ timestamp }: StoredMessage): AbortController {
    const cancel = new AbortController();
    this.#cancels.set(timestamp, cancel);
    return cancel;
  }

  /** The message has another time now. */
  #alsoCancels(before: StoredMessage, { timestamp }: StoredMessage): void {
    const cancel = this.#cancels.get(before.timestamp);
    if (cancel !== undefined) this.#cancels.set(timestamp, cancel);
  }

  #over(cancel: AbortController): void {
    for (const [timestamp, other] of this.#cancels) if (other === cancel) this.#cancels.delete(timestamp);
  }

  async #deliverOnce(
    message: StoredMessage,
    signal: AbortSignal | undefined,
    offset: number | undefined,
  ): Promise<Sent> {
    const cancel = this.#cancelOf(message);
    const end = signal === undefined ? cancel.signal : AbortSignal.any([signal, cancel.signal]);
    try {
      return await this.#deliver(message, end, offset);
    } finally {
      this.#over(cancel);
    }
  }

  /** `offset`: of the clock that gave the message its time; undefined when somebody may have seen that time already. */
  async #deliver(
    given: StoredMessage,
    signal: AbortSignal,
    offset: number | undefined,
    onTimed: (message: StoredMessage) => void = () => undefined,
  ): Promise<Sent> {
    const isNote = given.conversation === this.#account.id;
    const { network, storage, uploads, times } = this.#deps;
    let message = given;
    let sent: Sent;
    try {
      const uploaded = await uploads.run(message, signal);
      if (uploaded !== message) {
        message = uploaded;
        await this.#save(message);
        onTimed(message);
      }
      // Also before a time that somebody may have seen is sent again: see `isWrong`.
      await network.settleClock(signal);
      if (offset === undefined && network.clock.isSettled && isTooOld(message, network.clock.now())) {
        throw new ClientError('not_stored', 'no swarm would keep the message any more');
      }
      if (offset !== undefined) {
        const error = network.clock.offset - offset;
        if (Math.abs(error) > MAX_CLOCK_ERROR_MS) {
          const timestamp = await times.free(Math.round(message.timestamp - error));
          message = { ...message, timestamp };
          await this.#replace(given, message);
          this.#alsoCancels(given, message);
          onTimed(message);
        }
      }
      sent = await storeMessage(
        message,
        message.conversation,
        async (retimed, hash, expiry) => {
          if (retimed.timestamp !== message.timestamp) {
            await this.#replace(message, retimed);
            this.#alsoCancels(message, retimed);
          }
          message = retimed;
          onTimed(message);
          // A note is in our own swarm: it comes back with the next poll.
          if (isNote) await storage.write({ seen: [{ hash, expiry }] });
        },
        signal,
        this.#storing,
      );
    } catch (error) {
      // Closed under way: the next start takes it up again.
      if (error instanceof ClientError && error.code === 'closed') throw error;
      const told = asSendError(error, signal);
      const failure = told instanceof ClientError ? told.code : 'failed';
      if (message.keepTrying !== true || !isPassing(told)) {
        const { keepTrying: _, ...rest } = message;
        await this.#save({ ...rest, state: 'failed', failure });
      }
      throw told;
    }
    const { keepTrying: _, ...rest } = message;
    const expiry = expiryOfSent({ ...message, state: 'sent' }, network.clock.now());
    const marks = { stored: sent.stored, of: sent.of, ...expiry };
    await this.#stored({ ...rest, state: 'sent', marks, ...(isNote && { hash: sent.hash }) });
    return sent;
  }

  /** The swarm has it, whatever the storage says: what cannot be written now is written later, or found again at the next start. */
  async #stored(message: StoredMessage): Promise<void> {
    try {
      await this.#save(message, await this.#deps.uploads.sent(message));
    } catch (error) {
      this.#unwritten.set(message.timestamp, message);
      throw error;
    }
    this.#unwritten.delete(message.timestamp);
    if (message.conversation !== this.#account.id) this.#copyInBackground(message);
  }

  /** As `deliver`, until it is stored, too old or refused for good. */
  async #insist(
    given: StoredMessage,
    signal: AbortSignal | undefined,
    offset: number | undefined,
  ): Promise<Sent> {
    const cancel = this.#cancelOf(given);
    const end = AbortSignal.any([
      cancel.signal,
      this.#tasks.signal,
      ...(signal === undefined ? [] : [signal]),
    ]);
    try {
      return await this.#insistUntil(end, given, offset);
    } finally {
      this.#over(cancel);
    }
  }

  async #insistUntil(end: AbortSignal, given: StoredMessage, offset: number | undefined): Promise<Sent> {
    const { network, env, storage } = this.#deps;
    let message = given;
    for (let failures = 0; ; failures++) {
      try {
        const sent = await this.#deliver(message, end, failures === 0 ? offset : undefined, (now) => {
          message = now;
        });
        return sent;
      } catch (error) {
        if (this.#tasks.signal.aborted)
          throw new ClientError('closed', 'the client was closed', { cause: error });
        if (!isPassing(error)) throw error;
        if (network.clock.isSettled && isTooOld(message, network.clock.now())) {
          const { keepTrying: _, ...rest } = message;
          await this.#save({ ...rest, state: 'failed', failure: 'not_stored' });
          throw error;
        }
      }
      const pause = Math.min(FIRST_PAUSE_MS * 2 ** failures, LONGEST_PAUSE_MS);
      const over = new AbortController();
      const either = AbortSignal.any([end, over.signal]);
      await Promise.race([
        delay(env.clock, pause / 2 + env.random.below(pause), either),
        this.#wake.wait(either).then(() => {
          // What failed before there was a way out says nothing about the next attempts.
          failures = 0;
        }),
      ]).catch(() => undefined);
      over.abort();
      if (this.#tasks.signal.aborted) throw new ClientError('closed', 'the client was closed');
      if (end.aborted) {
        const { keepTrying: _, ...rest } = message;
        await this.#save({ ...rest, state: 'failed', failure: 'aborted' });
        throw new ClientError('aborted', 'sending was aborted');
      }
      const kept = await storage.message(message.sender, message.timestamp);
      // Its conversation was erased, or its time is over.
      if (kept === undefined) throw new ClientError('aborted', 'the message was removed');
      message = kept;
    }
  }

  #copyInBackground(message: StoredMessage): void {
    if (message.copyPending !== true || this.#copying.has(message.timestamp)) return;
    this.#copying.add(message.timestamp);
    this.#tasks.run('copy', async () => {
      try {
        let hash: string | undefined;
        await storeMessage(
          message,
          this.#account.id,
          async (_message, ownHash, expiry) => {
            hash = ownHash;
            await this.#deps.storage.write({ seen: [{ hash: ownHash, expiry }] });
          },
          this.#tasks.signal,
          this.#storing,
        );
        const now = await this.#deps.storage.message(message.sender, message.timestamp);
        // Deleted, or its time was over, meanwhile.
        if (now === undefined) return;
        // A copy that was sealed before a crash may be there too; as on other devices the smallest hash counts.
        if (hash !== undefined && now.hash !== undefined && now.hash < hash) hash = now.hash;
        await this.#save({ ...now, copyPending: false, ...(hash !== undefined && { hash }) });
      } finally {
        this.#copying.delete(message.timestamp);
      }
    });
  }

  /** The same message under another time. */
  async #replace(old: StoredMessage, message: StoredMessage): Promise<void> {
    await this.#deps.storage.write({
      removed: [{ sender: old.sender, timestamp: old.timestamp }],
      messages: [message],
      records: await this.#deps.uploads.moved(message, message),
    });
    this.#deps.onChange(message);
  }

  async #save(given: StoredMessage, records: readonly StoredRecord[] = []): Promise<void> {
    const isOver = given.state === 'failed' && given.marks?.expiresAt === undefined;
    const message = isOver ? marked(given, expiryOfSent(given, this.#deps.network.clock.now())) : given;
    await this.#deps.storage.write({ messages: [message], records });
    this.#deps.onChange(message);
  }
}

/** Closed while the message was read or written: for the caller it is the client that was closed. */
function toldAsClosed(error: unknown): never {
  if (!(error instanceof StorageError && error.code === 'closed')) throw error;
  throw new ClientError('closed', 'the client was closed', { cause: error });
}

/** What may work later without anybody doing anything. */
function isPassing(error: unknown): boolean {
  if (!(error instanceof ClientError)) return false;
  return (
    ['not_stored', 'not_uploaded', 'no_path', 'no_nodes', 'clock'].includes(error.code) ||
    noWayOut(error.code) !== undefined
  );
}

function asSendError(error: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted) return new ClientError('aborted', 'sending was aborted', { cause: error });
  if (!(error instanceof ClientError)) return error;
  switch (error.code) {
    case 'unreachable':
    case 'no_swarm':
    case 'bad_request':
    case 'unauthorized':
    case 'not_found':
      return new ClientError('not_stored', 'no member of the swarm keeps the message', { cause: error });
    default:
      return error;
  }
}
