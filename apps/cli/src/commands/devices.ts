// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium devices`: how what all devices of an account share stands, and fetching all of it. The network has no list of
// devices: whoever has the recovery phrase is one.
import type { Client } from '@allium/client';
import { ClientError } from '@allium/client/errors';
import type { ConfigStatus, SyncStatus } from '@allium/client/sync/config-sync';
import type { Missing, Restored, RestoreProgress } from '@allium/client/sync/restore';
import { CliError } from '../cli-error.ts';
import { explain, openSession, type SessionOptions, silentNetwork } from '../session.ts';
import { onStopSignal } from '../stop-signal.ts';
import { counted, print, printJson, progress, remark } from '../terminal.ts';

interface DevicesOptions extends SessionOptions {
  readonly sync?: boolean;
  readonly timeout: number;
  readonly json?: boolean;
}

const NAMES: Readonly<Record<ConfigStatus['name'], string>> = {
  profile: 'profile and settings',
  contacts: 'contacts',
  groups: 'groups',
  readState: 'what is read',
};
const STATES: Readonly<Record<ConfigStatus['state'], string>> = {
  empty: 'nothing yet',
  stored: 'stored',
  pending: 'to be sent',
  too_large: 'too large, stays here',
};

export async function showDevices(options: DevicesOptions): Promise<number> {
  if (options.sync !== true) {
    await using session = await openSession(options, 'read');
    return tell(session.client.syncStatus(), options);
  }
  await using session = await openSession(options, 'receive', { isQuiet: options.json === true });
  const restored = await fetchAll(session.client, session.seeds, options);
  const status = session.client.syncStatus();
  if (options.json === true) {
    printJson({ ...statusJson(status), restored: restoredJson(restored) });
    return isSettled(status) ? 0 : 1;
  }
  printRestored(restored);
  print('');
  return tell(status, options);
}

/**
 * All that the swarm has for an account, and what was changed here to the swarm; shows how far it is.
 * @throws CliError
 */
export async function fetchAll(
  client: Client,
  seeds: readonly string[],
  { timeout }: { readonly timeout: number },
): Promise<Restored> {
  const shown = progress('asking for the nodes of the network', '');
  const timeLimit = AbortSignal.timeout(timeout * 1_000);
  const signal = AbortSignal.any([timeLimit, onStopSignal().signal]);
  let isConnected = false;
  try {
    const restored = await client.restore({
      signal,
      onProgress: (told) => {
        isConnected ||= told.stage !== 'connecting';
        shown.note(inWords(told));
      },
    });
    shown.note('sending what was changed here');
    await client.synced({ signal });
    return restored;
  } catch (error) {
    if (timeLimit.aborted && error instanceof ClientError && error.code === 'aborted') {
      throw isConnected
        ? new CliError(
            `not done within ${timeout} s; what came until then is here. Try again, or with a longer --timeout`,
          )
        : silentNetwork(timeout, seeds);
    }
    throw explain(error, seeds);
  } finally {
    shown.done();
  }
}

export function printRestored({ members, reached, contacts, messages, missing }: Restored): void {
  print(
    `${counted(contacts, 'contact')} and ${counted(messages, 'new message')}; ` +
      `${reached} of ${counted(members, 'member')} of the swarm answered.`,
  );
  for (const { text } of missing) print(`- ${text}`);
}

export function restoredJson({ members, reached, contacts, messages, missing }: Restored) {
  return {
    members,
    reached,
    contacts,
    messages,
    missing: missing.map(({ code, text }: Missing) => ({ code, text })),
  };
}

function inWords({ stage, asked, members, contacts, messages }: RestoreProgress): string {
  switch (stage) {
    case 'connecting':
      return 'looking for a path';
    case 'configs':
      return `${asked} of ${counted(members, 'member')}: ${counted(contacts, 'contact')}`;
    default:
      return `${asked} of ${counted(members, 'member')}: ${counted(messages, 'message')}`;
  }
}

function tell(status: SyncStatus, { json }: { readonly json?: boolean }): number {
  if (json === true) printJson(statusJson(status));
  else {
    for (const { name, seqno, state, bytes, refused } of status.configs) {
      const size = bytes === undefined ? '' : `${(bytes / 1024).toFixed(1)} KB`;
      const strange = refused === 0 ? '' : `  (${refused} not understood)`;
      print(
        `${NAMES[name].padEnd(22)}${STATES[state].padEnd(14)}version ${String(seqno).padEnd(6)}${size}${strange}`,
      );
    }
    const { syncedAt, noted, error } = status;
    print(
      syncedAt === undefined
        ? 'This device has never asked for what others share: "allium devices --sync" does.'
        : `Last asked ${new Date(syncedAt).toISOString().slice(0, 16).replace('T', ' ')} UTC.`,
    );
    if (noted > 0) {
      print(
        `${counted(noted, 'change')} of this device not sent yet: any command that receives does, such as "allium devices --sync".`,
      );
    } else if (status.configs.some(({ state }) => state === 'pending')) {
      print(
        'What is to be sent goes with any command that receives: "allium listen", "chat", "devices --sync".',
      );
    }
    if (error !== undefined) remark(`The last time they could not be stored: ${error}`);
    print('Not shared: drafts, files, what you deleted here only, and messages of more than 14 days ago.');
  }
  return isSettled(status) ? 0 : 1;
}

const isSettled = ({ configs, noted }: SyncStatus): boolean =>
  noted === 0 && configs.every(({ state }) => state === 'stored' || state === 'empty');

function statusJson({ configs, syncedAt, noted, error }: SyncStatus) {
  return { configs, syncedAt: syncedAt ?? null, noted, error: error ?? null };
}
