// SPDX-License-Identifier: AGPL-3.0-or-later
// Tells of new messages while the page is open and somebody looks elsewhere. As little as the user chose is shown.
import { useEffect } from 'react';
import { tame } from '../components/rich-text.tsx';
import { t } from '../i18n/i18n.ts';
import type { MessageView } from '../model.ts';
import type { App } from '../state/app.ts';
import { titleOf } from './person.ts';

const MAX_TEXT = 160;

const SOUND_EVERY_MS = 2_000;
let soundedAt = Number.NEGATIVE_INFINITY;

/** Two short soft tones, made here; many messages at once sound once. */
export function playSound(): void {
  const now = performance.now();
  if (now - soundedAt < SOUND_EVERY_MS) return;
  soundedAt = now;
  try {
    const context = new AudioContext();
    const volume = context.createGain();
    volume.connect(context.destination);
    for (const [index, frequency] of [660, 880].entries()) {
      const start = context.currentTime + index * 0.11;
      const tone = context.createOscillator();
      tone.frequency.value = frequency;
      tone.connect(volume);
      volume.gain.setValueAtTime(0.0001, start);
      volume.gain.exponentialRampToValueAtTime(0.12, start + 0.02);
      volume.gain.exponentialRampToValueAtTime(0.0001, start + 0.2);
      tone.start(start);
      tone.stop(start + 0.22);
    }
    setTimeout(() => void context.close(), 1_000);
  } catch {
    // Without sound, then.
  }
}

export function useNotifications(app: App): void {
  useEffect(() => startNotifications(app), [app]);
}

/** Runs until what it returns is called. */
export function startNotifications(app: App): () => void {
  /** Of each conversation the newest; the browser itself shows no more than one. */
  const open = new Map<string, Notification>();
  const tell = (message: MessageView) => {
    const { notifications, sounds } = app.preferences.get();
    if (document.hasFocus()) return;
    const list = app.conversations.get()?.list ?? [];
    const conversation = list.find(({ person }) => person.id === message.conversation);
    // Of strangers nothing is told until they are accepted.
    if (conversation === undefined || (conversation.mutedUntil ?? 0) > Date.now()) return;
    if (sounds) playSound();
    if (notifications === 'off' || globalThis.Notification?.permission !== 'granted') return;
    const title = notifications === 'anonymous' ? 'Allium' : titleOf(conversation.person);
    const body =
      notifications === 'full'
        ? tame(message.text).slice(0, MAX_TEXT) || t('attachment.file')
        : t('notification.new');
    const shown = new Notification(title, {
      body,
      tag: message.conversation,
      icon: './icons/icon-192.png',
    });
    open.set(message.conversation, shown);
    shown.onclick = () => {
      window.focus();
      app.router.go({ at: 'chat', id: message.conversation });
      shown.close();
    };
  };
  // What a locked page does not show stands nowhere else either.
  const look = () => {
    if (app.session.get()?.phase === 'open') return;
    for (const shown of open.values()) shown.close();
    open.clear();
  };
  app.arrivals.add(tell);
  const stopSession = app.session.subscribe(look);
  return () => {
    app.arrivals.delete(tell);
    stopSession();
  };
}
