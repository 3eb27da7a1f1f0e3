// SPDX-License-Identifier: AGPL-3.0-or-later
// A small picker: groups of common emoji, arrows move, and those that were used last come first.
import { Popover } from '@base-ui/react/popover';
import { type KeyboardEvent, type ReactElement, useState } from 'react';
import { type TextKey, t } from '../i18n/i18n.ts';
import './emoji-picker.css';

const GROUPS: readonly (readonly [name: TextKey, emoji: string])[] = [
  [
    'emoji.faces',
    '😀 😃 😄 😁 😆 😅 😂 🤣 😊 😇 🙂 🙃 😉 😌 😍 🥰 😘 😋 😜 🤪 🤗 🤭 🤔 🫡 😐 😏 😬 🙄 😴 🤒 🤯 🥳 😎 🤓 🧐 😕 🙁 😮 🥺 😢 😭 😱 😤 😡 🤬 💀 👻 🤖',
  ],
  ['emoji.hands', '👍 👎 👌 ✌️ 🤞 🤟 🤙 👈 👉 👆 👇 ☝️ ✋ 👋 🤝 🙏 💪 👏 🙌 🫶 ✍️ 💅 🤷 🤦 🙋 🏃 💃 👀'],
  ['emoji.nature', '🐶 🐱 🦊 🐻 🐼 🐸 🐵 🦄 🐝 🦋 🐢 🐙 🌱 🌷 🌸 🌻 🌳 🍀 🧅 🧄 🌍 🌙 ⭐ ☀️ 🌧️ ❄️ 🔥 🌈'],
  ['emoji.food', '☕ 🍵 🍺 🍷 🥂 🍎 🍌 🍉 🍓 🥑 🍅 🥕 🍞 🧀 🍕 🌮 🍝 🍣 🍪 🎂 🍫 🍿'],
  [
    'emoji.things',
    '❤️ 🧡 💛 💚 💙 💜 🖤 💔 💯 💬 ✅ ❌ ❗ ❓ ⚡ 🎉 🎁 🎵 🎮 ⚽ 🏆 🚀 ✈️ 🚲 🏠 💻 📱 🔒 🔑 💡 📌 📎 📷 ⏰ 💰',
  ],
];
const KEY = 'allium-emoji';
const RECENT = 16;
const COLUMNS = 8;

function recent(): readonly string[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    return Array.isArray(kept) ? kept.filter((one) => typeof one === 'string').slice(0, RECENT) : [];
  } catch {
    return [];
  }
}

interface EmojiPickerProps {
  readonly trigger: ReactElement;
  readonly onPick: (emoji: string) => void;
  readonly onOpenChange?: (open: boolean) => void;
  /** What has the focus after it; else the trigger. */
  readonly finalFocus?: () => HTMLElement | null;
}

export function EmojiPicker({ trigger, onPick, onOpenChange, finalFocus }: EmojiPickerProps) {
  const [open, setShown] = useState(false);
  const setOpen = (next: boolean) => {
    setShown(next);
    onOpenChange?.(next);
  };
  const pick = (emoji: string) => {
    try {
      const used = [emoji, ...recent().filter((one) => one !== emoji)].slice(0, RECENT);
      localStorage.setItem(KEY, JSON.stringify(used));
    } catch {
      // Full or forbidden: it is not among the last ones, then.
    }
    setOpen(false);
    onPick(emoji);
  };
  return (
    <Popover.Root open={open} onOpenChange={setOpen}>
      <Popover.Trigger render={trigger} />
      <Popover.Portal>
        <Popover.Positioner className="menu__place" sideOffset={8} collisionPadding={8}>
          <Popover.Popup className="emoji" aria-label={t('emoji.title')} {...(finalFocus && { finalFocus })}>
            {open && <EmojiGrid onPick={pick} />}
          </Popover.Popup>
        </Popover.Positioner>
      </Popover.Portal>
    </Popover.Root>
  );
}

function EmojiGrid({ onPick }: { readonly onPick: (emoji: string) => void }) {
  const used = recent();
  const groups = [
    ...(used.length > 0 ? [['emoji.recent', used] as const] : []),
    ...GROUPS.map(([name, emoji]) => [name, emoji.split(' ')] as const),
  ];
  return (
    <div className="emoji__scroll scroll" role="presentation" onKeyDown={moveFocus}>
      {groups.map(([name, emoji]) => (
        <section key={name} aria-label={t(name)}>
          <h3 className="emoji__name">{t(name)}</h3>
          <div className="emoji__grid">
            {emoji.map((one) => (
              <button key={one} type="button" className="emoji__one" onClick={() => onPick(one)}>
                {one}
              </button>
            ))}
          </div>
        </section>
      ))}
    </div>
  );
}

function moveFocus(event: KeyboardEvent<HTMLElement>): void {
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: COLUMNS, ArrowUp: -COLUMNS }[event.key];
  if (step === undefined) return;
  const all = [...event.currentTarget.querySelectorAll('button')];
  const at = all.indexOf(document.activeElement as HTMLButtonElement);
  all[Math.max(0, Math.min(all.length - 1, at + step))]?.focus();
  event.preventDefault();
}
