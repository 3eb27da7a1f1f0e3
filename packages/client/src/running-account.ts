// SPDX-License-Identifier: MIT
// An open account at work: all its parts, how they are put together, in which order they start and stop, and what
// follows for the others when one of them tells something. The face for programs is `client.ts`.
import type { AccountId } from '@allium/protocol/account-id';
import { ReceiptType } from '@allium/protocol/message/content';
import { MAX_WAIT_MS } from '@allium/protocol/storage/request-reader';
import type { ClientEvents, ClientStatus } from './client-events.ts';
import type { ClientOptions } from './client-options.ts';
import { ClientError } from './errors.ts';
import { Events } from './events.ts';
import { AccountFiles } from './files/account-files.ts';
import { Contents } from './files/contents.ts';
import { Arrivals } from './messaging/arrivals.ts';
import { Contacts } from './messaging/contacts.ts';
import { Conversation } from './messaging/conversation.ts';
import { ConversationStates } from './messaging/conversation-states.ts';
import { Expiring } from './messaging/expiring.ts';
import { Expiry } from './messaging/expiry.ts';
import { Inbox } from './messaging/inbox.ts';
import { Notices } from './messaging/notices.ts';
import { Outbox } from './messaging/outbox.ts';
import { OwnTimes } from './messaging/own-times.ts';
import { Pace } from './messaging/pace.ts';
import { Poller } from './messaging/poller.ts';
import { OwnProfile } from './messaging/profile.ts';
import { Settings } from './messaging/settings.ts';
import { Typing } from './messaging/typing.ts';
import { Network } from './network/network.ts';
import { MemoryBlobs } from './storage/blobs.ts';
import type { Marks } from './storage/marks.ts';
import type { PoolNode, Storage, StoredMessage } from './storage/storage.ts';
import { ConfigSync } from './sync/config-sync.ts';
import type { SyncedChanges } from './sync/merged.ts';
import { SyncedAccount } from './sync/synced-account.ts';
import { syncedStorage } from './sync/synced-storage.ts';

// Ours.
/** No node is to blame, and paths may be good as ever. */
const NO_WAY_OUT: ReadonlySet<string> = new Set(['no_network', 'proxy_unreachable', 'proxy_refused']);

interface Models {
  readonly contacts: Contacts;
  readonly states: ConversationStates;
  readonly settings: Settings;
  readonly profile: OwnProfile;
  readonly contents: Contents;
  readonly synced: SyncedAccount;
}

export class RunningAccount {
  readonly events: Events<ClientEvents>;
  readonly network: Network;
  readonly outbox: Outbox;
  readonly inbox: Inbox;
  readonly poller: Poller;
  readonly contacts: Contacts;
  readonly settings: Settings;
  readonly profile: OwnProfile;
  readonly files: AccountFiles;
  readonly states: ConversationStates;
  readonly synced: SyncedAccount;
  readonly sync: ConfigSync;
  readonly arrivals: Arrivals;
  readonly notices: Notices;
  readonly expiring: Expiring;
  readonly #options: ClientOptions;
  readonly #expiry: Expiry;
  readonly #typing: Typing;
  readonly #times: OwnTimes;
  readonly #pace = new Pace();
  readonly #closing = new AbortController();
  #status: ClientStatus = 'connecting';

