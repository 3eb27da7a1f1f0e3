// SPDX-License-Identifier: MIT
// Storage that forgets with the process: tests, and programs that want no trace.
import type { AccountId } from '@allium/protocol/account-id';
import { marked } from './marks.ts';
import {
  comesBefore,
  type FoundMessages,
  formatCursor,
  matches,
  readQuery,
  type SearchQuery,
} from './search.ts';
import {
  type Changes,
  type ConversationSummary,
  checkUnchanged,
  compareMessages,
  type HistoryQuery,
  type LastHash,
  type PlacedMessage,
  type PoolNode,
  placedAt,
  placeTime,
  type Storage,
  StorageError,
  type StoredMessage,
  type StoredRecord,
  type StoredSwarm,
  taken,
} from './storage.ts';

const messageKey = (sender: string, timestamp: number) => `${sender}:${timestamp}`;
const recordKey = (kind: string, key: string) => `${kind}:${key}`;
const lastHashKey = (node: string, account: string, namespace: number) => `${node}:${account}:${namespace}`;

export class MemoryStorage implements Storage {
  #closed = false;
  /** In the order of first writing, which a replacement keeps. */
  readonly #messages = new Map<string, StoredMessage>();
  readonly #places = new Map<string, number>();
  #lastPlace = 0;
  readonly #unhandled = new Map<string, StoredMessage>();
  readonly #seen = new Map<string, number>();
  readonly #lastHashes = new Map<string, LastHash>();
  readonly #swarms = new Map<string, StoredSwarm>();
  readonly #records = new Map<string, StoredRecord>();
  readonly #settings = new Map<string, string>();
  #nodes: readonly PoolNode[] = [];
  #guards: readonly string[] = [];

