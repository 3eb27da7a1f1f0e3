// SPDX-License-Identifier: AGPL-3.0-or-later
// Messages between the page and its worker: calls with answers, progress and cancelling; events without.
import type { Api, ApiEvents, ApiMethod } from './api.ts';

export type ToWorker =
  | {
      readonly kind: 'call';
      readonly id: string;
      readonly method: ApiMethod;
      readonly args: readonly unknown[];
      /** Local time in ms at which it was asked first; set when another owner may have done it already. */
      readonly againSince?: number;
    }
  | { readonly kind: 'cancel'; readonly id: string };

export type FromWorker =
  /** Work on the call has begun. */
  | { readonly kind: 'taken'; readonly id: string }
  | { readonly kind: 'result'; readonly id: string; readonly value: unknown }
  | { readonly kind: 'error'; readonly id: string; readonly code: string; readonly message: string }
  | { readonly kind: 'progress'; readonly id: string; readonly value: unknown }
  | { readonly kind: 'event'; readonly name: keyof ApiEvents; readonly value: unknown };

/** A failure that came from the worker. `code` names the text that tells what to do. */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export interface CallOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (value: unknown) => void;
}

/** What the state of the page works with: the worker, or a fixture in the gallery. */
export interface Backend {
  call<M extends ApiMethod>(method: M, args: Parameters<Api[M]>, options?: CallOptions): ReturnType<Api[M]>;
  on<N extends keyof ApiEvents>(name: N, listener: (value: ApiEvents[N]) => void): () => void;
}

export interface Wire {
  post(message: ToWorker): void;
  listen(receive: (message: FromWorker) => void): void;
}

/** The page's end of the wire. */
export class RemoteBackend implements Backend {
  readonly #wire: Wire;
  readonly #prefix = crypto.randomUUID();
  #next = 0;
  readonly #pending = new Map<
    string,
    {
      resolve: (value: never) => void;
      reject: (error: unknown) => void;
      onProgress?: (value: unknown) => void;
    }
  >();
  readonly #listeners = new Map<keyof ApiEvents, Set<(value: never) => void>>();

  constructor(wire: Wire) {
    this.#wire = wire;
    wire.listen((message) => this.#receive(message));
  }

  call<M extends ApiMethod>(
    method: M,
    args: Parameters<Api[M]>,
    options: CallOptions = {},
  ): ReturnType<Api[M]> {
    const id = `${this.#prefix}:${this.#next++}`;
    const { signal, onProgress } = options;
    const result = new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = () => {
        this.#pending.delete(id);
        this.#wire.post({ kind: 'cancel', id });
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      const done = () => signal?.removeEventListener('abort', onAbort);
      this.#pending.set(id, {
        resolve: (value) => {
          done();
          resolve(value);
        },
        reject: (error) => {
          done();
          reject(error);
        },
        ...(onProgress && { onProgress }),
      });
      this.#wire.post({ kind: 'call', id, method, args });
    });
    return result as ReturnType<Api[M]>;
  }

  on<N extends keyof ApiEvents>(name: N, listener: (value: ApiEvents[N]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    listeners.add(listener as (value: never) => void);
    return () => listeners.delete(listener as (value: never) => void);
  }

  #receive(message: FromWorker): void {
    if (message.kind === 'event') {
      for (const listener of this.#listeners.get(message.name) ?? []) listener(message.value as never);
      return;
    }
    const pending = this.#pending.get(message.id);
    if (pending === undefined) return;
    if (message.kind === 'taken') return;
    if (message.kind === 'progress') {
      pending.onProgress?.(message.value);
      return;
    }
    this.#pending.delete(message.id);
    if (message.kind === 'result') pending.resolve(message.value as never);
    else pending.reject(new AppError(message.code, message.message));
  }
}
