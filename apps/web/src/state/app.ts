// SPDX-License-Identifier: AGPL-3.0-or-later
// All state of the page, fed by the worker. Views read stores and call methods; nothing here knows the protocol.
import type { Api, ApiMethod } from '../api.ts';
import type { ConversationsView, MessageView, NetworkView, SessionView } from '../model.ts';
import type { Backend, CallOptions } from '../rpc.ts';
import { AppError } from '../rpc.ts';
import { Chat } from './chat.ts';
import { PreferenceStore } from './preferences.ts';
import { Router } from './route.ts';
import type { Command } from './shortcuts.ts';
import { Store } from './store.ts';

const MAX_CHATS = 8;
const TOAST_MS = 7_000;

export interface Toast {
  readonly id: number;
  /** Code of an error, or a key of a text. */
  readonly code: string;
  readonly kind: 'error' | 'done';
}

export interface AppOptions {
  readonly backend: Backend;
  readonly router?: Router;
  readonly preferences?: PreferenceStore;
}

export class App {
  readonly backend: Backend;
  readonly router: Router;
  readonly preferences: PreferenceStore;
  readonly session = new Store<SessionView | undefined>(undefined);
  readonly conversations = new Store<ConversationsView | undefined>(undefined);
  readonly network = new Store<NetworkView | undefined>(undefined);
  readonly typing = new Store<ReadonlySet<string>>(new Set());
  readonly toasts = new Store<readonly Toast[]>([]);
  /** The browser gives no more space. */
  readonly full = new Store(false);
  /** The nodes have said that this network knows no names. */
  readonly nameless = new Store(false);
  /** The list of keys is shown. */
  readonly keysShown = new Store(false);
  /** Who does what a key asks for; the newest first. */
  readonly commands = new Map<Command, (() => void)[]>();
  /** What has to be kept before the account is closed. */
  readonly beforeLock = new Set<() => Promise<void>>();
  /** Told of each new message of somebody else. */
  readonly arrivals = new Set<(message: MessageView) => void>();
  readonly #chats = new Map<string, Chat>();
  readonly #pictures = new Map<string, Promise<string | undefined>>();
  #nextToast = 1;
  #openAccount: string | undefined;

  constructor({ backend, router, preferences }: AppOptions) {
    this.backend = backend;
    this.router = router ?? new Router();
    this.preferences = preferences ?? new PreferenceStore();
    backend.on('session', (session) => this.#takeSession(session));
    // What is told late of an account that was closed is not taken.
    const whileOpen =
      <T>(take: (value: T) => void) =>
      (value: T) => {
        if (this.#openAccount !== undefined) take(value);
      };
    backend.on(
      'conversations',
      whileOpen((conversations) => this.conversations.set(conversations)),
    );
    backend.on(
      'network',
      whileOpen((network) => this.network.set(network)),
    );
    backend.on(
      'full',
      whileOpen((full) => this.full.set(full)),
    );
    backend.on(
      'message',
      whileOpen(({ view, isNew }) => this.#takeMessage(view, isNew)),
    );
    backend.on('removed', ({ conversation, key }) => this.#chats.get(conversation)?.remove(key));
    backend.on(
      'typing',
      whileOpen(({ id, isTyping }) =>
        this.typing.update((now) => {
          const next = new Set(now);
          if (isTyping) next.add(id);
          else next.delete(id);
          return next;
        }),
      ),
    );
    backend.on('restarted', () => void this.refresh());
  }

  /** Reads everything anew. */
  async refresh(): Promise<void> {
    const session = await this.call('session', []);
    if (session !== undefined) this.#takeSession(session, true);
  }

  /** A call whose failure is shown to the user; undefined then. */
  async call<M extends ApiMethod>(
    method: M,
    args: Parameters<Api[M]>,
    options?: CallOptions,
  ): Promise<Awaited<ReturnType<Api[M]>> | undefined> {
    try {
      return await this.backend.call(method, args, options);
    } catch (error) {
      if (options?.signal?.aborted !== true) this.fail(error);
      return undefined;
    }
  }

  /** Locks the account that is open; one without a seal stays open. */
  async lock(): Promise<void> {
    if (this.session.get()?.current?.sealedBy === 'browser') {
      this.toast('lock_needs_seal', 'error');
      return;
    }
    await Promise.allSettled([...this.beforeLock].map((keep) => keep()));
    await this.call('lock', []);
  }

  /** Whether somebody does it. */
  run(command: Command): boolean {
    const does = this.commands.get(command)?.[0];
    does?.();
    return does !== undefined;
  }

  fail(error: unknown): void {
    this.toast(error instanceof AppError ? error.code : 'unexpected', 'error');
  }

  toast(code: string, kind: Toast['kind']): void {
    const toast = { id: this.#nextToast++, code, kind };
    this.toasts.update((toasts) => [...toasts.filter((other) => other.code !== code), toast].slice(-3));
    setTimeout(() => this.dismiss(toast.id), TOAST_MS);
  }

  dismiss(id: number): void {
    this.toasts.update((toasts) => toasts.filter((toast) => toast.id !== id));
  }

  chat(id: string): Chat {
    const known = this.#chats.get(id);
    if (known !== undefined) {
      // The newest at the end.
      this.#chats.delete(id);
      this.#chats.set(id, known);
      return known;
    }
    const chat = new Chat(id, this.backend);
    this.#chats.set(id, chat);
    for (const old of this.#chats.keys()) {
      if (this.#chats.size <= MAX_CHATS) break;
      this.#chats.delete(old);
    }
    const unread = this.conversations.get()?.list.find(({ person }) => person.id === id)?.unread ?? 0;
    void chat.open(unread);
    return chat;
  }

  /** Address of a picture of a person, made once for each picture. */
  picture(id: string, tag: string): Promise<string | undefined> {
    const key = `${id} ${tag}`;
    const known = this.#pictures.get(key);
    if (known !== undefined) return known;
    const address = this.backend
      .call('picture', [id])
      .then((bytes) => (bytes === undefined ? undefined : URL.createObjectURL(new Blob([bytes as BlobPart]))))
      .catch(() => undefined);
    this.#pictures.set(key, address);
    return address;
  }

  /** Nothing of an account stays in the page when it is closed. */
  #forgetPictures(): void {
    for (const address of this.#pictures.values()) {
      void address.then((url) => url !== undefined && URL.revokeObjectURL(url));
    }
    this.#pictures.clear();
  }

  #takeSession(session: SessionView, anew = false): void {
    const account = session.phase === 'open' ? session.current?.key : undefined;
    const isOther = account !== this.#openAccount;
    this.#openAccount = account;
    if (isOther) {
      this.#chats.clear();
      this.conversations.set(undefined);
      this.network.set(undefined);
      this.typing.set(new Set());
      this.full.set(false);
      this.nameless.set(false);
      this.#forgetPictures();
      if (this.session.get() !== undefined) this.router.home();
    }
    this.session.set(session);
    if (account !== undefined && (isOther || anew)) {
      const isStill = () => this.#openAccount === account;
      void this.call('conversations', []).then((list) => list && isStill() && this.conversations.set(list));
      void this.call('network', []).then((network) => network && isStill() && this.network.set(network));
      for (const chat of this.#chats.values()) void chat.refresh();
    }
  }

  #takeMessage(message: MessageView, isNew: boolean): void {
    this.#chats.get(message.conversation)?.put(message);
    if (isNew && !message.mine) for (const told of this.arrivals) told(message);
  }
}
