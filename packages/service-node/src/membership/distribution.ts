// SPDX-License-Identifier: AGPL-3.0-or-later
// Spreads the static node list between nodes: `sn.chain_static` (spec/chain §4.23 "Details").
import { type OmqEndpoint, OmqError } from '@allium/net/omq/endpoint';
import { fromUtf8 } from '@allium/protocol/bytes';
import type { Cancel, Env } from '@allium/protocol/env';
import type { Member, Membership } from '@allium/protocol/membership';
import { hasAddress } from '../swarm/replication.ts';
import type { StaticSource } from './static-source.ts';

// From the specification (spec/chain §4.23).
const ASK_INTERVAL_MS = 300_000;

// Ours.
const TIMEOUT_MS = 10_000;
/** The first question comes early: a node that was down may have missed a version. */
const FIRST_ASK_MS = 5_000;

export class StaticDistribution {
  readonly #source: StaticSource;
  readonly #omq: OmqEndpoint;
  readonly #ownHex: string;
  readonly #env: Env;
  readonly #running = new Set<Promise<void>>();
  #cancels: Cancel[] = [];
  #stopping = new AbortController();

  constructor(source: StaticSource, omq: OmqEndpoint, ownHex: string, env: Env) {
    this.#source = source;
    this.#omq = omq;
    this.#ownHex = ownHex;
    this.#env = env;
  }

  start(): void {
    this.#stopping = new AbortController();
    this.#cancels = [this.#source.onChange((next, previous) => this.#push(next, previous))];
    this.#schedule(FIRST_ASK_MS);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const cancel of this.#cancels) cancel();
    await Promise.all(this.#running);
  }

  /** Handler of `sn.chain_static`: a list, or the version that the caller has. */
  answer(part: Uint8Array | undefined, from: string): Uint8Array[] {
    if (part === undefined || part.length === 0) return [Buffer.from('expected one part')];
    if (part.length <= 16 && part[0] !== 0x7b) {
      const version = Number(Buffer.from(part).toString());
      if (!Number.isSafeInteger(version) || version < 0) return [Buffer.from('malformed version')];
      return this.#source.list.version > version ? [this.#source.bytes] : [];
    }
    return [Buffer.from(this.#source.offer(part, from).text)];
  }

  #schedule(ms: number): void {
    this.#cancels[1] = this.#env.clock.after(ms, () => {
      this.#run(this.#ask());
      this.#schedule(ASK_INTERVAL_MS);
    });
  }

  #run(work: Promise<void>): void {
    const run = work
      .catch((error: unknown) =>
        this.#env.log.error({ error: String(error) }, 'exchanging the node list failed'),
      )
      .finally(() => this.#running.delete(run));
    this.#running.add(run);
  }

  /** To all members of the old and the new list. */
  #push(next: Membership, previous: Membership): void {
    const members = new Map([...previous.byEd25519, ...next.byEd25519]);
    members.delete(this.#ownHex);
    const { bytes } = this.#source;
    for (const member of members.values()) this.#run(this.#request(member, bytes).then(() => {}));
  }

  async #ask(): Promise<void> {
    const others = this.#source.current().members.filter((member) => member.ed25519Hex !== this.#ownHex);
    const member = others[others.length > 0 ? this.#env.random.below(others.length) : 0];
    if (member === undefined) return;
    const reply = await this.#request(member, Buffer.from(String(this.#source.list.version)));
    const list = reply?.[0];
    if (list === undefined) return;
    if (list[0] === 0x7b) this.#source.offer(list, member.ed25519Hex.slice(0, 8));
    else
      this.#env.log.debug(
        { answer: fromUtf8(list.subarray(0, 80)) },
        'a member refused the question for the node list',
      );
  }

  async #request(member: Member, part: Uint8Array): Promise<Uint8Array[] | undefined> {
    if (!hasAddress(member)) return undefined;
    try {
      return await this.#omq.request(
        { host: member.host, port: member.omqPort, publicKey: member.x25519Key },
        'sn.chain_static',
        [part],
        { timeoutMs: TIMEOUT_MS, signal: this.#stopping.signal },
      );
    } catch (error) {
      if (!(error instanceof OmqError)) throw error;
      this.#env.log.debug(
        { peer: member.ed25519Hex.slice(0, 8), code: error.code },
        'node list not exchanged',
      );
      return undefined;
    }
  }
}
