// SPDX-License-Identifier: AGPL-3.0-or-later
// In words: times after which messages disappear, and the lines of a conversation that tell of something.
import { t } from '../i18n/i18n.ts';
import type { MessageView } from '../model.ts';

export function timerText(seconds: number): string {
  if (seconds === 0) return t('timer.off');
  if (seconds < 3_600) return t('timer.minutes', { n: Math.round(seconds / 60) });
  if (seconds < 86_400) return t('timer.hours', { n: Math.round(seconds / 3_600) });
  return t('timer.days', { n: Math.round(seconds / 86_400) });
}

/** `name`: who did it. */
export function noticeText({ kind, seconds = 0 }: NonNullable<MessageView['notice']>, name: string): string {
  if (kind !== 'timer') return t(`notice.${kind}`, { name });
  return seconds === 0
    ? t('notice.timer_off', { name })
    : t('notice.timer_on', { name, time: timerText(seconds) });
}
