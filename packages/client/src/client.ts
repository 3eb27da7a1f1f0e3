// SPDX-License-Identifier: MIT
// An account on the network: the face of this package. Keys are the account's, bytes go through the transport, what
// must last is in the storage, time and chance come from env.
//
//   await using client = await Client.open({ account, network, storage, transport, env });
//   await client.conversation(id).send('hi');
//   for await (const message of client.messages()) …
import type { Account } from '@allium/protocol/account';
import { type AccountId, parseAccountId } from '@allium/protocol/account-id';
import type { Cancel, Env, Transport } from '@allium/protocol/env';
import { MAX_WAIT_MS } from '@allium/protocol/storage/request-reader';
import type { ClientEvents, ClientStatus } from './client-events.ts';
import { ClientError } from './errors.ts';
import { Events } from './events.ts';
import { AccountFiles } from './files/account-files.ts';
import { Contents } from './files/contents.ts';
import type { OpenFile } from './files/downloads.ts';
import type { Files } from './files/files.ts';
import type { TransferOptions } from './files/transfer.ts';
import { Arrivals } from './messaging/arrivals.ts';
import { type ConfirmationOptions, isDelivered, sendConfirmed } from './messaging/confirmation.ts';
import { type Contact, Contacts } from './messaging/contacts.ts';
import { Conversation } from './messaging/conversation.ts';
import { type ConversationState, ConversationStates } from './messaging/conversation-states.ts';
import { eraseSwarm } from './messaging/erase-swarm.ts';
import { Expiring } from './messaging/expiring.ts';
import { Expiry } from './messaging/expiry.ts';
import type { GapCounts } from './messaging/gaps.ts';
import { Inbox } from './messaging/inbox.ts';
import { Notices } from './messaging/notices.ts';
import { Outbox } from './messaging/outbox.ts';
import { Poller } from './messaging/poller.ts';
import { OwnProfile, type Profile } from './messaging/profile.ts';
import { type SearchPage, search } from './messaging/search.ts';
import { type MessagingSettings, Settings } from './messaging/settings.ts';
import { Typing } from './messaging/typing.ts';
import { Network, type NetworkOptions } from './network/network.ts';
import type { Path } from './network/paths.ts';
import type { TrustState } from './network/trust.ts';
import { type BlobPort, MemoryBlobs } from './storage/blobs.ts';
import type { Marks } from './storage/marks.ts';
import type { SearchQuery } from './storage/search.ts';
import type { ConversationSummary, PoolNode, Storage, StoredMessage } from './storage/storage.ts';
import { ConfigSync, type SyncStatus } from './sync/config-sync.ts';
import {
  type ListedCommunity,
  type ListedGroup,
  listedCommunities,
  listedGroups,
} from './sync/listed-groups.ts';
import { type Restored, type RestoreProgress, restore } from './sync/restore.ts';
import { SyncedAccount, type SyncedChanges } from './sync/synced-account.ts';
import { syncedStorage } from './sync/synced-storage.ts';

// Ours.
/** No node is to blame, and paths may be good as ever. */
const NO_WAY_OUT: ReadonlySet<string> = new Set(['no_network', 'proxy_unreachable', 'proxy_refused']);

export interface ClientOptions {
  readonly account: Account;
  readonly network: NetworkOptions;
  /** False: only send. Default true. */
  readonly receive?: boolean;
  /**
   * False: nothing that is sent or changed is kept for other devices of this account. Half the work of a bot, which has
   * none. Default true.
   */
  readonly ownCopies?: boolean;
  /** Pause between two polls, where nodes do not hold their answers; default as the network's preset says. */
  readonly pollEveryMs?: number;
  /** How long a node may hold its answer until a message comes, at most 25 000; 0: poll. Default as the preset says. */
  readonly waitMs?: number;
  /** Belongs to the client from now on, and to this account for ever. */
  readonly storage: Storage;
  /** Where files are kept, beside the storage; belongs to the client too. Default: in memory. */
  readonly blobs?: BlobPort;
  readonly transport: Transport;
  readonly env: Env;
  /** Called once everything has ended: for whoever made the transport. */
  readonly onClose?: () => void;
}

