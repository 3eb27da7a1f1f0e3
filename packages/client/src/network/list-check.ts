// SPDX-License-Identifier: MIT
// The node list of a network without a client: fetched and checked once, for tools; and the newest anchor, to be kept.
import type { Env, Transport } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import type { Json } from '@allium/protocol/json';
import {
  CERTIFICATE_METHOD,
  parseCertificateAnswer,
  parseStaticListAnswer,
  STATIC_LIST_METHOD,
} from '@allium/protocol/membership/evidence';
import { parseStaticList } from '@allium/protocol/membership/static-list';
import { parseServiceNodeHealth, type ServiceNodeHealth } from '@allium/protocol/storage/network-health';
import { parseServiceNodeList, type ServiceNodeState } from '@allium/protocol/storage/service-node-list';
import { ClientError } from '../errors.ts';
import { MemoryStorage } from '../storage/memory.ts';
import { seedEvidence } from './bootstrap.ts';
import type { Seed } from './presets.ts';
import { explainTrust, Trust, type TrustOptions, type TrustState } from './trust.ts';
import { encodeTrustAnchor } from './trust-anchor.ts';

interface ListCheck {
  readonly seeds: readonly Seed[];
  readonly transport: Transport;
  readonly env: Env;
  readonly signal: AbortSignal;
}

/** What one seed says of its network. */
export interface InspectedNetwork {
  readonly seed: string;
  /** Those with an address, the inactive ones too. */
  readonly nodes: readonly ServiceNodeState[];
  /** Undefined: the seed does not tell which nodes are active. */
  readonly health: ServiceNodeHealth | undefined;
  /** Of its active nodes. */
  readonly trust: TrustState;
}

/**
 * Asks the seeds one after the other until one gives a list that can be checked; where none can, the first list. One
 * question to a seed, and those for the evidence.
 * @throws ClientError `no_nodes`, whose message says what was wrong with which seed; `unverified`; ParseError for an anchor
 * that is none; the reason of the signal
 */
export async function inspectNetwork(
  options: ListCheck & { trust?: TrustOptions },
): Promise<InspectedNetwork> {
  const { seeds, transport, env, signal } = options;
  const reasons: string[] = [];
  let first: InspectedNetwork | undefined;
  for (const seed of seeds) {
    const ask = seedEvidence(seed, signal, transport);
    const trust = new Trust(options.trust ?? {}, { storage: new MemoryStorage(), env });
    try {
      const result = await ask('get_service_nodes', {
        active_only: false,
        fields: { all: true, ...(trust.wantsProofs && { proof: true }) },
      });
      const { nodes } = parseServiceNodeList(result);
      const active = nodes.filter((node) => node.active !== false);
      const { state } = await trust.check(active, ask, { proven: false, signal });
      const found = { seed: seed.url, nodes, health: healthOf(result), trust: state };
      if (state.state === 'verified' || state.reason === 'no_anchor') first = found;
      else {
        first ??= found;
        continue;
      }
      break;
    } catch (error) {
      signal.throwIfAborted();
      reasons.push(`${seed.url}: ${(error as Error).message}`);
    }
  }
  if (first === undefined) {
    throw new ClientError('no_nodes', `no seed gave a list of nodes (${reasons.join('; ')})`);
  }
  if (options.trust?.requireVerified === true && first.trust.state !== 'verified') {
    throw new ClientError('unverified', explainTrust(first.trust));
  }
  return first;
}

function healthOf(result: Json): ServiceNodeHealth | undefined {
  try {
    return parseServiceNodeHealth(result);
  } catch (error) {
    if (error instanceof ParseError) return undefined;
    throw error;
  }
}

/**
 * What the first seed that answers gives as certificate or signed list, as a file for `parseTrustAnchor`. Nobody has checked
 * it: compare its digest with one from another source before trusting it.
 * @throws ClientError `no_nodes`
 */
export async function fetchAnchor({ seeds, transport, signal }: Omit<ListCheck, 'env'>): Promise<Uint8Array> {
  let last: unknown;
  for (const seed of seeds) {
    const ask = seedEvidence(seed, signal, transport);
    try {
      const { certificate, t0, epochSeconds } = parseCertificateAnswer(await ask(CERTIFICATE_METHOD, {}));
      if (certificate !== undefined) return encodeTrustAnchor(certificate, { t0, epochSeconds });
    } catch (error) {
      last = error;
    }
    try {
      const list = parseStaticListAnswer(await ask(STATIC_LIST_METHOD, {}));
      parseStaticList(list);
      return list;
    } catch (error) {
      last = error;
    }
    signal.throwIfAborted();
  }
  throw new ClientError('no_nodes', 'no seed gave a certificate or a signed list of the nodes', {
    cause: last,
  });
}
