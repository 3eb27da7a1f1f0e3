// SPDX-License-Identifier: MIT
// An account on the network: the face of this package. Keys are the account's, bytes go through the transport, what
// must last is in the storage, time and chance come from env. What works behind it: `running-account.ts`.
//
//   await using client = await Client.open({ account, network, storage, transport, env });
//   await client.conversation(id).send('hi');
//   for await (const message of client.messages()) …
import { type AccountId, parseAccountId } from '@allium/protocol/account-id';
import type { Cancel } from '@allium/protocol/env';
import type { ClientEvents, ClientStatus } from './client-events.ts';
import type { ClientOptions } from './client-options.ts';
import { ClientError } from './errors.ts';
import type { OpenFile } from './files/downloads.ts';
import type { Files } from './files/files.ts';
import type { TransferOptions } from './files/transfer.ts';
import { type ConfirmationOptions, isDelivered, sendConfirmed } from './messaging/confirmation.ts';
import type { Contact } from './messaging/contacts.ts';
import type { Conversation } from './messaging/conversation.ts';
import type { ConversationState } from './messaging/conversation-states.ts';
import { eraseSwarm } from './messaging/erase-swarm.ts';
import type { GapCounts } from './messaging/gaps.ts';
import type { Profile } from './messaging/profile.ts';
import { type SearchPage, search } from './messaging/search.ts';
import type { MessagingSettings } from './messaging/settings.ts';
import type { Path } from './network/paths.ts';
import type { TrustState } from './network/trust.ts';
import { RunningAccount } from './running-account.ts';
import type { SearchQuery } from './storage/search.ts';
import type { ConversationSummary, PoolNode, StoredMessage } from './storage/storage.ts';
import type { SyncStatus } from './sync/config-sync.ts';
import {
  type ListedCommunity,
  type ListedGroup,
  listedCommunities,
  listedGroups,
} from './sync/listed-groups.ts';
import { type Restored, type RestoreProgress, restore } from './sync/restore.ts';

export type { ClientOptions };

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
  /** Whether the network has one that is known: without it nothing but text can be sent. */
  readonly hasFileServer: boolean;
}

export class Client {
  /** Files of messages: opening, progress. */
  readonly files: Files;
  readonly #options: ClientOptions;
  readonly #running: RunningAccount;
  #closed: Promise<void> | undefined;

  private constructor(options: ClientOptions, running: RunningAccount) {
    this.#options = options;
    this.#running = running;
    this.files = running.files.files;
  }

  /**
   * Reads the storage and begins to work; it does not wait for the network (see `ready`).
   * @throws ClientError `wrong_account`; StorageError
   */
  static async open(options: ClientOptions): Promise<Client> {
    return new Client(options, await RunningAccount.open(options));
  }

  get id(): AccountId {
    return this.#options.account.id;
  }

  get status(): ClientStatus {
    return this.#running.status;
  }

  /** Subscribes; the result ends the subscription. */
  on<Name extends keyof ClientEvents>(name: Name, listener: (value: ClientEvents[Name]) => void): Cancel {
    return this.#running.events.on(name, listener);
  }

  /** Waits for a path that passed its probe. @throws ClientError `no_path`, `no_nodes`, `unverified`, `no_network` */
  async ready(options: { signal?: AbortSignal } = {}): Promise<void> {
    this.#check();
    await this.#running.network.ready(options.signal);
  }

  /**
   * The account that a name stands for, as three nodes agree; an account id is returned as it is. Five minutes later the
   * nodes are asked again: a name may come to stand for another account.
   * @throws NameError; ClientError `no_path`, `no_nodes`, `no_network`
   */
  async resolve(nameOrId: string, options: { signal?: AbortSignal } = {}): Promise<AccountId> {
    this.#check();
    if (/^05[0-9a-f]{64}$/i.test(nameOrId)) return parseAccountId(nameOrId);
    const signal = this.#running.closing;
    const either = options.signal === undefined ? signal : AbortSignal.any([options.signal, signal]);
    return this.#running.network.names.resolve(nameOrId, either);
  }