  private constructor(
    options: ClientOptions,
    { contacts, states, settings, profile, synced, contents }: Models,
  ) {
    this.profile = profile;
    this.states = states;
    this.synced = synced;
    const { account, network, storage, transport, env } = options;
    this.#options = options;
    this.events = new Events(env.log);
    this.arrivals = new Arrivals(storage, this.#closing.signal);
    this.#typing = new Typing(env.clock, (id, isTyping) => this.events.emit('typing', { id, isTyping }));
    this.network = new Network(network, {
      storage,
      transport,
      env,
      onPathChange: () => this.#onPathChange(),
    });
    this.contacts = contacts;
    this.settings = settings;
    const ownRoute = () => this.poller.ownRoute();
    const { ownCopies = true } = options;
    const notices = new Notices(account, {
      ownCopies,
      network: this.network,
      storage,
      env,
      ownRoute,
      allowsReceipt: (recipient, type) => {
        const { readReceipts, deliveryReceipts } = settings.now;
        return contacts.isTrusted(recipient) && (type === ReceiptType.read ? readReceipts : deliveryReceipts);
      },
      onShortened: async (messages, expiresAt) => {
        await storage.write({ marked: messages.map((message) => ({ ...message, marks: { expiresAt } })) });
        this.#expiry.look();
      },
    });
    this.notices = notices;
    this.#expiry = new Expiry({
      network: this.network,
      storage,
      env,
      onRemoved: (message) => this.#onRemoved(message),
    });
    this.expiring = new Expiring({
      own: account.id,
      network: this.network,
      storage,
      env,
      onExpiring: (expiring) => this.events.emit('expiring', expiring),
    });
    this.files = new AccountFiles(network.preset.fileServers, {
      ...{ account, contacts, settings, profile, contents, storage, env },
      network: this.network,
      onUpload: (progress) => this.events.emit('upload', progress),
      onDownload: (progress) => this.events.emit('download', progress),
    });
    this.#times = new OwnTimes(account.id, this.network.clock, storage);
    this.outbox = new Outbox(account, {
      ownCopies,
      network: this.network,
      storage,
      env,
      onChange: (message) => {
        if (message.timer !== undefined) this.#expiry.look();
        this.events.emit('outgoing', message);
      },
      contacts,
      notices,
      profile,
      uploads: this.files.uploads,
      times: this.#times,
      ownRoute,
    });
    this.inbox = new Inbox({
      account,
      storage,
      env,
      contacts,
      receipts: (...given) => notices.receipts(...given),
      settings,
      now: () => this.network.clock.now(),
      onMessage: (message) => this.#onMessage(message),
      deletion: (hashes) => notices.deletion(hashes),
      shortening: (...given) => notices.shortening(...given),
      readTo: async (id) => (await this.conversation(id).state()).readTo,
      onMarked: (message, before) => this.#onMarked(message, before),
      onTyping: (id, isTyping) => this.#typing.told(id, isTyping),
      isErased: (...given) => synced.isErased(...given),
      isBeforeLink: (place) => synced.isBeforeLink(place),
      onRequest: (contact) => this.events.emit('request', contact),
      onAccepted: (contact) => this.events.emit('accepted', contact),
    });
    this.poller = new Poller(
      {
        account,
        preset: network.preset,
        pollEveryMs: options.pollEveryMs ?? network.preset.pollEveryMs,
        waitMs: Math.min(options.waitMs ?? network.preset.waitMs, MAX_WAIT_MS),
      },
      {
        network: this.network,
        storage,
        env,
        onRound: (error) => this.#onRound(error),
        // What another process changed meanwhile is not to be undone by what follows from the answer.
        beforeTaking: async () => {
          await this.#confirmTime();
          await synced.takeJournal();
        },
        onGap: (counts) => this.events.emit('gap', counts),
      },
    );
    this.sync = new ConfigSync({
      account,
      synced,
      network: this.network,
      storage,
      env,
      ownRoute,
      poll: (signal) => this.poller.poll(signal),
      onSynced: (changes) => this.#onSynced(changes),
    });
    // Whoever has no other devices has nothing to agree on. Without configs what came would be marked as seen, and the process
    // that has them would never see it.
    if (ownCopies && options.receive !== false)
      for (const follower of this.sync.followers()) this.poller.follow(follower);
    this.poller.follow(this.inbox);
  }

  /** @throws ClientError `wrong_account`; StorageError */
  static async open(options: ClientOptions): Promise<RunningAccount> {
    const { account, storage, env } = options;
    const owner = await storage.setting('account');
    if (owner !== undefined && owner !== account.id) {
      throw new ClientError('wrong_account', 'this storage belongs to another account');
    }
    if (owner === undefined) await storage.write({ settings: { account: account.id } });
    let loaded: SyncedAccount | undefined;
    let running: RunningAccount | undefined;
    const whole = syncedStorage(storage, () => loaded);
    const models = {
      contacts: await Contacts.load(whole, account.id),
      states: await ConversationStates.load(whole),
      settings: await Settings.load(whole),
      profile: await OwnProfile.load(whole),
      contents: await Contents.open(options.blobs ?? new MemoryBlobs(), storage, env.clock),
    };
    const now = () => (running === undefined ? env.clock.now() : running.network.clock.now());
    const synced = await SyncedAccount.load(account, {
      ...models,
      mode: options.ownCopies === false ? 'alone' : options.receive === false ? 'journal' : 'configs',
      storage,
      log: env.log,
      now,
      clock: () => running?.network.clock ?? { offset: 0, isSettled: false, unique: now },
    });
    loaded = synced;
    running = new RunningAccount({ ...options, storage: whole }, { ...models, synced });
    await running.inbox.reread();
    await running.network.start();
    await running.notices.start();
    await running.sync.load();
    running.#resumeErasing();
    running.#expiry.start();
    running.outbox.resume();
    running.files.start();
    if (options.receive !== false) {
      if (options.ownCopies !== false) await running.sync.start();
      running.poller.start();
      running.expiring.start();
    }
    return running;
  }

  get id(): AccountId {
    return this.#options.account.id;
  }

  /** With all that belongs to each write for the account's other devices. */
  get storage(): Storage {
    return this.#options.storage;
  }

  get status(): ClientStatus {
    return this.#status;
  }

  /** Aborted when it closes. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** The hops, guard first, of a usable path; undefined while there is none. */
  path(): readonly PoolNode[] | undefined {
    return this.network.paths().find((path) => path.state === 'usable')?.hops;
  }

  conversation(id: AccountId): Conversation {
    return new Conversation(id, {
      own: this.id,
      outbox: this.outbox,
      notices: this.notices,
      contacts: this.contacts,
      settings: this.settings,
      profile: this.profile,
      storage: this.#options.storage,
      now: () => this.network.clock.unique(),
      times: this.#times,
      time: () => this.network.clock.now(),
      onMarked: (message, before) => this.#onMarked(message, before),
      onNotice: (message) => this.#onMessage(message),
      onRemoved: (message) => this.#onRemoved(message),
      states: this.states,
      eraseMessages: (erased) => this.#eraseMessages(erased),
      pace: this.#pace,
    });
  }

  /** Ends everything and closes the storage; waits until nothing runs. To be called once. */
  async close(): Promise<void> {
    this.#closing.abort(new ClientError('closed', 'the client was closed'));
    // Nothing that is under way can end well then: nobody waits for seeds that do not answer.
    if (this.path() === undefined) await this.network.stop();
    await this.poller.stop();
    await this.sync.stop();
    await this.outbox.stop();
    await this.notices.stop();
    await this.#expiry.stop();
    await this.expiring.stop();
    await this.network.stop();
    await this.files.stop();
    await this.#options.storage.close();
    this.#typing.stop();
    this.events.clear();
    this.#options.onClose?.();
  }

  #onSynced(changes: SyncedChanges): void {
    this.#resumeErasing();
    for (const id of changes.conversations) {
      const { readTo } = this.states.get(id);
      if (readTo === undefined) continue;
      this.conversation(id)
        .readElsewhere(readTo)
        .catch((error: unknown) =>
          this.#options.env.log.debug({ error: String(error) }, 'timers not started'),
        );
    }
    if (Object.values(changes).some((change) => change === true || (change !== false && change.length > 0))) {
      this.events.emit('synced', changes);
    }
  }

  /** What comes is not to be judged by a clock that was just set, nor by an erasure whose time is that of a wrong clock. */
  async #confirmTime(): Promise<void> {
    const { clock } = this.network;
    const { areBelieved } = this.synced.erasures;
    const wasSettled = clock.atLeast() !== undefined;
    if ((areBelieved || wasSettled) && !clock.isSettled) await this.network.settleClock(this.closing);
    if (!areBelieved) return;
    this.synced.confirmErasures();
    this.#resumeErasing();
  }

  #resumeErasing(): void {
    for (const id of this.synced.erasures.pending()) {
      this.#eraseMessages(id).catch((error: unknown) =>
        this.#options.env.log.debug({ error: String(error) }, 'not everything was erased yet'),
      );
    }
  }

  #eraseMessages(id: AccountId): Promise<void> {
    const { storage } = this.#options;
    return this.synced.erasures.finish(
      id,
      storage,
      (hashes) => this.notices.deletion(hashes),
      (message) => this.files.files.forget(message),
    );
  }

  #onMessage(message: StoredMessage): void {
    if (message.timer !== undefined) this.#expiry.look();
    if (message.notice !== undefined) {
      this.events.emit('notice', message);
      return;
    }
    this.files.consider(message);
    this.arrivals.notify();
    this.#typing.told(message.sender, false);
    this.events.emit(message.sender === this.id ? 'own_message' : 'message', message);
  }

  #onRemoved(message: StoredMessage): void {
    this.files.forget(message);
    this.events.emit('removed', message);
  }

  #onMarked(message: StoredMessage, before: Marks | undefined): void {
    const { deliveredAt, readAt, expiresAt, deletedAt } = message.marks ?? {};
    if (deletedAt !== undefined && before?.deletedAt === undefined) {
      this.files.forget(message);
    }
    if (expiresAt !== undefined) this.#expiry.look();
    if (deliveredAt !== undefined && before?.deliveredAt === undefined && message.sender === this.id) {
      this.events.emit('delivered', message);
    }
    if (readAt !== undefined && before?.readAt === undefined && message.sender === this.id) {
      this.events.emit('read', message);
    }
    this.events.emit('changed', message);
  }

  #onRound(error: ClientError | undefined): void {
    if (error === undefined) {
      if (this.path() !== undefined) this.#becomes('online');
      this.outbox.retryCopies();
      this.sync
        .onRound()
        .catch((failure: unknown) =>
          this.#options.env.log.debug({ error: String(failure) }, 'the first sync was not noted'),
        );
    } else if (this.path() === undefined || NO_WAY_OUT.has(error.code)) this.#becomes('offline');
  }

  #onPathChange(): void {
    this.events.emit('path', this.network.paths());
    this.#becomes(this.path() === undefined ? 'connecting' : 'online');
  }

  #becomes(status: ClientStatus): void {
    if (this.#status === status || this.#closing.signal.aborted) return;
    if (status === 'online') this.outbox.wake();
    this.#status = status;
    this.events.emit('status', status);
  }
}
