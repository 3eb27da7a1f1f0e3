// SPDX-License-Identifier: AGPL-3.0-or-later
// Start of the page: worker, state, views. Everything heavy is in the worker.
import { createRoot } from 'react-dom/client';
import { RemoteBackend } from './rpc.ts';
import { App } from './state/app.ts';
import { startAutoLock } from './state/auto-lock.ts';
import { AppProvider } from './state/context.ts';
import { PreferenceStore } from './state/preferences.ts';
import { Router } from './state/route.ts';
import './styles/tokens.css';
import './styles/base.css';
import { openWorker, registerServiceWorker } from './trusted.ts';
import { fetchChat, Shell } from './views/shell.tsx';

const place = document.getElementById('root');
if (place === null) throw new Error('no place for the page');
const root = createRoot(place);

if (location.hash.startsWith('#/gallery')) {
  void Promise.all([import('./gallery/gallery.tsx'), fetchChat()]).then(([{ Gallery }]) =>
    root.render(<Gallery />),
  );
} else {
  const app = new App({
    backend: new RemoteBackend(openWorker()),
    router: new Router(history, window),
    preferences: new PreferenceStore(localStorage, window),
  });
  // Not the first visit: while the worker opens the account, what shows it is read from the cache.
  if ('serviceWorker' in navigator && navigator.serviceWorker.controller !== null) void fetchChat();
  root.render(
    <AppProvider value={app}>
      <Shell />
    </AppProvider>,
  );
  startAutoLock({
    preferences: app.preferences,
    session: app.session,
    lock: () => void app.lock(),
    kept: localStorage,
    target: document,
    now: () => Date.now(),
  });
  void app.refresh();
  registerServiceWorker();
}
