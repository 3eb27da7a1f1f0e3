// SPDX-License-Identifier: AGPL-3.0-or-later
// What can be done with a message: answer, react, and a menu. Only the message that is near has them.
import { useRef } from 'react';
import { IconButton } from '../components/button.tsx';
import { EmojiPicker } from '../components/emoji-picker.tsx';
import { Menu, type MenuItem } from '../components/menu.tsx';
import { t } from '../i18n/i18n.ts';
import type { MessageView } from '../model.ts';
import type { MessageActions } from './message.tsx';

/** Where it stands in the document, if it does. */
export const elementOfMessage = (key: string): HTMLElement | null =>
  document.querySelector<HTMLElement>(`.message[data-key="${CSS.escape(key)}"]`);

interface ToolsProps {
  readonly message: MessageView;
  readonly actions: MessageActions;
}

export function MessageTools({ message, actions }: ToolsProps) {
  const { key, text, mine, attachments } = message;
  const hold = (held: boolean) => actions.hold(key, held);
  // The buttons go with the focus; the message stays.
  const isEditing = useRef(false);
  const finalFocus = () =>
    isEditing.current ? document.querySelector<HTMLElement>('.composer__text') : elementOfMessage(key);
  const edit = () => {
    isEditing.current = true;
    actions.edit(message);
  };
  const first: MenuItem[] = [
    ...(text === ''
      ? []
      : [{ label: t('copy'), icon: 'copy' as const, onSelect: () => actions.copy(message) }]),
    { label: t('message.details'), icon: 'info', onSelect: () => actions.details(message) },
    ...(mine && text !== '' && attachments.length === 0
      ? [{ label: t('message.edit'), icon: 'edit' as const, onSelect: edit }]
      : []),
  ];
  return (
    <div className="message__tools">
      <IconButton size="s" icon="reply" label={t('message.reply')} onClick={() => actions.reply(message)} />
      <EmojiPicker
        trigger={<IconButton size="s" icon="smile" label={t('message.react')} />}
        onPick={(emoji) => actions.react(message, emoji)}
        onOpenChange={hold}
        finalFocus={finalFocus}
      />
      <Menu
        trigger={<IconButton size="s" icon="more" label={t('message.more')} />}
        onOpenChange={hold}
        finalFocus={finalFocus}
        groups={[
          first,
          [{ label: t('delete'), icon: 'trash', danger: true, onSelect: () => actions.remove(message) }],
        ]}
      />
    </div>
  );
}
