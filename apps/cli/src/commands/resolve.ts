// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium resolve`: the account of a name.
import { chosenSeeds } from '../home.ts';
import { parseRecipient, resolveRecipient } from '../recipient.ts';
import { explain, openSession, type SessionOptions } from '../session.ts';
import { onStopSignal } from '../stop-signal.ts';
import { print, printJson } from '../terminal.ts';

export async function resolve(
  text: string,
  options: SessionOptions & { readonly json?: boolean; readonly timeout: number },
): Promise<number> {
  const recipient = await parseRecipient(text.includes(':') ? text : `name:${text}`, options);
  const stop = onStopSignal();
  const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(options.timeout * 1000)]);
  try {
    await using session = await openSession(options, 'send', { isQuiet: options.json === true });
    const id = await resolveRecipient(session.client, recipient, { signal, isQuiet: true });
    if (options.json === true) printJson({ name: text, id });
    else print(id);
    return 0;
  } catch (error) {
    const explained = explain(error, chosenSeeds(options));
    const isLate = signal.aborted && !stop.signal.aborted;
    const reason = isLate ? `no answer within ${options.timeout} s` : explained.message;
    if (options.json === true) printJson({ name: text, id: null, reason });
    else process.stderr.write(`allium: ${reason}\n`);
    return explained.exitCode;
  }
}
