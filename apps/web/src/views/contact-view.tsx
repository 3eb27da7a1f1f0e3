// SPDX-License-Identifier: AGPL-3.0-or-later
// A person: name of one's own, id, verification, blocking.
import { useEffect, useState } from 'react';
import { Avatar } from '../components/avatar.tsx';
import { Button } from '../components/button.tsx';
import { Note } from '../components/feedback.tsx';
import { Field } from '../components/field.tsx';
import { QrCode, QrScanner } from '../components/qr.tsx';
import { t } from '../i18n/i18n.ts';
import type { PersonView } from '../model.ts';
import { useApp } from '../state/context.ts';
import { useStore } from '../state/store.ts';
import { IdCard } from './id-card.tsx';
import { Card, Pane } from './pane.tsx';
import { titleOf } from './person.ts';
import './contact-view.css';

export function ContactView({ id }: { readonly id: string }) {
  const app = useApp();
  const conversations = useStore(app.conversations);
  const [person, setPerson] = useState<PersonView>();
  // biome-ignore lint/correctness/useExhaustiveDependencies: read anew when anything changed
  useEffect(() => {
    void app.call('person', [id]).then((found) => found && setPerson(found));
  }, [app, id, conversations]);
  const back = () => app.router.go({ at: 'chat', id });
  if (person === undefined) {
    return (
      <Pane deep title={t('contact')} onBack={back}>
        {null}
      </Pane>
    );
  }
  return (
    <Pane deep title={t('contact')} onBack={back}>
      <div className="contact__head">
        <Avatar
          id={id}
          name={person.isSelf ? undefined : person.name}
          pictureTag={person.pictureTag}
          size={96}
        />
        <h2>
          <bdi>{titleOf(person)}</bdi>
        </h2>
      </div>
      <IdCard id={id} />
      {!person.isSelf && (
        <>
          <Nickname key={`${id} ${person.name}`} person={person} />
          <Verification person={person} />
          <Card title={t('block')}>
            <p className="field__hint">{t('block.about')}</p>
            <Button
              look={person.blocked ? 'soft' : 'danger'}
              icon="block"
              onClick={() =>
                void app
                  .call('setBlocked', [id, !person.blocked])
                  .then(() => setPerson({ ...person, blocked: !person.blocked }))
              }
            >
              {person.blocked ? t('unblock') : t('block')}
            </Button>
          </Card>
        </>
      )}
    </Pane>
  );
}

function Nickname({ person }: { readonly person: PersonView }) {
  const app = useApp();
  const [name, setName] = useState(person.name ?? '');
  return (
    <Card>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void app.call('setNickname', [person.id, name]).then(() => app.toast('saved', 'done'));
        }}
      >
        <Field
          label={t('contact.name')}
          hint={t('contact.name.about')}
          value={name}
          maxLength={100}
          onChange={({ target }) => setName(target.value)}
        />
        <div className="actions">
          <Button type="submit" disabled={name === (person.name ?? '')}>
            {t('save')}
          </Button>
        </div>
      </form>
    </Card>
  );
}

function Verification({ person }: { readonly person: PersonView }) {
  const app = useApp();
  const [number, setNumber] = useState<string>();
  const [scanning, setScanning] = useState(false);
  const [result, setResult] = useState<'same' | 'different'>();
  useEffect(() => {
    void app.call('safetyNumber', [person.id]).then(setNumber);
  }, [app, person.id]);
  const mark = (verified: boolean) => void app.call('setVerified', [person.id, verified]);
  return (
    <Card title={t('verify.title')}>
      <p className="field__hint">{t('verify.about', { name: titleOf(person) })}</p>
      {number !== undefined && (
        <div className="verify">
          <QrCode text={`allium-verify:${number.replaceAll(' ', '')}`} label={t('verify.qr')} />
          <ol className="verify__number mono" dir="ltr" aria-label={t('verify.number')}>
            {number.split(' ').map((group, index) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: groups may be equal
              <li key={index}>{group}</li>
            ))}
          </ol>
        </div>
      )}
      {scanning && (
        <QrScanner
          onFound={(text) => {
            const same = text === `allium-verify:${number?.replaceAll(' ', '')}`;
            setScanning(false);
            setResult(same ? 'same' : 'different');
            if (same) mark(true);
          }}
        />
      )}
      {result === 'same' && <Note kind="good">{t('verify.same')}</Note>}
      {result === 'different' && <Note kind="danger">{t('verify.different')}</Note>}
      <div className="actions verify__actions">
        <Button icon="camera" look="plain" onClick={() => setScanning(!scanning)}>
          {scanning ? t('cancel') : t('verify.scan')}
        </Button>
        <Button
          icon="shield"
          look={person.verified ? 'plain' : 'primary'}
          onClick={() => mark(!person.verified)}
        >
          {person.verified ? t('verify.unmark') : t('verify.mark')}
        </Button>
      </div>
    </Card>
  );
}
