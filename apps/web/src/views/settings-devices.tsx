// SPDX-License-Identifier: AGPL-3.0-or-later
// Settings: what all devices of the account share, how it stands, and how to link another one. Devices do not tell each
// other that they are there, so there is no list of them.
import { useEffect, useRef, useState } from 'react';
import { Button } from '../components/button.tsx';
import { Note, ProgressBar } from '../components/feedback.tsx';
import { Icon } from '../components/icon.tsx';
import { fullTime } from '../components/time.ts';
import { errorText, t } from '../i18n/i18n.ts';
import type { RestoreProgress, SyncView } from '../model.ts';
import { AppError } from '../rpc.ts';
import { useApp } from '../state/context.ts';
import { Card } from './pane.tsx';

const ICONS = { stored: 'check', pending: 'clock', empty: 'more', too_large: 'alert' } as const;

export function DevicesPage() {
  const app = useApp();
  const [sync, setSync] = useState<SyncView>();
  const [progress, setProgress] = useState<RestoreProgress>();
  const [problem, setProblem] = useState<string>();
  const abort = useRef<AbortController>(undefined);
  const busy = progress !== undefined;
  useEffect(() => {
    let old = false;
    const look = () => void app.call('sync', []).then((now) => !old && now && setSync(now));
    look();
    // Pushes are told by nothing that the list of conversations is not told with.
    const stop = app.conversations.subscribe(look);
    return () => {
      old = true;
      stop();
    };
  }, [app]);
  useEffect(() => () => abort.current?.abort(), []);
  const run = async () => {
    const own = new AbortController();
    abort.current = own;
    setProblem(undefined);
    setProgress({ step: 'connecting', contacts: 0, messages: 0, asked: 0, members: 0 });
    try {
      const now = await app.backend.call('syncNow', [], {
        signal: own.signal,
        onProgress: (value) => setProgress(value as RestoreProgress),
      });
      setSync(now);
      app.toast('synced', 'done');
    } catch (error) {
      if (!own.signal.aborted) setProblem(error instanceof AppError ? error.code : 'unexpected');
    }
    setProgress(undefined);
  };
  return (
    <>
      <Card title={t('sync.title')}>
        <div className="stack">
          <p className="field__hint">{t('sync.about')}</p>
          <ul>
            {sync?.parts.map(({ name, state, seqno }) => (
              <li key={name} className="settings-row">
                <Icon name={ICONS[state]} />
                <span>
                  {t(`sync.part.${name}`)}
                  <span className="field__hint">{t(`sync.state.${state}`, { version: String(seqno) })}</span>
                </span>
              </li>
            ))}
          </ul>
          <p className="field__hint" role="status">
            {sync?.syncedAt === undefined
              ? t('sync.never')
              : t('sync.last', { time: fullTime(sync.syncedAt) })}
          </p>
          {sync?.failed === true && !busy && <Note kind="warning">{t('sync.failed')}</Note>}
          {problem !== undefined && <Note kind="danger">{errorText(problem)}</Note>}
          {busy && (
            <>
              <ProgressBar
                label={t(`restore.step.${progress.step}`)}
                value={progress.members === 0 ? undefined : progress.asked / progress.members}
              />
              <p className="field__hint">{t(`restore.step.${progress.step}`)}</p>
            </>
          )}
          <div className="actions">
            <Button busy={busy} onClick={() => void run()}>
              {t('sync.now')}
            </Button>
            {busy && (
              <Button look="plain" onClick={() => abort.current?.abort()}>
                {t('cancel')}
              </Button>
            )}
          </div>
        </div>
      </Card>
      <Card title={t('devices.link')}>
        <div className="stack">
          <ol className="steps-list">
            <li>{t('devices.link.1')}</li>
            <li>{t('devices.link.2')}</li>
            <li>{t('devices.link.3')}</li>
          </ol>
          <p className="field__hint">{t('devices.about')}</p>
          <div className="actions">
            <Button
              icon="key"
              look="plain"
              onClick={() => app.router.push({ at: 'settings', page: 'phrase' })}
            >
              {t('phrase.show')}
            </Button>
          </div>
        </div>
      </Card>
    </>
  );
}
