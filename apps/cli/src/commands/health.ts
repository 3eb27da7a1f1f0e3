// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium health`: the list of a seed, whether it can be checked, then one question to each node on it.
import { ClientError } from '@allium/client/errors';
import type { ServiceNodeHealth } from '@allium/client/health';
import { checkNodeList } from '@allium/client/network/list-check';
import type { TrustOptions, TrustState } from '@allium/client/network/trust';
import { checkServiceNodeHealth } from '@allium/client/node';
import { HttpsTransport, httpsOrigin } from '@allium/net/https-transport';
import { systemEnv } from '@allium/net/system-env';
import { fromUtf8, utf8 } from '@allium/protocol/bytes';
import {
  decodeJsonRpcAnswer,
  encodeSeedRequest,
  parseServiceNodeList,
  type ServiceNodeState,
} from '@allium/protocol/storage/service-node-list';
import { CliError } from '../cli-error.ts';
import { chosenSeeds, type SeedOptions } from '../home.ts';
import { explain } from '../session.ts';
import { counted, harmless, print, printJson, styled } from '../terminal.ts';
import { chosenTrust, type TrustSettings, trustLine } from '../trust.ts';

/** Ours: a person waits for this command. */
const TIMEOUT_MS = 5_000;
const CHECK_TIMEOUT_MS = 30_000;
const AT_ONCE = 16;

interface NodeHealth {
  readonly ed25519: string;
  readonly host: string;
  readonly port: number;
  readonly swarm: string | undefined;
  /** Undefined: no answer. */
  readonly ms: number | undefined;
  readonly version: string | undefined;
  /** Its clock minus ours. */
  readonly clockMs: number | undefined;
  readonly problem: string | undefined;
}

export async function health(
  options: SeedOptions & TrustSettings & { readonly json?: boolean },
): Promise<number> {
  const transport = new HttpsTransport();
  await using trust = await chosenTrust(options);
  try {
    const seeds = chosenSeeds(options);
    const nodes = await fetchList(transport, seeds);
    const counts = await countNodes(seeds);
    const list = await checked(transport, seeds, trust.options);
    const results: NodeHealth[] = new Array(nodes.length);
    let next = 0;
    const worker = async () => {
      for (let i = next++; i < nodes.length; i = next++) {
        results[i] = await ask(transport, nodes[i] as ServiceNodeState);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    const failed = results.filter((result) => result.problem !== undefined).length;
    if (options.json === true) printJson({ nodes: results, failed, ...counts, trust: list });
    else {
      printTable(results, failed);
      if (counts !== undefined) print(sizeLine(counts));
      print(
        list === undefined ? 'The node list could not be checked: no seed tells enough.' : trustLine(list),
      );
    }
    return failed === 0 ? 0 : 1;
  } finally {
    await transport.close();
  }
}

/** Undefined: the seed lists its nodes without their states. */
async function countNodes(seeds: readonly string[]): Promise<ServiceNodeHealth | undefined> {
  try {
    return await checkServiceNodeHealth({ seeds: seeds.map((url) => ({ url })) });
  } catch (error) {
    if (error instanceof ClientError) return undefined;
    throw error;
  }
}

/** Undefined: the seeds list nodes in a way of their own. @throws CliError when the list must be verified and is not */
async function checked(
  transport: HttpsTransport,
  seeds: readonly string[],
  trust: TrustOptions,
): Promise<TrustState | undefined> {
  const signal = AbortSignal.timeout(CHECK_TIMEOUT_MS);
  const list = { seeds: seeds.map((url) => ({ url })), transport, env: systemEnv(), signal, trust };
  try {
    return (await checkNodeList(list)).state;
  } catch (error) {
    if (signal.aborted) throw new CliError('the node list could not be checked in time');
    if (trust.requireVerified !== true && error instanceof ClientError && error.code === 'no_nodes')
      return undefined;
    throw explain(error);
  }
}

function sizeLine({ total, active, healthy }: ServiceNodeHealth): string {
  const rule = healthy ? 'healthy' : 'not healthy by the rule of more than 50 active nodes';
  return `${counted(total, 'service node')}, ${active} active: ${rule}.`;
}

async function fetchList(
  transport: HttpsTransport,
  seeds: readonly string[],
): Promise<readonly ServiceNodeState[]> {
  const reasons: string[] = [];
  for (const seed of seeds) {
    try {
      const answer = await transport.request({
        url: `${seed}/json_rpc`,
        body: encodeSeedRequest(),
        headers: { 'Content-Type': 'application/json' },
        timeoutMs: TIMEOUT_MS,
      });
      if (answer.status !== 200) throw new Error(`it answered with status ${answer.status}`);
      return parseServiceNodeList(decodeJsonRpcAnswer(answer.body)).nodes;
    } catch (error) {
      reasons.push(`${seed}: ${(error as Error).message}`);
    }
  }
  throw new CliError(`no seed gave a list of nodes. ${reasons.join('; ')}. Is the network running?`);
}

async function ask(transport: HttpsTransport, node: ServiceNodeState): Promise<NodeHealth> {
  const known = {
    ed25519: node.ed25519Hex,
    host: node.host,
    port: node.httpsPort,
    swarm: node.swarmId?.toString(16),
  };
  const began = performance.now();
  try {
    const answer = await transport.request({
      url: `${httpsOrigin(node.host, node.httpsPort)}/storage_rpc/v1`,
      body: utf8('{"method":"info","params":{}}'),
      headers: { 'Content-Type': 'application/json' },
      timeoutMs: TIMEOUT_MS,
    });
    const ms = performance.now() - began;
    const text = fromUtf8(answer.body);
    if (answer.status !== 200) throw new Error(text.trim().slice(0, 100) || `status ${answer.status}`);
    const info = JSON.parse(text) as { version?: number[]; timestamp?: number; t?: number };
    const time = info.timestamp ?? info.t;
    return {
      ...known,
      ms: Math.round(ms * 10) / 10,
      version: info.version?.join('.'),
      clockMs: time === undefined ? undefined : Math.round(time - (Date.now() - ms / 2)),
      problem: undefined,
    };
  } catch (error) {
    const problem = (error as Error).message;
    return { ...known, ms: undefined, version: undefined, clockMs: undefined, problem };
  }
}

function printTable(nodes: readonly NodeHealth[], failed: number): void {
  const swarms = new Map<string, NodeHealth[]>();
  for (const node of nodes) {
    const name = node.swarm === undefined ? '' : `swarm ${node.swarm}, `;
    swarms.set(name, [...(swarms.get(name) ?? []), node]);
  }
  for (const [name, members] of swarms) {
    print(styled('bold', `${name}${counted(members.length, 'node')}`));
    for (const node of members) {
      const address = `${node.host}:${node.port}`.padEnd(21);
      const state =
        node.problem === undefined
          ? `${String(node.ms).padStart(6)} ms   version ${harmless(node.version ?? '?')}   clock ${signed(node.clockMs)} ms`
          : styled('red', harmless(node.problem));
      print(`  ${node.ed25519.slice(0, 8)}  ${address}  ${state}`);
    }
  }
  print(
    failed === 0
      ? allAnswer(nodes.length)
      : `${failed} of ${counted(nodes.length, 'node')} ${failed === 1 ? 'does' : 'do'} not answer.`,
  );
}

function signed(value: number | undefined): string {
  if (value === undefined) return '?';
  return value > 0 ? `+${value}` : String(value);
}

const allAnswer = (nodes: number): string =>
  nodes === 1 ? 'The only node answers.' : `All ${nodes} nodes answer.`;
