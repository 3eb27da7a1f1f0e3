// SPDX-License-Identifier: AGPL-3.0-or-later
// All options of the service node in one table: name, type, default, meaning. Sources: flags > environment
// (ALLIUM_NODE_…) > file (JSON) > default. A key that no source knows is an error, never ignored.
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { parseRange } from '@allium/net/address-rules';
import { AlliumError } from '@allium/protocol/errors';

/** Text that a person typed and we cannot use. */
export class ConfigError extends AlliumError<'unknown_option' | 'bad_value' | 'missing_value' | 'bad_file'> {
  override readonly name = 'ConfigError';
}

interface Kinds {
  text: string;
  path: string;
  ip: string;
  port: number;
  count: number;
  yesno: boolean;
  list: readonly string[];
}

interface Option<K extends keyof Kinds = keyof Kinds> {
  readonly kind: K;
  readonly default: Kinds[K];
  readonly meaning: string;
  /** Closed set of values. */
  readonly oneOf?: readonly string[];
  /** Shown as `***` by --print-config. */
  readonly secret?: boolean;
  /** Refuses a value with the reason. */
  readonly check?: (value: Kinds[K]) => string | undefined;
}

const option = <K extends keyof Kinds>(
  kind: K,
  initial: Kinds[K],
  meaning: string,
  more: Partial<Option<K>> = {},
): Option<K> => ({ kind, default: initial, meaning, ...more });

const ranges = (list: readonly string[]) =>
  list.some((text) => parseRange(text) === undefined)
    ? 'expected address ranges such as 10.0.0.0/8 or fd00::/8'
    : undefined;
const keys = (list: readonly string[]) =>
  list.every((key) => /^[0-9a-f]{64}$/.test(key)) ? undefined : 'expected X25519 keys of 64 hex digits';

const endpoints = (list: readonly string[]) =>
  list.every((text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol))
    ? undefined
    : 'expected addresses such as https://rpc.example/ or http://127.0.0.1:8545';
const peers = (list: readonly string[]) =>
  list.every((text) => parsePeer(text) !== undefined)
    ? undefined
    : 'expected nodes as IPv4:OMQPORT:ED25519KEY, the key of 64 hex digits';

