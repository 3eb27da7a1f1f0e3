// SPDX-License-Identifier: MIT
// Writes the state of the fold down, once per epoch, so that a restart goes on from there.
import type { Logger } from '@allium/protocol/env';
import type { ChainNetwork } from './chain-view.ts';
import type { FoldState } from './fold.ts';
import { encodeSnapshot } from './fold-snapshot.ts';

/** Where the snapshot of the fold survives a restart. */
export interface SnapshotStore {
  /** Undefined: there is none. */
  load(): Promise<string | undefined>;
  save(text: string): Promise<void>;
}

export class SnapshotKeeper {
  readonly #store: SnapshotStore;
  readonly #network: ChainNetwork;
  readonly #log: Logger;
  #savedEpoch = -1;
  #saving: Promise<void> = Promise.resolve();

  constructor(store: SnapshotStore, network: ChainNetwork, log: Logger) {
    this.#store = store;
    this.#network = network;
    this.#log = log;
  }

  load(): Promise<string | undefined> {
    return this.#store.load();
  }

  /** What was loaded is of this epoch. */
  startFrom(epoch: number): void {
    this.#savedEpoch = epoch;
  }

  /** `state`: the one before the newest epoch, deep enough that its last block stays. */
  saveOnce(state: FoldState | undefined): void {
    const epoch = state?.closed?.epoch ?? -1;
    if (state === undefined || epoch <= this.#savedEpoch) return;
    this.#savedEpoch = epoch;
    const text = encodeSnapshot(this.#network, state);
    this.#saving = this.#saving
      .then(() => this.#store.save(text))
      .catch((error) =>
        this.#log.warn({ reason: String(error) }, 'the snapshot of the chain could not be saved'),
      );
  }

  /** Everything is written. */
  settled(): Promise<void> {
    return this.#saving;
  }
}
