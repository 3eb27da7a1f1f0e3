// SPDX-License-Identifier: AGPL-3.0-or-later
// The part of a long conversation that is in memory: a few pages, moved up and down. The storage gives pages that end before a
// message, so each page that is let go at the lower end is remembered by what it stood before.
import {
  compareMessages,
  type HistoryQuery,
  type MessagePlace,
  type StoredMessage,
} from '@allium/client/storage';

// Ours.
const PAGE = 100;
const MAX_LOADED = 500;

export type ReadHistory = (query: HistoryQuery) => Promise<readonly StoredMessage[]>;

export const isSame = (
  a: { readonly sender: string; readonly timestamp: number },
  b: { readonly sender: string; readonly timestamp: number },
): boolean => a.sender === b.sender && a.timestamp === b.timestamp;

interface LetGo {
  /** Undefined: it was the newest. */
  readonly before: MessagePlace | undefined;
  readonly count: number;
}

export class HistoryWindow {
  readonly #read: ReadHistory;
  #messages: readonly StoredMessage[] = [];
  #letGo: LetGo[] = [];
  /** The first message of the page that was let go last. */
  #after: MessagePlace | undefined;
  /** Came while the newest page was not loaded. */
  #arrived = 0;
  #hasOlder = true;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(read: ReadHistory) {
    this.#read = read;
  }

  /** Oldest first; a new array after every change. */
  get messages(): readonly StoredMessage[] {
    return this.#messages;
  }

  get hasOlder(): boolean {
    return this.#hasOlder;
  }

  get hasNewer(): boolean {
    return this.#letGo.length > 0;
  }

  /** The newest page. */
  newest(): Promise<void> {
    return this.#inTurn(async () => {
      const page = await this.#read({ limit: PAGE });
      this.#messages = page;
      this.#letGo = [];
      this.#after = undefined;
      this.#arrived = 0;
      this.#hasOlder = page.length === PAGE;
    });
  }

  /** One page up; resolves with whether there was one. */
  older(): Promise<boolean> {
    return this.#inTurn(async () => {
      const [first] = this.#messages;
      if (first === undefined || !this.#hasOlder) return false;
      const page = await this.#read({ limit: PAGE, before: first });
      this.#hasOlder = page.length === PAGE;
      const all = [...page, ...this.#messages];
      if (all.length > MAX_LOADED) {
        const gone = all.splice(MAX_LOADED);
        this.#letGo.push({ before: this.#letGo.length === 0 ? undefined : this.#after, count: gone.length });
        this.#after = gone[0];
      }
      this.#messages = all;
      return page.length > 0;
    });
  }

  /** One page down; resolves with whether there was one. */
  newer(): Promise<boolean> {
    return this.#inTurn(async () => {
      const page = this.#letGo.pop();
      if (page === undefined) return false;
      const isNewest = page.before === undefined;
      const read = await this.#read({
        limit: page.count + this.#arrived,
        ...(page.before !== undefined && { before: page.before }),
      });
      if (isNewest) this.#arrived = 0;
      this.#after = page.before;
      const last = this.#messages.at(-1);
      const fresh = read.filter((message) => last === undefined || compareMessages(message, last) > 0);
      const all = [...this.#messages, ...fresh];
      if (all.length > MAX_LOADED + PAGE) {
        all.splice(0, all.length - MAX_LOADED);
        this.#hasOlder = true;
      }
      this.#messages = all;
      return true;
    });
  }

  /** Pages upwards until `place` is loaded; resolves with whether it is there. */
  async reach(place: MessagePlace): Promise<boolean> {
    const isBelow = () => this.#messages.length > 0 && compareMessages(this.#messages[0]!, place) <= 0;
    await this.newest();
    while (!isBelow() && (await this.older()));
    return this.#messages.some((message) => isSame(message, place));
  }

  /** A message that is new or has changed. */
  put(message: StoredMessage): void {
    const at = this.#messages.findIndex((one) => isSame(one, message));
    if (at >= 0) {
      const same = compareMessages(this.#messages[at]!, message) === 0;
      if (same) this.#messages = this.#messages.with(at, message);
      else this.#insert(this.#messages.toSpliced(at, 1), message);
      return;
    }
    const last = this.#messages.at(-1);
    if (this.hasNewer && last !== undefined && compareMessages(message, last) > 0) {
      this.#arrived++;
      return;
    }
    const [first] = this.#messages;
    if (this.#hasOlder && first !== undefined && compareMessages(message, first) < 0) return;
    this.#insert(this.#messages, message);
  }

  remove(identity: { readonly sender: string; readonly timestamp: number }): void {
    this.#messages = this.#messages.filter((message) => !isSame(message, identity));
  }

  #insert(messages: readonly StoredMessage[], message: StoredMessage): void {
    const at = messages.findLastIndex((one) => compareMessages(one, message) <= 0);
    this.#messages = messages.toSpliced(at + 1, 0, message);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }
}
