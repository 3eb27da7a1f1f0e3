// SPDX-License-Identifier: MIT
// How this account calls itself: it travels with messages and answers to requests, never in copies for our own devices
// (spec/client §6.11).
import { fromHex, utf8 } from '@allium/protocol/bytes';
import type { DataMessage } from '@allium/protocol/message/content';
import { ClientError } from '../errors.ts';
import type { Storage, StoredRecord } from '../storage/storage.ts';
import { writeOrUndo } from './write-or-undo.ts';

/** Of the record with our own profile. */
export const PROFILE = 'profile';
export const OWN_PROFILE = 'own';
/** spec/client §1.4: bytes of UTF-8. */
export const MAX_NAME_BYTES = 100;
/** What a config takes (spec/config-and-groups §3). */
export const MAX_URL_BYTES = 223;

export interface Profile {
  /** At most 100 bytes of UTF-8. */
  readonly name?: string;
  /** Where the encrypted picture is, at most 223 bytes, and its key, 32 bytes in hex. */
  readonly picture?: { readonly url: string; readonly key: string };
}

export interface KeptProfile extends Profile {
  readonly updatedAtSeconds: number;
}

export class OwnProfile {
  readonly #storage: Storage;
  #now: KeptProfile | undefined;

  private constructor(storage: Storage, now: KeptProfile | undefined) {
    this.#storage = storage;
    this.#now = now;
  }

  static async load(storage: Storage): Promise<OwnProfile> {
    const kept = await storage.record(PROFILE, OWN_PROFILE);
    return new OwnProfile(storage, kept?.value as KeptProfile | undefined);
  }

  get now(): Profile {
    const { name, picture } = this.#now ?? {};
    return { ...(name !== undefined && { name }), ...(picture !== undefined && { picture }) };
  }

  /** Replaces it. `at`: network time in ms. @throws ClientError `too_long`; ParseError for a malformed key */
  async set({ name, picture }: Profile, at: number): Promise<void> {
    if (name !== undefined && utf8(name).length > MAX_NAME_BYTES) {
      throw new ClientError('too_long', `a name has at most ${MAX_NAME_BYTES} bytes`);
    }
    if (picture !== undefined) {
      if (utf8(picture.url).length > MAX_URL_BYTES) {
        throw new ClientError('too_long', `the address of a picture has at most ${MAX_URL_BYTES} bytes`);
      }
      fromHex(picture.key, 32);
    }
    // Later than before, whatever the clock says: others take only what is newer.
    const updatedAtSeconds = Math.max(Math.floor(at / 1000), (this.#now?.updatedAtSeconds ?? 0) + 1);
    const value: KeptProfile = {
      ...(name !== undefined && name !== '' && { name }),
      ...(picture !== undefined && { picture }),
      updatedAtSeconds,
    };
    const before = this.#now ?? { updatedAtSeconds };
    this.#now = value;
    await writeOrUndo<KeptProfile>(
      this.#storage,
      { records: [this.record()] },
      {
        before,
        changed: ['name', 'picture', 'updatedAtSeconds'],
        now: () => this.#now ?? value,
        put: (undone) => {
          const { name, picture, updatedAtSeconds } = { ...this.#now, ...undone };
          this.#now = {
            ...(name !== undefined && { name }),
            ...(picture !== undefined && { picture }),
            updatedAtSeconds: updatedAtSeconds ?? value.updatedAtSeconds,
          };
          return this.record();
        },
      },
    );
  }

  get kept(): KeptProfile | undefined {
    return this.#now;
  }

  /** As it is in the storage, or about to be. */
  put(profile: KeptProfile): void {
    this.#now = profile;
  }

  record(): StoredRecord {
    return { kind: PROFILE, key: OWN_PROFILE, value: this.#now };
  }

  /** Nothing when it was never set. */
  toWire(): Pick<DataMessage, 'profile' | 'profileKey'> {
    if (this.#now === undefined) return {};
    const { name, picture, updatedAtSeconds } = this.#now;
    return {
      profile: {
        ...(name !== undefined && { displayName: name }),
        ...(picture !== undefined && { profilePicture: picture.url }),
        lastUpdateSeconds: updatedAtSeconds,
      },
      ...(picture !== undefined && { profileKey: fromHex(picture.key, 32) }),
    };
  }
}
