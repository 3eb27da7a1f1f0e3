// SPDX-License-Identifier: AGPL-3.0-or-later
// Messages as lines of JSON, for scripts (docs/guides/cli.md): one form for `listen`, `history` and what comes after. And
// which message a person means.
import type { Client } from '@allium/client';
import { deliveryOf } from '@allium/client/delivery';
import type { StoredMessage } from '@allium/client/storage';
import { usage } from './cli-error.ts';
import { filesJson, type SavedFile } from './message-files.ts';

// Ours.
const PAGE = 500;
/** How far back a hash is looked for. */
const MAX_PAGES = 40;

export function messageJson(
  message: StoredMessage,
  ownId: string,
  saved: readonly SavedFile[] = [],
): Record<string, unknown> {
  const { sender, conversation, timestamp, text, hash, quote, original, notice, timer, marks = {} } = message;
  const delivery = sender === ownId ? deliveryOf(message) : undefined;
  const reactions = (marks.reactions ?? [])
    .filter(({ on }) => on)
    .map(({ by, emoji, at }) => ({ by, emoji, at }));
  return {
    from: sender,
    ...(delivery !== undefined && { to: conversation }),
    timestamp,
    text,
    // What no swarm keeps has no hash there, whatever was tried.
    ...(hash !== undefined && delivery?.state !== 'failed' && { hash }),
    ...filesJson(message, saved),
    ...(quote !== undefined && { replyTo: { from: quote.author, timestamp: quote.timestamp } }),
    ...(delivery !== undefined && { delivery }),
    ...(reactions.length > 0 && { reactions }),
    ...(marks.edits !== undefined && { original, edits: marks.edits }),
    ...(notice !== undefined && { notice }),
    ...(timer !== undefined && { timer }),
    ...(marks.expiresAt !== undefined && { expiresAt: marks.expiresAt }),
    ...(marks.deletedAt !== undefined && { deletedAt: marks.deletedAt }),
  };
}

/**
 * The message of a conversation that was sent at a time, or that has a hash, as `listen --json` and `history --json` tell them.
 * @throws CliError when there is none
 */
export async function findMessage(client: Client, id: string, name: string): Promise<StoredMessage> {
  const timestamp = /^\d{10,16}$/.test(name) ? Number(name) : undefined;
  let before: StoredMessage | undefined;
  for (let page = 0; page < MAX_PAGES; page++) {
    const messages: readonly StoredMessage[] = await client
      .conversation(id)
      .history({ limit: PAGE, ...(before && { before }) });
    const found = messages.filter((one) =>
      timestamp === undefined ? one.hash === name : one.timestamp === timestamp,
    );
    if (found.length > 1) throw usage('both sides sent a message at that time: name it by its hash');
    if (found.length === 1) return found[0]!;
    before = messages[0];
    if (before === undefined) break;
  }
  throw usage(`there is no message ${name} in that conversation ("allium history --ids" lists them)`);
}
