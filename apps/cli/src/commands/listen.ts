// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium listen`: prints messages as they arrive, and first those that waited in the swarm.
import type { Client } from '@allium/client';
import type { StoredMessage } from '@allium/client/storage';
import { shortId } from '@allium/protocol/account-id';
import { chosenSeeds } from '../home.ts';
import { checkSaveFolder, type SaveOptions, saveFiles } from '../message-files.ts';
import { messageJson } from '../message-json.ts';
import { explain, openSession, type SessionOptions, silentNetwork } from '../session.ts';
import { onStopSignal } from '../stop-signal.ts';
import { counted, harmlessLine, print, printJson, remark, styled } from '../terminal.ts';
import { titleOf } from './contacts.ts';
import { noticeText, printMessage } from './message.ts';

/** Ours: what was told is remembered so that nothing is told twice. */
const MAX_SAID = 10_000;

export async function listen(
  options: SessionOptions &
    SaveOptions & {
      readonly json?: boolean;
      readonly count?: number;
      readonly timeout?: number;
      readonly events?: boolean;
    },
): Promise<number> {
  await checkSaveFolder(options.save);
  const stop = onStopSignal();
  const timeout = options.timeout === undefined ? undefined : AbortSignal.timeout(options.timeout * 1000);
  const signal = timeout === undefined ? stop.signal : AbortSignal.any([stop.signal, timeout]);
  let received = 0;
  let wasOnline = false;
  try {
    await using session = await openSession(options, 'receive');
    const { client } = session;
    remark(`Listening as ${client.id}. Ctrl-C ends.`);
    wasOnline = client.status === 'online';
    client.on('status', (status) => {
      if (status === 'offline') remark('Offline: no node can be reached at the moment; trying again.');
      else if (status === 'online') remark('Online.');
      wasOnline ||= status === 'online';
    });
    if (options.events === true) printEvents(client, options.json === true);
    for await (const message of client.messages({ signal })) {
      const saved = await saveFiles(client, message, options, signal);
      if (options.json === true) printJson({ event: 'message', ...messageJson(message, client.id, saved) });
      else {
        const { contact } = client.conversation(message.conversation);
        printMessage(message, client.id, { name: titleOf(contact), saved });
      }
      received += 1;
      if (received === options.count) break;
    }
  } catch (error) {
    if (!signal.aborted) throw explain(error, chosenSeeds(options));
  }
  if (!wasOnline && received === 0 && !stop.signal.aborted) {
    throw silentNetwork(options.timeout ?? 0, chosenSeeds(options));
  }
  const enough = options.count === undefined || received >= options.count;
  return enough || stop.signal.aborted ? 0 : 1;
}

/** What happens to messages and people besides: the state after it, so that a line that is missed does no harm. */
function printEvents(client: Client, json: boolean): void {
  const said = new Map<string, string>();
  const tell = (event: string, fields: Record<string, unknown>, words: string) => {
    const line = JSON.stringify(fields);
    const key = `${event} ${fields.from ?? fields.id} ${fields.timestamp ?? ''}`;
    if (said.get(key) === line) return;
    if (said.size > MAX_SAID) said.clear();
    said.set(key, line);
    if (json) printJson({ event, ...fields });
    else print(styled('dim', harmlessLine(words)));
  };
  const short = (id: string) => (id === client.id ? 'you' : shortId(id));
  const of = ({ sender, conversation, timestamp }: StoredMessage) => ({
    from: sender,
    with: conversation,
    timestamp,
  });
  client.on('delivered', (message) =>
    tell(
      'delivered',
      { ...of(message), at: message.marks?.deliveredAt },
      `${short(message.conversation)} has your message of ${message.timestamp}`,
    ),
  );
  client.on('read', (message) =>
    tell(
      'read',
      { ...of(message), at: message.marks?.readAt },
      `${short(message.conversation)} has read your message of ${message.timestamp}`,
    ),
  );
  client.on('changed', (message) => {
    const { deletedAt, reactions = [], edits = [] } = message.marks ?? {};
    const which = `the message ${message.timestamp} of ${short(message.sender)}`;
    if (deletedAt !== undefined) {
      tell('deleted', { ...of(message), at: deletedAt }, `${which} was deleted`);
      return;
    }
    if (edits.length > 0) {
      const fields = { ...of(message), text: message.text, at: edits.at(-1)?.at };
      tell('edited', fields, `${which} now says: ${message.text}`);
    }
    if (reactions.length > 0) {
      const on = reactions.filter((one) => one.on).map(({ by, emoji, at }) => ({ by, emoji, at }));
      const words = on.map(({ by, emoji }) => `${emoji} ${short(by)}`).join(', ') || 'none';
      tell('reactions', { ...of(message), reactions: on }, `reactions to ${which}: ${words}`);
    }
  });
  client.on('notice', (message) =>
    tell(
      'notice',
      { ...of(message), notice: message.notice },
      `${short(message.sender)} ${noticeText(message, message.sender === client.id)}`,
    ),
  );
  client.on('removed', (message) =>
    tell('removed', of(message), `the message ${message.timestamp} of ${short(message.sender)} is gone`),
  );
  client.on('expiring', ({ message, expiresAt, nextStep }) =>
    tell(
      'expiring',
      { ...of(message), expiresAt, nextStep },
      `your message of ${message.timestamp} to ${short(message.conversation)} will soon be forgotten: ${nextStep}`,
    ),
  );
  client.on('gap', (counts) =>
    tell(
      'gap',
      { ...counts },
      `a node did not tell all; ${counted(counts.filled, 'message')} came from others since the start`,
    ),
  );
  client.on('request', ({ id, name }) => tell('request', { id, name }, `${short(id)} asks to write`));
  client.on('accepted', ({ id, name }) => tell('accepted', { id, name }, `${short(id)} has accepted you`));
}
