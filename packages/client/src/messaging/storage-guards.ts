// SPDX-License-Identifier: MIT
// Which members of our swarm we ask: one for everything, kept over restarts, and a second one for the cross-checks.
// Each node that we ask learns that somebody asks for this account; together with a bad guard it learns who. So there
// are as few as possible, they change as rarely as possible, and the first is always asked over the same guard
// (docs/decisions/0007-storage-guards.md).
import type { Env } from '@allium/protocol/env';
import type { Storage } from '../storage/storage.ts';

// Ours.
/** Rounds in a row that another member had to answer, before it takes the place of the first. */
const MAX_MISSES = 3;
const SETTING = 'storage_guards';

/** The first member and the guard of the path to it, as far as they are known; keys in hex. */
export interface OwnRoute {
  readonly prefer: readonly string[];
  readonly preferGuard: string | undefined;
}

interface GuardsDeps {
  readonly storage: Storage;
  readonly env: Env;
  /** Whether a node is known to be out of the swarm or the network. */
  isGone(ed25519Hex: string): boolean;
  /** Whether paths begin at this node, now or soon. */
  isPathGuard(ed25519Hex: string): boolean;
}

export class StorageGuards {
  readonly #deps: GuardsDeps;
  readonly #secondForMs: number;
  #first: string | undefined;
  #second: string | undefined;
  #pathGuard: string | undefined;
  /** Local time. */
  #secondSince = 0;
  #misses = 0;
  #loaded: Promise<void> | undefined;

  /** @param secondForMs how long the second one stays */
  constructor(secondForMs: number, deps: GuardsDeps) {
    this.#secondForMs = secondForMs;
    this.#deps = deps;
  }

  /** Whom to ask first; undefined: anyone. */
  async first(): Promise<string | undefined> {
    await this.#load();
    return this.#first;
  }

  /** Whom to ask for a cross-check; undefined: anyone but the first. */
  async second(): Promise<string | undefined> {
    await this.#load();
    const age = this.#deps.env.clock.now() - this.#secondSince;
    return age >= 0 && age < this.#secondForMs ? this.#second : undefined;
  }

  /** Guard of the path over which the first is asked, and the second one is not; undefined: not decided yet. */
  async pathGuard(): Promise<string | undefined> {
    await this.#load();
    const guard = this.#pathGuard;
    return guard !== undefined && this.#deps.isPathGuard(guard) ? guard : undefined;
  }

  async route(): Promise<OwnRoute> {
    const first = await this.first();
    return { prefer: first === undefined ? [] : [first], preferGuard: await this.pathGuard() };
  }

  /** The guard of the path over which the first answered. Stays the one while paths begin there. */
  async answeredOver(guard: string): Promise<void> {
    if ((await this.pathGuard()) !== undefined) return;
    this.#pathGuard = guard;
    await this.#save();
  }

  /** Who answered in the place of the first, or as the first. */
  async answered(ed25519Hex: string): Promise<void> {
    await this.#load();
    if (ed25519Hex === this.#first) {
      this.#misses = 0;
      return;
    }
    const first = this.#first;
    if (first !== undefined && !this.#deps.isGone(first) && ++this.#misses < MAX_MISSES) return;
    this.#misses = 0;
    this.#first = ed25519Hex;
    if (this.#second === ed25519Hex) this.#second = undefined;
    await this.#save();
  }

  /** Who answered a cross-check. */
  async answeredSecond(ed25519Hex: string): Promise<void> {
    if ((await this.second()) === ed25519Hex || ed25519Hex === this.#first) return;
    this.#second = ed25519Hex;
    this.#secondSince = this.#deps.env.clock.now();
    await this.#save();
  }

  /** It was caught lying. */
  async drop(ed25519Hex: string): Promise<void> {
    await this.#load();
    if (this.#first === ed25519Hex) this.#first = undefined;
    if (this.#second === ed25519Hex) this.#second = undefined;
    this.#misses = 0;
    await this.#save();
  }

  #load(): Promise<void> {
    this.#loaded ??= this.#deps.storage.setting(SETTING).then((text) => {
      const [first, second, since, pathGuard] = (text ?? '').split(' ');
      this.#first = KEY.test(first ?? '') ? first : undefined;
      this.#second = KEY.test(second ?? '') ? second : undefined;
      this.#secondSince = Number(since) || 0;
      this.#pathGuard = KEY.test(pathGuard ?? '') ? pathGuard : undefined;
    });
    return this.#loaded;
  }

  #save(): Promise<void> {
    const keys = `${this.#first ?? '-'} ${this.#second ?? '-'}`;
    const text = `${keys} ${this.#secondSince} ${this.#pathGuard ?? '-'}`;
    return this.#deps.storage.write({ settings: { [SETTING]: text } });
  }
}

const KEY = /^[0-9a-f]{64}$/;
