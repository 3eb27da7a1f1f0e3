// SPDX-License-Identifier: AGPL-3.0-or-later
// Spreads the static node list between nodes: `sn.chain_static` (spec/chain §4.23 "Details"). Whoever gets a new list pushes
// it to all; whoever missed that hears of it because every node keeps asking others, members of its own swarm first.

import type { OmqEndpoint } from '@allium/net/omq/endpoint';
import { RateLimiter } from '@allium/net/rate-limiter';
import type { Cancel, Env } from '@allium/protocol/env';
import type { Member, Membership } from '@allium/protocol/membership';
import { Background } from '../background.ts';
import { ask, hasAddress, peerOf } from '../peers.ts';
import type { StaticSource } from './static-source.ts';

// Ours.
const TIMEOUT_MS = 10_000;
/**
 * In the mean; the specification has five minutes (spec/chain §4.23), in which nodes of two lists refuse each other's
 * requests. A question is 20 bytes.
 */
const ASK_MS = 15_000;
/** The first question comes early: a node that was down may have missed a version. */
const FIRST_ASK_MS = 1_000;
/** After one that nobody answered, doubled up to `ASK_MS`: we may be cut off, or the one who was asked is. */
const ASK_AGAIN_MS = 2_000;
/** A push that a member of our swarm missed is repeated, at first after this time, then doubled. */
const PUSH_AGAIN_MS = 1_000;
const LONGEST_PUSH_AGAIN_MS = 60_000;
/** Of callers that are not in the list, by address: each list costs a few signatures. */
const STRANGERS = { capacity: 10, refillMicroseconds: 1_000_000 };
const BRACE = 0x7b;

/** Of whom a question or a list comes. */
export interface ListCaller {
  /** Undefined: not in the list in force. It may be in a newer one. */
  readonly member: Member | undefined;
  readonly remoteAddress: string;
}

export class StaticDistribution {
  readonly #source: StaticSource;
  readonly #omq: OmqEndpoint;
  readonly #ownHex: string;
  readonly #env: Env;
  readonly #strangers: RateLimiter;
  readonly #running: Background;
  /** Members of our swarm that have not answered the push of the list in force; by Ed25519 hex. */
  readonly #missed = new Map<string, { delayMs: number; cancel: Cancel }>();
  #cancels: Cancel[] = [];
  #unanswered = 0;
  #asked = 0;
  #stopping = new AbortController();

  constructor(source: StaticSource, omq: OmqEndpoint, ownHex: string, env: Env) {
    this.#source = source;
    this.#omq = omq;
    this.#ownHex = ownHex;
    this.#env = env;
    this.#running = new Background('exchanging the node list failed', env);
    this.#strangers = new RateLimiter(STRANGERS, env.clock);
  }

  start(): void {
    this.#stopping = new AbortController();
    this.#cancels = [this.#source.onChange((next, previous) => this.#pushToAll(next, previous))];
    this.#schedule(FIRST_ASK_MS);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const cancel of this.#cancels) cancel();
    this.#forgetMissed();
    await this.#running.settled();
  }

  /**
   * Handler of `sn.chain_static`: a list, or the version that the caller has. Anybody may call, or a node that only newer
   * lists have could not show us one.
   */
  answer(part: Uint8Array | undefined, { member, remoteAddress }: ListCaller): Uint8Array[] {
    if (member === undefined && !this.#strangers.take(remoteAddress)) {
      return [Buffer.from('too many requests, try again later')];
    }
    if (part === undefined || part.length === 0) return [Buffer.from('expected one part')];
    if (part.length <= 16 && part[0] !== BRACE) {
      const version = Number(Buffer.from(part).toString());
      if (!Number.isSafeInteger(version) || version < 0) return [Buffer.from('malformed version')];
      const own = this.#source.list.version;
      if (own > version) return [this.#source.bytes];
      return own < version ? [Buffer.from(String(own))] : [];
    }
    return [Buffer.from(this.#source.offer(part, member?.ed25519Hex.slice(0, 8) ?? 'unknown').text)];
  }

  /** A member has spoken to us: what it missed goes out now. */
  wake(ed25519Hex: string): void {
    const missed = this.#missed.get(ed25519Hex);
    if (missed === undefined) return;
    missed.cancel();
    this.#missed.delete(ed25519Hex);
    this.#pushAgain(ed25519Hex, missed.delayMs);
  }

  #schedule(ms: number): void {
    if (this.#stopping.signal.aborted) return;
    this.#cancels[1] = this.#env.clock.after(ms, () =>
      this.#running.run(
        this.#ask().then((answered) => {
          this.#unanswered = answered ? 0 : this.#unanswered + 1;
          this.#schedule(
            answered
              ? ASK_MS / 2 + this.#env.random.below(ASK_MS)
              : Math.min(ASK_MS, ASK_AGAIN_MS * 2 ** (this.#unanswered - 1)),
          );
        }),
      ),
    );
  }

