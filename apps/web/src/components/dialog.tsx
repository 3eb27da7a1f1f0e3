// SPDX-License-Identifier: AGPL-3.0-or-later
// A dialog of the browser: it keeps the focus, Escape and a click beside it close it.
import { type ReactNode, useEffect, useId, useRef } from 'react';
import { t } from '../i18n/i18n.ts';
import { IconButton } from './button.tsx';
import './dialog.css';

interface DialogProps {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ReactNode;
  readonly actions?: ReactNode;
  readonly look?: 'box' | 'stage';
  /** What has the focus after it where what had it before, an item of a menu, is gone. */
  readonly finalFocus?: () => HTMLElement | null;
}

export function Dialog({ title, onClose, children, actions, look = 'box', finalFocus }: DialogProps) {
  const ref = useRef<HTMLDialogElement>(null);
  const titleId = useId();
  const latest = useRef(finalFocus);
  useEffect(() => {
    const dialog = ref.current;
    const before = document.activeElement;
    dialog?.showModal();
    return () => {
      dialog?.close();
      const isThere = before instanceof HTMLElement && before.isConnected && before !== document.body;
      if (isThere) before.focus();
      else latest.current?.()?.focus();
    };
  }, []);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape is the key, by the browser
    <dialog
      ref={ref}
      className={`dialog dialog--${look}`}
      aria-labelledby={titleId}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === ref.current) onClose();
      }}
    >
      <div className="dialog__inner">
        <header className="dialog__header">
          <h2 id={titleId} className="dialog__title">
            <bdi>{title}</bdi>
          </h2>
          <IconButton icon="close" label={t('close')} onClick={onClose} />
        </header>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: one scrolls it with keys */}
        <div className="dialog__body scroll" tabIndex={0}>
          {children}
        </div>
        {actions && <footer className="dialog__actions">{actions}</footer>}
      </div>
    </dialog>
  );
}
