// SPDX-License-Identifier: MIT
// Sending, and waiting until a device of the recipient is known to have the message.
import type { AccountId } from '@allium/protocol/account-id';
import { type Cancel, delay, type Env } from '@allium/protocol/env';
import { ClientError } from '../errors.ts';
import { Signal } from '../events.ts';
import type { OutgoingFiles } from '../files/uploads.ts';
import type { Storage } from '../storage/storage.ts';
import type { Conversation } from './conversation.ts';

/** Ours. */
const CONFIRMATION_MS = 300_000;

export interface ConfirmationOptions extends OutgoingFiles {
  /** Default: five minutes. */
  readonly timeoutMs?: number;
  /** Ends the waiting, not the sending. */
  readonly signal?: AbortSignal;
}

interface ConfirmationDeps {
  readonly own: AccountId;
  readonly storage: Storage;
  readonly env: Env;
  /** Aborted when the client is closed. */
  readonly closing: AbortSignal;
  readonly onDelivered: (listener: () => void) => Cancel;
  /** Of a client that does not receive by itself. */
  readonly poll?: (signal: AbortSignal) => Promise<void>;
  readonly pollEveryMs?: number;
}

/** @throws as `Client.sendWithConfirmation` */
export async function sendConfirmed(
  conversation: Conversation,
  text: string,
  { attachments, preview, timeoutMs = CONFIRMATION_MS, signal }: ConfirmationOptions,
  { own, storage, env, closing, onDelivered, poll, pollEveryMs = 0 }: ConfirmationDeps,
): Promise<boolean> {
  const over = new AbortController();
  const end = AbortSignal.any([over.signal, closing, signal].filter((one) => one !== undefined));
  const change = new Signal();
  const cancel = onDelivered(() => change.notify());
  const timeout = env.clock.after(timeoutMs, () => over.abort());
  // Not aborted with `end`: what was given is sent, also when nobody waits any more.
  const sending = conversation.send(text, {
    ...(attachments && { attachments }),
    ...(preview && { preview }),
    keepTrying: true,
  });
  try {
    const sent = await Promise.race([sending, rejectOn(end)]);
    if (conversation.id === own) return true;
    for (;;) {
      // Subscribed before it looks.
      const changed = change.wait(end);
      changed.catch(() => undefined);
      if (await isDelivered(storage, own, sent.timestamp)) return true;
      if (poll === undefined) await changed;
      else {
        await poll(end).catch(() => end.throwIfAborted());
        if (await isDelivered(storage, own, sent.timestamp)) return true;
        await Promise.race([changed, delay(env.clock, pollEveryMs, end)]);
      }
    }
  } catch (error) {
    if (closing.aborted) throw new ClientError('closed', 'the client was closed', { cause: error });
    if (signal?.aborted) throw new ClientError('aborted', 'waiting was aborted', { cause: error });
    if (over.signal.aborted) return false;
    throw error;
  } finally {
    sending.catch(() => undefined);
    timeout();
    cancel();
  }
}

/** Whether a device of the recipient is known to have the message that we sent at this time. */
export async function isDelivered(storage: Storage, own: AccountId, timestamp: number): Promise<boolean> {
  const message = await storage.message(own, timestamp);
  return message?.marks?.deliveredAt !== undefined;
}

function rejectOn(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
