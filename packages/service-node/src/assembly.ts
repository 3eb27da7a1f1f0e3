// SPDX-License-Identifier: AGPL-3.0-or-later
// The parts of a running node: made from the bottom up, opened from the inside out, and closed in the opposite order.
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
import { COMMON_HEADERS, extraRequests, HttpRoutes } from './http-routes.ts';
import { localPages, openMetricsPort, openSocket } from './local-pages.ts';
import { Cleaner } from './mailbox/cleaner.ts';
import { Database, type DatabaseOptions } from './mailbox/database.ts';
import { Mailbox } from './mailbox/mailbox.ts';
import type { ChainAccess } from './membership/chain-network.ts';
import type { NodeNetwork } from './membership/node-network.ts';
import { openNetwork } from './membership/open-network.ts';
import { diskFiles, type ListFiles } from './membership/static-source.ts';
import { Metrics } from './metrics.ts';
import { LongPolls } from './monitor/long-polls.ts';
import { Subscriptions } from './monitor/subscriptions.ts';
import { NameBook } from './names.ts';
import { loadOrCreateCertificate, type NodeKeys } from './node-keys.ts';
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
export interface NodeDeps {
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
interface NodeState {
  readonly keys: NodeKeys;
  /** Must be the only one that uses it. */
  readonly database: Pick<DatabaseOptions, 'path' | 'defer'>;
  readonly files: ListFiles;
  readonly certificate: { readonly certificatePem: string; readonly keyPem: string };
}

/** Takes down what was opened. */
export type Closer = () => void | Promise<void>;

export interface Assembled {
  readonly ports: Ports;
  readonly network: NodeNetwork;
}

export interface AssemblyParts {
  readonly options: ServiceNodeOptions;
  readonly keys: NodeKeys;
  readonly deps: NodeDeps;
  /** Gets one for each part that was opened, also when a later one fails; to be called last first. */
  readonly closers: Closer[];
}

/** Makes all parts and opens them. @throws AlliumError with what to do about it */
export async function assemble(
  { options, keys, deps, closers }: AssemblyParts,
  env: Env,
): Promise<Assembled> {
  const { clock, log } = env;
  const metrics = new Metrics(env);
  const { state } = deps;
  const network = await openNetwork(
    options,
    { keys, files: state?.files ?? diskFiles, chain: deps.chain },
    env,
  );
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
  const omq = (deps.omq ?? sockets.omq)(
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
      tests: () => tests.listed,
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
      ...(deps.resolve !== undefined && { resolve: deps.resolve }),
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
  const governance = await openGovernance(network, { keys, omq, swarm, dataDir: options.dataDir }, env);
  const tests = new PeerTests(
    {
      omq,
      swarm,
      ownHex: keys.ed25519Hex,
      pace: paceOf(options, network),
      isOn: options.peerTests !== 'off',
      ...(governance !== undefined && { judge: governance.judge }),
      ...(deps.transport !== undefined && { transport: deps.transport }),
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
  const https = (deps.https ?? sockets.https)(
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
  const configured = {
    publicIp: options.publicIp,
    httpsPort: options.publicHttpsPort || options.httpsPort,
    omqPort: options.publicOmqPort || options.omqPort,
  };
  const place = new Place(swarm, configured, network.words, env);
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
  const pages = localPages({
    ...{ metrics, network, database, retries, omq, https },
    ...{ subscriptions, polls, onions, tests, governance },
  });
  if (state === undefined && process.platform !== 'win32')
    await openSocket(options.dataDir, pages, env, closers);
  const metricsPort = await openMetricsPort(options.metricsPort, pages, closers);
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
    ports: { https: httpsPort, omq: omqPort, ...(metricsPort !== undefined && { metrics: metricsPort }) },
  };
}

/** Where a chain says who belongs: tests, votes and reveals. */
async function openGovernance(
  { chain }: NodeNetwork,
  parts: Omit<GovernanceParts, 'chain'>,
  env: Env,
): Promise<Governance | undefined> {
  if (chain === undefined) return undefined;
  // Only here: others need not load what belongs to a chain.
  const { Governance } = await import('./voting/governance.ts');
  return new Governance({ ...parts, chain }, env);
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