  async write(given: Changes): Promise<void> {
    this.#check();
    // A copy of the whole first: from here on nothing can fail half way.
    const changes = structuredClone(given);
    for (const { sender, timestamp } of changes.fresh ?? []) {
      if (this.#messages.has(messageKey(sender, timestamp))) throw taken();
    }
    for (const record of changes.unchanged ?? []) {
      checkUnchanged(record, this.#records.get(recordKey(record.kind, record.key))?.value);
    }
    for (const { sender, timestamp } of changes.removed ?? []) {
      this.#messages.delete(messageKey(sender, timestamp));
      this.#places.delete(messageKey(sender, timestamp));
      this.#unhandled.delete(messageKey(sender, timestamp));
    }
    for (const given of changes.messages ?? []) {
      const key = messageKey(given.sender, given.timestamp);
      const message = marked(given, this.#messages.get(key)?.marks);
      this.#messages.set(key, message);
      if (!this.#places.has(key)) this.#places.set(key, ++this.#lastPlace);
      if (message.handled) this.#unhandled.delete(key);
      else this.#unhandled.set(key, message);
    }
    for (const { sender, timestamp } of changes.handled ?? []) {
      this.#change(sender, timestamp, (message) => ({ ...message, handled: true }));
    }
    for (const place of changes.placed ?? []) {
      this.#change(place.sender, place.timestamp, (message) => placedAt(message, place));
    }
    for (const { sender, timestamp, marks } of changes.marked ?? []) {
      this.#change(sender, timestamp, (message) => marked(message, marks));
    }
    for (const record of changes.records ?? []) {
      const key = recordKey(record.kind, record.key);
      if (record.value === undefined) this.#records.delete(key);
      else this.#records.set(key, record);
    }
    for (const { hash, expiry } of changes.seen ?? []) this.#seen.set(hash, expiry);
    for (const last of changes.lastHashes ?? []) {
      this.#lastHashes.set(lastHashKey(last.node, last.account, last.namespace), last);
    }
    for (const swarm of changes.swarms ?? []) {
      this.#swarms.set(swarm.account, swarm);
    }
    if (changes.nodes !== undefined) this.#nodes = changes.nodes;
    if (changes.guards !== undefined) this.#guards = changes.guards;
    for (const [name, value] of Object.entries(changes.settings ?? {})) {
      if (value === undefined) this.#settings.delete(name);
      else this.#settings.set(name, value);
    }
  }

  async message(sender: AccountId, timestamp: number): Promise<StoredMessage | undefined> {
    this.#check();
    return this.#messages.get(messageKey(sender, timestamp));
  }

  async history(conversation: AccountId, { limit, before }: HistoryQuery): Promise<readonly StoredMessage[]> {
    this.#check();
    const all = [...this.#messages.values()]
      .filter((message) => message.conversation === conversation)
      .filter((message) => before === undefined || compareMessages(message, before) < 0)
      .sort(compareMessages);
    return all.slice(Math.max(0, all.length - limit));
  }

  async conversations(): Promise<readonly ConversationSummary[]> {
    this.#check();
    const newest = new Map<AccountId, StoredMessage>();
    for (const message of this.#messages.values()) {
      const last = newest.get(message.conversation);
      if (last === undefined || compareMessages(message, last) > 0) newest.set(message.conversation, message);
    }
    return [...newest].map(([id, last]) => ({ id, last })).sort((a, b) => compareMessages(b.last, a.last));
  }

  async unhandled(limit: number): Promise<readonly StoredMessage[]> {
    this.#check();
    return [...this.#unhandled.values()].slice(0, limit);
  }

  async moved(hashes: readonly string[]): Promise<readonly StoredMessage[]> {
    this.#check();
    const wanted = new Set(hashes);
    return [...this.#messages.values()].filter(
      ({ hash, sortTimestamp }) => sortTimestamp !== undefined && hash !== undefined && wanted.has(hash),
    );
  }

  async unsent(): Promise<readonly StoredMessage[]> {
    this.#check();
    return [...this.#messages.values()]
      .filter((message) => message.state === 'sending' || message.copyPending === true)
      .sort((a, b) => a.timestamp - b.timestamp || (a.sender < b.sender ? -1 : 1));
  }

  async expiring(limit: number): Promise<readonly StoredMessage[]> {
    this.#check();
    return [...this.#messages.values()]
      .filter(({ marks }) => marks?.expiresAt !== undefined)
      .sort((a, b) => a.marks!.expiresAt! - b.marks!.expiresAt!)
      .slice(0, limit);
  }

  async sentBy(sender: AccountId, from: number, to: number): Promise<readonly StoredMessage[]> {
    this.#check();
    return [...this.#messages.values()]
      .filter((message) => message.sender === sender && message.timestamp >= from && message.timestamp < to)
      .sort((a, b) => a.timestamp - b.timestamp);
  }

  async scan(after: number, limit: number): Promise<readonly PlacedMessage[]> {
    this.#check();
    const page: PlacedMessage[] = [];
    for (const [key, message] of this.#messages) {
      if (page.length >= limit) break;
      const place = this.#places.get(key)!;
      if (place > after) page.push({ place, message });
    }
    return page;
  }

  async lastPlace(): Promise<number> {
    this.#check();
    return [...this.#places.values()].at(-1) ?? 0;
  }

  async search(query: SearchQuery): Promise<FoundMessages> {
    const wanted = readQuery(query);
    this.#check();
    const end = wanted.before ?? { time: Number.MAX_SAFE_INTEGER, id: Number.MAX_SAFE_INTEGER };
    const found = [...this.#messages.values()]
      .map((message, id) => ({ message, id, time: placeTime(message) }))
      .filter(({ time }) => time >= wanted.from && time < wanted.to)
      .filter((place) => comesBefore(place, end) && matches(place.message, wanted))
      .sort((a, b) => (comesBefore(a, b) ? 1 : -1))
      .slice(0, wanted.limit);
    const messages = found.map(({ message }) => message);
    if (found.length < wanted.limit) return { messages };
    return { messages, next: formatCursor(found.at(-1)!) };
  }

  async seen(hashes: readonly string[]): Promise<ReadonlySet<string>> {
    this.#check();
    return new Set(hashes.filter((hash) => this.#seen.has(hash)));
  }

  async lastHash(node: string, account: AccountId, namespace: number): Promise<LastHash | undefined> {
    this.#check();
    return this.#lastHashes.get(lastHashKey(node, account, namespace));
  }

  async swarm(account: AccountId): Promise<StoredSwarm | undefined> {
    this.#check();
    return this.#swarms.get(account);
  }

  async nodes(): Promise<readonly PoolNode[]> {
    this.#check();
    return this.#nodes;
  }

  async guards(): Promise<readonly string[]> {
    this.#check();
    return this.#guards;
  }

  async setting(name: string): Promise<string | undefined> {
    this.#check();
    return this.#settings.get(name);
  }

  async record(kind: string, key: string): Promise<StoredRecord | undefined> {
    this.#check();
    return structuredClone(this.#records.get(recordKey(kind, key)));
  }

  async records(kind: string): Promise<readonly StoredRecord[]> {
    this.#check();
    return [...this.#records.values()]
      .filter((record) => record.kind === kind)
      .sort((a, b) => (a.key < b.key ? -1 : 1))
      .map((record) => structuredClone(record));
  }

  async prune(now: number): Promise<void> {
    this.#check();
    for (const [hash, expiry] of this.#seen) if (expiry < now) this.#seen.delete(hash);
    for (const [key, { expiry }] of this.#records) {
      if (expiry !== undefined && expiry < now) this.#records.delete(key);
    }
    for (const [key, { expiry }] of this.#lastHashes) if (expiry < now) this.#lastHashes.delete(key);
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  /** The same data again, as after a restart of the program. */
  reopen(): this {
    this.#closed = false;
    return this;
  }

  #change(sender: AccountId, timestamp: number, change: (message: StoredMessage) => StoredMessage): void {
    const key = messageKey(sender, timestamp);
    const old = this.#messages.get(key);
    if (old === undefined) return;
    const message = change(old);
    this.#messages.set(key, message);
    if (message.handled) this.#unhandled.delete(key);
    else this.#unhandled.set(key, message);
  }

  #check(): void {
    if (this.#closed) throw new StorageError('closed', 'this storage is closed');
  }
}
