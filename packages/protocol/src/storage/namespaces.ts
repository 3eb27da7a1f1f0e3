// SPDX-License-Identifier: MIT
// Namespaces: the numbered drawers of an account's mailbox and who may do what (spec/storage-server §2.2,
// spec/client §2.9). `%` on negative numbers is negative in JavaScript, hence the rules test −n.

/** Namespaces in use. */
export const Namespace = {
  /** Messages to the account: anybody stores. */
  inbox: 0,
  userProfile: 2,
  contacts: 3,
  conversationsVolatile: 4,
  userGroups: 5,
  groupMessages: 11,
  groupKeys: 12,
  groupInfo: 13,
  groupMembers: 14,
  /** Notices to removed members, readable for them although their token is revoked. */
  groupRevoked: -11,
  /** Legacy closed groups: anybody stores and retrieves. */
  legacyGroup: -10,
  /** Device group and link requests of an account. */
  deviceGroup: 21,
  /** Public keys of an account: one message, readable for all. */
  accountKeys: -21,
} as const;
export type Namespace = (typeof Namespace)[keyof typeof Namespace];

/** Anybody may store; a signature sent along is ignored. */
export function isPublicInbox(namespace: number): boolean {
  return namespace % 10 === 0;
}

/** Anybody may retrieve, the owner stores, and a store replaces what was there. */
export function isPublicOutbox(namespace: number): boolean {
  return namespace < 0 && -namespace % 20 === 1;
}

/** `retrieve` needs no signature. */
export function isOpenRetrieve(namespace: number): boolean {
  return namespace === Namespace.legacyGroup || isPublicOutbox(namespace);
}

/** A revoked subaccount may still `retrieve`. */
export function isUnrevocable(namespace: number): boolean {
  return namespace < 0 && -namespace % 100 === 11;
}
