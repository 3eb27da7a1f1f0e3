// SPDX-License-Identifier: AGPL-3.0-or-later
// Buttons with words, and round ones with an icon.
import type { ButtonHTMLAttributes, ReactNode, Ref } from 'react';
import { Icon, type IconName } from './icon.tsx';
import './button.css';

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  readonly look?: 'primary' | 'soft' | 'plain' | 'danger';
  readonly icon?: IconName;
  readonly busy?: boolean;
  readonly wide?: boolean;
  readonly children: ReactNode;
  readonly ref?: Ref<HTMLButtonElement>;
}

export function Button({ look = 'soft', icon, busy = false, wide = false, children, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      className={`button button--${look} ${wide ? 'button--wide' : ''}`}
      aria-busy={busy || undefined}
      disabled={rest.disabled === true || busy}
    >
      {busy ? (
        <span className="button__spinner" aria-hidden="true" />
      ) : (
        icon && <Icon name={icon} size={18} />
      )}
      <span>{children}</span>
    </button>
  );
}

interface IconButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  readonly icon: IconName;
  /** What it does; read aloud and shown as a hint. */
  readonly label: string;
  readonly size?: 's' | 'm';
  readonly look?: 'plain' | 'primary' | 'danger';
  readonly ref?: Ref<HTMLButtonElement>;
}

export function IconButton({ icon, label, size = 'm', look = 'plain', ...rest }: IconButtonProps) {
  return (
    <button
      type="button"
      title={label}
      aria-label={label}
      {...rest}
      className={`icon-button icon-button--${size} icon-button--${look}`}
    >
      <Icon name={icon} size={size === 's' ? 17 : 20} />
    </button>
  );
}
