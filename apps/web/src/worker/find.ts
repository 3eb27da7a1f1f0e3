// SPDX-License-Identifier: AGPL-3.0-or-later
// Whom somebody means by what was typed, pasted or scanned: an account id, or a Session name.
import { NameError } from '@allium/client/network/names';
import { type AccountId, parseAccountId } from '@allium/protocol/account-id';
import type { Found } from '../model.ts';
import { AppError } from '../rpc.ts';

/** More than this of hex digits is meant as an id, and has an error in it. */
const LIKE_AN_ID = /^05[0-9a-f]{20,}$/i;

/**
 * `resolve` asks the network for a name.
 * @throws AppError `invalid_recipient`, `name_unknown`; NameError; what `resolve` throws
 */
export async function find(text: string, resolve: (name: string) => Promise<AccountId>): Promise<Found> {
  const given = text.trim();
  // Alone, or in a link or a text around it.
  const id = /(?:^|[^0-9a-f])(05[0-9a-f]{64})(?![0-9a-f])/i.exec(given)?.[1];
  if (id !== undefined) return { id: parseAccountId(id) };
  if (LIKE_AN_ID.test(given) || given === '') throw new AppError('invalid_recipient', 'no account id');
  try {
    return { id: await resolve(given), name: given };
  } catch (error) {
    if (error instanceof NameError && error.code === 'not_found') {
      throw new AppError('name_unknown', 'nobody has this name');
    }
    throw error;
  }
}
