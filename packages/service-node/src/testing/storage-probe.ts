// SPDX-License-Identifier: AGPL-3.0-or-later
// Whether a node gives out what its swarm holds (spec/chain §4.18): a message for an account made up for the purpose is
// stored through another member of the swarm, and fetched from the target a minute later. Everything goes over HTTPS with
// the requests of an ordinary client.
import { httpsOrigin } from '@allium/net/https-transport';
import { equal, fromUtf8 } from '@allium/protocol/bytes';
import { ed25519KeyPair, ed25519PublicKeyToX25519, ed25519Sign, randomBytes } from '@allium/protocol/crypto';
import { delay, type Env, type Transport, TransportError } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import { parseJson } from '@allium/protocol/json';
import { type Member, type Membership, swarmFor } from '@allium/protocol/membership';
import { encodeJsonBody } from '@allium/protocol/storage/request-writer';
import {
  type AccountPubkey,
  parseAccountPubkey,
  type StorageRequest,
} from '@allium/protocol/storage/requests';
import { parseRetrieveResult } from '@allium/protocol/storage/responses';
import { type RequestSigner, signRequest } from '@allium/protocol/storage/signatures';
import { hasAddress } from '../peers.ts';

// From the specification.
const TTL_MS = 3_600_000;

// Ours.
/** Lengths of ordinary padded messages. */
const MESSAGE_BYTES = 512;
/** A swarm that no key falls to, though it stands on the ring, does not hang the tester. */
const MAX_TRIES = 50_000;

/** `void`: nothing was learnt, for instance because the rest of the swarm does not have the message either. */
export type ProbeOutcome = 'found' | 'missed' | 'void';

export interface StorageProbeParts {
  readonly transport: Transport;
  readonly membership: () => Membership;
  readonly ownHex: string;
  readonly timeoutMs: number;
  /** Between storing and fetching, ms. */
  readonly waitMs: number;
}

interface Ephemeral {
  readonly account: AccountPubkey;
  readonly signer: RequestSigner;
}

export class StorageProbe {
  readonly #parts: StorageProbeParts;
  readonly #env: Env;

  constructor(parts: StorageProbeParts, env: Env) {
    this.#parts = parts;
    this.#env = env;
  }

  /** Probes one member of a swarm. Rejects only with what `signal` was aborted for. */
  async run(targetHex: string, signal: AbortSignal): Promise<ProbeOutcome> {
    const { clock, random } = this.#env;
    const membership = this.#parts.membership();
    const target = membership.byEd25519.get(targetHex);
    if (target?.active !== true || !hasAddress(target)) return 'void';
    const others = this.#othersOf(membership, target);
    const ephemeral = accountIn(membership, target.swarmId);
    if (others.length === 0 || ephemeral === undefined) return 'void';
    const data = randomBytes(MESSAGE_BYTES);
    const timestamp = clock.now();
    const { account } = ephemeral;
    const store: StorageRequest = {
      method: 'store',
      account,
      namespace: 0,
      timestamp,
      expiry: timestamp + TTL_MS,
      data,
    };
    const through = others[random.below(others.length)]!;
    if ((await this.#ask(through, store, signal)) === undefined) return 'void';
    await delay(clock, this.#parts.waitMs, signal);
    if (await this.#has(target, ephemeral, data, signal)) return 'found';
    // The target may have left the swarm meanwhile, or moved.
    const now = this.#parts.membership();
    const later = now.byEd25519.get(targetHex);
    if (later?.active !== true || swarmFor(now, account.key)?.id !== later.swarmId) return 'void';
    const have = await Promise.all(others.map((other) => this.#has(other, ephemeral, data, signal)));
    return 2 * have.filter((has) => has).length >= others.length ? 'missed' : 'void';
  }

  #othersOf(membership: Membership, target: Member): Member[] {
    const { ownHex } = this.#parts;
    return (membership.swarms.get(target.swarmId) ?? []).filter(
      ({ ed25519Hex }) => ed25519Hex !== target.ed25519Hex && ed25519Hex !== ownHex,
    );
  }

  async #has(member: Member, { account, signer }: Ephemeral, data: Uint8Array, signal: AbortSignal) {
    const timestamp = this.#env.clock.now();
    const request = signRequest({ method: 'retrieve', account, namespace: 0, timestamp }, signer);
    const answer = await this.#ask(member, request, signal);
    if (answer === undefined) return false;
    try {
      const { messages } = parseRetrieveResult(parseJson(fromUtf8(answer)));
      return messages.some((message) => equal(message.data, data));
    } catch (error) {
      if (error instanceof ParseError) return false;
      throw error;
    }
  }

  /** Body of an answer with status 200. */
  async #ask(member: Member, request: StorageRequest, signal: AbortSignal): Promise<Uint8Array | undefined> {
    if (!hasAddress(member)) return undefined;
    try {
      const { status, body } = await this.#parts.transport.request({
        url: `${httpsOrigin(member.host, member.httpsPort)}/storage_rpc/v1`,
        body: encodeJsonBody(request),
        timeoutMs: this.#parts.timeoutMs,
        signal,
      });
      return status === 200 ? body : undefined;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof TransportError) return undefined;
      throw error;
    }
  }
}

/** An account of the swarm, as good as any; undefined when none was found. */
function accountIn(membership: Membership, swarmId: bigint): Ephemeral | undefined {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const { publicKey, secretKey } = ed25519KeyPair(randomBytes(32));
    const key = ed25519PublicKeyToX25519(publicKey);
    if (key === undefined || swarmFor(membership, key)?.id !== swarmId) continue;
    const bytes = new Uint8Array(33);
    bytes[0] = 0x05;
    bytes.set(key, 1);
    return {
      account: parseAccountPubkey(bytes),
      signer: { sign: (message) => ed25519Sign(message, secretKey), ed25519Key: publicKey },
    };
  }
  return undefined;
}
