// SPDX-License-Identifier: MIT
// Text encodings of `bytes.ts` by what every browser has. Same names and results as `node.ts`.

const HEX_OF_BYTE = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
/** fromCharCode takes its units as arguments, of which engines bear some ten thousand. */
const CHUNK = 8192;

export function encodeHex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += HEX_OF_BYTE[byte];
  return text;
}

export function encodeBase64(bytes: Uint8Array): string {
  return btoa(encodeLatin1(bytes));
}

/** `text` is without padding, `length` that of the result; undefined when it holds other than base64. */
export function decodeBase64(text: string, _length: number): Uint8Array | undefined {
  return /^[A-Za-z0-9+/]*$/.test(text) ? decodeLatin1(atob(text)) : undefined;
}

const utf8Encoder = new TextEncoder();
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function encodeUtf8(text: string): Uint8Array {
  return utf8Encoder.encode(text);
}

/** Undefined when the bytes are not UTF-8. A byte order mark is kept. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    return undefined;
  }
}

export function encodeLatin1(bytes: Uint8Array): string {
  if (bytes.length <= CHUNK) return String.fromCharCode(...bytes);
  let text = '';
  for (let i = 0; i < bytes.length; i += CHUNK) text += String.fromCharCode(...bytes.subarray(i, i + CHUNK));
  return text;
}

/** Keeps the low eight bits of every UTF-16 unit. */
export function decodeLatin1(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}
