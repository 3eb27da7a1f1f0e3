// SPDX-License-Identifier: MIT
// What the configs of a closed group have in common (spec/config-and-groups §2.6, §4.4): all members read them, admins
// sign them. Their keys come from the group's key messages (§4.3), newest first.
import { ed25519KeyPair } from '#crypto';
import { equal } from '../bytes.ts';
import { ed25519KeyOf, type GroupId } from '../identity/group-id.ts';
import { Namespace } from '../storage/namespaces.ts';
import { Config } from './config.ts';
import { ConfigError } from './config-error.ts';

const TYPES = {
  groupInfo: { domain: 'groups::Info' },
  groupMembers: { domain: 'groups::Members' },
} as const;

export interface GroupConfigOptions {
  readonly groupId: GroupId;
  /** 32 bytes each, the newest first. Members may get them later, by `setKeys`. */
  readonly keys: readonly Uint8Array[];
  /** 32 bytes, for admins. */
  readonly seed?: Uint8Array | undefined;
  readonly dump?: Uint8Array | undefined;
}

/** A config that all members of a group share. */
export class GroupConfig extends Config {
  readonly namespace: Namespace;

  /**
   * @throws ParseError `config` for a dump that is broken
   * @throws ConfigError `bad_value` for a seed that is not of this group
   */
  constructor(type: keyof typeof TYPES, { groupId, keys, seed, dump }: GroupConfigOptions) {
    const verifyKey = ed25519KeyOf(groupId);
    const pair = seed && ed25519KeyPair(seed);
    if (pair !== undefined && !equal(pair.publicKey, verifyKey)) {
      throw new ConfigError('bad_value', 'the seed is not of this group');
    }
    super({
      domain: TYPES[type].domain,
      keys,
      verifyKey,
      ...(pair && { signKey: pair.secretKey }),
      dump,
    });
    this.namespace = Namespace[type];
  }
}
