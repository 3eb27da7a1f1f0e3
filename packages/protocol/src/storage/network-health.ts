// SPDX-License-Identifier: MIT
// The health rule of the documented example, in one place: of all service nodes of a list count the active ones; more than
// fifty are a healthy network. `checkServiceNodeHealth()`, the explorer and `allium health` all ask here.

import { utf8 } from '../bytes.ts';
import { type Json, type JsonObject, stringifyJson } from '../codec/json.ts';
import { ParseError } from '../errors.ts';

/** Ours: the documented bound. */
const HEALTHY_ABOVE = 50;

export interface ServiceNodeHealth {
  /** Active and decommissioned ones, whether an address is known of them or not. */
  readonly total: number;
  readonly active: number;
  readonly inactive: number;
  readonly healthy: boolean;
}

export function serviceNodeHealth(nodes: readonly { readonly active: boolean }[]): ServiceNodeHealth {
  const total = nodes.length;
  const active = nodes.filter((node) => node.active).length;
  return { total, active, inactive: total - active, healthy: active > HEALTHY_ABOVE };
}

/** The question to a seed, as the body of `POST /json_rpc`. */
export function encodeHealthRequest(): Uint8Array {
  const fields = { active: true, pubkey_ed25519: true };
  return utf8(
    stringifyJson({
      jsonrpc: '2.0',
      id: '0',
      method: 'get_service_nodes',
      params: { active_only: false, fields },
    }),
  );
}

/** Reads the result of the question; also the whole list of the explorer's interface fits. @throws ParseError `node_list` */
export function parseServiceNodeHealth(result: Json): ServiceNodeHealth {
  const { service_node_states: states } = (result ?? {}) as JsonObject;
  if (!Array.isArray(states)) throw new ParseError('node_list', 'malformed node list: service_node_states');
  const keys = new Set<string>();
  const nodes: { active: boolean }[] = [];
  for (const state of states as readonly Json[]) {
    const { pubkey_ed25519: key, active } = (state ?? {}) as JsonObject;
    if (typeof key !== 'string' || typeof active !== 'boolean' || keys.has(key)) {
      throw new ParseError('node_list', 'malformed node list: a node');
    }
    keys.add(key);
    nodes.push({ active });
  }
  return serviceNodeHealth(nodes);
}
