// SPDX-License-Identifier: AGPL-3.0-or-later
// A device of the scenario `devices`: a client that is closed, dies, also in the middle of a write, and comes back with what
// its storage holds; and all that its user would see, in a form that can be compared with another device.
import type { Client } from '@allium/client';
import { ClientError } from '@allium/client/errors';
import {
  type Changes,
  placeTime,
  type Storage,
  StorageError,
  type StoredMessage,
} from '@allium/client/storage';
import { MemoryStorage } from '@allium/client/storage/memory';
import type { Account } from '@allium/protocol/account';
import type { AccountId } from '@allium/protocol/account-id';
import type { Sim } from './sim.ts';
import type { Host } from './wire.ts';

/**
 * What the first device does wrong on purpose, so that the check can be seen to fail. `forget`: some contacts and states do
 * not get into its storage; `drop`: messages that arrive do not.
 */
export const DEVICE_SABOTAGES = ['forget', 'drop'] as const;
export type DevicesSabotage = (typeof DEVICE_SABOTAGES)[number];

export interface SyncDeviceOptions {
  readonly name: string;
  readonly account: Account;
  readonly pollEveryMs: number;
  readonly sabotage?: DevicesSabotage | undefined;
}

const HISTORY = 100_000;
const EVERY = 4;

/** Everything that is the same on all devices of an account, once they have heard of all. */
export type Snapshot = Readonly<Record<string, unknown>>;

export class SyncDevice {
  readonly name: string;
  readonly #net: Sim;
  readonly #options: SyncDeviceOptions;
  readonly #storage = new MemoryStorage();
  readonly #host: Host;
  #client: Client | undefined;
  #death = { isDead: false };
  /** Writes until the process dies in the middle of one; undefined: it does not. */
  #writesLeft: number | undefined;
  #onDeath: (() => void) | undefined;
  #writes = 0;

  constructor(net: Sim, options: SyncDeviceOptions) {
    this.name = options.name;
    this.#net = net;
    this.#options = options;
    this.#host = net.clientHost();
  }

  /** Undefined while it is off. */
  get client(): Client | undefined {
    return this.#client;
  }