  /** To all members of the old and the new list. */
  #pushToAll(next: Membership, previous: Membership): void {
    this.#forgetMissed();
    const members = new Map([...previous.byEd25519, ...next.byEd25519]);
    members.delete(this.#ownHex);
    for (const member of members.values()) this.#running.run(this.#push(member, PUSH_AGAIN_MS));
  }

  #forgetMissed(): void {
    for (const { cancel } of this.#missed.values()) cancel();
    this.#missed.clear();
  }

  async #push(member: Member, delayMs: number): Promise<void> {
    const { epoch } = this.#source.current();
    const reply = await this.#request(member, this.#source.bytes);
    const { membership, swarm } = this.#place();
    if (reply !== undefined || this.#stopping.signal.aborted || membership.epoch !== epoch) return;
    const { ed25519Hex } = member;
    // Others hear of it from their own swarm, or ask.
    if (swarm === undefined || membership.byEd25519.get(ed25519Hex)?.swarmId !== swarm) return;
    const cancel = this.#env.clock.after(delayMs, () => {
      this.#missed.delete(ed25519Hex);
      this.#pushAgain(ed25519Hex, Math.min(delayMs * 2, LONGEST_PUSH_AGAIN_MS));
    });
    this.#missed.set(ed25519Hex, { delayMs, cancel });
  }

  #pushAgain(ed25519Hex: string, delayMs: number): void {
    const member = this.#source.current().byEd25519.get(ed25519Hex);
    if (member !== undefined) this.#running.run(this.#push(member, delayMs));
  }

  #place() {
    const membership = this.#source.current();
    const self = membership.byEd25519.get(this.#ownHex);
    return { membership, swarm: self?.active === true ? self.swarmId : undefined };
  }

  /** A member of our swarm and any other by turns. True when there was an answer, or nobody to ask. */
  async #ask(): Promise<boolean> {
    const { membership, swarm } = this.#place();
    const near = this.#asked++ % 2 === 0 && swarm !== undefined ? membership.swarms.get(swarm) : undefined;
    const [some, all] = [near ?? [], membership.members].map((members) =>
      members.filter((member) => member.ed25519Hex !== this.#ownHex && hasAddress(member)),
    ) as [Member[], Member[]];
    const others = some.length > 0 ? some : all;
    const member = others[others.length > 0 ? this.#env.random.below(others.length) : 0];
    if (member === undefined) return true;
    const { version } = this.#source.list;
    const reply = await this.#request(member, Buffer.from(String(version)));
    const list = reply?.[0];
    if (list === undefined) return reply !== undefined;
    if (list[0] === BRACE) this.#source.offer(list, member.ed25519Hex.slice(0, 8));
    else await this.#shown(member, Buffer.from(list.subarray(0, 80)).toString());
    return true;
  }

  /** The answer of a member that has no newer list: its own version when that is older. */
  async #shown(member: Member, text: string): Promise<void> {
    if (/^\d{1,15}$/.test(text) && Number(text) < this.#source.list.version) {
      await this.#request(member, this.#source.bytes);
    } else this.#env.log.debug({ answer: text }, 'a member refused the question for the node list');
  }

  async #request(member: Member, part: Uint8Array): Promise<Uint8Array[] | undefined> {
    if (!hasAddress(member)) return undefined;
    const options = { timeoutMs: TIMEOUT_MS, signal: this.#stopping.signal };
    return ask(this.#omq, peerOf(member), 'sn.chain_static', [part], options, (code) =>
      this.#env.log.debug({ peer: member.ed25519Hex.slice(0, 8), code }, 'node list not exchanged'),
    );
  }
}
