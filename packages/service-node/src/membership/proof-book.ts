// SPDX-License-Identifier: AGPL-3.0-or-later
// The newest uptime proof of every node, and which proofs are taken (spec/chain §4.17). Kept in `proofs.bt` of the data
// folder, so that a restarted node knows where the others are.

import { AddressRules } from '@allium/net/address-rules';
import { type BtValue, btInteger, btList, decodeBtDict, encodeBt } from '@allium/protocol/bencode';
import { equal } from '@allium/protocol/bytes';
import type { Cancel, Env } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import {
  decodeSignedProof,
  decodeUptimeProof,
  type SignedUptimeProof,
  type UptimeProof,
  type Version,
  verifyUptimeProof,
} from '@allium/protocol/membership/uptime-proof';

// From the specification (spec/chain §4.17).
const MOVE_PAUSE_MS = 60_000;
const MOVES_PER_DAY = 6;
const KEPT_AFTER_LEAVING_MS = 6 * 3_600_000;

// Ours.
const DAY_MS = 86_400_000;
const SWEEP_MS = 60_000;
/** A node that dies loses so much of what it heard, and asks for it again. */
const WRITE_PAUSE_MS = 30_000;
/** More nodes than any registry is built for; a proof takes some 500 bytes. */
const MAX_PROOFS = 50_000;
/** Values per entry of the file, with room. */
const VALUES_PER_PROOF = 32;
/** Test networks run on one machine or in one house. */
const PRIVATE_RANGES = ['10.0.0.0/8', '127.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'];

export interface ProofRules {
  /** Lower case. */
  readonly registry: `0x${string}`;
  readonly chainId: number;
  /** How often each node sends one. */
  readonly frequencyMs: number;
  readonly validityMs: number;
  /** Between the clock of the signer and ours. */
  readonly toleranceMs: number;
  /** Test presets: nodes may stand at loopback and private addresses. */
  readonly privateAddresses: boolean;
  /** Of the node software, as announced by the registry. */
  readonly minimumVersion: () => Version;
}

export interface KnownProof {
  readonly proof: UptimeProof;
  /** Unix ms; of a proof that a third node gave us on request: its own time. */
  readonly receivedAt: number;
  readonly signed: SignedUptimeProof;
}

/** `same`: held already. `older`: a newer one is held. `too_soon`: half the frequency, or a minute after a move. */
export type ProofRefusal =
  | 'malformed'
  | 'other_network'
  | 'wrong_time'
  | 'address'
  | 'version'
  | 'unknown_node'
  | 'same'
  | 'older'
  | 'too_soon'
  | 'signature'
  | 'full';

export type ProofVerdict =
  | { readonly accepted: true; readonly known: KnownProof; readonly previous?: KnownProof }
  | { readonly accepted: false; readonly reason: ProofRefusal; readonly known?: KnownProof };

/** `pushed`: fresh from its signer or a relay. `pulled`: asked for, so it may be as old as proofs are valid. */
export type ProofOrigin = 'pushed' | 'pulled';

interface Entry extends KnownProof {
  /** When the address changed before its time, ms; the last day's only. */
  readonly moves: readonly number[];
  /** When its node was first seen to be no node any more. */
  leftAt?: number;
}

/** Where the proofs lie; `ListFiles` of the static list fits. */
export interface ProofFiles {
  read(path: string): Promise<Uint8Array | undefined>;
  /** Whole or not at all. */
  write(path: string, bytes: Uint8Array): Promise<void>;
}

export interface ProofBookParts {
  readonly rules: ProofRules;
  readonly files: ProofFiles;
  readonly path: string;
  /** Whether the key is of a valid node that is active or decommissioned. */
  readonly isNode: (ed25519Hex: string) => boolean;
}

export class ProofBook {
  readonly #parts: ProofBookParts;
  readonly #env: Env;
  readonly #addresses: AddressRules;
  readonly #entries = new Map<string, Entry>();
  readonly #listeners = new Set<(known: KnownProof, previous: KnownProof | undefined) => void>();
  #cancelSweep: Cancel | undefined;
  #cancelWrite: Cancel | undefined;
  #writing: Promise<void> = Promise.resolve();
  #stopped = true;