export interface ListedConversation extends ConversationSummary {
  readonly state: ConversationState;
}

export interface Health {
  readonly status: ClientStatus;
  /** Service nodes in the pool. */
  readonly nodes: number;
  readonly paths: readonly Path[];
  /** Known members of our own swarm. */
  readonly ownSwarm: number;
  /** Local minus network time. */
  readonly clockOffsetMs: number;
  /** Local time of the last poll that worked. */
  readonly lastPollAt: number | undefined;
  readonly lastError: ClientError['code'] | undefined;
  readonly unreadableMessages: number;
  /** Since the start: messages that the member which is asked did not tell, and others did. */
  readonly gaps: GapCounts;
  /** Messages of ours that swarms will forget within two days, and that nobody is known to have. */
  readonly expiring: number;
  /** Whether the node list could be checked, and what vouches for it. */
  readonly trust: TrustState;
}

interface Models {
  readonly contacts: Contacts;
  readonly states: ConversationStates;
  readonly settings: Settings;
  readonly profile: OwnProfile;
  readonly contents: Contents;
  readonly synced: SyncedAccount;
}

export class Client {
  /** Files of messages: opening, progress. */
  readonly files: Files;
  readonly #options: ClientOptions;
  readonly #events: Events<ClientEvents>;
  readonly #network: Network;
  readonly #outbox: Outbox;
  readonly #inbox: Inbox;
  readonly #poller: Poller;
  readonly #notices: Notices;
  readonly #expiry: Expiry;
  readonly #expiring: Expiring;
  readonly #contacts: Contacts;
  readonly #settings: Settings;
  readonly #profile: OwnProfile;
  readonly #files: AccountFiles;
  readonly #states: ConversationStates;
  readonly #synced: SyncedAccount;
  readonly #sync: ConfigSync;
  readonly #reactionTimes: number[] = [];
  readonly #typedAt = new Map<AccountId, number>();
  readonly #typing: Typing;
  readonly #arrivals: Arrivals;
  #status: ClientStatus = 'connecting';
  readonly #closing = new AbortController();
  #closed: Promise<void> | undefined;

