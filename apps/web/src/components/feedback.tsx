// SPDX-License-Identifier: AGPL-3.0-or-later
// What tells the user how things stand: toasts, empty places, waiting, notes.
import type { ReactNode } from 'react';
import { errorText, type TextKey, t } from '../i18n/i18n.ts';
import { useApp } from '../state/context.ts';
import { useStore } from '../state/store.ts';
import { IconButton } from './button.tsx';
import { Icon, type IconName } from './icon.tsx';
import './feedback.css';

export function Toasts() {
  const app = useApp();
  const toasts = useStore(app.toasts);
  return (
    <div className="toasts" role="status" aria-live="polite">
      {toasts.map(({ id, code, kind }) => (
        <div key={id} className={`toast toast--${kind}`}>
          <Icon name={kind === 'error' ? 'alert' : 'check'} size={18} />
          <p>{kind === 'error' ? errorText(code) : t(code as TextKey)}</p>
          <IconButton size="s" icon="close" label={t('close')} onClick={() => app.dismiss(id)} />
        </div>
      ))}
    </div>
  );
}

interface EmptyProps {
  readonly icon?: IconName;
  readonly art?: ReactNode;
  readonly title: string;
  readonly children?: ReactNode;
}

export function Empty({ icon, art, title, children }: EmptyProps) {
  return (
    <div className="empty">
      {art ?? (icon && <span className="empty__icon">{<Icon name={icon} size={26} />}</span>)}
      <h2 className="empty__title">{title}</h2>
      {children && <div className="empty__text">{children}</div>}
    </div>
  );
}

/** Indeterminate without `value` (0…1). */
export function ProgressBar({
  label,
  value,
}: {
  readonly label: string;
  readonly value?: number | undefined;
}) {
  return (
    <div
      className="progress"
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      {...(value !== undefined && { 'aria-valuenow': Math.round(value * 100) })}
    >
      <span
        className={`progress__bar ${value === undefined ? 'progress__bar--waiting' : ''}`}
        style={value === undefined ? undefined : { inlineSize: `${value * 100}%` }}
      />
    </div>
  );
}

export function Note({
  kind = 'info',
  icon,
  children,
}: {
  readonly kind?: 'info' | 'good' | 'warning' | 'danger';
  readonly icon?: IconName;
  readonly children: ReactNode;
}) {
  const icons = { info: 'info', good: 'check', warning: 'alert', danger: 'alert' } as const;
  return (
    <div className={`note note--${kind}`}>
      <Icon name={icon ?? icons[kind]} size={18} />
      <div className="note__text">{children}</div>
    </div>
  );
}

export function SkeletonRows({ rows }: { readonly rows: number }) {
  return (
    <div className="skeleton" aria-hidden="true">
      {Array.from({ length: rows }, (_, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: rows have no other name
        <div key={i} className="skeleton__row">
          <span className="skeleton__avatar" />
          <span className="skeleton__lines">
            <span style={{ inlineSize: `${42 + ((i * 29) % 38)}%` }} />
            <span style={{ inlineSize: `${60 + ((i * 17) % 34)}%` }} />
          </span>
        </div>
      ))}
    </div>
  );
}
