// SPDX-License-Identifier: AGPL-3.0-or-later
// Bodies of unknown length, read up to a limit.

export class TooLargeError extends Error {
  override readonly name = 'TooLargeError';
}

/** @throws TooLargeError as soon as there is more than `limit` */
export async function readAll(
  body: ReadableStream<Uint8Array> | null | undefined,
  limit: number,
): Promise<Uint8Array> {
  if (body == null) return new Uint8Array(0);
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of body) {
    size += part.length;
    if (size > limit) throw new TooLargeError(`more than ${limit} bytes`);
    parts.push(part);
  }
  return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
}
