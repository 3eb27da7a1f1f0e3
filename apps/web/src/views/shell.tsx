// SPDX-License-Identifier: AGPL-3.0-or-later
// The frame: what is shown for each phase of the session, list and page side by side or one at a time.
import { lazy, Suspense, useEffect } from 'react';
import { Brand } from '../components/brand.tsx';
import { Empty, SkeletonRows, Toasts } from '../components/feedback.tsx';
import { chooseLanguage, setLanguage, t, useLanguage } from '../i18n/i18n.ts';
import type { App } from '../state/app.ts';
import { useApp } from '../state/context.ts';
import { useStore } from '../state/store.ts';
import { ChatView } from './chat-view.tsx';
import { ConversationList } from './conversation-list.tsx';
import { useNotifications } from './notifications.ts';
import { Onboarding } from './onboarding.tsx';
import { RequestsView } from './requests-view.tsx';
import { UnlockView } from './unlock-view.tsx';
import './shell.css';

// Not needed for the first view.
const BrokenView = lazy(async () => ({ default: (await import('./broken-view.tsx')).BrokenView }));
const ContactView = lazy(async () => ({ default: (await import('./contact-view.tsx')).ContactView }));
const NetworkView = lazy(async () => ({ default: (await import('./network-view.tsx')).NetworkView }));
const NewChatView = lazy(async () => ({ default: (await import('./new-chat-view.tsx')).NewChatView }));
const ProtectedView = lazy(async () => ({ default: (await import('./protected-view.tsx')).ProtectedView }));
const SettingsView = lazy(async () => ({ default: (await import('./settings-view.tsx')).SettingsView }));

/** Theme, size of text, language and direction, as the user chose. */
export function useAppearance(): void {
  const preferences = useStore(useApp().preferences);
  const language = useLanguage();
  useEffect(() => {
    const { dataset } = document.documentElement;
    dataset.theme = preferences.theme;
    dataset.text = preferences.textSize;
  }, [preferences.theme, preferences.textSize]);
  useEffect(() => {
    const wanted =
      preferences.language === 'system' ? chooseLanguage(navigator.languages) : preferences.language;
    // Without the file of a language the page stays in English.
    setLanguage(wanted).catch(() => undefined);
  }, [preferences.language]);
  useEffect(() => {
    document.documentElement.lang = language;
    document.documentElement.dir = preferences.direction === 'rtl' ? 'rtl' : 'ltr';
  }, [language, preferences.direction]);
}

/** Whoever looks at the page again does not want to wait for the next attempt. */
function useWake(app: App): void {
  useEffect(() => {
    const wake = () => {
      if (!document.hidden) app.backend.call('wake', []).catch(() => undefined);
    };
    document.addEventListener('visibilitychange', wake);
    window.addEventListener('online', wake);
    return () => {
      document.removeEventListener('visibilitychange', wake);
      window.removeEventListener('online', wake);
    };
  }, [app]);
}

export function Shell() {
  const app = useApp();
  const session = useStore(app.session);
  useAppearance();
  useNotifications(app);
  useWake(app);

  return (
    <>
      {session === undefined ? (
        <Starting />
      ) : session.phase === 'welcome' ? (
        <Onboarding />
      ) : session.phase === 'locked' ? (
        <UnlockView />
      ) : session.phase === 'broken' ? (
        <BrokenView />
      ) : (
        <Messenger />
      )}
      <Toasts />
    </>
  );
}

/** The frame of what comes, so that nothing jumps. */
function Starting() {
  return (
    <main className="shell" data-at="home" aria-busy="true">
      <h1 className="sr-only">Allium</h1>
      <div className="sidebar">
        <div className="sidebar__header" />
        <div className="sidebar__search" />
        <SkeletonRows rows={7} />
      </div>
      <div className="shell__main">
        <Empty art={<Brand size={72} />} title={t('starting')} />
      </div>
    </main>
  );
}

function Messenger() {
  const app = useApp();
  const route = useStore(app.router.route);
  const conversations = useStore(app.conversations);
  const unread = conversations?.list.reduce((sum, one) => sum + (one.unread > 0 ? 1 : 0), 0) ?? 0;
  useEffect(() => {
    document.title = unread > 0 ? `(${unread}) Allium` : 'Allium';
  }, [unread]);
  return (
    <main className="shell" data-at={route.at === 'home' ? 'home' : 'page'}>
      <h1 className="sr-only">Allium</h1>
      <ConversationList />
      <div className="shell__main">
        {route.at === 'home' && (
          <Empty art={<Brand size={96} />} title={t('home.title')}>
            <p>{t('home.about')}</p>
          </Empty>
        )}
        {route.at === 'chat' && <ChatView key={route.id} id={route.id} focus={route.focus?.key} />}
        <Suspense>
          {route.at === 'contact' && <ContactView key={route.id} id={route.id} />}
          {route.at === 'requests' && <RequestsView />}
          {route.at === 'new' && <NewChatView />}
          {route.at === 'settings' && <SettingsView page={route.page} />}
          {route.at === 'network' && <NetworkView />}
          {route.at === 'protected' && <ProtectedView />}
        </Suspense>
      </div>
    </main>
  );
}
