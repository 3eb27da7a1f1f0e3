// SPDX-License-Identifier: AGPL-3.0-or-later
// Looks over a node from outside, running or not, and says of each thing that it is well or what to do. It changes
// nothing: files are opened for reading, a port is bound for a moment only when no node runs.
import { existsSync, readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { readCertificateFiles } from '@allium/net/certificate-files';
import { HttpsTransport, httpsOrigin } from '@allium/net/https-transport';
import { Omq } from '@allium/net/omq';
import { fromBase64, fromUtf8, toHex, utf8 } from '@allium/protocol/bytes';
import { x25519KeyPair } from '@allium/protocol/crypto';
import type { Env } from '@allium/protocol/env';
import type { Member, Membership } from '@allium/protocol/membership';
import {
  acceptStaticList,
  membershipOf,
  parseStaticList,
  type StaticList,
} from '@allium/protocol/membership/static-list';
import { browserCertificatePaths } from './browser-entry.ts';
import type { ServiceNodeOptions } from './config.ts';
import { folderFaults, isInUse } from './data-folder.ts';
import { askForList, chainInWords, placeOnChain } from './doctor-chain.ts';
import { inspectDatabase } from './mailbox/database.ts';
import { CLOCK_TOLERANCE_MS, CLOCKS_TO_ASK, medianOffset, offsetText } from './membership/clock-watch.ts';
import { readListInForce } from './membership/static-source.ts';
import { certificateFault, NodeKeys, readNodeSeed } from './node-keys.ts';
import { hasAddress } from './peers.ts';
import { WIRE_VERSION_TEXT } from './protocol-version.ts';
import { differingPorts, swarmPlace } from './swarm/place.ts';

// Ours.
const TIMEOUT_MS = 5_000;
const MIB = 1024 * 1024;
/** Less, and the journal of the mailbox may find no room. */
const LEAST_FREE_BYTES = 256 * MIB;
/** Connections of clients, members and servers, with room to spare. */
const LEAST_OPEN_FILES = 8192;
/** A new list needs signatures of people: tell them in time. */
const EXPIRES_SOON_SECONDS = 14 * 86_400;
const DAY_SECONDS = 86_400;

export interface Finding {
  readonly name: Check;
  readonly ok: boolean;
  /** What was found; when not ok, also what to do. */
  readonly text: string;
}

type Told = Omit<Finding, 'name'>;
const well = (text: string): Told => ({ ok: true, text });
const todo = (text: string): Told => ({ ok: false, text });

/** In the order in which one thing depends on another. Those after the node list are made only when there is one. */
export const CHECKS = [
  ...([
    'version',
    'data folder',
    'key',
    'certificate',
    'database',
    'open files',
    'node',
    'node list',
  ] as const),
  ...(['membership', 'https port', 'omq port', 'clock'] as const),
];
export type Check = (typeof CHECKS)[number];

/** The checks in `only`, by default all. Rejects only on faults of our own. */
export async function examine(
  options: ServiceNodeOptions,
  env: Env,
  only: readonly string[] = CHECKS,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  const asksOthers: readonly Check[] = ['https port', 'omq port', 'clock'];
  const tell = async (name: Check, check: () => Told | Promise<Told>) => {
    // Quick ones are made in any case: later ones need what they find.
    if (asksOthers.includes(name) && !only.includes(name)) return;
    try {
      findings.push({ name, ...(await check()) });
    } catch (error) {
      findings.push({ name, ...todo(error instanceof Error ? error.message : String(error)) });
    }
  };
  const wanted = () => findings.filter(({ name }) => only.includes(name));
  const { dataDir } = options;
  let keys: NodeKeys | undefined;
  let isRunning = false;
  const transport = new HttpsTransport();
  const omq = new Omq({ keyPair: x25519KeyPair(), isServiceNode: false }, env);

  try {
    await omq.start();
    await tell('version', version);
    await tell('data folder', () => dataFolder(options));
    await tell('key', () => {
      const seed = readNodeSeed(dataDir);
      if (seed === undefined) return todo(`no key in ${dataDir} yet: the first start of the node makes it`);
      keys = new NodeKeys(seed);
      return well(keys.ed25519Hex);
    });
    await tell('certificate', () => certificate(options));
    await tell('database', () => database(options));
    await tell('open files', openFiles);
    await tell('node', () => {
      isRunning = isInUse(dataDir);
      return isRunning ? answering(transport, options, env) : todo('not running: start it');
    });
    let membership: Membership | undefined;
    let place: ((ed25519Hex: string, self: Member | undefined) => Told) | undefined;
    await tell('node list', async () => {
      if (options.chainRpc.length > 0) {
        const chain = await chainInWords(options);
        if (!isRunning) return well(`${chain}; more is known when the node runs`);
        const list = await askForList(transport, loopbackFor(options.bindHost), options.httpsPort);
        membership = list.membership;
        place = (ed25519Hex) => placeOnChain(ed25519Hex, list, options);
        const found = `${chain}; ${list.registered} ${list.registered === 1 ? 'node' : 'nodes'}, ${membership.members.length} of them with an address`;
        return list.registered === 0
          ? todo(`${found}: the chain is not read, or nobody is registered; see the log of the node`)
          : well(found);
      }
      const { list, isFirst } = await readListInForce(options);
      const found = membershipOf(list);
      membership = found;
      place = (ed25519Hex, self) => placeInList(ed25519Hex, self, found, options);
      return nodeList(list, isFirst, options, env);
    });
    if (membership === undefined) return wanted();
    const others = membership;
    const self = keys && others.byEd25519.get(keys.ed25519Hex);
    if (keys !== undefined) {
      const { ed25519Hex } = keys;
      await tell('membership', () => place!(ed25519Hex, self));
    }
    const host = publicHost(options, self);
    const httpsPort = self?.httpsPort || options.httpsPort;
    const omqPort = self?.omqPort || options.omqPort;
    await tell('https port', () =>
      isRunning && keys !== undefined
        ? httpsReachable(transport, host, httpsPort, keys)
        : portFree(options.bindHost, options.httpsPort, '--https-port'),
    );
    await tell('omq port', () =>
      isRunning && keys !== undefined
        ? omqReachable(omq, host, omqPort, keys)
        : portFree(options.bindHost, options.omqPort, '--omq-port'),
    );
    await tell('clock', () => clock(transport, others, self, env));
  } finally {
    await omq.stop();
    await transport.close();
  }
  return wanted();
}

/** Asks the node where it listens. */
async function answering(
  transport: HttpsTransport,
  { bindHost, httpsPort }: ServiceNodeOptions,
  env: Env,
): Promise<Told> {
  if (httpsPort === 0) return well('running, on a port that it chose');
  const origin = httpsOrigin(loopbackFor(bindHost), httpsPort);
  const began = env.clock.monotonic();
  let trouble: string;
  try {
    const { status, body } = await transport.request({
      url: `${origin}/storage_rpc/v1`,
      body: INFO,
      timeoutMs: TIMEOUT_MS,
    });
    const ms = Math.round(env.clock.monotonic() - began);
    if (status === 200) return well(`running, answers within ${ms} ms`);
    trouble = fromUtf8(body).trim();
  } catch (error) {
    trouble = (error as Error).message;
  }
  return todo(`running, but ${origin} does not serve requests (${trouble}): see its log`);
}

const INFO = utf8('{"method":"info","params":{}}');

/** An address of this machine that reaches a listener on `bindHost`. */
const loopbackFor = (bindHost: string) =>
  bindHost === '0.0.0.0' ? '127.0.0.1' : bindHost === '::' ? '::1' : bindHost;

function version(): Told {
  const file = new URL('../package.json', import.meta.url);
  const { version: product } = JSON.parse(readFileSync(file, 'utf8')) as { version: string };
  return well(`allium ${product}, wire version ${WIRE_VERSION_TEXT}, Node.js ${process.versions.node}`);
}

async function dataFolder({ dataDir, databaseMaxMib }: ServiceNodeOptions): Promise<Told> {
  if (!existsSync(dataDir)) {
    return todo(`${dataDir} does not exist: name it with --data-dir; the first start of the node makes it`);
  }
  const faults = folderFaults(dataDir);
  if (faults.length > 0) return todo(faults.join('; '));
  const { bavail, bsize } = await statfs(dataDir);
  const free = bavail * bsize;
  const found = `${dataDir}, ${size(free)} free`;
  if (free < LEAST_FREE_BYTES)
    return todo(`${found}: the disk is nearly full, free at least ${size(LEAST_FREE_BYTES)}`);
  const held = existsSync(mailboxOf(dataDir)) ? inspectDatabase(mailboxOf(dataDir)).usedBytes : 0;
  const wanted = databaseMaxMib * MIB - held;
  return well(
    free < wanted
      ? `${found} (the mailbox may grow by ${size(wanted)}: watch it, or lower --database-max-mib)`
      : found,
  );
}

const mailboxOf = (dataDir: string) => join(dataDir, 'mailbox.sqlite');

function certificate(options: ServiceNodeOptions): Told {
  const { dataDir } = options;
  const paths = browserCertificatePaths(options);
  if (paths !== undefined) {
    const { validTo } = readCertificateFiles(paths);
    const days = Math.floor((validTo - Date.now()) / 86_400_000);
    const until = `for browsers, until ${new Date(validTo).toISOString().slice(0, 10)}`;
    return days < 7 ? todo(`${until}: renew it, else browsers refuse this node`) : well(until);
  }
  const fault = certificateFault(dataDir);
  if (fault === undefined) return well('fits its key');
  // No node ever had one: not worth a restart.
  return existsSync(join(dataDir, 'cert.pem'))
    ? todo(`${fault}: restart the node, it makes a new one`)
    : well('none yet: the first start of the node makes it');
}

function database({ dataDir, databaseMaxMib }: ServiceNodeOptions): Told {
  const path = mailboxOf(dataDir);
  if (!existsSync(path)) return well('none yet: the first start of the node makes it');
  const { usedBytes } = inspectDatabase(path);
  const max = databaseMaxMib * MIB;
  const found = `${size(usedBytes)} of ${size(max)} used`;
  return usedBytes > 0.95 * max
    ? todo(`${found}: soon new messages are refused. Raise --database-max-mib (and the disk, if need be)`)
    : well(found);
}

function openFiles(): Told {
  let limits: string;
  try {
    limits = readFileSync('/proc/self/limits', 'utf8');
  } catch {
    return well('no limit known on this system');
  }
  // Node raises the soft limit to the hard one by itself.
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(limits)?.[1];
  if (hard === undefined || hard === 'unlimited' || Number(hard) >= LEAST_OPEN_FILES) {
    return well(`${hard ?? 'unknown'} allowed`);
  }
  return todo(
    `only ${hard} allowed: raise the limit to ${LEAST_OPEN_FILES} or more (LimitNOFILE= in systemd, ulimit -Hn)`,
  );
}

async function nodeList(
  list: StaticList,
  isFirst: boolean,
  options: ServiceNodeOptions,
  env: Env,
): Promise<Told> {
  const nowSeconds = env.clock.now() / 1000;
  const found = `version ${list.version} of network ${list.network.slice(0, 8)}, ${list.nodes.length} ${list.nodes.length === 1 ? 'node' : 'nodes'}`;
  const left = list.expires - nowSeconds;
  if (left <= 0) {
    return todo(
      `${found}: expired ${days(-left)} ago. It stays in force here, but no node accepts it from another: ask the admins for a new one`,
    );
  }
  if (left < EXPIRES_SOON_SECONDS)
    return todo(`${found}: expires in ${days(left)}: ask the admins for a new one`);
  const waiting = isFirst ? undefined : waitingList(options, list, nowSeconds);
  if (waiting !== undefined) return todo(`${found}; ${waiting}`);
  return well(`${found}, expires in ${days(left)}`);
}

/** Why the configured file is not in force, when it ought to be. */
function waitingList(
  { networkFile }: ServiceNodeOptions,
  held: StaticList,
  nowSeconds: number,
): string | undefined {
  if (networkFile === '' || !existsSync(networkFile)) return undefined;
  const verdict = acceptStaticList(parseStaticList(readFileSync(networkFile)), held, nowSeconds);
  if (verdict.accepted || verdict.reason === 'same' || verdict.reason === 'older') return undefined;
  const reason = verdict.reason.replaceAll('_', ' ');
  return `the list in ${networkFile} is not taken over (${reason}): ask the admins for one that they have signed`;
}

function placeInList(
  ed25519Hex: string,
  self: Member | undefined,
  membership: Membership,
  options: ServiceNodeOptions,
): Told {
  const { publicIp } = options;
  const httpsPort = options.publicHttpsPort || options.httpsPort;
  const omqPort = options.publicOmqPort || options.omqPort;
  const host = publicIp === '' ? 'PUBLIC-IP' : bracketed(publicIp);
  const entry = `${ed25519Hex}@${host}:${httpsPort}:${omqPort}`;
  if (self === undefined) return todo(`this node is not in the list: ask the admins to add ${entry}`);
  if (!hasAddress(self)) return todo(`the list has no address of this node: ask the admins to set ${entry}`);
  if (publicIp !== '' && publicIp !== self.host) {
    return todo(
      `the list says that this node is at ${self.host}, the configuration (--public-ip) ${publicIp}: correct it, or ask the admins to set ${entry}`,
    );
  }
  const differing = differingPorts(self, { httpsPort, omqPort });
  if (differing !== undefined) {
    return todo(
      `${differing}: correct --https-port and --omq-port, forward the ports, or ask the admins to set ${entry}`,
    );
  }
  return well(swarmPlace(self, membership));
}

/** Where others look for this node, else where it listens. */
function publicHost({ publicIp, bindHost }: ServiceNodeOptions, self: Member | undefined): string {
  if (self !== undefined && hasAddress(self)) return self.host;
  if (publicIp !== '') return publicIp;
  return loopbackFor(bindHost);
}

async function httpsReachable(
  transport: HttpsTransport,
  host: string,
  port: number,
  keys: NodeKeys,
): Promise<Told> {
  const origin = httpsOrigin(host, port);
  let header: string | undefined;
  try {
    const answer = await transport.request({
      url: `${origin}/ping_test/v1`,
      body: new Uint8Array(0),
      timeoutMs: TIMEOUT_MS,
    });
    header = answer.headers['x-oxen-snode-pubkey'];
  } catch (error) {
    return todo(`${origin} does not answer (${(error as Error).message}): ${openPort(port)}`);
  }
  const key = header === undefined ? undefined : toHex(fromBase64(header));
  if (key === keys.ed25519Hex) return well(`${origin} answers`);
  return todo(
    `something else answers at ${origin}: correct the address in the list, or where port ${port} is forwarded to`,
  );
}

async function omqReachable(omq: Omq, host: string, port: number, keys: NodeKeys): Promise<Told> {
  const address = `${bracketed(host)}:${port}`;
  try {
    // The handshake proves the key of the node; the request, that it works.
    await omq.request({ host, port, publicKey: keys.x25519.publicKey }, 'storage.info', [utf8('{}')], {
      timeoutMs: TIMEOUT_MS,
    });
    return well(`${address} answers`);
  } catch (error) {
    return todo(`${address} does not answer as this node (${(error as Error).message}): ${openPort(port)}`);
  }
}

const openPort = (port: number) =>
  `open TCP port ${port} in the firewall and forward it to this machine. Behind a router that does not lead its own ` +
  'address back inside, ask from another machine';

function portFree(host: string, port: number, option: string): Promise<Told> {
  if (port === 0) return Promise.resolve(well('any free one'));
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', ({ code, message }: NodeJS.ErrnoException) => {
      const reason =
        code === 'EADDRINUSE'
          ? `another program listens on port ${port}: end it, or choose another one by ${option}`
          : code === 'EACCES'
            ? `port ${port} is reserved for root: choose one above 1023`
            : code === 'EADDRNOTAVAIL'
              ? `this machine has no address ${host}: correct --bind-host`
              : message;
      resolve(todo(reason));
    });
    server.listen({ host, port, exclusive: true }, () =>
      server.close(() => resolve(well(`${bracketed(host)}:${port} is free`))),
    );
  });
}

