// SPDX-License-Identifier: AGPL-3.0-or-later
// The first minute: a new account or an old one.
import { shortId } from '@allium/protocol/account-id';
import { type KeyboardEvent, useEffect, useId, useRef, useState } from 'react';
import type { PhraseCheck as Checked, Seal } from '../api.ts';
import { Avatar } from '../components/avatar.tsx';
import { Brand } from '../components/brand.tsx';
import { Button } from '../components/button.tsx';
import { Dialog } from '../components/dialog.tsx';
import { Note, ProgressBar } from '../components/feedback.tsx';
import { Field } from '../components/field.tsx';
import { errorText, t } from '../i18n/i18n.ts';
import type { RestoreProgress } from '../model.ts';
import { AppError } from '../rpc.ts';
import { useApp } from '../state/context.ts';
import { useStore } from '../state/store.ts';
import { PhraseCheck, PhraseWords } from './phrase.tsx';
import { SealChoice } from './seal-choice.tsx';
import './onboarding.css';

type Step = 'welcome' | 'name' | 'phrase' | 'check' | 'restore';

export function Onboarding({ start = 'welcome' }: { readonly start?: Step }) {
  const app = useApp();
  const session = useStore(app.session);
  const [step, setStep] = useState<Step>(start);
  const [draft, setDraft] = useState<{ id: string; phrase: string }>();
  const [name, setName] = useState('');
  const [seal, setSeal] = useState<Seal>();
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    if ((step === 'name' || step === 'phrase' || step === 'check') && draft === undefined) {
      void app.call('draftAccount', []).then(setDraft);
    }
  }, [app, step, draft]);

  const create = async (phraseConfirmed: boolean) => {
    setBusy(true);
    await app.call('createAccount', [{ name, phraseConfirmed, seal }]);
    setBusy(false);
    void navigator.storage?.persist?.().catch(() => false);
  };

  return (
    <main className="onboarding scroll">
      <div className="onboarding__card">
        {step === 'welcome' && (
          <div className="onboarding__welcome">
            <Brand size={104} />
            <h1>{t('welcome.title')}</h1>
            <p className="onboarding__lead">{t('welcome.lead')}</p>
            {session?.problem !== undefined && <Note kind="danger">{errorText(session.problem)}</Note>}
            <div className="onboarding__choices">
              <Button look="primary" wide onClick={() => setStep('name')}>
                {t('welcome.create')}
              </Button>
              <Button look="plain" wide onClick={() => setStep('restore')}>
                {t('welcome.restore')}
              </Button>
            </div>
            {(session?.accounts.length ?? 0) > 0 && <OtherAccounts />}
            <ul className="onboarding__promises">
              <li>{t('welcome.promise1')}</li>
              <li>{t('welcome.promise2')}</li>
              <li>{t('welcome.promise3')}</li>
            </ul>
          </div>
        )}
        {step === 'name' && (
          <form
            className="stack"
            onSubmit={(event) => {
              event.preventDefault();
              setStep('phrase');
            }}
          >
            <Steps at={1} />
            <div className="onboarding__self">
              <Avatar id={draft?.id ?? ''} name={name} size={84} />
            </div>
            <h1>{t('create.name.title')}</h1>
            <p className="onboarding__text">{t('create.name.about')}</p>
            <Field
              label={t('create.name')}
              value={name}
              maxLength={60}
              autoComplete="nickname"
              autoFocus
              onChange={({ target }) => setName(target.value)}
            />
            <SealChoice name={name} seal={seal} onChange={setSeal} />
            <div className="actions actions--spread">
              <Button look="plain" onClick={() => setStep('welcome')}>
                {t('back')}
              </Button>
              <Button type="submit" look="primary" disabled={draft === undefined}>
                {t('next')}
              </Button>
            </div>
          </form>
        )}
        {step === 'phrase' && draft !== undefined && (
          <div className="stack">
            <Steps at={2} />
            <h1>{t('create.phrase.title')}</h1>
            <p className="onboarding__text">{t('create.phrase.about')}</p>
            <PhraseWords phrase={draft.phrase} />
            <p className="onboarding__id">
              {t('create.id')}{' '}
              <span className="mono" dir="ltr" data-testid="own-id">
                {draft.id}
              </span>
            </p>
            <div className="actions actions--spread">
              <Button look="plain" onClick={() => setStep('name')}>
                {t('back')}
              </Button>
              <Button look="primary" onClick={() => setStep('check')}>
                {t('create.phrase.done')}
              </Button>
            </div>
          </div>
        )}
        {step === 'check' && draft !== undefined && (
          <div className="stack">
            <Steps at={3} />
            <h1>{t('create.check.title')}</h1>
            <p className="onboarding__text">{t('create.check.about')}</p>
            {busy ? (
              <ProgressBar label={t('create.working')} />
            ) : (
              <PhraseCheck
                phrase={draft.phrase}
                onDone={() => void create(true)}
                onSkip={() => void create(false)}
              />
            )}
            <div className="actions">
              <Button look="plain" disabled={busy} onClick={() => setStep('phrase')}>
                {t('back')}
              </Button>
            </div>
          </div>
        )}
        {step === 'restore' && <Restore onBack={() => setStep('welcome')} />}
      </div>
    </main>
  );
}

