// SPDX-License-Identifier: MIT
// The content of a message's files that is on this device, for what takes a history along.
import type { Contents } from '../files/contents.ts';
import type { StoredAttachment } from '../files/stored-attachment.ts';

/** Undefined: it is not here. */
export type MediaSource = (file: StoredAttachment) => Promise<Uint8Array | undefined>;

/** The name of its content here; undefined when it has none. */
export function contentName(contents: Contents, file: StoredAttachment): string | undefined {
  const { content, url, key } = file;
  return content ?? (url !== undefined && key !== undefined ? contents.nameOf(url, key) : undefined);
}

export function mediaOf(contents: Contents): MediaSource {
  return async (file) => {
    const name = contentName(contents, file);
    return name === undefined ? undefined : contents.bytes(name);
  };
}