export const OPTIONS = {
  dataDir: option(
    'path',
    'allium-node',
    'Folder of the keys, the mailbox, and the list in force; made when absent',
  ),
  networkFile: option(
    'path',
    '',
    'Signed static list of the network. Trusted at the first start; afterwards a newer file at this path is taken over ' +
      'when the admins of the list in force have signed it',
  ),
  networkDigest: option(
    'text',
    '',
    'SHA-256 (hex) that the first list must have; empty: any list at networkFile',
    {
      check: (text) => (/^([0-9a-f]{64})?$/.test(text) ? undefined : 'expected 64 hex digits'),
    },
  ),
  chainRpc: option(
    'list',
    [],
    'JSON-RPC endpoints of the chain that says who is in the network, two or more of different operators at best; empty: the ' +
      'signed list says it',
    { check: endpoints },
  ),
  chainDeployment: option(
    'path',
    '',
    'File that tells the registry of the network (deployment.json, written by whoever deployed it)',
  ),
  namesFile: option(
    'path',
    '',
    'File with names of accounts, {"NAME":"ACCOUNT ID"}, the same on all nodes; read at the start. Empty: this node knows no ' +
      'names',
  ),
  votingKeyFile: option(
    'path',
    '',
    'File with the key that votes and pays gas (64 hex digits); empty: voting.key in dataDir. Without one this node does ' +
      'not vote',
  ),
  peers: option(
    'list',
    [],
    'Nodes of a chain network to ask first where the others are: IPv4:OMQPORT:ED25519KEY',
    { check: peers },
  ),
  publicIp: option(
    'text',
    '',
    'Address under which others reach this node. With a chain: the one that it tells them; empty: bindHost. With a list: to ' +
      'be warned when the list has another',
    {
      check: (text) => (text === '' || isIP(text) > 0 ? undefined : 'expected an IP address'),
    },
  ),
  bindHost: option('ip', '0.0.0.0', 'Address to listen on'),
  httpsPort: option('port', 22021, 'TCP port for clients (HTTPS); 0: any free one'),
  omqPort: option('port', 22020, 'TCP port for nodes (OMQ); 0: any free one'),
  publicHttpsPort: option(
    'port',
    0,
    'Port at which the internet reaches --https-port, where a router or container maps it; 0: the same',
  ),
  publicOmqPort: option('port', 0, 'Port at which the internet reaches --omq-port; 0: the same'),
  metricsPort: option('port', 0, 'Loopback port of /metrics for Prometheus; 0: off'),
  logLevel: option('text', 'info', 'Least important lines to log', {
    oneOf: ['silent', 'error', 'warn', 'info', 'debug'],
  }),
  logFormat: option('text', 'auto', 'JSON lines, or text for people; auto: text on a terminal', {
    oneOf: ['auto', 'json', 'pretty'],
  }),
  databaseMaxMib: option('count', 3584, 'Limit of the mailbox in MiB; beyond it stores fail', {
    check: (value) => (value >= 1 ? undefined : 'expected at least 1'),
  }),
  rpcBurst: option('count', 600, 'RPC requests that one address may send at once'),
  rpcPerSecond: option('count', 300, 'RPC requests per second that one address may go on sending'),
  onionBurst: option('count', 2000, 'Onion requests that one address may send to this entry at once'),
  onionPerSecond: option('count', 1000, 'Onion requests per second that one address may go on sending'),
  maxConnections: option(
    'count',
    20_000,
    'Connections of clients at once; further ones are closed before TLS. Each needs an open file',
  ),
  maxConnectionsPerAddress: option('count', 2000, 'Connections of one address at once'),
  connectionBurst: option('count', 300, 'Connections that one address may open at once'),
  connectionsPerSecond: option('count', 30, 'Connections per second that one address may go on opening'),
  allConnectionsPerSecond: option(
    'count',
    250,
    'New connections per second from all addresses, four times as many at once; each handshake costs half a millisecond',
  ),
  maxRefusals: option(
    'count',
    300,
    'Refused requests (429) of one address within ten seconds that shut it out for ten seconds',
    { check: (value) => (value >= 1 ? undefined : 'expected at least 1') },
  ),
  maxBufferedMib: option(
    'count',
    256,
    'Memory in MiB for bodies of requests, and again for large answers on their way; a quarter of each for one address',
    { check: (value) => (value >= 16 ? undefined : 'expected at least 16') },
  ),
  maxOmqConnections: option('count', 4000, 'OMQ connections of other nodes and push servers at once'),
  maxOmqConnectionsPerAddress: option('count', 400, 'OMQ connections of one address at once'),
  maxRequests: option(
    'count',
    1000,
    'Client requests in work at once, those that only wait not counted; further ones get 503',
  ),
  maxRequestsPerAddress: option(
    'count',
    500,
    'Client requests of one address in work at once; further ones get 503',
  ),
  maxHops: option(
    'count',
    20_000,
    'Onion hops waiting for next nodes at once, long polls of clients mostly, half of them for one; further ones get 503',
  ),
  maxPolls: option(
    'count',
    20_000,
    'Requests held at once until a message arrives; further ones are answered at once',
  ),
  reconcileEvery: option(
    'count',
    60,
    'Mean time in seconds after which this node compares its mailbox with another member of its swarm; 0: never',
  ),
  reconcileBytesPerSecond: option('count', 1_000_000, 'Bytes per second that such a comparison may move', {
    check: (value) => (value >= 1000 ? undefined : 'expected at least 1000'),
  }),
  peerTests: option(
    'text',
    'auto',
    'Pace at which this node tests the others; auto: as the network prescribes, with a static list as in production',
    { oneOf: ['auto', 'off', 'production', 'test', 'local'] },
  ),
  browserCertificate: option(
    'path',
    '',
    'Certificate chain in PEM that browsers accept, for the name under which they reach this node: lets web pages send onions ' +
      'to it. Read again when it changes. Empty: no browser entry',
  ),
  browserKey: option('path', '', 'Its key in PEM'),
  maxBrowserSockets: option('count', 2000, 'WebSockets of browsers at once; 100 of one address'),
  maxRelays: option('count', 100, 'Relays to servers at once; further ones get 503'),
  maxSubscriptions: option(
    'count',
    100_000,
    'Accounts that push servers may watch at once, a tenth of them over one connection; further ones are refused',
  ),
  relayHttp: option('yesno', true, 'Relay also to servers without TLS (some community servers have none)'),
  relayExemptRanges: option('list', [], 'Private or local address ranges to which relaying is allowed', {
    check: ranges,
  }),
  statsAccessKeys: option(
    'list',
    [],
    'X25519 keys that may ask service.get_stats and service.get_peers over OMQ',
    { check: keys },
  ),
} as const;

export type OptionName = keyof typeof OPTIONS;

