// SPDX-License-Identifier: MIT
// Groups and communities as the list of an account has them (spec/config-and-groups §3.4), without its secrets.
import { toHex } from '@allium/protocol/bytes';
import type { UserGroupsConfig } from '@allium/protocol/config/user-groups';
import type { GroupId } from '@allium/protocol/group-id';

export interface ListedGroup {
  readonly id: GroupId;
  readonly name: string;
  /** We hold its secret. */
  readonly isAdmin: boolean;
  /** Invited, not yet accepted. */
  readonly isInvited: boolean;
  /** We were removed, or it was destroyed. */
  readonly isGone: boolean;
  /** Stands above others; undefined: not pinned. */
  readonly pin?: number;
  /** Unix seconds; 0: not known. */
  readonly joinedSeconds: number;
}

export interface ListedCommunity {
  /** Without room. */
  readonly baseUrl: string;
  readonly room: string;
  /** Hex, 32 bytes. */
  readonly serverKey: string;
  readonly pin?: number;
  readonly joinedSeconds: number;
}

const pinOf = (priority: number) => (priority > 0 ? { pin: priority } : {});

export function listedGroups(config: UserGroupsConfig): readonly ListedGroup[] {
  return [...config.groups()].map(({ id, name, seed, isInvited, removal, priority, joinedSeconds }) => ({
    id,
    name,
    isAdmin: seed !== undefined,
    isInvited,
    isGone: removal !== 0,
    ...pinOf(priority),
    joinedSeconds,
  }));
}

export function listedCommunities(config: UserGroupsConfig): readonly ListedCommunity[] {
  return [...config.communities()].map(({ baseUrl, room, serverKey, priority, joinedSeconds }) => ({
    baseUrl,
    room,
    serverKey: toHex(serverKey),
    ...pinOf(priority),
    joinedSeconds,
  }));
}