function Steps({ at }: { readonly at: number }) {
  return (
    <p className="steps">
      <span className="sr-only">{t('create.step', { n: at, of: 3 })}</span>
      {[1, 2, 3].map((step) => (
        <i key={step} data-on={step <= at || undefined} />
      ))}
    </p>
  );
}

function OtherAccounts() {
  const app = useApp();
  const session = useStore(app.session);
  return (
    <ul className="accounts">
      {session?.accounts.map(({ key, id, name }) => (
        <li key={key}>
          <button type="button" className="row" onClick={() => void app.call('switchAccount', [key])}>
            <Avatar id={id === '' ? key : id} name={name} size={38} />
            <bdi className="row__title">{name ?? (id === '' ? t('account.locked') : shortId(id))}</bdi>
          </button>
        </li>
      ))}
    </ul>
  );
}

function Restore({ onBack }: { readonly onBack: () => void }) {
  const app = useApp();
  const [phrase, setPhrase] = useState('');
  const [checked, setChecked] = useState<Checked>();
  const [words, setWords] = useState<readonly string[]>([]);
  const [chosen, setChosen] = useState(0);
  const [seal, setSeal] = useState<Seal>();
  const [replacing, setReplacing] = useState(false);
  const [progress, setProgress] = useState<RestoreProgress>();
  const [problem, setProblem] = useState<string>();
  const abort = useRef<AbortController>(undefined);
  const area = useRef<HTMLTextAreaElement>(null);
  const id = useId();
  const current = /\S*$/.exec(phrase)?.[0] ?? '';
  const here = checked?.here;

  useEffect(() => {
    let old = false;
    setChosen(0);
    void app.backend.call('checkPhrase', [phrase]).then((result) => !old && setChecked(result));
    void app.backend.call('suggestWords', [current]).then((found) => !old && setWords(found));
    return () => {
      old = true;
    };
  }, [app, phrase, current]);

  const take = (word: string) => {
    setPhrase(`${phrase.slice(0, phrase.length - current.length)}${word} `);
    area.current?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (words.length === 0 || (words.length === 1 && words[0] === current)) return;
    if (event.key === 'ArrowRight' || event.key === 'ArrowLeft') {
      if (area.current?.selectionStart !== phrase.length || current === '') return;
      setChosen((chosen + (event.key === 'ArrowRight' ? 1 : words.length - 1)) % words.length);
      event.preventDefault();
    }
    if (event.key === 'Tab' && !event.shiftKey && current !== '') {
      take(words[chosen] ?? '');
      event.preventDefault();
    }
  };
  const restore = async (replace: boolean) => {
    const own = new AbortController();
    abort.current = own;
    setProblem(undefined);
    setProgress({ step: 'connecting', contacts: 0, messages: 0, asked: 0, members: 0 });
    try {
      await app.backend.call('restoreAccount', [{ phrase, seal, replace }], {
        signal: own.signal,
        onProgress: (now) => setProgress(now as RestoreProgress),
      });
      void navigator.storage?.persist?.().catch(() => false);
    } catch (error) {
      if (!own.signal.aborted) setProblem(error instanceof AppError ? error.code : 'unexpected');
    }
    setProgress(undefined);
  };
  // A word that is still being typed is not wrong yet.
  const typedWords = phrase.trim() === '' ? 0 : phrase.trim().split(/\s+/).length;
  const wrong = checked?.wrong.filter((index) => current === '' || index !== typedWords - 1) ?? [];
  const firstWrong = wrong[0];
  const error =
    firstWrong !== undefined
      ? t('restore.wrong_word', {
          n: firstWrong + 1,
          word: phrase.trim().split(/\s+/)[firstWrong]?.slice(0, 30) ?? '',
        })
      : checked?.problem !== undefined && checked.problem !== 'too_few'
        ? t(`restore.${checked.problem}`)
        : undefined;

  if (progress !== undefined) {
    return (
      <div className="stack">
        <h1>{t('restore.title')}</h1>
        <p className="onboarding__text" role="status">
          {t(`restore.step.${progress.step}`)}
        </p>
        <ProgressBar
          label={t('restore.title')}
          value={progress.members === 0 ? undefined : progress.asked / progress.members}
        />
        <p className="onboarding__text">
          {t('restore.found', { contacts: progress.contacts, messages: progress.messages })}
        </p>
        <div className="actions">
          <Button look="plain" onClick={() => abort.current?.abort()}>
            {t('cancel')}
          </Button>
        </div>
      </div>
    );
  }
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        void restore(false);
      }}
    >
      <h1>{t('restore.title')}</h1>
      <p className="onboarding__text">{t('restore.about')}</p>
      <div className="phrase-input">
        <label className="field__label" htmlFor={id}>
          {t('restore.phrase')}
        </label>
        <textarea
          ref={area}
          id={id}
          className="mono"
          dir="ltr"
          value={phrase}
          maxLength={600}
          autoComplete="off"
          autoCapitalize="off"
          autoCorrect="off"
          spellCheck={false}
          aria-invalid={error !== undefined || undefined}
          aria-describedby={`${id}-about`}
          // biome-ignore lint/a11y/noAutofocus: the one thing to do here
          autoFocus
          onChange={({ target }) => setPhrase(target.value)}
          onKeyDown={onKeyDown}
        />
        <div className="phrase-input__words" role="group" aria-label={t('restore.suggestions')}>
          {current !== '' &&
            words.map((word, index) => (
              <button
                key={word}
                type="button"
                className="chip mono"
                tabIndex={-1}
                data-chosen={index === chosen || undefined}
                onClick={() => take(word)}
              >
                {word}
              </button>
            ))}
        </div>
        <p id={`${id}-about`} className={error === undefined ? 'field__hint' : 'field__error'} role="status">
          {error ??
            (checked?.id !== undefined
              ? t('restore.right', { id: shortId(checked.id) })
              : t('restore.count', { n: typedWords }))}
        </p>
      </div>
      {here === undefined || here.sealedBy === 'browser' ? (
        <SealChoice name="" seal={seal} onChange={setSeal} />
      ) : (
        <Note kind="warning">
          <p>{t(`restore.here.${here.sealedBy}`)}</p>
          <div className="actions">
            <Button look="primary" onClick={() => void app.call('switchAccount', [here.key])}>
              {t('restore.here.open')}
            </Button>
            <Button look="plain" onClick={() => setReplacing(true)}>
              {t('restore.here.replace')}
            </Button>
          </div>
        </Note>
      )}
      {replacing && (
        <Dialog
          title={t('restore.here.replace')}
          onClose={() => setReplacing(false)}
          actions={
            <>
              <Button look="plain" onClick={() => setReplacing(false)}>
                {t('cancel')}
              </Button>
              <Button
                look="danger"
                onClick={() => {
                  setReplacing(false);
                  void restore(true);
                }}
              >
                {t('restore.here.replace.do')}
              </Button>
            </>
          }
        >
          <div className="stack">
            <p>{t('restore.here.replace.about')}</p>
            <SealChoice name="" seal={seal} onChange={setSeal} />
          </div>
        </Dialog>
      )}
      {problem !== undefined && <Note kind="danger">{errorText(problem)}</Note>}
      <div className="actions actions--spread">
        <Button look="plain" onClick={onBack}>
          {t('back')}
        </Button>
        <Button
          type="submit"
          look="primary"
          disabled={checked?.id === undefined || (here !== undefined && here.sealedBy !== 'browser')}
        >
          {t('restore.start')}
        </Button>
      </div>
    </form>
  );
}
