// SPDX-License-Identifier: AGPL-3.0-or-later
// One service node: puts its parts together, opens its listeners, and takes everything down again.
// Data folder: see data-folder.ts.
import { join } from 'node:path';
import type { PresetName } from '@allium/chain/presets';
import { AddressRules } from '@allium/net/address-rules';
import type { Certificate } from '@allium/net/certificate';
import { readCertificateFiles, watchCertificateFiles } from '@allium/net/certificate-files';
import { type HttpsListener, HttpsServer, type HttpsServerOptions } from '@allium/net/https-server';
import { Omq } from '@allium/net/omq';
import type { OmqEndpoint, OmqOptions } from '@allium/net/omq/endpoint';
import { RateLimiter } from '@allium/net/rate-limiter';
import type { Env, Transport } from '@allium/protocol/env';
import { BrowserEntry, browserCertificatePaths } from './browser-entry.ts';
import type { ServiceNodeOptions } from './config.ts';
import { lockDataFolder, openDataFolder } from './data-folder.ts';
import { COMMON_HEADERS, extraRequests, HttpRoutes } from './http-routes.ts';
import { LocalServer, SOCKET_NAME } from './local-server.ts';
import { Cleaner } from './mailbox/cleaner.ts';
import { Database, type DatabaseOptions } from './mailbox/database.ts';
import { Mailbox } from './mailbox/mailbox.ts';
import type { ChainAccess } from './membership/chain-network.ts';
import type { NodeNetwork } from './membership/node-network.ts';
import { StaticNetwork } from './membership/static-network.ts';
import { diskFiles, type ListFiles } from './membership/static-source.ts';
import { Metrics } from './metrics.ts';
import { LongPolls } from './monitor/long-polls.ts';
import { Subscriptions } from './monitor/subscriptions.ts';
import { NameBook } from './names.ts';
import { loadOrCreateCertificate, loadOrCreateNodeKeys, type NodeKeys } from './node-keys.ts';
import { registerCommands } from './omq-commands.ts';
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
import { Holdings } from './swarm/holdings.ts';
import { Intake } from './swarm/intake.ts';
import { Place } from './swarm/place.ts';
import { Reconciler } from './swarm/reconcile.ts';
import { ReconcileAnswers } from './swarm/reconcile-answers.ts';
import { Replication } from './swarm/replication.ts';
import { RetryQueue } from './swarm/retry-queue.ts';
import { Swarm } from './swarm/swarm.ts';
import { SwarmSync } from './swarm/swarm-sync.ts';
import { PeerTests } from './testing/peer-tests.ts';
import type { Governance, GovernanceParts } from './voting/governance.ts';

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
  /** Instead of the chain of the options. */
  readonly chain?: (options: ServiceNodeOptions, env: Env) => Promise<ChainAccess>;
  /** Carries the tests of other nodes. */
  readonly transport?: Transport;
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
  readonly network: NodeNetwork;
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

  /** Version of the node list in force, or the epoch. Only while it runs. */
  get listVersion(): number {
    if (this.#running === undefined) throw new Error('the node is not running');
    return this.#running.network.version;
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
    const network = await this.#network(options, keys, state?.files ?? diskFiles, env);
    const { source } = network;
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
          // Decommissioned nodes as well: they are reachable and tested like all others (spec/storage-server §3.4).
          if (swarm.knows(peerKeyHex)) return 'service_node';
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
        network,
        retries,
        subscriptions,
        polls,
        metrics,
        names: options.namesFile === '' ? undefined : NameBook.read(options.namesFile),
        ownHex: keys.ed25519Hex,
      },
      env,
    );
    const holdings = new Holdings({ mailbox, swarm, metrics, executor }, env);
    const reconciler = new Reconciler(
      {
        mailbox,
        omq,
        swarm,
        metrics,
        holdings,
        everySeconds: options.reconcileEvery,
        bytesPerSecond: options.reconcileBytesPerSecond,
      },
      env,
    );
    const reconcileAnswers =
      options.reconcileEvery > 0 ? new ReconcileAnswers({ mailbox, swarm, holdings }, env) : undefined;
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
    const governance = await this.#governance(network, { keys, omq, swarm, dataDir: options.dataDir }, env);
    const tests = new PeerTests(
      {
        omq,
        swarm,
        ownHex: keys.ed25519Hex,
        pace: paceOf(options, network),
        isOn: options.peerTests !== 'off',
        ...(governance !== undefined && { judge: governance.judge }),
        ...(this.#deps.transport !== undefined && { transport: this.#deps.transport }),
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
        reconcileAnswers,
        network,
        networkCommands: {
          ...network.commands({ omq, swarm, metrics, storageAnswers: () => answers(mailbox) }),
          ...governance?.commands(tests),
        },
        subscriptions,
        rpcLimit,
        metrics,
        notReady,
        incoming: tests.incoming,
        peers: () => JSON.stringify(tests.report()),
        statistics: () => statisticsJson(mailbox, database, metrics, network.height()),
      },
      env,
    );
    const browserFiles = browserCertificatePaths(options);
    const browserCertificate = browserFiles && readCertificateFiles(browserFiles);
    const entry =
      browserFiles &&
      new BrowserEntry(
        {
          onions,
          onionLimit,
          metrics,
          notReady,
          extraRequests,
          ownHex: keys.ed25519Hex,
          maxSockets: options.maxBrowserSockets,
          maxBufferedBytes: options.maxBufferedMib * MIB,
        },
        env,
      );
    const routes = new HttpRoutes(
      {
        executor,
        onions,
        rpcLimit,
        onionLimit,
        metrics,
        incoming: tests.incoming,
        ed25519Key: keys.ed25519Key,
        notReady,
        entry,
      },
      env,
    );
    const https = (this.#deps.https ?? sockets.https)(
      {
        host: options.bindHost,
        port: options.httpsPort,
        ...(browserCertificate ?? state?.certificate ?? loadOrCreateCertificate(options.dataDir)),
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
        ...(entry && { upgrade: (...given) => entry.upgrade(...given) }),
      },
      env,
    );

    // Newer lists first, then the peers' side, then clients.
    await network.start();
    closers.push(() => network.stop());
    const place = new Place(swarm, options.publicIp, network.words, env);
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
    closers.push(() => reconcileAnswers?.stop());
    const httpsPort = (await https.start()).port;
    closers.push(async () => {
      await https.drained();
      await https.stop();
    });
    if (browserFiles && browserCertificate) {
      const take = (renewed: Certificate) => https.setCertificate?.(renewed);
      closers.push(watchCertificateFiles(browserFiles, browserCertificate, take, env));
    }
    network.open({ https: httpsPort, omq: omqPort });
    closers.push(() => network.close());
    closers.push(() => relay.stop());
    governance?.start();
    tests.start();
    closers.push(async () => {
      await tests.stop();
      await governance?.stop();
    });
    const metricsPort = await this.#startLocal(
      options,
      metrics,
      network,
      { database, retries, omq, https, subscriptions, polls, onions, tests, governance },
      env,
      closers,
    );
    // First of all: nothing new, and no answer is held any longer.
    closers.push(() => entry?.stop());
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
        list: network.version,
        swarm: swarm.id?.toString(16),
      },
      'service node is up',
    );
    return {
      network,
      metrics,
      ports: { https: httpsPort, omq: omqPort, ...(metricsPort !== undefined && { metrics: metricsPort }) },
    };
  }

  /** Of the chain when one is named, else of the signed list. */
  async #network(
    options: ServiceNodeOptions,
    keys: NodeKeys,
    files: ListFiles,
    env: Env,
  ): Promise<NodeNetwork> {
    const given = this.#deps.chain;
    if (given === undefined && options.chainRpc.length === 0) {
      return StaticNetwork.open(options, keys.ed25519Hex, files, env);
    }
    // Only here: others need not load what belongs to a chain.
    const { ChainNetwork } = await import('./membership/chain-network.ts');
    const open = given ?? (await import('./membership/open-chain.ts')).openChain;
    const access = await open(options, env);
    return new ChainNetwork(options, { access, keys, files }, env);
  }

  async #governance(
    { chain }: NodeNetwork,
    parts: Omit<GovernanceParts, 'chain'>,
    env: Env,
  ): Promise<Governance | undefined> {
    if (chain === undefined) return undefined;
    const { Governance } = await import('./voting/governance.ts');
    return new Governance({ ...parts, chain }, env);
  }

  async #startLocal(
    options: ServiceNodeOptions,
    metrics: Metrics,
    network: NodeNetwork,
    parts: {
      database: Database;
      retries: RetryQueue;
      omq: OmqEndpoint;
      https: HttpsListener;
      subscriptions: Subscriptions;
      polls: LongPolls;
      onions: OnionRelay;
      tests: PeerTests;
      governance: Governance | undefined;
    },
    env: Env,
    closers: (() => void | Promise<void>)[],
  ): Promise<number | undefined> {
    const text = () =>
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
        membershipVersion: () => network.version,
        membershipExpiry: () => network.expires,
        clockOffsetMs: () => parts.tests.clocks.offsetMs,
        failingPeers: () => parts.tests.counts(),
        governance: () => parts.governance?.figures,
      });
    const routes = {
      '/metrics': () => ({ type: 'text/plain; version=0.0.4; charset=utf-8', text: text() }),
      '/peers': () => ({ type: 'application/json', text: JSON.stringify(parts.tests.report()) }),
    };
    if (this.#deps.state === undefined && process.platform !== 'win32') {
      const socket = new LocalServer({ path: join(options.dataDir, SOCKET_NAME) }, routes);
      try {
        await socket.start();
        closers.push(() => socket.stop());
      } catch (error) {
        // A path of more than about 100 characters, or a file system without sockets.
        env.log.warn(
          { error: String(error) },
          'no socket for "allium node peers": set --metrics-port to have it',
        );
      }
    }
    if (options.metricsPort === 0) return undefined;
    const server = new LocalServer({ port: options.metricsPort }, routes);
    const { port } = await server.start();
    closers.push(() => server.stop());
    return port;
  }
}

/** Whether the mailbox can be read. */
function answers(mailbox: Mailbox): boolean {
  try {
    mailbox.isVirgin();
    return true;
  } catch {
    return false;
  }
}

const sockets = {
  omq: (options: OmqOptions, env: Env): OmqEndpoint => new Omq(options, env),
  https: (options: HttpsServerOptions, env: Env): HttpsListener => new HttpsServer(options, env),
};

/** The admins of a static list set no pace: that of a large network is the most patient. */
function paceOf({ peerTests }: ServiceNodeOptions, { chain }: NodeNetwork): PresetName {
  if (peerTests === 'production' || peerTests === 'test' || peerTests === 'local') return peerTests;
  return chain?.view.network.preset ?? 'production';
}

const bucket = (burst: number, perSecond: number) => ({
  capacity: burst,
  refillMicroseconds: perSecond === 0 ? Number.POSITIVE_INFINITY : 1_000_000 / perSecond,
});
