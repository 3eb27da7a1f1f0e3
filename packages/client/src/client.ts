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
import { ClientError } from './errors.ts';
import { Events, Signal } from './events.ts';
import { Files } from './files/files.ts';
import { Inbox } from './messaging/inbox.ts';
import { Outbox, type Sent } from './messaging/outbox.ts';
import { Poller } from './messaging/poller.ts';
import { Network, type NetworkOptions } from './network/network.ts';
import type { Path } from './network/paths.ts';
import type { TrustState } from './network/trust.ts';
import type {
  ConversationSummary,
  HistoryQuery,
  PoolNode,
  Storage,
  StoredMessage,
} from './storage/storage.ts';

// Ours.
/** Messages fetched from the storage at once by `messages()`. */
const MESSAGES_AT_ONCE = 100;

export interface ClientOptions {
  readonly account: Account;
  readonly network: NetworkOptions;
  /** False: only send. Default true. */
  readonly receive?: boolean;
  /** Pause between two polls, where nodes do not hold their answers; default as the network's preset says. */
  readonly pollEveryMs?: number;
  /** How long a node may hold its answer until a message comes, at most 25 000; 0: poll. Default as the preset says. */
  readonly waitMs?: number;
  /** Belongs to the client from now on, and to this account for ever. */
  readonly storage: Storage;
  readonly transport: Transport;
  readonly env: Env;
  /** Called once everything has ended: for whoever made the transport. */
  readonly onClose?: () => void;
}

/** `connecting`: no usable path yet or at the moment. `offline`: trying failed; it goes on. */
export type ClientStatus = 'connecting' | 'online' | 'offline';

export interface ClientEvents {
  /** A new message from somebody else. */
  message: StoredMessage;
  /** A message of ours that another of our devices sent. */
  own_message: StoredMessage;
  /** A message that this device sends changed its state. */
  outgoing: StoredMessage;
  /** A path became usable, suspect, or is gone. */
  path: readonly Path[];
  status: ClientStatus;
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
  /** Whether the node list could be checked, and what vouches for it. */
  readonly trust: TrustState;
}

export class Client {
  /** Attachments: upload and download. */
  readonly files: Files;
  readonly #options: ClientOptions;
  readonly #events: Events<ClientEvents>;
  readonly #network: Network;
  readonly #outbox: Outbox;
  readonly #inbox: Inbox;
  readonly #poller: Poller;
  readonly #arrival = new Signal();
  #arrivals = 0;
  #status: ClientStatus = 'connecting';
  readonly #closing = new AbortController();
  #closed: Promise<void> | undefined;

