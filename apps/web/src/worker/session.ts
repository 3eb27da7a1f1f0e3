// SPDX-License-Identifier: AGPL-3.0-or-later
// The open account: its client, and what the page sees of it.
import type { Client } from '@allium/client';
import { exportArchive } from '@allium/client/archive/export';
import { importArchive } from '@allium/client/archive/import';
import { BrowserTransport, browserEnv, openBrowserClient } from '@allium/client/browser';
import type { Contact } from '@allium/client/contacts';
import type { StoredMessage } from '@allium/client/storage';
import { IndexedDbStorage } from '@allium/client/storage/indexeddb';
import { IndexedDbBlobs } from '@allium/client/storage/indexeddb-blobs';
import type { Account } from '@allium/protocol/account';
import { type AccountId, parseAccountId } from '@allium/protocol/account-id';
import type { Call } from '../api.ts';
import type {
  ConversationsView,
  ConversationView,
  MessageView,
  NetworkView,
  PersonView,
  RestoreProgress,
  SessionView,
  SyncView,
} from '../model.ts';
import { AppError } from '../rpc.ts';
import { filesOf } from './databases.ts';
import { find } from './find.ts';
import type { Served, Tell } from './host.ts';
import { safetyNumber } from './safety-number.ts';
import { watchSpace } from './space.ts';
import { messageKey, messageView, personView, previewOf } from './views.ts';

/** Changes within this time are told as one. */
const TELL_AFTER_MS = 80;
const MAX_PAGE = 500;
/** Setting in the storage: ids whose safety number was compared. */
const VERIFIED = 'web_verified';
const MAX_HITS = 100;
/** Network time is known to so much. */
const CLOCK_DOUBT_MS = 5_000;

export class Session {
  readonly api: Partial<Served>;
  readonly #account: Account;
  readonly #client: Client;
  readonly #storage: IndexedDbStorage;
  readonly #transport: BrowserTransport;
  readonly #tell: Tell;
  readonly #verified: Set<string>;
  /** Of each conversation; those that are missing are counted anew. */
  readonly #unread = new Map<string, number>();
  /** Bytes of files that are being sent. */
  readonly #progress = new Map<string, { done: number; total: number }>();
  readonly #timers = new Map<string, ReturnType<typeof setTimeout>>();
  #closed = false;

  private constructor(
    account: Account,
    parts: {
      client: Client;
      storage: IndexedDbStorage;
      transport: BrowserTransport;
      tell: Tell;
      verified: Set<string>;
    },
  ) {
    this.#account = account;
    this.#client = parts.client;
    this.#storage = parts.storage;
    this.#transport = parts.transport;
    // Nothing is told of an account that was closed meanwhile.
    this.#tell = (name, value) => {
      if (!this.#closed) parts.tell(name, value);
    };
    this.#verified = parts.verified;
    this.#listen();
    this.api = this.#methods();
  }

  /** @throws ClientError `no_network`: the first start needs the gateway; StorageError */
  static async open(
    account: Account,
    options: { database: string; databaseKey: Uint8Array; tell: Tell },
  ): Promise<Session> {
    const storage = await IndexedDbStorage.open(options.database, undefined, { key: options.databaseKey });
    try {
      const verified = new Set<string>(JSON.parse((await storage.setting(VERIFIED)) ?? '[]'));
      const transport = new BrowserTransport({ env: browserEnv() });
      const blobs = await IndexedDbBlobs.open(filesOf(options.database));
      watchSpace([storage, blobs], (full) => options.tell('full', full));
      const client = await openBrowserClient({ account, storage, blobs, transport });
      return new Session(account, { client, storage, transport, tell: options.tell, verified });
    } catch (error) {
      await storage.close();
      throw error;
    }
  }

  get profile(): SessionView['profile'] {
    const { name, picture } = this.#client.profile;
    return {
      ...(name !== undefined && { name }),
      ...(picture !== undefined && { pictureTag: picture.url }),
    };
  }

  async setName(name: string): Promise<void> {
    const { picture } = this.#client.profile;
    await this.#client.setProfile({ name, ...(picture !== undefined && { picture }) });
  }

  async setPicture(picture: Uint8Array | undefined, signal: AbortSignal): Promise<void> {
    await this.#client.setPicture(picture, { signal });
  }

