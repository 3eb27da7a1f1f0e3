// SPDX-License-Identifier: AGPL-3.0-or-later
// Whom a person at the keyboard means: an account id, or a name that the network knows.
import type { Client } from '@allium/client';
import { parseAccountId } from '@allium/protocol/account-id';
import { ParseError, quote } from '@allium/protocol/errors';
import { parseSessionName } from '@allium/protocol/session-name';
import { listEntries } from './accounts.ts';
import { usage } from './cli-error.ts';
import { homeFolder } from './home.ts';
import { remark } from './terminal.ts';

/** Says that a name of the network is meant, also where an account on this machine is called so. */
const PREFIX = 'name:';

export type Recipient =
  | { readonly kind: 'id'; readonly id: string }
  | { readonly kind: 'name'; readonly name: string };

/**
 * Reads what was typed; asks nobody. A name that is also that of an account on this machine is refused: what is meant for
 * one's own other account must not go to a stranger.
 * @throws CliError
 */
export async function parseRecipient(text: string, options: { readonly home?: string }): Promise<Recipient> {
  try {
    return { kind: 'id', id: parseAccountId(text) };
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
  }
  const isExplicit = text.startsWith(PREFIX);
  const name = isExplicit ? text.slice(PREFIX.length) : text;
  try {
    parseSessionName(name);
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    throw usage(
      `${quote(text)} is neither an account id (66 hex digits that begin with 05) nor a name (letters, digits, "_", "-")`,
    );
  }
  // A part of an id is a name by its letters; hardly anybody means that.
  if (!isExplicit && /^05[0-9a-f]*$/i.test(name)) {
    throw usage(
      `an account id has 66 hex digits and begins with 05, this one has ${name.length}; for the name on the network write "${PREFIX}${name}"`,
    );
  }
  const [own] = isExplicit ? [] : await listEntries(homeFolder(options), name);
  if (own !== undefined) {
    throw usage(
      `${quote(name)} is an account on this machine: write its id, ${own.id}, or "${PREFIX}${name}" for the name on the network`,
    );
  }
  return { kind: 'name', name };
}

/** The account id; of a name, after three nodes agreed. @throws NameError, ClientError */
export async function resolveRecipient(
  client: Client,
  recipient: Recipient,
  options: { readonly signal?: AbortSignal; readonly isQuiet?: boolean } = {},
): Promise<string> {
  if (recipient.kind === 'id') return recipient.id;
  const { signal, isQuiet = false } = options;
  const id = await client.resolve(recipient.name, signal === undefined ? {} : { signal });
  if (!isQuiet) remark(`${recipient.name} is ${id}.`);
  return id;
}
