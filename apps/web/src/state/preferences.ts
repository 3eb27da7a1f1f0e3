// SPDX-License-Identifier: AGPL-3.0-or-later
// Choices of this browser that are no secret: looks, language, notifications.
import { Store } from './store.ts';

export interface Preferences {
  readonly theme: 'system' | 'light' | 'dark';
  readonly language: 'system' | 'en' | 'de' | 'es';
  /** Right to left, for whoever wants to see it so; `auto`: as the language is written. */
  readonly direction: 'auto' | 'rtl';
  readonly textSize: 'small' | 'normal' | 'large';
  readonly enterSends: boolean;
  readonly notifications: 'off' | 'anonymous' | 'sender' | 'full';
  readonly sounds: boolean;
  /** A sealed account is locked after so many minutes without anybody; 0: never. */
  readonly lockMinutes: number;
  /** Keys of the app's own. */
  readonly shortcuts: boolean;
  readonly phraseReminderAt: number;
}

const KEY = 'allium-preferences';
const DEFAULTS: Preferences = {
  theme: 'system',
  language: 'system',
  direction: 'auto',
  textSize: 'normal',
  enterSends: true,
  notifications: 'off',
  sounds: false,
  lockMinutes: 0,
  shortcuts: true,
  phraseReminderAt: 0,
};

export class PreferenceStore extends Store<Preferences> {
  readonly #kept: Pick<globalThis.Storage, 'getItem' | 'setItem'> | undefined;

  /** `target`: tells when another tab has changed something. */
  constructor(kept?: globalThis.Storage, target?: EventTarget) {
    super(read(kept));
    this.#kept = kept;
    target?.addEventListener('storage', (event) => {
      if ((event as StorageEvent).key === KEY) this.set(read(kept));
    });
  }

  change(change: Partial<Preferences>): void {
    this.set({ ...this.get(), ...change });
    try {
      this.#kept?.setItem(KEY, JSON.stringify(this.get()));
    } catch {
      // Full or forbidden: the choice holds until the tab is closed.
    }
  }
}

function read(kept: globalThis.Storage | undefined): Preferences {
  try {
    return { ...DEFAULTS, ...JSON.parse(kept?.getItem(KEY) ?? '{}') };
  } catch {
    return DEFAULTS;
  }
}
