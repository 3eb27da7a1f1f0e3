// SPDX-License-Identifier: MIT
// The first node list: from seed servers (spec/client §2.1) or from a list that came with the program.
import { toHex } from '@allium/protocol/bytes';
import { delay, type Env, type Transport, TransportError } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import { type Json, parseJson } from '@allium/protocol/json';
import { parseCertificate } from '@allium/protocol/membership/certificate';
import {
  CERTIFICATE_METHOD,
  parseCertificateAnswer,
  parseStaticListAnswer,
  STATIC_LIST_METHOD,
} from '@allium/protocol/membership/evidence';
import { parseStaticList, staticListDigest } from '@allium/protocol/membership/static-list';
import {
  decodeJsonRpcAnswer,
  encodeJsonRpc,
  encodeSeedRequest,
  parseServiceNodeList,
  type ServiceNodeState,
} from '@allium/protocol/storage/service-node-list';
import { ClientError, noWayOut } from '../errors.ts';
import type { PoolNode } from '../storage/storage.ts';
import type { Seed } from './presets.ts';
import { type AskEvidence, type Checked, NOT_CHECKED } from './trust.ts';
import { certificateDigest } from './trust-anchor.ts';

// From the specification, §2.1.
const SEED_TIMEOUT_MS = 5_000;
const SEED_ROUNDS = 4;
const FIRST_PAUSE_MS = 1_000;
const MS_PER_BLOCK = 120_000;
/** spec/chain §4.22.3. */
const AGREEING_SEEDS = 3;
const SEED_HEADERS = {
  'user-agent': 'WhatsApp',
  'accept-language': 'en-us',
  'content-type': 'application/json',
};

/** A node list that ships with a program or was saved by one: what a seed answers, and when it did. */
export interface BundledList {
  /** JSON: the `result` object of `get_n_service_nodes`. */
  readonly json: string;
  /** Unix time in ms. */
  readonly takenAt: number;
}

/** Checks the list that a seed gave; `ask` asks this very seed for evidence. */
export type CheckSeedList = (
  entries: readonly ServiceNodeState[],
  ask: AskEvidence,
  signal: AbortSignal,
) => Promise<Checked<ServiceNodeState>>;

/** A list that is good for use unless there is a better one. */
class UnverifiedList extends Error {
  readonly list: Checked<PoolNode>;

  constructor(list: Checked<PoolNode>) {
    super(`the list of a seed is ${list.state.state}: ${list.state.reason}`);
    this.list = list;
  }
}

/**
 * The nodes of the first seed that answers; all are asked at once, in four rounds. With `check` the first list that is
 * verified, else the first of all.
 * @throws ClientError `no_network`, `no_nodes`; the reason of `signal`
 */
export async function fetchFromSeeds(
  seeds: readonly Seed[],
  signal: AbortSignal,
  deps: { transport: Transport; env: Env; proofs?: boolean },
  check?: CheckSeedList,
): Promise<Checked<PoolNode>> {
  let last: unknown;
  for (let round = 0; round < SEED_ROUNDS && seeds.length > 0; round++) {
    if (round > 0) await delay(deps.env.clock, FIRST_PAUSE_MS * 2 ** (round - 1), signal);
    const others = new AbortController();
    try {
      return await Promise.any(
        seeds.map((seed) => fetchFromSeed(seed, AbortSignal.any([signal, others.signal]), deps, check)),
      );
    } catch (cause) {
      signal.throwIfAborted();
      const errors = cause instanceof AggregateError ? (cause.errors as unknown[]) : [cause];
      last = errors[0];
      for (const error of errors) if (error instanceof UnverifiedList) return error.list;
      const trapped = errors.map((error) =>
        error instanceof TransportError ? noWayOut(error.code, { cause: error }) : undefined,
      );
      if (trapped[0] !== undefined && trapped.every((error) => error !== undefined)) throw trapped[0];
      deps.env.log.debug({ round, error: String(last) }, 'no seed answered');
    } finally {
      others.abort();
    }
  }
  throw new ClientError('no_nodes', 'no seed gave a node list', { cause: last });
}

async function fetchFromSeed(
  seed: Seed,
  signal: AbortSignal,
  { transport, proofs = false }: { transport: Transport; proofs?: boolean },
  check: CheckSeedList | undefined,
): Promise<Checked<PoolNode>> {
  const body = encodeSeedRequest({ proofs });
  const entries = parseServiceNodeList(await askSeed(seed, body, signal, transport)).nodes;
  // Ours: an empty list is no success; another seed may know more.
  if (poolNodes(entries).length === 0) throw new TransportError('bad_response', 'a seed knows no nodes');
  if (check === undefined) return { nodes: poolNodes(entries), state: NOT_CHECKED };
  const { nodes, state } = await check(entries, seedEvidence(seed, signal, transport), signal);
  const list = { nodes: poolNodes(nodes), state };
  if (state.state !== 'verified' && state.reason !== 'no_anchor') throw new UnverifiedList(list);
  return list;
}

