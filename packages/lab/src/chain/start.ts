// SPDX-License-Identifier: AGPL-3.0-or-later
// Brings up a devnet's chain, and waits until its nodes know each other. Loads what belongs to a chain only where there is one.
import { systemClock } from '@allium/net/system-env';
import { delay } from '@allium/protocol/env';
import { swarmIdHex } from '@allium/protocol/swarm';
import { DevnetError, type Layout, type NodeLayout } from '../layout.ts';
import type { DevChain } from './dev-chain.ts';
import { askForList } from './node-list.ts';

interface ChainStartOptions {
  readonly onChainStep?: (step: string) => void;
  readonly onChain?: (chain: DevChain) => void;
}

// Ours: proofs travel within a second or two of the start; a busy machine gets more.
const ACQUAINTED_TIMEOUT_MS = 60_000;
const POLL_MS = 100;

/** Undefined for a network of a list. Releases the layout when it fails. @throws DevnetError, AnvilError */
export async function chainOf(layout: Layout, options: ChainStartOptions): Promise<DevChain | undefined> {
  const { folder, chainPort: port, nodes } = layout;
  if (port === undefined) return undefined;
  try {
    const { DevChain } = await import('./dev-chain.ts');
    const { onChainStep } = options;
    const chain = await DevChain.start({ folder, port, nodes, ...(onChainStep && { onStep: onChainStep }) });
    layout.swarmsFrom((ed25519Hex) => chain.swarmOf(ed25519Hex));
    options.onChain?.(chain);
    return chain;
  } catch (error) {
    layout.release();
    throw error;
  }
}

/**
 * Waits until each of these nodes knows the swarms of the epoch in force and where all the others are. Those that are in no
 * swarm, and what they know, do not matter.
 * @throws DevnetError `start_failed`
 */
export async function untilAcquainted(chain: DevChain, nodes: readonly NodeLayout[]): Promise<void> {
  const end = systemClock.now() + ACQUAINTED_TIMEOUT_MS;
  let waiting = nodes.filter((node) => chain.swarmOf(node.ed25519) !== '');
  while (waiting.length > 0) {
    const knows = await Promise.all(waiting.map((node) => isAcquainted(chain, node, nodes)));
    waiting = waiting.filter((_, index) => !knows[index]);
    if (waiting.length === 0) return;
    if (systemClock.now() > end) {
      const names = waiting.map((node) => node.name).join(' ');
      throw new DevnetError('start_failed', `nodes did not hear of each other in time: ${names}`);
    }
    await delay(systemClock, POLL_MS);
  }
}

async function isAcquainted(chain: DevChain, node: NodeLayout, all: readonly NodeLayout[]): Promise<boolean> {
  const known = await askForList(node).catch(() => undefined);
  if (known === undefined) return false;
  return all.every(({ ed25519 }) => {
    const swarm = chain.swarmOf(ed25519);
    if (swarm === '') return true;
    const entry = known.find((one) => one.ed25519Hex === ed25519);
    return entry !== undefined && entry.host !== undefined && swarmIdHex(entry.swarmId) === swarm;
  });
}
