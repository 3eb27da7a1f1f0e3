// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium timer`: after which time what is sent to somebody disappears.
import type { Timer } from '@allium/client/storage';
import { usage } from '../cli-error.ts';
import { type ContactOptions, withContact } from '../contact-session.ts';
import { durationText, readDuration } from '../durations.ts';
import { print, printJson } from '../terminal.ts';

const OFF = 'off';

export function setTimer(
  contact: string,
  time: string | undefined,
  options: ContactOptions & { readonly afterRead?: boolean },
): Promise<number> {
  const { afterRead = false, json } = options;
  const seconds = time === undefined || time === OFF ? undefined : readDuration(time);
  if (time !== undefined && time !== OFF && seconds === undefined) {
    throw usage('a time is a number and a unit: 30s, 5m, 12h, 1d, 2w; or "off"');
  }
  const timer: Timer | undefined =
    seconds === undefined ? undefined : { mode: afterRead ? 'after_read' : 'after_send', seconds };
  return withContact(
    contact,
    options,
    async (conversation) => {
      if (time !== undefined) await conversation.setTimer(timer);
      const now = conversation.timer;
      if (json === true) printJson({ id: conversation.id, timer: now ?? null });
      else print(`What you send ${timerText(now)}.`);
      return 0;
    },
    time === undefined ? 'read' : 'send',
  );
}

export function timerText(timer: Timer | undefined): string {
  if (timer === undefined) return 'stays';
  return `disappears ${durationText(timer.seconds)} after it was ${timer.mode === 'after_read' ? 'read' : 'sent'}`;
}