/** What the rest of the program sees: every option with its value, frozen. */
export type ServiceNodeOptions = {
  readonly [N in OptionName]: (typeof OPTIONS)[N] extends Option<infer K> ? Kinds[K] : never;
};

type Table = Readonly<Record<string, Option>>;
type Values = Record<string, Kinds[keyof Kinds]>;

/** A node by its address and Ed25519 key: `192.0.2.1:22020:` and 64 hex digits. */
export function parsePeer(text: string): { host: string; port: number; keyHex: string } | undefined {
  const match = /^([0-9.]+):(\d{1,5}):([0-9a-fA-F]{64})$/.exec(text);
  if (match === null || isIP(match[1]!) !== 4) return undefined;
  const port = Number(match[2]);
  if (port < 1 || port > 65_535) return undefined;
  return { host: match[1]!, port, keyHex: match[3]!.toLowerCase() };
}

/** Defaults with `overrides`, checked like any other source. @throws ConfigError */
export function serviceNodeOptions(overrides: Partial<ServiceNodeOptions> = {}): ServiceNodeOptions {
  return resolve([{ source: 'options', values: overrides }]);
}

export interface CommandLine {
  readonly options: ServiceNodeOptions;
  readonly help: boolean;
  readonly version: boolean;
  readonly printConfig: boolean;
}

/** @throws ConfigError with a sentence that names the option and its source */
export function readConfig(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): CommandLine {
  const flags = readFlags(argv);
  const fromEnvironment = readEnvironment(environment);
  const path = flags.configFile ?? fromEnvironment.configFile;
  const sources: Source[] = [];
  if (path !== undefined) sources.push({ source: path, values: readFile(path) });
  sources.push({ source: 'environment', values: fromEnvironment.values });
  sources.push({ source: 'command line', values: flags.values });
  return {
    options: resolve(sources),
    help: flags.help,
    version: flags.version,
    printConfig: flags.printConfig,
  };
}

interface Source {
  readonly source: string;
  readonly values: Readonly<Record<string, unknown>>;
}

/** Later sources win. */
function resolve(sources: readonly Source[]): ServiceNodeOptions {
  const table: Table = OPTIONS as unknown as Table;
  const values: Values = {};
  for (const [name, { default: initial }] of Object.entries(table)) values[name] = initial;
  for (const { source, values: given } of sources) {
    for (const [name, raw] of Object.entries(given)) {
      const known = Object.hasOwn(table, name) ? table[name] : undefined;
      if (known === undefined) {
        throw new ConfigError('unknown_option', `unknown option ${JSON.stringify(name)} (${source})`);
      }
      if (raw !== undefined) values[name] = convert(name, known, raw, source);
    }
  }
  return Object.freeze(values) as unknown as ServiceNodeOptions;
}

function convert(name: string, known: Option, raw: unknown, source: string): Kinds[keyof Kinds] {
  const refuse = (reason: string): never => {
    throw new ConfigError('bad_value', `option ${name} (${source}): ${reason}, got ${JSON.stringify(raw)}`);
  };
  const value = ((): Kinds[keyof Kinds] => {
    switch (known.kind) {
      case 'port':
      case 'count': {
        const number = typeof raw === 'string' && /^\d{1,15}$/.test(raw) ? Number(raw) : raw;
        const most = known.kind === 'port' ? 65_535 : Number.MAX_SAFE_INTEGER;
        if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < 0 || number > most) {
          return refuse(known.kind === 'port' ? 'expected a port (0 to 65535)' : 'expected a whole number');
        }
        return number;
      }
      case 'yesno':
        if (raw === true || raw === 'true' || raw === 'yes' || raw === '1') return true;
        if (raw === false || raw === 'false' || raw === 'no' || raw === '0') return false;
        return refuse('expected true or false');
      case 'list': {
        const list = typeof raw === 'string' ? raw.split(',').map((item) => item.trim()) : raw;
        if (!Array.isArray(list) || list.some((item) => typeof item !== 'string')) {
          return refuse('expected a list of texts');
        }
        return Object.freeze(list.filter((item) => item !== '')) as readonly string[];
      }
      default:
        if (typeof raw !== 'string') return refuse('expected text');
        if (known.kind === 'ip' && isIP(raw) === 0) return refuse('expected an IP address');
        return raw;
    }
  })();
  if (known.oneOf !== undefined && !known.oneOf.includes(value as string))
    refuse(`expected one of ${known.oneOf.join(', ')}`);
  const reason = known.check?.(value as never);
  if (reason !== undefined) refuse(reason);
  return value;
}

