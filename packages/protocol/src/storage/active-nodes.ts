// SPDX-License-Identifier: MIT
// The binary node list of `active_nodes_bin` (spec/storage-server §2.9.14), big-endian, 51 bytes per active node:
//
//   Ed25519 key 32 │ swarm id 8 │ IPv4 4 │ HTTPS port 2 │ OMQ port 2 │ version 3
//
// The X25519 key follows by conversion. Address, ports and version are zero while unknown.

import { ParseError } from '../errors.ts';
import { isIpv4 } from './responses.ts';

const RECORD = 51;

export interface ActiveNode {
  readonly ed25519Key: Uint8Array;
  readonly swarmId: bigint;
  /** Dotted IPv4, `0.0.0.0` when unknown. */
  readonly host: string;
  readonly httpsPort: number;
  readonly omqPort: number;
  readonly version: readonly [number, number, number];
}

/** A host that is no dotted IPv4 address counts as unknown. */
export function encodeActiveNodes(nodes: readonly ActiveNode[]): Uint8Array {
  const out = new Uint8Array(nodes.length * RECORD);
  const view = new DataView(out.buffer);
  nodes.forEach((node, index) => {
    const start = index * RECORD;
    out.set(node.ed25519Key, start);
    view.setBigUint64(start + 32, node.swarmId);
    if (isIpv4(node.host)) out.set(node.host.split('.').map(Number), start + 40);
    view.setUint16(start + 44, node.httpsPort);
    view.setUint16(start + 46, node.omqPort);
    for (let i = 0; i < 3; i++) out[start + 48 + i] = Math.min(node.version[i]!, 255);
  });
  return out;
}

/** Unknown nodes (`0.0.0.0`) included; keys are copies. @throws ParseError */
export function decodeActiveNodes(bytes: Uint8Array): ActiveNode[] {
  if (bytes.length % RECORD !== 0) {
    throw new ParseError('active_nodes', `${bytes.length} bytes are not a multiple of ${RECORD}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const nodes: ActiveNode[] = [];
  for (let start = 0; start < bytes.length; start += RECORD) {
    nodes.push({
      ed25519Key: Uint8Array.from(bytes.subarray(start, start + 32)),
      swarmId: view.getBigUint64(start + 32),
      host: bytes.subarray(start + 40, start + 44).join('.'),
      httpsPort: view.getUint16(start + 44),
      omqPort: view.getUint16(start + 46),
      version: [bytes[start + 48]!, bytes[start + 49]!, bytes[start + 50]!],
    });
  }
  return nodes;
}
