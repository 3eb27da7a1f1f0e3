// SPDX-License-Identifier: AGPL-3.0-or-later
// What must hold before a request is executed: swarm, times, signature, in the order and with the texts of each
// method (spec/storage-server §2.7, §2.9). `undefined` means all is well.
import type { Clock } from '@allium/protocol/env';
import { isOpenRetrieve, isPublicInbox, isUnrevocable } from '@allium/protocol/namespaces';
import type {
  DeleteAllRequest,
  RecursiveRequest,
  RetrieveRequest,
  RevokeSubaccountRequest,
  StoreRequest,
  UnrevokeSubaccountRequest,
} from '@allium/protocol/storage/requests';
import { expireMode, type SignableRequest, verifyRequest } from '@allium/protocol/storage/signatures';
import { ACT_LIFE_MS } from '../mailbox/acts.ts';
import type { Mailbox } from '../mailbox/mailbox.ts';
import type { KeyConverter } from './key-converter.ts';
import { failure, type Outcome } from './outcome.ts';

// From the specification (§2.9, §7).
const SIGNATURE_TOLERANCE_MS = 60_000;
/** §9.3.7: for every forwarded copy. */
const FORWARDED_TOLERANCE_MS = 70_000;
const STORE_TOLERANCE_MS = 10_000;
const TTL_MIN_MS = 10_000;
const DAY_MS = 86_400_000;
const TTL_MAX_INBOX_MS = 14 * DAY_MS;
export const TTL_MAX_MS = 30 * DAY_MS;

/** Longest lifetime in a namespace. */
const ttlMax = (namespace: number): number => (isPublicInbox(namespace) ? TTL_MAX_INBOX_MS : TTL_MAX_MS);

type Checked = Exclude<SignableRequest, StoreRequest | RetrieveRequest>;

/** Requests whose signatures grow stale, and which can be executed late without harm. */
export type LateRequest = DeleteAllRequest | RevokeSubaccountRequest | UnrevokeSubaccountRequest;

export const isLate = (request: RecursiveRequest): request is LateRequest =>
  request.method === 'delete_all' ||
  request.method === 'revoke_subaccount' ||
  request.method === 'unrevoke_subaccount';

export class Checks {
  readonly #mailbox: Mailbox;
  readonly #clock: Clock;
  readonly #keys: KeyConverter;

  constructor(mailbox: Mailbox, clock: Clock, keys: KeyConverter) {
    this.#mailbox = mailbox;
    this.#clock = clock;
    this.#keys = keys;
  }

  recursive(request: RecursiveRequest, forwarded: boolean): Outcome | undefined {
    return request.method === 'store' ? this.#store(request, forwarded) : this.signed(request, forwarded);
  }

