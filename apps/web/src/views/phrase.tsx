// SPDX-License-Identifier: AGPL-3.0-or-later
// The recovery phrase: shown word by word, and the small check that it was written down.
import { useMemo, useState } from 'react';
import { Button } from '../components/button.tsx';
import { Field } from '../components/field.tsx';
import { t } from '../i18n/i18n.ts';
import { useApp } from '../state/context.ts';
import './phrase.css';

const CHECKED_WORDS = 3;
/** Of each word only these count (spec/client §1.3). */
const PREFIX_LETTERS = 3;

export function PhraseWords({ phrase, open = false }: { readonly phrase: string; readonly open?: boolean }) {
  const app = useApp();
  const [shown, setShown] = useState(open);
  return (
    <div className="phrase">
      <div className="phrase__frame">
        <ol
          className={`phrase__words mono ${shown ? '' : 'phrase__words--hidden'}`}
          dir="ltr"
          aria-hidden={!shown}
        >
          {phrase.split(' ').map((word, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: words may be equal
            <li key={index}>{shown ? word : '•••••••'}</li>
          ))}
        </ol>
        {!shown && (
          <div className="phrase__cover">
            <Button icon="eye" look="primary" onClick={() => setShown(true)}>
              {t('phrase.show')}
            </Button>
          </div>
        )}
      </div>
      <div className="actions">
        {shown && (
          <Button look="plain" icon="eyeOff" onClick={() => setShown(false)}>
            {t('phrase.hide')}
          </Button>
        )}
        <Button
          look="plain"
          icon="copy"
          onClick={() =>
            void navigator.clipboard.writeText(phrase).then(
              () => app.toast('phrase_copied', 'done'),
              () => app.toast('clipboard', 'error'),
            )
          }
        >
          {t('copy')}
        </Button>
      </div>
    </div>
  );
}

interface PhraseCheckProps {
  readonly phrase: string;
  readonly onDone: () => void;
  readonly onSkip?: (() => void) | undefined;
}

/** Asks for three of the words. */
export function PhraseCheck({ phrase, onDone, onSkip }: PhraseCheckProps) {
  const words = useMemo(() => phrase.split(' '), [phrase]);
  const asked = useMemo(() => {
    const positions = new Set<number>();
    while (positions.size < CHECKED_WORDS) {
      positions.add((crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) % words.length);
    }
    return [...positions].sort((a, b) => a - b);
  }, [words]);
  const [given, setGiven] = useState<readonly string[]>(() => asked.map(() => ''));
  const [tried, setTried] = useState(false);
  const isRight = (index: number) => {
    const word = words[asked[index] ?? 0] ?? '';
    const typed = given[index]?.trim().toLowerCase() ?? '';
    return typed.length >= PREFIX_LETTERS && typed.slice(0, PREFIX_LETTERS) === word.slice(0, PREFIX_LETTERS);
  };
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        setTried(true);
        if (asked.every((_, index) => isRight(index))) onDone();
      }}
    >
      {asked.map((position, index) => (
        <Field
          key={position}
          label={t('phrase.word', { n: position + 1 })}
          value={given[index] ?? ''}
          error={tried && !isRight(index) ? t('phrase.word_wrong') : undefined}
          autoComplete="off"
          autoCapitalize="off"
          spellCheck={false}
          dir="ltr"
          onChange={({ target }) => setGiven(given.with(index, target.value))}
        />
      ))}
      <div className="actions actions--spread">
        <Button type="submit" look="primary">
          {t('phrase.check')}
        </Button>
        {onSkip && (
          <Button look="plain" onClick={onSkip}>
            {t('phrase.skip')}
          </Button>
        )}
      </div>
    </form>
  );
}
