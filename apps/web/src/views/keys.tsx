// SPDX-License-Identifier: AGPL-3.0-or-later
// The keys of the app: who listens, who does what they ask for, and the list of them.
import { useEffect, useRef } from 'react';
import { Dialog } from '../components/dialog.tsx';
import { t } from '../i18n/i18n.ts';
import type { App } from '../state/app.ts';
import { useApp } from '../state/context.ts';
import { type Command, commandOf, keyNames, SHORTCUTS, type ShortcutGroup } from '../state/shortcuts.ts';
import { useStore } from '../state/store.ts';
import { focusComposer, isWriting } from './writing.ts';
import './keys.css';

const isMac = /Mac|iPhone|iPad/.test(globalThis.navigator?.platform ?? '');
const GROUPS: readonly ShortcutGroup[] = ['app', 'chats', 'writing', 'message'];
/** What has the keys for itself while it is open. */
const OVERLAY = 'dialog[open], .menu, .emoji';
/** Between these `F6` goes; of each the first that is there. Of messages that is the newest. */
const PARTS = [
  ['.sidebar .row[aria-current]', '.sidebar .row', '.sidebar input'],
  ['.messages .message', '.messages', '.pane__scroll'],
  ['.composer__text'],
];

/** Does what a key asks for, as long as the component is there. */
export function useCommand(command: Command, does: () => void): void {
  const app = useApp();
  const latest = useRef(does);
  latest.current = does;
  useEffect(() => {
    const run = () => latest.current();
    const others = app.commands.get(command) ?? [];
    app.commands.set(command, [run, ...others]);
    return () => {
      app.commands.set(
        command,
        (app.commands.get(command) ?? []).filter((other) => other !== run),
      );
    };
  }, [app, command]);
}

/** Listens to the keys of the whole page. */
export function useShortcuts(app: App): void {
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      if (event.isComposing || event.defaultPrevented) return;
      if (document.querySelector(OVERLAY) !== null) return;
      const target = event.target instanceof HTMLElement ? event.target : document.body;
      const place = placeOf(target);
      const { shortcuts } = app.preferences.get();
      const command = shortcuts ? commandOf(event, isMac, place) : undefined;
      if (command !== undefined && app.run(command)) {
        event.preventDefault();
        return;
      }
      // What is typed goes to where the focus is when the key has been handled. A message has letters of its own.
      const isFree = place === 'else' || (place === 'message' && !shortcuts);
      if (isFree && isWriting(event)) focusComposer();
    };
    window.addEventListener('keydown', onKeyDown);
    return () => window.removeEventListener('keydown', onKeyDown);
  }, [app]);
}

function placeOf(target: HTMLElement): 'text' | 'message' | 'else' {
  if (
    target.matches(
      'input:not([type=radio], [type=checkbox], [type=range]), textarea, select, [contenteditable]',
    )
  ) {
    return 'text';
  }
  return target.classList.contains('message') ? 'message' : 'else';
}

/** What there is to do everywhere in the app, while an account is open. */
export function useGlobalCommands(): void {
  const app = useApp();
  const { router } = app;
  const go = (step: 1 | -1, unreadOnly: boolean) => {
    const list = (app.conversations.get()?.list ?? []).map(({ person, unread, markedUnread }) => ({
      id: person.id,
      isUnread: unread > 0 || markedUnread === true,
    }));
    const route = router.route.get();
    const at = route.at === 'chat' ? list.findIndex(({ id }) => id === route.id) : -1;
    const start = at === -1 && step === -1 ? list.length : at;
    const order = Array.from({ length: list.length }, (_, i) => list[start + step * (i + 1)]);
    const next = order.find((one) => one !== undefined && (!unreadOnly || one.isUnread));
    if (next !== undefined) router.go({ at: 'chat', id: next.id });
  };
  useCommand('search', () => {
    // On a phone the list is another page.
    if (document.querySelector('.sidebar')?.checkVisibility() === false) router.home();
    requestAnimationFrame(() => document.querySelector<HTMLElement>('.sidebar__search input')?.focus());
  });
  useCommand('new', () => router.go({ at: 'new' }));
  useCommand('settings', () => router.go({ at: 'settings' }));
  useCommand('network', () => router.go({ at: 'network' }));
  useCommand('lock', () => void app.lock());
  useCommand('nextPart', () => toPart(1));
  useCommand('previousPart', () => toPart(-1));
  useCommand('next', () => go(1, false));
  useCommand('previous', () => go(-1, false));
  useCommand('nextUnread', () => go(1, true));
  useCommand('previousUnread', () => go(-1, true));
  useBack(app);
}

function toPart(step: 1 | -1): void {
  const first = (name: string) =>
    name === '.messages .message'
      ? [...document.querySelectorAll<HTMLElement>(name)].at(-1)
      : document.querySelector<HTMLElement>(name);
  const parts = PARTS.map((names) => names.map(first).find((found) => found?.checkVisibility()));
  const at = [
    document.activeElement?.closest('.sidebar'),
    document.activeElement?.closest('.messages, .pane__scroll'),
    document.activeElement?.closest('.composer'),
  ].findIndex((found) => found !== null && found !== undefined);
  for (let i = 1; i <= parts.length; i++) {
    const next = parts[(Math.max(at, step === 1 ? -1 : 0) + step * i + 2 * parts.length) % parts.length];
    if (next instanceof HTMLElement) {
      next.focus();
      return;
    }
  }
}

/** Escape leads one level up, unless something nearer wants it. */
function useBack(app: App): void {
  useEffect(() => {
    let hadOverlay = false;
    // Whoever is open closes itself at the same key.
    const look = (event: KeyboardEvent) => {
      hadOverlay = event.key === 'Escape' && document.querySelector(OVERLAY) !== null;
    };
    const back = (event: KeyboardEvent) => {
      if (event.key !== 'Escape' || event.isComposing || event.defaultPrevented || hadOverlay) return;
      if (!app.preferences.get().shortcuts) return;
      const route = app.router.route.get();
      if (route.at === 'home') return;
      if (route.at === 'settings' && route.page !== undefined) app.router.go({ at: 'settings' });
      else if (route.at === 'contact') app.router.go({ at: 'chat', id: route.id });
      else app.router.home();
    };
    window.addEventListener('keydown', look, { capture: true });
    window.addEventListener('keydown', back);
    return () => {
      window.removeEventListener('keydown', look, { capture: true });
      window.removeEventListener('keydown', back);
    };
  }, [app]);
}

export function KeysDialog() {
  const app = useApp();
  const isShown = useStore(app.keysShown);
  useCommand('keys', () => app.keysShown.set(true));
  if (!isShown) return null;
  return (
    <Dialog title={t('keys.title')} onClose={() => app.keysShown.set(false)}>
      <p className="field__hint">{t('keys.about')}</p>
      {GROUPS.map((group) => (
        <section key={group} className="keys">
          <h3 className="keys__title">{t(`keys.group.${group}`)}</h3>
          <dl className="keys__list">
            {SHORTCUTS.filter((one) => one.group === group).map(({ text, keys }) => (
              <div key={text} className="keys__row">
                <dt>{t(text)}</dt>
                <dd dir="ltr">
                  {keys.map((one, index) => {
                    const names = keyNames(one, isMac);
                    return (
                      <span key={names.join('+')} className="keys__combination">
                        {index > 0 && <span className="keys__or">{t('keys.or')}</span>}
                        {names.map((name) => (
                          <kbd key={name}>{name}</kbd>
                        ))}
                      </span>
                    );
                  })}
                </dd>
              </div>
            ))}
          </dl>
        </section>
      ))}
    </Dialog>
  );
}
