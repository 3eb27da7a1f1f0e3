// SPDX-License-Identifier: AGPL-3.0-or-later
// The column of conversations: own account, search, requests, list, how the connection stands.
import { shortId } from '@allium/protocol/account-id';
import { type KeyboardEvent, memo, useEffect, useState } from 'react';
import { Avatar } from '../components/avatar.tsx';
import { Button, IconButton } from '../components/button.tsx';
import { DeliveryMark } from '../components/delivery-mark.tsx';
import { Empty, Note, SkeletonRows } from '../components/feedback.tsx';
import { Icon } from '../components/icon.tsx';
import { Menu } from '../components/menu.tsx';
import { tame } from '../components/rich-text.tsx';
import { fullTime, isoTime, shortTime } from '../components/time.ts';
import { useToday } from '../components/today.ts';
import { t } from '../i18n/i18n.ts';
import type { ConversationView, PersonView, SearchHit } from '../model.ts';
import { useApp } from '../state/context.ts';
import { useStore } from '../state/store.ts';
import { NetworkChip } from './network-chip.tsx';
import { noticeText } from './notice.ts';
import { titleOf } from './person.ts';
import { SpaceNote } from './space-note.tsx';
import { focusComposer, isTouch } from './writing.ts';
import './conversation-list.css';

const SEARCH_AFTER_MS = 180;

/** `takesFocus`: when nothing else has the focus as the list comes. */
export function ConversationList({ takesFocus = false }: { readonly takesFocus?: boolean }) {
  const app = useApp();
  const session = useStore(app.session);
  const conversations = useStore(app.conversations);
  const route = useStore(app.router.route);
  const [query, setQuery] = useState('');
  const today = useToday();
  const current = route.at === 'chat' || route.at === 'contact' ? route.id : undefined;
  const name = session?.profile.name;
  const requests = conversations?.requests ?? [];
  const isThere = conversations !== undefined;
  useEffect(() => {
    if (!takesFocus || !isThere || isTouch() || document.activeElement !== document.body) return;
    document.querySelector<HTMLElement>('.sidebar__scroll .row, .sidebar__scroll .button')?.focus();
  }, [takesFocus, isThere]);
  return (
    <nav className="sidebar" aria-label={t('conversations')}>
      <header className="sidebar__header">
        <button
          type="button"
          className="sidebar__me"
          aria-label={t('settings.open')}
          title={t('settings.open')}
          onClick={() => app.router.go({ at: 'settings' })}
        >
          <Avatar
            id={session?.current?.id ?? ''}
            name={name}
            pictureTag={session?.profile.pictureTag}
            size={38}
          />
        </button>
        <h2 className="sidebar__title">{t('conversations')}</h2>
        <AccountMenu />
        <IconButton icon="compose" label={t('new_chat')} onClick={() => app.router.go({ at: 'new' })} />
      </header>
      <search className="sidebar__search">
        <Icon name="search" size={17} />
        <input
          type="search"
          dir="auto"
          value={query}
          placeholder={t('search')}
          aria-label={t('search')}
          onChange={({ target }) => setQuery(target.value)}
          onKeyDown={(event) => {
            if (event.key !== 'Escape' || query === '') return;
            setQuery('');
            event.preventDefault();
          }}
        />
      </search>
      <SpaceNote />
      {session?.current?.phraseConfirmed === false && query === '' && <PhraseReminder />}
      <div className="sidebar__scroll scroll" role="presentation" onKeyDown={moveFocus}>
        {query.trim() !== '' ? (
          <SearchResults query={query.trim()} />
        ) : conversations === undefined ? (
          <SkeletonRows rows={7} />
        ) : (
          <>
            {requests.length > 0 && (
              <button
                type="button"
                className="row row--requests"
                aria-current={route.at === 'requests' ? 'page' : undefined}
                onClick={() => app.router.go({ at: 'requests' })}
              >
                <span className="row__glyph">
                  <Icon name="inbox" />
                </span>
                <span className="row__title">{t('requests')}</span>
                <span className="badge">{requests.length}</span>
              </button>
            )}
            {conversations.list.length === 0 && requests.length === 0 && (
              <Empty icon="compose" title={t('list.empty.title')}>
                <p>{t('list.empty.about')}</p>
                <Button look="primary" onClick={() => app.router.go({ at: 'new' })}>
                  {t('new_chat')}
                </Button>
              </Empty>
            )}
            <ul>
              {conversations.list.map((conversation) => (
                <li key={conversation.person.id}>
                  <ConversationRow
                    conversation={conversation}
                    selected={conversation.person.id === current}
                    today={today}
                  />
                </li>
              ))}
            </ul>
          </>
        )}
      </div>
      <NetworkChip />
    </nav>
  );
}

