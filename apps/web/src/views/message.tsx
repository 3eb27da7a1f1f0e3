// SPDX-License-Identifier: AGPL-3.0-or-later
// One message: bubble, answer, attachments, reactions. Scrolling makes some ten of them a frame, so a plain one has few
// elements, no state and no hooks; what can be done with a message comes when it is near (message-tools.tsx).
// `npm run bench -- web` measures it.
import { memo } from 'react';
import { Attachment } from '../components/attachment.tsx';
import { Avatar } from '../components/avatar.tsx';
import { DELIVERY_ICONS } from '../components/delivery-mark.tsx';
import { ProgressBar } from '../components/feedback.tsx';
import { Icon } from '../components/icon.tsx';
import { isOnlyEmoji, isPlain, RichText, safeHref, tame, tameLine } from '../components/rich-text.tsx';
import { clockTime, dayName, fullTime } from '../components/time.ts';
import { failureText, type Language, t } from '../i18n/i18n.ts';
import type { MessageView, PersonView } from '../model.ts';
import { MessageTools } from './message-tools.tsx';
import { noticeText } from './notice.ts';
import './message.css';

export interface MessageActions {
  readonly reply: (message: MessageView) => void;
  readonly edit: (message: MessageView) => void;
  readonly details: (message: MessageView) => void;
  readonly remove: (message: MessageView) => void;
  readonly goTo: (key: string) => void;
  /** Adds the reaction, or takes it back. */
  readonly react: (message: MessageView, emoji: string) => void;
  readonly resend: (message: MessageView) => void;
  readonly cancelSending: (message: MessageView) => void;
  readonly copy: (message: MessageView) => void;
  /** A menu of the message opens or closes: until then it is near. */
  readonly hold: (key: string, held: boolean) => void;
}

/** The same for all messages of a list. */
export interface MessageSetting {
  readonly person: PersonView;
  /** What the person is called. */
  readonly title: string;
  readonly actions: MessageActions;
  readonly language: Language;
  /** Days are named after it. */
  readonly today: number;
}

interface MessageProps {
  readonly message: MessageView;
  readonly setting: MessageSetting;
  /** Of the same sender, close in time: no room between, one tail. */
  readonly first: boolean;
  readonly last: boolean;
  /** Begins another day. */
  readonly newDay: boolean;
  /** The first unread one. */
  readonly unread: boolean;
  readonly marked: boolean;
  /** Under the pointer, or with the focus. */
  readonly near: boolean;
}

export const Message = memo(function Message(props: MessageProps) {
  const { message, newDay, unread } = props;
  return (
    <>
      {newDay && (
        <div className="messages__day">
          <span>{dayName(message.place)}</span>
        </div>
      )}
      {unread && (
        <div className="messages__unread">
          <span>{t('chat.unread')}</span>
        </div>
      )}
      {message.notice === undefined ? contentOf(props) : noticeOf(props)}
    </>
  );
});

// Functions, not components: React would keep an object for each.

function contentOf({ message, setting, first, last, marked, near }: MessageProps) {
  const { mine, deleted, text, attachments, quote, reactions, delivery } = message;
  const { person, title, actions } = setting;
  const large = quote === undefined && attachments.length === 0 && !deleted && isOnlyEmoji(text);
  let className = mine ? 'message message--mine' : 'message message--theirs';
  if (first) className += ' message--first';
  if (last) className += ' message--last';
  if (marked) className += ' message--marked';
  if (large) className += ' message--large';
  if (near) className += ' message--near';
  return (
    <article
      className={className}
      aria-label={t('message.label', {
        name: mine ? t('you') : title,
        time: fullTime(message.timestamp),
      })}
      tabIndex={-1}
      data-key={message.key}
    >
      {!mine && last && <Avatar id={person.id} name={person.name} pictureTag={person.pictureTag} size={30} />}
      <div className="bubble">
        {deleted ? (
          <p className="bubble__deleted">
            <Icon name="trash" size={15} /> {t('message.deleted')}
          </p>
        ) : (
          <>
            {quote && quoteOf(quote, setting)}
            {attachments.length > 0 &&
              attachments.map((attachment) => (
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
            {text !== '' &&
              (isPlain(text) ? (
                <bdi className="rich-text">{text}</bdi>
              ) : (
                <RichText text={text} mentions={message.mentions} />
              ))}
          </>
        )}
        {metaOf(message, actions, near)}
        {near && !deleted && <MessageTools message={message} actions={actions} />}
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
              onClick={() => actions.react(message, reaction.emoji)}
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
          <button type="button" className="link-button" onClick={() => actions.cancelSending(message)}>
            {t('cancel')}
          </button>
        </span>
      )}
      {delivery?.state === 'failed' && (
        <p className="message__failed">
          {failureText(delivery.reason)}{' '}
          <button type="button" className="link-button" onClick={() => actions.resend(message)}>
            {t('message.resend')}
          </button>
        </p>
      )}
    </article>
  );
}

function quoteOf(quote: NonNullable<MessageView['quote']>, { person, title, actions }: MessageSetting) {
  return (
    <button
      type="button"
      className="quote"
      onClick={() => actions.goTo(`${quote.author}:${quote.timestamp}`)}
    >
      <bdi className="quote__author">
        {quote.author === person.id ? title : (quote.authorName ?? t('you'))}
      </bdi>
      <bdi className="quote__text">
        {quote.text === undefined ? t('quote.unknown') : tame(quote.text) || t('attachment.file')}
      </bdi>
    </button>
  );
}

/** Time and how far it has come. Hints for the pointer are there when the pointer is. */
function metaOf(message: MessageView, actions: MessageActions, near: boolean) {
  const { timestamp, expiresAt, editedAt, delivery } = message;
  const clock = clockTime(timestamp);
  const time = editedAt === undefined ? clock : `${t('message.edited')} ${clock}`;
  const expires = expiresAt === undefined ? undefined : t('message.expires', { time: fullTime(expiresAt) });
  const hint = near
    ? [fullTime(timestamp), ...(expires === undefined ? [] : [expires])].join(' · ')
    : undefined;
  if (delivery === undefined && expires === undefined) {
    return (
      <time className="bubble__meta" title={hint}>
        {time}
      </time>
    );
  }
  if (delivery === undefined) {
    return (
      <span className="bubble__meta" title={hint}>
        <Icon name="timer" size={13} />
        <span className="sr-only">{expires}</span>
        <time>{time}</time>
      </span>
    );
  }
  const state = t(`delivery.${delivery.state}`);
  return (
    <button
      type="button"
      className="bubble__meta"
      // What is seen, what the signs mean, and what it does.
      aria-label={`${time}. ${expires === undefined ? '' : `${expires}. `}${state}. ${t('message.details')}`}
      title={hint === undefined ? undefined : `${state} · ${hint}`}
      onClick={() => actions.details(message)}
    >
      {expires !== undefined && <Icon name="timer" size={13} />}
      {time}
      <Icon name={DELIVERY_ICONS[delivery.state]} size={15} look={`delivery-mark--${delivery.state}`} />
    </button>
  );
}

function noticeOf({ message, setting }: MessageProps) {
  const name = message.mine ? undefined : setting.title;
  const notice = message.notice ?? { kind: 'timer' };
  const { kind } = notice;
  return (
    <p className="notice" data-key={message.key}>
      <Icon name={kind === 'timer' ? 'timer' : kind === 'screenshot' ? 'image' : 'download'} size={15} />
      <bdi>{noticeText(notice, name)}</bdi>
    </p>
  );
}

function hostOf(url: string): string {
  const href = safeHref(url);
  return href === undefined ? '' : new URL(href).host;
}
