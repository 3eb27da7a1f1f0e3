// SPDX-License-Identifier: MIT
// The account's own profile and settings (spec/config-and-groups §3.1).
import { toBinary, utf8 } from '../bytes.ts';
import type { Account } from '../identity/account.ts';
import { checkText, Fields, MAX_NAME_BYTES, type Picture, truncateText } from './fields.ts';
import { UserConfig } from './user-config.ts';

// From the specification, spec/config-and-groups §3.1.
/** Ours: our own members in a config; other clients keep what they do not know. */
const OURS = 'allium';
const WEEK_SECONDS = 7 * 86_400;
/** Above this a Pro expiry is in ms. */
const MS_FROM = 1_000_000_000_000;

/** Times are Unix seconds; `now` of the setters too. Setters that change nothing leave no trace. */
export class UserProfileConfig extends UserConfig {
  readonly #fields = new Fields(this, []);

  /** @throws ParseError `config` for a dump that is broken */
  constructor(account: Account, dump?: Uint8Array) {
    super('userProfile', account, dump);
  }

  /** '' when none was chosen. */
  get name(): string {
    return this.#fields.text('n');
  }

  /** @throws ConfigError `bad_value` for more than 100 bytes */
  setName(name: string, now: number): void {
    checkText('a name', name, MAX_NAME_BYTES);
    if (name === this.name) return;
    this.#fields.setText('n', name);
    this.#stamp(now);
  }

  /** As `setName`, but cuts what is too long. */
  setNameTruncated(name: string, now: number): void {
    this.setName(truncateText(name, MAX_NAME_BYTES), now);
  }

  /** The picture to show: as chosen, or its renewed copy on the file server. */
  get picture(): Picture | undefined {
    const fields = this.#fields;
    const renewed = fields.positive('T') > fields.positive('t') ? fields.picture('P', 'Q') : undefined;
    return renewed ?? fields.picture();
  }

  /** @throws ConfigError `bad_value` */
  setPicture(picture: Picture | undefined, now: number): void {
    const fields = this.#fields;
    if (isSame(picture, fields.picture()) && (picture !== undefined || !fields.picture('P', 'Q'))) return;
    fields.setPicture(picture);
    if (picture === undefined) fields.setPicture(undefined, 'P', 'Q');
    fields.setPositive('t', now);
  }

  /** The same picture, uploaded again before the file server forgot it. @throws ConfigError `bad_value` */
  setRenewedPicture(picture: Picture, now: number): void {
    if (isSame(picture, this.#fields.picture('P', 'Q'))) return;
    this.#fields.setPicture(picture, 'P', 'Q');
    this.#fields.setPositive('T', now);
  }

  /** What others are told as the time of the last change; 0 when never. */
  get updatedSeconds(): number {
    return Math.max(this.#fields.positive('t'), this.#fields.positive('T'));
  }

  /** Of Note to Self: −1 hidden, 0 normal, from 1 on pinned. */
  get noteToSelfPriority(): number {
    return this.#fields.integer('+');
  }

  setNoteToSelfPriority(priority: number): void {
    this.#fields.setInteger('+', priority);
  }

  /** After that time notes disappear; 0: never. */
  get noteToSelfExpirySeconds(): number {
    return this.#fields.positive('e');
  }

  setNoteToSelfExpiry(seconds: number): void {
    this.#fields.setPositive('e', seconds);
  }

  /** Message requests from members of communities; undefined: not chosen yet, which means no. */
  get acceptsBlindedRequests(): boolean | undefined {
    return typeof this.#fields.get('M') === 'number' ? this.#fields.flag('M') : undefined;
  }

  setAcceptsBlindedRequests(accepts: boolean | undefined, now: number): void {
    if (accepts === this.acceptsBlindedRequests) return;
    if (accepts === undefined) this.erase(['M']);
    else this.set(['M'], accepts ? 1 : 0);
    this.#stamp(now);
  }

  /** Ours: a setting that only our clients know. */
  setting(name: string): number | undefined {
    const value = this.get(OURS, toBinary(utf8(name)));
    return typeof value === 'number' ? value : undefined;
  }

  setSetting(name: string, value: number): void {
    this.set([OURS, toBinary(utf8(name))], value);
  }

  /** Numbers of the features that are switched on, ascending. */
  get proFeatures(): number[] {
    return this.#fields.numbers('f');
  }

  setProFeatures(features: readonly number[], now: number): void {
    const before = this.proFeatures.join();
    this.#fields.setNumbers('f', features);
    if (this.proFeatures.join() !== before) this.#stamp(now);
  }

  /** An opaque bt-encoded dict. Holds a secret. */
  get proProof(): Uint8Array | undefined {
    return this.#fields.bytes('s');
  }

  setProProof(proof: Uint8Array | undefined, now: number): void {
    const before = this.get('s');
    this.#fields.setBytes('s', proof);
    if (this.get('s') !== before) this.#stamp(now);
  }

  /** 0: none. */
  get proExpirySeconds(): number {
    const expiry = this.#fields.positive('E');
    return expiry > MS_FROM ? Math.floor(expiry / 1000) : expiry;
  }

  setProExpiry(seconds: number): void {
    this.#fields.setPositive('E', seconds);
  }

  /** 0: never, or more than a week ago. */
  refundRequestedSeconds(now: number): number {
    return recent(this.#fields.positive('R'), now);
  }

  setRefundRequested(seconds: number, now: number): void {
    this.#setStamped('R', seconds, now);
  }

  /** 0: never, or more than a week ago. */
  prepaidSeconds(now: number): number {
    return recent(this.#fields.positive('I'), now);
  }

  setPrepaid(seconds: number, now: number): void {
    this.#setStamped('I', seconds, now);
  }

  #setStamped(key: string, value: number, now: number): void {
    if (this.#fields.positive(key) === Math.max(0, value)) return;
    this.#fields.setPositive(key, value);
    this.#stamp(now);
  }

  #stamp(now: number): void {
    const fields = this.#fields;
    fields.setPositive(fields.positive('t') >= fields.positive('T') ? 't' : 'T', now);
  }
}

function recent(time: number, now: number): number {
  return now - time > WEEK_SECONDS ? 0 : time;
}

function isSame(a: Picture | undefined, b: Picture | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.url === b.url && a.key.length === b.key.length && a.key.every((byte, i) => byte === b.key[i]);
}
