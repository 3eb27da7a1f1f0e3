// SPDX-License-Identifier: MIT
// Text encodings of `bytes.ts` by Node's Buffer. Same names and results as `web.ts`; `#text-encoding` chooses.
// Results are plain Uint8Arrays with a buffer of their own: never a part of Buffer's shared pool.

function view(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function decode(text: string, length: number, encoding: 'hex' | 'base64' | 'latin1' | 'utf8'): Uint8Array {
  const out = Buffer.allocUnsafeSlow(length);
  const written = out.write(text, encoding);
  return new Uint8Array(out.buffer, 0, written);
}

export function encodeHex(bytes: Uint8Array): string {
  return view(bytes).toString('hex');
}

/** `text` must be of even length; undefined when it holds other than hex digits. */
export function decodeHex(text: string): Uint8Array | undefined {
  const bytes = decode(text, text.length / 2, 'hex');
  return bytes.length === text.length / 2 ? bytes : undefined;
}

export function encodeBase64(bytes: Uint8Array): string {
  return view(bytes).toString('base64');
}

/** `text` must have been checked to be base64 without padding, `length` is that of the result. */
export function decodeBase64(text: string, length: number): Uint8Array {
  return decode(text, length, 'base64');
}

export function encodeUtf8(text: string): Uint8Array {
  return decode(text, Buffer.byteLength(text, 'utf8'), 'utf8');
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
  return decode(text, text.length, 'latin1');
}
