// SPDX-License-Identifier: AGPL-3.0-or-later
// What the doctor says of a node whose network is on a chain: the deployment that its options name, and what the running
// node knows of the others and of itself.
import { type HttpsTransport, httpsOrigin } from '@allium/net/https-transport';
import { fromHex, fromUtf8, utf8 } from '@allium/protocol/bytes';
import { type Json, parseJson, stringifyJson } from '@allium/protocol/json';
import { buildMembership, type Member, type Membership, memberOf } from '@allium/protocol/membership';
import { decodeJsonRpcAnswer, parseServiceNodeList } from '@allium/protocol/storage/service-node-list';
import { UNASSIGNED_SWARM } from '@allium/protocol/swarm/assignment';
import type { ServiceNodeOptions } from './config.ts';
import { swarmPlace } from './swarm/place.ts';

const TIMEOUT_MS = 5_000;
const LIST_REQUEST = utf8(stringifyJson({ jsonrpc: '2.0', id: 0, method: 'get_service_nodes', params: {} }));

/** What a running node told. */
export interface ChainList {
  readonly membership: Membership;
  /** How many nodes the registry lists. */
  readonly registered: number;
  /** Whether each listed key is active. */
  readonly isActive: ReadonlyMap<string, boolean>;
}

/** The options' network in words. @throws ChainNetworkError, DeploymentError */
export async function chainInWords({ chainDeployment, chainRpc }: ServiceNodeOptions): Promise<string> {
  const { readNetwork } = await import('./membership/open-chain.ts');
  const { chainId, registry, preset } = readNetwork(chainDeployment);
  const endpoints = chainRpc.length === 1 ? 'one endpoint' : `${chainRpc.length} endpoints`;
  return `registry ${registry} on chain ${chainId} (${preset}), ${endpoints}`;
}

/** Asks the node on this machine. @throws TransportError, ParseError */
export async function askForList(transport: HttpsTransport, host: string, port: number): Promise<ChainList> {
  const { body } = await transport.request({
    url: `${httpsOrigin(host, port)}/json_rpc`,
    body: LIST_REQUEST,
    timeoutMs: TIMEOUT_MS,
  });
  const result = decodeJsonRpcAnswer(body);
  const states = (parseJson(fromUtf8(body)) as { result: { service_node_states: Json[] } }).result
    .service_node_states as readonly { pubkey_ed25519?: Json; active?: Json }[];
  const members = parseServiceNodeList(result).nodes.flatMap(
    ({ ed25519Hex, host: at, httpsPort, omqPort, swarmId }) => {
      const id = swarmId ?? UNASSIGNED_SWARM;
      const member = memberOf({
        ed25519Key: fromHex(ed25519Hex, 32),
        host: at,
        httpsPort,
        omqPort: omqPort ?? 0,
        swarmId: id,
        active: id !== UNASSIGNED_SWARM,
      });
      return member === undefined ? [] : [member];
    },
  );
  return {
    membership: buildMembership({ epoch: 0, seed: new Uint8Array(32), height: 0, blockHash: '', members }),
    registered: states.length,
    isActive: new Map(states.map((state) => [String(state.pubkey_ed25519), state.active === true])),
  };
}

/** The place of this node, or what is wrong with it and what to do. */
export function placeOnChain(
  ed25519Hex: string,
  { membership, isActive }: ChainList,
  { publicIp }: ServiceNodeOptions,
): { readonly ok: boolean; readonly text: string } {
  const active = isActive.get(ed25519Hex);
  if (active === undefined) {
    return {
      ok: false,
      text: `this node is not registered, or its registration is not valid: register the key ${ed25519Hex} ("allium stake register")`,
    };
  }
  const self: Member | undefined = membership.byEd25519.get(ed25519Hex);
  if (self === undefined) {
    return {
      ok: false,
      text: 'no uptime proof of this node has gone out: the log says why; wait a minute after the start',
    };
  }
  if (!active) {
    return {
      ok: false,
      text: 'this node was decommissioned: the others test it and take it back once all tests pass; see the reasons with "allium explorer"',
    };
  }
  if (publicIp !== '' && publicIp !== self.host) {
    return {
      ok: false,
      text: `others know this node at ${self.host}, the configuration (--public-ip) says ${publicIp}: restart the node, its next proof tells them`,
    };
  }
  if (!self.active) {
    return {
      ok: true,
      text: `registered, at ${self.host}; it gets its swarm two epochs after the registration`,
    };
  }
  return { ok: true, text: swarmPlace(self, membership) };
}