  /** Waits until what our other devices share and the messages of the last weeks are back. */
  async restore(call: Call, name: string | undefined): Promise<void> {
    await this.#client.restore({
      signal: call.signal,
      onProgress: ({ stage, contacts, messages, asked, members }) =>
        call.progress({ step: stage, contacts, messages, asked, members } satisfies RestoreProgress),
    });
    if (name !== undefined && name !== '') await this.setName(name);
  }

  /** The client has to be opened anew then. */
  async importArchive(archive: Uint8Array, passphrase: string, call: Call): Promise<void> {
    let at = 0;
    await importArchive(this.#storage, {
      account: this.#account.id,
      passphrase,
      now: Date.now(),
      signal: call.signal,
      onProgress: ({ messages }) => call.progress(messages),
      source: {
        read: async (length) => {
          const from = at;
          at = Math.min(at + length, archive.length);
          return archive.subarray(from, at);
        },
      },
    });
  }

  /** What our swarm keeps of us. */
  async eraseSwarm(signal: AbortSignal): Promise<void> {
    await this.#client.eraseSwarm({ signal });
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    await this.#client.close();
  }

  #listen(): void {
    const client = this.#client;
    const shown = (isNew: boolean) => (message: StoredMessage) => {
      this.#unread.delete(message.conversation);
      void this.#tellMessage(message, isNew);
      this.#tellConversationsSoon();
    };
    client.on('message', shown(true));
    client.on('own_message', shown(true));
    client.on('outgoing', shown(false));
    client.on('changed', shown(false));
    client.on('notice', shown(true));
    client.on('removed', ({ conversation, sender, timestamp }) => {
      this.#unread.delete(conversation);
      this.#tell('removed', { conversation, key: messageKey(sender, timestamp) });
      this.#tellConversationsSoon();
    });
    client.on('upload', ({ sender, timestamp, doneBytes, totalBytes }) => {
      this.#progress.set(messageKey(sender, timestamp), { done: doneBytes, total: totalBytes });
      this.#soon(`upload ${timestamp}`, async () => {
        const message = await this.#storage.message(sender, timestamp);
        if (message !== undefined) await this.#tellMessage(message, false);
      });
    });
    client.on('synced', () => {
      this.#unread.clear();
      this.#tellConversationsSoon();
      this.#tell('restarted', {});
    });
    client.on('request', () => this.#tellConversationsSoon());
    client.on('accepted', () => this.#tellConversationsSoon());
    client.on('typing', ({ id, isTyping }) => this.#tell('typing', { id, isTyping }));
    this.#transport.events.on('state', () => this.#tellNetworkSoon());
    client.on('path', () => this.#tellNetworkSoon());
    client.on('status', () => this.#tellNetworkSoon());
  }

  async #tellMessage(message: StoredMessage, isNew: boolean): Promise<void> {
    const view = await this.#view(message);
    this.#tell('message', { view, isNew });
  }

  #tellConversationsSoon(): void {
    this.#soon('conversations', async () => this.#tell('conversations', await this.#conversations()));
  }

  #tellNetworkSoon(): void {
    this.#soon('network', async () => this.#tell('network', this.#network()));
  }

  #soon(name: string, run: () => Promise<void>): void {
    if (this.#closed || this.#timers.has(name)) return;
    this.#timers.set(
      name,
      setTimeout(() => {
        this.#timers.delete(name);
        run().catch((error: unknown) => {
          if (!this.#closed) console.error('the page was not told', error);
        });
      }, TELL_AFTER_MS),
    );
  }

  async #view(message: StoredMessage): Promise<MessageView> {
    const key = messageKey(message.sender, message.timestamp);
    if (message.state !== 'sending') this.#progress.delete(key);
    const progress = this.#progress.get(key);
    return messageView(message, {
      ...(progress && { progress }),
      own: this.#account.id,
      personOf: (id) => this.#person(parseAccountId(id)),
      findMessage: (sender, timestamp) => this.#storage.message(parseAccountId(sender), timestamp),
    });
  }

  #person(id: AccountId, contact: Contact = this.#client.conversation(id).contact): PersonView {
    const view = personView(contact, this.#account.id, this.#verified.has(id));
    if (id !== this.#account.id) return view;
    const { name, picture } = this.#client.profile;
    return { ...view, ...(name !== undefined && { name }), ...(picture && { pictureTag: picture.url }) };
  }

  async #conversations(): Promise<ConversationsView> {
    const list = await Promise.all(
      (await this.#client.conversations()).map(async ({ id, last, state }): Promise<ConversationView> => {
        const { timer } = this.#client.conversation(id);
        const unread = this.#unread.get(id) ?? (await this.#client.conversation(id).unread());
        this.#unread.set(id, unread);
        return {
          person: this.#person(id),
          preview: previewOf(last, this.#account.id),
          unread,
          ...(state.isMarkedUnread === true && { markedUnread: true }),
          pinned: state.pin !== undefined,
          ...(state.mutedUntil !== undefined && { mutedUntil: state.mutedUntil }),
          ...(state.draft !== undefined && { draft: state.draft }),
          ...(timer !== undefined && { timerSeconds: timer.seconds, timerMode: timer.mode }),
        };
      }),
    );
    const drafts = (await this.#client.drafts()).map(
      ({ id, state }): ConversationView => ({
        person: this.#person(id),
        unread: 0,
        pinned: state.pin !== undefined,
        ...(state.mutedUntil !== undefined && { mutedUntil: state.mutedUntil }),
        ...(state.draft !== undefined && { draft: state.draft }),
      }),
    );
    const requests = (await this.#client.requests()).map(
      ({ id, last }): ConversationView => ({
        person: this.#person(id),
        preview: previewOf(last, this.#account.id),
        unread: 1,
        pinned: false,
      }),
    );
    const isPinned = ({ pinned }: ConversationView) => pinned;
    const others = [...drafts, ...list.filter((one) => !isPinned(one))];
    return { list: [...list.filter(isPinned), ...others], requests };
  }

  #network(): NetworkView {
    const { status, nodes, paths, ownSwarm, clockOffsetMs, lastPollAt, lastError, trust, hasFileServer } =
      this.#client.health();
    return {
      status,
      nodes,
      paths: paths.map(({ state, probeMs, hops }) => ({
        state,
        ...(probeMs !== undefined && { probeMs }),
        hops: hops.map(({ ed25519Hex, host, httpsPort, operator }) => ({
          ed25519Hex,
          host,
          port: httpsPort,
          ...(operator !== undefined && { operator }),
        })),
      })),
      ownSwarm,
      clockOffsetMs,
      ...(lastPollAt !== undefined && { lastPollAt }),
      ...(lastError !== undefined && { lastError }),
      trust: {
        state: trust.state,
        ...(trust.reason !== undefined && { reason: trust.reason }),
        ...(trust.by !== undefined && { by: trust.by }),
      },
      entry: { url: this.#transport.gateway, state: this.#transport.state },
      hasFileServer,
    };
  }

  #sync(): SyncView {
    const { configs, syncedAt, error } = this.#client.syncStatus();
    return {
      parts: configs.map(({ name, state, seqno }) => ({ name, state, seqno })),
      ...(syncedAt !== undefined && { syncedAt }),
      failed: error !== undefined,
    };
  }

  #methods(): Partial<Served> {
    const client = this.#client;
    const at = (id: string) => client.conversation(id);
    const listed = () => this.#tellConversationsSoon();
    return {
      conversations: () => this.#conversations(),
      person: async (id) => this.#person(parseAccountId(id)),
      contacts: async () =>
        client
          .contacts()
          .filter(({ id }) => id !== this.#account.id)
          .map((contact) => this.#person(contact.id, contact)),
      history: async (id, { limit, before }) => {
        const place = before && {
          sender: parseAccountId(before.sender),
          timestamp: before.timestamp,
          sortTimestamp: before.place,
          ...(before.hash !== undefined && { hash: before.hash }),
        };
        const page = await at(id).history({
          limit: Math.min(limit, MAX_PAGE),
          ...(place && { before: place }),
        });
        return await Promise.all(page.map((message) => this.#view(message)));
      },
      send: async (id, text, { quote, files = [] }, call) => {
        if (call.againSince !== undefined && (await this.#wasSent(id, text, call.againSince))) return;
        await this.#underWay(id, () =>
          at(id).send(text, {
            keepTrying: true,
            ...(files.length > 0 && {
              attachments: files.map(({ bytes, name, ...file }) => ({
                data: bytes,
                ...(name !== '' && file.isVoice !== true && { fileName: name }),
                contentType: file.contentType,
                ...(file.width !== undefined && { width: file.width }),
                ...(file.height !== undefined && { height: file.height }),
                ...(file.isVoice === true && { isVoice: true }),
                ...(file.durationMs !== undefined && { durationMs: file.durationMs }),
              })),
            }),
            ...(quote && { quote: { author: quote.sender, timestamp: quote.timestamp } }),
          }),
        );
      },
      cancelSending: async (id, timestamp) => {
        at(id).cancel(timestamp);
      },
      resend: (id, timestamp) => this.#underWay(id, () => at(id).resend(timestamp)),
      react: (id, { sender, timestamp }, emoji, remove) =>
        at(id).react({ sender: parseAccountId(sender), timestamp }, emoji, { remove }),
      deleteForEveryone: (id, timestamp) => at(id).deleteForEveryone(timestamp),
      tellSaved: (id, { sender, timestamp }) =>
        at(id).tellSaved({ sender: parseAccountId(sender), timestamp }),
      deleteForMe: async (id, { sender, timestamp }) => {
        await at(id).deleteForMe([{ sender: parseAccountId(sender), timestamp }]);
        this.#unread.delete(id);
        this.#tell('removed', { conversation: id, key: messageKey(sender, timestamp) });
        listed();
      },
      setDraft: async (id, draft) => {
        await at(id).change({ draft: draft === '' ? undefined : draft });
        listed();
      },
      setPinned: async (id, pinned) => {
        await at(id).change({ pin: pinned ? Date.now() : undefined });
        listed();
      },
      setMuted: async (id, until) => {
        await at(id).change({ mutedUntil: until });
        listed();
      },
      setNickname: async (id, name) => {
        await at(id).setNickname(name.trim() === '' ? undefined : name.trim());
        listed();
      },
      setTimer: async (id, seconds, mode) => {
        await at(id).setTimer(seconds === 0 ? undefined : { mode, seconds });
        listed();
      },
      edit: (id, timestamp, text) => at(id).edit(timestamp, text),
      attachment: async ({ sender, timestamp }, index, call) => {
        const message = await this.#storage.message(parseAccountId(sender), timestamp);
        if (message === undefined) throw new AppError('message_unknown', 'there is no such message');
        const file = await client.files.open(message, index, {
          signal: call.signal,
          onProgress: ({ doneBytes }) => call.progress(doneBytes),
        });
        return await file.bytes();
      },
      picture: async (id, call) => await (await client.picture(id, { signal: call.signal }))?.bytes(),
      clearFiles: () => client.files.clearCache(),
      exportArchive: async (passphrase, call) => {
        const parts: Uint8Array<ArrayBuffer>[] = [];
        await exportArchive(this.#storage, {
          account: this.#account.id,
          passphrase,
          now: Date.now(),
          signal: call.signal,
          onProgress: ({ share }) => call.progress(share),
          write: async (bytes) => {
            parts.push(bytes.slice());
          },
        });
        return new Uint8Array(await new Blob(parts).arrayBuffer());
      },
      setVerified: async (id, verified) => {
        if (verified) this.#verified.add(id);
        else this.#verified.delete(id);
        await this.#storage.write({ settings: { [VERIFIED]: JSON.stringify([...this.#verified]) } });
        listed();
      },
      hide: async (id) => {
        await at(id).hide();
        listed();
      },
      approve: async (id) => {
        await at(id).approve();
        listed();
      },
      decline: async (id) => {
        await at(id).decline();
        listed();
      },
      setBlocked: async (id, blocked) => {
        await (blocked ? at(id).block() : at(id).unblock());
        listed();
      },
      markRead: async (id) => {
        await at(id).markRead();
        this.#unread.delete(id);
        listed();
      },
      markUnread: async (id) => {
        await at(id).markUnread();
        listed();
      },
      erase: async (id) => {
        await at(id).erase();
        this.#unread.delete(id);
        listed();
      },
      typing: async (id, isTyping) => at(id).typing(isTyping),
      safetyNumber: async (id) => safetyNumber(this.#account.id, id),
      search: (text) => this.#search(text),
      settings: async () => client.settings,
      changeSettings: async (change) => {
        await client.changeSettings(change);
        return client.settings;
      },
      network: async () => this.#network(),
      wake: async () => this.#transport.wake(),
      find: (text, call) => find(text, (name) => client.resolve(name, { signal: call.signal })),
      sync: async () => this.#sync(),
      syncNow: async (call) => {
        await this.restore(call, undefined);
        await client.synced({ signal: call.signal });
        return this.#sync();
      },
    };
  }

  /** Whether the tab that owned the account before had written it down: then it is sent without us. */
  async #wasSent(id: string, text: string, since: number): Promise<boolean> {
    const from = since - this.#client.health().clockOffsetMs - CLOCK_DOUBT_MS;
    const newest = await this.#client.conversation(id).history({ limit: 20 });
    return newest.some(
      (message) => message.sender === this.#account.id && message.text === text && message.timestamp >= from,
    );
  }

  /**
   * Starts to send and returns as soon as the message is in the history: what comes of it is told by events.
   * Rejects with what refused it before.
   */
  async #underWay(id: string, send: () => Promise<unknown>): Promise<void> {
    const began = Promise.withResolvers<void>();
    const cancel = this.#client.on('outgoing', ({ conversation }) => {
      if (conversation === id) began.resolve();
    });
    // A failure after the beginning is in the message's own state.
    send().then(() => began.resolve(), began.reject);
    try {
      await began.promise;
    } finally {
      cancel();
    }
  }

  /** Newest first. */
  async #search(text: string): Promise<readonly { message: MessageView; person: PersonView }[]> {
    const { hits } = await this.#client.search({ text, limit: MAX_HITS });
    return await Promise.all(
      hits.map(async ({ message }) => ({
        message: await this.#view(message),
        person: this.#person(message.conversation),
      })),
    );
  }
}
