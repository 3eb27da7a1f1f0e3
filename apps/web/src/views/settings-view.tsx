// SPDX-License-Identifier: AGPL-3.0-or-later
// Settings: a list of pages, and the pages that only choose things. Those with work of their own have files.
import { useCallback, useEffect, useRef, useState } from 'react';
import { Avatar } from '../components/avatar.tsx';
import { Button } from '../components/button.tsx';
import { Note } from '../components/feedback.tsx';
import { Choice, Field, Switch } from '../components/field.tsx';
import { Icon, type IconName } from '../components/icon.tsx';
import { type TextKey, t } from '../i18n/i18n.ts';
import type { PersonView, SettingsView as Values } from '../model.ts';
import { useApp } from '../state/context.ts';
import type { Preferences } from '../state/preferences.ts';
import type { SettingsPage } from '../state/route.ts';
import { useStore } from '../state/store.ts';
import { IdCard } from './id-card.tsx';
import { playSound } from './notifications.ts';
import { Card, Pane } from './pane.tsx';
import { titleOf } from './person.ts';
import { shrinkPicture } from './picture.ts';
import { AccountsPage, StoragePage } from './settings-account.tsx';
import { DevicesPage } from './settings-devices.tsx';
import { PhrasePage } from './settings-phrase.tsx';
import './settings-view.css';

/** Pages of their own that are reached from here too. */
const ELSEWHERE = [
  ['network', 'path'],
  ['protected', 'shield'],
] as const;

const PAGES: readonly (readonly [page: SettingsPage, icon: IconName])[] = [
  ['profile', 'user'],
  ['accounts', 'users'],
  ['privacy', 'shieldPlain'],
  ['notifications', 'bell'],
  ['appearance', 'palette'],
  ['phrase', 'key'],
  ['devices', 'laptop'],
  ['storage', 'disk'],
  ['about', 'info'],
];

export function SettingsView({ page }: { readonly page?: SettingsPage | undefined }) {
  const app = useApp();
  const session = useStore(app.session);
  if (page === undefined) {
    return (
      <Pane title={t('settings')}>
        <button
          type="button"
          className="me"
          onClick={() => app.router.push({ at: 'settings', page: 'profile' })}
        >
          <Avatar
            id={session?.current?.id ?? ''}
            name={session?.profile.name}
            pictureTag={session?.profile.pictureTag}
            size={64}
          />
          <span className="me__text">
            <bdi className="me__name">{session?.profile.name ?? t('profile.no_name')}</bdi>
            <span className="mono me__id" dir="ltr">
              {session?.current?.id}
            </span>
          </span>
          <Icon name="forward" size={18} />
        </button>
        <Card>
          <ul className="settings-list">
            {PAGES.slice(1).map(([name, icon]) => (
              <li key={name}>
                <button
                  type="button"
                  className="settings-row"
                  onClick={() => app.router.push({ at: 'settings', page: name })}
                >
                  <Icon name={icon} />
                  <span>{t(`settings.${name}` as TextKey)}</span>
                  {name === 'phrase' && session?.current?.phraseConfirmed === false && (
                    <span className="settings-dot" />
                  )}
                  <Icon name="forward" size={16} />
                </button>
              </li>
            ))}
            {ELSEWHERE.map(([at, icon]) => (
              <li key={at}>
                <button type="button" className="settings-row" onClick={() => app.router.push({ at })}>
                  <Icon name={icon} />
                  <span>{t(at)}</span>
                  <Icon name="forward" size={16} />
                </button>
              </li>
            ))}
          </ul>
        </Card>
      </Pane>
    );
  }
  return (
    <Pane deep title={t(`settings.${page}` as TextKey)} onBack={() => app.router.go({ at: 'settings' })}>
      <Page page={page} />
    </Pane>
  );
}

function Page({ page }: { readonly page: SettingsPage }) {
  switch (page) {
    case 'profile':
      return <ProfilePage />;
    case 'accounts':
      return <AccountsPage />;
    case 'privacy':
      return <PrivacyPage />;
    case 'notifications':
      return <NotificationsPage />;
    case 'appearance':
      return <AppearancePage />;
    case 'phrase':
      return <PhrasePage />;
    case 'devices':
      return <DevicesPage />;
    case 'storage':
      return <StoragePage />;
    case 'about':
    case 'network':
      return <AboutPage />;
  }
}