  constructor(parts: ProofBookParts, env: Env) {
    this.#parts = parts;
    this.#env = env;
    this.#addresses = addressRules(parts.rules.privateAddresses);
  }

  get rules(): ProofRules {
    return this.#parts.rules;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Also of a node that left less than six hours ago. */
  proofOf(ed25519Hex: string): KnownProof | undefined {
    return this.#entries.get(ed25519Hex);
  }

  /** Told of every proof that is taken. The listener must not throw. */
  onProof(listener: (known: KnownProof, previous: KnownProof | undefined) => void): Cancel {
    const own = (known: KnownProof, previous: KnownProof | undefined) => listener(known, previous);
    this.#listeners.add(own);
    return () => {
      this.#listeners.delete(own);
    };
  }

  /** Judges a proof in its wire form. */
  offer(wire: Uint8Array, origin: ProofOrigin): ProofVerdict {
    let signed: SignedUptimeProof;
    try {
      signed = decodeSignedProof(wire);
    } catch (error) {
      if (error instanceof ParseError) return { accepted: false, reason: 'malformed' };
      throw error;
    }
    return this.take(signed, origin);
  }

  /** Judges a proof (spec/chain §4.17) and keeps it when it is good. */
  take(signed: SignedUptimeProof, origin: ProofOrigin): ProofVerdict {
    const { proof } = signed;
    const held = this.#entries.get(proof.ed25519Hex);
    const refuse = (reason: ProofRefusal): ProofVerdict => ({
      accepted: false,
      reason,
      ...(held !== undefined && { known: held }),
    });
    if (held !== undefined && equal(held.signed.bytes, signed.bytes)) return refuse('same');
    const now = this.#env.clock.now();
    const reason = this.#fault(proof, origin, now);
    if (reason !== undefined) return refuse(reason);
    // Ours: what a third node hands us shows that the signer was there at `t`, not that it is there now.
    const receivedAt = origin === 'pushed' ? now : Math.min(now, proof.time * 1000);
    const moves = held === undefined ? [] : held.moves.filter((time) => receivedAt - time < DAY_MS);
    let isEarlyMove = false;
    if (held !== undefined) {
      if (proof.time <= held.proof.time) return refuse('older');
      const pause = receivedAt - held.receivedAt;
      if (pause < this.rules.frequencyMs / 2) {
        isEarlyMove = hasMoved(held.proof, proof);
        if (!isEarlyMove || pause < MOVE_PAUSE_MS || moves.length >= MOVES_PER_DAY) return refuse('too_soon');
      }
    } else if (this.#entries.size >= MAX_PROOFS) return refuse('full');
    // Last, because it costs the most.
    if (!verifyUptimeProof(signed)) return refuse('signature');
    const entry: Entry = { proof, receivedAt, signed, moves: isEarlyMove ? [...moves, receivedAt] : moves };
    this.#entries.set(proof.ed25519Hex, entry);
    this.#writeSoon();
    for (const listener of [...this.#listeners]) listener(entry, held);
    return { accepted: true, known: entry, ...(held !== undefined && { previous: held }) };
  }

  #fault(proof: UptimeProof, origin: ProofOrigin, now: number): ProofRefusal | undefined {
    const { rules, isNode } = this.#parts;
    if (proof.registry !== rules.registry || proof.chainId !== rules.chainId) return 'other_network';
    const age = now - proof.time * 1000;
    const oldest = origin === 'pushed' ? rules.toleranceMs : rules.validityMs;
    if (age > oldest || age < -rules.toleranceMs) return 'wrong_time';
    if (!this.#addresses.allows(proof.host)) return 'address';
    if (isBelow(proof.nodeVersion, rules.minimumVersion())) return 'version';
    return isNode(proof.ed25519Hex) ? undefined : 'unknown_node';
  }

  /** Reads what was kept. A file that cannot be read is told of and replaced: others have the proofs too. */
  async start(): Promise<void> {
    const { files, path } = this.#parts;
    try {
      const bytes = await files.read(path);
      if (bytes !== undefined) this.#restore(bytes);
    } catch (error) {
      this.#env.log.warn({ file: path, error: String(error) }, 'kept uptime proofs are not readable');
    }
    this.#stopped = false;
    this.#sweepLater();
  }

  /** Writes what is not written yet. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelSweep?.();
    if (this.#cancelWrite !== undefined) {
      this.#cancelWrite();
      this.#write();
    }
    await this.#writing;
  }

  #sweepLater(): void {
    this.#cancelSweep = this.#env.clock.after(SWEEP_MS, () => {
      this.#sweep();
      this.#sweepLater();
    });
  }

  #sweep(): void {
    const now = this.#env.clock.now();
    for (const [key, entry] of this.#entries) {
      if (this.#parts.isNode(key)) {
        delete entry.leftAt;
        continue;
      }
      entry.leftAt ??= now;
      if (now - entry.leftAt < KEPT_AFTER_LEAVING_MS) continue;
      this.#entries.delete(key);
      this.#writeSoon();
    }
  }

  #writeSoon(): void {
    if (this.#stopped || this.#cancelWrite !== undefined) return;
    this.#cancelWrite = this.#env.clock.after(WRITE_PAUSE_MS, () => this.#write());
  }

  #write(): void {
    this.#cancelWrite = undefined;
    const { files, path } = this.#parts;
    const bytes = encodeBt({
      p: [...this.#entries.values()].map(({ receivedAt, signed, moves, leftAt }) => [
        signed.bytes,
        signed.signature,
        receivedAt,
        moves,
        leftAt ?? 0,
      ]),
      v: 1,
    });
    this.#writing = this.#writing
      .then(() => files.write(path, bytes))
      .catch((error: unknown) =>
        this.#env.log.error({ file: path, error: String(error) }, 'uptime proofs could not be written'),
      );
  }

  #restore(bytes: Uint8Array): void {
    const dict = decodeBtDict(bytes, { maxDepth: 4, maxValues: MAX_PROOFS * VALUES_PER_PROOF });
    if (btInteger(dict, 'v') !== 1) throw new ParseError('uptime_proof', 'a file of another version');
    for (const item of btList(dict, 'p') ?? []) {
      const entry = restored(item);
      const { registry, chainId } = entry.proof;
      // Whoever takes the folder to another network starts anew.
      if (registry !== this.rules.registry || chainId !== this.rules.chainId) continue;
      this.#entries.set(entry.proof.ed25519Hex, entry);
    }
  }
}

/** Whether a proof may name the address. */
export function isPublicAddress(host: string, privateAddresses: boolean): boolean {
  return addressRules(privateAddresses).allows(host);
}

const addressRules = (privateAddresses: boolean): AddressRules =>
  new AddressRules(privateAddresses ? PRIVATE_RANGES : []);

/** Whether others have to look for the node elsewhere. */
export function hasMoved(before: UptimeProof, after: UptimeProof): boolean {
  return (
    before.host !== after.host || before.httpsPort !== after.httpsPort || before.omqPort !== after.omqPort
  );
}

export function isBelow(version: Version, minimum: Version): boolean {
  for (let i = 0; i < 3; i++) {
    if (version[i] !== minimum[i]) return version[i]! < minimum[i]!;
  }
  return false;
}

/** @throws ParseError */
function restored(item: BtValue): Entry {
  const [bytes, signature, receivedAt, moves, leftAt] = Array.isArray(item) ? item : [];
  if (
    !(bytes instanceof Uint8Array && signature instanceof Uint8Array && Array.isArray(moves)) ||
    typeof receivedAt !== 'number' ||
    !moves.every((time) => typeof time === 'number') ||
    typeof leftAt !== 'number'
  ) {
    throw new ParseError('uptime_proof', 'not an entry of kept proofs');
  }
  const signed = {
    bytes: Uint8Array.from(bytes),
    signature: Uint8Array.from(signature),
    proof: decodeUptimeProof(bytes),
  };
  return { proof: signed.proof, signed, receivedAt, moves, ...(leftAt > 0 && { leftAt }) };
}
