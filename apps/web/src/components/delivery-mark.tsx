// SPDX-License-Identifier: AGPL-3.0-or-later
// How far a message has come, as a small sign with words for screen readers.
import { t } from '../i18n/i18n.ts';
import type { DeliveryView } from '../model.ts';
import { Icon } from './icon.tsx';

const ICONS = {
  queued: 'clock',
  stored: 'check',
  delivered: 'checks',
  read: 'checks',
  failed: 'alert',
} as const;

export function DeliveryMark({
  state,
  size = 15,
  named = false,
}: {
  readonly state: DeliveryView['state'];
  readonly size?: number;
  /** What it stands in says it already. */
  readonly named?: boolean;
}) {
  return (
    <span className={`delivery-mark delivery-mark--${state}`}>
      <Icon name={ICONS[state]} size={size} />
      {!named && <span className="sr-only">{t(`delivery.${state}`)}</span>}
    </span>
  );
}