  private constructor(options: ClientOptions) {
    const { account, network, storage, transport, env } = options;
    this.#options = options;
    this.#events = new Events(env.log);
    this.#network = new Network(network, {
      storage,
      transport,
      env,
      onPathChange: () => this.#onPathChange(),
    });
    this.#outbox = new Outbox(account, {
      network: this.#network,
      storage,
      env,
      onChange: (message) => this.#events.emit('outgoing', message),
      ownRoute: () => this.#poller.ownRoute(),
    });
    this.#inbox = new Inbox({ account, storage, env, onMessage: (message) => this.#onMessage(message) });
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
      },
    );
    this.#poller.follow(this.#inbox);
    this.files = new Files(network.preset.fileServers, { account, network: this.#network, env });
  }

  /**
   * Reads the storage and begins to work; it does not wait for the network (see `ready`).
   * @throws ClientError `wrong_account`; StorageError
   */
  static async open(options: ClientOptions): Promise<Client> {
    const { account, storage } = options;
    const owner = await storage.setting('account');
    if (owner !== undefined && owner !== account.id) {
      throw new ClientError('wrong_account', 'this storage belongs to another account');
    }
    if (owner === undefined) await storage.write({ settings: { account: account.id } });
    const client = new Client(options);
    await client.#network.start();
    client.#outbox.resume();
    if (options.receive !== false) client.#poller.start();
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

  /** @throws ClientError `invalid_recipient` */
  conversation(id: string): Conversation {
    let account: AccountId;
    try {
      account = parseAccountId(id);
    } catch (cause) {
      throw new ClientError('invalid_recipient', 'an account id is 66 hex digits that begin with 05', {
        cause,
      });
    }
    return new Conversation(account, { outbox: this.#outbox, storage: this.#options.storage });
  }

  /** The conversation with our own devices. */
  noteToSelf(): Conversation {
    return this.conversation(this.id);
  }

  /** All conversations with their newest message, newest first. */
  conversations(): Promise<readonly ConversationSummary[]> {
    return this.#options.storage.conversations();
  }

  /**
   * Messages as they come, beginning after those that an earlier loop had: the storage remembers it, also over a
   * restart. A message counts as had when the loop asks for the next one or ends; a program that is killed while it
   * works on one gets it again. Ends when the client is closed. One loop at a time.
   */
  async *messages(
    options: { own?: boolean; signal?: AbortSignal } = {},
  ): AsyncGenerator<StoredMessage, void, void> {
    const { storage } = this.#options;
    const end =
      options.signal === undefined
        ? this.#closing.signal
        : AbortSignal.any([options.signal, this.#closing.signal]);
    while (!end.aborted) {
      const arrivals = this.#arrivals;
      const batch = await storage.unhandled(MESSAGES_AT_ONCE);
      for (const message of batch) {
        if (end.aborted) return;
        try {
          if (options.own === true || message.sender !== this.id) yield message;
        } finally {
          // Closed meanwhile: the message comes again at the next start.
          if (!this.#closing.signal.aborted) await storage.write({ handled: [message] });
        }
      }
      if (batch.length === 0 && arrivals === this.#arrivals) {
        await this.#arrival.wait(end).catch(() => undefined);
      }
    }
  }

  /** Asks for new messages now, without waiting for the next poll. @throws ClientError */
  async poll(options: { signal?: AbortSignal } = {}): Promise<void> {
    this.#check();
    await this.#poller.poll(options.signal);
  }

  /** Waits until copies for our other devices are stored or have failed. */
  async flush(): Promise<void> {
    await this.#outbox.flush();
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
      trust: this.#network.trust,
    };
  }

  /** Ends everything and closes the storage; waits until nothing runs. Harmless when called twice. */
  close(): Promise<void> {
    this.#closed ??= (async () => {
      this.#closing.abort(new ClientError('closed', 'the client was closed'));
      await this.#poller.stop();
      await this.#outbox.stop();
      await this.#network.stop();
      await this.#options.storage.close();
      this.#events.clear();
      this.#options.onClose?.();
    })();
    return this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #onMessage(message: StoredMessage): void {
    this.#arrivals++;
    this.#arrival.notify();
    this.#events.emit(message.sender === this.id ? 'own_message' : 'message', message);
  }

  #onRound(error: ClientError | undefined): void {
    if (error === undefined) this.#outbox.retryCopies();
    else if (this.path() === undefined) this.#becomes('offline');
  }

  #onPathChange(): void {
    this.#events.emit('path', this.paths());
    this.#becomes(this.path() === undefined ? 'connecting' : 'online');
  }

  #becomes(status: ClientStatus): void {
    if (this.#status === status || this.#closing.signal.aborted) return;
    this.#status = status;
    this.#events.emit('status', status);
  }

  #check(): void {
    this.#closing.signal.throwIfAborted();
  }
}

/** One other account, and what was said. */
export class Conversation {
  readonly id: AccountId;
  readonly #deps: { readonly outbox: Outbox; readonly storage: Storage };

  constructor(id: AccountId, deps: { outbox: Outbox; storage: Storage }) {
    this.id = id;
    this.#deps = deps;
  }

  /**
   * Resolves when members of the recipient's swarm have proven that they keep the message.
   * @throws ClientError: `empty`, `too_long`; `not_stored`, `no_path`, `no_nodes`, `no_network`, `clock`, `aborted`:
   * the message is in the history as failed; `closed`: it is sent at the next start
   */
  send(text: string, options: { signal?: AbortSignal } = {}): Promise<Sent> {
    return this.#deps.outbox.send(this.id, text, options.signal);
  }

  /** Sends a failed message once more. @throws as `send`; ClientError `not_failed` */
  resend(timestamp: number, options: { signal?: AbortSignal } = {}): Promise<Sent> {
    return this.#deps.outbox.resend(timestamp, options.signal);
  }

  /** Oldest first; the newest that fit. */
  history(query: Partial<HistoryQuery> = {}): Promise<readonly StoredMessage[]> {
    return this.#deps.storage.history(this.id, { limit: 50, ...query });
  }
}
