// SPDX-License-Identifier: AGPL-3.0-or-later
// Locks a sealed account when nobody has done anything in any tab for a while. The tabs tell each other by what they keep; the
// worker that is asked to lock tells all of them.
import type { SessionView } from '../model.ts';
import type { PreferenceStore } from './preferences.ts';
import type { Store } from './store.ts';

const KEY = 'allium-active-at';
const LOOK_MS = 5_000;
/** What is kept is so old at most; nobody writes at each key. */
const KEEP_AFTER_MS = 2_000;
const SIGNS = ['pointerdown', 'pointermove', 'keydown', 'wheel', 'touchstart'] as const;

interface AutoLockParts {
  readonly preferences: PreferenceStore;
  readonly session: Store<SessionView | undefined>;
  readonly lock: () => void;
  readonly kept?: Pick<globalThis.Storage, 'getItem' | 'setItem'>;
  readonly target: Pick<EventTarget, 'addEventListener' | 'removeEventListener'>;
  /** ms */
  readonly now: () => number;
}

/** Runs until what it returns is called. */
export function startAutoLock({ preferences, session, lock, kept, target, now }: AutoLockParts): () => void {
  const readKept = (): number => {
    try {
      return Number(kept?.getItem(KEY) ?? 0);
    } catch {
      return 0;
    }
  };
  // A page that is opened on an account that is open already is no sign that somebody may see it.
  let own = readKept() === 0 ? now() : 0;
  let keptAt = 0;
  let before = session.get()?.phase;
  const keep = () => {
    own = now();
    if (own - keptAt < KEEP_AFTER_MS && own >= keptAt) return;
    keptAt = own;
    try {
      kept?.setItem(KEY, String(own));
    } catch {
      // Full or forbidden: this tab alone counts.
    }
  };
  const last = (): number => {
    const elsewhere = readKept();
    // A clock that was set back must not keep it open.
    if (own > now() + KEEP_AFTER_MS) own = now();
    return Math.max(own, elsewhere <= now() + KEEP_AFTER_MS ? elsewhere : 0);
  };
  const isOver = (): boolean => {
    const { phase, current } = session.get() ?? {};
    const { lockMinutes } = preferences.get();
    const isSealed = current !== undefined && current.sealedBy !== 'browser';
    return phase === 'open' && isSealed && lockMinutes > 0 && now() - last() >= lockMinutes * 60_000;
  };
  const look = () => {
    const phase = session.get()?.phase;
    const isOpened = phase === 'open' && before !== 'open';
    // Whoever has just opened it is there; but a page that has just been loaded found it so.
    if (isOpened && (before !== undefined || !isOver())) keep();
    before = phase;
    if (isOver()) lock();
  };
  // Whoever wakes a laptop moves the pointer first.
  const active = () => {
    if (isOver()) lock();
    else if (session.get() !== undefined) keep();
  };
  for (const sign of SIGNS) target.addEventListener(sign, active, { capture: true, passive: true });
  // A laptop that was shut: before anything of it is seen, as far as a page can.
  target.addEventListener('visibilitychange', look);
  const stopSession = session.subscribe(look);
  const timer = setInterval(look, LOOK_MS);
  return () => {
    for (const sign of SIGNS) target.removeEventListener(sign, active, { capture: true });
    target.removeEventListener('visibilitychange', look);
    stopSession();
    clearInterval(timer);
  };
}
