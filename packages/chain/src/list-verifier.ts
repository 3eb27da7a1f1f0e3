// SPDX-License-Identifier: MIT
// Who belongs to a network, read from its chain, for programs that check a node list with it (spec/chain §4.22.4). It fits
// `ListVerifier` of the client. The fold is read, not the lens: only the fold judges whether a registration is valid.
import { delay, type Env } from '@allium/protocol/env';
import { ChainError } from './chain-error.ts';
import type { ChainNetwork } from './chain-view.ts';
import { type Deployment, networkOf } from './deployment.ts';
import { ChainFollower } from './follower.ts';
import type { SnapshotStore } from './snapshot-keeper.ts';

/** Ours: a person waits for the first list; later ones are there at once. */
const DEFAULT_PATIENCE_MS = 20_000;

export interface ChainVerifierOptions {
  /** Addresses of JSON-RPC endpoints; two or more are held against each other. */
  readonly rpc: readonly string[];
  readonly deployment: Deployment | ChainNetwork;
  /** Makes the next start quick. */
  readonly snapshots?: SnapshotStore;
  /** How long one question waits for the chain. */
  readonly patienceMs?: number;
}

export interface ChainVerifier extends AsyncDisposable {
  /**
   * Ed25519 keys in hex of all valid active nodes, at the newest block read.
   * @throws ChainError `unreachable` when the chain does not answer, stands still, or endpoints contradict each other
   */
  members(signal: AbortSignal): Promise<ReadonlySet<string>>;
  close(): Promise<void>;
}

/** Reads nothing before the first question. @throws ChainError for an address that is none */
export function chainVerifier(options: ChainVerifierOptions, env: Env): ChainVerifier {
  const { rpc, deployment, snapshots, patienceMs = DEFAULT_PATIENCE_MS } = options;
  const network = 'epochSeconds' in deployment ? deployment : networkOf(deployment);
  const follower = new ChainFollower(
    { network, endpoints: rpc, ...(snapshots !== undefined && { snapshots }) },
    env,
  );
  let reading: Promise<void> | undefined;
  const close = async () => {
    if (reading !== undefined) await follower.stop();
    await reading?.catch(() => {});
    reading = undefined;
  };
  return {
    async members(signal) {
      reading ??= follower.start();
      const waiting = new AbortController();
      const late = delay(env.clock, patienceMs, AbortSignal.any([signal, waiting.signal])).then(() => {
        throw new ChainError('unreachable', `the chain was not read within ${patienceMs / 1000} s`);
      });
      try {
        await Promise.race([reading, late]);
      } finally {
        waiting.abort();
        late.catch(() => {});
      }
      if (!follower.isFresh()) {
        throw new ChainError('unreachable', 'the chain stands still, or its endpoints contradict each other');
      }
      const active = [...follower.nodes().values()].filter((node) => node.valid && node.state === 'active');
      return new Set(active.map((node) => node.ed25519Hex));
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