function ProfilePage() {
  const app = useApp();
  const session = useStore(app.session);
  const known = session?.profile.name ?? '';
  const [name, setName] = useState(known);
  const [busy, setBusy] = useState(false);
  const picker = useRef<HTMLInputElement>(null);
  const id = session?.current?.id ?? '';
  const setPicture = async (file: File | undefined) => {
    setBusy(true);
    try {
      const picture = file === undefined ? undefined : await shrinkPicture(file);
      if (file !== undefined && picture === undefined) app.toast('no_picture', 'error');
      else await app.backend.call('setPicture', [picture]);
    } catch (error) {
      app.fail(error);
    }
    setBusy(false);
  };
  return (
    <>
      <div className="profile__picture">
        <Avatar id={id} name={name} pictureTag={session?.profile.pictureTag} size={104} />
        <input
          ref={picker}
          type="file"
          accept="image/png,image/jpeg,image/webp,image/avif,image/gif"
          hidden
          onChange={({ target }) => {
            void setPicture(target.files?.[0]);
            target.value = '';
          }}
        />
        <div className="actions">
          <Button icon="image" busy={busy} onClick={() => picker.current?.click()}>
            {t('profile.picture')}
          </Button>
          {session?.profile.pictureTag !== undefined && (
            <Button look="plain" disabled={busy} onClick={() => void setPicture(undefined)}>
              {t('profile.no_picture')}
            </Button>
          )}
        </div>
      </div>
      <Card>
        <form
          className="stack"
          onSubmit={(event) => {
            event.preventDefault();
            void app.call('setName', [name]).then((done) => done && app.toast('saved', 'done'));
          }}
        >
          <Field
            label={t('create.name')}
            hint={t('profile.name.about')}
            value={name}
            maxLength={60}
            onChange={({ target }) => setName(target.value)}
          />
          <div className="actions">
            <Button type="submit" look="primary" disabled={name.trim() === known}>
              {t('save')}
            </Button>
          </div>
        </form>
      </Card>
      <IdCard id={id} open />
    </>
  );
}

function PrivacyPage() {
  const app = useApp();
  const [values, setValues] = useState<Values>();
  useEffect(() => {
    void app.call('settings', []).then(setValues);
  }, [app]);
  if (values === undefined) return null;
  const change = (part: Partial<Values>) => {
    setValues({ ...values, ...part });
    void app.call('changeSettings', [part]).then((now) => now && setValues(now));
  };
  return (
    <>
      <Card>
        <Switch
          label={t('privacy.delivery')}
          hint={t('privacy.delivery.about')}
          checked={values.deliveryReceipts}
          onChange={(deliveryReceipts) => change({ deliveryReceipts })}
        />
        <Switch
          label={t('privacy.read')}
          hint={t('privacy.read.about')}
          checked={values.readReceipts}
          onChange={(readReceipts) => change({ readReceipts })}
        />
        <Switch
          label={t('privacy.typing')}
          hint={t('privacy.typing.about')}
          checked={values.typingIndicators}
          onChange={(typingIndicators) => change({ typingIndicators })}
        />
      </Card>
      <BlockedCard />
    </>
  );
}

/** Whom one has blocked is in no other list. */
function BlockedCard() {
  const app = useApp();
  const [blocked, setBlocked] = useState<readonly PersonView[]>([]);
  const read = useCallback(
    () =>
      void app.call('contacts', []).then((all) => all && setBlocked(all.filter((person) => person.blocked))),
    [app],
  );
  useEffect(read, [read]);
  return (
    <Card title={t('privacy.blocked')}>
      {blocked.length === 0 && <p className="field__hint">{t('privacy.blocked.none')}</p>}
      <ul>
        {blocked.map((person) => (
          <li key={person.id} className="account-row">
            <button
              type="button"
              className="row"
              onClick={() => app.router.push({ at: 'contact', id: person.id })}
            >
              <Avatar id={person.id} name={person.name} pictureTag={person.pictureTag} size={38} />
              <bdi className="row__title">{titleOf(person)}</bdi>
            </button>
            <Button look="plain" onClick={() => void app.call('setBlocked', [person.id, false]).then(read)}>
              {t('unblock')}
            </Button>
          </li>
        ))}
      </ul>
    </Card>
  );
}

