// SPDX-License-Identifier: AGPL-3.0-or-later
// One service node: puts its parts together, opens its listeners, and takes everything down again.
// Data folder: node.key, cert.pem, key.pem, mailbox.sqlite, network.json.
import { join } from 'node:path';
import { HttpsServer } from '@allium/net/https-server';
import { Omq } from '@allium/net/omq';
import { RateLimiter } from '@allium/net/rate-limiter';
import type { Env } from '@allium/protocol/env';
import type { ServiceNodeOptions } from './config.ts';
import { COMMON_HEADERS, HttpRoutes } from './http-routes.ts';
import { Cleaner } from './mailbox/cleaner.ts';
import { Database } from './mailbox/database.ts';
import { Mailbox } from './mailbox/mailbox.ts';
import { StaticDistribution } from './membership/distribution.ts';
import { StaticSource } from './membership/static-source.ts';
import { Metrics, MetricsServer } from './metrics.ts';
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
import { Intake } from './swarm/intake.ts';
import { Replication } from './swarm/replication.ts';
import { RetryQueue } from './swarm/retry-queue.ts';
import { Swarm } from './swarm/swarm.ts';
import { SwarmSync } from './swarm/swarm-sync.ts';

export interface Ports {
  readonly https: number;
  readonly omq: number;
  readonly metrics?: number;
}

/** What tests may put in the place of the machine's own. */
export interface ServiceNodeDeps {
  readonly resolve?: Resolve;
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
    this.#keys ??= loadOrCreateNodeKeys(this.#options.dataDir);
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
    const keys = this.#identity();
    const env: Env = { ...this.#env, log: this.#env.log.child({ id: keys.ed25519Hex.slice(0, 8) }) };
    /** Closed in the opposite order of opening. */
    const closers: (() => void | Promise<void>)[] = [];
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
    const source = await StaticSource.open(options, env);
    const swarm = new Swarm(source, keys.ed25519Hex);
    const database = new Database({
      path: join(options.dataDir, 'mailbox.sqlite'),
      maxBytes: options.databaseMaxMib * 1024 * 1024,
    });
    closers.push(() => database.close());
    const mailbox = new Mailbox(database, clock);
    let stopping = false;
    const ready: readonly string[] = [];
    const shuttingDown: readonly string[] = ['shutting down'];
    const notReady = () => (stopping ? shuttingDown : ready);

    const admins = new Set(options.statsAccessKeys);
    const omq = new Omq(
      {
        keyPair: keys.x25519,
        listen: { host: options.bindHost, port: options.omqPort },
        isServiceNode: true,
        accessOf: (peerKeyHex) => {
          if (swarm.membership.byX25519.get(peerKeyHex)?.active === true) return 'service_node';
          return admins.has(peerKeyHex) ? 'admin' : 'none';
        },
      },
      env,
    );
    const rpcLimit = new RateLimiter(bucket(options.rpcBurst, options.rpcPerSecond), clock);
    const onionLimit = new RateLimiter(bucket(options.onionBurst, options.onionPerSecond), clock);
    const shared = { database, mailbox, omq, swarm, metrics };
    const retries = new RetryQueue(shared, env);
    const sync = new SwarmSync(shared, env);
    const intake = new Intake(shared, env);
    const distribution = new StaticDistribution(source, omq, keys.ed25519Hex, env);
    const executor = new Executor(
      {
        mailbox,
        checks: new Checks(mailbox, clock, new KeyConverter()),
        apply: new Apply(mailbox, keys, clock),
        swarm,
        replication: new Replication(omq, metrics),
        retries,
        metrics,
        ownHex: keys.ed25519Hex,
      },
      env,
    );
    const relay = new ServerRelay(
      {
        rules: new AddressRules(options.relayExemptRanges),
        maxConcurrent: options.maxRelays,
        userAgent: SERVER_HEADER,
        http: options.relayHttp,
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
        distribution,
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
    const https = new HttpsServer(
      {
        host: options.bindHost,
        port: options.httpsPort,
        ...loadOrCreateCertificate(options.dataDir),
        headers: COMMON_HEADERS,
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
    const cancelChange = source.onChange((_next, previous) => {
      sync.changed(previous);
      retries
        .dropStrangers()
        .catch((error: unknown) => log.error({ error: String(error) }, 'clearing the queue failed'));
    });
    closers.push(cancelChange);
    const omqPort = (await omq.start()).port ?? 0;
    closers.push(() => omq.stop());
    const cleaner = new Cleaner(mailbox, env);
    cleaner.start();
    closers.push(() => cleaner.stop());
    distribution.start();
    closers.push(() => distribution.stop());
    retries.start();
    closers.push(() => retries.stop());
    sync.start();
    closers.push(() => sync.stop());
    const httpsPort = (await https.start()).port;
    closers.push(() => https.stop());
    closers.push(() => relay.stop());
    const metricsPort = await this.#startMetrics(
      options,
      metrics,
      source,
      { database, retries, omq },
      closers,
    );
    closers.push(() => {
      stopping = true;
    });
    if (swarm.self === undefined) log.warn({}, 'this node is not in the node list: it serves no accounts');
    else if (options.publicIp !== '' && swarm.self.host !== options.publicIp) {
      log.warn(
        {},
        'the node list has another address for this node than public-ip says: ask its admins to correct it',
      );
    }
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
    parts: { database: Database; retries: RetryQueue; omq: Omq },
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
        membershipVersion: () => source.list.version,
        membershipExpiry: () => source.list.expires,
      }),
    );
    const { port } = await server.start();
    closers.push(() => server.stop());
    return port;
  }
}

const bucket = (burst: number, perSecond: number) => ({
  capacity: burst,
  refillMicroseconds: perSecond === 0 ? Number.POSITIVE_INFINITY : 1_000_000 / perSecond,
});
