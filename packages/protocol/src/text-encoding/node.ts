// SPDX-License-Identifier: MIT
// Text encodings of `bytes.ts` by Node's Buffer. Same names and results as `web.ts`; `#text-encoding` chooses.
// Bench: crypto.bench.ts.

/** Buffers cost more to make than to fill; below this (V8 keeps such arrays on its heap) a copy is the cheapest. */
const ON_HEAP = 64;

function view(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The plain type over the same bytes, so that nobody meets Buffer's own `slice` or `toString`. */
function plain(buffer: Buffer): Uint8Array {
  if (buffer.length <= ON_HEAP) return new Uint8Array(buffer);
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

export function encodeHex(bytes: Uint8Array): string {
  return view(bytes).toString('hex');
}

export function encodeBase64(bytes: Uint8Array): string {
  return view(bytes).toString('base64');
}

/** `text` is without padding, `length` that of the result; undefined when it holds other than base64. */
export function decodeBase64(text: string, length: number): Uint8Array | undefined {
  const buffer = Buffer.from(text, 'base64');
  // Buffer skips what it does not know and takes -, _ for +, /. Encoding again finds that out faster than a
  // regular expression; the last character may differ in its unused bits.
  if (buffer.length !== length) return undefined;
  const again = buffer.toString('base64');
  const isSame =
    again === text ||
    (again.slice(0, text.length - 1) === text.slice(0, -1) && /[A-Za-z0-9+/]$/.test(text.slice(-1)));
  return isSame ? plain(buffer) : undefined;
}

export function encodeUtf8(text: string): Uint8Array {
  return plain(Buffer.from(text, 'utf8'));
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Undefined when the bytes are not UTF-8. A byte order mark is kept. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    return undefined;
  }
}

export function encodeLatin1(bytes: Uint8Array): string {
  return view(bytes).toString('latin1');
}

/** Keeps the low eight bits of every UTF-16 unit. */
export function decodeLatin1(text: string): Uint8Array {
  return plain(Buffer.from(text, 'latin1'));
}
