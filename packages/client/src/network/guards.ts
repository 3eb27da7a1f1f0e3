// SPDX-License-Identifier: MIT
// Where paths begin (spec/client §2.4): guards are kept over restarts; new ones are tried directly before a path is built on
// them. What is wrong with a path is not known here.

import type { Tasks } from '../events.ts';
import type { PoolNode, Storage } from '../storage/storage.ts';
import type { NodePool } from './pool.ts';
import type { NetworkPreset } from './presets.ts';

// From the specification, §2.4.
const GUARD_CANDIDATES = 2;
const GUARD_ROUNDS = 6;

interface GuardsDeps {
  readonly pool: NodePool;
  readonly storage: Storage;
  readonly tasks: Tasks;
  /** Where paths can begin at present; undefined: anywhere. */
  possible(): ReadonlySet<string> | undefined;
  /** Whether the node answers when asked directly. */
  test(node: PoolNode, signal: AbortSignal): Promise<boolean>;
}

/** Ed25519 keys in hex. */
export class Guards {
  readonly #options: NetworkPreset;
  readonly #deps: GuardsDeps;
  /** Persistent, in order of use. */
  #kept: string[] = [];
  /** Those that a build in progress has taken. */
  readonly #taken = new Set<string>();
  /** Tested, not yet used. */
  #spare: PoolNode[] = [];
  #search: Promise<unknown> = Promise.resolve();

  constructor(options: NetworkPreset, deps: GuardsDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  async load(): Promise<void> {
    this.#kept = [...(await this.#deps.storage.guards())];
  }

  get kept(): readonly string[] {
    return this.#kept;
  }

  isTaken(ed25519Hex: string): boolean {
    return this.#taken.has(ed25519Hex);
  }

  release(ed25519Hex: string): void {
    this.#taken.delete(ed25519Hex);
  }

  /** The pool was replaced: what was found in the old one counts no more. */
  forgetSpare(): void {
    this.#spare = [];
  }

  /** A guard of the last run, a spare one, or one found now. It is taken when this returns: `release` it. */
  async take(
    exclude: ReadonlySet<string>,
    isUsed: (ed25519Hex: string) => boolean,
  ): Promise<PoolNode | undefined> {
    const { pool } = this.#deps;
    const possible = this.#deps.possible();
    const isFree = (ed25519Hex: string) =>
      possible?.has(ed25519Hex) !== false &&
      !exclude.has(ed25519Hex) &&
      !this.#taken.has(ed25519Hex) &&
      !isUsed(ed25519Hex);
    const take = (node: PoolNode) => {
      this.#taken.add(node.ed25519Hex);
      return node;
    };
    for (const guard of this.#kept) {
      const node = pool.get(guard);
      if (node !== undefined && isFree(guard)) return take(node);
    }
    // One search at a time: the second builder uses what the first one found beside its own.
    const search = this.#search.then(async () => {
      const spare = this.#spare.find((node) => isFree(node.ed25519Hex));
      this.#spare = this.#spare.filter((node) => node !== spare);
      if (spare !== undefined && pool.get(spare.ed25519Hex) !== undefined) return take(spare);
      const tried = new Set<string>();
      for (let round = 0; round < GUARD_ROUNDS; round++) {
        const unfit = new Set([
          ...tried,
          ...pool
            .all()
            .map((node) => node.ed25519Hex)
            .filter((key) => !isFree(key)),
        ]);
        const candidates = pool.random(GUARD_CANDIDATES, unfit, this.#options);
        if (candidates.length === 0) return undefined;
        const good = (
          await Promise.all(
            candidates.map(async (node) => {
              tried.add(node.ed25519Hex);
              return (await this.#deps.test(node, this.#deps.tasks.signal)) ? [node] : [];
            }),
          )
        )
          .flat()
          .filter((node) => isFree(node.ed25519Hex));
        const [first, ...others] = good;
        if (first === undefined) continue;
        this.#spare.push(...others);
        return take(first);
      }
      return undefined;
    });
    this.#search = search.catch(() => undefined);
    return search;
  }

  /** A path that begins there works: the next start uses it again. */
  keep(ed25519Hex: string): void {
    if (this.#kept.includes(ed25519Hex)) return;
    // Guards that left the pool make room; as many are kept as there are paths.
    const known = this.#kept.filter((guard) => this.#deps.pool.get(guard) !== undefined);
    this.#save([...known, ed25519Hex].slice(-this.#options.paths));
  }

  /** It does not answer, or is gone. */
  forget(ed25519Hex: string): void {
    if (!this.#kept.includes(ed25519Hex)) return;
    this.#save(this.#kept.filter((guard) => guard !== ed25519Hex));
  }

  #save(guards: string[]): void {
    this.#kept = guards;
    this.#deps.tasks.run('save guards', () => this.#deps.storage.write({ guards }));
  }
}
