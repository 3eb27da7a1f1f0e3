// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium send`: one message; the exit code tells whether the recipient's swarm keeps it, or a device has it.
import type { Client } from '@allium/client';
import { AlliumError } from '@allium/protocol/errors';
import { usage } from '../cli-error.ts';
import { chosenSeeds } from '../home.ts';
import { attachmentsOf, type FileOptions, showUploads } from '../message-files.ts';
import { findMessage } from '../message-json.ts';
import { parseRecipient, resolveRecipient } from '../recipient.ts';
import { explain, openSession, type SessionOptions } from '../session.ts';
import { onStopSignal } from '../stop-signal.ts';
import { print, printJson, progress, readInput, styled } from '../terminal.ts';

/** Ours: more than any message may have, so that a wrong pipe does not fill the memory. */
const MAX_INPUT_BYTES = 64 * 1024;

interface SendCommandOptions {
  readonly json?: boolean;
  /** Seconds until the message must be stored. */
  readonly timeout?: number;
  /** A timestamp or hash of the same conversation. */
  readonly replyTo?: string;
  /** Wait so many seconds for the delivery; true: the default. */
  readonly wait?: number | true;
}

// Ours.
const WAIT_SECONDS = 300;
const TIMEOUT_SECONDS = 60;
const TIMEOUT_WITH_FILES_SECONDS = 3_600;
const LOOK_EVERY_MS = 250;
/** Stored, and not known to be delivered when the waiting ended. */
const EXIT_NOT_DELIVERED = 3;

export async function send(
  id: string,
  text: string | undefined,
  options: SessionOptions & SendCommandOptions & FileOptions,
): Promise<number> {
  const recipient = await parseRecipient(id, options);
  let to: string | undefined = recipient.kind === 'id' ? recipient.id : undefined;
  const attachments = await attachmentsOf(options);
  const hasFiles = attachments.length > 0;
  const given = text ?? (hasFiles ? '' : '-');
  const content = given === '-' ? (await readInput(MAX_INPUT_BYTES)).replace(/\r?\n$/, '') : given;
  if (content === '' && !hasFiles) throw usage('nothing to send: the text is empty');
  const timeout = options.timeout ?? (hasFiles ? TIMEOUT_WITH_FILES_SECONDS : TIMEOUT_SECONDS);
  const stop = onStopSignal();
  const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(timeout * 1000)]);
  try {
    // Who waits must hear of it, unless another process of the account does.
    await using session = await openSession(options, options.wait === undefined ? 'send' : 'either');
    const { client } = session;
    const began = performance.now();
    to = await resolveRecipient(client, recipient, { signal, isQuiet: options.json === true });
    const answered =
      options.replyTo === undefined ? undefined : await findMessage(client, to, options.replyTo);
    const quote = answered && { author: answered.sender, timestamp: answered.timestamp };
    const line = hasFiles ? progress('Sending') : undefined;
    const cancel = line && showUploads(client, line);
    const sent = await client
      .conversation(to)
      .send(content, { signal, ...(quote && { quote }), ...(hasFiles && { attachments }) })
      .finally(() => {
        cancel?.();
        line?.done();
      });
    const ms = Math.round(performance.now() - began);
    const { wait } = options;
    const seconds = wait === true ? WAIT_SECONDS : wait;
    const isDelivered =
      seconds === undefined
        ? undefined
        : to === client.id || (await delivered(client, sent.timestamp, seconds, stop.signal));
    if (options.json === true) {
      const { hash, timestamp, stored, of, signers } = sent;
      printJson({
        stored: true,
        id: to,
        hash,
        timestamp,
        members: stored,
        of,
        signers,
        ms,
        ...(isDelivered !== undefined && { delivered: isDelivered }),
      });
    } else {
      print(
        `${styled('green', 'Stored')} by ${sent.stored} of ${sent.of} members of the recipient's swarm, ${ms} ms.`,
      );
      if (isDelivered === true) print(`${styled('green', 'Delivered')}.`);
      if (isDelivered === false) print(`Not confirmed within ${seconds} s; it may be delivered later.`);
    }
    // The copy for our own other devices; the message itself is stored whatever becomes of it.
    await client.flush();
    return isDelivered === false ? EXIT_NOT_DELIVERED : 0;
  } catch (error) {
    const explained = explain(error, chosenSeeds(options));
    if (explained.exitCode === 2) throw explained;
    const late = signal.aborted && !stop.signal.aborted;
    const reason = late ? `no answer within ${timeout} s` : explained.message;
    if (options.json === true) {
      printJson({
        stored: false,
        id: to ?? id,
        code: error instanceof AlliumError ? error.code : 'failed',
        reason,
      });
    } else {
      process.stderr.write(`allium: not stored: ${reason}\n`);
    }
    return 1;
  }
}

/** Looks into the storage: this process or another one of the account hears of the delivery. */
async function delivered(
  client: Client,
  timestamp: number,
  seconds: number,
  stop: AbortSignal,
): Promise<boolean> {
  const end = performance.now() + seconds * 1000;
  while (!(await client.isDelivered(timestamp))) {
    if (stop.aborted || performance.now() > end) return false;
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
  return true;
}