function PhraseReminder() {
  const app = useApp();
  const { phraseReminderAt } = useStore(app.preferences);
  if (phraseReminderAt > Date.now()) return null;
  return (
    <div className="sidebar__note">
      <Note kind="warning" icon="key">
        <p>{t('phrase.reminder')}</p>
        <div className="sidebar__note-actions">
          <Button look="primary" onClick={() => app.router.go({ at: 'settings', page: 'phrase' })}>
            {t('phrase.reminder.now')}
          </Button>
          <Button
            look="plain"
            onClick={() => app.preferences.change({ phraseReminderAt: Date.now() + 86_400_000 })}
          >
            {t('later')}
          </Button>
        </div>
      </Note>
    </div>
  );
}

function AccountMenu() {
  const app = useApp();
  const session = useStore(app.session);
  const others = session?.accounts.filter(({ key }) => key !== session.current?.key) ?? [];
  return (
    <Menu
      trigger={<IconButton icon="more" label={t('menu')} />}
      groups={[
        [
          { label: t('settings'), icon: 'settings', onSelect: () => app.router.go({ at: 'settings' }) },
          { label: t('network'), icon: 'path', onSelect: () => app.router.go({ at: 'network' }) },
          { label: t('protected'), icon: 'shield', onSelect: () => app.router.go({ at: 'protected' }) },
          { label: t('keys.title'), icon: 'keyboard', onSelect: () => app.keysShown.set(true) },
        ],
        [
          ...others.map(({ key, name, id }) => ({
            label: name ?? (id === '' ? t('account.locked') : shortId(id)),
            icon: 'user' as const,
            onSelect: () => void app.call('switchAccount', [key]),
          })),
          {
            label: t('account.add'),
            icon: 'plus',
            onSelect: () => void app.call('switchAccount', [undefined]),
          },
        ],
        session?.current !== undefined && session.current.sealedBy !== 'browser'
          ? [{ label: t('lock'), icon: 'lock', onSelect: () => void app.lock() }]
          : [],
      ]}
    />
  );
}

interface RowProps {
  readonly conversation: ConversationView;
  readonly selected: boolean;
  /** Days are named after it. */
  readonly today: number;
}

export const ConversationRow = memo(function ConversationRow({ conversation, selected }: RowProps) {
  const app = useApp();
  const typing = useStore(app.typing);
  const { person, preview, unread, markedUnread = false, pinned, mutedUntil, draft } = conversation;
  const isMuted = mutedUntil !== undefined && mutedUntil > Date.now();
  return (
    <button
      type="button"
      className={`row ${unread > 0 || markedUnread ? 'row--unread' : ''}`}
      aria-current={selected ? 'page' : undefined}
      onClick={() => {
        app.router.go({ at: 'chat', id: person.id });
        // One that is opened takes the focus itself.
        if (selected) focusComposer();
      }}
    >
      <Avatar
        id={person.id}
        name={person.isSelf ? undefined : person.name}
        pictureTag={person.pictureTag}
        size={46}
      />
      <span className="row__text">
        <span className="row__top">
          <bdi className="row__title">{titleOf(person)}</bdi>
          {person.verified && (
            <span className="row__verified" title={t('verified')}>
              <Icon name="shield" size={14} />
              <span className="sr-only">{t('verified')}</span>
            </span>
          )}
          {isMuted && <Icon name="bellOff" size={14} />}
          {pinned && <Icon name="pin" size={14} />}
          <span className="row__space" />
          {preview && (
            <time className="row__time" dateTime={isoTime(preview.at)} title={fullTime(preview.at)}>
              {shortTime(preview.at)}
            </time>
          )}
        </span>
        <span className="row__bottom">
          {typing.has(person.id) ? (
            <span className="row__typing">{t('typing')}</span>
          ) : draft !== undefined && !selected ? (
            <span className="row__preview">
              <em className="row__draft">{t('draft')}</em> <bdi>{tame(draft)}</bdi>
            </span>
          ) : (
            <span className="row__preview">
              {preview?.delivery && <DeliveryMark state={preview.delivery} size={14} />}
              <bdi>{preview && previewText(preview, person)}</bdi>
            </span>
          )}
          {unread === 0 && markedUnread && (
            <span className={`badge ${isMuted ? 'badge--quiet' : ''}`}>
              <span className="sr-only">{t('marked_unread')}</span>
            </span>
          )}
          {unread > 0 && (
            <span className={`badge ${isMuted ? 'badge--quiet' : ''}`}>
              <span aria-hidden="true">{unread > 999 ? '999+' : unread}</span>
              <span className="sr-only">{t('unread', { n: unread })}</span>
            </span>
          )}
        </span>
      </span>
    </button>
  );
});

