// SPDX-License-Identifier: AGPL-3.0-or-later
// Binary values of a known length in headers, in hex or base64 (spec/community-and-file-servers §1.3).

/** Exactly `length` bytes, or undefined. */
export function decodeFixed(text: string, length: number): Uint8Array | undefined {
  if (text.length === 2 * length) {
    return /^[0-9a-fA-F]+$/.test(text) ? new Uint8Array(Buffer.from(text, 'hex')) : undefined;
  }
  if (text.length < Math.ceil((4 * length) / 3) || text.length > 4 * Math.ceil(length / 3)) return undefined;
  const padded = text.endsWith('=') ? text : text.padEnd(Math.ceil(text.length / 4) * 4, '=');
  if (padded.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(padded)) return undefined;
  const bytes = new Uint8Array(Buffer.from(padded, 'base64'));
  return bytes.length === length ? bytes : undefined;
}
