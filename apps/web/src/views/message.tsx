// SPDX-License-Identifier: AGPL-3.0-or-later
// One message: bubble, answer, attachments, reactions, and what can be done with it.
import { memo, useState } from 'react';
import { Attachment } from '../components/attachment.tsx';
import { Avatar } from '../components/avatar.tsx';
import { IconButton } from '../components/button.tsx';
import { DeliveryMark } from '../components/delivery-mark.tsx';
import { EmojiPicker } from '../components/emoji-picker.tsx';
import { ProgressBar } from '../components/feedback.tsx';
import { Icon } from '../components/icon.tsx';
import { Menu, type MenuItem } from '../components/menu.tsx';
import { isOnlyEmoji, RichText, safeHref, tame, tameLine } from '../components/rich-text.tsx';
import { clockTime, fullTime } from '../components/time.ts';
import { errorText, t } from '../i18n/i18n.ts';
import type { MessageView, PersonView } from '../model.ts';
import { useApp } from '../state/context.ts';
import { titleOf } from './person.ts';
import { timerText } from './timer-dialog.tsx';
import './message.css';

export interface MessageActions {
  readonly reply: (message: MessageView) => void;
  readonly edit: (message: MessageView) => void;
  readonly details: (message: MessageView) => void;
  readonly remove: (message: MessageView) => void;
  readonly goTo: (key: string) => void;
}

interface MessageProps {
  readonly message: MessageView;
  readonly person: PersonView;
  /** Of the same sender, close in time: no room between, one tail. */
  readonly first: boolean;
  readonly last: boolean;
  readonly marked: boolean;
  readonly actions: MessageActions;
}

export const Message = memo(function Message({
  message,
  person,
  first,
  last,
  marked,
  actions,
}: MessageProps) {
  const app = useApp();
  const [near, setNear] = useState(false);
  /** A menu of it is open. */
  const [held, setHeld] = useState(false);
  const { mine, deleted, text, attachments, quote, reactions, delivery } = message;
  const senderName = mine ? t('you') : titleOf(person);
  if (message.notice !== undefined) return <NoticeLine message={message} name={senderName} />;
  const large = quote === undefined && attachments.length === 0 && !deleted && isOnlyEmoji(text);
  const react = (emoji: string) => {
    const has = reactions.some((reaction) => reaction.mine && reaction.emoji === emoji);
    void app.call('react', [
      message.conversation,
      { sender: message.sender, timestamp: message.timestamp },
      emoji,
      has,
    ]);
  };
  return (
    <article
      className={`message ${mine ? 'message--mine' : 'message--theirs'} ${first ? 'message--first' : ''} ${last ? 'message--last' : ''} ${marked ? 'message--marked' : ''} ${large ? 'message--large' : ''}`}
      aria-label={t('message.label', { name: senderName, time: fullTime(message.timestamp) })}
      tabIndex={-1}
      data-key={message.key}
      onPointerEnter={() => setNear(true)}
      onPointerLeave={() => setNear(false)}
      onFocus={() => setNear(true)}
      onBlur={(event) => {
        if (!event.currentTarget.contains(event.relatedTarget)) setNear(false);
      }}
    >
      {!mine && (
        <span className="message__avatar">
          {last && <Avatar id={person.id} name={person.name} pictureTag={person.pictureTag} size={30} />}
        </span>
      )}
      <div className="message__column">
        <div className="bubble">
          {deleted ? (
            <p className="bubble__deleted">
              <Icon name="trash" size={15} /> {t('message.deleted')}
            </p>
          ) : (
            <>
              {quote && (
                <button
                  type="button"
                  className="quote"
                  onClick={() => actions.goTo(`${quote.author}:${quote.timestamp}`)}
                >
                  <bdi className="quote__author">
                    {quote.author === person.id ? titleOf(person) : (quote.authorName ?? t('you'))}
                  </bdi>
                  <bdi className="quote__text">
                    {quote.text === undefined ? t('quote.unknown') : tame(quote.text) || t('attachment.file')}
                  </bdi>
                </button>
              )}
              {attachments.map((attachment) => (
                <Attachment
                  key={attachment.index}
                  message={message}
                  attachment={attachment}
                  trusted={mine || person.approved}
                />
              ))}
              {message.preview?.title !== undefined && (
                <span className="link-card">
                  <strong>
                    <bdi>{tameLine(message.preview.title)}</bdi>
                  </strong>
                  <span dir="ltr">{hostOf(message.preview.url)}</span>
                </span>
              )}
              {text !== '' && <RichText text={text} mentions={message.mentions} />}
            </>
          )}
          <span className="bubble__meta">
            {message.expiresAt !== undefined && (
              <span title={fullTime(message.expiresAt)}>
                <Icon name="timer" size={13} />
                <span className="sr-only">{t('message.expires', { time: fullTime(message.expiresAt) })}</span>
              </span>
            )}
            {message.editedAt !== undefined && <span>{t('message.edited')}</span>}
            <time dateTime={new Date(message.timestamp).toISOString()} title={fullTime(message.timestamp)}>
              {clockTime(message.timestamp)}
            </time>
            {delivery && (
              <button
                type="button"
                className="bubble__delivery"
                aria-label={`${t(`delivery.${delivery.state}`)}. ${t('message.details')}`}
                title={t(`delivery.${delivery.state}`)}
                onClick={() => actions.details(message)}
              >
                <DeliveryMark state={delivery.state} named />
              </button>
            )}
          </span>
        </div>
        {reactions.length > 0 && (
          <div className="reactions">
            {reactions.map((reaction) => (
              <button
                key={reaction.emoji}
                type="button"
                className="reaction"
                aria-pressed={reaction.mine}
                aria-label={t('reaction.label', { emoji: reaction.emoji, n: reaction.by.length })}
                onClick={() => react(reaction.emoji)}
              >
                <span>{reaction.emoji}</span>
                {reaction.by.length > 1 && <span>{reaction.by.length}</span>}
              </button>
            ))}
          </div>
        )}
        {delivery?.progress !== undefined && delivery.state === 'queued' && (
          <span className="message__upload">
            <ProgressBar
              label={t('delivery.queued')}
              value={delivery.progress.done / Math.max(1, delivery.progress.total)}
            />
            <button
              type="button"
              className="link-button"
              onClick={() => void app.call('cancelSending', [message.conversation, message.timestamp])}
            >
              {t('cancel')}
            </button>
          </span>
        )}
        {delivery?.state === 'failed' && (
          <p className="message__failed">
            {errorText(delivery.reason ?? 'not_stored')}{' '}
            <button
              type="button"
              className="link-button"
              onClick={() => void app.call('resend', [message.conversation, message.timestamp])}
            >
              {t('message.resend')}
            </button>
          </p>
        )}
      </div>
      <div className="message__tools">
        {(near || held) && !deleted && (
          <Tools message={message} react={react} actions={actions} onHold={setHeld} />
        )}
      </div>
    </article>
  );
});