function NotificationsPage() {
  const app = useApp();
  const { notifications, sounds } = useStore(app.preferences);
  const [denied, setDenied] = useState(globalThis.Notification?.permission === 'denied');
  const choose = async (value: Preferences['notifications']) => {
    if (value !== 'off' && Notification.permission !== 'granted') {
      const permission = await Notification.requestPermission();
      setDenied(permission === 'denied');
      if (permission !== 'granted') return;
    }
    app.preferences.change({ notifications: value });
  };
  return (
    <>
      <Note>{t('notifications.about')}</Note>
      {denied && <Note kind="warning">{t('notifications.denied')}</Note>}
      <Card>
        <Choice
          label={t('notifications.show')}
          value={notifications}
          options={(['off', 'anonymous', 'sender', 'full'] as const).map((value) => ({
            value,
            label: t(`notifications.${value}`),
          }))}
          onChange={(value) => void choose(value)}
        />
        <Switch
          label={t('notifications.sound')}
          hint={t('notifications.sound.about')}
          checked={sounds}
          onChange={(on) => {
            app.preferences.change({ sounds: on });
            if (on) playSound();
          }}
        />
      </Card>
    </>
  );
}

function AppearancePage() {
  const app = useApp();
  const preferences = useStore(app.preferences);
  const change = (part: Partial<Preferences>) => app.preferences.change(part);
  return (
    <Card>
      <Choice
        label={t('appearance.theme')}
        value={preferences.theme}
        options={(['system', 'light', 'dark'] as const).map((value) => ({
          value,
          label: t(`appearance.${value}`),
        }))}
        onChange={(theme) => change({ theme })}
      />
      <Choice
        label={t('appearance.text')}
        value={preferences.textSize}
        options={(['small', 'normal', 'large'] as const).map((value) => ({
          value,
          label: t(`appearance.text.${value}`),
        }))}
        onChange={(textSize) => change({ textSize })}
      />
      <Choice
        label={t('appearance.language')}
        value={preferences.language}
        options={[
          { value: 'system', label: t('appearance.system') },
          { value: 'en', label: 'English' },
          { value: 'de', label: 'Deutsch' },
          { value: 'es', label: 'Español' },
        ]}
        onChange={(language) => change({ language })}
      />
      <Choice
        label={t('appearance.direction')}
        value={preferences.direction}
        options={[
          { value: 'auto', label: t('appearance.direction.auto') },
          { value: 'rtl', label: t('appearance.direction.rtl') },
        ]}
        onChange={(direction) => change({ direction })}
      />
      <Switch
        label={t('keys.title')}
        hint={t('keys.switch.about')}
        checked={preferences.shortcuts}
        onChange={(shortcuts) => change({ shortcuts })}
      />
      <div className="actions">
        <Button icon="keyboard" look="plain" onClick={() => app.keysShown.set(true)}>
          {t('keys.keys')}
        </Button>
      </div>
      <Switch
        label={t('appearance.enter')}
        hint={t('appearance.enter.about')}
        checked={preferences.enterSends}
        onChange={(enterSends) => change({ enterSends })}
      />
    </Card>
  );
}

function AboutPage() {
  const [hash, setHash] = useState<string>();
  useEffect(() => {
    fetch('./bundle.json')
      .then((answer) => answer.json())
      .then(({ hash: told }: { hash: string }) => setHash(told))
      .catch(() => setHash(undefined));
  }, []);
  return (
    <Card title="Allium">
      <div className="stack">
        <p className="field__hint">{t('about.text')}</p>
        <dl className="details">
          <dt>{t('about.bundle')}</dt>
          <dd className="mono" dir="ltr">
            {hash ?? '–'}
          </dd>
          <dt>{t('about.licence')}</dt>
          <dd>AGPL-3.0-or-later</dd>
        </dl>
        <p className="field__hint">{t('about.verify')}</p>
        <code className="id-card__id mono" dir="ltr">
          npm run web:hash
        </code>
      </div>
    </Card>
  );
}
