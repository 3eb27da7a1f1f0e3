// SPDX-License-Identifier: AGPL-3.0-or-later
// A conversation: header, messages, composer, and the dialogs that belong to messages.
import { Fragment, useEffect, useMemo, useRef, useState } from 'react';
import { Avatar } from '../components/avatar.tsx';
import { Button, IconButton } from '../components/button.tsx';
import { Dialog } from '../components/dialog.tsx';
import { Note } from '../components/feedback.tsx';
import { Icon } from '../components/icon.tsx';
import { Menu } from '../components/menu.tsx';
import { tame } from '../components/rich-text.tsx';
import { fullTime } from '../components/time.ts';
import { failureText, t } from '../i18n/i18n.ts';
import type { MessageView, PersonView } from '../model.ts';
import type { App } from '../state/app.ts';
import { useApp } from '../state/context.ts';
import { useStore } from '../state/store.ts';
import { Composer, type ComposerHandle } from './composer.tsx';
import { useCommand } from './keys.tsx';
import type { MessageActions } from './message.tsx';
import { MessageList } from './message-list.tsx';
import { elementOfMessage } from './message-tools.tsx';
import { timerText } from './notice.ts';
import { titleOf } from './person.ts';
import { TimerDialog } from './timer-dialog.tsx';
import './chat-view.css';
import './pane.css';

const HOUR_MS = 3_600_000;
/** Deletes for everyone so long after sending; later most clients ignore it. */
const UNSEND_MS = 14 * 86_400_000;

