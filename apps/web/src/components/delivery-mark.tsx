// SPDX-License-Identifier: AGPL-3.0-or-later
// How far a message has come, as a small sign with words for screen readers.
import { t } from '../i18n/i18n.ts';
import type { DeliveryView } from '../model.ts';
import { Icon } from './icon.tsx';

export const DELIVERY_ICONS = {
  queued: 'clock',
  stored: 'check',
  delivered: 'checks',
  read: 'checks',
  failed: 'alert',
} as const;

export function DeliveryMark({
  state,
  size = 15,
}: {
  readonly state: DeliveryView['state'];
  readonly size?: number;
}) {
  return (
    <span className={`delivery-mark delivery-mark--${state}`}>
      <Icon name={DELIVERY_ICONS[state]} size={size} />
      <span className="sr-only">{t(`delivery.${state}`)}</span>
    </span>
  );
}
