// SPDX-License-Identifier: AGPL-3.0-or-later
// A device of the chaos scenario: a client that is closed and opened again from its storage, or dies and comes back, and
// what its user has seen of each message. Texts name messages: no two of a run are alike.
import type { Client } from '@allium/client';
import type { Conversation } from '@allium/client/conversation';
import { ClientError } from '@allium/client/errors';
import { NETWORKS } from '@allium/client/network/presets';
import { type Changes, type Storage, StorageError, type StoredMessage } from '@allium/client/storage';
import { MemoryStorage } from '@allium/client/storage/memory';
import type { Account } from '@allium/protocol/account';
import type { AccountId } from '@allium/protocol/account-id';
import type { Sim } from './sim.ts';
import type { Host } from './wire.ts';

/** What a device does wrong on purpose, so that the check can be seen to fail. */
export type DeviceSabotage = 'drop' | 'double' | 'flip';

export interface DeviceOptions {
  readonly account: Account;
  readonly pollEveryMs: number;
  /** How far its clock is wrong. */
  readonly skewMs: number;
  readonly sabotage?: DeviceSabotage | undefined;
  /** A message that this device sent is kept by its recipient's swarm; also one that was taken up after a restart. */
  readonly onStored: (text: string) => void;
}

/** What `send` says of a message that a swarm keeps. */
type Sent = Awaited<ReturnType<Conversation['send']>>;

const HISTORY = 1_000_000;
/** As often as people's clients ask a second member, not as often as those of tests. */
const CROSS_CHECKS = {
  crossCheckEveryMs: NETWORKS.main.crossCheckEveryMs,
  secondMemberMs: NETWORKS.main.secondMemberMs,
};
/** Of the messages that `drop` loses. */
const DROPPED = 5;

export class Device {
  readonly #net: Sim;
  readonly #options: DeviceOptions;
  readonly #storage = new MemoryStorage();
  #client: Client | undefined;
  #host: Host | undefined;
  /** Set when the process of now is gone: whatever of it still runs writes nothing. */
  #death = { isDead: false };
  /** What the user sees since the program was started. */
  #shown = new Set<string>();
  readonly #doubled: string[] = [];
  readonly #opened: (() => void)[] = [];

  constructor(net: Sim, options: DeviceOptions) {
    this.#net = net;
    this.#options = options;
  }

  get isOpen(): boolean {
    return this.#client !== undefined;
  }

  /** What was shown while it was on the screen already, each time. */
  get doubled(): readonly string[] {
    return this.#doubled;
  }

  shows(text: string): boolean {
    return this.#shown.has(text);
  }

  /** Starts the program on what its storage holds: the history is shown, then what comes. */
  async open(): Promise<void> {
    this.#shown = new Set();
    for (const { texts } of await this.conversations()) for (const text of texts) this.#show(text);
    const death = { isDead: false };
    const { account, pollEveryMs, skewMs, onStored } = this.#options;
    const host = this.#net.clientHost();
    const storage = this.#face(death);
    const preset = CROSS_CHECKS;
    const client = await this.#net.client({ account, pollEveryMs, skewMs, storage, host, preset });
    const onMessage = ({ text }: StoredMessage) => {
      if (!death.isDead) this.#show(text);
    };
    client.on('message', onMessage);
    client.on('own_message', onMessage);
    client.on('outgoing', ({ text, state }) => {
      if (death.isDead) return;
      this.#shown.add(text); // tells its state again and again
      if (state === 'sent') onStored(text);
    });
    this.#death = death;
    this.#host = host;
    this.#client = client;
    for (const resume of this.#opened.splice(0)) resume();
  }

  async ready(): Promise<void> {
    await this.#client?.ready();
  }

  /** Sends as soon as the program runs; the last word on what becomes of it is `onStored`. `unfinished`: ended before. */
  async send(to: AccountId, text: string): Promise<Sent | 'failed' | 'unfinished'> {
    while (this.#client === undefined) await new Promise<void>((resolve) => this.#opened.push(resolve));
    const death = this.#death;
    try {
      return await this.#client.conversation(to).send(text);
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      // Closed or dead: its next start takes it up.
      return death.isDead || error.code === 'closed' ? 'unfinished' : 'failed';
    }
  }

  /** Closes the program and opens it again after `downMs`. */
  async restart(downMs: number): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    await client?.close();
    this.#storage.reopen();
    await this.#net.pass(downMs);
    await this.open();
  }

  /** The program dies: from this moment nothing is written, sent or shown. It is opened again after `downMs`. */
  async crash(downMs: number): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    this.#death.isDead = true;
    if (this.#host !== undefined) {
      this.#host.reset();
      this.#host.isCut = true;
    }
    // Only frees what the simulation holds of it.
    client?.close().catch(() => undefined);
    await this.#net.pass(downMs);
    await this.open();
  }

  async flush(): Promise<void> {
    await this.#client?.flush();
  }

  async close(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    await client?.close();
  }

  /** The texts of each conversation in the order in which the user reads them. */
  async conversations(): Promise<readonly { readonly id: AccountId; readonly texts: readonly string[] }[]> {
    const storage = this.#face({ isDead: false });
    return Promise.all(
      (await storage.conversations()).map(async ({ id }) => ({
        id,
        texts: (await storage.history(id, { limit: HISTORY })).map(({ text }) => text),
      })),
    );
  }

  /** All that is kept under a text; more than one when it is doubled. */
  async find(text: string): Promise<readonly StoredMessage[]> {
    const conversations = await this.#storage.conversations();
    const all = await Promise.all(
      conversations.map(({ id }) => this.#storage.history(id, { limit: HISTORY })),
    );
    return all.flat().filter((message) => message.text === text);
  }

  #show(text: string): void {
    if (this.#shown.has(text)) this.#doubled.push(text);
    this.#shown.add(text);
  }

  /** The storage as one process sees it, with what sabotage makes of it. */
  #face(death: { readonly isDead: boolean }): Storage {
    const changed = sabotaged(this.#storage, this.#options.sabotage);
    return new Proxy(this.#storage as Storage, {
      get: (storage, name) => {
        const value: unknown = Reflect.get(changed, name) ?? Reflect.get(storage, name);
        if (typeof value !== 'function') return value;
        return (...given: unknown[]) =>
          death.isDead
            ? Promise.reject(new StorageError('closed', 'the process is gone'))
            : value.apply(storage, given);
      },
    });
  }
}

function sabotaged(storage: Storage, sabotage: DeviceSabotage | undefined): Partial<Storage> {
  switch (sabotage) {
    case 'drop':
      return {
        write: (changes: Changes) => {
          const keeps = ({ state, timestamp }: StoredMessage) =>
            state !== 'received' || timestamp % DROPPED !== 0;
          return storage.write({
            ...changes,
            ...(changes.messages !== undefined && { messages: changes.messages.filter(keeps) }),
          });
        },
      };
    case 'double':
      return { seen: async () => new Set<string>(), message: async () => undefined };
    case 'flip':
      return { history: async (id, query) => [...(await storage.history(id, query))].reverse() };
    case undefined:
      return {};
  }
}
