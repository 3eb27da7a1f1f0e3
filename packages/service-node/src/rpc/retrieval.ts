// SPDX-License-Identifier: AGPL-3.0-or-later
// `retrieve` (spec/storage-server §2.9.2): what one answer may hold, answers that wait for a message, and their JSON.
import type { Env } from '@allium/protocol/env';
import type { RetrieveRequest, SimpleRequest } from '@allium/protocol/storage/requests';
import { MAX_COST, retrieveLimits } from '@allium/protocol/storage/retrieve-limits';
import type { Mailbox } from '../mailbox/mailbox.ts';
import { hashText, Retrieved } from '../mailbox/messages.ts';
import type { Trouble } from '../mailbox/trouble.ts';
import type { Metrics } from '../metrics.ts';
import type { Carrier, LongPolls, Woken } from '../monitor/long-polls.ts';
import { HARDFORK } from '../protocol-version.ts';
import type { Swarm } from '../swarm/swarm.ts';
import type { Checks } from './checks.ts';
import { failure, type Outcome, wrongSwarm } from './outcome.ts';

/** Ours: what the `retrieve`s of one batch may fill together; else a small request makes a node write 200 MB. */
export interface Budget {
  left: number;
}

export const newBudget = (): Budget => ({ left: MAX_COST });

export interface RetrievalParts {
  readonly mailbox: Mailbox;
  readonly checks: Checks;
  readonly swarm: Swarm;
  readonly polls: LongPolls;
  readonly metrics: Metrics;
}

export class Retrieval {
  readonly #parts: RetrievalParts;
  readonly #trouble: Trouble;
  readonly #env: Env;

  constructor(parts: RetrievalParts, trouble: Trouble, env: Env) {
    this.#parts = parts;
    this.#trouble = trouble;
    this.#env = env;
  }

  /** At once, or held when it is empty and the client would rather wait. Without a carrier nothing is held. */
  execute(
    request: RetrieveRequest,
    budget: Budget,
    carrier: Carrier | undefined,
  ): Outcome | Promise<Outcome> {
    const outcome =
      wrongSwarm(this.#parts.swarm, request.account, this.#env.clock) ?? this.#retrieve(request, budget);
    if (carrier === undefined || request.wait === undefined || !isEmpty(outcome)) return outcome;
    const outcomes = [outcome];
    const seen = this.#parts.polls.arrivals;
    return this.wait([request], outcomes, seen, budget, carrier).then(() => outcomes[0]!);
  }

  #retrieve(request: RetrieveRequest, budget: Budget): Outcome {
    const { checks, metrics } = this.#parts;
    const refused = checks.retrieve(request);
    if (refused !== undefined) return refused;
    const outcome = this.#read(request, request.wait === undefined ? undefined : 0, budget);
    if (outcome.status === 200) metrics.count('retrieve');
    return outcome;
  }

  /**
   * §2.9.2: holds the answer as long as all that was asked with `wait` is empty, and puts what comes in the place of
   * those outcomes. `seen`: arrivals when they were made.
   */
  async wait(
    requests: readonly SimpleRequest[],
    outcomes: Outcome[],
    seen: number,
    budget: Budget,
    carrier: Carrier,
  ): Promise<void> {
    const waiting: RetrieveRequest[] = [];
    const places: number[] = [];
    let ms = 0;
    for (const [i, request] of requests.entries()) {
      if (request.method !== 'retrieve' || request.wait === undefined) continue;
      if (!isEmpty(outcomes[i]!)) return;
      waiting.push(request);
      places.push(i);
      ms = Math.max(ms, request.wait);
    }
    if (ms === 0) return;
    const { polls } = this.#parts;
    const { clock } = this.#env;
    const began = clock.monotonic();
    // What came while other requests of the batch were executed was seen by none of ours.
    let woken: Woken = 'news';
    if (seen === polls.arrivals) {
      const held = polls.hold(waiting, ms, carrier);
      if (held === undefined) return;
      woken = await held;
    }
    for (;;) {
      const waited = Math.round(clock.monotonic() - began);
      for (const [i, request] of waiting.entries()) {
        outcomes[places[i]!] =
          woken === 'over' ? this.#retrieved(NOTHING, waited) : this.#readAgain(request, waited, budget);
      }
      if (woken === 'over' || places.some((place) => !isEmpty(outcomes[place]!))) return;
      const held = polls.hold(waiting, ms - waited, carrier);
      if (held === undefined) return;
      woken = await held;
    }
  }

