// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium edit`: a new version of a text that was sent.
import { usage } from '../cli-error.ts';
import { type ContactOptions, withContact } from '../contact-session.ts';
import { findMessage } from '../message-json.ts';
import { print, printJson } from '../terminal.ts';

export function editMessage(
  contact: string,
  message: string,
  text: string,
  options: ContactOptions,
): Promise<number> {
  return withContact(contact, options, async (conversation, client) => {
    const found = await findMessage(client, conversation.id, message);
    if (found.sender !== client.id) throw usage('only what you sent can be edited');
    await conversation.edit(found.timestamp, text);
    if (options.json === true) printJson({ from: found.sender, timestamp: found.timestamp, text });
    else print('Edited; clients that do not know edits show it as an answer.');
    return 0;
  });
}
