// SPDX-License-Identifier: AGPL-3.0-or-later
// A client, and the conversation with the contact that a command line names.
import type { Client } from '@allium/client';
import type { Conversation } from '@allium/client/conversation';
import { chosenSeeds, isNetworkChosen } from './home.ts';
import { parseRecipient, resolveRecipient } from './recipient.ts';
import { explain, openSession, type SessionOptions } from './session.ts';
import { onStopSignal } from './stop-signal.ts';

export interface ContactOptions extends SessionOptions {
  readonly json?: boolean;
}

/** Opens, does the work, and waits until what it causes has reached the network. @throws CliError */
export async function withContact<T>(
  name: string,
  options: ContactOptions,
  work: (conversation: Conversation, client: Client) => Promise<T>,
  use: 'read' | 'send' = 'send',
): Promise<T> {
  const recipient = await parseRecipient(name, options);
  const stop = onStopSignal();
  try {
    await using session = await openSession(options, use);
    const { client } = session;
    const id = await resolveRecipient(client, recipient, {
      signal: stop.signal,
      isQuiet: options.json === true,
    });
    const done = await work(client.conversation(id), client);
    if (use === 'send') await Promise.race([client.flush(), stop.stopped]);
    return done;
  } catch (error) {
    throw explain(error, isNetworkChosen(options) ? chosenSeeds(options) : []);
  }
}
