// SPDX-License-Identifier: AGPL-3.0-or-later
// Which day it is: what says “today” is drawn again when it is another one.
import { useSyncExternalStore } from 'react';
import { dayNumber } from './time.ts';

const LOOK_MS = 20_000;

const today = (): number => dayNumber(Date.now());

function subscribe(listener: () => void): () => void {
  const timer = setInterval(listener, LOOK_MS);
  return () => clearInterval(timer);
}

export const useToday = (): number => useSyncExternalStore(subscribe, today);
