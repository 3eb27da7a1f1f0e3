// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium send`: one message; the exit code tells whether the recipient's swarm keeps it, or a device has it.
import type { Client } from '@allium/client';
import type { Conversation } from '@allium/client/conversation';
import { AlliumError } from '@allium/protocol/errors';
import { usage } from '../cli-error.ts';
import { chosenSeeds } from '../home.ts';
import { attachmentsOf, type FileOptions, showUploads } from '../message-files.ts';
import { findMessage } from '../message-json.ts';
import { parseRecipient, type Recipient, resolveRecipient } from '../recipient.ts';
import { explain, openSession, type SessionOptions, silentNetwork } from '../session.ts';
import { onStopSignal } from '../stop-signal.ts';
import { counted, print, printJson, progress, readInput, remark, styled } from '../terminal.ts';

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
  contact: string,
  text: string | undefined,
  options: SessionOptions & SendCommandOptions & FileOptions,
): Promise<number> {
  const recipient = await parseRecipient(contact, options);
  const attachments = await attachmentsOf(options);
  const hasFiles = attachments.length > 0;
  const given = text ?? (hasFiles ? '' : '-');
  const content = given === '-' ? (await readInput(MAX_INPUT_BYTES)).replace(/\r?\n$/, '') : given;
  if (content === '' && !hasFiles) throw usage('nothing to send: the text is empty');
  return sending(recipient, contact, hasFiles, options, async (client, to, signal) => {
    const answered =
      options.replyTo === undefined ? undefined : await findMessage(client, to, options.replyTo);
    const quote = answered && { author: answered.sender, timestamp: answered.timestamp };
    return client
      .conversation(to)
      .send(content, { signal, ...(quote && { quote }), ...(hasFiles && { attachments }) });
  });
}

/** `allium resend`: what failed, as it was. */
export async function resend(
  contact: string,
  message: string,
  options: SessionOptions & SendCommandOptions,
): Promise<number> {
  const recipient = await parseRecipient(contact, options);
  return sending(recipient, contact, true, options, async (client, to, signal) => {
    const { sender, timestamp } = await findMessage(client, to, message);
    if (sender !== client.id) throw usage('only what you sent can be sent again');
    return client.conversation(to).resend(timestamp, { signal });
  });
}

type Sent = Awaited<ReturnType<Conversation['send']>>;

/** Opens, sends by `work`, tells what became of it. */
async function sending(
  recipient: Recipient,
  contact: string,
  hasFiles: boolean,
  options: SessionOptions & SendCommandOptions,
  work: (client: Client, to: string, signal: AbortSignal) => Promise<Sent>,
): Promise<number> {
  const isJson = options.json === true;
  const timeout = options.timeout ?? (hasFiles ? TIMEOUT_WITH_FILES_SECONDS : TIMEOUT_SECONDS);
  const stop = onStopSignal();
  const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(timeout * 1000)]);
  let to: string | undefined = recipient.kind === 'id' ? recipient.id : undefined;
  let hadPath = false;
  try {
    // Who waits must hear of it, unless another process of the account does.
    await using session = await openSession(options, options.wait === undefined ? 'send' : 'either');
    const { client } = session;
    client.on('path', () => {
      hadPath ||= client.path() !== undefined;
    });
    const began = performance.now();
    to = await resolveRecipient(client, recipient, { signal, isQuiet: isJson });
    // Also with --json: standard error is for people.
    if (client.conversation(to).contact.blocked) {
      remark(
        `Note: you have blocked ${contact}: their answers do not reach you ("allium contacts unblock").`,
      );
    }
    const line = hasFiles ? progress('Sending') : undefined;
    const cancel = line && showUploads(client, line);
    const sent = await work(client, to, signal).finally(() => {
      cancel?.();
      line?.done();
    });
    const ms = Math.round(performance.now() - began);
    const seconds = options.wait === true ? WAIT_SECONDS : options.wait;
    const isDelivered =
      seconds === undefined
        ? undefined
        : to === client.id || (await delivered(client, sent.timestamp, seconds, stop.signal));
    const { hash, timestamp, stored, of, signers } = sent;
    if (isJson) {
      const delivery = isDelivered === undefined ? {} : { delivered: isDelivered };
      printJson({ stored: true, id: to, hash, timestamp, members: stored, of, signers, ms, ...delivery });
    } else {
      print(
        `${styled('green', 'Stored')} by ${stored} of ${counted(of, 'member')} of the recipient's swarm, ${ms} ms.`,
      );
      if (isDelivered === true) print(`${styled('green', 'Delivered')}.`);
      if (isDelivered === false) print(`Not confirmed within ${seconds} s; it may be delivered later.`);
    }
    // The copy for our own other devices; the message itself is stored whatever becomes of it.
    await Promise.race([client.flush(), stop.stopped]);
    return isDelivered === false ? EXIT_NOT_DELIVERED : 0;
  } catch (error) {
    const seeds = chosenSeeds(options);
    const explained = explain(error, seeds);
    if (explained.exitCode === 2) throw explained;
    const isLate = signal.aborted && !stop.signal.aborted;
    const late = () => (hadPath ? `no answer within ${timeout} s` : silentNetwork(timeout, seeds).message);
    const reason = isLate ? late() : explained.message;
    const code = error instanceof AlliumError ? error.code : 'failed';
    if (isJson) printJson({ stored: false, id: to ?? contact, code, reason });
    else process.stderr.write(`allium: not stored: ${reason}\n`);
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
