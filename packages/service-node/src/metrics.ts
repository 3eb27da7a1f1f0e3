// SPDX-License-Identifier: AGPL-3.0-or-later
// What the node counts, for Prometheus (`/metrics` on a loopback port of its own) and for `service.get_stats`
// (spec/storage-server §7 "Statistics"). The hot path adds to plain numbers; names and text are made when asked.
import { type EventLoopUtilization, monitorEventLoopDelay, performance } from 'node:perf_hooks';
import type { Env } from '@allium/protocol/env';
import type { Registry } from 'prom-client';
import type { GovernanceFigures } from './voting/governance.ts';
import { registerGovernance } from './voting/governance-metrics.ts';

/** §7: the current window and up to six earlier ones of ten minutes. */
const WINDOW_MS = 600_000;
const WINDOWS = 7;

/** Limits that a node keeps to, as `allium_refusals_total` names them. docs/limits.md tells what each means. */
const LIMITS = [
  // Connections of clients.
  'connections',
  'connections_per_address',
  'connection_rate',
  'connection_rate_per_address',
  'shut_out',
  'tls_time',
  // Requests over HTTPS.
  'head_size',
  'head_time',
  'body_size',
  'body_time',
  'body_bytes',
  'body_bytes_per_address',
  'content_encoding',
  'pipelined',
  'requests',
  'requests_per_address',
  'answer_bytes',
  'answer_bytes_per_address',
  'answer_time',
  // What requests ask for, over any carrier.
  'rpc_rate',
  'onion_rate',
  'onion_depth',
  'hops',
  'hops_per_node',
  'relays',
  'long_polls',
  'long_polls_per_account',
  'subscriptions',
  'subscriptions_per_connection',
  'storage_places_per_address',
  // OMQ.
  'omq_connections',
  'omq_connections_per_address',
  'omq_connection_rate',
  'omq_connection_rate_per_address',
  'omq_shut_out',
  'omq_handshake_time',
  'omq_silence',
  'omq_malformed',
  'omq_message_size',
  'omq_message_bytes',
  'omq_byte_rate',
  'omq_unread_bytes',
  'omq_queue',
  'omq_pending',
  'sockets',
  'sockets_per_address',
  'socket_bytes',
  'socket_bytes_per_address',
  'socket_envelopes',
  'socket_rate',
  'socket_slow',
  'socket_silent',
  'socket_malformed',
] as const;
export type Limit = (typeof LIMITS)[number];

export const STATISTICS = ['store', 'retrieve', 'onion', 'proxy'] as const;
export type Statistic = (typeof STATISTICS)[number];

/** Values that are looked up when somebody asks. */
export interface Observed {
  readonly databaseBytes: () => { used: number; total: number; max: number };
  readonly queuedForwards: () => number;
  readonly omqConnections: () => number;
  readonly httpsConnections: () => number;
  readonly subscriptions: () => number;
  readonly longPolls: () => number;
  readonly waitingHops: () => number;
  readonly membershipVersion: () => number;
  readonly membershipExpiry: () => number | undefined;
  readonly clockOffsetMs: () => number | undefined;
  /** By the test that they fail; `none`: nodes that pass all. */
  readonly failingPeers: () => ReadonlyMap<string, number>;
  /** Undefined where this node does not vote. */
  readonly governance: () => GovernanceFigures | undefined;
}

type Window = { since: number } & Record<Statistic, number>;

export class Metrics {
  readonly requests = new Map<string, number>();
  readonly refusals = Object.fromEntries(LIMITS.map((limit) => [limit, 0])) as Record<Limit, number>;
  forwardsOk = 0;
  forwardsFailed = 0;
  forwardsQueued = 0;
  retriesDelivered = 0;
  messagesStored = 0;
  messagesReceived = 0;
  messagesHandedOver = 0;
  bytesHandedOver = 0;
  reconcileRounds = 0;
  reconcileFailures = 0;
  reconciledItems = 0;
  reconciledBytes = 0;
  onionLayers = 0;
  hopsRelayed = 0;
  proofsTaken = 0;
  proofsRefused = 0;
  proofsSent = 0;
  mailboxFailures = 0;
  notifications = 0;
  pollsHeld = 0;
  readonly totals: Record<Statistic, number> = { store: 0, retrieve: 0, onion: 0, proxy: 0 };
  readonly failures = new Map<string, { requests: number; pushes: number }>();
  readonly #env: Env;
  #windows: Window[];
  #registry: Promise<Registry> | undefined;

