// SPDX-License-Identifier: MIT
// Padding of messages, so that their length says little (spec/client §4.1): byte 80, then zeros.

const BLOCK = 160; // spec/client §4.1
const MARK = 0x80;

/** The current rule: at least one byte of padding, up to a multiple of 160, one block more than needed at times. */
export function pad(content: Uint8Array): Uint8Array {
  const marked = content.length + 1;
  const padded = new Uint8Array(marked + BLOCK - (marked % BLOCK));
  padded.set(content);
  padded[content.length] = MARK;
  return padded;
}

/** For both rules. Text without padding is kept as it is; nothing but zeros is nothing. Not a copy. */
export function unpad(padded: Uint8Array): Uint8Array {
  let end = padded.length;
  while (end > 0 && padded[end - 1] === 0) end--;
  if (end === 0) return padded.subarray(0, 0);
  return padded[end - 1] === MARK ? padded.subarray(0, end - 1) : padded;
}
