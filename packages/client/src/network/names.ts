// SPDX-License-Identifier: MIT
// Finding the account of a name (spec/client §9): three nodes are asked, each over an onion, for the hash of the name; what
// they agree on is opened with the name. Nodes learn neither the name nor who asks.
import type { AccountId } from '@allium/protocol/account-id';
import type { Env } from '@allium/protocol/env';
import { AlliumError, ParseError } from '@allium/protocol/errors';
import type { Json } from '@allium/protocol/json';
import {
  isSameValue,
  type NameValue,
  nameQuestion,
  openNameValue,
  parseNameAnswer,
  parseSessionName,
  type SessionName,
} from '@allium/protocol/session-name';
import type { SimpleRequest } from '@allium/protocol/storage/requests';
import type { PoolNode } from '../storage/storage.ts';
import type { NodePool } from './pool.ts';
import type { NetworkPreset } from './presets.ts';

const VOICES = 3; // spec/client §9
// Ours.
/** Nodes asked before too few have answered. */
const MAX_ASKED = 9;
/** A found name is not asked for again so long: a name may get another account. */
const KEEP_MS = 5 * 60_000;
const MAX_KEPT = 100;

/**
 * - `bad_name`: no name at all. `not_found`: the nodes agree that nobody has registered it.
 * - `disagree`: the nodes do not say the same, so one of them lies or is behind. Try again later.
 * - `too_few_answers`: fewer than three nodes answered. `not_served`: nodes of this network know no names.
 */
export class NameError extends AlliumError<
  'bad_name' | 'not_found' | 'disagree' | 'too_few_answers' | 'not_served'
> {
  override readonly name = 'NameError';
}

/** What one node made of a question. */
export type NodeAnswer<T> =
  | { readonly kind: 'value'; readonly value: T }
  /** It says that it does not know such questions. */
  | { readonly kind: 'refused' }
  | { readonly kind: 'none' };

interface NamesDeps {
  readonly pool: NodePool;
  readonly env: Env;
  /** @throws ClientError when no path can be had */
  ask<T>(
    node: PoolNode,
    request: SimpleRequest,
    read: (json: Json) => T,
    signal: AbortSignal,
  ): Promise<NodeAnswer<T>>;
  /** Waits for nodes and a path. @throws ClientError */
  ready(signal: AbortSignal): Promise<void>;
}

export class Names {
  readonly #preset: NetworkPreset;
  readonly #deps: NamesDeps;
  /** Of this account alone, and in memory alone: which names it looked up is nobody's business. */
  readonly #kept = new Map<SessionName, { readonly id: AccountId; readonly at: number }>();

  constructor(preset: NetworkPreset, deps: NamesDeps) {
    this.#preset = preset;
    this.#deps = deps;
  }

  /** @throws NameError; ClientError `no_path`, `no_nodes`, `no_network`; the reason of `signal` */
  async resolve(text: string, signal: AbortSignal): Promise<AccountId> {
    const name = nameOf(text);
    const { clock } = this.#deps.env;
    const kept = this.#kept.get(name);
    if (kept !== undefined && clock.monotonic() - kept.at < KEEP_MS) return kept.id;
    this.#kept.delete(name);
    const value = await this.#agreed(name, signal);
    if (value === undefined) throw new NameError('not_found', 'nobody has registered this name');
    const id = openNameValue(name, value);
    if (id === undefined)
      throw new NameError('not_found', 'what is registered under this name is no account');
    this.#kept.set(name, { id, at: clock.monotonic() });
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= MAX_KEPT) break;
      this.#kept.delete(oldest);
    }
    return id;
  }

  /** What three nodes of different parties say alike; others are asked in place of those that do not answer. */
  async #agreed(name: SessionName, signal: AbortSignal): Promise<NameValue | undefined> {
    const { pool, ask } = this.#deps;
    await this.#deps.ready(signal);
    const request: SimpleRequest = {
      method: 'oxend_request',
      endpoint: 'ons_resolve',
      params: nameQuestion(name),
    };
    // No two of one party, also when some are asked in place of others.
    const left = [...pool.random(MAX_ASKED, new Set(), this.#preset)];
    const values: (NameValue | undefined)[] = [];
    let refused = 0;
    while (values.length < VOICES && left.length > 0) {
      const nodes = left.splice(0, VOICES - values.length);
      const answers = await Promise.all(nodes.map((node) => ask(node, request, readAnswer, signal)));
      for (const answer of answers) {
        if (answer.kind === 'value') values.push(answer.value);
        else if (answer.kind === 'refused') refused++;
      }
      if (refused >= VOICES) break;
    }
    const [first, ...others] = values;
    if (!others.every((other) => isSameValue(first, other))) {
      throw new NameError('disagree', 'the nodes do not agree on the account of this name: try again later');
    }
    if (values.length >= VOICES) return first;
    if (refused > 0 && values.length === 0) {
      throw new NameError('not_served', 'the nodes of this network know no names: use the account id');
    }
    throw new NameError(
      'too_few_answers',
      `${values.length} of the ${VOICES} nodes that have to agree on a name answered: try again later`,
    );
  }
}

function readAnswer(json: Json): NameValue | undefined {
  const { result } = (json ?? {}) as { result?: Json };
  return parseNameAnswer(result ?? null);
}

/** @throws NameError `bad_name` */
function nameOf(text: string): SessionName {
  try {
    return parseSessionName(text);
  } catch (cause) {
    if (cause instanceof ParseError) throw new NameError('bad_name', cause.message, { cause });
    throw cause;
  }
}
