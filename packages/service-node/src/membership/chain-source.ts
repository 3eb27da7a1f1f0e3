// SPDX-License-Identifier: AGPL-3.0-or-later
// The node list of a network on a chain: registrations and swarms from the chain (spec/chain §4.16, §4.20), addresses from
// uptime proofs (§4.17). The swarms are those of the epoch in force: a node that is decommissioned within it keeps its
// place until the next; the interfaces of §4.21 show its newest state.
import {
  type ChainNetwork,
  type ChainParameters,
  type ChainView,
  type EpochView,
  epochAt,
  type NodeRecord,
  STATE_NUMBERS,
} from '@allium/chain/chain-view';
import { fromHex, toHex, utf8 } from '@allium/protocol/bytes';
import { ed25519PublicKeyToX25519, sha256 } from '@allium/protocol/crypto';
import type { Cancel, Env } from '@allium/protocol/env';
import {
  buildMembership,
  CurrentMembership,
  type Member,
  type Membership,
  type MembershipSource,
  memberOf,
} from '@allium/protocol/membership';
import { encodeActiveNodes } from '@allium/protocol/storage/active-nodes';
import type {
  ListedNetwork,
  ListedNode,
  ListedRegistration,
} from '@allium/protocol/storage/service-node-list';
import { UNASSIGNED_SWARM } from '@allium/protocol/swarm/assignment';
import { hasMoved, type ProofBook } from './proof-book.ts';

// From the specification (spec/chain §4.16, §4.21).
const SECONDS_PER_HEIGHT = 120;
const LIST_DOMAIN = utf8('SN-LIST-v1');

// Ours.
/** Changes of addresses and records within such a time make one new list. */
const GATHER_MS = 100;
/** Longest span of a timer. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export interface ChainSourceParts {
  readonly chain: ChainView;
  readonly book: ProofBook;
  /** How long requests under the swarms of the epoch before are served, ms (spec/chain §4.3). */
  readonly overlapMs: number;
}

export class ChainSource implements MembershipSource {
  readonly #parts: ChainSourceParts;
  readonly #env: Env;
  readonly #membership: CurrentMembership;
  /** Conversion costs more than all else in a list. */
  readonly #x25519 = new Map<string, Uint8Array | undefined>();
  #superseded: Membership | undefined;
  #cancels: Cancel[] = [];
  #cancelGathering: Cancel | undefined;
  #cancelOverlap: Cancel | undefined;

  constructor(parts: ChainSourceParts, env: Env) {
    this.#parts = parts;
    this.#env = env;
    this.#membership = new CurrentMembership(this.#build());
  }

  current(): Membership {
    return this.#membership.current();
  }

  superseded(): Membership | undefined {
    return this.#superseded;
  }

  onChange(listener: (next: Membership, previous: Membership) => void): Cancel {
    return this.#membership.onChange(listener);
  }

  /** Follows the chain, which must be running, and the proofs. */
  start(): void {
    const { chain, book } = this.#parts;
    this.#cancels = [
      chain.onEpoch((next, previous) => this.#epoch(next, previous)),
      chain.onNodes(() => this.#changeSoon()),
      book.onProof(({ proof }, previous) => {
        const isNews =
          previous === undefined ||
          hasMoved(previous.proof, proof) ||
          previous.proof.storageVersion.join() !== proof.storageVersion.join();
        if (isNews) this.#changeSoon();
      }),
    ];
    this.#change();
  }

  /** Takes over what changed just now, without waiting for more. */
  refresh(): void {
    this.#change();
  }

  stop(): void {
    for (const cancel of this.#cancels) cancel();
    this.#cancelGathering?.();
    this.#cancelOverlap?.();
    this.#cancelGathering = undefined;
  }

  height(): number {
    return heightAt(this.#parts.chain.network, this.#env.clock.now() / 1000);
  }

  /** spec/chain §4.21: all nodes that are active or decommissioned by the newest state. */
  listed(): ListedNetwork {
    const { chain, book } = this.#parts;
    const membership = this.current();
    const seconds = Math.floor(this.#env.clock.now() / 1000);
    const members: ListedNode[] = [];
    for (const member of membership.members) {
      const record = chain.nodeByEd25519(member.ed25519Hex);
      if (record === undefined) continue;
      const known = book.proofOf(member.ed25519Hex);
      const isActive = record.state === 'active';
      members.push({
        ...member,
        active: isActive,
        swarmId: isActive ? member.swarmId : UNASSIGNED_SWARM,
        registration: {
          ...registrationOf(record, chain.network, chain.parameters(), seconds),
          ...(known !== undefined && {
            proof: {
              receivedAt: Math.floor(known.receivedAt / 1000),
              nodeVersion: known.proof.nodeVersion,
              signed: known.signed,
            },
          }),
        },
      });
    }
    return { height: this.height(), blockHash: membership.blockHash, members };
  }

  #epoch(next: EpochView, previous: EpochView | undefined): void {
    // Not after a reorganisation, which changes an epoch under its number: the old view was a mistake. Nor when epochs were
    // passed over: others have long gone on.
    if (previous !== undefined && next.epoch === previous.epoch + 1) this.#overlap();
    this.#change();
  }

  #overlap(): void {
    this.#cancelOverlap?.();
    this.#superseded = this.current();
    this.#cancelOverlap = this.#env.clock.after(Math.min(this.#parts.overlapMs, MAX_TIMER_MS), () => {
      this.#superseded = undefined;
      // Whoever watches accounts that are not ours any more is sent on now.
      this.#membership.replace({ ...this.current() });
    });
  }

