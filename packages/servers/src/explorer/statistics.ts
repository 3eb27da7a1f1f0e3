// SPDX-License-Identifier: AGPL-3.0-or-later
// How much of a network is in few hands. Formulas: docs/guides/explorer.md.
import { serviceNodeHealth } from '@allium/protocol/storage/network-health';
import type { ExplorerNode } from './model.ts';

const LISTED_GROUPS = 20;
const HOPS = 3;

export interface Concentration {
  /** The largest, at most twenty. */
  readonly groups: readonly { readonly name: string; readonly nodes: number; readonly share: number }[];
  /** How many groups there are. */
  readonly count: number;
  /** Herfindahl index: sum of the squared shares. 1: all in one hand; 1/n: n equal hands. */
  readonly index: number;
  /** The fewest groups that together hold more than a third of the nodes; 0 without nodes. */
  readonly third: number;
}

export interface PathExposure {
  /** The k largest operators, taken as one. */
  readonly operators: number;
  /** Share of paths on which they have at least one hop. */
  readonly any_hop: number;
  /** Share of paths on which they have the first and the last hop, and so see who asks and whom. */
  readonly both_ends: number;
}

export interface ExplorerStatistics {
  readonly nodes: number;
  readonly active: number;
  readonly decommissioned: number;
  readonly healthy: boolean;
  readonly swarms: number;
  /** Of active nodes. Without a chain operators are unknown: null. */
  readonly operators: Concentration | null;
  readonly subnets_16: Concentration;
  readonly subnets_24: Concentration;
  readonly versions: Concentration;
  /** By operator; without a chain by /24. */
  readonly paths: readonly PathExposure[];
  readonly paths_by: 'operator' | 'subnet_24';
}

export function statistics(nodes: readonly ExplorerNode[]): ExplorerStatistics {
  const present = nodes.filter((node) => node.state === 'active' || node.state === 'decommissioned');
  const active = present.filter((node) => node.active);
  const onChain = active.some((node) => node.chain !== null);
  const operators = sizes(active, (node) => node.chain?.operator ?? 'unknown');
  const subnets = sizes(active, (node) => subnet(node, 24));
  return {
    nodes: present.length,
    active: active.length,
    decommissioned: present.length - active.length,
    healthy: serviceNodeHealth(present).healthy,
    swarms: new Set(active.flatMap((node) => node.swarm ?? [])).size,
    operators: onChain ? concentration(operators) : null,
    subnets_16: concentration(sizes(active, (node) => subnet(node, 16))),
    subnets_24: concentration(subnets),
    versions: concentration(sizes(active, (node) => node.version ?? 'unknown')),
    paths: pathExposure(onChain ? operators : subnets),
    paths_by: onChain ? 'operator' : 'subnet_24',
  };
}

/** For 1, 2, 3, 5 and 10 operators, as far as there are so many. A path takes three different nodes, each as likely. */
export function pathExposure(groups: ReadonlyMap<string, number>): readonly PathExposure[] {
  const ordered = [...groups.values()].sort((a, b) => b - a);
  const nodes = ordered.reduce((sum, size) => sum + size, 0);
  if (nodes < HOPS) return [];
  return [1, 2, 3, 5, 10]
    .filter((operators) => operators <= ordered.length)
    .map((operators) => {
      const theirs = ordered.slice(0, operators).reduce((sum, size) => sum + size, 0);
      let none = 1;
      for (let hop = 0; hop < HOPS; hop++) none *= Math.max(0, nodes - theirs - hop) / (nodes - hop);
      return { operators, any_hop: 1 - none, both_ends: (theirs * (theirs - 1)) / (nodes * (nodes - 1)) };
    });
}

export function concentration(groups: ReadonlyMap<string, number>): Concentration {
  const ordered = [...groups].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
  const nodes = ordered.reduce((sum, [, size]) => sum + size, 0);
  let index = 0;
  let held = 0;
  let third = 0;
  for (const [, size] of ordered) {
    index += (size / nodes) ** 2;
    if (held * 3 <= nodes) third++;
    held += size;
  }
  return {
    groups: ordered
      .slice(0, LISTED_GROUPS)
      .map(([name, size]) => ({ name, nodes: size, share: size / nodes })),
    count: ordered.length,
    index,
    third,
  };
}

function sizes(
  nodes: readonly ExplorerNode[],
  groupOf: (node: ExplorerNode) => string,
): ReadonlyMap<string, number> {
  const groups = new Map<string, number>();
  for (const node of nodes) groups.set(groupOf(node), (groups.get(groupOf(node)) ?? 0) + 1);
  return groups;
}

/** The network of an IPv4 address with that many bits. */
function subnet(node: ExplorerNode, bits: 16 | 24): string {
  const parts = node.public_ip?.split('.') ?? [];
  if (parts.length !== 4) return 'unknown';
  return bits === 16 ? `${parts[0]}.${parts[1]}.0.0/16` : `${parts[0]}.${parts[1]}.${parts[2]}.0/24`;
}
