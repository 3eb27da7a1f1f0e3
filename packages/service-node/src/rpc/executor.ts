// SPDX-License-Identifier: AGPL-3.0-or-later
// Every storage method from the parsed request to its outcome (spec/storage-server §2.7, §2.9). Requests of clients
// and forwarded copies of peers meet here; carriers and rate limits stay outside; `retrieve` is in retrieval.ts.
import type { Env } from '@allium/protocol/env';
import type { Json } from '@allium/protocol/json';
import { encodeActiveNodes } from '@allium/protocol/storage/active-nodes';
import type {
  AccountPubkey,
  BatchRequest,
  IfElseRequest,
  OxendRequest,
  RecursiveRequest,
  StorageRequest,
} from '@allium/protocol/storage/requests';
import { conditionsHold, isRecursive } from '@allium/protocol/storage/requests';
import type { HashesByNamespace } from '@allium/protocol/storage/responses';
import {
  type ListedNetwork,
  parseServiceNodeQuery,
  SERVICE_NODE_METHODS,
  serviceNodeListJson,
} from '@allium/protocol/storage/service-node-list';
import type { Mailbox } from '../mailbox/mailbox.ts';
import { Trouble } from '../mailbox/trouble.ts';
import type { NodeNetwork } from '../membership/node-network.ts';
import type { Metrics } from '../metrics.ts';
import type { Carrier, LongPolls } from '../monitor/long-polls.ts';
import type { Subscriptions } from '../monitor/subscriptions.ts';
import type { NameBook } from '../names.ts';
import { HARDFORK, WIRE_VERSION } from '../protocol-version.ts';
import type { Replication } from '../swarm/replication.ts';
import type { Missed, RetryQueue } from '../swarm/retry-queue.ts';
import type { Swarm } from '../swarm/swarm.ts';
import { type Apply, isFailure, type NodeEntry } from './apply.ts';
import { type Checks, isLate } from './checks.ts';
import { failure, nestedJson, type Outcome, success, wrongSwarm } from './outcome.ts';
import { type Budget, newBudget, Retrieval } from './retrieval.ts';

// Ours (§2.9.3).
const CAPABILITIES = ['wait'];

/** §2.7: own failure, for instance a full database. */
const OWN_FAILURE: NodeEntry = { failed: true, query_failure: true };

const INFO_HEAD = `{"capabilities":${JSON.stringify(CAPABILITIES)},"hf":[${HARDFORK}],"t":`;
const INFO_TAIL = `,"version":[${WIRE_VERSION}]}`;

export interface ExecutorParts {
  readonly mailbox: Mailbox;
  readonly checks: Checks;
  readonly apply: Apply;
  readonly swarm: Swarm;
  readonly replication: Replication;
  readonly network: Pick<NodeNetwork, 'height' | 'listed' | 'questions'>;
  readonly retries: RetryQueue;
  readonly subscriptions: Subscriptions;
  readonly polls: LongPolls;
  readonly metrics: Metrics;
  readonly names: NameBook | undefined;
  /** What is known of nodes by testing them; undefined: none is tested. */
  readonly tests: () => ListedNetwork['testsOf'] | undefined;
  readonly ownHex: string;
}

export class Executor {
  readonly #parts: ExecutorParts;
  readonly #env: Env;
  readonly #trouble: Trouble;
  readonly #retrieval: Retrieval;

  constructor(parts: ExecutorParts, env: Env) {
    this.#parts = parts;
    this.#env = env;
    this.#trouble = new Trouble(parts.metrics, env);
    this.#retrieval = new Retrieval(parts, this.#trouble, env);
  }

  /**
   * A client's request; an answer that needs no waiting comes at once. Throws or rejects only on faults of our own: the
   * carrier answers 500 `request failed`. Without a carrier nothing is held.
   */
  execute(request: StorageRequest, carrier?: Carrier): Outcome | Promise<Outcome> {
    return this.#execute(request, newBudget(), carrier);
  }

