// SPDX-License-Identifier: AGPL-3.0-or-later
// What each node of a devnet prepares for its registration. A beacon chain takes 65,536 hashes (spec/chain §4.7): the nodes
// are spread over the processors.
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Hex } from '@allium/chain/chain-view';
import type { RegistrationFile } from '@allium/chain/stake/registration-file';

export interface Preparation {
  readonly dataDir: string;
  /** Path of deployment.json. */
  readonly deployment: string;
  readonly operator: Hex;
  readonly nowSeconds: number;
}

const WORKER = new URL('./prepare-worker.ts', import.meta.url);
/** Ours: starting more than four costs more than they save. */
const MAX_WORKERS = 4;

/** In the order of `list`. */
export async function prepareRegistrations(
  list: readonly Preparation[],
  onPrepared: (count: number) => void = () => {},
): Promise<RegistrationFile[]> {
  const files: RegistrationFile[] = [];
  let next = 0;
  let count = 0;
  const work = async () => {
    const worker = new Worker(WORKER);
    try {
      while (next < list.length) {
        const index = next++;
        files[index] = await ask(worker, list[index] as Preparation);
        onPrepared(++count);
      }
    } finally {
      await worker.terminate();
    }
  };
  const workers = Math.min(MAX_WORKERS, availableParallelism(), list.length);
  await Promise.all(Array.from({ length: workers }, work));
  return files;
}

function ask(worker: Worker, preparation: Preparation): Promise<RegistrationFile> {
  return new Promise((resolve, reject) => {
    const done = () => {
      worker.off('message', succeed);
      worker.off('error', fail);
    };
    const succeed = (file: RegistrationFile) => {
      done();
      resolve(file);
    };
    const fail = (error: unknown) => {
      done();
      reject(error);
    };
    worker.on('message', succeed);
    worker.on('error', fail);
    worker.postMessage(preparation);
  });
}
