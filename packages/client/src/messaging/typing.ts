// SPDX-License-Identifier: MIT
// Who is typing (spec/client §6.3).
import type { AccountId } from '@allium/protocol/account-id';
import type { Cancel, Clock } from '@allium/protocol/env';

/** §6.3: it is over then, unless told again. */
const TYPING_MS = 15_000;

export class Typing {
  readonly #clock: Clock;
  readonly #onChange: (id: AccountId, isTyping: boolean) => void;
  /** Ends what was told last. */
  readonly #ends = new Map<AccountId, Cancel>();

  constructor(clock: Clock, onChange: (id: AccountId, isTyping: boolean) => void) {
    this.#clock = clock;
    this.#onChange = onChange;
  }

  told(id: AccountId, isTyping: boolean): void {
    this.#ends.get(id)?.();
    const was = this.#ends.delete(id);
    if (isTyping) {
      const end = this.#clock.after(TYPING_MS, () => this.told(id, false));
      this.#ends.set(id, end);
    }
    if (was !== isTyping) this.#onChange(id, isTyping);
  }

  stop(): void {
    for (const cancel of this.#ends.values()) cancel();
    this.#ends.clear();
  }
}