  private constructor(
    options: ClientOptions,
    { contacts, states, settings, profile, synced, contents }: Models,
  ) {
    this.#profile = profile;
    this.#states = states;
    this.#synced = synced;
    const { account, network, storage, transport, env } = options;
    this.#options = options;
    this.#events = new Events(env.log);
    this.#arrivals = new Arrivals(storage, this.#closing.signal);
    this.#typing = new Typing(env.clock, (id, isTyping) => this.#events.emit('typing', { id, isTyping }));
    this.#network = new Network(network, {
      storage,
      transport,
      env,
      onPathChange: () => this.#onPathChange(),
    });
    this.#contacts = contacts;
    this.#settings = settings;
    const ownRoute = () => this.#poller.ownRoute();
    const { ownCopies = true } = options;
    const notices = new Notices(account, {
      ownCopies,
      network: this.#network,
      storage,
      env,
      ownRoute,
      onShortened: async (messages, expiresAt) => {
        await storage.write({ marked: messages.map((message) => ({ ...message, marks: { expiresAt } })) });
        this.#expiry.look();
      },
    });
    this.#notices = notices;
    this.#expiry = new Expiry({
      network: this.#network,
      storage,
      env,
      onRemoved: (message) => this.#onRemoved(message),
    });
    this.#expiring = new Expiring({
      own: account.id,
      network: this.#network,
      storage,
      env,
      onExpiring: (expiring) => this.#events.emit('expiring', expiring),
    });
    this.#files = new AccountFiles(network.preset.fileServers, {
      ...{ account, contacts, settings, profile, contents, storage, env },
      network: this.#network,
      onUpload: (progress) => this.#events.emit('upload', progress),
      onDownload: (progress) => this.#events.emit('download', progress),
    });
    this.files = this.#files.files;
    this.#outbox = new Outbox(account, {
      ownCopies,
      network: this.#network,
      storage,
      env,
      onChange: (message) => {
        if (message.timer !== undefined) this.#expiry.look();
        this.#events.emit('outgoing', message);
      },
      contacts,
      notices,
      profile,
      uploads: this.#files.uploads,
      ownRoute,
    });
    this.#inbox = new Inbox({
      account,
      storage,
      env,
      contacts,
      receipts: (...given) => notices.receipts(...given),
      settings,
      now: () => this.#network.clock.now(),
      onMessage: (message) => this.#onMessage(message),
      deletion: (hashes) => notices.deletion(hashes),
      shortening: (...given) => notices.shortening(...given),
      readTo: async (id) => (await this.conversation(id).state()).readTo,
      onMarked: (message, before) => this.#onMarked(message, before),
      onTyping: (id, isTyping) => this.#typing.told(id, isTyping),
      isErased: (...given) => synced.isErased(...given),
      isBeforeLink: (place) => synced.isBeforeLink(place),
      onRequest: (contact) => this.#events.emit('request', contact),
      onAccepted: (contact) => this.#events.emit('accepted', contact),
    });
    this.#poller = new Poller(
      {
        account,
        preset: network.preset,
        pollEveryMs: options.pollEveryMs ?? network.preset.pollEveryMs,
        waitMs: Math.min(options.waitMs ?? network.preset.waitMs, MAX_WAIT_MS),
      },
      {
        network: this.#network,
        storage,
        env,
        onRound: (error) => this.#onRound(error),
        // What another process changed meanwhile is not to be undone by what follows from the answer.
        beforeTaking: () => synced.takeJournal(),
        onGap: (counts) => this.#events.emit('gap', counts),
      },
    );
    this.#sync = new ConfigSync({
      account,
      synced,
      network: this.#network,
      storage,
      env,
      ownRoute,
      poll: (signal) => this.#poller.poll(signal),
      onSynced: (changes) => this.#onSynced(changes),
    });
    // Whoever has no other devices has nothing to agree on. Without configs what came would be marked as seen, and the process
    // that has them would never see it.
    if (ownCopies && options.receive !== false)
      for (const follower of this.#sync.followers()) this.#poller.follow(follower);
    this.#poller.follow(this.#inbox);
  }

  /**
   * Reads the storage and begins to work; it does not wait for the network (see `ready`).
   * @throws ClientError `wrong_account`; StorageError
   */
  static async open(options: ClientOptions): Promise<Client> {
    const { account, storage, env } = options;
    const owner = await storage.setting('account');
    if (owner !== undefined && owner !== account.id) {
      throw new ClientError('wrong_account', 'this storage belongs to another account');
    }
    if (owner === undefined) await storage.write({ settings: { account: account.id } });
    let loaded: SyncedAccount | undefined;
    let client: Client | undefined;
    const whole = syncedStorage(storage, () => loaded);
    const models = {
      contacts: await Contacts.load(whole, account.id),
      states: await ConversationStates.load(whole),
      settings: await Settings.load(whole),
      profile: await OwnProfile.load(whole),
      contents: await Contents.open(options.blobs ?? new MemoryBlobs(), storage, env.clock),
    };
    const now = () => (client === undefined ? env.clock.now() : client.#network.clock.now());
    const synced = await SyncedAccount.load(account, {
      ...models,
      mode: options.ownCopies === false ? 'alone' : options.receive === false ? 'journal' : 'configs',
      storage,
      log: env.log,
      now,
    });
    loaded = synced;
    client = new Client({ ...options, storage: whole }, { ...models, synced });
    await client.#inbox.reread();
    await client.#network.start();
    await client.#notices.start();
    await client.#sync.load();
    client.#resumeErasing();
    client.#expiry.start();
    client.#outbox.resume();
    client.#files.start();
    if (options.receive !== false) {
      if (options.ownCopies !== false) await client.#sync.start();
      client.#poller.start();
      client.#expiring.start();
    }
    return client;
  }

  get id(): AccountId {
    return this.#options.account.id;
  }

  get status(): ClientStatus {
    return this.#status;
  }

  /** Subscribes; the result ends the subscription. */
  on<Name extends keyof ClientEvents>(name: Name, listener: (value: ClientEvents[Name]) => void): Cancel {
    return this.#events.on(name, listener);
  }

  /** Waits for a path that passed its probe. @throws ClientError `no_path`, `no_nodes`, `unverified`, `no_network` */
  async ready(options: { signal?: AbortSignal } = {}): Promise<void> {
    this.#check();
    await this.#network.ready(options.signal);
  }

  /**
   * The account that a name stands for, as three nodes agree; an account id is returned as it is. Five minutes later the
   * nodes are asked again: a name may come to stand for another account.
   * @throws NameError; ClientError `no_path`, `no_nodes`, `no_network`
   */
  async resolve(nameOrId: string, options: { signal?: AbortSignal } = {}): Promise<AccountId> {
    this.#check();
    if (/^05[0-9a-f]{64}$/i.test(nameOrId)) return parseAccountId(nameOrId);
    const { signal } = this.#closing;
    const either = options.signal === undefined ? signal : AbortSignal.any([options.signal, signal]);
    return this.#network.names.resolve(nameOrId, either);
  }

  /** @throws ClientError `invalid_recipient` */
  conversation(id: string): Conversation {
    return new Conversation(accountIdOf(id), {
      own: this.id,
      outbox: this.#outbox,
      notices: this.#notices,
      contacts: this.#contacts,
      settings: this.#settings,
      profile: this.#profile,
      storage: this.#options.storage,
      now: () => this.#network.clock.unique(),
      time: () => this.#network.clock.now(),
      onMarked: (message, before) => this.#onMarked(message, before),
      onNotice: (message) => this.#onMessage(message),
      onRemoved: (message) => this.#onRemoved(message),
      states: this.#states,
      eraseMessages: (erased) => this.#eraseMessages(erased),
      reactionTimes: this.#reactionTimes,
      typedAt: this.#typedAt,
    });
  }

  /** The conversation with our own devices. */
  noteToSelf(): Conversation {
    return this.conversation(this.id);
  }

  /**
   * Conversations with ourselves and with people whom we accept, that are not hidden: pinned ones first, then by newest
   * message.
   */
  async conversations(): Promise<readonly ListedConversation[]> {
    return (await this.#options.storage.conversations())
      .filter(({ id }) => this.#contacts.get(id).approved && !this.#contacts.get(id).blocked)
      .map(({ id, last }) => ({ id, last, state: this.#states.get(id) }))
      .filter(({ state }) => state.hiddenAt === undefined)
      .sort((a, b) => (b.state.pin ?? 0) - (a.state.pin ?? 0));
  }

  /** Conversations with people whom we have neither accepted nor blocked (spec/client §6.2). */
  async requests(): Promise<readonly ConversationSummary[]> {
    const all = await this.#options.storage.conversations();
    return all.filter(({ id }) => !this.#contacts.get(id).approved && !this.#contacts.get(id).blocked);
  }

  /** Everybody who has written, to whom we wrote, or who is blocked. */
  contacts(): readonly Contact[] {
    return this.#contacts.all();
  }

  /**
   * Messages on this device that say something, newest first, in pages.
   * @throws ClientError `bad_search`
   */
  search(query: SearchQuery): Promise<SearchPage> {
    return search(this.#options.storage, query, this.#network.clock.now());
  }

  /** How we call ourselves; empty when that was never said. */
  get profile(): Profile {
    return this.#profile.now;
  }

  /** Others learn it with our next message to them. @throws ClientError `too_long` */
  async setProfile(profile: Profile): Promise<void> {
    this.#check();
    await this.#profile.set(profile, this.#network.clock.now());
  }

  /**
   * Our picture, JPEG, PNG, WebP or GIF, at most 1 MB (600 pixels are enough); undefined takes it away. Others get it with our next
   * message to them.
   * @throws ClientError `bad_attachment`, `no_path`, `no_nodes`, `no_network`; FileTransferError `empty`, `too_large`, `no_server`,
   * `servers_down`; nothing has changed then
   */
  async setPicture(picture: Uint8Array | undefined, options: TransferOptions = {}): Promise<void> {
    this.#check();
    await this.#files.pictures.set(picture, options);
  }

  /**
   * The picture of a contact, or ours, fetched unless it is here; undefined when there is none.
   * @throws ClientError `invalid_recipient`, `no_path`, `no_nodes`, `no_network`; FileTransferError `bad_pointer`, `gone`,
   * `corrupt`, `server_down`; StorageError
   */
  async picture(id: string = this.id, options: TransferOptions = {}): Promise<OpenFile | undefined> {
    this.#check();
    const whose = accountIdOf(id);
    const { pictures } = this.#files;
    return whose === this.id ? pictures.own(options) : pictures.of(this.#contacts.get(whose), options);
  }

  /** What we tell others. */
  get settings(): MessagingSettings {
    return this.#settings.now;
  }

  async changeSettings(change: Partial<MessagingSettings>): Promise<void> {
    this.#check();
    await this.#settings.change(change);
    this.#files.limitCache(this.#settings.now.fileCacheBytes);
  }

  /**
   * Sends, and waits until a device of the recipient is known to have the message: the recipient's client says so when
   * it runs, and only if the recipient has accepted us. True then, or, for a note to self, when the swarm keeps it.
   * False: not known within the time; the message goes on being tried, and delivery may follow (event `delivered`,
   * `isDelivered`).
   * @throws ClientError: `empty`, `too_long`, `invalid_recipient`; `aborted`: by `signal`; `closed`
   */
  async sendWithConfirmation(
    contact: string,
    text: string,
    options: ConfirmationOptions = {},
  ): Promise<boolean> {
    this.#check();
    const { env, storage, receive, pollEveryMs, network } = this.#options;
    return sendConfirmed(this.conversation(contact), text, options, {
      own: this.id,
      storage,
      env,
      closing: this.#closing.signal,
      onDelivered: (listener) => this.on('delivered', listener),
      ...(receive === false && {
        poll: (signal) => this.#poller.poll(signal),
        pollEveryMs: pollEveryMs ?? network.preset.pollEveryMs,
      }),
    });
  }

  /** Whether a device of the recipient is known to have the message that we sent at this time. */
  isDelivered(timestamp: number): Promise<boolean> {
    return isDelivered(this.#options.storage, this.id, timestamp);
  }

  /**
   * Messages as they come, beginning after those that an earlier loop had: the storage remembers it, also over a
   * restart. A message counts as had when the loop asks for the next one or ends; a program that is killed while it
   * works on one gets it again. Ends when the client is closed. One loop at a time.
   */
  async *messages(
    options: { own?: boolean; signal?: AbortSignal } = {},
  ): AsyncGenerator<StoredMessage, void, void> {
    const { own = false, signal } = options;
    for await (const message of this.#arrivals.handOut(signal)) {
      if (own || message.sender !== this.id) yield message;
    }
  }

  /** Asks for new messages now, without waiting for the next poll. @throws ClientError */
  async poll(options: { signal?: AbortSignal } = {}): Promise<void> {
    this.#check();
    await this.#poller.poll(options.signal);
  }

  /** There is a way out again, as far as the program can tell: asks and sends now what waits for its next turn. */
  wake(): void {
    this.#poller.again();
    this.#outbox.wake();
  }

  /**
   * Removes everything that our own swarm keeps for us, messages and configs; what other devices have stays there. How many
   * members proved that they did it.
   * @throws ClientError
   */
  async eraseSwarm(options: { signal?: AbortSignal } = {}): Promise<{ confirmed: number; of: number }> {
    this.#check();
    const { account } = this.#options;
    const deps = { network: this.#network, ownRoute: () => this.#poller.ownRoute() };
    const signal = options.signal ?? this.#closing.signal;
    const { of, signers } = await eraseSwarm(account, deps, signal);
    return { confirmed: signers.length, of };
  }

  /** Waits until copies for our other devices, reactions and deletions are stored, or have failed once. */
  async flush(): Promise<void> {
    await Promise.all([this.#outbox.flush(), this.#notices.flush()]);
  }

  /** The hops, guard first, of a usable path; undefined while there is none. */
  path(): readonly PoolNode[] | undefined {
    return this.#network.paths().find((path) => path.state === 'usable')?.hops;
  }

  paths(): readonly Path[] {
    return this.#network.paths();
  }

  health(): Health {
    const { lastAt, error } = this.#poller.state;
    return {
      status: this.#status,
      nodes: this.#network.pool.size,
      paths: this.paths(),
      ownSwarm: this.#network.swarmMembers(this.id).size,
      clockOffsetMs: this.#network.clock.offset,
      lastPollAt: lastAt,
      lastError: error,
      unreadableMessages: this.#inbox.unreadable,
      gaps: this.#poller.gaps,
      expiring: this.#expiring.count,
      trust: this.#network.trust,
    };
  }

  /** Ends everything and closes the storage; waits until nothing runs. Harmless when called twice. */
  close(): Promise<void> {
    this.#closed ??= (async () => {
      this.#closing.abort(new ClientError('closed', 'the client was closed'));
      // Nothing that is under way can end well then: nobody waits for seeds that do not answer.
      if (this.path() === undefined) await this.#network.stop();
      await this.#poller.stop();
      await this.#sync.stop();
      await this.#outbox.stop();
      await this.#notices.stop();
      await this.#expiry.stop();
      await this.#expiring.stop();
      await this.#network.stop();
      await this.#files.stop();
      await this.#options.storage.close();
      this.#typing.stop();
      this.#events.clear();
      this.#options.onClose?.();
    })();
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** How what all devices of the account share stands. */
  syncStatus(): SyncStatus {
    return this.#sync.status();
  }

  /** Waits until all that was changed here is in our swarm. @throws ClientError `aborted`: by `signal`; `closed` */
  async synced(options: { signal?: AbortSignal } = {}): Promise<void> {
    this.#check();
    const { signal = this.#closing.signal } = options;
    const end = AbortSignal.any([signal, this.#closing.signal]);
    try {
      await this.#sync.settled(end);
    } catch (error) {
      this.#check();
      throw new ClientError('aborted', 'waiting was aborted', { cause: error });
    }
  }

  /**
   * Brings an account back on a device that knows nothing of it: asks every member of its swarm for what its devices
   * share, then for the messages of the last 14 days. An account that is open gets all that by and by too; this is
   * sooner, and tells how far it is and what is missing. Harmless at any time.
   * @throws ClientError `no_path`, `no_nodes`, `no_network`, `no_swarm`; `aborted`: by `signal`; `closed`
   */
  async restore(
    options: {
      readonly onProgress?: (progress: RestoreProgress) => void;
      readonly signal?: AbortSignal;
    } = {},
  ): Promise<Restored> {
    this.#check();
    const { storage, env } = this.#options;
    const { signal = this.#closing.signal, onProgress = () => undefined } = options;
    const { config: groups } = this.#synced.configs.groups;
    try {
      return await restore(
        {
          id: this.id,
          network: this.#network,
          poller: this.#poller,
          storage,
          env,
          counts: () => ({
            contacts: this.contacts().length,
            messages: this.#arrivals.count,
            unreadable: this.#inbox.unreadable,
          }),
          groups: () => [...groups.groups()].length + [...groups.communities()].length,
          status: () => this.#sync.status(),
        },
        AbortSignal.any([signal, this.#closing.signal]),
        onProgress,
      );
    } catch (error) {
      if (this.#closing.signal.aborted)
        throw new ClientError('closed', 'the client was closed', { cause: error });
      if (signal.aborted) throw new ClientError('aborted', 'restoring was aborted', { cause: error });
      throw error;
    }
  }

  /** Closed groups of this account, from the list that its devices share; ids only until groups are there. */
  groups(): readonly ListedGroup[] {
    return listedGroups(this.#synced.configs.groups.config);
  }

  /** The same of communities. */
  communities(): readonly ListedCommunity[] {
    return listedCommunities(this.#synced.configs.groups.config);
  }

  #onSynced(changes: SyncedChanges): void {
    this.#resumeErasing();
    for (const id of changes.conversations) {
      const { readTo } = this.#states.get(id);
      if (readTo === undefined) continue;
      this.conversation(id)
        .readElsewhere(readTo)
        .catch((error: unknown) =>
          this.#options.env.log.debug({ error: String(error) }, 'timers not started'),
        );
    }
    if (Object.values(changes).some((change) => change === true || (change !== false && change.length > 0))) {
      this.#events.emit('synced', changes);
    }
  }

  #resumeErasing(): void {
    for (const id of this.#synced.erasures.pending()) {
      this.#eraseMessages(id).catch((error: unknown) =>
        this.#options.env.log.debug({ error: String(error) }, 'not everything was erased yet'),
      );
    }
  }

  #eraseMessages(id: AccountId): Promise<void> {
    const { storage } = this.#options;
    return this.#synced.erasures.finish(
      id,
      storage,
      (hashes) => this.#notices.deletion(hashes),
      (message) => this.files.forget(message),
    );
  }

  #onMessage(message: StoredMessage): void {
    if (message.timer !== undefined) this.#expiry.look();
    if (message.notice !== undefined) {
      this.#events.emit('notice', message);
      return;
    }
    this.#files.consider(message);
    this.#arrivals.notify();
    this.#typing.told(message.sender, false);
    this.#events.emit(message.sender === this.id ? 'own_message' : 'message', message);
  }

  #onRemoved(message: StoredMessage): void {
    this.#files.forget(message);
    this.#events.emit('removed', message);
  }

  #onMarked(message: StoredMessage, before: Marks | undefined): void {
    const { deliveredAt, readAt, expiresAt, deletedAt } = message.marks ?? {};
    if (deletedAt !== undefined && before?.deletedAt === undefined) {
      this.#files.forget(message);
    }
    if (expiresAt !== undefined) this.#expiry.look();
    if (deliveredAt !== undefined && before?.deliveredAt === undefined && message.sender === this.id) {
      this.#events.emit('delivered', message);
    }
    if (readAt !== undefined && before?.readAt === undefined && message.sender === this.id) {
      this.#events.emit('read', message);
    }
    this.#events.emit('changed', message);
  }

  #onRound(error: ClientError | undefined): void {
    if (error === undefined) {
      if (this.path() !== undefined) this.#becomes('online');
      this.#outbox.retryCopies();
      this.#sync
        .onRound()
        .catch((failure: unknown) =>
          this.#options.env.log.debug({ error: String(failure) }, 'the first sync was not noted'),
        );
    } else if (this.path() === undefined || NO_WAY_OUT.has(error.code)) this.#becomes('offline');
  }

  #onPathChange(): void {
    this.#events.emit('path', this.paths());
    this.#becomes(this.path() === undefined ? 'connecting' : 'online');
  }

  #becomes(status: ClientStatus): void {
    if (this.#status === status || this.#closing.signal.aborted) return;
    if (status === 'online') this.#outbox.wake();
    this.#status = status;
    this.#events.emit('status', status);
  }

  #check(): void {
    this.#closing.signal.throwIfAborted();
  }
}

function accountIdOf(id: string): AccountId {
  try {
    return parseAccountId(id);
  } catch (cause) {
    throw new ClientError('invalid_recipient', 'an account id is 66 hex digits that begin with 05', {
      cause,
    });
  }
}
