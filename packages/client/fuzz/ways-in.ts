// SPDX-License-Identifier: MIT
// Fuzz targets: what somebody hands us as the way into a network. A target throws on a bug only.
import { fromUtf8, utf8 } from '@allium/protocol/bytes';
import { ParseError } from '@allium/protocol/errors';
import type { FuzzTarget } from '../../../scripts/fuzz.ts';
import { encodeInvitation, parseInvitation } from '../src/network/invitation.ts';
import { encodeShortAnchor, parseTrustAnchor } from '../src/network/trust-anchor.ts';

const KEY = 'ab'.repeat(32);
const SEED = 'https://203.0.113.7:22021';

function refusing(run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
  }
}

export const targets: Record<string, FuzzTarget> = {
  invitation: {
    seeds: [
      `allium:join?v=1&seed=${SEED}&name=Club&admin=${KEY}&of=1`,
      `allium:join?v=1&seed=${SEED}&digest=${KEY}&t0=1700000000&epoch=3600`,
      `allium:join?v=1&seed=${SEED}&seed=http://[::1]:1&files=https://f.example%23${KEY}`,
    ].map(utf8),
    run: (input) =>
      refusing(() => {
        const invitation = parseInvitation(fromUtf8(input));
        let again: string;
        try {
          again = encodeInvitation(invitation);
        } catch (error) {
          // Written in full it may be longer than it came.
          if (error instanceof ParseError && /characters/.test(error.message)) return;
          throw new Error('what was read cannot be written', { cause: error });
        }
        if (JSON.stringify(parseInvitation(again)) !== JSON.stringify(invitation)) {
          throw new Error('what was read does not encode to the same');
        }
      }),
  },
  trustAnchor: {
    seeds: [
      `{"kind":"admins","admins":["${KEY}"],"threshold":1}`,
      `{"kind":"certificate_digest","digest":"${KEY}","t0":1,"epoch_seconds":3600}`,
      '{"kind":"certificate","certificate":"AAAA","t0":1,"epoch_seconds":3600}',
      '{"mode":"static"}',
    ].map(utf8),
    run: (input) =>
      refusing(() => {
        const anchor = parseTrustAnchor(input);
        if (anchor.kind !== 'admins' && anchor.kind !== 'certificate_digest') return;
        const again = parseTrustAnchor(encodeShortAnchor(anchor));
        if (JSON.stringify(again) !== JSON.stringify(anchor)) throw new Error('an anchor that changes');
      }),
  },
};
