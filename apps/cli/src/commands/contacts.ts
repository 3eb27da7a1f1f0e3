// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium contacts`: who may write, who asks, who is blocked.

import type { Contact } from '@allium/client/contacts';
import type { Conversation } from '@allium/client/conversation';
import { shortId } from '@allium/protocol/account-id';
import { type ContactOptions, withContact } from '../contact-session.ts';
import { openSession, type SessionOptions } from '../session.ts';
import { counted, harmless, harmlessLine, print, printJson, styled } from '../terminal.ts';

interface ListOptions extends SessionOptions {
  readonly json?: boolean;
}

export function listContacts(options: ListOptions): Promise<number> {
  return list(options, () => true, 'Nobody yet. "allium send ID TEXT" makes the first contact.');
}

export function listBlocked(options: ListOptions): Promise<number> {
  return list(options, ({ blocked }) => blocked, 'Nobody is blocked.');
}

async function list(
  options: ListOptions,
  isMeant: (contact: Contact) => boolean,
  nobody: string,
): Promise<number> {
  await using session = await openSession(options, 'read');
  const contacts = [...session.client.contacts()]
    .filter(isMeant)
    .sort((a, b) => titleOf(a).localeCompare(titleOf(b)));
  if (options.json === true) {
    printJson(contacts.map(contactJson));
    return 0;
  }
  for (const contact of contacts) {
    print(`${contact.id}  ${styled('bold', harmlessLine(titleOf(contact)))}${stateOf(contact)}`);
  }
  if (contacts.length === 0) print(nobody);
  return 0;
}

/** People who have written and wait for an answer, with what they wrote last. */
export async function listRequests(options: ListOptions): Promise<number> {
  await using session = await openSession(options, 'read');
  const { client } = session;
  const requests = await client.requests();
  if (options.json === true) {
    printJson(
      requests.map(({ id, last }) => ({
        ...contactJson(client.conversation(id).contact),
        last: { timestamp: last.timestamp, text: last.text },
      })),
    );
    return 0;
  }
  for (const { id, last } of requests) {
    print(`${id}  ${styled('bold', harmlessLine(titleOf(client.conversation(id).contact)))}`);
    print(`    ${harmless(last.text).split('\n', 1)[0]?.slice(0, 200)}`);
  }
  print(
    requests.length === 0
      ? 'Nobody asks to write.'
      : `${counted(requests.length, 'request')}: "allium contacts accept ID", "decline ID" or "block ID".`,
  );
  return 0;
}

const ACTIONS = {
  accept: [
    (one: Conversation) => one.approve(),
    'Accepted: they are told, and may see that messages arrive.',
  ],
  decline: [(one: Conversation) => one.decline(), 'Declined: the messages are gone; nobody is told.'],
  block: [(one: Conversation) => one.block(), 'Blocked: what they send is dropped; they are not told.'],
  unblock: [(one: Conversation) => one.unblock(), 'No longer blocked.'],
  remove: [(one: Conversation) => one.erase(), 'Removed, with all messages on your devices; nobody is told.'],
} as const;

export type ContactAction = keyof typeof ACTIONS;

export function changeContact(action: ContactAction, name: string, options: ContactOptions): Promise<number> {
  return withContact(name, options, async (conversation) => {
    const [act, said] = ACTIONS[action];
    await act(conversation);
    if (options.json === true) printJson(contactJson(conversation.contact));
    else print(said);
    return 0;
  });
}

/** How this account calls somebody; without a name as they call themselves. */
export function nameContact(
  name: string,
  nickname: string | undefined,
  options: ContactOptions,
): Promise<number> {
  return withContact(name, options, async (conversation) => {
    await conversation.setNickname(nickname);
    if (options.json === true) printJson(contactJson(conversation.contact));
    else print(nickname === undefined ? 'The name is theirs again.' : `Called ${nickname} from now on.`);
    return 0;
  });
}

/** As this account calls somebody, else as they call themselves, else the ends of the id. */
export const titleOf = ({ id, nickname, name }: Contact): string => nickname ?? name ?? shortId(id);

function stateOf({ approved, approvedMe, blocked }: Contact): string {
  if (blocked) return '  blocked';
  if (!approved) return '  asks to write';
  return approvedMe ? '' : '  has not answered yet';
}

const contactJson = ({ id, name, nickname, approved, approvedMe, blocked }: Contact) => ({
  id,
  name,
  nickname,
  approved,
  approvedMe,
  blocked,
});