export function ChatView({
  id,
  focus,
}: {
  readonly id: string;
  readonly focus?: { readonly key: string } | undefined;
}) {
  const app = useApp();
  const conversations = useStore(app.conversations);
  const listed = [...(conversations?.list ?? []), ...(conversations?.requests ?? [])].find(
    ({ person }) => person.id === id,
  );
  const [fetched, setFetched] = useState<PersonView>();
  const person = listed?.person ?? fetched;
  const chat = useMemo(() => app.chat(id), [app, id]);
  const { messages, phase } = useStore(chat.state);
  const [replyTo, setReplyTo] = useState<MessageView>();
  const [editing, setEditing] = useState<MessageView>();
  const [details, setDetails] = useState<string>();
  const [removing, setRemoving] = useState<MessageView>();
  const [dropping, setDropping] = useState(false);
  const [timer, setTimer] = useState(false);
  const [erasing, setErasing] = useState(false);
  const composer = useRef<ComposerHandle>(null);
  const lastKey = messages.at(-1)?.key;

  // biome-ignore lint/correctness/useExhaustiveDependencies: also when the conversations change
  useEffect(() => {
    if (listed === undefined) {
      app.backend
        .call('person', [id])
        .then(setFetched)
        .catch(() => undefined);
    }
  }, [app, id, listed === undefined, conversations]);

  // Read is what was shown in a window that has the focus.
  // biome-ignore lint/correctness/useExhaustiveDependencies: for each new message
  useEffect(() => {
    const mark = () => {
      if (document.hasFocus() && phase === 'ready' && person?.approved === true) {
        void app.backend.call('markRead', [id]).catch(() => undefined);
      }
    };
    mark();
    window.addEventListener('focus', mark);
    return () => window.removeEventListener('focus', mark);
  }, [app, id, phase, lastKey, person?.approved]);

  const actions = useMemo(
    () => ({
      reply: (message: MessageView) => {
        setEditing(undefined);
        setReplyTo(message);
      },
      edit: (message: MessageView) => {
        setReplyTo(undefined);
        setEditing(message);
      },
      details: (message: MessageView) => setDetails(message.key),
      remove: setRemoving,
    }),
    [],
  );
  const onDone = () => {
    setReplyTo(undefined);
    setEditing(undefined);
  };
  const editLast = () => {
    const last = messages.findLast((message) => canEdit(message));
    if (last !== undefined) actions.edit(last);
    return last !== undefined;
  };
  useMessageCommands(messages, actions);
  useCommand('contact', () => app.router.push({ at: 'contact', id }));
  useCommand('mute', () => {
    const isMuted = (listed?.mutedUntil ?? 0) > Date.now();
    if (person?.approved === true && !person.isSelf)
      void app.call('setMuted', [id, isMuted ? undefined : Number.MAX_SAFE_INTEGER]);
  });
  useCommand('unread', () => {
    if (person?.approved === true && !person.isSelf) markUnread(app, id);
  });
  useCommand('attach', () => composer.current?.attach());
  useCommand('voice', () => composer.current?.record());
  useCommand('emoji', () => composer.current?.emoji());
  const shownDetails = details === undefined ? undefined : messages.find(({ key }) => key === details);
  const isRequest =
    person !== undefined && !person.approved && !person.blocked && messages.some(({ mine }) => !mine);

  return (
    <section
      className="chat"
      aria-label={person && titleOf(person)}
      onDragOver={(event) => {
        if (!event.dataTransfer.types.includes('Files') || isRequest) return;
        event.preventDefault();
        setDropping(true);
      }}
      onDragLeave={(event) => {
        if (
          event.currentTarget === event.target ||
          !event.currentTarget.contains(event.relatedTarget as Node)
        ) {
          setDropping(false);
        }
      }}
      onDrop={(event) => {
        event.preventDefault();
        setDropping(false);
        composer.current?.addFiles([...event.dataTransfer.files]);
      }}
    >
      <header className="pane-header">
        <span className="pane-header__back icon-flip">
          <IconButton icon="back" label={t('back')} onClick={() => app.router.home()} />
        </span>
        {person !== undefined && (
          <>
            <button
              type="button"
              className="chat__person"
              onClick={() => app.router.push({ at: 'contact', id })}
              title={t('contact.open')}
            >
              <Avatar
                id={id}
                name={person.isSelf ? undefined : person.name}
                pictureTag={person.pictureTag}
                size={40}
              />
              <span className="chat__names">
                <bdi className="chat__name">{titleOf(person)}</bdi>
                <Subtitle person={person} timerSeconds={listed?.timerSeconds} />
              </span>
            </button>
            <ChatMenu
              person={person}
              conversation={listed}
              onTimer={() => setTimer(true)}
              onErase={() => setErasing(true)}
            />
          </>
        )}
      </header>
      {person !== undefined && (
        <>
          <MessageList key={`messages ${id}`} chat={chat} person={person} actions={actions} focus={focus} />
          {person.blocked ? (
            <div className="chat__foot">
              <Note icon="block">
                <p>{t('chat.blocked')}</p>
                <Button onClick={() => void app.call('setBlocked', [id, false])}>{t('unblock')}</Button>
              </Note>
            </div>
          ) : isRequest ? (
            <RequestBar person={person} />
          ) : (
            <Composer
              key={`composer ${id}`}
              ref={composer}
              person={person}
              draft={listed?.draft ?? ''}
              replyTo={replyTo}
              editing={editing}
              onDone={onDone}
              onEditLast={editLast}
            />
          )}
        </>
      )}
      {dropping && (
        <div className="chat__drop" aria-hidden="true">
          <Icon name="upload" size={34} />
          {t('composer.drop')}
        </div>
      )}
      {shownDetails && person && (
        <DetailsDialog message={shownDetails} person={person} onClose={() => setDetails(undefined)} />
      )}
      {removing && <RemoveDialog message={removing} onClose={() => setRemoving(undefined)} />}
      {timer && (
        <TimerDialog
          id={id}
          isSelf={person?.isSelf === true}
          seconds={listed?.timerSeconds ?? 0}
          mode={listed?.timerMode ?? 'after_send'}
          onClose={() => setTimer(false)}
        />
      )}
      {erasing && person && <EraseDialog person={person} onClose={() => setErasing(false)} />}
    </section>
  );
}

/** Texts of ours; how long after sending is the client's to say. */
const canEdit = ({ mine, deleted, text, attachments, notice }: MessageView): boolean =>
  mine && !deleted && text !== '' && attachments.length === 0 && notice === undefined;

/** What keys do with the message that has the focus. */
function useMessageCommands(
  messages: readonly MessageView[],
  actions: Pick<MessageActions, 'reply' | 'edit' | 'details' | 'remove'>,
): void {
  const app = useApp();
  const focused = () => document.activeElement?.closest<HTMLElement>('.message') ?? undefined;
  const withMessage = (does: (message: MessageView) => void) => () => {
    const key = focused()?.dataset.key;
    const message = messages.find((one) => one.key === key);
    if (message !== undefined && !message.deleted) does(message);
  };
  useCommand('reply', withMessage(actions.reply));
  useCommand(
    'edit',
    withMessage((message) => canEdit(message) && actions.edit(message)),
  );
  useCommand('details', withMessage(actions.details));
  useCommand('delete', withMessage(actions.remove));
  useCommand(
    'copy',
    withMessage(({ text }) => text !== '' && copyText(app, text)),
  );
  useCommand('react', () =>
    focused()?.querySelector<HTMLElement>('.message__tools [aria-haspopup=dialog]')?.click(),
  );
}

function copyText(app: App, text: string): void {
  void navigator.clipboard.writeText(text).then(
    () => app.toast('copied', 'done'),
    () => app.toast('clipboard', 'error'),
  );
}

