// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium send`: one message; the exit code tells whether the recipient's swarm keeps it.
import { ClientError } from '@allium/client/errors';
import { NameError } from '@allium/client/network/names';
import { usage } from '../cli-error.ts';
import { chosenSeeds } from '../home.ts';
import { parseRecipient, resolveRecipient } from '../recipient.ts';
import { explain, openSession, type SessionOptions } from '../session.ts';
import { onStopSignal } from '../stop-signal.ts';
import { print, printJson, readInput, styled } from '../terminal.ts';

/** Ours: more than any message may have, so that a wrong pipe does not fill the memory. */
const MAX_INPUT_BYTES = 64 * 1024;

export async function send(
  id: string,
  text: string,
  options: SessionOptions & { readonly json?: boolean; readonly timeout: number },
): Promise<number> {
  const recipient = await parseRecipient(id, options);
  let to: string | undefined = recipient.kind === 'id' ? recipient.id : undefined;
  const content = text === '-' ? (await readInput(MAX_INPUT_BYTES)).replace(/\r?\n$/, '') : text;
  if (content === '') throw usage('nothing to send: the text is empty');
  const stop = onStopSignal();
  const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(options.timeout * 1000)]);
  try {
    await using session = await openSession(options, 'send');
    const { client } = session;
    const began = performance.now();
    to = await resolveRecipient(client, recipient, { signal, isQuiet: options.json === true });
    const sent = await client.conversation(to).send(content, { signal });
    const ms = Math.round(performance.now() - began);
    if (options.json === true) {
      const { hash, timestamp, stored, of, signers } = sent;
      printJson({ stored: true, id: to, hash, timestamp, members: stored, of, signers, ms });
    } else {
      print(
        `${styled('green', 'Stored')} by ${sent.stored} of ${sent.of} members of the recipient's swarm, ${ms} ms.`,
      );
    }
    // The copy for our own other devices; the message itself is stored whatever becomes of it.
    await client.flush();
    return 0;
  } catch (error) {
    const explained = explain(error, chosenSeeds(options));
    if (explained.exitCode === 2) throw explained;
    const late = signal.aborted && !stop.signal.aborted;
    const reason = late ? `no answer within ${options.timeout} s` : explained.message;
    if (options.json === true) {
      printJson({
        stored: false,
        id: to ?? id,
        code: error instanceof ClientError || error instanceof NameError ? error.code : 'failed',
        reason,
      });
    } else {
      process.stderr.write(`allium: not stored: ${reason}\n`);
    }
    return 1;
  }
}
