// SPDX-License-Identifier: AGPL-3.0-or-later
// Client RPC to one node of a scenario's network, past paths and swarms: for looking at what single nodes keep.
import type { Account } from '@allium/protocol/account';
import { fromUtf8, toBase64, toHex, utf8 } from '@allium/protocol/bytes';
import { type Json, parseJson } from '@allium/protocol/json';
import type { ScenarioNetwork, ScenarioNode } from './scenario.ts';

const TIMEOUT_MS = 20_000;
const DAY_MS = 86_400_000;

export interface RpcAnswer {
  readonly status: number;
  /** Empty when the answer is none. */
  readonly json: { readonly [name: string]: Json };
}

/** @throws TransportError when nobody answers */
export async function rpc(
  net: ScenarioNetwork,
  node: ScenarioNode,
  method: string,
  params: object,
): Promise<RpcAnswer> {
  const { status, body } = await net.transport.request({
    url: `${node.url}/storage_rpc/v1`,
    body: utf8(JSON.stringify({ method, params })),
    headers: { 'content-type': 'application/json' },
    timeoutMs: TIMEOUT_MS,
  });
  const text = fromUtf8(body);
  return { status, json: text.startsWith('{') ? (parseJson(text) as RpcAnswer['json']) : {} };
}

/** Stores `text` for `account` in namespace 0, as anybody may; by member, whether it has stored. */
export async function store(
  net: ScenarioNetwork,
  node: ScenarioNode,
  account: Account,
  text: string,
): Promise<{ status: number; stored: readonly string[]; failed: readonly string[] }> {
  const { status, json } = await rpc(net, node, 'store', {
    pubkey: account.id,
    timestamp: net.clock.now(),
    ttl: DAY_MS,
    data: toBase64(utf8(text)),
  });
  const swarm = Object.entries((json.swarm ?? {}) as Record<string, { failed?: boolean }>);
  const keys = (failed: boolean) =>
    swarm.filter(([, entry]) => (entry.failed === true) === failed).map(([key]) => key);
  return { status, stored: keys(false).sort(), failed: keys(true).sort() };
}

/** The texts that a node holds for an account, sorted. */
export async function texts(
  net: ScenarioNetwork,
  node: ScenarioNode,
  account: Account,
): Promise<readonly string[]> {
  const timestamp = net.clock.now();
  const { json } = await rpc(net, node, 'retrieve', {
    pubkey: account.id,
    pubkey_ed25519: toHex(account.ed25519Key),
    timestamp,
    signature: toBase64(account.sign(utf8(`retrieve${timestamp}`))),
  });
  const messages = (json.messages ?? []) as readonly { data: string }[];
  return messages.map(({ data }) => Buffer.from(data, 'base64').toString()).sort();
}
