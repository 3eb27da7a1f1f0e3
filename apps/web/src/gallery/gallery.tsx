// SPDX-License-Identifier: AGPL-3.0-or-later
// All states that are hard to reach, one by one: `#/gallery/NAME`, with `?theme=dark`, `?lang=de`, `?dir=rtl`.
import { useMemo } from 'react';
import type { SessionView } from '../model.ts';
import { App } from '../state/app.ts';
import { AppProvider } from '../state/context.ts';
import { PreferenceStore, type Preferences } from '../state/preferences.ts';
import { type Route, Router } from '../state/route.ts';
import { Onboarding } from '../views/onboarding.tsx';
import { Shell, useAppearance } from '../views/shell.tsx';
import { FixtureBackend, type FixtureOptions } from './fixture-backend.ts';
import { idOf, ME, NETWORK, PEOPLE, SESSION } from './fixtures.ts';

interface Scene {
  readonly options?: FixtureOptions;
  readonly route?: Route;
  readonly after?: (app: App, backend: FixtureBackend) => void;
  readonly onboarding?: 'name' | 'phrase' | 'check' | 'restore';
}

const chat = (id: string): Route => ({ at: 'chat', id });
const locked: SessionView = { ...SESSION, phase: 'locked', profile: {} };
const byPasskey: SessionView = {
  ...locked,
  current: {
    key: 'a',
    id: '',
    name: 'Robin',
    sealedBy: 'passkey',
    passkey: { credentialId: new Uint8Array(16), salt: new Uint8Array(32) },
    setAside: [],
    phraseConfirmed: true,
  },
};
const none: SessionView = { phase: 'welcome', accounts: [], profile: {} };
const fresh: SessionView = {
  ...SESSION,
  accounts: SESSION.accounts.slice(0, 1),
  current: { key: 'a', id: ME, name: 'Robin', sealedBy: 'browser', setAside: [], phraseConfirmed: false },
};
const broken: SessionView = { ...fresh, phase: 'broken', profile: {}, problem: 'damaged' };

const SCENES: Readonly<Record<string, Scene>> = {
  welcome: { options: { session: none } },
  'create-name': { options: { session: none }, onboarding: 'name' },
  'create-phrase': { options: { session: none }, onboarding: 'phrase' },
  'create-check': { options: { session: none }, onboarding: 'check' },
  restore: { options: { session: none }, onboarding: 'restore' },
  locked: { options: { session: locked } },
  'locked-passkey': { options: { session: byPasskey } },
  broken: { options: { session: broken } },
  starting: { options: { stuck: ['session'] } },
  list: {},
  'list-full': { after: (_, backend) => backend.emit('full', true) },
  keys: { after: (app) => app.keysShown.set(true) },
  'list-empty': { options: { session: fresh, conversations: { list: [], requests: [] } } },
  'list-loading': { options: { stuck: ['conversations'] } },
  chat: { route: chat(PEOPLE.mara.id) },
  'chat-typing': {
    route: chat(PEOPLE.mara.id),
    after: (_, backend) => backend.emit('typing', { id: PEOPLE.mara.id, isTyping: true }),
  },
  'chat-failed': { route: chat(PEOPLE.jonas.id) },
  'chat-no-files': {
    route: chat(PEOPLE.jonas.id),
    options: { network: { ...NETWORK, hasFileServer: false } },
  },
  'chat-loading': { route: chat(PEOPLE.mara.id), options: { stuck: ['history'] } },
  'chat-broken': { route: chat(PEOPLE.mara.id), options: { fails: { history: 'failed' } } },
  'chat-empty': { route: chat(PEOPLE.ines.id) },
  'chat-rtl-text': { route: chat(PEOPLE.amina.id) },
  'chat-hostile': { route: chat(PEOPLE.hostile.id) },
  'chat-long': { route: chat(PEOPLE.mara.id), options: { history: 100_000 } },
  request: { route: chat(PEOPLE.request.id) },
  requests: { route: { at: 'requests' } },
  contact: { route: { at: 'contact', id: PEOPLE.mara.id } },
  'new-chat': { route: { at: 'new' } },
  'new-chat-no-names': { route: { at: 'new' }, options: { fails: { find: 'not_served' } } },
  settings: { route: { at: 'settings' } },
  'settings-profile': { route: { at: 'settings', page: 'profile' } },
  'settings-accounts': { route: { at: 'settings', page: 'accounts' } },
  'settings-privacy': { route: { at: 'settings', page: 'privacy' } },
  'settings-notifications': { route: { at: 'settings', page: 'notifications' } },
  'settings-appearance': { route: { at: 'settings', page: 'appearance' } },
  'settings-phrase': { route: { at: 'settings', page: 'phrase' }, options: { session: fresh } },
  'settings-devices': { route: { at: 'settings', page: 'devices' } },
  'settings-storage': { route: { at: 'settings', page: 'storage' } },
  'settings-about': { route: { at: 'settings', page: 'about' } },
  network: { route: { at: 'network' } },
  'network-lost': {
    route: { at: 'network' },
    options: {
      network: {
        ...NETWORK,
        status: 'offline',
        paths: [],
        clockOffsetMs: -183_000,
        lastError: 'no_network',
        trust: { state: 'unverified', reason: 'no_anchor' },
        entry: { ...NETWORK.entry, state: 'unreachable' },
      },
    },
  },
  protected: { route: { at: 'protected' } },
  toasts: {
    route: chat(PEOPLE.mara.id),
    after: (app) => {
      app.toast('no_path', 'error');
      app.toast('saved', 'done');
    },
  },
  'stranger-chat': { route: chat(idOf(240)) },
};

export function Gallery() {
  const [, name = '', query = ''] = /^#\/gallery\/?([^?]*)\??(.*)$/.exec(location.hash) ?? [];
  const scene = SCENES[name];
  return scene === undefined ? <Index /> : <Stage key={location.hash} scene={scene} query={query} />;
}

function Index() {
  return (
    <main className="pane__scroll scroll">
      <div className="pane__inner">
        <h1>Gallery</h1>
        <ul>
          {Object.keys(SCENES).map((name) => (
            <li key={name}>
              <a href={`#/gallery/${name}`} onClick={() => setTimeout(() => location.reload())}>
                {name}
              </a>
            </li>
          ))}
        </ul>
      </div>
    </main>
  );
}

function Stage({ scene, query }: { readonly scene: Scene; readonly query: string }) {
  const app = useMemo(() => {
    const wanted = new URLSearchParams(query);
    const backend = new FixtureBackend(scene.options ?? {}, Date.now());
    const router = new Router();
    const preferences = new PreferenceStore();
    const theme = wanted.get('theme') as Preferences['theme'] | null;
    const language = wanted.get('lang') as Preferences['language'] | null;
    preferences.change({
      theme: theme ?? 'system',
      language: language ?? 'en',
      direction: wanted.get('dir') === 'rtl' ? 'rtl' : 'auto',
    });
    const made = new App({ backend, router, preferences });
    void made.refresh().then(() => {
      router.route.set(scene.route ?? { at: 'home' });
      scene.after?.(made, backend);
    });
    return made;
  }, [scene, query]);
  return (
    <AppProvider value={app}>
      {scene.onboarding === undefined ? <Shell /> : <FirstMinute start={scene.onboarding} />}
    </AppProvider>
  );
}

function FirstMinute({ start }: { readonly start: NonNullable<Scene['onboarding']> }) {
  useAppearance();
  return <Onboarding start={start} />;
}
