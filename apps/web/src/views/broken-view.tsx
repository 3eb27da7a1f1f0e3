// SPDX-License-Identifier: AGPL-3.0-or-later
// An account whose database cannot be read: what that means, and the ways on. None of them erases anything.
import { useEffect, useRef, useState } from 'react';
import { Brand } from '../components/brand.tsx';
import { Button } from '../components/button.tsx';
import { Note, ProgressBar } from '../components/feedback.tsx';
import { errorText, type TextKey, t } from '../i18n/i18n.ts';
import type { RestoreProgress } from '../model.ts';
import { AppError } from '../rpc.ts';
import { useApp } from '../state/context.ts';
import { useStore } from '../state/store.ts';

const WHY: Readonly<Record<string, TextKey>> = {
  damaged: 'broken.damaged',
  wrong_key: 'broken.wrong_key',
  wrong_account: 'broken.wrong_key',
  failed: 'broken.failed',
};

export function BrokenView() {
  const app = useApp();
  const session = useStore(app.session);
  const [busy, setBusy] = useState<'reopen' | 'rebuild'>();
  const [progress, setProgress] = useState<RestoreProgress>();
  const [problem, setProblem] = useState<string>();
  const abort = useRef<AbortController>(undefined);
  useEffect(() => () => abort.current?.abort(), []);
  const run = async (what: 'reopen' | 'rebuild') => {
    const own = new AbortController();
    abort.current = own;
    setBusy(what);
    setProblem(undefined);
    try {
      const { phase, problem: code } = await app.backend.call(what, [], {
        signal: own.signal,
        onProgress: (value) => setProgress(value as RestoreProgress),
      });
      if (phase === 'broken') setProblem(code);
    } catch (error) {
      if (!own.signal.aborted) setProblem(error instanceof AppError ? error.code : 'unexpected');
    }
    setProgress(undefined);
    setBusy(undefined);
  };
  const code = session?.problem ?? 'damaged';
  return (
    <main className="onboarding scroll">
      <div className="onboarding__card stack">
        <div className="onboarding__self">
          <Brand size={72} />
        </div>
        <h1>{t('broken.title')}</h1>
        <p className="onboarding__text">{t(WHY[code] ?? 'broken.damaged')}</p>
        {problem !== undefined && (
          <Note kind="danger">{problem === code ? t('broken.still') : errorText(problem)}</Note>
        )}
        <ul className="broken__ways">
          <li>
            <Button
              wide
              busy={busy === 'reopen'}
              disabled={busy !== undefined}
              onClick={() => void run('reopen')}
            >
              {t('retry')}
            </Button>
            <p className="field__hint">{t('broken.retry.about')}</p>
          </li>
          <li>
            <Button
              wide
              look="primary"
              busy={busy === 'rebuild'}
              disabled={busy !== undefined}
              onClick={() => void run('rebuild')}
            >
              {t('broken.rebuild')}
            </Button>
            <p className="field__hint">{t('broken.rebuild.about')}</p>
          </li>
        </ul>
        {busy === 'rebuild' && (
          <>
            <ProgressBar
              label={t(`restore.step.${progress?.step ?? 'connecting'}`)}
              value={
                progress === undefined || progress.members === 0
                  ? undefined
                  : progress.asked / progress.members
              }
            />
            <p className="field__hint" role="status">
              {t(`restore.step.${progress?.step ?? 'connecting'}`)}
            </p>
          </>
        )}
        <div className="actions">
          {busy === 'rebuild' ? (
            <Button look="plain" onClick={() => abort.current?.abort()}>
              {t('cancel')}
            </Button>
          ) : (
            <Button
              look="plain"
              disabled={busy !== undefined}
              onClick={() => void app.call('switchAccount', [undefined])}
            >
              {t('unlock.other')}
            </Button>
          )}
        </div>
      </div>
    </main>
  );
}
