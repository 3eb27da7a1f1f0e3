// SPDX-License-Identifier: MIT
// The node pool (spec/client §2.2): all service nodes that we know, and how often each failed (§2.4).
import type { Env } from '@allium/protocol/env';
import { Events } from '../events.ts';
import type { PoolNode, Storage } from '../storage/storage.ts';

// From the specification, §2.4.
export const MAX_FAILURES = 3;
// Ours.
const DRAWS = 8;

interface PoolEvents {
  /** A node left: three failures, or a hop that does not know it. */
  dropped: PoolNode;
  /** A new list is in force; all failure counters are gone. */
  replaced: readonly PoolNode[];
}

export class NodePool {
  readonly events: Events<PoolEvents>;
  #nodes = new Map<string, PoolNode>();
  readonly #failures = new Map<string, number>();
  readonly #storage: Storage;
  readonly #env: Env;

  constructor(deps: { storage: Storage; env: Env }) {
    this.#storage = deps.storage;
    this.#env = deps.env;
    this.events = new Events(deps.env.log);
  }

  get size(): number {
    return this.#nodes.size;
  }

  get(ed25519Hex: string): PoolNode | undefined {
    return this.#nodes.get(ed25519Hex);
  }

  all(): readonly PoolNode[] {
    return [...this.#nodes.values()];
  }

  /** The list of the last run. */
  async load(): Promise<void> {
    for (const node of await this.#storage.nodes()) this.#nodes.set(node.ed25519Hex, node);
  }

  /** Takes a new list into force and stores it. */
  async replace(nodes: readonly PoolNode[]): Promise<void> {
    const shuffled = shuffle(nodes, this.#env);
    this.#nodes = new Map(shuffled.map((node) => [node.ed25519Hex, node]));
    this.#failures.clear();
    this.events.emit('replaced', shuffled);
    this.#env.log.debug({ nodes: shuffled.length }, 'node list replaced');
    await this.#storage.write({ nodes: shuffled });
  }

  /** One failure of a node; the third drops it. */
  strike(ed25519Hex: string): void {
    if (!this.#nodes.has(ed25519Hex)) return;
    const failures = (this.#failures.get(ed25519Hex) ?? 0) + 1;
    this.#failures.set(ed25519Hex, failures);
    if (failures >= MAX_FAILURES) this.drop(ed25519Hex);
  }

  /** Ours: what worked just now has no past. The spec lets failures grow old until the next refresh. */
  forgive(ed25519Hex: string): void {
    this.#failures.delete(ed25519Hex);
  }

  failures(ed25519Hex: string): number {
    return this.#failures.get(ed25519Hex) ?? 0;
  }

  /** Out of the pool at once, until a new list brings it back. The stored list keeps it. */
  drop(ed25519Hex: string): void {
    const node = this.#nodes.get(ed25519Hex);
    if (node === undefined) return;
    this.#nodes.delete(ed25519Hex);
    this.#failures.delete(ed25519Hex);
    this.#env.log.debug({ node: ed25519Hex.slice(0, 8) }, 'node dropped');
    this.events.emit('dropped', node);
  }

  /** Up to `count` different nodes by chance, none of `exclude`, no two of one party. */
  random(count: number, exclude: ReadonlySet<string>, diversity: Diversity): readonly PoolNode[] {
    let best: readonly PoolNode[] = [];
    // A first choice may leave no second one although other pairs would do.
    for (let draw = 0; draw < DRAWS && best.length < count; draw++) {
      const chosen: PoolNode[] = [];
      for (const node of shuffle(this.all(), this.#env)) {
        if (chosen.length >= count) break;
        if (exclude.has(node.ed25519Hex)) continue;
        if (chosen.every((other) => !areOneParty(node, other, diversity))) chosen.push(node);
      }
      if (chosen.length > best.length) best = chosen;
      if (!diversity.distinctSubnets && !diversity.distinctOperators) break;
    }
    return best;
  }
}

/** Which nodes count as one party; a preset fits. */
export interface Diversity {
  /** Those of one /24. */
  readonly distinctSubnets: boolean;
  /** Those of one operator. */
  readonly distinctOperators: boolean;
}

export const ANY_NODES: Diversity = { distinctSubnets: false, distinctOperators: false };

/** Whether one party may watch or run both nodes. */
export function areOneParty(a: PoolNode, b: PoolNode, diversity: Diversity): boolean {
  if (diversity.distinctSubnets && subnetOf(a) === subnetOf(b)) return true;
  return diversity.distinctOperators && a.operator !== undefined && a.operator === b.operator;
}

/** The /24 of an IPv4 address; other addresses stand for themselves. */
export function subnetOf(node: PoolNode): string {
  const match = /^(\d+\.\d+\.\d+)\.\d+$/.exec(node.host);
  return match?.[1] ?? node.host;
}

/** Fisher–Yates; the input stays. */
export function shuffle<T>(items: readonly T[], env: Env): T[] {
  const shuffled = [...items];
  for (let i = shuffled.length - 1; i > 0; i--) {
    const j = env.random.below(i + 1);
    const item = shuffled[i]!;
    shuffled[i] = shuffled[j]!;
    shuffled[j] = item;
  }
  return shuffled;
}