async function askSeed(
  seed: Seed,
  body: Uint8Array,
  signal: AbortSignal,
  transport: Transport,
): Promise<Json> {
  const answer = await transport.request({
    url: `${seed.url.replace(/\/+$/, '')}/json_rpc`,
    body,
    headers: SEED_HEADERS,
    timeoutMs: SEED_TIMEOUT_MS,
    ...(seed.pins !== undefined && { pins: seed.pins }),
    signal,
  });
  const type = answer.headers['content-type'] ?? '';
  if (answer.status !== 200 || !type.startsWith('application/json')) {
    throw new TransportError('bad_response', `a seed answered ${answer.status} ${type}`);
  }
  return decodeJsonRpcAnswer(answer.body);
}

/** Asks a seed who belongs to the network. */
export function seedEvidence(seed: Seed, signal: AbortSignal, transport: Transport): AskEvidence {
  return (method, params) => askSeed(seed, encodeJsonRpc(method, params), signal, transport);
}

/**
 * The members that enough independent seeds name in one certificate or signed list (spec/chain §4.22.3); undefined: not
 * enough do. Seeds of one /24 or one name count as one.
 */
export async function membersBySeeds(
  seeds: readonly Seed[],
  signal: AbortSignal,
  transport: Transport,
): Promise<ReadonlySet<string> | undefined> {
  const voices = new Map<string, Set<string>>();
  const members = new Map<string, readonly string[]>();
  await Promise.allSettled(
    seeds.map(async (seed) => {
      const named = await namedMembers(seedEvidence(seed, signal, transport));
      const { hostname } = new URL(seed.url);
      const voice = hostname.replace(/^(\d+\.\d+\.\d+)\.\d+$/, '$1');
      voices.set(named.digest, (voices.get(named.digest) ?? new Set()).add(voice));
      members.set(named.digest, named.keys);
    }),
  );
  for (const [digest, hosts] of voices) {
    if (hosts.size >= AGREEING_SEEDS && 2 * hosts.size > seeds.length) return new Set(members.get(digest));
  }
  return undefined;
}

async function namedMembers(ask: AskEvidence): Promise<{ digest: string; keys: readonly string[] }> {
  try {
    const { certificate } = parseCertificateAnswer(await ask(CERTIFICATE_METHOD, {}));
    if (certificate !== undefined) {
      const keys = [...parseCertificate(certificate).swarms.values()].flat();
      return { digest: certificateDigest(certificate), keys };
    }
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
  }
  const list = parseStaticList(parseStaticListAnswer(await ask(STATIC_LIST_METHOD, {})));
  return { digest: toHex(staticListDigest(list)), keys: list.nodes.map((node) => node.ed25519Hex) };
}

/**
 * Nodes of a bundled list that are probably still there at `now`.
 * @throws ParseError
 */
export function readBundledList(bundled: BundledList, now: number): readonly PoolNode[] {
  const list = parseServiceNodeList(parseJson(bundled.json));
  // spec/client §2.1: leave out whose stake was to unlock by now.
  const height = (list.height ?? 0) + Math.max(0, now - bundled.takenAt) / MS_PER_BLOCK;
  return poolNodes(
    list.nodes.filter((node) => node.requestedUnlockHeight === 0 || node.requestedUnlockHeight > height),
  );
}

/** The `result` of `get_service_nodes` as asked of a node. @throws ParseError */
export function readNodeList(result: Json): readonly PoolNode[] {
  return poolNodes(parseServiceNodeList(result).nodes);
}

/** One entry per key; what cannot be reached is left out (§2.1). */
export function poolNodes(
  states: readonly (Pick<ServiceNodeState, 'ed25519Hex' | 'x25519Hex' | 'host' | 'httpsPort'> &
    Partial<Pick<ServiceNodeState, 'operator'>>)[],
): readonly PoolNode[] {
  const byKey = new Map<string, PoolNode>();
  for (const { ed25519Hex, x25519Hex, host, httpsPort, operator } of states) {
    if (host === '0.0.0.0' || host === '255.255.255.255' || httpsPort <= 0 || httpsPort > 65_535) continue;
    byKey.set(ed25519Hex, {
      ed25519Hex,
      x25519Hex,
      host,
      httpsPort,
      ...(operator !== undefined && { operator }),
    });
  }
  return [...byKey.values()];
}
