// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium health`: the list of a seed, whether it can be checked, then one question to each node on it.
import type { ServiceNodeHealth } from '@allium/client/health';
import { type InspectedNetwork, inspectNetwork } from '@allium/client/network/list-check';
import type { TrustOptions } from '@allium/client/network/trust';
import { type HttpsTransport, httpsOrigin } from '@allium/net/https-transport';
import { systemEnv } from '@allium/net/system-env';
import { fromUtf8, utf8 } from '@allium/protocol/bytes';
import type { ServiceNodeState } from '@allium/protocol/storage/service-node-list';
import { CliError } from '../cli-error.ts';
import { chosenSeeds, type SeedOptions } from '../home.ts';
import { type ProxyOptions, transportFor } from '../proxy.ts';
import { explain } from '../session.ts';
import { counted, harmlessLine, print, printJson, styled } from '../terminal.ts';
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
  options: SeedOptions & TrustSettings & ProxyOptions & { readonly json?: boolean },
): Promise<number> {
  const transport = transportFor(options);
  await using trust = await chosenTrust(options);
  try {
    const {
      nodes,
      health: counts,
      trust: list,
    } = await inspect(transport, chosenSeeds(options), trust.options);
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
      print(trustLine(list));
    }
    return failed === 0 ? 0 : 1;
  } finally {
    await transport.close();
  }
}

async function inspect(
  transport: HttpsTransport,
  seeds: readonly string[],
  trust: TrustOptions,
): Promise<InspectedNetwork> {
  const signal = AbortSignal.timeout(CHECK_TIMEOUT_MS);
  const network = { seeds: seeds.map((url) => ({ url })), transport, env: systemEnv(), signal, trust };
  try {
    return await inspectNetwork(network);
  } catch (error) {
    if (signal.aborted) throw new CliError(`no answer in time from ${seeds.join(', ')}`);
    throw explain(error, seeds);
  }
}

function sizeLine({ total, active, healthy }: ServiceNodeHealth): string {
  const size = `${counted(total, 'service node')}, ${active === total ? 'all' : active} active`;
  return healthy
    ? `${size}: healthy, by the rule of more than 50 active nodes.`
    : `${size}. Fine among people who know who runs the nodes; a public network should have more than 50 active ones, so ` +
        'that nobody stands at both ends of many paths.';
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
          ? `${String(node.ms).padStart(6)} ms   version ${harmlessLine(node.version ?? '?')}   clock ${signed(node.clockMs)} ms`
          : styled('red', harmlessLine(node.problem));
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