const kebab = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
const snake = (name: string) => kebab(name).replaceAll('-', '_').toUpperCase();
const camel = (flag: string) => flag.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

const PREFIX = 'ALLIUM_NODE_';

interface Flags {
  configFile: string | undefined;
  help: boolean;
  version: boolean;
  printConfig: boolean;
  values: Record<string, unknown>;
}

function readFlags(argv: readonly string[]): Flags {
  const flags: Flags = { configFile: undefined, help: false, version: false, printConfig: false, values: {} };
  const table: Table = OPTIONS as unknown as Table;
  for (let i = 0; i < argv.length; i++) {
    const argument = argv[i]!;
    const match = /^--([a-z0-9-]+)(?:=([\s\S]*))?$/.exec(argument);
    if (match === null) {
      if (argument === '-h') flags.help = true;
      else
        throw new ConfigError('unknown_option', `unknown argument ${JSON.stringify(argument)} (try --help)`);
      continue;
    }
    const flag = match[1]!;
    let value = match[2];
    if (flag === 'help' || flag === 'version' || flag === 'print-config') {
      if (flag === 'help') flags.help = true;
      else if (flag === 'version') flags.version = true;
      else flags.printConfig = true;
      continue;
    }
    const name = camel(flag);
    const known = flag === kebab(name) && Object.hasOwn(table, name) ? table[name] : undefined;
    if (known === undefined && flag !== 'config') {
      throw new ConfigError('unknown_option', `unknown option --${flag} (try --help)`);
    }
    if (
      value === undefined &&
      known?.kind === 'yesno' &&
      !/^(true|false|yes|no|1|0)$/.test(argv[i + 1] ?? '')
    ) {
      value = 'true';
    }
    value ??= argv[++i];
    if (value === undefined) throw new ConfigError('missing_value', `option --${flag} needs a value`);
    if (flag === 'config') flags.configFile = value;
    else flags.values[name] = value;
  }
  return flags;
}

function readEnvironment(environment: Readonly<Record<string, string | undefined>>) {
  const names = new Map(Object.keys(OPTIONS).map((name) => [snake(name), name]));
  const values: Record<string, unknown> = {};
  let configFile: string | undefined;
  for (const [variable, value] of Object.entries(environment)) {
    if (!variable.startsWith(PREFIX) || value === undefined) continue;
    const rest = variable.slice(PREFIX.length);
    const name = names.get(rest);
    if (rest === 'CONFIG') configFile = value;
    else if (name === undefined)
      throw new ConfigError('unknown_option', `unknown environment variable ${variable}`);
    else values[name] = value;
  }
  return { configFile, values };
}

function readFile(path: string): Record<string, unknown> {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new ConfigError(
      'bad_file',
      `cannot read ${path}: ${error instanceof Error ? error.message : error}`,
      {
        cause: error,
      },
    );
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new ConfigError('bad_file', `${path}: expected a JSON object of options`);
  }
  return json as Record<string, unknown>;
}

/** The configuration in force as JSON that is itself a valid file, but for secrets. */
export function printConfig(
  options: Readonly<Record<string, unknown>>,
  table: Table = OPTIONS as unknown as Table,
): string {
  const shown = Object.entries(options).map(([name, value]) => [
    name,
    table[name]?.secret === true ? '***' : value,
  ]);
  return `${JSON.stringify(Object.fromEntries(shown), undefined, 2)}\n`;
}

/** The table as text for --help. */
export function helpText(program: string): string {
  const lines = [
    `Usage: ${program} [options]`,
    '',
    'Runs one service node until SIGTERM or SIGINT. Each option may also stand in the environment',
    `(${PREFIX}DATA_DIR=…) or in a JSON file ({"dataDir": "…"}); flags win over both.`,
    '',
    '  --config FILE            JSON file with options',
    '  --print-config           show the options in force, and end',
    '  --version                show the version, and end',
    '  --help                   show this text, and end',
    '',
  ];
  for (const [name, known] of Object.entries(OPTIONS as unknown as Table)) {
    const value =
      known.kind === 'yesno'
        ? '[true|false]'
        : known.oneOf
          ? known.oneOf.join('|')
          : known.kind.toUpperCase();
    const initial = Array.isArray(known.default) ? known.default.join(',') : String(known.default);
    lines.push(
      `  --${kebab(name)} ${value}`,
      `        ${known.meaning}${initial === '' ? '' : ` [${initial}]`}`,
    );
  }
  return `${lines.join('\n')}\n`;
}
