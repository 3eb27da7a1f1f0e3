// SPDX-License-Identifier: MIT
// A history as JSON lines, for programs (docs/guides/history.md): whose it is, contacts, then messages.
import { toBase64 } from '@allium/protocol/bytes';
import { filesOf } from '../files/stored-attachment.ts';
import { CONTACT } from '../messaging/contacts.ts';
import type { Storage, StoredMessage } from '../storage/storage.ts';
import type { MediaSource } from './media.ts';
import { conversationsToRead, messagesToRead, type ReadingOptions } from './reading.ts';
import { carriedMessage } from './records.ts';

/** Each with its line end. `media`: files that are on this device are in it, as Base64. */
export async function* jsonLines(
  storage: Storage,
  options: ReadingOptions,
  media?: MediaSource,
): AsyncGenerator<string, void, void> {
  const { account, conversation, now } = options;
  const line = (value: object) => `${JSON.stringify(value)}\n`;
  yield line({ type: 'account', id: account, exportedAt: new Date(now).toISOString(), format: 1 });
  for (const { key, value } of await storage.records(CONTACT)) {
    if (conversation === undefined || key === conversation) yield line({ type: 'contact', ...value });
  }
  for (const id of await conversationsToRead(storage, options)) {
    for await (const message of messagesToRead(storage, id, options)) {
      const { handled: _handled, ...carried } = carriedMessage(message);
      const files = media === undefined ? [] : await contentsOf(message, media);
      yield line({
        type: 'message',
        time: timeOf(message.timestamp),
        ...carried,
        ...(files.some((one) => one !== null) && { files }),
      });
    }
  }
}

/** In the order of `attachments`, then the image of the preview; null: not on this device. */
async function contentsOf(message: StoredMessage, media: MediaSource): Promise<(string | null)[]> {
  const contents: (string | null)[] = [];
  for (const file of filesOf(message)) {
    const bytes = await media(file);
    contents.push(bytes === undefined ? null : toBase64(bytes));
  }
  return contents;
}

/** ISO 8601; anybody may have written any time. */
export function timeOf(timestamp: number): string {
  const time = new Date(timestamp);
  return Number.isNaN(time.getTime()) ? String(timestamp) : time.toISOString();
}
