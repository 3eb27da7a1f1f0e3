// SPDX-License-Identifier: AGPL-3.0-or-later
// One service node: puts its parts together, opens its listeners, and takes everything down again.
// Data folder: see data-folder.ts.
import { join } from 'node:path';
import { type HttpsListener, HttpsServer, type HttpsServerOptions } from '@allium/net/https-server';
import { Omq } from '@allium/net/omq';
import type { OmqEndpoint, OmqOptions } from '@allium/net/omq/endpoint';
import { RateLimiter } from '@allium/net/rate-limiter';
import type { Env } from '@allium/protocol/env';
import type { ServiceNodeOptions } from './config.ts';
import { lockDataFolder, openDataFolder } from './data-folder.ts';
import { COMMON_HEADERS, HttpRoutes } from './http-routes.ts';
import { Cleaner } from './mailbox/cleaner.ts';
import { Database, type DatabaseOptions } from './mailbox/database.ts';
import { Mailbox } from './mailbox/mailbox.ts';
import { ClockWatch } from './membership/clock-watch.ts';
import { StaticDistribution } from './membership/distribution.ts';
import { diskFiles, type ListFiles, StaticSource } from './membership/static-source.ts';
import { Metrics, MetricsServer } from './metrics.ts';
import { LongPolls } from './monitor/long-polls.ts';
import { Subscriptions } from './monitor/subscriptions.ts';
import { loadOrCreateCertificate, loadOrCreateNodeKeys, type NodeKeys } from './node-keys.ts';
import { registerCommands } from './omq-commands.ts';
import { AddressRules } from './onion/address-rules.ts';
import { OnionRelay } from './onion/relay.ts';
import { type Resolve, ServerRelay } from './onion/server-relay.ts';
import { SERVER_HEADER } from './protocol-version.ts';
import { Apply } from './rpc/apply.ts';
import { Checks } from './rpc/checks.ts';
import { Executor } from './rpc/executor.ts';
import { KeyConverter } from './rpc/key-converter.ts';
import { statisticsJson } from './statistics.ts';
import { Departed } from './swarm/departed.ts';
import { Handover } from './swarm/handover.ts';
import { Intake } from './swarm/intake.ts';
import { Place } from './swarm/place.ts';
import { Reconciler } from './swarm/reconcile.ts';
import { Replication } from './swarm/replication.ts';
import { RetryQueue } from './swarm/retry-queue.ts';
import { Swarm } from './swarm/swarm.ts';
import { SwarmSync } from './swarm/swarm-sync.ts';

/** Ours: an upgrade may wait so long for members that are slow to take what they missed. */
const HAND_OVER_MS = 5_000;
const MIB = 1024 * 1024;

export interface Ports {
  readonly https: number;
  readonly omq: number;
  readonly metrics?: number;
}

/** What tests and simulations put in the place of the machine's own. */
export interface ServiceNodeDeps {
  readonly resolve?: Resolve;
  /** Default: sockets. */
  readonly omq?: (options: OmqOptions, env: Env) => OmqEndpoint;
  readonly https?: (options: HttpsServerOptions, env: Env) => HttpsListener;
  /** Instead of the data folder, which is then neither made nor read. */
  readonly state?: NodeState;
}

/** What a node keeps from one start to the next. */
export interface NodeState {
  readonly keys: NodeKeys;
  /** Must be the only one that uses it. */
  readonly database: Pick<DatabaseOptions, 'path' | 'defer'>;
  readonly files: ListFiles;
  readonly certificate: { readonly certificatePem: string; readonly keyPem: string };
}

/** Everything that exists between `start` and `stop`. */
interface Running {
  readonly ports: Ports;
  readonly source: StaticSource;
  readonly metrics: Metrics;
  readonly stop: () => Promise<void>;
}

export class ServiceNode {
  readonly #options: ServiceNodeOptions;
  readonly #env: Env;
  readonly #deps: ServiceNodeDeps;
  #keys: NodeKeys | undefined;
  #running: Running | undefined;
  #changing: Promise<unknown> = Promise.resolve();

