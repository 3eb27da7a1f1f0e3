// SPDX-License-Identifier: MIT
// IP addresses as sockets report them.

/** An address of a socket without the IPv6 mapping of IPv4: `::ffff:1.2.3.4` is `1.2.3.4`. Empty when unknown. */
export function plainAddress(address: string | undefined): string {
  if (address === undefined) return '';
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}
