// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium network join` and `allium network show`: into a network by text, QR code or file, and what to hand on to others.
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join as joinPath } from 'node:path';
import { isInvitation, MAX_INVITATION, parseInvitation } from '@allium/client/network/invitation';
import { encodeShortAnchor, parseTrustAnchor, type TrustAnchor } from '@allium/client/network/trust-anchor';
import { systemRandom } from '@allium/net/system-env';
import { fromUtf8 } from '@allium/protocol/bytes';
import { ParseError, quote } from '@allium/protocol/errors';
import { parseJson } from '@allium/protocol/json';
import { parseStaticList } from '@allium/protocol/membership/static-list';
import { parseServiceNodeList } from '@allium/protocol/storage/service-node-list';
import encodeQR from 'qr';
import { CliError, usage } from '../cli-error.ts';
import { chosenFileServers } from '../file-servers.ts';
import { chosenSeeds, homeFolder, keptTrust, readSettings, saveSeeds, saveSettings } from '../home.ts';
import { describeTrust, invitationTo, SEEDS_OF_LIST, shortTrust } from '../invitation.ts';
import { print, printJson } from '../terminal.ts';

interface Options {
  readonly home?: string;
  readonly seed?: readonly string[];
  readonly json?: boolean;
}

/** What somebody gave us. */
interface Given {
  readonly name?: string;
  readonly seeds: readonly string[];
  /** As a file for --trust. */
  readonly trust?: Uint8Array;
  readonly fileServers: readonly string[];
  /** What vouches for the node lists of this network from now on. */
  readonly vouched: string;
}

const TRUST_FILE = 'trust.json';
const MAX_FILE_BYTES = 8 * 1024 * 1024;
const UNSIGNED =
  'nobody has signed this list: its nodes are asked for newer ones, and what they say is not verified';

export async function join(text: string, options: Options): Promise<number> {
  const given = isInvitation(text) ? ofInvitation(text) : ofFile(text);
  const home = homeFolder(options);
  const seeds = [...(options.seed ?? []), ...given.seeds];
  if (seeds.length === 0) {
    throw usage('this certificate names no nodes: name one with --seed https://HOST:PORT');
  }
  saveSeeds(home, seeds, given.fileServers);
  const trust = joinPath(home, TRUST_FILE);
  if (given.trust !== undefined) writeFileSync(trust, given.trust, { mode: 0o600 });
  saveSettings(home, { network: given.name, trust: given.trust === undefined ? undefined : trust });
  if (options.json === true) {
    printJson({
      name: given.name ?? null,
      seeds,
      verified: given.trust !== undefined,
      vouched: given.vouched,
    });
    return 0;
  }
  print(
    `Commands now use ${given.name ?? 'the network'} of ${seeds.join(', ')} (kept in ${home}/settings.json).`,
  );
  print(`Node lists: ${given.vouched}.`);
  return 0;
}

export async function showInvitation(
  options: Options & { readonly qr?: boolean; readonly name?: string },
): Promise<number> {
  const seeds = chosenSeeds(options);
  const name = options.name ?? readSettings(homeFolder(options)).network;
  const file = keptTrust(options);
  const trust = file === undefined ? undefined : shortTrust(parsed(() => parseTrustAnchor(read(file)), file));
  const fileServers = chosenFileServers(options) ?? [];
  const invitation = invitationTo({ name, seeds, trust, fileServers });
  if (options.json === true) {
    printJson({
      name: name ?? null,
      seeds,
      trust: trust?.kind ?? null,
      fileServers: fileServers.map(({ url }) => url),
      invitation,
    });
    return 0;
  }
  if (name !== undefined) print(`network  ${name}`);
  for (const seed of seeds) print(`seed     ${seed}`);
  for (const { url } of fileServers) print(`files    ${url}`);
  print(`trust    ${trust === undefined ? 'none: node lists cannot be checked' : describeTrust(trust)}`);
  print();
  print(invitation);
  if (options.qr === true) {
    print();
    for (const line of encodeQR(invitation, 'ascii').trimEnd().split('\n')) print(onBlack(line));
  }
  print();
  print(
    'Whoever gets it says: allium network join "…". It holds no secret, but who changes it chooses the network.',
  );
  return 0;
}

function ofInvitation(text: string): Given {
  const { name, seeds, trust, fileServers } = refused(() => parseInvitation(text));
  return {
    ...(name !== undefined && { name }),
    seeds,
    ...(trust !== undefined && { trust: encodeShortAnchor(trust) }),
    fileServers: fileServers.map(({ url, ed25519Hex }) => `${url}#${ed25519Hex}`),
    vouched:
      trust === undefined
        ? 'not verified, as the invitation names nobody to vouch for them'
        : describeTrust(trust),
  };
}

function ofFile(path: string): Given {
  if (!existsSync(path))
    throw usage(`${quote(path)} is neither an invitation (allium:join?…) nor a file that is there`);
  const bytes = read(path);
  if (bytes.length <= 2 * MAX_INVITATION && isInvitation(bytes.toString('utf8'))) {
    return ofInvitation(bytes.toString('utf8'));
  }
  const anchor = anchorOf(bytes);
  if (anchor?.kind === 'static_list') {
    const { nodes } = parseStaticList(anchor.list);
    const trust = shortTrust(anchor);
    return { seeds: someOf(nodes), trust: anchor.list, fileServers: [], vouched: describeTrust(trust) };
  }
  if (anchor !== undefined) {
    return { seeds: [], trust: bytes, fileServers: [], vouched: describeTrust(shortTrust(anchor)) };
  }
  const { nodes } = parsed(() => parseServiceNodeList(parseJson(fromUtf8(bytes))), path);
  const seeds = someOf(nodes.filter(({ host, httpsPort }) => host !== '0.0.0.0' && httpsPort > 0));
  if (seeds.length === 0) throw new CliError(`${path} names no node that can be reached`);
  return { seeds, fileServers: [], vouched: UNSIGNED };
}

function anchorOf(bytes: Uint8Array): TrustAnchor | undefined {
  try {
    return parseTrustAnchor(bytes);
  } catch (error) {
    if (error instanceof ParseError) return undefined;
    throw error;
  }
}

/** By chance: everybody who takes the first ones would be told apart from others by it, and wear these nodes out. */
function someOf(nodes: readonly { readonly host: string; readonly httpsPort: number }[]): string[] {
  const left = [...nodes];
  const chosen: string[] = [];
  while (left.length > 0 && chosen.length < SEEDS_OF_LIST) {
    const [node] = left.splice(systemRandom.below(left.length), 1);
    if (node === undefined || isIP(node.host) === 0) continue;
    chosen.push(`https://${isIP(node.host) === 6 ? `[${node.host}]` : node.host}:${node.httpsPort}`);
  }
  return chosen;
}

function read(path: string): Buffer {
  try {
    if (statSync(path).size > MAX_FILE_BYTES) throw new Error(`it has more than ${MAX_FILE_BYTES} bytes`);
    return readFileSync(path);
  } catch (error) {
    throw new CliError(`${path} cannot be read: ${(error as Error).message}`, 1, { cause: error });
  }
}

function parsed<T>(run: () => T, path: string): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    throw new CliError(`${path} is neither an invitation, nor a list of nodes, nor a certificate`, 1, {
      cause: error,
    });
  }
}

function refused<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof ParseError) throw usage(error.message);
    throw error;
  }
}

/** Dark modules are those that stay empty, whatever colours the terminal has. */
function onBlack(line: string): string {
  return process.stdout.isTTY ? `\u001b[97;40m${line}\u001b[0m` : line;
}