  /** @throws ClientError `invalid_recipient` */
  conversation(id: string): Conversation {
    return this.#running.conversation(accountIdOf(id));
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
    return (await this.#running.storage.conversations())
      .filter(({ id }) => this.#running.contacts.get(id).approved && !this.#running.contacts.get(id).blocked)
      .map(({ id, last }) => ({ id, last, state: this.#running.states.get(id) }))
      .filter(({ state }) => state.hiddenAt === undefined)
      .sort((a, b) => (b.state.pin ?? 0) - (a.state.pin ?? 0));
  }

  /** Those without any message, where one was begun: there is a `draft`. People whom we blocked are left out. */
  async drafts(): Promise<readonly Pick<ListedConversation, 'id' | 'state'>[]> {
    const { storage, contacts, states } = this.#running;
    const begun = new Set((await storage.conversations()).map(({ id }) => id));
    return states
      .ids()
      .map((id) => ({ id, state: states.get(id) }))
      .filter(({ id, state }) => state.draft !== undefined && !begun.has(id) && !contacts.get(id).blocked);
  }

  /** Conversations with people whom we have neither accepted nor blocked (spec/client §6.2). */
  async requests(): Promise<readonly ConversationSummary[]> {
    const all = await this.#running.storage.conversations();
    return all.filter(
      ({ id }) => !this.#running.contacts.get(id).approved && !this.#running.contacts.get(id).blocked,
    );
  }

  /** Everybody who has written, to whom we wrote, or who is blocked. */
  contacts(): readonly Contact[] {
    return this.#running.contacts.all();
  }

  /**
   * Messages on this device that say something, newest first, in pages.
   * @throws ClientError `bad_search`
   */
  search(query: SearchQuery): Promise<SearchPage> {
    return search(this.#running.storage, query, this.#running.network.clock.now());
  }

  /** How we call ourselves; empty when that was never said. */
  get profile(): Profile {
    return this.#running.profile.now;
  }

  /** Others learn it with our next message to them. @throws ClientError `too_long` */
  async setProfile(profile: Profile): Promise<void> {
    this.#check();
    await this.#running.profile.set(profile, this.#running.network.clock.now());
  }

  /**
   * Our picture, JPEG, PNG, WebP or GIF, at most 1 MB (600 pixels are enough); undefined takes it away. Others get it with our next
   * message to them.
   * @throws ClientError `bad_attachment`, `no_path`, `no_nodes`, `no_network`; FileTransferError `empty`, `too_large`, `no_server`,
   * `servers_down`; nothing has changed then
   */
  async setPicture(picture: Uint8Array | undefined, options: TransferOptions = {}): Promise<void> {
    this.#check();
    await this.#running.files.pictures.set(picture, options);
  }

  /**
   * The picture of a contact, or ours, fetched unless it is here; undefined when there is none.
   * @throws ClientError `invalid_recipient`, `no_path`, `no_nodes`, `no_network`; FileTransferError `bad_pointer`, `gone`,
   * `corrupt`, `server_down`; StorageError
   */
  async picture(id: string = this.id, options: TransferOptions = {}): Promise<OpenFile | undefined> {
    this.#check();
    const whose = accountIdOf(id);
    const { pictures } = this.#running.files;
    return whose === this.id
      ? pictures.own(options)
      : pictures.of(this.#running.contacts.get(whose), options);
  }

  /** What we tell others. */
  get settings(): MessagingSettings {
    return this.#running.settings.now;
  }

  async changeSettings(change: Partial<MessagingSettings>): Promise<void> {
    this.#check();
    await this.#running.settings.change(change);
    this.#running.files.limitCache(this.#running.settings.now.fileCacheBytes);
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
    const { env, receive, pollEveryMs, network } = this.#options;
    const { storage } = this.#running;
    return sendConfirmed(this.conversation(contact), text, options, {
      own: this.id,
      storage,
      env,
      closing: this.#running.closing,
      onDelivered: (listener) => this.on('delivered', listener),
      ...(receive === false && {
        poll: (signal) => this.#running.poller.poll(signal),
        pollEveryMs: pollEveryMs ?? network.preset.pollEveryMs,
      }),
    });
  }

  /** Whether a device of the recipient is known to have the message that we sent at this time. */
  isDelivered(timestamp: number): Promise<boolean> {
    return isDelivered(this.#running.storage, this.id, timestamp);
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
    for await (const message of this.#running.arrivals.handOut(signal)) {
      if (own || message.sender !== this.id) yield message;
    }
  }

  /** Asks for new messages now, without waiting for the next poll. @throws ClientError */
  async poll(options: { signal?: AbortSignal } = {}): Promise<void> {
    this.#check();
    await this.#running.poller.poll(options.signal);
  }

  /** There is a way out again, as far as the program can tell: asks and sends now what waits for its next turn. */
  wake(): void {
    this.#running.poller.again();
    this.#running.outbox.wake();
  }

  /**
   * Removes everything that our own swarm keeps for us, messages and configs; what other devices have stays there. How many
   * members proved that they did it.
   * @throws ClientError
   */
  async eraseSwarm(options: { signal?: AbortSignal } = {}): Promise<{ confirmed: number; of: number }> {
    this.#check();
    const { account } = this.#options;
    const deps = { network: this.#running.network, ownRoute: () => this.#running.poller.ownRoute() };
    const signal = options.signal ?? this.#running.closing;
    const { of, signers } = await eraseSwarm(account, deps, signal);
    return { confirmed: signers.length, of };
  }

  /** Waits until copies for our other devices, reactions and deletions are stored, or have failed once. */
  async flush(): Promise<void> {
    await Promise.all([this.#running.outbox.flush(), this.#running.notices.flush()]);
  }

  /** The hops, guard first, of a usable path; undefined while there is none. */
  path(): readonly PoolNode[] | undefined {
    return this.#running.path();
  }

  paths(): readonly Path[] {
    return this.#running.network.paths();
  }

  health(): Health {
    const { lastAt, error } = this.#running.poller.state;
    return {
      status: this.#running.status,
      nodes: this.#running.network.pool.size,
      paths: this.paths(),
      ownSwarm: this.#running.network.swarmMembers(this.id).size,
      clockOffsetMs: this.#running.network.clock.offset,
      lastPollAt: lastAt,
      lastError: error,
      unreadableMessages: this.#running.inbox.unreadable,
      gaps: this.#running.poller.gaps,
      expiring: this.#running.expiring.count,
      trust: this.#running.network.trust,
      hasFileServer: this.#options.network.preset.fileServers.length > 0,
    };
  }

  /** Ends everything and closes the storage; waits until nothing runs. Harmless when called twice. */
  close(): Promise<void> {
    this.#closed ??= this.#running.close();
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** How what all devices of the account share stands. */
  syncStatus(): SyncStatus {
    return this.#running.sync.status();
  }

  /** Waits until all that was changed here is in our swarm. @throws ClientError `aborted`: by `signal`; `closed` */
  async synced(options: { signal?: AbortSignal } = {}): Promise<void> {
    this.#check();
    const { signal = this.#running.closing } = options;
    const end = AbortSignal.any([signal, this.#running.closing]);
    try {
      await this.#running.sync.settled(end);
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
    const { env } = this.#options;
    const { storage } = this.#running;
    const { signal = this.#running.closing, onProgress = () => undefined } = options;
    const { config: groups } = this.#running.synced.configs.groups;
    try {
      return await restore(
        {
          id: this.id,
          network: this.#running.network,
          poller: this.#running.poller,
          storage,
          env,
          counts: () => ({
            contacts: this.contacts().length,
            messages: this.#running.arrivals.count,
            unreadable: this.#running.inbox.unreadable,
          }),
          groups: () => [...groups.groups()].length + [...groups.communities()].length,
          status: () => this.#running.sync.status(),
        },
        AbortSignal.any([signal, this.#running.closing]),
        onProgress,
      );
    } catch (error) {
      if (this.#running.closing.aborted)
        throw new ClientError('closed', 'the client was closed', { cause: error });
      if (signal.aborted) throw new ClientError('aborted', 'restoring was aborted', { cause: error });
      throw error;
    }
  }

  /** Closed groups of this account, from the list that its devices share; ids only until groups are there. */
  groups(): readonly ListedGroup[] {
    return listedGroups(this.#running.synced.configs.groups.config);
  }

  /** The same of communities. */
  communities(): readonly ListedCommunity[] {
    return listedCommunities(this.#running.synced.configs.groups.config);
  }

  #check(): void {
    this.#running.closing.throwIfAborted();
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
