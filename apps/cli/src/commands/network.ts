// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium network key | node-key | create | add | remove | sign | show`: the admin's tool for signed lists (spec/chain §4.23).
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { toHex } from '@allium/protocol/bytes';
import { AlliumError, quote } from '@allium/protocol/errors';
import {
  acceptStaticList,
  addNodes,
  createStaticList,
  encodeStaticList,
  parseStaticList,
  removeNodes,
  type StaticList,
  type StaticNodeInput,
  signStaticList,
  staticListDigest,
} from '@allium/protocol/membership/static-list';
import { parseSwarmId } from '@allium/protocol/swarm';
import { loadOrCreateNodeKeys } from '@allium/service-node/node-keys';
import { createKeyFile, withAdminKey } from '../admin-key.ts';
import { CliError, fileTrouble, usage } from '../cli-error.ts';
import { FEWEST_NODES, TOO_FEW_NODES } from '../fewest-nodes.ts';
import type { PassphraseOptions } from '../passphrase.ts';
import { counted, print, printJson, styled } from '../terminal.ts';

const DAY_SECONDS = 86_400;

interface ChangeOptions extends PassphraseOptions {
  readonly node: readonly string[];
  readonly expiresDays: number;
  readonly key?: string;
}

export async function makeKey(file: string, options: PassphraseOptions & { readonly passphrase: boolean }) {
  const publicKey = await createKeyFile(file, options);
  print(toHex(publicKey));
  return 0;
}

export async function printNodeKey(folder: string): Promise<number> {
  print(refused(() => loadOrCreateNodeKeys(folder)).ed25519Hex);
  return 0;
}

export async function create(
  file: string,
  options: ChangeOptions & { readonly admin: readonly string[]; readonly threshold?: number },
): Promise<number> {
  const admins = options.admin.map((key) => parseKey(key, 'admin'));
  const list = refused(() =>
    createStaticList({
      admins,
      threshold: options.threshold ?? admins.length,
      nodes: options.node.map(parseNode),
      ...validity(options),
    }),
  );
  await finish(file, list, list, options, 'wx');
  return 0;
}

export async function add(file: string, options: ChangeOptions & { readonly from: string }): Promise<number> {
  const from = readList(options.from);
  const list = refused(() => addNodes(from, options.node.map(parseNode), validity(options)));
  await finish(file, list, from, options, 'w');
  return 0;
}

export async function remove(
  file: string,
  options: ChangeOptions & { readonly from: string },
): Promise<number> {
  const from = readList(options.from);
  const keys = options.node.map((key) => parseKey(key, 'node'));
  const list = refused(() => removeNodes(from, keys, validity(options)));
  await finish(file, list, from, options, 'w');
  return 0;
}

export async function sign(
  file: string,
  options: PassphraseOptions & { readonly key: string },
): Promise<number> {
  const list = readList(file);
  const signed = await withAdminKey(options.key, options, (admin) => {
    const key = toHex(admin.publicKey);
    if (!list.admins.includes(key)) {
      throw new CliError(
        `${key.slice(0, 8)}… is no admin of this list. Its admins: ${list.admins.join(', ')}`,
      );
    }
    return signStaticList(list, admin);
  });
  writeList(file, signed, 'w');
  print(`Signed version ${signed.version}: ${countSignatures(signed)}.`);
  return 0;
}

export async function show(
  file: string,
  options: { readonly trusted?: string; readonly json?: boolean },
): Promise<number> {
  const list = readList(file);
  const trusted = options.trusted === undefined ? undefined : readList(options.trusted);
  const problem = trusted === undefined ? ownProblem(list) : problemAgainst(list, trusted);
  if (options.json === true) {
    const nodes = list.nodes.map(({ swarmId, ...node }) => ({ ...node, swarm: swarmIdHex(swarmId) }));
    const signed = list.signatures.map(({ admin }) => admin);
    const { network, version, issued, expires, admins, threshold } = list;
    const digest = toHex(staticListDigest(list));
    printJson({ network, version, issued, expires, admins, threshold, signed, digest, nodes, problem });
  } else {
    printList(list);
    print(
      problem === undefined
        ? styled('green', 'It will be accepted.')
        : styled('red', `Not acceptable: ${problem}.`),
    );
  }
  return problem === undefined ? 0 : 1;
}

async function finish(
  file: string,
  list: StaticList,
  trusted: StaticList,
  options: ChangeOptions,
  mode: 'w' | 'wx',
): Promise<void> {
  const signed =
    options.key === undefined
      ? list
      : await withAdminKey(options.key, options, (admin) => signStaticList(list, admin));
  writeList(file, signed, mode);
  print(
    `Wrote version ${list.version} with ${counted(list.nodes.length, 'node')} to ${file}: ${countSignatures(signed)}.`,
  );
  if (list.nodes.length < FEWEST_NODES) print(TOO_FEW_NODES);
  const missing = trusted.threshold - signed.signatures.length;
  if (missing > 0) print(`Next: ${missing} of its admins run "allium network sign ${file} --key KEYFILE".`);
}