  async open(): Promise<void> {
    const death = { isDead: false };
    const { account, pollEveryMs } = this.#options;
    this.#host.isCut = false;
    this.#client = await this.#net.client({
      account,
      pollEveryMs,
      storage: this.#face(death),
      host: this.#host,
    });
    this.#death = death;
  }

  async close(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    await client?.close();
    this.#storage.reopen();
  }

  async restart(downMs: number): Promise<void> {
    await this.close();
    await this.#net.pass(downMs);
    await this.open();
  }

  /** From this moment nothing is written or sent. */
  async crash(downMs: number): Promise<void> {
    this.#die();
    await this.#net.pass(downMs);
    await this.open();
  }

  /** It dies in one of its next writes: that is in the storage as a whole, or not at all. */
  async crashInWrite(within: number, downMs: number): Promise<void> {
    if (this.#client === undefined) return;
    this.#writesLeft = 1 + this.#net.random.below(within);
    await Promise.race([
      new Promise<void>((resolve) => {
        this.#onDeath = resolve;
      }),
      this.#net.pass(60_000),
    ]);
    this.#writesLeft = undefined;
    await this.crash(downMs);
  }

  /** No network for a while. */
  async cut(ms: number): Promise<void> {
    this.#host.isCut = true;
    this.#host.reset();
    await this.#net.pass(ms);
    this.#host.isCut = false;
  }

  /** What its user does; whatever it does not live to see is nobody's fault. */
  async act(work: (client: Client) => Promise<unknown>): Promise<boolean> {
    const client = this.#client;
    if (client === undefined) return false;
    const death = this.#death;
    try {
      await work(client);
      return !death.isDead;
    } catch (error) {
      if (error instanceof ClientError) return false;
      if (error instanceof StorageError && error.code === 'closed') return false;
      throw error;
    }
  }

  /** Nothing is to be pushed or sent any more, as far as it knows. */
  async isSettled(): Promise<boolean> {
    const client = this.#client;
    if (client === undefined) return false;
    const { configs, syncedAt } = client.syncStatus();
    const isPending = configs.some(({ state }) => state === 'pending');
    return syncedAt !== undefined && !isPending && (await this.#storage.unsent()).length === 0;
  }

  async snapshot(leftOut: ReadonlySet<AccountId>): Promise<Snapshot> {
    const client = this.#client;
    if (client === undefined) throw new Error(`${this.name} is off`);
    const conversations = await this.#storage.conversations();
    const ids = new Set([...conversations, ...client.contacts()].map(({ id }) => id));
    const entries = await Promise.all(
      [...ids].map(async (id): Promise<[string, { state: object; messages: readonly unknown[] }]> => {
        const { draft: _draft, hiddenAt, ...state } = await client.conversation(id).state();
        const history = await this.#storage.history(id, { limit: HISTORY });
        // Of what was taken back only some devices show that it was there.
        const messages = history
          .filter(({ marks }) => marks?.deletedAt === undefined)
          .filter(({ sender }) => sender !== id || !leftOut.has(id))
          .map(shown);
        return [id, { state: { ...state, isHidden: hiddenAt !== undefined }, messages }];
      }),
    );
    const shownIn = new Set(
      entries
        .filter(([id, { messages }]) => messages.length > 0 && !leftOut.has(id as AccountId))
        .map(([id]) => id),
    );
    const contacts = client.contacts().map(({ timerChangedAt: _, ...contact }) => contact);
    return sorted({
      profile: client.profile,
      settings: client.settings,
      contacts: contacts.sort((a, b) => (a.id < b.id ? -1 : 1)).map(sorted),
      // A conversation of which only left out messages are there is nothing to compare.
      conversations: Object.fromEntries(
        entries.filter(([id]) => !leftOut.has(id as AccountId)).map(([id, value]) => [id, sorted(value)]),
      ),
      listed: (await client.conversations()).map(({ id }) => id).filter((id) => shownIn.has(id)),
      versions: client.syncStatus().configs.map(({ name, seqno }) => `${name} ${seqno}`),
    });
  }

  #die(): void {
    const client = this.#client;
    this.#client = undefined;
    this.#death.isDead = true;
    this.#host.reset();
    this.#host.isCut = true;
    // Only frees what the simulation holds of it.
    client?.close().catch(() => undefined);
  }

  /** The storage as one process sees it. */
  #face(death: { readonly isDead: boolean }): Storage {
    const gone = () => Promise.reject(new StorageError('closed', 'the process is gone'));
    const write = async (changes: Changes): Promise<void> => {
      const left = this.#writesLeft;
      if (left !== undefined) this.#writesLeft = left - 1;
      if (left === 1) {
        const isWritten = this.#net.random.unit() < 0.5;
        if (isWritten) await this.#storage.write(changes);
        this.#die();
        this.#onDeath?.();
        return gone();
      }
      return this.#storage.write(this.#sabotaged(changes));
    };
    return new Proxy(this.#storage as Storage, {
      get: (storage, name) => {
        const value: unknown = name === 'write' ? write : Reflect.get(storage, name);
        if (typeof value !== 'function') return value;
        return (...given: unknown[]) => (death.isDead ? gone() : value.apply(storage, given));
      },
    });
  }

  #sabotaged(changes: Changes): Changes {
    switch (this.#options.sabotage) {
      case 'forget':
        return this.#writes++ % EVERY === 0
          ? {
              ...changes,
              records: (changes.records ?? []).filter(
                ({ kind }) => kind !== 'contact' && kind !== 'conversation',
              ),
            }
          : changes;
      case 'drop':
        return {
          ...changes,
          messages: (changes.messages ?? []).filter(({ handled }) => handled),
        };
      default:
        return changes;
    }
  }
}

/** What a message looks like; what only the device that sent it knows is left out. */
function shown(message: StoredMessage): unknown {
  const { sender, timestamp, text, quote, state, marks = {} } = message;
  const { reactions = [] } = marks;
  return sorted({
    sender,
    timestamp,
    place: placeTime(message),
    text,
    quote,
    isFailed: state === 'failed',
    reactions: reactions.filter(({ on }) => on).map(({ by, emoji }) => `${by} ${emoji}`),
  });
}

function sorted(value: object): Snapshot {
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

/** The first places where two snapshots differ. */
export function differences(a: unknown, b: unknown, path = ''): string[] {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) {
    return a === b ? [] : [`${path}: ${JSON.stringify(a)} and ${JSON.stringify(b)}`];
  }
  const [left, right] = [a as Record<string, unknown>, b as Record<string, unknown>];
  return [...new Set([...Object.keys(left), ...Object.keys(right)])].flatMap((key) =>
    differences(left[key], right[key], `${path}/${key.length > 16 ? key.slice(0, 8) : key}`),
  );
}
