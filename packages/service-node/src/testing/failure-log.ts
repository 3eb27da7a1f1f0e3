// SPDX-License-Identifier: AGPL-3.0-or-later
// Tells the operator in plain words which nodes begin to fail their tests, and which pass again. Many at once, as when a
// network falls apart, become one line.
import type { Cancel, Env } from '@allium/protocol/env';
import { reasonCodes, reasonWords } from '@allium/protocol/membership/reasons';
import type { PeerBook } from './peer-book.ts';

// Ours.
const MAX_LINES = 5;

export interface FailureLogParts {
  readonly book: PeerBook;
  readonly reasonsOf: (ed25519Hex: string) => number;
  /** What comes together within this time is told together, ms. */
  readonly togetherMs: number;
  /** What follows from a failure in this network. */
  readonly consequence: string;
}

export class FailureLog {
  readonly #parts: FailureLogParts;
  readonly #env: Env;
  /** Bits as told last, of nodes that fail. */
  readonly #told = new Map<string, number>();
  readonly #changed = new Set<string>();
  #cancel: Cancel | undefined;

  constructor(parts: FailureLogParts, env: Env) {
    this.#parts = parts;
    this.#env = env;
  }

  /** A test of the node ended. */
  look(ed25519Hex: string): void {
    if (this.#parts.reasonsOf(ed25519Hex) === (this.#told.get(ed25519Hex) ?? 0)) return;
    this.#changed.add(ed25519Hex);
    this.#cancel ??= this.#env.clock.after(this.#parts.togetherMs, () => this.#tell());
  }

  stop(): void {
    this.#cancel?.();
  }

  #tell(): void {
    this.#cancel = undefined;
    const failing: string[] = [];
    const passing: string[] = [];
    for (const key of this.#changed) {
      const reasons = this.#parts.reasonsOf(key);
      if (reasons === (this.#told.get(key) ?? 0)) continue;
      if (reasons === 0) this.#told.delete(key);
      else this.#told.set(key, reasons);
      (reasons === 0 ? passing : failing).push(key);
    }
    this.#changed.clear();
    const { log } = this.#env;
    if (failing.length > MAX_LINES) {
      log.warn({ nodes: failing.length }, 'many nodes fail their tests: "allium node peers" lists them');
    } else {
      for (const key of failing) log.warn(this.#fields(key), this.#parts.consequence);
    }
    if (passing.length > MAX_LINES) log.info({ nodes: passing.length }, 'many nodes pass their tests again');
    else for (const key of passing) log.info({ peer: key.slice(0, 8) }, 'a node passes its tests again');
  }

  #fields(key: string) {
    const reasons = this.#parts.reasonsOf(key);
    const { fault } = this.#parts.book.tests(key) ?? {};
    return {
      peer: key.slice(0, 8),
      failing: reasonCodes(reasons).join(','),
      why: reasonWords(reasons) + (fault === undefined ? '' : ` (${fault})`),
    };
  }
}
