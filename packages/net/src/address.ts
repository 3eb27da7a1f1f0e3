// SPDX-License-Identifier: MIT
// IP addresses as sockets report them.
import { isIP } from 'node:net';

/** An address of a socket without the IPv6 mapping of IPv4: `::ffff:1.2.3.4` is `1.2.3.4`. Empty when unknown. */
export function plainAddress(address: string | undefined): string {
  if (address === undefined) return '';
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}

/**
 * Whom limits per address mean: IPv4 as it is, also mapped (::ffff:a.b.c.d); of IPv6 the first 64 bits in hex, which one
 * subscriber commonly holds whole. Undefined for other text.
 */
export function clientOf(address: string): string | undefined {
  const version = isIP(address);
  if (version === 4) return address;
  if (version !== 6) return undefined;
  const zone = address.indexOf('%');
  const text = zone < 0 ? address : address.slice(0, zone);
  const groups = ipv6Groups(text);
  const isMapped = groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0);
  if (isMapped) {
    const [high, low] = [groups[6] ?? 0, groups[7] ?? 0];
    return `${high >> 8}.${high & 0xff}.${low >> 8}.${low & 0xff}`;
  }
  return groups
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(':');
}

/** The eight groups of valid IPv6 text without zone. */
function ipv6Groups(text: string): number[] {
  const [head = '', tail] = text.split('::');
  const first = groupsOf(head);
  if (tail === undefined) return first;
  const last = groupsOf(tail);
  return [...first, ...new Array<number>(8 - first.length - last.length).fill(0), ...last];
}

function groupsOf(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
    return [(a << 8) | b, (c << 8) | d];
  });
}

/** Under what a client is counted: its IPv4 address or IPv6 /64; text that is no address stands for itself. */
export function clientKey(remoteAddress: string | undefined): string {
  const address = plainAddress(remoteAddress);
  return clientOf(address) ?? address;
}

/**
 * Who connected to the proxy before us, by its X-Forwarded-For: the last address, for whatever stands before came from
 * outside. Some proxies add the port, which would make everybody a new client each time. Undefined: none is told.
 */
export function forwardedAddress(header: string | readonly string[] | undefined): string | undefined {
  const last = (typeof header === 'string' ? header : header?.join(','))?.split(',').at(-1)?.trim() ?? '';
  const [, inBrackets, withPort] = /^(?:\[([^\]]*)\](?::\d{1,5})?|([\d.]+):\d{1,5})$/.exec(last) ?? [];
  const address = inBrackets ?? withPort ?? last;
  return isIP(address) === 0 ? undefined : address;
}
