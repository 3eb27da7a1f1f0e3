// SPDX-License-Identifier: AGPL-3.0-or-later
// Sixty digits that two people compare: equal exactly when both see the same two account ids. An id is a key, so equal
// numbers mean that nobody stands between.
import { accountIdBytes, parseAccountId } from '@allium/protocol/account-id';
import { utf8 } from '@allium/protocol/bytes';
import { sha512 } from '@allium/protocol/crypto';

const GROUPS = 12;
const BYTES_OF_A_GROUP = 5;

/** Twelve groups of five digits, joined by spaces. @throws ParseError for what is no account id */
export function safetyNumber(one: string, other: string): string {
  const ids = [parseAccountId(one), parseAccountId(other)].sort();
  const digest = sha512([utf8('allium safety number 1'), ...ids.map((id) => accountIdBytes(id))]);
  const groups: string[] = [];
  for (let group = 0; group < GROUPS; group++) {
    let value = 0;
    for (let i = 0; i < BYTES_OF_A_GROUP; i++)
      value = value * 256 + (digest[group * BYTES_OF_A_GROUP + i] ?? 0);
    groups.push(String(value % 100_000).padStart(5, '0'));
  }
  return groups.join(' ');
}
