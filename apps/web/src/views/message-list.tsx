// SPDX-License-Identifier: AGPL-3.0-or-later
// The messages of a conversation: only those in sight are in the document. Keeps to the end while one reads there, and
// keeps its place when older ones are loaded above.
import {
  Fragment,
  type KeyboardEvent,
  type ReactElement,
  type SyntheticEvent,
  useEffect,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
} from 'react';
import { type CustomItemComponentProps, Virtualizer, type VirtualizerHandle } from 'virtua';
import { Avatar } from '../components/avatar.tsx';
import { Button, IconButton } from '../components/button.tsx';
import { Empty } from '../components/feedback.tsx';
import { isSameDay } from '../components/time.ts';
import { useToday } from '../components/today.ts';
import { t, useLanguage } from '../i18n/i18n.ts';
import type { MessageView, PersonView } from '../model.ts';
import type { Chat } from '../state/chat.ts';
import { useApp } from '../state/context.ts';
import { useStore } from '../state/store.ts';
import { Message, type MessageActions, type MessageSetting } from './message.tsx';
import { titleOf } from './person.ts';
import './message-list.css';

/** Messages of one sender within this time stand together. */
const GROUP_MS = 4 * 60_000;
/** From the end, in pixels: still there. */
const AT_END = 64;
/** From the beginning: older ones are wanted. */
const NEAR_START = 900;
const MARK_MS = 2_000;

/** Keys of the messages whose tools are shown. */
interface Near {
  readonly hovered?: string | undefined;
  readonly focused?: string | undefined;
  /** Its menu is open. */
  readonly held?: string | undefined;
}

interface Made {
  readonly before: MessageView | undefined;
  readonly after: MessageView | undefined;
  readonly state: number;
  readonly element: ReactElement;
}

interface MessageListProps {
  readonly chat: Chat;
  readonly person: PersonView;
  readonly actions: Pick<MessageActions, 'reply' | 'edit' | 'details' | 'remove'>;
  /** Where to go; another object goes there once more. */
  readonly focus?: { readonly key: string } | undefined;
}

