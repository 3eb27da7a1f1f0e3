// SPDX-License-Identifier: MIT
// What uploads and downloads have in common.
import type { V4Request, V4Response } from '@allium/protocol/onion/v4';

interface Progress {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface TransferOptions {
  /** Called with bytes as they are on the network: encrypted and padded. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** One request to the file server in question, through the network. */
export type AskServer = (request: V4Request, timeoutMs: number) => Promise<V4Response>;
