// SPDX-License-Identifier: AGPL-3.0-or-later
// Answers to members that compare with us, and to those who hand over (spec/storage-server §5.13, docs/decisions/0010 and 0013):
// one at a time, so that whoever asks much waits behind himself.
import type { Env } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import {
  type ActEntry,
  decodeReconcileRequest,
  encodeActKeys,
  encodeHeld,
  encodeReconcileReply,
  type ReconcileReply,
  type ReconcileRequest,
} from '@allium/protocol/storage/reconcile';
import type { Mailbox } from '../mailbox/mailbox.ts';
import type { WholeMessage } from '../mailbox/messages.ts';
import { encodeMessages } from './data-push.ts';
import { CUTOFF_MS, type Holdings, LIST_ENTRIES, STEP_BYTES } from './holdings.ts';
import type { Swarm } from './swarm.ts';

// Ours.
const MAX_CUTOFF_OFF_MS = 600_000;
/** Questions of one member that may wait for their turn; an honest one has one. */
const MAX_WAITING = 4;
/** Questions of all others together: whoever hands over after a change of swarms can wait. */
const MAX_WAITING_OTHERS = 8;
/** Stands for all callers that are not of our swarm. */
const OTHERS = '';

/** Who asks. */
export interface ReconcileCaller {
  readonly keyHex: string;
  /** Of its swarm by the list in force; undefined for a node that has left the list and hands over. */
  readonly swarmId: bigint | undefined;
}

export interface ReconcileAnswersParts {
  readonly mailbox: Mailbox;
  readonly swarm: Swarm;
  readonly holdings: Holdings;
}

export class ReconcileAnswers {
  readonly #parts: ReconcileAnswersParts;
  readonly #env: Env;
  #answering: Promise<unknown> = Promise.resolve();
  /** Questions per caller; those of callers that are not of our swarm count for one more together. */
  readonly #waiting = new Map<string, number>();
  readonly #stopping = new AbortController();

  constructor(parts: ReconcileAnswersParts, env: Env) {
    this.#parts = parts;
    this.#env = env;
  }

  /** Nothing is answered any more. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#answering;
  }

  /** Handler of `sn.reconcile`. */
  async answer({ keyHex, swarmId }: ReconcileCaller, part: Uint8Array | undefined): Promise<Uint8Array[]> {
    const own = this.#parts.swarm.id;
    if (part === undefined || own === undefined || this.#stopping.signal.aborted) return [];
    const isOurs = swarmId === own;
    const places = isOurs ? [keyHex] : [keyHex, OTHERS];
    const count = (place: string) => this.#waiting.get(place) ?? 0;
    if (count(keyHex) >= MAX_WAITING || (!isOurs && count(OTHERS) >= MAX_WAITING_OTHERS)) return [];
    for (const place of places) this.#waiting.set(place, count(place) + 1);
    const mine = this.#answering.then(() => this.#reply(decodeReconcileRequest(part), own, isOurs));
    this.#answering = mine.catch(() => undefined);
    try {
      return [encodeReconcileReply(await mine)];
    } catch (error) {
      if (error instanceof ParseError || this.#stopping.signal.aborted) return [];
      throw error;
    } finally {
      for (const place of places) {
        if (count(place) > 1) this.#waiting.set(place, count(place) - 1);
        else this.#waiting.delete(place);
      }
    }
  }

  async #reply(request: ReconcileRequest, own: bigint, isOurs: boolean): Promise<ReconcileReply> {
    const { holdings, mailbox } = this.#parts;
    if ('cutoff' in request) {
      const { kind, prefix, cutoff } = request;
      if (Math.abs(cutoff - CUTOFF_MS - this.#env.clock.now()) > MAX_CUTOFF_OFF_MS) return {};
      const compared = { kind, cutoff, swarm: own };
      if (request.ask === 'digests') {
        const { first, count } = request;
        const { signal } = this.#stopping;
        return { digests: (await holdings.digests(compared, prefix, first, count, signal)).bytes };
      }
      const entries = holdings.entries(compared, prefix);
      if (kind === 'a')
        return { list: encodeActKeys(entries.map(({ key, value }) => ({ key, time: value }))) };
      return { list: encodeHeld(entries.flatMap(({ key }) => mailbox.find(key) ?? [])) };
    }
    if (request.ask === 'put') {
      if (request.kind === 'a') await holdings.takeActs(request.acts, this.#stopping.signal);
      else await holdings.takeExpiries(request.held);
      return {};
    }
    // Others give; what is here is for members.
    if (!isOurs) return {};
    let bytes = 0;
    if (request.kind === 'a') {
      const acts: ActEntry[] = [];
      for (const key of request.keys) {
        const act = mailbox.acts.get(key);
        if (act === undefined) continue;
        bytes += act.body.length;
        if (acts.length > 0 && (bytes > STEP_BYTES || acts.length === LIST_ENTRIES)) break;
        acts.push(act);
      }
      return { acts };
    }
    const messages: WholeMessage[] = [];
    for (const hash of request.keys) {
      const message = mailbox.byHash(hash);
      if (message === undefined || !this.#parts.swarm.serves(message.account.subarray(1))) continue;
      bytes += message.data.length;
      if (messages.length > 0 && bytes > STEP_BYTES) break;
      messages.push(message);
    }
    return { blob: encodeMessages(messages).next().value as Uint8Array };
  }
}
