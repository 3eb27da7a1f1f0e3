// SPDX-License-Identifier: AGPL-3.0-or-later
// Where typing goes: into the field for messages of the chat that is open.

/** A touch screen's keyboard would cover what one looks at: there only a tap leads into the field. */
export const isTouch = (): boolean => window.matchMedia('(pointer: coarse)').matches;

/** Goes to the field for messages, where there is one in sight. */
export function focusComposer(): boolean {
  const field = document.querySelector<HTMLElement>('.composer__text');
  if (isTouch() || field?.checkVisibility() !== true) return false;
  field.focus({ preventScroll: true });
  return true;
}

/** Whether the key writes something, also a dead one or with AltGr. Space presses buttons and scrolls. */
export function isWriting(event: KeyboardEvent): boolean {
  const { key, ctrlKey, metaKey, altKey } = event;
  if (key !== 'Dead' && (key.length !== 1 || key === ' ')) return false;
  return event.getModifierState('AltGraph') || !(ctrlKey || metaKey || altKey);
}
