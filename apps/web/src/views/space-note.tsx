// SPDX-License-Identifier: AGPL-3.0-or-later
// The browser gives no more space: nothing that arrives can be kept until some is free.
import { Button } from '../components/button.tsx';
import { Note } from '../components/feedback.tsx';
import { t } from '../i18n/i18n.ts';
import { useApp } from '../state/context.ts';
import { useStore } from '../state/store.ts';

export function SpaceNote() {
  const app = useApp();
  if (!useStore(app.full)) return null;
  return (
    <div className="sidebar__note" role="alert">
      <Note kind="danger" icon="disk">
        <p>{t('full.about')}</p>
        <div className="sidebar__note-actions">
          <Button look="primary" onClick={() => app.router.go({ at: 'settings', page: 'storage' })}>
            {t('full.free')}
          </Button>
        </div>
      </Note>
    </div>
  );
}