function previewText(preview: NonNullable<ConversationView['preview']>, person: PersonView): string {
  if (preview.notice !== undefined)
    return noticeText(preview.notice, preview.mine ? undefined : titleOf(person));
  if (preview.deleted) return t('message.deleted');
  if (preview.text !== '') return tame(preview.text).replaceAll(/\s+/g, ' ');
  return preview.attachment === undefined ? '' : t(`attachment.${preview.attachment}`);
}

function SearchResults({ query }: { readonly query: string }) {
  const app = useApp();
  const conversations = useStore(app.conversations);
  const [hits, setHits] = useState<readonly SearchHit[]>();
  useEffect(() => {
    const abort = new AbortController();
    setHits(undefined);
    const timer = setTimeout(() => {
      app.backend
        .call('search', [query], { signal: abort.signal })
        .then(setHits)
        .catch((error: unknown) => {
          if (!abort.signal.aborted) app.fail(error);
        });
    }, SEARCH_AFTER_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [app, query]);
  const today = useToday();
  const folded = query.toLowerCase();
  const people = (conversations?.list ?? []).filter(
    ({ person }) => titleOf(person).toLowerCase().includes(folded) || person.id === folded,
  );
  return (
    <>
      {people.length > 0 && <h2 className="sidebar__section">{t('search.people')}</h2>}
      <ul>
        {people.map((conversation) => (
          <li key={conversation.person.id}>
            <ConversationRow conversation={conversation} selected={false} today={today} />
          </li>
        ))}
      </ul>
      <h2 className="sidebar__section" aria-live="polite">
        {hits === undefined ? t('search.running') : t('search.hits', { n: hits.length })}
      </h2>
      {hits === undefined && <SkeletonRows rows={3} />}
      <ul>
        {hits?.map(({ message, person }) => (
          <li key={message.key}>
            <button
              type="button"
              className="row"
              onClick={() => app.router.go({ at: 'chat', id: person.id, focus: { key: message.key } })}
            >
              <Avatar
                id={person.id}
                name={person.isSelf ? undefined : person.name}
                pictureTag={person.pictureTag}
                size={38}
              />
              <span className="row__text">
                <span className="row__top">
                  <bdi className="row__title">{titleOf(person)}</bdi>
                  <span className="row__space" />
                  <span className="row__time">{shortTime(message.place)}</span>
                </span>
                <span className="row__preview">
                  <bdi>{around(message.text, folded)}</bdi>
                </span>
              </span>
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}

/** The part of a text in which the hit is. */
function around(text: string, folded: string): string {
  const at = Math.max(0, text.toLowerCase().indexOf(folded));
  const from = Math.max(0, at - 24);
  return `${from > 0 ? '…' : ''}${tame(text.slice(from, at + 120)).replaceAll(/\s+/g, ' ')}`;
}

function moveFocus(event: KeyboardEvent<HTMLElement>): void {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step === undefined) return;
  const rows = [...event.currentTarget.querySelectorAll<HTMLElement>('.row')];
  const at = rows.indexOf(document.activeElement as HTMLElement);
  rows[Math.max(0, Math.min(rows.length - 1, at + step))]?.focus();
  event.preventDefault();
}
