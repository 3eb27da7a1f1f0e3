// SPDX-License-Identifier: AGPL-3.0-or-later
// The node list as one node tells it to anybody (spec/chain §4.21).
import { toHex } from '@allium/protocol/bytes';
import { decodeJsonRpcAnswer } from '@allium/protocol/storage/service-node-list';
import { parseSwarmId } from '@allium/protocol/swarm';
import { swarmMapDigest, UNASSIGNED_SWARM } from '@allium/protocol/swarm/assignment';
import { type Endpoint, post } from '../load/post.ts';

const TIMEOUT_MS = 5_000;
const REQUEST = '{"jsonrpc":"2.0","id":0,"method":"get_service_nodes","params":{}}';

interface ToldNode {
  readonly ed25519Hex: string;
  /** Undefined: the node that told does not know it. */
  readonly host: string | undefined;
  readonly swarmId: bigint;
}

/** All that it lists, unlike a client's reading, which passes over nodes without an address. Rejects when there is no answer. */
export async function askForList(node: Endpoint): Promise<ToldNode[]> {
  const { body } = await post(node, '/json_rpc', REQUEST, { timeoutMs: TIMEOUT_MS });
  const { service_node_states: states } = decodeJsonRpcAnswer(body) as unknown as {
    service_node_states: { pubkey_ed25519: string; public_ip?: string; swarm: string }[];
  };
  return states.map(({ pubkey_ed25519: ed25519Hex, public_ip: host, swarm }) => {
    return { ed25519Hex, host, swarmId: parseSwarmId(swarm) };
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