  #store(request: StoreRequest, forwarded: boolean): Outcome | undefined {
    const { namespace, timestamp, expiry } = request;
    const now = this.#clock.now();
    const ttl = expiry - timestamp;
    if (ttl < TTL_MIN_MS || ttl > ttlMax(namespace)) return failure(403, 'Provided expiry/TTL is not valid.');
    if (timestamp > now + STORE_TOLERANCE_MS || expiry < now - STORE_TOLERANCE_MS) {
      return failure(406, 'Timestamp error: check your clock');
    }
    if (isPublicInbox(namespace)) return undefined;
    if (request.auth === undefined) {
      return failure(401, `store: signature required to store to namespace ${namespace}`);
    }
    if (this.#isOff(request.signatureTimestamp ?? timestamp, forwarded)) {
      return failure(406, 'store signature timestamp too far from current time');
    }
    return this.#verify(request) ? undefined : failure(401, 'store signature verification failed');
  }

  /** A request that its signer's swarm executed while we were down (`sn.missed`): any age up to that of the queue. */
  missed(request: LateRequest): Outcome | undefined {
    const age = this.#clock.now() - request.timestamp;
    if (age < -FORWARDED_TOLERANCE_MS || age > TTL_MAX_MS) {
      return failure(406, `${request.method} timestamp too far from current time`);
    }
    return this.#verify(request)
      ? undefined
      : failure(401, `${request.method} signature verification failed`);
  }

  /** A request that another member executed at `time` (§5.13): the signature proves all but that time. */
  act(request: Checked, time: number): Outcome | undefined {
    const now = this.#clock.now();
    const signed =
      'timestamp' in request ? request.timestamp : request.method === 'delete_before' ? request.before : time;
    const isRevocation = request.method === 'revoke_subaccount' || request.method === 'unrevoke_subaccount';
    if (Math.max(time, signed) > now + FORWARDED_TOLERANCE_MS) return failure(406, 'act from the future');
    if (!isRevocation && Math.min(time, signed) < now - ACT_LIFE_MS) return failure(406, 'act too old');
    if (request.method === 'expire' && expireMode(request) === undefined) return failure(400, 'no such mode');
    return this.#verify(request) ? undefined : failure(401, 'signature verification failed');
  }

  retrieve(request: RetrieveRequest): Outcome | undefined {
    if (request.auth === undefined) {
      return isOpenRetrieve(request.namespace)
        ? undefined
        : failure(401, 'retrieve: request signature required');
    }
    if (this.#isOff(request.timestamp ?? 0, false)) {
      return failure(406, 'retrieve timestamp too far from current time');
    }
    return this.#verify(request, isUnrevocable(request.namespace))
      ? undefined
      : failure(401, 'retrieve signature verification failed');
  }

  /** What may have changed while the answer to a good request was held. */
  heldRetrieve({ account, namespace, auth }: RetrieveRequest): Outcome | undefined {
    if (auth?.subaccount === undefined || isUnrevocable(namespace)) return undefined;
    return this.#mailbox.revocations.isRevoked(account, auth.subaccount.token)
      ? failure(401, 'retrieve signature verification failed')
      : undefined;
  }

  /** Methods that always carry a signature. */
  signed(request: Checked, forwarded: boolean): Outcome | undefined {
    const now = this.#clock.now();
    const tolerance = forwarded ? FORWARDED_TOLERANCE_MS : SIGNATURE_TOLERANCE_MS;
    switch (request.method) {
      case 'delete':
        return this.#verify(request) ? undefined : failure(401, 'delete_msgs signature verification failed');
      case 'delete_before':
        if (request.before > now + tolerance) {
          return failure(401, 'delete_before timestamp too far in the future'); // §2.9.6: 401, not 406
        }
        break;
      case 'expire':
        if (request.expiries.some((expiry) => expiry < now - tolerance)) {
          return failure(401, 'expire: timestamp should be >= current time');
        }
        if (!this.#verify(request)) return failure(401, 'expire: signature verification failed');
        if (expireMode(request) === undefined) {
          return failure(
            400,
            'expire: shorten parameter cannot be used with this subaccount token (missing delete access)',
          );
        }
        return undefined;
      case 'expire_all':
        if (request.expiry < now - tolerance) {
          return failure(406, 'expire_all timestamp should be >= current time');
        }
        break;
      default:
        if (this.#isOff(request.timestamp, forwarded)) {
          return failure(406, `${request.method} timestamp too far from current time`);
        }
    }
    return this.#verify(request)
      ? undefined
      : failure(401, `${request.method} signature verification failed`);
  }

  #isOff(timestamp: number, forwarded: boolean): boolean {
    const tolerance = forwarded ? FORWARDED_TOLERANCE_MS : SIGNATURE_TOLERANCE_MS;
    return Math.abs(timestamp - this.#clock.now()) > tolerance;
  }

  #verify(request: SignableRequest, unrevocable = false): boolean {
    return verifyRequest(request, {
      toX25519: this.#keys.toX25519,
      isRevoked: unrevocable
        ? undefined
        : (token) => this.#mailbox.revocations.isRevoked(request.account, token),
    });
  }
}
