// SPDX-License-Identifier: AGPL-3.0-or-later
// One service node: starts and stops, in turn and any number of times. Its parts: assembly.ts; its data folder: data-folder.ts.
import type { Env } from '@allium/protocol/env';
import { type Assembled, assemble, type Closer, type NodeDeps, type Ports } from './assembly.ts';
import type { ServiceNodeOptions } from './config.ts';
import { lockDataFolder, openDataFolder } from './data-folder.ts';
import { loadOrCreateNodeKeys, type NodeKeys } from './node-keys.ts';

/** What tests and simulations put in the place of the machine's own. */
export type ServiceNodeDeps = NodeDeps;

/** Everything that exists between `start` and `stop`. */
interface Running extends Assembled {
  readonly stop: () => Promise<void>;
}

export class ServiceNode {
  readonly #options: ServiceNodeOptions;
  readonly #env: Env;
  readonly #deps: ServiceNodeDeps;
  #keys: NodeKeys | undefined;
  #running: Running | undefined;
  #changing: Promise<unknown> = Promise.resolve();

  constructor(options: ServiceNodeOptions, env: Env, deps: ServiceNodeDeps = {}) {
    this.#options = options;
    this.#env = env;
    this.#deps = deps;
  }

  /** Made together with the data folder when there is none yet. */
  get ed25519Hex(): string {
    return this.#identity().ed25519Hex;
  }

  /** Where it listens. Only while it runs. */
  get ports(): Ports {
    if (this.#running === undefined) throw new Error('the node is not running');
    return this.#running.ports;
  }

  /** Version of the node list in force, or the epoch. Only while it runs. */
  get listVersion(): number {
    if (this.#running === undefined) throw new Error('the node is not running');
    return this.#running.network.version;
  }

  #identity(): NodeKeys {
    this.#keys ??= this.#deps.state?.keys ?? loadOrCreateNodeKeys(this.#options.dataDir);
    return this.#keys;
  }

  /** Resolves when both listeners are open. Harmless when it runs. @throws AlliumError with what to do about it */
  start(): Promise<void> {
    return this.#change(async () => {
      this.#running ??= await this.#open();
    });
  }

  /** Refuses new requests, finishes the ones in work, closes everything. Harmless when it does not run. */
  stop(): Promise<void> {
    return this.#change(async () => {
      const running = this.#running;
      this.#running = undefined;
      await running?.stop();
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #change(change: () => Promise<void>): Promise<void> {
    const next = this.#changing.then(change);
    this.#changing = next.catch(() => undefined);
    return next;
  }

  async #open(): Promise<Running> {
    const options = this.#options;
    const hasFolder = this.#deps.state === undefined;
    for (const correction of hasFolder ? openDataFolder(options.dataDir) : []) {
      this.#env.log.warn({ correction }, 'permissions of the data folder corrected');
    }
    const keys = this.#identity();
    const env: Env = { ...this.#env, log: this.#env.log.child({ id: keys.ed25519Hex.slice(0, 8) }) };
    /** Closed in the opposite order of opening. */
    const closers: Closer[] = hasFolder ? [lockDataFolder(options.dataDir)] : [];
    const stop = () => closeAll(closers.reverse());
    try {
      return { ...(await assemble({ options, keys, deps: this.#deps, closers }, env)), stop };
    } catch (error) {
      await stop().catch((reason: unknown) =>
        env.log.error({ error: String(reason) }, 'taking down what had started failed'),
      );
      throw error;
    }
  }
}

/** All of them, one after the other, also when some fail. @throws what the first one threw */
async function closeAll(closers: readonly Closer[]): Promise<void> {
  const errors: unknown[] = [];
  for (const close of closers) {
    try {
      await close();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
}
