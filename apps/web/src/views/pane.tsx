// SPDX-License-Identifier: AGPL-3.0-or-later
// A page beside the list: header with a way back, and what it holds.
import type { ReactNode } from 'react';
import { IconButton } from '../components/button.tsx';
import { t } from '../i18n/i18n.ts';
import { useApp } from '../state/context.ts';
import './pane.css';

interface PaneProps {
  readonly title: string;
  readonly onBack?: () => void;
  /** The way back also on wide windows. */
  readonly deep?: boolean;
  readonly children: ReactNode;
}

export function Pane({ title, onBack, deep = false, children }: PaneProps) {
  const app = useApp();
  return (
    <section className="pane" aria-label={title}>
      <header className="pane-header">
        <span className={`icon-flip ${deep ? '' : 'pane-header__back'}`}>
          <IconButton icon="back" label={t('back')} onClick={onBack ?? (() => app.router.home())} />
        </span>
        <h2 className="pane-header__title">{title}</h2>
      </header>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: one scrolls it with keys */}
      <div className="pane__scroll scroll" tabIndex={0} role="group" aria-label={title}>
        <div className="pane__inner">{children}</div>
      </div>
    </section>
  );
}

export function Card({ title, children }: { readonly title?: string; readonly children: ReactNode }) {
  return (
    <section className="card">
      {title !== undefined && <h3 className="card__title">{title}</h3>}
      {children}
    </section>
  );
}
