// SPDX-License-Identifier: AGPL-3.0-or-later
// The invitation to a network, as text, and what it asks its readers to trust.
import { encodeInvitation, type InvitedTrust } from '@allium/client/network/invitation';
import type { FileServerAddress } from '@allium/client/network/presets';
import { certificateDigest, type TrustAnchor } from '@allium/client/network/trust-anchor';
import { ParseError } from '@allium/protocol/errors';
import { parseStaticList } from '@allium/protocol/membership/static-list';
import { usage } from './cli-error.ts';

/** Of a list of nodes: enough that some of them answer, too few to tell later how old the list was. */
export const SEEDS_OF_LIST = 8;

/** @throws CliError when it would be too long */
export function invitationTo(network: {
  readonly name?: string | undefined;
  readonly seeds: readonly string[];
  readonly trust?: InvitedTrust | undefined;
  readonly fileServers: readonly FileServerAddress[];
}): string {
  const { name, seeds, trust, fileServers } = network;
  try {
    return encodeInvitation({
      ...(name !== undefined && { name }),
      seeds: seeds.slice(0, SEEDS_OF_LIST),
      ...(trust !== undefined && { trust }),
      fileServers,
    });
  } catch (error) {
    if (error instanceof ParseError) throw usage(error.message);
    throw error;
  }
}

/** The anchor in a form that fits an invitation. */
export function shortTrust(anchor: TrustAnchor): InvitedTrust {
  switch (anchor.kind) {
    case 'certificate': {
      const { t0, epochSeconds } = anchor;
      return { kind: 'certificate_digest', digest: certificateDigest(anchor.certificate), t0, epochSeconds };
    }
    case 'static_list': {
      const { admins, threshold } = parseStaticList(anchor.list);
      return { kind: 'admins', admins, threshold };
    }
    default:
      return anchor;
  }
}

/** Who vouches for the node lists, in words. */
export function describeTrust(trust: InvitedTrust): string {
  return trust.kind === 'admins'
    ? `signed by ${trust.threshold} of ${trust.admins.length} administrators: ${trust.admins.join(', ')}`
    : `vouched for by the members of the certificate ${trust.digest}`;
}
