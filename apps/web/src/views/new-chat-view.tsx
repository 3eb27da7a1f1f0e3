// SPDX-License-Identifier: AGPL-3.0-or-later
// To whom: an id that is typed, pasted or scanned, or somebody who is known.
import { useEffect, useState } from 'react';
import { Avatar } from '../components/avatar.tsx';
import { Button } from '../components/button.tsx';
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

export function NewChatView() {
  const app = useApp();
  const session = useStore(app.session);
  const [text, setText] = useState('');
  const [problem, setProblem] = useState<string>();
  const [scanning, setScanning] = useState(false);
  const [contacts, setContacts] = useState<readonly PersonView[]>([]);
  useEffect(() => {
    void app.call('contacts', []).then((found) => found && setContacts(found));
  }, [app]);
  const open = async (given: string) => {
    setProblem(undefined);
    try {
      const id = await app.backend.call('readId', [given]);
      app.router.go({ at: 'chat', id });
    } catch (error) {
      setProblem(error instanceof AppError ? error.code : 'unexpected');
      setScanning(false);
    }
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
            label={t('new_chat.id')}
            hint={t('new_chat.about')}
            error={problem && errorText(problem)}
            value={text}
            placeholder="05…"
            dir="ltr"
            spellCheck={false}
            autoComplete="off"
            autoCapitalize="off"
            autoFocus
            maxLength={4_000}
            onChange={({ target }) => setText(target.value)}
          />
          <div className="actions">
            <Button type="submit" look="primary" disabled={text.trim() === ''}>
              {t('new_chat.open')}
            </Button>
            <Button icon="qr" look="plain" onClick={() => setScanning(!scanning)}>
              {scanning ? t('cancel') : t('new_chat.scan')}
            </Button>
          </div>
          {scanning && <QrScanner onFound={(found) => void open(found)} />}
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