  constructor(env: Env) {
    this.#env = env;
    this.#windows = [this.#window()];
  }

  #window(): Window {
    return { since: this.#env.clock.now(), store: 0, retrieve: 0, onion: 0, proxy: 0 };
  }

  /** One answered request. */
  request(method: string, status: number): void {
    const key = `${method} ${status}`;
    this.requests.set(key, (this.requests.get(key) ?? 0) + 1);
  }

  /** Somebody met a limit. */
  refused(limit: Limit): void {
    this.refusals[limit]++;
  }

  count(statistic: Statistic): void {
    this.totals[statistic]++;
    const current = this.#windows[0]!;
    if (this.#env.clock.now() - current.since < WINDOW_MS) current[statistic]++;
    else {
      const fresh = this.#window();
      fresh[statistic]++;
      this.#windows = [fresh, ...this.#windows.slice(0, WINDOWS - 1)];
    }
  }

  /** A peer failed to answer a forwarded request, or to take a push. */
  peerFailed(ed25519Hex: string, what: 'requests' | 'pushes'): void {
    const entry = this.failures.get(ed25519Hex) ?? { requests: 0, pushes: 0 };
    entry[what]++;
    this.failures.set(ed25519Hex, entry);
  }

  /** Sums over the windows of the last hour or so. */
  recent(): { timespanSeconds: number } & Record<Statistic, number> {
    const oldest = this.#windows[this.#windows.length - 1]!;
    const sum = {
      timespanSeconds: (this.#env.clock.now() - oldest.since) / 1000,
      store: 0,
      retrieve: 0,
      onion: 0,
      proxy: 0,
    };
    for (const window of this.#windows) for (const name of STATISTICS) sum[name] += window[name];
    return sum;
  }

  /** The text of /metrics. */
  async text(observed: Observed): Promise<string> {
    this.#registry ??= this.#register(observed);
    return (await this.#registry).metrics();
  }

  async #register(observed: Observed): Promise<Registry> {
    // Only where somebody scrapes: a node without /metrics starts faster and stays smaller.
    const { Counter, Gauge, Registry } = await import('prom-client');
    const registry = new Registry();
    const registers = [registry];
    const counter = (name: string, help: string, value: () => number) =>
      new Counter({
        name,
        help,
        registers,
        collect() {
          this.reset();
          this.inc(value());
        },
      });
    const gauge = (name: string, help: string, value: () => number) =>
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(value());
        },
      });
    const { requests, refusals } = this;
    new Counter({
      name: 'allium_requests_total',
      help: 'Answered requests by method and status',
      labelNames: ['method', 'status'],
      registers,
      collect() {
        this.reset();
        for (const [key, n] of requests) {
          const [method, status] = key.split(' ') as [string, string];
          this.inc({ method, status }, n);
        }
      },
    });
    new Counter({
      name: 'allium_refusals_total',
      help: 'Connections, requests and messages that met a limit, by limit (docs/limits.md)',
      labelNames: ['limit'],
      registers,
      collect() {
        this.reset();
        for (const limit of LIMITS) this.inc({ limit }, refusals[limit]);
      },
    });
    counter(
      'allium_mailbox_failures_total',
      'Requests that the mailbox could not execute',
      () => this.mailboxFailures,
    );
    counter('allium_onion_layers_total', 'Onion layers opened', () => this.onionLayers);
    counter(
      'allium_onion_hops_relayed_total',
      'Onion requests passed to a next node',
      () => this.hopsRelayed,
    );
    counter('allium_server_relays_total', 'Onion requests passed to a server', () => this.totals.proxy);
    counter('allium_messages_stored_total', 'New messages by store requests', () => this.messagesStored);
    counter(
      'allium_messages_received_total',
      'New messages handed over by peers',
      () => this.messagesReceived,
    );
    counter(
      'allium_messages_handed_over_total',
      'Messages that members took when swarms changed',
      () => this.messagesHandedOver,
    );
    counter(
      'allium_handed_over_bytes_total',
      'Bytes of messages that members took when swarms changed',
      () => this.bytesHandedOver,
    );
    counter('allium_forwards_ok_total', 'Forwarded requests that a peer executed', () => this.forwardsOk);
    counter(
      'allium_forwards_failed_total',
      'Forwarded requests that a peer refused or did not answer',
      () => this.forwardsFailed,
    );
    counter(
      'allium_forwards_queued_total',
      'Forwarded requests kept for another try',
      () => this.forwardsQueued,
    );
    counter(
      'allium_forwards_retried_total',
      'Kept requests that were delivered',
      () => this.retriesDelivered,
    );
    counter('allium_reconcile_rounds_total', 'Comparisons with another member', () => this.reconcileRounds);
    counter(
      'allium_reconcile_failures_total',
      'Comparisons that a member did not answer to the end',
      () => this.reconcileFailures,
    );
    counter(
      'allium_reconciled_items_total',
      'Messages, expiries and signed deletions that one side had missed',
      () => this.reconciledItems,
    );
    counter('allium_reconciled_bytes_total', 'Bytes moved by comparisons', () => this.reconciledBytes);
    gauge('allium_forwards_waiting', 'Requests kept for members that do not answer', observed.queuedForwards);
    gauge('allium_omq_connections', 'Open OMQ connections', observed.omqConnections);
    gauge('allium_https_connections', 'Open connections of clients', observed.httpsConnections);
    gauge('allium_long_polls', 'Requests held until a message arrives', observed.longPolls);
    counter('allium_long_polls_held_total', 'Requests that were held', () => this.pollsHeld);
    gauge('allium_onion_hops_waiting', 'Onion requests that wait for the next node', observed.waitingHops);
    counter('allium_proofs_taken_total', 'Uptime proofs of others that were taken', () => this.proofsTaken);
    counter(
      'allium_proofs_refused_total',
      'Uptime proofs of others that were refused',
      () => this.proofsRefused,
    );
    counter('allium_proofs_sent_total', 'Times that our own uptime proof was sent', () => this.proofsSent);
    gauge('allium_subscriptions', 'Accounts watched over OMQ connections', observed.subscriptions);
    counter(
      'allium_notifications_total',
      'Messages of which a subscriber was told',
      () => this.notifications,
    );
    gauge(
      'allium_membership_version',
      'Version of the node list in force, or epoch',
      observed.membershipVersion,
    );
    gauge(
      'allium_clock_offset_seconds',
      'Our clock minus those of other members; NaN while none has answered',
      () => (observed.clockOffsetMs() ?? Number.NaN) / 1000,
    );
    new Gauge({
      name: 'allium_peers',
      help: 'Other nodes by the test that they fail, as seen from here; none: they pass all',
      labelNames: ['failing'],
      registers,
      collect() {
        this.reset();
        for (const [failing, count] of observed.failingPeers()) this.set({ failing }, count);
      },
    });
    if (observed.governance() !== undefined) registerGovernance(registry, { Counter, Gauge }, observed);
    gauge(
      'allium_membership_expiry_seconds',
      'Unix time at which the node list expires; NaN: never',
      () => observed.membershipExpiry() ?? Number.NaN,
    );
    gauge(
      'allium_database_used_bytes',
      'Bytes of the mailbox that hold data',
      () => observed.databaseBytes().used,
    );
    gauge('allium_database_size_bytes', 'Bytes of the mailbox file', () => observed.databaseBytes().total);
    gauge(
      'allium_database_limit_bytes',
      'Bytes that the mailbox may have',
      () => observed.databaseBytes().max,
    );
    gauge('allium_resident_memory_bytes', 'Resident memory of the process', () => process.memoryUsage.rss());
    counter('allium_cpu_seconds_total', 'CPU time of the process', () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    });
    const delay = monitorEventLoopDelay({ resolution: 100 });
    delay.enable();
    let last: EventLoopUtilization = performance.eventLoopUtilization();
    gauge('allium_event_loop_lag_seconds', 'Longest delay of the event loop since the last scrape', () => {
      const seconds = Math.max(0, delay.max / 1e9 - 0.1);
      delay.reset();
      return seconds;
    });
    gauge('allium_event_loop_utilization', 'Busy share of the event loop since the last scrape', () => {
      const now = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(now, last);
      last = now;
      return utilization;
    });
    return registry;
  }
}
