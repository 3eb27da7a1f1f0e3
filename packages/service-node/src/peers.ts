// SPDX-License-Identifier: AGPL-3.0-or-later
// Members of the list as those whom this node speaks to over OMQ.
import { type OmqEndpoint, OmqError, type OmqPeer } from '@allium/net/omq/endpoint';
import type { Member } from '@allium/protocol/membership';

/** Whether a peer can be contacted at all. */
export const hasAddress = (member: Member): boolean => member.host !== '0.0.0.0' && member.omqPort !== 0;

export const peerOf = ({ host, omqPort, x25519Key }: Member): OmqPeer => ({
  host,
  port: omqPort,
  publicKey: x25519Key,
});

/** The parts of the answer; undefined when there was none, and `onSilence` is told why. */
export async function ask(
  omq: Pick<OmqEndpoint, 'request'>,
  peer: OmqPeer,
  command: string,
  parts: readonly Uint8Array[],
  options: { readonly timeoutMs: number; readonly signal: AbortSignal },
  onSilence?: (code: OmqError['code']) => void,
): Promise<Uint8Array[] | undefined> {
  try {
    return await omq.request(peer, command, [...parts], options);
  } catch (error) {
    if (!(error instanceof OmqError)) throw error;
    onSilence?.(error.code);
    return undefined;
  }
}
