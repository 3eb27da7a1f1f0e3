// SPDX-License-Identifier: MIT
// What of a contact and of a conversation's state stands in which member of which config (spec/config-and-groups §3.1–3.3).
import type { AccountId } from '@allium/protocol/account-id';
import { fromHex, toHex } from '@allium/protocol/bytes';
import type { Contact as ConfigContact } from '@allium/protocol/config/contacts';
import { ExpiryMode, NotificationMode, type Picture } from '@allium/protocol/config/fields';
import type { UserProfileConfig } from '@allium/protocol/config/user-profile';
import type { Contact } from '../messaging/contacts.ts';
import type { ConversationState } from '../messaging/conversation-states.ts';
import type { KeptProfile, Profile } from '../messaging/profile.ts';
import type { MessagingSettings } from '../messaging/settings.ts';
import type { Timer } from '../storage/storage.ts';

/** Members of a config's contact that a `Contact` tells. */
export function contactToConfig(contact: Contact): Partial<ConfigContact> & { readonly id: AccountId } {
  const { id, name = '', nickname = '', timer } = contact;
  return {
    id,
    ...profileToConfig(contact),
    name,
    nickname,
    isApproved: contact.approved,
    hasApprovedMe: contact.approvedMe,
    isBlocked: contact.blocked,
    expiryMode:
      timer === undefined
        ? ExpiryMode.none
        : timer.mode === 'after_send'
          ? ExpiryMode.afterSend
          : ExpiryMode.afterRead,
    expirySeconds: timer?.seconds ?? 0,
  };
}

/** How they call themselves. */
export function profileToConfig({ name = '', pictureUrl, pictureKey, profileUpdatedAt = 0 }: Contact) {
  return {
    name,
    picture: pictureToConfig(
      pictureUrl === undefined || pictureKey === undefined ? undefined : { url: pictureUrl, key: pictureKey },
    ),
    profileUpdatedSeconds: Number.isSafeInteger(profileUpdatedAt) ? Math.max(0, profileUpdatedAt) : 0,
  };
}

/** `before`: what no config has stays. */
export function contactFromConfig(before: Contact | undefined, contact: ConfigContact): Contact {
  const { name, nickname, timer, pictureUrl, pictureKey, profileUpdatedAt, ...others } =
    before ?? ({ id: contact.id } as Contact);
  const { picture } = contact;
  const expiry = timerFromConfig(contact);
  return {
    ...others,
    id: contact.id,
    approved: contact.isApproved,
    approvedMe: contact.hasApprovedMe,
    blocked: contact.isBlocked,
    ...(contact.name !== '' && { name: contact.name }),
    ...(contact.nickname !== '' && { nickname: contact.nickname }),
    ...(picture !== undefined && { pictureUrl: picture.url, pictureKey: toHex(picture.key) }),
    ...(contact.profileUpdatedSeconds > 0 && { profileUpdatedAt: contact.profileUpdatedSeconds }),
    ...(expiry !== undefined && { timer: expiry }),
  };
}

function timerFromConfig({
  expiryMode,
  expirySeconds: seconds,
}: Pick<ConfigContact, 'expiryMode' | 'expirySeconds'>): Timer | undefined {
  if (seconds <= 0 || expiryMode === ExpiryMode.none) return undefined;
  return { mode: expiryMode === ExpiryMode.afterSend ? 'after_send' : 'after_read', seconds };
}

/** −1 hidden, 0 normal, from 1 on pinned. */
export function priorityOf({ hiddenAt, pin = 0 }: ConversationState): number {
  if (hiddenAt !== undefined) return -1;
  return pin > 0 ? Math.min(Math.max(1, Math.round(pin)), Number.MAX_SAFE_INTEGER) : 0;
}

/** `hiddenAt`: when it was hidden, if that was not known before. */
export function withPriority(
  { hiddenAt: before, pin: _pin, ...state }: ConversationState,
  priority: number,
  hiddenAt: number,
): ConversationState {
  if (priority < 0) return { ...state, hiddenAt: before ?? hiddenAt };
  return priority === 0 ? state : { ...state, pin: priority };
}

/** Members of a config's contact that a state tells. */
export function stateToConfig(
  state: ConversationState,
): Pick<ConfigContact, 'priority' | 'notifications' | 'mutedUntilSeconds'> {
  const { notifications, mutedUntil = 0 } = state;
  return {
    priority: priorityOf(state),
    notifications:
      notifications === undefined
        ? NotificationMode.default
        : notifications === 'all'
          ? NotificationMode.all
          : NotificationMode.disabled,
    mutedUntilSeconds: Number.isFinite(mutedUntil) ? Math.max(0, Math.ceil(mutedUntil / 1_000)) : 0,
  };
}

export function stateFromConfig(
  before: ConversationState,
  { priority, notifications, mutedUntilSeconds }: ConfigContact,
  hiddenAt: number,
): ConversationState {
  const { mutedUntil: _muted, notifications: _mode, ...state } = withPriority(before, priority, hiddenAt);
  return {
    ...state,
    ...(mutedUntilSeconds > 0 && { mutedUntil: mutedUntilSeconds * 1_000 }),
    ...(notifications === NotificationMode.all && { notifications: 'all' as const }),
    ...(notifications === NotificationMode.disabled && { notifications: 'none' as const }),
  };
}

export function pictureToConfig(picture: Profile['picture']): Picture | undefined {
  return picture === undefined ? undefined : { url: picture.url, key: fromHex(picture.key, 32) };
}

function pictureFromConfig(picture: Picture | undefined): Pick<Profile, 'picture'> {
  return picture === undefined ? {} : { picture: { url: picture.url, key: toHex(picture.key) } };
}

/** The others are of each device. */
export type SyncedSetting = Exclude<keyof MessagingSettings, 'autoDownload' | 'fileCacheBytes'>;
export const SETTING_NAMES: Readonly<Record<SyncedSetting, string>> = {
  deliveryReceipts: 'delivery_receipts',
  readReceipts: 'read_receipts',
  typingIndicators: 'typing',
};

export function profileFromConfig(config: UserProfileConfig): KeptProfile {
  return {
    ...(config.name !== '' && { name: config.name }),
    ...pictureFromConfig(config.picture),
    updatedAtSeconds: config.updatedSeconds,
  };
}

export function settingsFromConfig(before: MessagingSettings, config: UserProfileConfig): MessagingSettings {
  const told = Object.entries(SETTING_NAMES).flatMap(([member, name]) => {
    const value = config.setting(name);
    return value === undefined ? [] : [[member, value !== 0]];
  });
  return { ...before, ...Object.fromEntries(told) };
}

/** Of flat records, whatever the order of their members. */
export function isSame(a: object | undefined, b: object | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  const sorted = (value: object) =>
    JSON.stringify(Object.entries(value).sort(([x], [y]) => (x < y ? -1 : 1)));
  return sorted(a) === sorted(b);
}
