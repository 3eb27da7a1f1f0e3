// SPDX-License-Identifier: MIT
// IP addresses as text. One address has one text here: signed files must not differ by spelling.

/** IPv4 without leading zeros, or IPv6 as RFC 5952 writes it; an IPv4 address in IPv6 clothes is neither. */
export function isCanonicalIp(text: string): boolean {
  return isIpv4(text) || isCanonicalIpv6(text);
}

/** Dotted, without leading zeros. */
export function isIpv4(text: string): boolean {
  return /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/.test(text);
}

function isCanonicalIpv6(text: string): boolean {
  if (text.length > 39 || !/^[0-9a-f:]+$/.test(text)) return false;
  const groups = ipv6Groups(text);
  if (groups === undefined) return false;
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  return !isMapped && formatIpv6(groups) === text;
}

/** The eight groups; undefined for what is no address. */
function ipv6Groups(text: string): number[] | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [before, after] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const head = before ?? [];
  const tail = after ?? [];
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...Array<string>(missing).fill('0'), ...tail];
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/.test(group))) return undefined;
  return groups.map((group) => Number.parseInt(group, 16));
}

/** RFC 5952 §4: no leading zeros; the first longest run of at least two zero groups is `::`. */
function formatIpv6(groups: readonly number[]): string {
  let start = 0;
  let longest = 1;
  for (let i = 0; i < groups.length; i++) {
    let end = i;
    while (groups[end] === 0) end++;
    if (end - i > longest) {
      longest = end - i;
      start = i;
    }
  }
  const text = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':');
  return longest === 1 ? text(0, 8) : `${text(0, start)}::${text(start + longest, 8)}`;
}
