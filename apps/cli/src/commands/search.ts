// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium search`: messages of this device that say something.
import type { Client } from '@allium/client';
import type { SearchHit } from '@allium/client/search';
import { MESSAGE_KINDS, type MessageKind, type SearchQuery } from '@allium/client/storage/search';
import { type AccountId, parseAccountId } from '@allium/protocol/account-id';
import { usage } from '../cli-error.ts';
import type { ContactOptions } from '../contact-session.ts';
import { messageJson } from '../message-json.ts';
import { parseRecipient, resolveRecipient } from '../recipient.ts';
import { explain, openSession } from '../session.ts';
import { harmless, harmlessLine, print, printJson, remark, styled } from '../terminal.ts';
import { titleOf } from './contacts.ts';

const PAGE = 500;
const ME = 'me';

export interface SearchOptions extends ContactOptions {
  readonly phrase?: boolean;
  readonly from?: string;
  readonly in?: string;
  readonly since?: number;
  readonly until?: number;
  readonly kind?: string;
  readonly limit: number;
}

/** Exit code 1 when nothing was found, as `grep` does. */
export async function searchMessages(words: readonly string[], options: SearchOptions): Promise<number> {
  const text = words.join(' ');
  const { kind, since, until } = options;
  if (kind !== undefined && !isKind(kind)) throw usage(`there are these kinds: ${MESSAGE_KINDS.join(', ')}`);
  const isEmpty = [text, kind, since, until, options.from, options.in].every((asked) => (asked ?? '') === '');
  if (isEmpty) throw usage('say what to look for: words, --from, --in, --since, --until or --kind');
  try {
    await using session = await openSession(options, 'read', { isQuiet: true });
    const { client } = session;
    const idOf = async (name: string | undefined): Promise<AccountId | undefined> => {
      if (name === undefined) return undefined;
      if (name === ME) return client.id;
      const called = (other: string | undefined) => other?.toLowerCase() === name.toLowerCase();
      const known = client.contacts().filter((contact) => called(contact.nickname ?? contact.name));
      if (known.length === 1) return known[0]!.id;
      return parseAccountId(
        await resolveRecipient(client, await parseRecipient(name, options), { isQuiet: true }),
      );
    };
    const [person, conversation] = [await idOf(options.from), await idOf(options.in)];
    const query: Omit<SearchQuery, 'limit'> = {
      // A whole word is meant where nobody goes on typing.
      ...(options.phrase === true
        ? { phrase: text }
        : { text: text.endsWith('*') ? text.slice(0, -1) : `${text} ` }),
      ...(person !== undefined && { person }),
      ...(conversation !== undefined && { conversation }),
      ...(since !== undefined && { from: since }),
      ...(until !== undefined && { to: until }),
      ...(kind !== undefined && isKind(kind) && { kind }),
    };
    let left = options.limit;
    let before: string | undefined;
    let isFound = false;
    do {
      const limit = Math.min(PAGE, left);
      const { hits, next } = await client.search({
        ...query,
        limit,
        ...(before !== undefined && { before }),
      });
      for (const hit of hits) {
        isFound = true;
        if (options.json === true) printJson(messageJson(hit.message, client.id));
        else printHit(hit, client);
      }
      left -= hits.length;
      before = next;
    } while (before !== undefined && left > 0);
    if (!isFound && options.json !== true)
      remark(`Nothing found on this device.${beginningHint(text, options)}`);
    return isFound ? 0 : 1;
  } catch (error) {
    throw explain(error, []);
  }
}

/** Words are whole ones; somebody may have meant a beginning. */
function beginningHint(text: string, { phrase = false }: SearchOptions): string {
  if (phrase || text === '' || text.endsWith('*')) return '';
  return ` For words that begin so: "allium search '${text.replaceAll("'", ' ')}*'".`;
}

const isKind = (kind: string): kind is MessageKind => (MESSAGE_KINDS as readonly string[]).includes(kind);

function printHit({ message, snippet, ranges }: SearchHit, client: Client): void {
  const { sender, conversation, timestamp, attachments = [] } = message;
  const nameOf = (id: AccountId) => titleOf(client.conversation(id).contact);
  const isOwn = sender === client.id;
  const who = isOwn
    ? conversation === client.id
      ? 'Note to self'
      : `You to ${nameOf(conversation)}`
    : nameOf(sender);
  const date = new Date(timestamp);
  const time = `${date.toLocaleDateString('en-CA')} ${date.toLocaleTimeString('en-GB')}`;
  let shown = '';
  let from = 0;
  for (const { start, end } of ranges) {
    shown +=
      harmless(snippet.slice(from, start)) + styled(['bold', 'yellow'], harmless(snippet.slice(start, end)));
    from = end;
  }
  shown = (shown + harmless(snippet.slice(from))).replaceAll('\n', ' ');
  const files = attachments.map(({ fileName, contentType }) => `[${harmlessLine(fileName ?? contentType)}]`);
  print(
    [styled('dim', time), styled('bold', harmlessLine(who)), shown, ...files]
      .filter((part) => part !== '')
      .join('  '),
  );
}
