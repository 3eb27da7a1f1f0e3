// SPDX-License-Identifier: AGPL-3.0-or-later
// Where the user is. It stands in the browser's history but never in an address: ids would stay behind there.
import { Store } from './store.ts';

export type SettingsPage =
  | 'profile'
  | 'accounts'
  | 'privacy'
  | 'notifications'
  | 'appearance'
  | 'network'
  | 'devices'
  | 'storage'
  | 'phrase'
  | 'about';

export type Route =
  | { readonly at: 'home' }
  | { readonly at: 'chat'; readonly id: string; readonly focus?: { readonly key: string } }
  | { readonly at: 'contact'; readonly id: string }
  | { readonly at: 'requests' }
  | { readonly at: 'new' }
  | { readonly at: 'settings'; readonly page?: SettingsPage }
  | { readonly at: 'network' }
  | { readonly at: 'protected' };

const HOME: Route = { at: 'home' };

export class Router {
  readonly route = new Store<Route>(HOME);
  readonly #history: Pick<History, 'state' | 'pushState' | 'replaceState' | 'back'> | undefined;

  /** Without a history: in the gallery and in tests. */
  constructor(history?: History, target?: EventTarget) {
    this.#history = history;
    const kept = history?.state as { route?: Route } | null | undefined;
    if (kept?.route !== undefined) this.route.set(kept.route);
    target?.addEventListener('popstate', (event) => {
      this.route.set((event as PopStateEvent).state?.route ?? HOME);
    });
  }

  go(route: Route): void {
    const { at } = this.route.get();
    // From one page to its neighbour: back leads home, not through all of them.
    if (at === 'home') this.#history?.pushState({ route }, '');
    else this.#history?.replaceState({ route }, '');
    this.route.set(route);
  }

  /** One level down, with a way back. */
  push(route: Route): void {
    this.#history?.pushState({ route }, '');
    this.route.set(route);
  }

  home(): void {
    this.#history?.replaceState({ route: HOME }, '');
    this.route.set(HOME);
  }
}
