// SPDX-License-Identifier: AGPL-3.0-or-later
// To whom: an id that is typed, pasted or scanned, a Session name, or somebody who is known.
import { useEffect, useRef, useState } from 'react';
import { Avatar } from '../components/avatar.tsx';
import { Button } from '../components/button.tsx';
import { ProgressBar } from '../components/feedback.tsx';
import { Field } from '../components/field.tsx';
import { QrScanner } from '../components/qr.tsx';
import { errorText, t } from '../i18n/i18n.ts';
import type { PersonView } from '../model.ts';
import { AppError } from '../rpc.ts';
import { useApp } from '../state/context.ts';
import { useStore } from '../state/store.ts';
import { IdCard } from './id-card.tsx';
import { Card, Pane } from './pane.tsx';
import { titleOf } from './person.ts';
import './new-chat-view.css';

export function NewChatView() {
  const app = useApp();
  const session = useStore(app.session);
  const nameless = useStore(app.nameless);
  const [text, setText] = useState('');
  const [problem, setProblem] = useState<string>();
  const [scanning, setScanning] = useState(false);
  const [searching, setSearching] = useState(false);
  const [found, setFound] = useState<{ readonly name: string; readonly person: PersonView }>();
  const abort = useRef<AbortController>(undefined);
  const [contacts, setContacts] = useState<readonly PersonView[]>([]);
  useEffect(() => {
    void app.call('contacts', []).then((found) => found && setContacts(found));
  }, [app]);
  const stop = () => {
    abort.current?.abort();
    abort.current = undefined;
    setSearching(false);
  };
  useEffect(() => () => abort.current?.abort(), []);
  const open = async (given: string) => {
    stop();
    const own = new AbortController();
    abort.current = own;
    setProblem(undefined);
    setFound(undefined);
    setSearching(true);
    try {
      const account = await app.backend.call('find', [given], { signal: own.signal });
      if (account.name === undefined) {
        app.router.go({ at: 'chat', id: account.id });
        return;
      }
      // A name can come to stand for somebody else: one looks before one writes.
      const person = await app.backend.call('person', [account.id]);
      if (!own.signal.aborted) setFound({ name: account.name, person });
    } catch (error) {
      if (own.signal.aborted) return;
      const code = error instanceof AppError ? error.code : 'unexpected';
      if (code === 'not_served') app.nameless.set(true);
      setProblem(code);
      setScanning(false);
    }
    if (!own.signal.aborted) setSearching(false);
  };
  const own = session?.current?.id ?? '';
  return (
    <Pane title={t('new_chat')}>
      <Card>
        <form
          className="stack"
          onSubmit={(event) => {
            event.preventDefault();
            void open(text);
          }}
        >
          <Field
            label={nameless ? t('id.title') : t('new_chat.id')}
            hint={nameless ? t('new_chat.about.no_names') : t('new_chat.about')}
            error={problem && errorText(problem)}
            value={text}
            placeholder="05…"
            dir="ltr"
            spellCheck={false}
            autoComplete="off"
            autoCapitalize="off"
            autoFocus
            maxLength={4_000}
            onChange={({ target }) => {
              stop();
              setText(target.value);
              setFound(undefined);
              setProblem(undefined);
            }}
          />
          {searching && (
            <>
              <ProgressBar label={t('new_chat.searching')} />
              <p className="field__hint" role="status">
                {t('new_chat.searching')}
              </p>
            </>
          )}
          {found !== undefined && (
            <section className="found" aria-label={t('new_chat.found', { name: found.name })}>
              <Avatar
                id={found.person.id}
                name={found.person.name}
                pictureTag={found.person.pictureTag}
                size={48}
              />
              <div className="found__text">
                <p>
                  <bdi>{t('new_chat.found', { name: found.name })}</bdi>
                </p>
                {found.person.name !== undefined && (
                  <p>
                    <bdi>{t('new_chat.known', { name: titleOf(found.person) })}</bdi>
                  </p>
                )}
                <p className="found__id mono" dir="ltr">
                  {found.person.id}
                </p>
                <p className="field__hint">{t('new_chat.found.about')}</p>
              </div>
            </section>
          )}
          <div className="actions">
            {found === undefined ? (
              <Button type="submit" look="primary" busy={searching} disabled={text.trim() === ''}>
                {t('new_chat.open')}
              </Button>
            ) : (
              <Button look="primary" onClick={() => app.router.go({ at: 'chat', id: found.person.id })}>
                {t('new_chat.open')}
              </Button>
            )}
            {searching ? (
              <Button look="plain" onClick={stop}>
                {t('cancel')}
              </Button>
            ) : (
              <Button icon="qr" look="plain" onClick={() => setScanning(!scanning)}>
                {scanning ? t('cancel') : t('new_chat.scan')}
              </Button>
            )}
          </div>
          {scanning && <QrScanner onFound={(read) => void open(read)} />}
        </form>
      </Card>
      <Card>
        <ul>
          <li>
            <button type="button" className="row" onClick={() => app.router.go({ at: 'chat', id: own })}>
              <Avatar id={own} size={42} />
              <span className="row__text">
                <span className="row__title">{t('note_to_self')}</span>
                <span className="row__preview">{t('note_to_self.about')}</span>
              </span>
            </button>
          </li>
          {contacts
            .filter(({ approved, blocked }) => approved && !blocked)
            .sort((a, b) => titleOf(a).localeCompare(titleOf(b)))
            .map((person) => (
              <li key={person.id}>
                <button
                  type="button"
                  className="row"
                  onClick={() => app.router.go({ at: 'chat', id: person.id })}
                >
                  <Avatar id={person.id} name={person.name} pictureTag={person.pictureTag} size={42} />
                  <bdi className="row__title">{titleOf(person)}</bdi>
                </button>
              </li>
            ))}
        </ul>
      </Card>
      <IdCard id={own} />
    </Pane>
  );
}
