// SPDX-License-Identifier: MIT
// The first node list: from seed servers (spec/client §2.1) or from a list that came with the program.
import { delay, type Env, type Transport, TransportError } from '@allium/protocol/env';
import { type Json, parseJson } from '@allium/protocol/json';
import {
  decodeJsonRpcAnswer,
  encodeSeedRequest,
  parseServiceNodeList,
  type ServiceNodeState,
} from '@allium/protocol/storage/service-node-list';
import { ClientError } from '../errors.ts';
import type { PoolNode } from '../storage/storage.ts';
import type { Seed } from './presets.ts';

// From the specification, §2.1.
const SEED_TIMEOUT_MS = 5_000;
const SEED_ROUNDS = 4;
const FIRST_PAUSE_MS = 1_000;
const MS_PER_BLOCK = 120_000;
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

/**
 * The nodes of the first seed that answers; all are asked at once, in four rounds.
 * @throws ClientError `no_network`, `no_nodes`; the reason of `signal`
 */
export async function fetchFromSeeds(
  seeds: readonly Seed[],
  signal: AbortSignal,
  deps: { transport: Transport; env: Env },
): Promise<readonly PoolNode[]> {
  let last: unknown;
  for (let round = 0; round < SEED_ROUNDS && seeds.length > 0; round++) {
    if (round > 0) await delay(deps.env.clock, FIRST_PAUSE_MS * 2 ** (round - 1), signal);
    const others = new AbortController();
    try {
      return await Promise.any(
        seeds.map((seed) => fetchFromSeed(seed, AbortSignal.any([signal, others.signal]), deps.transport)),
      );
    } catch (cause) {
      signal.throwIfAborted();
      const errors = cause instanceof AggregateError ? (cause.errors as unknown[]) : [cause];
      last = errors[0];
      if (errors.every((error) => error instanceof TransportError && error.code === 'no_network')) {
        throw new ClientError('no_network', 'no network here', { cause: last });
      }
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
  transport: Transport,
): Promise<readonly PoolNode[]> {
  const answer = await transport.request({
    url: `${seed.url.replace(/\/+$/, '')}/json_rpc`,
    body: encodeSeedRequest(),
    headers: SEED_HEADERS,
    timeoutMs: SEED_TIMEOUT_MS,
    ...(seed.pins !== undefined && { pins: seed.pins }),
    signal,
  });
  const type = answer.headers['content-type'] ?? '';
  if (answer.status !== 200 || !type.startsWith('application/json')) {
    throw new TransportError('bad_response', `a seed answered ${answer.status} ${type}`);
  }
  const nodes = poolNodes(parseServiceNodeList(decodeJsonRpcAnswer(answer.body)).nodes);
  // Ours: an empty list is no success; another seed may know more.
  if (nodes.length === 0) throw new TransportError('bad_response', 'a seed knows no nodes');
  return nodes;
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