  #changeSoon(): void {
    this.#cancelGathering ??= this.#env.clock.after(GATHER_MS, () => this.#change());
  }

  #change(): void {
    this.#cancelGathering?.();
    this.#cancelGathering = undefined;
    const next = this.#build();
    const { epoch, blockHash } = this.current();
    if (next.epoch === epoch && next.blockHash === blockHash) return;
    this.#membership.replace(next);
  }

  #build(): Membership {
    const { chain } = this.#parts;
    const view = chain.epochView();
    const now = this.#env.clock.now() / 1000;
    const epoch = view?.epoch ?? Math.max(0, epochAt(chain.network, now));
    const seed = view?.seed ?? new Uint8Array(32);
    const swarmOf = new Map<string, bigint>();
    for (const [id, keys] of view?.swarms ?? []) for (const key of keys) swarmOf.set(key, id);
    // A key may have been registered several times; at most one registration is unfinished.
    const records = new Map<string, NodeRecord>();
    for (const record of chain.nodes().values()) {
      if (!record.valid) continue;
      const isUnfinished = record.state === 'active' || record.state === 'decommissioned';
      // Until its epoch ends, a node that is out of the registry still has its place in a swarm.
      const isPlaced = swarmOf.has(record.ed25519Hex) && !records.has(record.ed25519Hex);
      if (isUnfinished || isPlaced) records.set(record.ed25519Hex, record);
    }
    const members: Member[] = [];
    for (const record of records.values()) {
      const member = this.#member(record, swarmOf.get(record.ed25519Hex));
      if (member !== undefined) members.push(member);
    }
    members.sort((a, b) => (a.ed25519Hex < b.ed25519Hex ? -1 : 1));
    for (const key of this.#x25519.keys()) if (!records.has(key)) this.#x25519.delete(key);
    const blockHash = listHash(seed, members, records);
    return buildMembership({ epoch, seed, height: heightAt(chain.network, now), blockHash, members });
  }

  #member({ ed25519Hex }: NodeRecord, swarmId: bigint | undefined): Member | undefined {
    const proof = this.#parts.book.proofOf(ed25519Hex)?.proof;
    if (!this.#x25519.has(ed25519Hex)) {
      this.#x25519.set(ed25519Hex, ed25519PublicKeyToX25519(fromHex(ed25519Hex, 32)));
    }
    const x25519Key = this.#x25519.get(ed25519Hex);
    if (x25519Key === undefined) return undefined; // Cannot be: a valid registration has such a key.
    return memberOf(
      {
        ed25519Key: fromHex(ed25519Hex, 32),
        host: proof?.host ?? '0.0.0.0',
        httpsPort: proof?.httpsPort ?? 0,
        omqPort: proof?.omqPort ?? 0,
        swarmId: swarmId ?? UNASSIGNED_SWARM,
        // For those who place messages: a node without swarm has none.
        active: swarmId !== undefined,
        ...(proof !== undefined && { version: proof.storageVersion }),
      },
      x25519Key,
    );
  }
}

/** Height at a time, unix seconds (spec/chain §4.16). */
function heightAt({ t0 }: ChainNetwork, seconds: number): number {
  return Math.max(0, Math.floor((seconds - t0) / SECONDS_PER_HEIGHT));
}

/**
 * Ours (spec/chain §4.21): `block_hash` names all that a poller would see anew, addresses and states included.
 * `members` by ascending key.
 */
function listHash(
  seed: Uint8Array,
  members: readonly Member[],
  records: ReadonlyMap<string, NodeRecord>,
): string {
  const states = new DataView(new ArrayBuffer(members.length * 13));
  members.forEach((member, index) => {
    const record = records.get(member.ed25519Hex)!;
    states.setUint8(13 * index, STATE_NUMBERS[record.state]);
    states.setUint32(13 * index + 1, record.stateNonce);
    states.setBigUint64(13 * index + 5, BigInt(record.unlockAt));
  });
  return toHex(sha256([LIST_DOMAIN, seed, encodeActiveNodes(members), new Uint8Array(states.buffer)]));
}

function registrationOf(
  record: NodeRecord,
  network: ChainNetwork,
  parameters: ChainParameters,
  now: number,
): Omit<ListedRegistration, 'proof'> {
  const height = (seconds: number) => heightAt(network, seconds);
  const isActive = record.state === 'active';
  return {
    payable: isActive && record.payable,
    registrationHeight: height(record.registeredAt),
    requestedUnlockHeight: record.unlockAt === 0 ? 0 : height(record.unlockAt),
    stateHeight: height(isActive ? record.activeSince : record.decommissionedAt),
    earnedDowntimeBlocks: Math.floor(downtimeLeft(record, parameters, now) / SECONDS_PER_HEIGHT),
    reasonsAll: record.reasonsAll,
    reasonsAny: record.reasonsAny,
    feeBps: record.feeBps,
    operator: record.operator,
    stake: record.stake,
    contributors: record.contributors,
  };
}

/** Seconds that the node may be away: its credit (spec/chain §4.11), or what is left of the grace. */
function downtimeLeft(record: NodeRecord, parameters: ChainParameters, now: number): number {
  const { creditMax, creditRateNum, creditRateDen, minGrace } = parameters;
  if (record.state !== 'active') {
    return Math.max(0, record.decommissionedAt + Math.max(record.credit, minGrace) - now);
  }
  const earned = (Math.max(0, now - record.activeSince) * creditRateNum) / creditRateDen;
  return Math.min(creditMax, record.credit + earned);
}
