// SPDX-License-Identifier: AGPL-3.0-or-later
// What an account signed to shorten the life of its messages, laid over an expiry that a member tells (spec/storage-server
// §5.13: of two expiries the later one stands, after all acts since its time that shorten it).
import { decodeForward } from '@allium/protocol/storage/request-reader';
import type { ExpireAllRequest, ExpireRequest } from '@allium/protocol/storage/requests';
import { expireMode } from '@allium/protocol/storage/signatures';
import type { Act } from './acts.ts';
import { type Held, hashText } from './messages.ts';

export interface ExpiryLimit {
  readonly request: ExpireRequest | ExpireAllRequest;
  readonly time: number;
}

/** As the acts say it, in the order of theirs. */
export function expiryLimits(acts: readonly Act[]): readonly ExpiryLimit[] {
  return acts.flatMap(({ method, body, time }): ExpiryLimit[] => {
    const request = decodeForward(method, body);
    const isOne = request?.method === 'expire' && expireMode(request) !== 'extend';
    return isOne || request?.method === 'expire_all' ? [{ request, time }] : [];
  });
}

/** The message of a namespace with the expiry that the limits since its last change leave it. */
export function shortened(
  { hash, expiry, changed }: Held,
  namespace: number,
  limits: readonly ExpiryLimit[],
): Held {
  const text = hashText(hash);
  let held: Held = { hash, expiry, changed };
  for (const { request, time } of limits) {
    if (time < changed) continue;
    let limit: number | undefined;
    if (request.method === 'expire_all') {
      if (request.namespace === 'all' || request.namespace === namespace) limit = request.expiry;
    } else {
      const place = request.messages.indexOf(text);
      if (place >= 0) limit = request.expiries[request.expiries.length === 1 ? 0 : place];
    }
    if (limit !== undefined && limit < held.expiry) held = { hash, expiry: limit, changed: time };
  }
  return held;
}