  #execute(request: StorageRequest, budget: Budget, carrier?: Carrier): Outcome | Promise<Outcome> {
    const outcome = this.#dispatch(request, budget, carrier);
    if (outcome instanceof Promise) return outcome.then((late) => this.#counted(request, late));
    return this.#counted(request, outcome);
  }

  #counted(request: StorageRequest, outcome: Outcome): Outcome {
    this.#parts.metrics.request(request.method, outcome.status);
    return outcome;
  }

  #dispatch(
    request: StorageRequest,
    budget: Budget,
    carrier: Carrier | undefined,
  ): Outcome | Promise<Outcome> {
    if (isRecursive(request)) return this.#recursive(request);
    switch (request.method) {
      case 'info': {
        const now = this.#env.clock.now();
        return {
          status: 200,
          kind: 'json',
          get value() {
            return {
              version: WIRE_VERSION,
              timestamp: now,
              capabilities: CAPABILITIES,
              t: now,
              hf: HARDFORK,
            };
          },
          encode: () => `${INFO_HEAD}${now},"timestamp":${now}${INFO_TAIL}`,
        };
      }
      case 'retrieve':
        return this.#retrieval.execute(request, budget, carrier);
      case 'get_expiries':
        return (
          this.#wrongSwarm(request.account) ??
          this.#parts.checks.signed(request, false) ??
          success({
            expiries: Object.fromEntries(this.#parts.mailbox.expiries(request.account, request.messages)),
          })
        );
      case 'revoked_subaccounts':
        return (
          this.#wrongSwarm(request.account) ??
          this.#parts.checks.signed(request, false) ??
          success({
            revoked_subaccounts: this.#parts.mailbox.revocations.revoked(request.account),
            ...this.#stamp(),
          })
        );
      case 'get_swarm':
        return success(this.#parts.swarm.describe(request.account.key, this.#env.clock.now()));
      case 'oxend_request':
        return this.#oxend(request);
      case 'active_nodes_bin': {
        const active = this.#parts.swarm.membership.members.filter((member) => member.active);
        return { status: 200, kind: 'binary', bytes: encodeActiveNodes(active) };
      }
      case 'batch':
      case 'sequence':
        return this.#batch(request, budget, carrier);
      case 'ifelse':
        return this.#ifElse(request, budget);
    }
  }

  #stamp(): { t: number; hf: readonly [number, number] } {
    return { t: this.#env.clock.now(), hf: HARDFORK };
  }

  #wrongSwarm(account: AccountPubkey): Outcome | undefined {
    return wrongSwarm(this.#parts.swarm, account, this.#env.clock);
  }

  async #recursive(request: RecursiveRequest): Promise<Outcome> {
    const { checks, swarm, replication, retries, ownHex, metrics } = this.#parts;
    const refused = this.#wrongSwarm(request.account) ?? checks.recursive(request, false);
    if (refused !== undefined) return refused;
    const forwards = replication.forward(request, swarm.keepers(request.account.key));
    const own = await this.#apply(request);
    const entries: Record<string, NodeEntry> = {};
    const results = await forwards.results;
    const undelivered: (typeof results)[number]['member'][] = [];
    for (const { member, entry, undelivered: lost } of results) {
      entries[member.ed25519Hex] = entry;
      if (lost) undelivered.push(member);
    }
    if (undelivered.length > 0) {
      metrics.forwardsQueued += undelivered.length;
      const isIdle = !hasChanged(own.entry);
      await retries.add(undelivered, { ...missed(request, own, forwards.body), isIdle });
    }
    const stamp = this.#stamp();
    entries[ownHex] =
      request.method === 'store' && !isFailure(own.entry) ? { ...own.entry, t: stamp.t } : own.entry;
    const value = {
      swarm: entries,
      ...(request.method === 'store' && 'hash' in own.entry && { hash: own.entry.hash }),
      ...stamp,
    };
    return success(value, overallStatus(request, Object.values(entries)));
  }

  /** Local execution; a failure of the database becomes an entry. `id`: row number of a stored message. */
  async #apply(request: RecursiveRequest, late?: number): Promise<{ entry: NodeEntry; id?: number }> {
    const { apply, metrics, subscriptions } = this.#parts;
    try {
      if (request.method !== 'store') return { entry: await apply.other(request, late) };
      const stored = await apply.store(request);
      metrics.count('store');
      if (stored.entry.already !== true) {
        metrics.messagesStored++;
        subscriptions.stored(request, stored.entry.hash, stored.entry.expiry);
      }
      return stored;
    } catch (error) {
      this.#trouble.report(request.method, error);
      return { entry: OWN_FAILURE };
    }
  }

  /** A copy that a peer forwarded (§5.6): the bare entry, or an error. */
  async executeForwarded(request: RecursiveRequest): Promise<Outcome> {
    const refused = this.#wrongSwarm(request.account) ?? this.#parts.checks.recursive(request, true);
    const outcome = refused ?? success((await this.#apply(request)).entry);
    this.#parts.metrics.request(`forwarded_${request.method}`, outcome.status);
    return outcome;
  }

  /** A request that we missed while we were down, and whose signature has grown stale since (`sn.missed`). */
  async executeMissed(request: RecursiveRequest): Promise<Outcome> {
    if (!isLate(request)) return failure(400, 'invalid request: received a request that cannot be late');
    const refused = this.#wrongSwarm(request.account) ?? this.#parts.checks.missed(request);
    const outcome = refused ?? success((await this.#apply(request, request.timestamp)).entry);
    this.#parts.metrics.request(`missed_${request.method}`, outcome.status);
    return outcome;
  }

  /** What a member shows us because we seem to have missed it (§5.13); true when it is executed. */
  async executeAct(request: RecursiveRequest, time: number): Promise<boolean> {
    if (request.method === 'store' || this.#wrongSwarm(request.account) !== undefined) return false;
    if (this.#parts.checks.act(request, time) !== undefined) return false;
    return !isFailure((await this.#apply(request, time)).entry);
  }

  async #batch(request: BatchRequest, budget: Budget, carrier: Carrier | undefined): Promise<Outcome> {
    const outcomes: Outcome[] = [];
    const seen = this.#parts.polls.arrivals;
    if (request.method === 'batch') {
      outcomes.push(...(await Promise.all(request.requests.map((entry) => this.#guarded(entry, budget)))));
      if (carrier !== undefined)
        await this.#retrieval.wait(request.requests, outcomes, seen, budget, carrier);
    } else {
      for (const entry of request.requests) {
        const outcome = await this.#guarded(entry, budget);
        outcomes.push(outcome);
        if (outcome.status < 200 || outcome.status > 299) break;
      }
    }
    return {
      status: 200,
      kind: 'json',
      get value() {
        return { results: outcomes.map(nestedValue) };
      },
      encode: () =>
        `{"results":[${outcomes.map((outcome) => `{"body":${nestedJson(outcome)},"code":${outcome.status}}`).join(',')}]}`,
    };
  }

  /** A fault in one entry is that entry's answer, not the whole batch's. */
  async #guarded(request: StorageRequest, budget: Budget): Promise<Outcome> {
    try {
      return await this.#execute(request, budget);
    } catch (error) {
      this.#env.log.error({ method: request.method, error: String(error) }, 'a request failed');
      return failure(500, 'request failed');
    }
  }

  async #ifElse(request: IfElseRequest, budget: Budget): Promise<Outcome> {
    const height = this.#parts.network.height();
    const condition = conditionsHold(request.conditions, { hf: HARDFORK, version: WIRE_VERSION, height });
    const branch = condition ? request.then : request.else;
    const outcome = branch === undefined ? undefined : await this.#guarded(branch, budget);
    return {
      status: 200,
      kind: 'json',
      get value() {
        return {
          condition,
          height,
          hf: HARDFORK,
          v: WIRE_VERSION,
          ...(outcome !== undefined && { result: nestedValue(outcome) }),
        };
      },
      encode: () => {
        const result =
          outcome === undefined ? '' : `,"result":{"body":${nestedJson(outcome)},"code":${outcome.status}}`;
        return `{"condition":${condition},"height":${height},"hf":[${HARDFORK}]${result},"v":[${WIRE_VERSION}]}`;
      },
    };
  }

  #oxend(request: OxendRequest): Outcome {
    const { names } = this.#parts;
    const isName = request.endpoint === 'ons_resolve';
    if (isName && names === undefined) return failure(400, 'Names are not served by this network');
    let list: string | undefined;
    try {
      list = isName ? names?.answer(request.params) : this.question(request.endpoint, request.params);
    } catch (error) {
      return failure(400, error instanceof Error ? error.message : 'Unknown oxend error');
    }
    if (list === undefined) return failure(400, `${request.endpoint} is not served by this kind of network`);
    const { t } = this.#stamp();
    return {
      status: 200,
      kind: 'json',
      get value() {
        // A bt caller gets the JSON document as the string it is: swarm ids do not fit all integer types.
        return { result: list, t, hf: HARDFORK };
      },
      encode: () => `{"hf":[${HARDFORK}],"result":${list},"t":${t}}`,
    };
  }

  /**
   * The node list, or something with which clients check it (spec/chain §4.22), as JSON text; undefined: nodes of this
   * network do not know that.
   * @throws ParseError for bad parameters
   */
  question(method: string, params: Json | undefined): string | undefined {
    if (SERVICE_NODE_METHODS.has(method)) return this.serviceNodes(params);
    const { questions } = this.#parts.network;
    return Object.hasOwn(questions, method) ? questions[method]!(params) : undefined;
  }

  /** `get_service_nodes` as JSON text (spec/chain §1.15, §4.21). @throws ParseError for bad parameters */
  serviceNodes(params: Json | undefined): string {
    const query = parseServiceNodeQuery(params);
    const { network, tests } = this.#parts;
    const testsOf = tests();
    const listed = { ...network.listed(), ...(testsOf !== undefined && { testsOf }) };
    return serviceNodeListJson(listed, query, this.#env.random);
  }
}

/**
 * What is kept for members that did not answer: of a new message its number; of one that was there (the request may have
 * moved its expiry) both; of all others the request.
 */
function missed(request: RecursiveRequest, own: { entry: NodeEntry; id?: number }, body: Uint8Array): Missed {
  const { entry, id } = own;
  if (id === undefined) return { method: request.method, body };
  return 'already' in entry ? { message: id, method: request.method, body } : { message: id };
}

/** False when it is certain that the request found nothing to do; our own failure is no such sign. */
function hasChanged(entry: NodeEntry): boolean {
  if (isFailure(entry)) return true;
  if ('deleted' in entry) return !isEmptyList(entry.deleted);
  if ('updated' in entry) return !isEmptyList(entry.updated);
  return !('count' in entry) || entry.count !== 0;
}

const isEmptyList = (hashes: readonly string[] | HashesByNamespace): boolean =>
  Object.values(hashes).flat().length === 0;

/** §2.7, §9.3.5: 200 when at least one node did it, else 500; `delete` with `required` that deleted nothing: 404. */
function overallStatus(request: RecursiveRequest, entries: readonly NodeEntry[]): number {
  const done = entries.filter((entry) => !isFailure(entry));
  if (done.length === 0) return 500;
  if (request.method !== 'delete' || !request.required) return 200;
  return done.some((entry) => 'deleted' in entry && (entry.deleted as readonly string[]).length > 0)
    ? 200
    : 404;
}

function nestedValue(outcome: Outcome): { code: number; body: unknown } {
  const body =
    outcome.kind === 'json' ? outcome.value : outcome.kind === 'text' ? outcome.text : outcome.bytes;
  return { code: outcome.status, body };
}
