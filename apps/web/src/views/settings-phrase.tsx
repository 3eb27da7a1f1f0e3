// SPDX-License-Identifier: AGPL-3.0-or-later
// Settings: the recovery phrase, shown again after a question, and the check that it was written down.
import { useState } from 'react';
import { Button } from '../components/button.tsx';
import { Note } from '../components/feedback.tsx';
import { PassphraseField } from '../components/field.tsx';
import { errorText, t } from '../i18n/i18n.ts';
import { secretOf } from '../passkey.ts';
import { AppError } from '../rpc.ts';
import { useApp } from '../state/context.ts';
import { useStore } from '../state/store.ts';
import { Card } from './pane.tsx';
import { PhraseCheck, PhraseWords } from './phrase.tsx';

type Step = 'closed' | 'alone' | 'shown' | 'check';

export function PhrasePage() {
  const app = useApp();
  const session = useStore(app.session);
  const account = session?.current;
  const has = account?.sealedBy === 'passphrase';
  const confirmed = session?.current?.phraseConfirmed === true;
  const [step, setStep] = useState<Step>('closed');
  const [phrase, setPhrase] = useState('');
  const [passphrase, setPassphrase] = useState('');
  const [problem, setProblem] = useState<string>();
  const [busy, setBusy] = useState(false);
  const show = async () => {
    if (account === undefined) return;
    setBusy(true);
    setProblem(undefined);
    try {
      setPhrase(await app.backend.call('showPhrase', [await secretOf(account, passphrase)]));
      setPassphrase('');
      setStep('shown');
    } catch (error) {
      setProblem(error instanceof AppError ? error.code : 'unexpected');
    }
    setBusy(false);
  };
  const close = () => {
    setPhrase('');
    setPassphrase('');
    setProblem(undefined);
    setStep('closed');
  };
  return (
    <>
      <Note kind={confirmed ? 'good' : 'warning'} icon="key">
        {confirmed ? t('phrase.confirmed') : t('phrase.reminder')}
      </Note>
      <Card {...(step === 'alone' && { title: t('phrase.alone.title') })}>
        {step === 'closed' && (
          <div className="stack">
            <p className="field__hint">{t('phrase.about')}</p>
            <div className="actions">
              <Button icon="eye" look="primary" onClick={() => setStep('alone')}>
                {t('phrase.show')}
              </Button>
            </div>
          </div>
        )}
        {step === 'alone' && (
          <form
            className="stack"
            onSubmit={(event) => {
              event.preventDefault();
              void show();
            }}
          >
            <p className="field__hint">{t('phrase.alone.about')}</p>
            {has && (
              <PassphraseField
                label={t('passphrase.current')}
                value={passphrase}
                error={problem && errorText(problem)}
                autoFocus
                onChange={({ target }) => setPassphrase(target.value)}
              />
            )}
            {!has && problem !== undefined && <Note kind="danger">{errorText(problem)}</Note>}
            <div className="actions actions--spread">
              <Button look="plain" onClick={close}>
                {t('cancel')}
              </Button>
              <Button type="submit" look="primary" busy={busy} disabled={has && passphrase === ''}>
                {t('phrase.alone.yes')}
              </Button>
            </div>
          </form>
        )}
        {step === 'shown' && (
          <div className="stack">
            <PhraseWords phrase={phrase} open />
            <div className="actions actions--spread">
              <Button look="plain" onClick={close}>
                {t('close')}
              </Button>
              <Button look="primary" onClick={() => setStep('check')}>
                {t('create.phrase.done')}
              </Button>
            </div>
          </div>
        )}
        {step === 'check' && (
          <PhraseCheck
            phrase={phrase}
            onDone={() => {
              close();
              void app.call('confirmPhrase', []).then(() => app.toast('phrase_checked', 'done'));
            }}
            onSkip={close}
          />
        )}
      </Card>
    </>
  );
}