function NoticeLine({ message, name }: { readonly message: MessageView; readonly name: string }) {
  const { kind, seconds = 0 } = message.notice ?? { kind: 'timer' };
  const text =
    kind !== 'timer'
      ? t(`notice.${kind}`, { name })
      : seconds === 0
        ? t('notice.timer_off', { name })
        : t('notice.timer_on', { name, time: timerText(seconds) });
  return (
    <p className="notice" data-key={message.key}>
      <Icon name={kind === 'timer' ? 'timer' : kind === 'screenshot' ? 'image' : 'download'} size={15} />
      <bdi>{text}</bdi>
    </p>
  );
}

function hostOf(url: string): string {
  const href = safeHref(url);
  return href === undefined ? '' : new URL(href).host;
}

interface ToolsProps {
  readonly message: MessageView;
  readonly react: (emoji: string) => void;
  readonly actions: MessageActions;
  readonly onHold: (held: boolean) => void;
}

function Tools({ message, react, actions, onHold }: ToolsProps) {
  const app = useApp();
  const { text, mine, attachments } = message;
  const first: MenuItem[] = [
    ...(text === ''
      ? []
      : [
          {
            label: t('copy'),
            icon: 'copy' as const,
            onSelect: () =>
              void navigator.clipboard.writeText(text).then(
                () => app.toast('copied', 'done'),
                () => app.toast('clipboard', 'error'),
              ),
          },
        ]),
    { label: t('message.details'), icon: 'info', onSelect: () => actions.details(message) },
    ...(mine && text !== '' && attachments.length === 0
      ? [{ label: t('message.edit'), icon: 'edit' as const, onSelect: () => actions.edit(message) }]
      : []),
  ];
  return (
    <>
      <IconButton size="s" icon="reply" label={t('message.reply')} onClick={() => actions.reply(message)} />
      <EmojiPicker
        trigger={<IconButton size="s" icon="smile" label={t('message.react')} />}
        onPick={react}
        onOpenChange={onHold}
      />
      <Menu
        trigger={<IconButton size="s" icon="more" label={t('message.more')} />}
        onOpenChange={onHold}
        groups={[
          first,
          [{ label: t('delete'), icon: 'trash', danger: true, onSelect: () => actions.remove(message) }],
        ]}
      />
    </>
  );
}
