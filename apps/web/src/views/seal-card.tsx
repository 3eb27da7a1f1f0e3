// SPDX-License-Identifier: AGPL-3.0-or-later
// What seals the account in this browser: a passphrase, a passkey, or only the browser.
import { useEffect, useState } from 'react';
import type { Seal } from '../api.ts';
import { Button } from '../components/button.tsx';
import { Note } from '../components/feedback.tsx';
import { Choice, PassphraseField } from '../components/field.tsx';
import { errorText, t } from '../i18n/i18n.ts';
import { canUsePasskeys, createPasskey, secretOf } from '../passkey.ts';
import { AppError } from '../rpc.ts';
import { useApp } from '../state/context.ts';
import { useStore } from '../state/store.ts';
import { timerText } from './notice.ts';
import { Card } from './pane.tsx';

export function SealCard() {
  const app = useApp();
  const account = useStore(app.session)?.current;
  const [current, setCurrent] = useState('');
  const [next, setNext] = useState('');
  const [again, setAgain] = useState('');
  const [problem, setProblem] = useState<string>();
  const [busy, setBusy] = useState<'passphrase' | 'passkey' | 'none'>();
  const [passkeys, setPasskeys] = useState(false);
  useEffect(() => void canUsePasskeys().then(setPasskeys), []);
  if (account === undefined) return null;
  const { sealedBy } = account;
  const needsCurrent = sealedBy === 'passphrase' && current === '';
  const mismatch = again !== '' && next !== again;
  const reseal = async (what: 'passphrase' | 'passkey' | 'none', make: () => Promise<Seal | undefined>) => {
    setBusy(what);
    setProblem(undefined);
    try {
      const secret = await secretOf(account, current);
      await app.backend.call('reseal', [secret, await make()]);
      setCurrent('');
      setNext('');
      setAgain('');
      app.toast('saved', 'done');
    } catch (error) {
      setProblem(error instanceof AppError ? error.code : 'unexpected');
    }
    setBusy(undefined);
  };
  return (
    <Card title={t('seal.title')}>
      <div className="stack">
        <Note kind={sealedBy === 'browser' ? 'warning' : 'good'}>{t(`seal.by_${sealedBy}`)}</Note>
        {sealedBy !== 'browser' && <AutoLock />}
        {problem !== undefined && problem !== 'wrong_passphrase' && (
          <Note kind="danger">{errorText(problem)}</Note>
        )}
        <form
          className="stack"
          onSubmit={(event) => {
            event.preventDefault();
            void reseal('passphrase', async () => ({ kind: 'passphrase', passphrase: next }));
          }}
        >
          <p className="field__hint">{t('create.passphrase.about')}</p>
          {sealedBy === 'passphrase' && (
            <PassphraseField
              label={t('passphrase.current')}
              value={current}
              error={problem === 'wrong_passphrase' ? errorText(problem) : undefined}
              onChange={({ target }) => setCurrent(target.value)}
            />
          )}
          <PassphraseField
            label={t('passphrase.new')}
            value={next}
            onChange={({ target }) => setNext(target.value)}
          />
          <PassphraseField
            label={t('passphrase.again')}
            value={again}
            error={mismatch ? t('passphrase.mismatch') : undefined}
            onChange={({ target }) => setAgain(target.value)}
          />
          <div className="actions">
            <Button
              type="submit"
              look="primary"
              busy={busy === 'passphrase'}
              disabled={next === '' || next !== again || needsCurrent || busy !== undefined}
            >
              {t('passphrase.set')}
            </Button>
            {sealedBy === 'passphrase' && (
              <Button
                look="plain"
                busy={busy === 'none'}
                disabled={needsCurrent || busy !== undefined}
                onClick={() => void reseal('none', async () => undefined)}
              >
                {t('passphrase.remove')}
              </Button>
            )}
          </div>
        </form>
        {passkeys && (
          <>
            <p className="field__hint">{t('passkey.about')}</p>
            <div className="actions">
              {sealedBy !== 'passkey' ? (
                <Button
                  icon="key"
                  busy={busy === 'passkey'}
                  disabled={needsCurrent || busy !== undefined}
                  onClick={() => void reseal('passkey', () => createPasskey(account.name ?? 'Allium'))}
                >
                  {t('passkey.set')}
                </Button>
              ) : (
                <Button
                  look="plain"
                  busy={busy === 'none'}
                  disabled={busy !== undefined}
                  onClick={() => void reseal('none', async () => undefined)}
                >
                  {t('passkey.remove')}
                </Button>
              )}
            </div>
          </>
        )}
      </div>
    </Card>
  );
}

/** Minutes without anybody; 0: never. */
const LOCK_AFTER = ['0', '1', '5', '15', '60'] as const;

function AutoLock() {
  const app = useApp();
  const { lockMinutes } = useStore(app.preferences);
  return (
    <>
      <Choice
        label={t('lock.after')}
        hint={t('lock.after.about')}
        value={String(lockMinutes)}
        options={LOCK_AFTER.map((value) => ({
          value: value as string,
          label: value === '0' ? t('lock.never') : timerText(Number(value) * 60),
        }))}
        onChange={(value) => app.preferences.change({ lockMinutes: Number(value) })}
      />
      <div className="actions">
        <Button icon="lock" onClick={() => void app.lock()}>
          {t('lock.now')}
        </Button>
      </div>
    </>
  );
}
