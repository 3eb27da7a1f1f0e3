// SPDX-License-Identifier: AGPL-3.0-or-later
// The node list as one node tells it to anybody (spec/chain §4.21).
import { toHex } from '@allium/protocol/bytes';
import { decodeJsonRpcAnswer, parseServiceNodeList } from '@allium/protocol/storage/service-node-list';
import { swarmMapDigest, UNASSIGNED_SWARM } from '@allium/protocol/swarm/assignment';
import { type Endpoint, post } from '../load/post.ts';

const TIMEOUT_MS = 5_000;
const REQUEST = '{"jsonrpc":"2.0","id":0,"method":"get_service_nodes","params":{}}';

export interface ToldNode {
  readonly ed25519Hex: string;
  readonly host: string;
  readonly swarmId: bigint;
}

/** Rejects when the node does not answer with a list. */
export async function askForList(node: Endpoint): Promise<ToldNode[]> {
  const { body } = await post(node, '/json_rpc', REQUEST, { timeoutMs: TIMEOUT_MS });
  return parseServiceNodeList(decodeJsonRpcAnswer(body)).nodes.map(({ ed25519Hex, host, swarmId }) => {
    return { ed25519Hex, host, swarmId: swarmId ?? UNASSIGNED_SWARM };
  });
}

/** In hex (spec/chain §3.9), of the swarms in such a list. */
export function digestOf(list: readonly ToldNode[]): string {
  const swarms = new Map<bigint, string[]>();
  for (const { ed25519Hex, swarmId } of list) {
    if (swarmId === UNASSIGNED_SWARM) continue;
    swarms.set(swarmId, [...(swarms.get(swarmId) ?? []), ed25519Hex]);
  }
  return toHex(swarmMapDigest(swarms));
}
