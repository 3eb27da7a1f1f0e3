// SPDX-License-Identifier: MIT
// Addresses of the chain as people copy them. Written in both cases they carry a checksum (EIP-55).
import { utf8 } from '@allium/protocol/bytes';
import type { Hex } from './chain-view.ts';
import { InputError } from './input-error.ts';
import { hexOf, keccak256 } from './packed.ts';

/** In lower case. @throws InputError `address`: not one, or a slip in one with a checksum */
export function parseAddress(text: string): Hex {
  if (!/^0x[0-9a-fA-F]{40}$/.test(text)) {
    throw new InputError('address', `"${text.slice(0, 60)}" is no address: it must be 0x and 40 hex digits`);
  }
  const address = text.toLowerCase() as Hex;
  const digits = text.slice(2);
  const isMixed = digits !== digits.toLowerCase() && digits !== digits.toUpperCase();
  if (isMixed && text !== withChecksum(address)) {
    throw new InputError(
      'address',
      `${text} has a slip in it: capital and small letters do not fit the digits`,
    );
  }
  return address;
}

/** As wallets show it. */
export function withChecksum(address: Hex): Hex {
  const digits = address.slice(2).toLowerCase();
  const hash = hexOf(keccak256(utf8(digits))).slice(2);
  const cased = [...digits].map((digit, n) =>
    Number.parseInt(hash[n] as string, 16) >= 8 ? digit.toUpperCase() : digit,
  );
  return `0x${cased.join('')}`;
}
