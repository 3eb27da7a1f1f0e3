// SPDX-License-Identifier: MIT
// vectors/config-and-groups.json and the notation of its trees. Kinds that are not tested yet wait for the code that they
// are about: group_keys, group_keys_conflict, group_subaccount, group_message, group_control_signature, multi_encrypt and
// multi_encrypt_simple for closed groups; blinding*, version_blinding* and blinded_encrypt for communities; xed25519,
// ons_decrypt, push_notification_decrypt, onion_request and onion_hop_decrypt for where these are used.
import file from '../../../../vectors/config-and-groups.json' with { type: 'json' };
import { fromHex, toBinary } from '../../src/bytes.ts';
import { Config, type ConfigOptions } from '../../src/config/config.ts';
import type { ConfigDict, ConfigValue } from '../../src/config/data.ts';
import { ConfigKind } from '../../src/config/wrapper.ts';
import { Account } from '../../src/identity/account.ts';

type Vector = (typeof file.vectors)[number];
// biome-ignore lint/suspicious/noExplicitAny: each kind has fields of its own, which the tests of that kind read
type AnyVector = any;

export function vectorsOf(kind: Vector['kind']): AnyVector[] {
  const found = file.vectors.filter((vector) => vector.kind === kind);
  if (found.length === 0) throw new Error(`no vectors of kind ${kind}`);
  return found;
}

/** `u:` and `x:` strings as binary strings. */
function text(value: string): string {
  return value.startsWith('x:') ? toBinary(fromHex(value.slice(2))) : value.slice(2);
}

type Tree = { [key: string]: TreeValue };
type TreeValue = number | string | { set: (number | string)[] } | { dict: Tree };

function scalar(value: number | string): number | string {
  return typeof value === 'string' ? text(value) : value;
}

export function dictOf(tree: Tree): ConfigDict {
  return new Map(Object.entries(tree).map(([key, value]) => [text(key), treeValue(value)]));
}

function treeValue(value: TreeValue): ConfigValue {
  if (typeof value !== 'object') return scalar(value);
  return 'set' in value ? new Set(value.set.map(scalar)) : dictOf(value.dict);
}

/** An edit of the vectors' notation, on a config. */
export function edit(config: Config, [op, path, value]: [string, string[], number | string]): void {
  const keys = path.map(text);
  if (op === 'set') config.set(keys, scalar(value));
  else if (op === 'erase') config.erase(keys);
  else if (op === 'add') config.addToSet(keys, scalar(value));
  else if (op === 'del') config.removeFromSet(keys, scalar(value));
  else throw new Error(`no edit is named ${op}`);
}

export const CONFIG_KINDS: Record<string, ConfigKind> = {
  UserProfile: ConfigKind.userProfile,
  Contacts: ConfigKind.contacts,
  ConvoInfoVolatile: ConfigKind.convoInfoVolatile,
  UserGroups: ConfigKind.userGroups,
};

/** A bare config as a vector describes it: of an account, wrapped, or of a group. */
export function configOf(vector: AnyVector, options: Partial<ConfigOptions> = {}): Config {
  const { domain, compression: compress } = vector;
  if (vector.group_seed !== undefined) {
    const key = fromHex(vector.group_pubkey);
    const signKey = fromHex(vector.group_seed + vector.group_pubkey);
    return new Config({
      domain,
      keys: [fromHex(vector.group_enc_key)],
      verifyKey: key,
      signKey,
      compress,
      ...options,
    });
  }
  const kind = CONFIG_KINDS[vector.config_type];
  const account = Account.fromSeed(fromHex(vector.seed));
  return new Config({
    domain,
    keys: [fromHex(vector.seed)],
    ...(kind && { wrapper: { account, kind } }),
    compress,
    ...options,
  });
}
