// SPDX-License-Identifier: MIT
// How often an account may say what is more than messages (spec/client §6.3, §6.4).
import type { AccountId } from '@allium/protocol/account-id';
import { ClientError } from '../errors.ts';

// From the specification.
/** §6.4: so many changes in so long. */
const MAX_REACTIONS = 20;
const REACTIONS_MS = 60_000;
/** §6.3, §4.4. */
const TYPING_EVERY_MS = 10_000;

/** Times are network times in ms. */
export class Pace {
  readonly #reactions: number[] = [];
  /** When we told last that we are typing. */
  readonly #typedAt = new Map<AccountId, number>();

  /** Counts one more reaction, in whatever conversation. @throws ClientError `too_fast` */
  reacted(at: number): void {
    while (this.#reactions.length > 0 && this.#reactions[0]! < at - REACTIONS_MS) this.#reactions.shift();
    if (this.#reactions.length >= MAX_REACTIONS) {
      throw new ClientError('too_fast', `at most ${MAX_REACTIONS} reactions a minute: wait a little`);
    }
    this.#reactions.push(at);
  }

  /** Whether it is to be told now that we began, or stopped. */
  tellsTyping(id: AccountId, isTyping: boolean, at: number): boolean {
    const last = this.#typedAt.get(id);
    if (isTyping ? last !== undefined && at - last < TYPING_EVERY_MS : last === undefined) return false;
    if (isTyping) this.#typedAt.set(id, at);
    else this.#typedAt.delete(id);
    return true;
  }
}