export function MessageList({ chat, person, actions, focus }: MessageListProps) {
  const app = useApp();
  const { messages, shift, phase, unreadFrom, hasOlder } = useStore(chat.state);
  const typing = useStore(app.typing).has(chat.id);
  const scroller = useRef<HTMLDivElement>(null);
  const list = useRef<VirtualizerHandle>(null);
  const atEnd = useRef(true);
  const began = useRef(false);
  const last = useRef({ offset: 0, size: 0 });
  const [isAway, setAway] = useState(false);
  const [missed, setMissed] = useState(0);
  const [marked, setMarked] = useState<string>();
  const [near, setNear] = useState<Near>({});
  const language = useLanguage();
  const today = useToday();
  const count = messages.length;
  const newest = messages.at(-1);

  const toEnd = () => {
    if (messages.length > 0) list.current?.scrollToIndex(messages.length - 1, { align: 'end' });
  };

  /** In the next frame, unless somebody has gone up by then. */
  const keepEnd = () => {
    requestAnimationFrame(() => {
      if (atEnd.current) toEnd();
    });
  };

  // The first time: to the first unread message, else to the end.
  // biome-ignore lint/correctness/useExhaustiveDependencies: once, when there is something
  useLayoutEffect(() => {
    if (phase !== 'ready' || began.current || count === 0) return;
    began.current = true;
    if (focus !== undefined) return;
    const unread = unreadFrom === undefined ? -1 : messages.findIndex(({ key }) => key === unreadFrom);
    if (unread > 0) {
      atEnd.current = false;
      list.current?.scrollToIndex(unread, { align: 'center' });
    } else toEnd();
  }, [phase, count]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: when the newest is another one
  useLayoutEffect(() => {
    if (!began.current || newest === undefined) return;
    if (atEnd.current || (newest.mine && newest.delivery?.state === 'queued')) {
      atEnd.current = true;
      keepEnd();
    } else if (!newest.mine) setMissed((before) => before + 1);
  }, [newest?.key]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: when the height at the end changes
  useLayoutEffect(() => {
    if (atEnd.current) keepEnd();
  }, [typing, newest?.reactions.length]);

  useEffect(() => {
    const element = scroller.current;
    if (element === null) return;
    // The composer grew, the window shrank: the end stays in sight.
    const observer = new ResizeObserver(() => {
      if (atEnd.current) element.scrollTop = element.scrollHeight;
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const goTo = useMemo(
    () => async (key: string) => {
      if (!(await chat.reach(key))) {
        app.toast('message_unknown', 'error');
        return;
      }
      const index = chat.state.get().messages.findIndex((message) => message.key === key);
      requestAnimationFrame(() => {
        list.current?.scrollToIndex(index, { align: 'center' });
        setMarked(key);
        setTimeout(() => setMarked((now) => (now === key ? undefined : now)), MARK_MS);
      });
    },
    [app, chat],
  );
  const allActions = useMemo<MessageActions>(
    () => ({
      ...actions,
      goTo: (key) => void goTo(key),
      react: ({ conversation, sender, timestamp, reactions }, emoji) => {
        const has = reactions.some((reaction) => reaction.mine && reaction.emoji === emoji);
        void app.call('react', [conversation, { sender, timestamp }, emoji, has]);
      },
      resend: ({ conversation, timestamp }) => void app.call('resend', [conversation, timestamp]),
      cancelSending: ({ conversation, timestamp }) =>
        void app.call('cancelSending', [conversation, timestamp]),
      copy: ({ text }) =>
        void navigator.clipboard.writeText(text).then(
          () => app.toast('copied', 'done'),
          () => app.toast('clipboard', 'error'),
        ),
      hold: (key, held) =>
        setNear((before) =>
          held || before.held === key ? { ...before, held: held ? key : undefined } : before,
        ),
    }),
    [actions, goTo, app],
  );
  const setting = useMemo<MessageSetting>(
    () => ({ person, title: titleOf(person), actions: allActions, language, today }),
    [person, allActions, language, today],
  );
  // The element of a message stays the same object while nothing about it changes: React then passes over it, in each frame.
  // biome-ignore lint/correctness/useExhaustiveDependencies: another setting makes other elements
  const made = useMemo(() => new WeakMap<MessageView, Made>(), [setting, unreadFrom]);
  const elementOf = (message: MessageView, index: number): ReactElement => {
    const before = messages[index - 1];
    const after = messages[index + 1];
    const { key } = message;
    const beginning = index === 0 && !hasOlder;
    const isMarked = marked === key;
    const isNear = near.hovered === key || near.focused === key || near.held === key;
    const state = Number(beginning) + 2 * Number(isMarked) + 4 * Number(isNear);
    const known = made.get(message);
    if (known !== undefined && known.before === before && known.after === after && known.state === state)
      return known.element;
    const newDay = before === undefined || !isSameDay(before.place, message.place);
    const unread = key === unreadFrom;
    const row = (
      <Message
        key={key}
        message={message}
        setting={setting}
        first={newDay || unread || !isTogether(before, message)}
        last={!isTogether(message, after) || (after !== undefined && !isSameDay(message.place, after.place))}
        newDay={newDay}
        unread={unread}
        marked={isMarked}
        near={isNear}
      />
    );
    const element = beginning ? (
      <Fragment key={key}>
        <Beginning person={person} />
        {row}
      </Fragment>
    ) : (
      row
    );
    made.set(message, { before, after, state, element });
    return element;
  };

  useEffect(() => {
    if (focus !== undefined && phase === 'ready') void goTo(focus.key);
  }, [focus, phase, goTo]);

  const hover = (hovered: string | undefined) =>
    setNear((before) => (before.hovered === hovered ? before : { ...before, hovered }));
  const focusOn = (focused: string | undefined) =>
    setNear((before) => (before.focused === focused ? before : { ...before, focused }));

  const onScroll = (offset: number) => {
    const handle = list.current;
    if (handle === null) return;
    const isAtEnd = handle.scrollSize - offset - handle.viewportSize < AT_END;
    // Up by more than what became smaller: somebody scrolled. Else things were measured, and the end moves along.
    const before = last.current;
    last.current = { offset, size: handle.scrollSize };
    const wentUp = before.offset - offset > Math.max(0, before.size - handle.scrollSize) + 2;
    if (atEnd.current && !isAtEnd && !wentUp) {
      keepEnd();
      return;
    }
    atEnd.current = isAtEnd;
    setAway(!isAtEnd && handle.scrollSize - offset - handle.viewportSize > 3 * AT_END);
    if (isAtEnd) setMissed(0);
    if (offset < NEAR_START && began.current) void chat.loadOlder();
  };

  if (phase === 'failed') {
    return (
      <div className="messages">
        <Empty icon="alert" title={t('chat.failed')}>
          <Button onClick={() => void chat.open(0)}>{t('retry')}</Button>
        </Empty>
      </div>
    );
  }
  return (
    <div className="messages-frame">
      <div
        ref={scroller}
        className="messages scroll"
        role="log"
        aria-label={t('chat.messages')}
        aria-live="off"
        aria-busy={phase === 'loading'}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: one scrolls it with keys
        tabIndex={0}
        onKeyDown={(event) => {
          if (event.key === 'PageUp' || event.key === 'Home' || event.key === 'ArrowUp')
            atEnd.current = false;
          moveFocus(event);
        }}
        // One pair of listeners for all messages. While it scrolls, virtua lets the pointer through.
        onPointerOver={(event) => {
          if (event.pointerType !== 'touch') hover(keyAt(event));
        }}
        onPointerLeave={() => hover(undefined)}
        onFocus={(event) => focusOn(keyAt(event))}
        onBlur={(event) => {
          if (!event.currentTarget.contains(event.relatedTarget)) focusOn(undefined);
        }}
        // Whoever goes up is not held at the end, whatever is measured meanwhile.
        onWheel={({ deltaY }) => {
          if (deltaY < 0) atEnd.current = false;
        }}
        onTouchMove={() => {
          atEnd.current = false;
        }}
      >
        <div className="messages__space">{phase === 'loading' && <Placeholder />}</div>
        {phase === 'ready' && !hasOlder && count === 0 && <Beginning person={person} />}
        <Virtualizer
          ref={list}
          scrollRef={scroller}
          data={messages}
          shift={shift}
          item={Item}
          onScroll={onScroll}
          onResize={() => {
            if (atEnd.current) keepEnd();
          }}
          {...(messages.length > 2_000 && { itemSize: 62 })}
        >
          {elementOf}
        </Virtualizer>
        {typing && (
          <div className="typing">
            <Avatar id={person.id} name={person.name} pictureTag={person.pictureTag} size={30} />
            <span className="typing__dots">
              <i />
              <i />
              <i />
            </span>
          </div>
        )}
      </div>
      <p className="sr-only" aria-live="polite">
        {newest !== undefined && !newest.mine && began.current
          ? t('chat.announce', { name: titleOf(person), text: newest.text.slice(0, 300) })
          : ''}
      </p>
      {isAway && (
        <div className="messages__jump">
          {missed > 0 && <span className="badge">{missed}</span>}
          <IconButton icon="down" label={t('chat.to_end')} onClick={toEnd} />
        </div>
      )}
    </div>
  );
}

/** Not hidden until it was measured, as virtua has it: that happens before it is painted, and hiding would style each twice. */
function Item({ style, children, ref }: CustomItemComponentProps) {
  return (
    <div ref={ref} className="messages__item" style={{ top: style.top }}>
      {children}
    </div>
  );
}

/** The key of the message that the event is in; menus that stand elsewhere in the document do not count. */
function keyAt({ target, currentTarget }: SyntheticEvent<HTMLElement>): string | undefined {
  const message = (target as HTMLElement).closest<HTMLElement>('.message');
  return message !== null && currentTarget.contains(message) ? message.dataset.key : undefined;
}

function Beginning({ person }: { readonly person: PersonView }) {
  return (
    <div className="messages__beginning">
      <Avatar
        id={person.id}
        name={person.isSelf ? undefined : person.name}
        pictureTag={person.pictureTag}
        size={72}
      />
      <h2>
        <bdi>{titleOf(person)}</bdi>
      </h2>
      <p>{person.isSelf ? t('chat.beginning.self') : t('chat.beginning')}</p>
    </div>
  );
}

const WIDTHS = [34, 52, 41, 60, 28, 46, 55];

/** Where messages will be, while they come. */
function Placeholder() {
  return (
    <div className="messages__placeholder" aria-hidden="true">
      {WIDTHS.map((width, i) => (
        <span
          key={width}
          className={i % 3 === 1 ? 'messages__ghost messages__ghost--mine' : 'messages__ghost'}
          style={{ inlineSize: `${width}%` }}
        />
      ))}
    </div>
  );
}

function isTogether(a: MessageView | undefined, b: MessageView | undefined): boolean {
  // A notice has no bubble that others could stand with.
  const isSame = a?.notice === undefined && b?.notice === undefined && a?.sender === b?.sender;
  return a !== undefined && b !== undefined && isSame && Math.abs(b.place - a.place) < GROUP_MS;
}

/** Arrows go from message to message. */
function moveFocus(event: KeyboardEvent<HTMLElement>): void {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const target = event.target as HTMLElement;
  // Menus stand elsewhere in the document, and a slider has the arrows for itself.
  const isHere = event.currentTarget.contains(target) && !target.matches('input');
  if (step === undefined || !isHere) return;
  const shown = [...event.currentTarget.querySelectorAll<HTMLElement>('.message')];
  const at = shown.findIndex((message) => message.contains(target));
  const next = at === -1 ? shown.at(-1) : shown[at + step];
  if (next === undefined) return;
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: 'nearest' });
  event.preventDefault();
}
