// SPDX-License-Identifier: AGPL-3.0-or-later
// Owns the accounts of this browser: takes calls of pages, runs the client of the account that is open, tells what
// happens.
import { AlliumError } from '@allium/protocol/errors';
import type { Api, ApiEvents, Call } from '../api.ts';
import { AppError, type FromWorker, type ToWorker } from '../rpc.ts';
import { loadClient, Sessions } from './sessions.ts';
import { Vault } from './vault.ts';

const FETCH_AHEAD_MS = 2_000;

export type Tell = <N extends keyof ApiEvents>(name: N, value: ApiEvents[N]) => void;

/** The same methods, with the call as the last parameter. */
export type Served = {
  [M in keyof Api]: (...args: [...Parameters<Api[M]>, Call]) => ReturnType<Api[M]>;
};

export class Host {
  readonly #post: (message: FromWorker) => void;
  readonly #running = new Map<string, AbortController>();
  #api: Served | undefined;
  #failure: unknown;

  constructor(post: (message: FromWorker) => void) {
    this.#post = post;
  }

  /** Opens the vault, and the account that was open last where that needs no passphrase. */
  async start(): Promise<void> {
    try {
      const sessions = new Sessions(await Vault.open(), (name, value) =>
        this.#post({ kind: 'event', name, value }),
      );
      this.#api = sessions.api;
      await sessions.resume();
      // A first visit: nobody waits for it yet.
      setTimeout(() => void loadClient().catch(() => undefined), FETCH_AHEAD_MS);
    } catch (error) {
      this.#failure = error;
    }
  }

  receive(message: ToWorker): void {
    if (message.kind === 'cancel') {
      this.#running.get(message.id)?.abort(new AppError('aborted', 'cancelled'));
      return;
    }
    void this.#serve(message);
  }

  async #serve({ id, method, args, againSince }: ToWorker & { kind: 'call' }): Promise<void> {
    const abort = new AbortController();
    this.#running.set(id, abort);
    this.#post({ kind: 'taken', id });
    const call: Call = {
      signal: abort.signal,
      progress: (value) => this.#post({ kind: 'progress', id, value }),
      ...(againSince !== undefined && { againSince }),
    };
    try {
      if (this.#api === undefined) throw this.#failure;
      const run = this.#api[method] as ((...given: unknown[]) => Promise<unknown>) | undefined;
      if (run === undefined) throw new AppError('bad_request', `no method ${method}`);
      this.#post({ kind: 'result', id, value: await run(...args, call) });
    } catch (error) {
      const code = error instanceof AppError || error instanceof AlliumError ? error.code : 'unexpected';
      // `unexpected` is a defect of ours: say where.
      if (code === 'unexpected' && !abort.signal.aborted) console.error(method, error);
      this.#post({
        kind: 'error',
        id,
        code,
        message: error instanceof Error ? error.message : String(error),
      });
    } finally {
      this.#running.delete(id);
    }
  }
}
