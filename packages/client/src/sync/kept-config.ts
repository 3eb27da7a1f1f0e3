// SPDX-License-Identifier: MIT
// A config and what is kept of it on this device: its dump, sealed with a key of the account, where it was edited since
// it was stored, and what its swarm is to forget.
import type { Account } from '@allium/protocol/account';
import { fromBase64, toBase64 } from '@allium/protocol/bytes';
import { decryptConfig, encryptConfig } from '@allium/protocol/config/encryption';
import { configKeyOf, type UserConfig } from '@allium/protocol/config/user-config';
import type { Storage, StoredRecord } from '../storage/storage.ts';

/** Of the records with dumps, by name. */
const CONFIG = 'config';
const DOMAIN = 'AlliumDump';
/** Ours: what somebody with the phrase can make us remember. */
const MAX_OBSOLETE = 5_000;

export type ConfigName = 'profile' | 'contacts' | 'groups' | 'readState';

interface Kept {
  /** Base64. */
  readonly dump: string;
  readonly edits: readonly (readonly string[])[];
  readonly obsolete: readonly string[];
  readonly refused: number;
  readonly storedBytes?: number;
}

export class KeptConfig<C extends UserConfig = UserConfig> {
  readonly name: ConfigName;
  readonly config: C;
  /** Storage hashes that are to be deleted, and are not yet. */
  readonly obsolete: Set<string>;
  /** Messages that could not be understood, ever. */
  refused: number;
  /** Bytes of the last version that was pushed or merged, as stored; undefined: not known. */
  storedBytes: number | undefined;
  /** Larger than a swarm takes: kept here alone until it is smaller. */
  isTooLarge = false;
  /** Something is not in the storage that should be. */
  needsWrite = false;
  readonly #account: Account;

  private constructor(account: Account, name: ConfigName, config: C, kept: Kept | undefined) {
    this.#account = account;
    this.name = name;
    this.config = config;
    this.obsolete = new Set(kept?.obsolete);
    this.refused = kept?.refused ?? 0;
    this.storedBytes = kept?.storedBytes;
    config.markEdited(kept?.edits ?? []);
  }

  /** @throws ParseError `config` for a dump that is broken */
  static async load<C extends UserConfig>(
    storage: Storage,
    account: Account,
    name: ConfigName,
    Type: new (account: Account, dump?: Uint8Array) => C,
  ): Promise<{ readonly kept: KeptConfig<C>; readonly isNew: boolean }> {
    const value = (await storage.record(CONFIG, name))?.value as Kept | undefined;
    const key = configKeyOf(account);
    const dump = value === undefined ? undefined : decryptConfig(fromBase64(value.dump), [key], DOMAIN);
    key.fill(0);
    const config = dump === undefined ? new Type(account) : new Type(account, dump);
    return { kept: new KeptConfig(account, name, config, value), isNew: dump === undefined };
  }

  /** Adds to what is to be deleted. */
  addObsolete(hashes: readonly string[]): void {
    for (const hash of hashes) {
      if (this.obsolete.size >= MAX_OBSOLETE) return;
      this.obsolete.add(hash);
      this.needsWrite = true;
    }
  }

  /** What is to be written when anything changed since the last call. */
  record(now: number): StoredRecord | undefined {
    const { config } = this;
    if (!config.needsDump && !this.needsWrite) return undefined;
    this.needsWrite = false;
    const key = configKeyOf(this.#account);
    const value: Kept = {
      dump: toBase64(encryptConfig(config.dump(now), key, DOMAIN)),
      edits: config.edits().map(({ path }) => path),
      obsolete: [...this.obsolete],
      refused: this.refused,
      ...(this.storedBytes !== undefined && { storedBytes: this.storedBytes }),
    };
    key.fill(0);
    return { kind: CONFIG, key: this.name, value };
  }
}