function printList(list: StaticList): void {
  print(`network    ${list.network}`);
  print(`version    ${list.version}`);
  print(`issued     ${date(list.issued)}`);
  print(`expires    ${date(list.expires)}`);
  print(`digest     ${toHex(staticListDigest(list))}`);
  print(`threshold  ${list.threshold} of ${list.admins.length} admins`);
  const signed = new Set(list.signatures.map(({ admin }) => admin));
  for (const admin of list.admins) print(`admin      ${admin}  ${signed.has(admin) ? 'signed' : '-'}`);
  const swarms = Map.groupBy(list.nodes, (node) => swarmIdHex(node.swarmId));
  for (const [swarm, nodes] of swarms) {
    print(styled('bold', `swarm ${swarm}, ${counted(nodes.length, 'node')}`));
    for (const node of nodes) {
      print(`  ${node.ed25519Hex}@${formatHost(node.host)}:${node.httpsPort}:${node.omqPort}`);
    }
  }
}

/** What is wrong with a list that has to stand for itself, as the first one of a network. */
function ownProblem(list: StaticList): string | undefined {
  if (list.expires * 1000 < Date.now()) return `it expired on ${date(list.expires)}`;
  const missing = list.threshold - list.signatures.length;
  return missing > 0 ? `${missing} more signatures are needed` : undefined;
}

function problemAgainst(list: StaticList, trusted: StaticList): string | undefined {
  const verdict = acceptStaticList(list, trusted, Math.floor(Date.now() / 1000));
  if (verdict.accepted) return undefined;
  switch (verdict.reason) {
    case 'other_network':
      return 'it belongs to another network';
    case 'older':
      return `its version ${list.version} is not greater than ${trusted.version}`;
    case 'same':
      return 'it is the one that is trusted';
    case 'conflict':
      return `it differs from the trusted version ${trusted.version} but has the same number`;
    case 'expired':
      return `it expired on ${date(list.expires)}`;
    case 'too_few_signatures':
      return `${trusted.threshold} admins of the trusted list must sign it`;
    case 'bad_node_key':
      return 'it holds a node key that is no proper point';
  }
}

function validity(options: ChangeOptions): { issued: number; expires: number } {
  const issued = Math.floor(Date.now() / 1000);
  return { issued, expires: issued + options.expiresDays * DAY_SECONDS };
}

/** PK@HOST:HTTPS:OMQ or PK@[IPv6]:HTTPS:OMQ, then perhaps /SWARM. */
function parseNode(spec: string): StaticNodeInput {
  const match = /^([^@]+)@(?:\[([^\]]+)\]|([^:]+)):(\d{1,5}):(\d{1,5})(?:\/([0-9a-fA-F]{1,16}))?$/.exec(spec);
  if (match === null) {
    throw usage(
      `${quote(spec)} is no node: write PK@HOST:HTTPS-PORT:OMQ-PORT, for example 9f…@203.0.113.7:22021:22020`,
    );
  }
  const [, key = '', ipv6, ipv4, https, omq, swarm] = match;
  const host = ipv6 ?? ipv4 ?? '';
  if (isIP(host) === 0) throw usage(`${quote(host)} is no IP address: a list holds addresses, not names`);
  const [httpsPort, omqPort] = [Number(https), Number(omq)];
  if (httpsPort < 1 || httpsPort > 65_535 || omqPort < 1 || omqPort > 65_535)
    throw usage('ports are 1 to 65535');
  return {
    ed25519Hex: parseKey(key, 'node'),
    host,
    httpsPort,
    omqPort,
    ...(swarm === undefined ? {} : { swarmId: parseSwarmId(swarm) }),
  };
}

function parseKey(text: string, of: 'admin' | 'node'): string {
  const key = text.toLowerCase();
  if (!/^[0-9a-f]{64}$/.test(key))
    throw usage(
      `the public key of ${of === 'admin' ? 'an admin' : 'a node'} has 64 hex digits, not ${quote(text)}`,
    );
  return key;
}

function readList(file: string): StaticList {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw fileTrouble('cannot read', file, error);
  }
  return refused(() => parseStaticList(bytes), `${file}: `);
}

function writeList(file: string, list: StaticList, mode: 'w' | 'wx'): void {
  try {
    if (mode === 'wx') {
      writeFileSync(file, encodeStaticList(list), { flag: 'wx' });
      return;
    }
    writeFileSync(`${file}.new`, encodeStaticList(list));
    renameSync(`${file}.new`, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') {
      throw new CliError(`${file} cannot be written: it exists already (a new network needs a new file)`, 1, {
        cause: error,
      });
    }
    throw fileTrouble('cannot write', file, error);
  }
}

function refused<T>(run: () => T, prefix = ''): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof AlliumError) throw new CliError(`${prefix}${error.message}`, 1, { cause: error });
    throw error;
  }
}

/** As in the file. */
function swarmIdHex(id: bigint): string {
  return id.toString(16).padStart(16, '0');
}

function countSignatures(list: StaticList): string {
  return `${list.signatures.length} of ${list.threshold} needed signatures`;
}

function date(seconds: number): string {
  return `${new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

function formatHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
