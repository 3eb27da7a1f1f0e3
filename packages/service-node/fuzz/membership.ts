// SPDX-License-Identifier: AGPL-3.0-or-later
// Fuzz targets: what members send each other while they sign the list. A target throws on a bug only.
import { ParseError } from '@allium/protocol/errors';
import type { FuzzTarget } from '../../../scripts/fuzz.ts';
import { encodeSignatureNews, parseSignatureNews } from '../src/membership/certificate-signatures.ts';

const NEWS = {
  epoch: 24,
  digest: new Uint8Array(32).fill(1),
  held: new Set([0, 3, 12]),
  signatures: new Map([[3, new Uint8Array(64).fill(7)]]),
};

export const targets: Record<string, FuzzTarget> = {
  /** What is read holds what it says, and no more than its bytes can. */
  signatureNews: {
    seeds: [
      encodeSignatureNews(NEWS, 14),
      encodeSignatureNews({ ...NEWS, signatures: new Map(), held: new Set() }, 0),
    ],
    run(input) {
      try {
        const { digest, held, signatures } = parseSignatureNews(input);
        if (digest.length !== 32) throw new Error('a digest of another length');
        if (64 * signatures.size > input.length || held.size > 8 * input.length)
          throw new Error('more than came');
        for (const signature of signatures.values()) {
          if (signature.length !== 64) throw new Error('a signature of another length');
        }
      } catch (error) {
        if (!(error instanceof ParseError)) throw error;
      }
    },
  },
};
