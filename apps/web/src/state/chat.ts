// SPDX-License-Identifier: AGPL-3.0-or-later
// The messages of one conversation as far as they were loaded, oldest first.
import type { MessageView } from '../model.ts';
import type { Backend } from '../rpc.ts';
import { Store } from './store.ts';

const PAGE = 60;
/** While scrolling through an old history: fewer, larger steps. */
const LATER_PAGE = 250;
/** Characters of an answered message. */
const MAX_QUOTE = 200;

export interface ChatState {
  readonly messages: readonly MessageView[];
  /** The last change put messages before the others. */
  readonly shift: boolean;
  readonly phase: 'loading' | 'ready' | 'failed';
  /** There are older ones. */
  readonly hasOlder: boolean;
  /** The first of those that were unread when the chat was opened. */
  readonly unreadFrom?: string;
}

const EMPTY: ChatState = { messages: [], shift: false, phase: 'loading', hasOlder: true };

export class Chat {
  readonly id: string;
  readonly state = new Store<ChatState>(EMPTY);
  readonly #backend: Backend;
  #loading: Promise<void> | undefined;
  #asked = 0;
  /** What has changed since what is being read was asked for: it may have been read before. */
  #meanwhile: (() => void)[] | undefined;

  constructor(id: string, backend: Backend) {
    this.id = id;
    this.#backend = backend;
  }

  /** The newest page; what is shown stays until it is there. */
  async open(unread: number): Promise<void> {
    await this.#read(async () => {
      const messages = await this.#backend.call('history', [this.id, { limit: PAGE }]);
      const incoming = messages.filter(({ mine }) => !mine);
      const unreadFrom = unread > 0 ? incoming.at(-Math.min(unread, incoming.length))?.key : undefined;
      return {
        messages,
        hasOlder: messages.length === PAGE,
        ...(unreadFrom !== undefined && { unreadFrom }),
      };
    });
  }

  /** Reads what is loaded anew: somebody may be reading there. */
  async refresh(): Promise<void> {
    const { messages: shown, phase, unreadFrom } = this.state.get();
    const [first] = shown;
    if (phase !== 'ready' || first === undefined) return await this.open(0);
    await this.#read(async () => {
      let messages: readonly MessageView[] = [];
      for (;;) {
        const [next] = messages;
        const limit = Math.max(PAGE, Math.min(LATER_PAGE, shown.length - messages.length));
        const page = await this.#page(limit, next);
        messages = [...page, ...messages];
        const hasOlder = page.length === limit;
        if (!hasOlder || (messages[0]?.place ?? 0) <= first.place)
          return { messages, hasOlder, ...(unreadFrom !== undefined && { unreadFrom }) };
      }
    });
  }

  async #read(ask: () => Promise<Omit<ChatState, 'phase' | 'shift'>>): Promise<void> {
    const asked = ++this.#asked;
    this.#meanwhile = [];
    try {
      const state = await ask();
      if (asked !== this.#asked) return;
      this.state.set({ ...state, shift: false, phase: 'ready' });
      const meanwhile = this.#meanwhile;
      this.#meanwhile = undefined;
      for (const change of meanwhile) change();
    } catch {
      if (asked !== this.#asked) return;
      this.#meanwhile = undefined;
      this.state.update((state) => ({ ...state, phase: 'failed' }));
    }
  }

  #page(limit: number, first: MessageView | undefined): Promise<readonly MessageView[]> {
    if (first === undefined) return this.#backend.call('history', [this.id, { limit }]);
    const { sender, timestamp, place, hash } = first;
    const before = { sender, timestamp, place, ...(hash !== undefined && { hash }) };
    return this.#backend.call('history', [this.id, { limit, before }]);
  }

  async loadOlder(): Promise<void> {
    const { hasOlder, phase } = this.state.get();
    if (!hasOlder || phase !== 'ready') return;
    this.#loading ??= this.#loadOlder().finally(() => {
      this.#loading = undefined;
    });
    await this.#loading;
  }

  /** Loads until the message is there. */
  async reach(key: string): Promise<boolean> {
    for (;;) {
      const { messages, hasOlder } = this.state.get();
      if (messages.some((message) => message.key === key)) return true;
      if (!hasOlder) return false;
      await this.loadOlder();
    }
  }

  /** A message is new or has changed. */
  put(message: MessageView): void {
    this.#meanwhile?.push(() => this.put(message));
    const { messages, phase } = this.state.get();
    if (phase === 'loading') return;
    // What is new stands at the end nearly always.
    const known = messages.findLastIndex(({ key }) => key === message.key);
    const before = messages[known];
    if (before !== undefined && before.place === message.place) {
      const isSame = before.text === message.text && before.deleted === message.deleted;
      const changed = messages.with(known, message);
      this.#set(isSame ? changed : requoted(changed, message));
      return;
    }
    const others = known === -1 ? messages : messages.toSpliced(known, 1);
    let at = others.length;
    while (at > 0 && compare(others[at - 1]!, message) > 0) at--;
    // Older than all that is loaded: it comes with its page.
    if (at === 0 && this.state.get().hasOlder && others.length > 0) return;
    this.#set(others.toSpliced(at, 0, message));
  }

  remove(key: string): void {
    this.#meanwhile?.push(() => this.remove(key));
    const { messages } = this.state.get();
    const gone = messages.find((message) => message.key === key);
    const others = messages.filter((message) => message !== gone);
    this.#set(gone === undefined ? messages : requoted(others, gone, true));
  }

  forgetUnread(): void {
    const { unreadFrom: _, ...state } = this.state.get();
    this.state.set(state);
  }

  #set(messages: readonly MessageView[]): void {
    this.state.update((state) => ({ ...state, messages, shift: false }));
  }

  async #loadOlder(): Promise<void> {
    const [first] = this.state.get().messages;
    if (first === undefined) return;
    const asked = this.#asked;
    const page = await this.#page(LATER_PAGE, first).catch(() => undefined);
    // The tab that answered is gone, or the chat was loaded anew meanwhile: scrolling asks again.
    if (page === undefined || asked !== this.#asked) return;
    this.state.update((state) => ({
      ...state,
      messages: [...page, ...state.messages],
      shift: true,
      hasOlder: page.length === LATER_PAGE,
    }));
  }
}

/** Answers show what they answer as it is now. */
function requoted(
  messages: readonly MessageView[],
  { sender, timestamp, text, deleted }: MessageView,
  isGone = deleted,
): readonly MessageView[] {
  const shown = text.slice(0, MAX_QUOTE);
  return messages.map((message) => {
    const { quote } = message;
    if (quote?.author !== sender || quote.timestamp !== timestamp) return message;
    const { text: _, ...rest } = quote;
    return { ...message, quote: isGone ? rest : { ...rest, text: shown } };
  });
}

function compare(a: MessageView, b: MessageView): number {
  const [x, y] = [a.hash ?? '~', b.hash ?? '~'];
  return a.place - b.place || (x < y ? -1 : x > y ? 1 : 0);
}
