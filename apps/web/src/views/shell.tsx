// SPDX-License-Identifier: AGPL-3.0-or-later
// The frame: what is shown for each phase of the session, list and page side by side or one at a time.
import { type ComponentType, type LazyExoticComponent, lazy, Suspense, useEffect, useRef } from 'react';
import { Brand } from '../components/brand.tsx';
import { Button } from '../components/button.tsx';
import { Empty, SkeletonRows, Toasts } from '../components/feedback.tsx';
import { chooseLanguage, setLanguage, t, useLanguage } from '../i18n/i18n.ts';
import type { App } from '../state/app.ts';
import { useApp } from '../state/context.ts';
import { Store, useStore } from '../state/store.ts';
import { KeysDialog, useGlobalCommands, useShortcuts } from './keys.tsx';
import { useNotifications } from './notifications.ts';
import { Onboarding } from './onboarding.tsx';
import { UnlockView } from './unlock-view.tsx';
// The frame before the list is there has its shape.
import './conversation-list.css';
import './shell.css';

// What the welcome page does without comes when it is wanted. Of a first visit that is before anything else can be done.
const chatView = () => import('./chat-view.tsx');
const conversationList = () => import('./conversation-list.tsx');
const BrokenView = part(async () => (await import('./broken-view.tsx')).BrokenView);
const ChatView = part(async () => (await chatView()).ChatView);
const ContactView = part(async () => (await import('./contact-view.tsx')).ContactView);
const ConversationList = part(async () => (await conversationList()).ConversationList);
const NetworkView = part(async () => (await import('./network-view.tsx')).NetworkView);
const NewChatView = part(async () => (await import('./new-chat-view.tsx')).NewChatView);
const ProtectedView = part(async () => (await import('./protected-view.tsx')).ProtectedView);
const RequestsView = part(async () => (await import('./requests-view.tsx')).RequestsView);
const SettingsView = part(async () => (await import('./settings-view.tsx')).SettingsView);

const PAUSE_MS = 1_000;
/** So often it may fail before the page says so. */
const QUIET_FAILURES = 2;
/** A part that is wanted does not come. */
const isMissing = new Store(false);

/** Tries until it is there: a part that failed once would be missing for as long as the page is open. */
function part<P extends object>(
  load: () => Promise<ComponentType<P>>,
): LazyExoticComponent<ComponentType<P>> {
  return lazy(async () => {
    for (let failures = 1; ; failures++) {
      try {
        const loaded = await load();
        isMissing.set(false);
        return { default: loaded };
      } catch {
        if (failures > QUIET_FAILURES) isMissing.set(true);
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    }
  });
}

/** Fetches the parts of a chat before they are wanted. */
export async function fetchChat(): Promise<void> {
  await Promise.all([chatView(), conversationList()]).catch(() => undefined);
}

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
  useShortcuts(app);
  const isWelcome = session?.phase === 'welcome';
  // What had the focus before is gone with the page that it was on.
  const wasElsewhere = useRef(false);
  if (session !== undefined && session.phase !== 'open') wasElsewhere.current = true;
  useEffect(() => {
    if (!isWelcome) return;
    const timer = setTimeout(() => void fetchChat(), 2 * PAUSE_MS);
    return () => clearTimeout(timer);
  }, [isWelcome]);

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
        <Suspense fallback={<Starting />}>
          <Messenger takesFocus={wasElsewhere.current} />
        </Suspense>
      )}
      <KeysDialog />
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
        <Waiting />
      </div>
    </main>
  );
}

/** Instead of a part that is being fetched. `isQuiet`: nothing, unless it does not come. */
function Waiting({ isQuiet = false }: { readonly isQuiet?: boolean }) {
  const missing = useStore(isMissing);
  if (missing) {
    return (
      <Empty icon="alert" title={t('part_missing.title')}>
        <p role="alert">{t('part_missing')}</p>
        <Button onClick={() => location.reload()}>{t('reload')}</Button>
      </Empty>
    );
  }
  return isQuiet ? null : <Empty art={<Brand size={72} />} title={t('starting')} />;
}

function Messenger({ takesFocus }: { readonly takesFocus: boolean }) {
  const app = useApp();
  const route = useStore(app.router.route);
  const conversations = useStore(app.conversations);
  useGlobalCommands();
  const unread = conversations?.list.filter((one) => one.unread > 0 || one.markedUnread === true).length ?? 0;
  useEffect(() => {
    document.title = unread > 0 ? `(${unread}) Allium` : 'Allium';
    return () => {
      document.title = 'Allium';
    };
  }, [unread]);
  return (
    <main className="shell" data-at={route.at === 'home' ? 'home' : 'page'}>
      <h1 className="sr-only">Allium</h1>
      <ConversationList takesFocus={takesFocus} />
      <div className="shell__main">
        {route.at === 'home' && (
          <Empty art={<Brand size={96} />} title={t('home.title')}>
            <p>{t('home.about')}</p>
          </Empty>
        )}
        <Suspense fallback={<Waiting isQuiet />}>
          {route.at === 'chat' && <ChatView key={route.id} id={route.id} focus={route.focus} />}
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