/** Whoever stays in the conversation would read it again at once. */
function markUnread(app: App, id: string): void {
  app.router.home();
  void app.call('markUnread', [id]);
}

function Subtitle({
  person,
  timerSeconds,
}: {
  readonly person: PersonView;
  readonly timerSeconds: number | undefined;
}) {
  const app = useApp();
  const typing = useStore(app.typing).has(person.id);
  if (typing) return <span className="chat__subtitle chat__subtitle--typing">{t('typing')}</span>;
  const parts = [
    ...(person.isSelf ? [t('chat.self')] : [person.verified ? t('verified') : t('chat.encrypted')]),
    ...(timerSeconds === undefined || timerSeconds === 0 ? [] : [timerText(timerSeconds)]),
  ];
  return (
    <span className={`chat__subtitle ${person.verified ? 'chat__subtitle--verified' : ''}`}>
      <Icon name={person.verified ? 'shield' : person.isSelf ? 'note' : 'lock'} size={13} />
      {parts.join(' · ')}
    </span>
  );
}

interface ChatMenuProps {
  readonly person: PersonView;
  readonly conversation: { readonly pinned: boolean; readonly mutedUntil?: number } | undefined;
  readonly onTimer: () => void;
  readonly onErase: () => void;
}

function ChatMenu({ person, conversation, onTimer, onErase }: ChatMenuProps) {
  const app = useApp();
  const { id, isSelf, approved } = person;
  if (!approved) return null;
  const isMuted = (conversation?.mutedUntil ?? 0) > Date.now();
  return (
    <Menu
      trigger={<IconButton icon="more" label={t('chat.menu')} />}
      groups={[
        [
          { label: t('contact.open'), icon: 'user', onSelect: () => app.router.push({ at: 'contact', id }) },
          {
            label: conversation?.pinned === true ? t('unpin') : t('pin'),
            icon: 'pin',
            onSelect: () => void app.call('setPinned', [id, conversation?.pinned !== true]),
          },
          ...(isSelf
            ? []
            : [
                {
                  label: isMuted ? t('unmute') : t('mute.8h'),
                  icon: isMuted ? ('bell' as const) : ('bellOff' as const),
                  onSelect: () =>
                    void app.call('setMuted', [id, isMuted ? undefined : Date.now() + 8 * HOUR_MS]),
                },
                ...(isMuted
                  ? []
                  : [
                      {
                        label: t('mute.always'),
                        icon: 'bellOff' as const,
                        onSelect: () => void app.call('setMuted', [id, Number.MAX_SAFE_INTEGER]),
                      },
                    ]),
              ]),
          { label: t('timer.title'), icon: 'timer', onSelect: onTimer },
          ...(isSelf
            ? []
            : [{ label: t('mark_unread'), icon: 'inbox' as const, onSelect: () => markUnread(app, id) }]),
        ],
        [
          {
            label: t('chat.hide'),
            icon: 'eyeOff',
            onSelect: () => {
              void app.call('hide', [id]);
              app.router.home();
            },
          },
          ...(isSelf
            ? []
            : [
                {
                  label: t('block'),
                  icon: 'block' as const,
                  danger: true,
                  onSelect: () => void app.call('setBlocked', [id, true]),
                },
                {
                  label: t('erase'),
                  icon: 'trash' as const,
                  danger: true,
                  onSelect: onErase,
                },
              ]),
        ],
      ]}
    />
  );
}

function RequestBar({ person }: { readonly person: PersonView }) {
  const app = useApp();
  return (
    <div className="chat__foot">
      <div className="request-bar">
        <p>{t('request.about', { name: titleOf(person) })}</p>
        <div className="request-bar__actions">
          <Button look="primary" icon="check" onClick={() => void app.call('approve', [person.id])}>
            {t('request.accept')}
          </Button>
          <Button
            look="plain"
            onClick={() => {
              void app.call('decline', [person.id]);
              app.router.home();
            }}
          >
            {t('request.decline')}
          </Button>
          <Button
            look="danger"
            icon="block"
            onClick={() => {
              void app.call('setBlocked', [person.id, true]);
              app.router.home();
            }}
          >
            {t('block')}
          </Button>
        </div>
      </div>
    </div>
  );
}

interface DetailsProps {
  readonly message: MessageView;
  readonly person: PersonView;
  readonly onClose: () => void;
}