  constructor(options: ServiceNodeOptions, env: Env, deps: ServiceNodeDeps = {}) {
    this.#options = options;
    this.#env = env;
    this.#deps = deps;
  }

  /** Made together with the data folder when there is none yet. */
  get ed25519Hex(): string {
    return this.#identity().ed25519Hex;
  }

  /** Where it listens. Only while it runs. */
  get ports(): Ports {
    if (this.#running === undefined) throw new Error('the node is not running');
    return this.#running.ports;
  }

  /** Version of the node list in force. Only while it runs. */
  get listVersion(): number {
    if (this.#running === undefined) throw new Error('the node is not running');
    return this.#running.source.list.version;
  }

  #identity(): NodeKeys {
    this.#keys ??= this.#deps.state?.keys ?? loadOrCreateNodeKeys(this.#options.dataDir);
    return this.#keys;
  }

  /** Resolves when both listeners are open. Harmless when it runs. @throws AlliumError with what to do about it */
  start(): Promise<void> {
    return this.#change(async () => {
      this.#running ??= await this.#open();
    });
  }

  /** Refuses new requests, finishes the ones in work, closes everything. Harmless when it does not run. */
  stop(): Promise<void> {
    return this.#change(async () => {
      const running = this.#running;
      this.#running = undefined;
      await running?.stop();
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  #change(change: () => Promise<void>): Promise<void> {
    const next = this.#changing.then(change);
    this.#changing = next.catch(() => undefined);
    return next;
  }

  async #open(): Promise<Running> {
    const options = this.#options;
    const hasFolder = this.#deps.state === undefined;
    for (const correction of hasFolder ? openDataFolder(options.dataDir) : []) {
      this.#env.log.warn({ correction }, 'permissions of the data folder corrected');
    }
    const keys = this.#identity();
    const env: Env = { ...this.#env, log: this.#env.log.child({ id: keys.ed25519Hex.slice(0, 8) }) };
    /** Closed in the opposite order of opening. */
    const closers: (() => void | Promise<void>)[] = hasFolder ? [lockDataFolder(options.dataDir)] : [];
    const stop = async () => {
      for (const close of closers.reverse()) await close();
    };
    try {
      return { ...(await this.#assemble(options, keys, env, closers)), stop };
    } catch (error) {
      await stop();
      throw error;
    }
  }

  async #assemble(
    options: ServiceNodeOptions,
    keys: NodeKeys,
    env: Env,
    closers: (() => void | Promise<void>)[],
  ): Promise<Omit<Running, 'stop'>> {
    const { clock, log } = env;
    const metrics = new Metrics(env);
    const { state } = this.#deps;
    const source = await StaticSource.open(options, env, state?.files ?? diskFiles);
    const swarm = new Swarm(source, keys.ed25519Hex);
    const database = new Database({
      ...(state?.database ?? { path: join(options.dataDir, 'mailbox.sqlite') }),
      maxBytes: options.databaseMaxMib * MIB,
    });
    closers.push(() => database.close());
    const mailbox = new Mailbox(database, clock);
    let stopping = false;
    const ready: readonly string[] = [];
    const shuttingDown: readonly string[] = ['shutting down'];
    const notReady = () => (stopping ? shuttingDown : ready);

    const admins = new Set(options.statsAccessKeys);
    const omq = (this.#deps.omq ?? sockets.omq)(
      {
        keyPair: keys.x25519,
        listen: { host: options.bindHost, port: options.omqPort },
        isServiceNode: true,
        accessOf: (peerKeyHex) => {
          if (swarm.membership.byX25519.get(peerKeyHex)?.active === true) return 'service_node';
          return admins.has(peerKeyHex) ? 'admin' : 'none';
        },
        maxConnections: options.maxOmqConnections,
        maxConnectionsPerAddress: options.maxOmqConnectionsPerAddress,
        onRefused: (limit) => metrics.refused(`omq_${limit}`),
      },
      env,
    );
    const rpcLimit = new RateLimiter(bucket(options.rpcBurst, options.rpcPerSecond), clock);
    const onionLimit = new RateLimiter(bucket(options.onionBurst, options.onionPerSecond), clock);
    const shared = { database, mailbox, omq, swarm, metrics };
    const retries = new RetryQueue(shared, env);
    const intake = new Intake(shared, env);
    const departed = new Departed(shared, env);
    const distribution = new StaticDistribution(source, omq, keys.ed25519Hex, env);
    const keyConverter = new KeyConverter();
    const subscriptions = new Subscriptions(
      { mailbox, swarm, metrics, keys: keyConverter, max: options.maxSubscriptions },
      env,
    );
    const polls = new LongPolls({ swarm, metrics, max: options.maxPolls }, env);
    mailbox.onArrival((accountHex, namespace) => polls.arrived(accountHex, namespace));
    const executor = new Executor(
      {
        mailbox,
        checks: new Checks(mailbox, clock, keyConverter),
        apply: new Apply(mailbox, keys, clock),
        swarm,
        replication: new Replication(omq, metrics),
        retries,
        subscriptions,
        polls,
        metrics,
        ownHex: keys.ed25519Hex,
      },
      env,
    );
    const reconciler = new Reconciler(
      {
        mailbox,
        omq,
        swarm,
        metrics,
        executor,
        everySeconds: options.reconcileEvery,
        bytesPerSecond: options.reconcileBytesPerSecond,
      },
      env,
    );
    const sync = new SwarmSync({ ...shared, ...(options.reconcileEvery > 0 && { reconciler }) }, env);
    const handover = new Handover({ ...shared, retries, reconciler }, env);
    const relay = new ServerRelay(
      {
        rules: new AddressRules(options.relayExemptRanges),
        maxConcurrent: options.maxRelays,
        userAgent: SERVER_HEADER,
        http: options.relayHttp,
        onRefused: () => metrics.refused('relays'),
        ...(this.#deps.resolve !== undefined && { resolve: this.#deps.resolve }),
      },
      env,
    );
    const onions = new OnionRelay(
      {
        keyPair: keys.x25519,
        ownHex: keys.ed25519Hex,
        executor,
        swarm,
        omq,
        relay,
        metrics,
        isReady: () => !stopping,
        maxHops: options.maxHops,
        relayHttp: options.relayHttp,
      },
      env,
    );
    registerCommands(
      {
        omq,
        executor,
        onions,
        swarm,
        retries,
        sync,
        intake,
        departed,
        reconciler,
        reconciles: options.reconcileEvery > 0,
        distribution,
        subscriptions,
        rpcLimit,
        metrics,
        notReady,
        statistics: () => statisticsJson(mailbox, database, metrics, executor.height()),
      },
      env,
    );
    const routes = new HttpRoutes(
      { executor, onions, rpcLimit, onionLimit, metrics, ed25519Key: keys.ed25519Key, notReady },
      env,
    );
    const https = (this.#deps.https ?? sockets.https)(
      {
        host: options.bindHost,
        port: options.httpsPort,
        ...(state?.certificate ?? loadOrCreateCertificate(options.dataDir)),
        headers: COMMON_HEADERS,
        onRefused: (limit) => metrics.refused(limit),
        maxConnections: options.maxConnections,
        maxConnectionsPerAddress: options.maxConnectionsPerAddress,
        connectionBurst: options.connectionBurst,
        connectionsPerSecond: options.connectionsPerSecond,
        allConnectionsPerSecond: options.allConnectionsPerSecond,
        maxRefusals: options.maxRefusals,
        maxBufferedBytes: options.maxBufferedMib * MIB,
        maxConcurrentRequests: options.maxRequests,
        maxConcurrentPerAddress: options.maxRequestsPerAddress,
        precheck: (head) => routes.precheck(head),
        handler: (request) => routes.handle(request),
      },
      env,
    );

    // Newer lists first, then the peers' side, then clients.
    await source.start();
    closers.push(() => source.stop());
    const place = new Place(swarm, options.publicIp, env);
    const cancelChange = source.onChange((_next, previous) => {
      place.check();
      departed.changed(previous);
      sync.changed(previous);
      handover.changed(previous);
      polls.swarmChanged();
      subscriptions
        .swarmChanged()
        .catch((error: unknown) => log.error({ error: String(error) }, 'ending subscriptions failed'));
      retries
        .dropStrangers()
        .catch((error: unknown) => log.error({ error: String(error) }, 'clearing the queue failed'));
    });
    closers.push(cancelChange);
    departed.start();
    const omqPort = (await omq.start()).port ?? 0;
    closers.push(() => omq.stop());
    subscriptions.start();
    closers.push(() => subscriptions.stop());
    const cleaner = new Cleaner(mailbox, env);
    cleaner.start();
    closers.push(() => cleaner.stop());
    distribution.start();
    closers.push(() => distribution.stop());
    const clocks = new ClockWatch({ omq, swarm }, env);
    clocks.start();
    closers.push(() => clocks.stop());
    retries.start();
    closers.push(async () => {
      await retries.handOver(HAND_OVER_MS);
      await retries.stop();
    });
    sync.start();
    closers.push(() => sync.stop());
    handover.start();
    closers.push(() => handover.stop());
    reconciler.start();
    closers.push(() => reconciler.stop());
    const httpsPort = (await https.start()).port;
    closers.push(async () => {
      await https.drained();
      await https.stop();
    });
    closers.push(() => relay.stop());
    const metricsPort = await this.#startMetrics(
      options,
      metrics,
      source,
      { database, retries, omq, https, subscriptions, polls, onions, clocks },
      closers,
    );
    // First of all: nothing new, and no answer is held any longer.
    closers.push(() => onions.stop());
    closers.push(() => polls.stop());
    closers.push(() => {
      stopping = true;
    });
    place.check();
    log.info(
      {
        ed25519: keys.ed25519Hex,
        x25519: keys.x25519Hex,
        https: httpsPort,
        omq: omqPort,
        metrics: metricsPort,
        list: source.list.version,
        swarm: swarm.id?.toString(16),
      },
      'service node is up',
    );
    return {
      source,
      metrics,
      ports: { https: httpsPort, omq: omqPort, ...(metricsPort !== undefined && { metrics: metricsPort }) },
    };
  }

  async #startMetrics(
    options: ServiceNodeOptions,
    metrics: Metrics,
    source: StaticSource,
    parts: {
      database: Database;
      retries: RetryQueue;
      omq: OmqEndpoint;
      https: HttpsListener;
      subscriptions: Subscriptions;
      polls: LongPolls;
      onions: OnionRelay;
      clocks: ClockWatch;
    },
    closers: (() => void | Promise<void>)[],
  ): Promise<number | undefined> {
    if (options.metricsPort === 0) return undefined;
    const server = new MetricsServer(options.metricsPort, () =>
      metrics.text({
        databaseBytes: () => parts.database.size(),
        queuedForwards: () => parts.retries.size(),
        omqConnections: () => {
          const { incoming, outgoing } = parts.omq.statistics();
          return incoming + outgoing;
        },
        httpsConnections: () => parts.https.connections,
        subscriptions: () => parts.subscriptions.size,
        longPolls: () => parts.polls.size,
        waitingHops: () => parts.onions.waiting,
        membershipVersion: () => source.list.version,
        membershipExpiry: () => source.list.expires,
        clockOffsetMs: () => parts.clocks.offsetMs,
      }),
    );
    const { port } = await server.start();
    closers.push(() => server.stop());
    return port;
  }
}

const sockets = {
  omq: (options: OmqOptions, env: Env): OmqEndpoint => new Omq(options, env),
  https: (options: HttpsServerOptions, env: Env): HttpsListener => new HttpsServer(options, env),
};

const bucket = (burst: number, perSecond: number) => ({
  capacity: burst,
  refillMicroseconds: perSecond === 0 ? Number.POSITIVE_INFINITY : 1_000_000 / perSecond,
});
