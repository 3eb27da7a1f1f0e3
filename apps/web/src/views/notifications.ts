// SPDX-License-Identifier: AGPL-3.0-or-later
// Tells of new messages while the page is open and somebody looks elsewhere. As little as the user chose is shown.
import { useEffect } from 'react';
import { tame } from '../components/rich-text.tsx';
import { t } from '../i18n/i18n.ts';
import type { MessageView } from '../model.ts';
import type { App } from '../state/app.ts';
import { titleOf } from './person.ts';

const MAX_TEXT = 160;

export function useNotifications(app: App): void {
  useEffect(() => {
    const tell = (message: MessageView) => {
      const { notifications } = app.preferences.get();
      if (notifications === 'off' || document.hasFocus()) return;
      if (globalThis.Notification?.permission !== 'granted') return;
      const list = app.conversations.get()?.list ?? [];
      const conversation = list.find(({ person }) => person.id === message.conversation);
      // Of strangers nothing is told until they are accepted.
      if (conversation === undefined || (conversation.mutedUntil ?? 0) > Date.now()) return;
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
      shown.onclick = () => {
        window.focus();
        app.router.go({ at: 'chat', id: message.conversation });
        shown.close();
      };
    };
    app.arrivals.add(tell);
    return () => {
      app.arrivals.delete(tell);
    };
  }, [app]);
}
