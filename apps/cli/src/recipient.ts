// SPDX-License-Identifier: AGPL-3.0-or-later
// Whom a person at the keyboard means: an account id, a contact by the name that they gave it, or a name that the network knows.
import type { Client } from '@allium/client';
import { NameError } from '@allium/client/network/names';
import { parseAccountId } from '@allium/protocol/account-id';
import { ParseError, quote } from '@allium/protocol/errors';
import { parseSessionName } from '@allium/protocol/session-name';
import { listEntries } from './accounts.ts';
import { type CliError, usage } from './cli-error.ts';
import { homeFolder } from './home.ts';
import { remark } from './terminal.ts';

/** Says that a name of the network is meant, also where a contact or an account on this machine is called so. */
const PREFIX = 'name:';
/** Ours: longer hex digits that begin as an id are an id with a slip. */
const LONGEST_HEX_NAME = 32;

export type Recipient =
  | { readonly kind: 'id'; readonly id: string }
  | { readonly kind: 'network_name'; readonly name: string }
  /** Perhaps a contact; where none is called so, a name of the network, or `otherwise` why it can be none. */
  | { readonly kind: 'name'; readonly name: string; readonly otherwise: CliError | undefined };

/**
 * Reads what was typed; asks nobody. A name that is also that of an account on this machine is no name of the network: what is
 * meant for one's own other account must not go to a stranger.
 * @throws CliError
 */
export async function parseRecipient(text: string, options: { readonly home?: string }): Promise<Recipient> {
  try {
    return { kind: 'id', id: parseAccountId(text) };
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
  }
  if (text.startsWith(PREFIX)) {
    const name = text.slice(PREFIX.length);
    if (isNetworkName(name)) return { kind: 'network_name', name };
    throw usage(`${quote(name)} is no name of a network: letters, digits, "_", "-"`);
  }
  // A part of an id is a name by its letters; hardly anybody means that.
  if (/^05[0-9a-f]*$/i.test(text)) {
    const wrong = `an account id has 66 hex digits and begins with 05, this one has ${text.length}`;
    throw usage(
      text.length <= LONGEST_HEX_NAME
        ? `${wrong}; for the name on the network write "${PREFIX}${text}"`
        : wrong,
    );
  }
  return { kind: 'name', name: text, otherwise: await noNetworkName(text, options) };
}

async function noNetworkName(
  name: string,
  options: { readonly home?: string },
): Promise<CliError | undefined> {
  if (!isNetworkName(name)) {
    return usage(
      `${quote(name)} is neither an account id (66 hex digits that begin with 05), nor what you call a contact, nor a name (letters, digits, "_", "-")`,
    );
  }
  const [own] = await listEntries(homeFolder(options), name);
  if (own === undefined) return undefined;
  return usage(
    `no contact is called ${quote(name)}, but an account on this machine is: write its id, ${own.id} ("allium contacts name ${own.id} ${name}" makes the name do), or "${PREFIX}${name}" for the name on the network`,
  );
}

function isNetworkName(text: string): boolean {
  try {
    parseSessionName(text);
    return true;
  } catch (error) {
    if (error instanceof ParseError) return false;
    throw error;
  }
}

/**
 * The contact to which its owner gave this name; how contacts call themselves proves nothing and is not looked at.
 * @throws CliError when several are called so
 */
export function contactCalled(client: Client, name: string): string | undefined {
  const called = client
    .contacts()
    .filter(({ nickname }) => nickname?.toLocaleLowerCase() === name.toLocaleLowerCase());
  if (called.length > 1) throw usage(`you call several contacts ${quote(name)}: write the account id`);
  return called[0]?.id;
}

/** The account id; of a name of the network, after three nodes agreed. @throws CliError, NameError, ClientError */
export async function resolveRecipient(
  client: Client,
  recipient: Recipient,
  options: { readonly signal?: AbortSignal; readonly isQuiet?: boolean } = {},
): Promise<string> {
  if (recipient.kind === 'id') return recipient.id;
  const { name } = recipient;
  if (recipient.kind === 'name') {
    const contact = contactCalled(client, name);
    if (contact !== undefined) return contact;
    if (recipient.otherwise !== undefined) throw recipient.otherwise;
  }
  const { signal, isQuiet = false } = options;
  const id = await client.resolve(name, signal === undefined ? {} : { signal }).catch((error: unknown) => {
    if (recipient.kind !== 'name' || !(error instanceof NameError)) throw error;
    throw new NameError(error.code, `no contact is called ${quote(name)}, and ${error.message}`, {
      cause: error,
    });
  });
  if (!isQuiet) remark(`${name} is ${id}.`);
  return id;
}
