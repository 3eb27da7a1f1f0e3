// SPDX-License-Identifier: MIT
// The node list of a network without a client: fetched and checked once, for tools; and the newest anchor, to be kept.
import type { Env, Transport } from '@allium/protocol/env';
import {
  CERTIFICATE_METHOD,
  parseCertificateAnswer,
  parseStaticListAnswer,
  STATIC_LIST_METHOD,
} from '@allium/protocol/membership/evidence';
import { parseStaticList } from '@allium/protocol/membership/static-list';
import { ClientError } from '../errors.ts';
import { MemoryStorage } from '../storage/memory.ts';
import type { PoolNode } from '../storage/storage.ts';
import { fetchFromSeeds, seedEvidence } from './bootstrap.ts';
import type { Seed } from './presets.ts';
import { type Checked, explainTrust, Trust, type TrustOptions } from './trust.ts';
import { encodeTrustAnchor } from './trust-anchor.ts';

interface ListCheck {
  readonly seeds: readonly Seed[];
  readonly transport: Transport;
  readonly env: Env;
  readonly signal: AbortSignal;
}

/** @throws ClientError `no_network`, `no_nodes`, `unverified`; ParseError for an anchor that is none */
export async function checkNodeList(
  options: ListCheck & { trust?: TrustOptions },
): Promise<Checked<PoolNode>> {
  const { seeds, transport, env, signal } = options;
  const trust = new Trust(options.trust ?? {}, { storage: new MemoryStorage(), env });
  const list = await fetchFromSeeds(
    seeds,
    signal,
    { transport, env, proofs: trust.wantsProofs },
    (entries, ask, either) => trust.check(entries, ask, { proven: false, signal: either }),
  );
  if (trust.isRequired && list.state.state !== 'verified') {
    throw new ClientError('unverified', explainTrust(list.state));
  }
  return list;
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