function DetailsDialog({ message, person, onClose }: DetailsProps) {
  const app = useApp();
  const network = useStore(app.network);
  const { delivery } = message;
  const path = network?.paths.find(({ state }) => state === 'usable');
  return (
    <Dialog title={t('message.details')} onClose={onClose} finalFocus={() => elementOfMessage(message.key)}>
      <dl className="details">
        <dt>{t('details.from')}</dt>
        <dd>
          <bdi>{message.mine ? t('you') : titleOf(person)}</bdi>
        </dd>
        <dt>{t('details.sent')}</dt>
        <dd>{fullTime(message.timestamp)}</dd>
        {message.editedAt !== undefined && (
          <>
            <dt>{t('details.edited')}</dt>
            <dd>{fullTime(message.editedAt)}</dd>
          </>
        )}
        {message.earlier?.map(({ text, at }) => (
          <Fragment key={at}>
            <dt>{t('details.earlier', { time: fullTime(at) })}</dt>
            <dd>
              <bdi className="details__earlier">{tame(text)}</bdi>
            </dd>
          </Fragment>
        ))}
        {message.expiresAt !== undefined && (
          <>
            <dt>{t('details.expires')}</dt>
            <dd>{fullTime(message.expiresAt)}</dd>
          </>
        )}
        {delivery && (
          <>
            <dt>{t('details.state')}</dt>
            <dd>{t(`delivery.${delivery.state}`)}</dd>
            {delivery.stored !== undefined && delivery.of !== undefined && (
              <>
                <dt>{t('details.replicas')}</dt>
                <dd>
                  {t('details.replicas.value', { n: delivery.stored, of: delivery.of })}
                  <span className="replicas" aria-hidden="true">
                    {Array.from({ length: delivery.of }, (_, i) => (
                      // biome-ignore lint/suspicious/noArrayIndexKey: members have no name here
                      <i key={i} data-on={i < (delivery.stored ?? 0) || undefined} />
                    ))}
                  </span>
                </dd>
              </>
            )}
            {delivery.deliveredAt !== undefined && (
              <>
                <dt>{t('details.delivered')}</dt>
                <dd>{fullTime(delivery.deliveredAt)}</dd>
              </>
            )}
            {delivery.readAt !== undefined && (
              <>
                <dt>{t('details.read')}</dt>
                <dd>{fullTime(delivery.readAt)}</dd>
              </>
            )}
            {delivery.state === 'failed' && (
              <>
                <dt>{t('details.reason')}</dt>
                <dd>{failureText(delivery.reason)}</dd>
              </>
            )}
          </>
        )}
        {path && (
          <>
            <dt>{t('details.path')}</dt>
            <dd className="mono" dir="ltr">
              {path.hops.map(({ host, port }) => `${host}:${port}`).join(' → ')}
            </dd>
          </>
        )}
        {message.hash !== undefined && (
          <>
            <dt>{t('details.hash')}</dt>
            <dd className="mono details__hash" dir="ltr">
              {message.hash}
            </dd>
          </>
        )}
      </dl>
      <p className="field__hint">{t('details.about')}</p>
    </Dialog>
  );
}

function EraseDialog({ person, onClose }: { readonly person: PersonView; readonly onClose: () => void }) {
  const app = useApp();
  return (
    <Dialog
      title={t('erase.title', { name: titleOf(person) })}
      onClose={onClose}
      actions={
        <>
          <Button look="plain" onClick={onClose}>
            {t('cancel')}
          </Button>
          <Button
            look="danger"
            onClick={() => {
              onClose();
              app.router.home();
              void app.call('erase', [person.id]);
            }}
          >
            {t('delete')}
          </Button>
        </>
      }
    >
      <p>{t('erase.about')}</p>
    </Dialog>
  );
}

function RemoveDialog({ message, onClose }: { readonly message: MessageView; readonly onClose: () => void }) {
  const app = useApp();
  const { conversation, sender, timestamp, mine } = message;
  const canUnsend = mine && Date.now() - timestamp < UNSEND_MS;
  return (
    <Dialog
      finalFocus={() => elementOfMessage(message.key)}
      title={t('delete.title')}
      onClose={onClose}
      actions={
        <>
          <Button look="plain" onClick={onClose}>
            {t('cancel')}
          </Button>
          <Button
            look={canUnsend ? 'soft' : 'danger'}
            onClick={() => {
              void app.call('deleteForMe', [conversation, { sender, timestamp }]);
              onClose();
            }}
          >
            {t('delete.me')}
          </Button>
          {canUnsend && (
            <Button
              look="danger"
              onClick={() => {
                void app.call('deleteForEveryone', [conversation, timestamp]);
                onClose();
              }}
            >
              {t('delete.everyone')}
            </Button>
          )}
        </>
      }
    >
      <p>{canUnsend ? t('delete.about_everyone') : t('delete.about_me')}</p>
    </Dialog>
  );
}
