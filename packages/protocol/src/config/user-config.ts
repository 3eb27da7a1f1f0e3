// SPDX-License-Identifier: MIT
// What the configs of an account have in common (spec/config-and-groups §2.6, §2.8).
import type { Account } from '../identity/account.ts';
import { Namespace } from '../storage/namespaces.ts';
import { Config } from './config.ts';
import { ConfigKind } from './wrapper.ts';

const TYPES = {
  userProfile: { domain: 'UserProfile', kind: ConfigKind.userProfile },
  contacts: { domain: 'Contacts', kind: ConfigKind.contacts },
  conversationsVolatile: { domain: 'ConvoInfoVolatile', kind: ConfigKind.convoInfoVolatile },
  userGroups: { domain: 'UserGroups', kind: ConfigKind.userGroups },
} as const;

/** How long a config stays on the swarm before its expiry must be extended, ms (§2.10). */
export const CONFIG_TTL_MS = 2_592_000_000;

/** 32 bytes, zeros behind a seed of 16. */
export function configKeyOf(account: Account): Uint8Array {
  const key = new Uint8Array(32);
  const seed = account.seed();
  key.set(seed);
  seed.fill(0);
  return key;
}

/** A config that all devices of an account share. */
export class UserConfig extends Config {
  readonly namespace: Namespace;

  /** @throws ParseError `config` for a dump that is broken */
  constructor(type: keyof typeof TYPES, account: Account, dump?: Uint8Array) {
    const { domain, kind } = TYPES[type];
    const key = configKeyOf(account);
    super({ domain, keys: [key], wrapper: { account, kind }, dump });
    key.fill(0);
    this.namespace = Namespace[type];
  }
}
