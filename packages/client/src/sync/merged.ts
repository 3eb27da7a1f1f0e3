// SPDX-License-Identifier: MIT
// Other devices → this one: what merged configs mean for contacts, states of conversations, the profile and settings. All of
// it is in memory at once; `touched` is told what is to be written.
import type { AccountId } from '@allium/protocol/account-id';
import type { ConversationState } from '../messaging/conversation-states.ts';
import type { Touched } from './journal.ts';
import {
  contactFromConfig,
  isSame,
  profileFromConfig,
  profileToConfig,
  settingsFromConfig,
  stateFromConfig,
  withPriority,
} from './mapping.ts';
import { type SyncScope, tryEdit } from './sync-scope.ts';

// Ours.
/** What was erased longer ago is said again by nobody: no swarm has its messages. */
const TELL_ERASED_MS = 30 * 86_400_000;

/** What another device changed. */
export interface SyncedChanges {
  readonly contacts: readonly AccountId[];
  readonly conversations: readonly AccountId[];
  readonly profile: boolean;
  readonly settings: boolean;
  readonly groups: boolean;
}

export const NOTHING_SYNCED: SyncedChanges = {
  contacts: [],
  conversations: [],
  profile: false,
  settings: false,
  groups: false,
};

/** Who is in the config of contacts. */
export function contactIds({ configs }: SyncScope): Set<AccountId> {
  return new Set([...configs.contacts.config.contacts()].map(({ id }) => id));
}

export function profileMerged(scope: SyncScope, touched: Touched, storedAt: number): SyncedChanges {
  const { profile, settings, states } = scope;
  const { config } = scope.configs.profile;
  const next = profileFromConfig(config);
  const isOther = JSON.stringify(next) !== JSON.stringify(profile.kept);
  if (isOther && (next.updatedAtSeconds > 0 || profile.kept !== undefined)) {
    profile.put(next);
    touched.profile = true;
  }
  const nextSettings = settingsFromConfig(settings.now, config);
  const hasSettings = JSON.stringify(nextSettings) !== JSON.stringify(settings.now);
  if (hasSettings) {
    settings.put(nextSettings);
    touched.settings = true;
  }
  const before = states.get(scope.own);
  const state = withPriority(before, config.noteToSelfPriority, storedAt);
  const hasState = !isSame(before, state);
  if (hasState) putState(scope, touched, scope.own, state);
  const hasTimer = ownTimerMerged(scope, touched);
  return {
    ...NOTHING_SYNCED,
    profile: isOther,
    settings: hasSettings,
    contacts: hasTimer ? [scope.own] : [],
    conversations: hasState ? [scope.own] : [],
  };
}

function ownTimerMerged(scope: SyncScope, touched: Touched): boolean {
  const { contacts } = scope;
  const { noteToSelfExpirySeconds: seconds } = scope.configs.profile.config;
  const { timer: before, ...own } = contacts.get(scope.own);
  if ((before?.seconds ?? 0) === seconds) return false;
  contacts.put(scope.own, {
    ...own,
    ...(seconds > 0 && { timer: { mode: 'after_send' as const, seconds } }),
  });
  touched.contacts.add(scope.own);
  return true;
}

/** `before`: who was in the config. `toldAt`: when a swarm took what was merged, as members tell. */
export function contactsMerged(
  scope: SyncScope,
  touched: Touched,
  before: ReadonlySet<AccountId>,
  storedAt: number,
  toldAt: number,
): SyncedChanges {
  const { contacts, states } = scope;
  const { config } = scope.configs.contacts;
  const now = scope.now();
  const changedContacts = new Set<AccountId>();
  const changedStates = new Set<AccountId>();
  const after = contactIds(scope);
  // Another client erased them, and says not when: what its config replaced was there until then.
  for (const id of before) {
    if (after.has(id) || (config.erasedAt(id) ?? 0) > (scope.erasures.at(id) ?? 0)) continue;
    config.setErasedAt(id, Math.max(storedAt, scope.erasures.at(id) ?? 0));
  }
  // docs/decisions/0027: nobody has erased later than a swarm heard of it; whoever says so had a wrong clock.
  const latest = scope.clock().isSettled ? storedAt : toldAt;
  for (const { id, at: told } of [...config.erased()]) {
    const known = scope.erasures.at(id) ?? 0;
    if (told <= known) continue;
    const at = Math.max(Math.min(told, latest), known);
    if (at < told) config.setErasedAt(id, at);
    if (at === known) continue;
    scope.erasures.set(id, at, false);
    touched.erasures.add(id);
  }
  // The later of two times, whichever the merge has left.
  for (const { id, at } of scope.erasures.all()) {
    if (at > (config.erasedAt(id) ?? 0) && at > now - TELL_ERASED_MS) config.setErasedAt(id, at);
  }
  for (const id of before) {
    if (after.has(id) || contacts.known(id) === undefined) continue;
    contacts.put(id, undefined);
    states.forget(id);
    changedContacts.add(id);
    changedStates.add(id);
  }
  for (const id of after) {
    const told = config.contact(id)!;
    const known = contacts.known(id);
    if (known !== undefined && (known.profileUpdatedAt ?? 0) > told.profileUpdatedSeconds) {
      // Heard from themselves, after the others had.
      tryEdit(scope, () => config.setContact({ id, ...profileToConfig(known) }));
    }
    const next = contactFromConfig(known, config.contact(id)!);
    if (!isSame(known, next)) {
      contacts.put(id, next);
      changedContacts.add(id);
    }
    const state = states.get(id);
    const nextState = stateFromConfig(state, told, storedAt);
    if (!isSame(state, nextState)) {
      states.put(id, nextState);
      changedStates.add(id);
    }
  }
  for (const id of changedContacts) touched.contacts.add(id);
  for (const id of changedStates) touched.states.add(id);
  return { ...NOTHING_SYNCED, contacts: [...changedContacts], conversations: [...changedStates] };
}

export function readStateMerged(scope: SyncScope, touched: Touched): SyncedChanges {
  const { states } = scope;
  const { config } = scope.configs.readState;
  const now = scope.now();
  const changed: AccountId[] = [];
  const told = new Map<AccountId, { readonly lastRead: number; readonly isMarkedUnread: boolean }>();
  for (const entry of config.conversations()) {
    if (entry.type === 'account') told.set(entry.id, entry);
  }
  for (const id of new Set([...told.keys(), ...states.ids()])) {
    if (id === scope.own) continue;
    const { readTo = 0, isMarkedUnread: _, ...state } = states.get(id);
    const { lastRead = 0, isMarkedUnread = false } = told.get(id) ?? {};
    // What was read does not become unread again.
    if (readTo > lastRead) {
      const path = { type: 'account', id } as const;
      tryEdit(scope, () => config.setReadState(path, { lastRead: readTo }, now));
    }
    const read = Math.max(readTo, lastRead);
    const next = {
      ...state,
      ...(read > 0 && { readTo: read }),
      ...(isMarkedUnread && { isMarkedUnread: true as const }),
    };
    if (isSame(states.get(id), next)) continue;
    putState(scope, touched, id, next);
    changed.push(id);
  }
  return { ...NOTHING_SYNCED, conversations: changed };
}

function putState({ states }: SyncScope, touched: Touched, id: AccountId, state: ConversationState): void {
  states.put(id, state);
  touched.states.add(id);
}
