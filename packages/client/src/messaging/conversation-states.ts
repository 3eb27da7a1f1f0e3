// SPDX-License-Identifier: MIT
// What is kept of conversations besides their messages. All are in memory: a change happens at once, and the record that
// it gives goes into the storage together with whatever caused it, as with contacts.
import type { AccountId } from '@allium/protocol/account-id';
import type { Storage, StoredRecord } from '../storage/storage.ts';

/** Of the records with a `ConversationState`, by id. */
export const CONVERSATION = 'conversation';

/** The draft stays on this device, all else is on all of the account. */
export interface ConversationState {
  /** Where the newest message that was read stands, network time in ms (§6.3). */
  readonly readTo?: number;
  /** Somebody wants to see it as unread, whatever was read. */
  readonly isMarkedUnread?: true;
  /** Stands above the others; a whole number, the higher the further up (§6.9). */
  readonly pin?: number;
  /** Not in the list since then, network time in ms; the next message takes it away. */
  readonly hiddenAt?: number;
  /** No notifications until then, network time in ms, whole seconds. */
  readonly mutedUntil?: number;
  /** Whatever the app does by default, unless one of these was chosen. */
  readonly notifications?: 'all' | 'none';
  /** Text that was not sent yet. */
  readonly draft?: string;
}

/** Undefined takes something away. */
export type StateChange = {
  readonly [Name in keyof ConversationState]?: ConversationState[Name] | undefined;
};

const NOTHING: ConversationState = {};

export class ConversationStates {
  readonly #states = new Map<AccountId, ConversationState>();

  static async load(storage: Storage): Promise<ConversationStates> {
    const states = new ConversationStates();
    for (const { key, value } of await storage.records(CONVERSATION)) {
      states.#states.set(key as AccountId, value as ConversationState);
    }
    return states;
  }

  get(id: AccountId): ConversationState {
    return this.#states.get(id) ?? NOTHING;
  }

  ids(): AccountId[] {
    return [...this.#states.keys()];
  }

  put(id: AccountId, state: ConversationState): void {
    const kept = Object.entries(state).filter(([, value]) => value !== undefined);
    if (kept.length === 0) this.#states.delete(id);
    else this.#states.set(id, Object.fromEntries(kept));
  }

  /** What is to be written. */
  change(id: AccountId, change: StateChange): StoredRecord {
    this.put(id, { ...this.get(id), ...change } as ConversationState);
    return this.record(id);
  }

  forget(id: AccountId): StoredRecord {
    this.#states.delete(id);
    return this.record(id);
  }

  record(id: AccountId): StoredRecord {
    return { kind: CONVERSATION, key: id, value: this.#states.get(id) };
  }
}
