// SPDX-License-Identifier: AGPL-3.0-or-later
// Subscriptions of push servers and bots (spec/storage-server §5.8): who wants to hear of new messages of which
// accounts, over which OMQ connection. They end with the connection, 65 minutes after the last request, when their
// subaccount is revoked, and when the account moves to another swarm.
import type { OmqConnection, OmqContext } from '@allium/net/omq/endpoint';
import { type Cancel, delay, type Env } from '@allium/protocol/env';
import {
  checkMonitor,
  decodeMonitorRequest,
  encodeMessageNotification,
  encodeMonitorEnded,
  encodeMonitorReply,
  isMonitorRefusal,
  MonitorErrorCode,
  type MonitorRefusal,
  type MonitorReply,
  type MonitorSubscription,
} from '@allium/protocol/storage/monitor';
import type { AccountPubkey, StoreRequest } from '@allium/protocol/storage/requests';
import type { Mailbox } from '../mailbox/mailbox.ts';
import type { Metrics } from '../metrics.ts';
import type { KeyConverter } from '../rpc/key-converter.ts';
import type { Swarm } from '../swarm/swarm.ts';

// From the specification (§5.8, §7).
const LIFETIME_MS = 65 * 60_000;

// Ours.
/** Of the total, so that one subscriber cannot take all places. */
const SHARE_OF_ONE_CONNECTION = 10;
/** Requests are checked, and accounts looked through, in turns of about a millisecond. */
const STEP = 16;
const ACCOUNTS_STEP = 500;
const SWEEP_MS = 60_000;
const ENDED = 'This account is not served by this node any more';
const ELSEWHERE = 'This account is not served by this node';

interface Subscription {
  readonly account: AccountPubkey;
  readonly connection: OmqConnection;
  namespaces: ReadonlySet<number>;
  wantsData: boolean;
  /** By the monotonic clock. */
  expiry: number;
  /** Absent once the account's own key has asked: that cannot be revoked. */
  token: Uint8Array | undefined;
}

export interface SubscriptionsParts {
  readonly mailbox: Mailbox;
  readonly swarm: Swarm;
  readonly metrics: Metrics;
  readonly keys: KeyConverter;
  /** In all. */
  readonly max: number;
}

export class Subscriptions {
  readonly #parts: SubscriptionsParts;
  readonly #env: Env;
  readonly #ofAccount = new Map<string, Map<OmqConnection, Subscription>>();
  readonly #ofConnection = new Map<OmqConnection, Set<Subscription>>();
  #size = 0;
  #cancelSweep: Cancel | undefined;

  constructor(parts: SubscriptionsParts, env: Env) {
    this.#parts = parts;
    this.#env = env;
  }

  /** How many (connection, account) there are. */
  get size(): number {
    return this.#size;
  }

