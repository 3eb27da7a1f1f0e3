// SPDX-License-Identifier: MIT
// Which addresses a node relays to and a gateway connects to (spec/storage-server §9.3.3): public ones only, after name
// resolution, so that nobody reaches through us into the operator's own networks. Ranges of an operator's exemption list pass.
import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net';

/** IANA special-purpose registries, IPv4: everything that is not an ordinary public unicast address. */
const REFUSED_IPV4 = [
  '0.0.0.0/8', // this network
  '10.0.0.0/8', // private
  '100.64.0.0/10', // carrier-grade NAT; holds a cloud metadata address too
  '127.0.0.0/8', // loopback
  '169.254.0.0/16', // link-local, cloud metadata
  '172.16.0.0/12', // private
  '192.0.0.0/24', // IETF assignments
  '192.0.2.0/24', // documentation
  '192.31.196.0/24', // AS112
  '192.52.193.0/24', // AMT
  '192.88.99.0/24', // 6to4 relays
  '192.168.0.0/16', // private
  '192.175.48.0/24', // AS112
  '198.18.0.0/15', // benchmarks
  '198.51.100.0/24', // documentation
  '203.0.113.0/24', // documentation
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved, broadcast
];

/** IPv6: only 2000::/3 is global unicast; within it these are not. */
const REFUSED_IPV6 = [
  '2001::/23', // IETF assignments, Teredo (embeds IPv4), ORCHID
  '2001:db8::/32', // documentation
  '2002::/16', // 6to4 (embeds IPv4)
  '2620:4f:8000::/48', // AS112
  '3fff::/20', // documentation
];

/** An address range as `net.BlockList` wants it. */
export function parseRange(
  text: string,
): { network: string; prefix: number; family: 'ipv4' | 'ipv6' } | undefined {
  const match = /^([0-9a-fA-F.:]+)\/(\d{1,3})$/.exec(text);
  if (match === null) return undefined;
  const family = isIP(match[1]!);
  const prefix = Number(match[2]);
  if (family === 0 || prefix > (family === 4 ? 32 : 128)) return undefined;
  return { network: match[1]!, prefix, family: family === 4 ? 'ipv4' : 'ipv6' };
}

const blockList = (texts: readonly string[]): BlockList => {
  const list = new BlockList();
  for (const text of texts) {
    const range = parseRange(text);
    if (range !== undefined) list.addSubnet(range.network, range.prefix, range.family);
  }
  return list;
};

export class AddressRules {
  static readonly #refused4 = blockList(REFUSED_IPV4);
  static readonly #refused6 = blockList(REFUSED_IPV6);
  static readonly #global6 = blockList(['2000::/3']);
  readonly #exempt: BlockList;

  /** `exemptRanges`: texts such as `10.0.0.0/8`, checked by the configuration. */
  constructor(exemptRanges: readonly string[] = []) {
    this.#exempt = blockList(exemptRanges);
  }

  /** `address` is what a resolver or a literal gave; anything that is not an address is refused. */
  allows(address: string): boolean {
    if (address.includes('%')) return false; // a zone makes sense on a local link only
    if (isIPv4(address)) return this.#allows4(address);
    if (!isIPv6(address)) return false;
    if (this.#exempt.check(address, 'ipv6')) return true;
    const embedded = embeddedIPv4(address);
    if (embedded !== undefined) return this.#allows4(embedded);
    return AddressRules.#global6.check(address, 'ipv6') && !AddressRules.#refused6.check(address, 'ipv6');
  }

  #allows4(address: string): boolean {
    return this.#exempt.check(address, 'ipv4') || !AddressRules.#refused4.check(address, 'ipv4');
  }
}

const MAPPED = blockList(['::ffff:0:0/96']);
const NAT64 = blockList(['64:ff9b::/96']);

/** The IPv4 address inside a mapped or NAT64 address; all other embeddings are refused as not global unicast. */
function embeddedIPv4(address: string): string | undefined {
  if (!MAPPED.check(address, 'ipv6') && !NAT64.check(address, 'ipv6')) return undefined;
  // The URL parser writes the canonical form, whose last two groups hold the four bytes.
  const canonical = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const groups = canonical.split(':');
  const word = (text: string | undefined) =>
    text === undefined || text === '' ? 0 : Number.parseInt(text, 16);
  const high = word(groups.at(-2));
  const low = word(groups.at(-1));
  return `${high >> 8}.${high & 0xff}.${low >> 8}.${low & 0xff}`;
}