  #readAgain(request: RetrieveRequest, waited: number, budget: Budget): Outcome {
    return (
      wrongSwarm(this.#parts.swarm, request.account, this.#env.clock) ??
      this.#parts.checks.heldRetrieve(request) ??
      this.#read(request, waited, budget)
    );
  }

  #read(request: RetrieveRequest, waited: number | undefined, budget: Budget): Outcome {
    const { mailbox } = this.#parts;
    const { account, namespace, lastHash } = request;
    const { maxCount, maxCost } = retrieveLimits(request);
    let found: Retrieved;
    try {
      found = mailbox.retrieve(account, namespace, lastHash, maxCount, Math.min(maxCost, budget.left));
    } catch (error) {
      this.#trouble.report('retrieve', error);
      const { hex } = account;
      const name = `${hex.slice(0, 4)}…${hex.slice(-2)}`;
      return failure(500, `Internal Server Error. Could not retrieve messages for ${name}`);
    }
    budget.left = Math.max(0, budget.left - Math.ceil((found.data.length * 4) / 3));
    return this.#retrieved(found, waited);
  }

  #retrieved(found: Retrieved, waited: number | undefined): Outcome {
    const stamp = { t: this.#env.clock.now(), hf: HARDFORK };
    return {
      status: 200,
      kind: 'json',
      isEmpty: found.rows.length === 0,
      // For bt callers; the common JSON way does not make these objects.
      get value() {
        return {
          messages: found.messages().map(({ hash, timestamp, expiry, data }) => ({
            hash: hashText(hash),
            timestamp,
            expiration: expiry,
            data,
          })),
          more: found.more,
          ...(waited !== undefined && { waited }),
          ...stamp,
        };
      },
      encode: () => retrievedJson(found, stamp.t, waited),
    };
  }
}

const NOTHING = new Retrieved([], new Uint8Array(0), new Uint8Array(0), false);

const isEmpty = (outcome: Outcome): boolean => outcome.kind === 'json' && outcome.isEmpty === true;

/** The JSON answer to `retrieve`, written straight into one buffer (bench: retrieve). */
function retrievedJson(
  { rows, hashes, data, more }: Retrieved,
  now: number,
  waited: number | undefined,
): Buffer {
  const end = `],"more":${more},"t":${now}${waited === undefined ? '' : `,"waited":${waited}`}}`;
  // Numbers have at most 16 digits, so no entry is longer than this.
  let size = 64 + end.length;
  for (const [, length] of rows) size += 4 * Math.ceil(length / 3) + 144;
  const json = Buffer.allocUnsafe(size);
  let head = `{"hf":[${HARDFORK}],"messages":[`;
  let written = 0;
  let offset = 0;
  for (const [i, [, length, timestamp, expiry]] of rows.entries()) {
    written += json.write(`${head}{"data":"`, written, 'latin1');
    written += json.write(data.toString('base64', offset, offset + length), written, 'latin1');
    offset += length;
    const hash = hashes.toString('base64', 32 * i, 32 * i + 32).slice(0, 43);
    head = `","expiration":${expiry},"hash":"${hash}","timestamp":${timestamp}},`;
  }
  written += json.write(rows.length === 0 ? head : head.slice(0, -1), written, 'latin1');
  written += json.write(end, written, 'latin1');
  return json.subarray(0, written);
}