  start(): void {
    this.#cancelSweep = this.#env.clock.after(SWEEP_MS, () => {
      const now = this.#env.clock.monotonic();
      for (const subscriptions of this.#ofAccount.values()) {
        for (const subscription of subscriptions.values()) {
          if (subscription.expiry <= now) this.#remove(subscription);
        }
      }
      this.start();
    });
  }

  stop(): void {
    this.#cancelSweep?.();
    for (const subscriptions of this.#ofConnection.values()) {
      for (const subscription of subscriptions) this.#remove(subscription);
    }
  }

  /** The reply to `monitor.messages`. */
  async answer({ connection }: OmqContext, part: Uint8Array | undefined): Promise<Uint8Array[]> {
    const request = decodeMonitorRequest(part ?? new Uint8Array(0), this.#parts.keys.toX25519);
    const replies: MonitorReply[] = [];
    for (const entry of request.entries) {
      if (replies.length > 0 && replies.length % STEP === 0) await delay(this.#env.clock, 0);
      replies.push(this.#subscribe(connection, entry));
    }
    return [encodeMonitorReply(replies, request.isList)];
  }

  #subscribe(connection: OmqConnection, entry: MonitorSubscription | MonitorRefusal): MonitorReply {
    const { mailbox, swarm, metrics, max } = this.#parts;
    if (isMonitorRefusal(entry)) return entry;
    const { account, subaccount, wantsData } = entry;
    const { clock } = this.#env;
    const refused = checkMonitor(entry, clock.now(), (token) =>
      mailbox.revocations.isRevoked(account, token),
    );
    if (refused !== undefined) return refused;
    if (!swarm.serves(account.key)) {
      const { wrongSwarm } = MonitorErrorCode;
      return { errcode: wrongSwarm, error: ELSEWHERE, swarm: swarm.describe(account.key, clock.now()) };
    }
    // Meanwhile the subscriber may have gone.
    if (!connection.isOpen) return 'success';
    let subscription = this.#ofAccount.get(account.hex)?.get(connection);
    if (subscription === undefined) {
      const ofConnection = this.#ofConnection.get(connection)?.size ?? 0;
      const isFull = this.#size >= max;
      if (isFull || ofConnection >= Math.ceil(max / SHARE_OF_ONE_CONNECTION)) {
        metrics.refused(isFull ? 'subscriptions' : 'subscriptions_per_connection');
        return { errcode: MonitorErrorCode.badArguments, error: 'Too many subscriptions, try another node' };
      }
      subscription = {
        account,
        connection,
        namespaces: new Set(),
        wantsData: false,
        expiry: 0,
        token: subaccount?.token,
      };
      this.#add(subscription);
    } else if (subaccount === undefined) {
      subscription.token = undefined;
    }
    if (!entry.namespaces.every((namespace) => subscription.namespaces.has(namespace))) {
      subscription.namespaces = new Set([...subscription.namespaces, ...entry.namespaces]);
    }
    subscription.wantsData ||= wantsData;
    subscription.expiry = clock.monotonic() + LIFETIME_MS;
    return 'success';
  }

  /** A message that a store request, of a client or forwarded, brought for the first time. */
  stored({ account, namespace, timestamp, data }: StoreRequest, hash: string, expiry: number): void {
    const subscriptions = this.#ofAccount.get(account.hex);
    if (subscriptions === undefined) return;
    const { mailbox, metrics } = this.#parts;
    const now = this.#env.clock.monotonic();
    const notification = { account: account.bytes, hash, namespace, timestamp, expiry };
    // The same bytes to all who want the same.
    let short: Uint8Array | undefined;
    let long: Uint8Array | undefined;
    for (const subscription of [...subscriptions.values()]) {
      if (!subscription.namespaces.has(namespace)) continue;
      const { connection, token, wantsData } = subscription;
      if (
        subscription.expiry <= now ||
        (token !== undefined && mailbox.revocations.isRevoked(account, token))
      ) {
        this.#remove(subscription);
        continue;
      }
      let part: Uint8Array;
      if (wantsData) {
        long ??= encodeMessageNotification({ ...notification, data });
        part = long;
      } else {
        short ??= encodeMessageNotification(notification);
        part = short;
      }
      connection.send('notify.message', [part]);
      metrics.notifications++;
    }
  }

  /** After a change of the node list: ends what is not ours any more. */
  async swarmChanged(): Promise<void> {
    const { swarm } = this.#parts;
    let seen = 0;
    for (const subscriptions of [...this.#ofAccount.values()]) {
      if (++seen % ACCOUNTS_STEP === 0) await delay(this.#env.clock, 0);
      for (const subscription of [...subscriptions.values()]) {
        const { account, connection } = subscription;
        if (swarm.serves(account.key)) break;
        const moved = { error: ENDED, swarm: swarm.describe(account.key, this.#env.clock.now()) };
        connection.send('notify.monitor_ended', [encodeMonitorEnded(account.bytes, moved)]);
        this.#remove(subscription);
      }
    }
  }

  #add(subscription: Subscription): void {
    const { account, connection } = subscription;
    const ofAccount = this.#ofAccount.get(account.hex);
    if (ofAccount === undefined) this.#ofAccount.set(account.hex, new Map([[connection, subscription]]));
    else ofAccount.set(connection, subscription);
    const ofConnection = this.#ofConnection.get(connection);
    this.#size++;
    if (ofConnection !== undefined) {
      ofConnection.add(subscription);
      return;
    }
    this.#ofConnection.set(connection, new Set([subscription]));
    connection.onClose(() => {
      for (const own of this.#ofConnection.get(connection) ?? []) this.#remove(own);
      this.#ofConnection.delete(connection);
    });
  }

  #remove(subscription: Subscription): void {
    const { account, connection } = subscription;
    const ofAccount = this.#ofAccount.get(account.hex);
    if (ofAccount?.get(connection) !== subscription) return;
    ofAccount.delete(connection);
    if (ofAccount.size === 0) this.#ofAccount.delete(account.hex);
    // The connection's own entry stays until it closes: it stands for the listener.
    this.#ofConnection.get(connection)?.delete(subscription);
    this.#size--;
  }
}
