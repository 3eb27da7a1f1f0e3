// SPDX-License-Identifier: AGPL-3.0-or-later
// An account id to copy, share or show as a QR code.
import { useState } from 'react';
import { Button } from '../components/button.tsx';
import { QrCode } from '../components/qr.tsx';
import { t } from '../i18n/i18n.ts';
import { useApp } from '../state/context.ts';
import { Card } from './pane.tsx';

export function IdCard({ id, open = false }: { readonly id: string; readonly open?: boolean }) {
  const app = useApp();
  const [shown, setShown] = useState(open);
  return (
    <Card title={t('id.title')}>
      <div className="id-card">
        <p className="id-card__id mono" dir="ltr">
          {id}
        </p>
        {shown && (
          <div className="id-card__qr">
            <QrCode text={id} label={t('id.qr')} />
          </div>
        )}
        <div className="actions">
          <Button
            icon="copy"
            onClick={() =>
              void navigator.clipboard.writeText(id).then(
                () => app.toast('copied', 'done'),
                () => app.toast('clipboard', 'error'),
              )
            }
          >
            {t('copy')}
          </Button>
          <Button icon="qr" look="plain" aria-expanded={shown} onClick={() => setShown(!shown)}>
            {shown ? t('id.hide_qr') : t('id.show_qr')}
          </Button>
        </div>
      </div>
    </Card>
  );
}