async function clock(
  transport: HttpsTransport,
  membership: Membership,
  self: Member | undefined,
  env: Env,
): Promise<Told> {
  const others = membership.members.filter((member) => member !== self && hasAddress(member));
  if (others.length === 0) return well('no other members to compare with');
  const asked = pick(others, CLOCKS_TO_ASK, env);
  const answers = await Promise.all(
    asked.map(async ({ host, httpsPort }) => {
      const began = env.clock.now();
      try {
        const answer = await transport.request({
          url: `${httpsOrigin(host, httpsPort)}/storage_rpc/v1`,
          body: INFO,
          timeoutMs: TIMEOUT_MS,
        });
        const { t } = JSON.parse(fromUtf8(answer.body)) as { t?: unknown };
        return typeof t === 'number' ? (began + env.clock.now()) / 2 - t : undefined;
      } catch {
        return undefined;
      }
    }),
  );
  const offsets = answers.filter((answer) => answer !== undefined);
  const offset = medianOffset(offsets);
  if (offset === undefined) {
    return todo(`none of ${asked.length} other members answers: check that this machine can reach others`);
  }
  const found = `${offsetText(offset)} ${offsets.length} other member${offsets.length === 1 ? '' : 's'}`;
  if (Math.abs(offset) <= CLOCK_TOLERANCE_MS) return well(found);
  return todo(`${found}: set the clock (for instance "timedatectl set-ntp true")`);
}

function pick<T>(all: readonly T[], count: number, { random }: Env): T[] {
  const left = [...all];
  return Array.from(
    { length: Math.min(count, all.length) },
    () => left.splice(random.below(left.length), 1)[0]!,
  );
}

const bracketed = (host: string) => (host.includes(':') ? `[${host}]` : host);

function size(bytes: number): string {
  if (bytes < MIB) return `${Math.max(0, Math.round(bytes / 1024))} KiB`;
  return bytes < 1024 * MIB ? `${Math.round(bytes / MIB)} MiB` : `${(bytes / (1024 * MIB)).toFixed(1)} GiB`;
}

function days(seconds: number): string {
  const whole = Math.floor(seconds / DAY_SECONDS);
  return whole === 1 ? '1 day' : whole > 0 ? `${whole} days` : `${Math.ceil(seconds / 3600)} h`;
}
