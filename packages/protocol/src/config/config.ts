// SPDX-License-Identifier: MIT
// A config on one device and its way between the devices (spec/config-and-groups §2.9):
//
//   clean ── edit ──▶ dirty ── push ──▶ waiting ── confirm ──▶ clean
//
// Versions of other devices come in by `merge`, which may lead to any state. All that a config knows is in its dump;
// the caller stores it whenever `needsDump` says so. Types of configs are subclasses.

import { ParseError } from '../errors.ts';
import type { Account } from '../identity/account.ts';
import { ConfigError } from './config-error.ts';
import {
  type ConfigDict,
  type ConfigPath,
  type ConfigScalar,
  type ConfigValue,
  checkedScalar,
  checkedValue,
  checkPath,
  cloneDict,
  equalValues,
  eraseAt,
  getAt,
  isEmpty,
  setAt,
} from './data.ts';
import { combined, computeDiff, type Diff, restated } from './diff.ts';
import { type DumpedConfig, readDump, writeDump } from './dump.ts';
import {
  decryptConfig,
  encryptConfig,
  OVERHEAD_BYTES,
  packPlaintext,
  padConfig,
  unpackPlaintext,
} from './encryption.ts';
import { mergeMessages } from './merge.ts';
import {
  type ConfigMessage,
  type ConfigVersion,
  EMPTY_VERSION,
  LAG,
  MAX_SEQNO,
  parseMessage,
  serializeVersion,
} from './message.ts';
import { MAX_STORED_BYTES, PieceCollector, parsePiece, splitConfig } from './multipart.ts';
import { type ConfigKind, unwrapConfig, wrapConfig } from './wrapper.ts';

/**
 * Ours: plaintext that is merged at a time. What somebody with the account's keys put on the swarm may be a hundred times
 * as large in memory; more is merged in steps.
 */
const MAX_BATCH_BYTES = 20_000_000;

export const ConfigState = { clean: 0, dirty: 1, waiting: 2 } as const;
export type ConfigState = (typeof ConfigState)[keyof typeof ConfigState];

export interface ConfigOptions {
  /** spec/config-and-groups §2.6. */
  readonly domain: string;
  /** 32 bytes each; the first one encrypts, all decrypt. */
  readonly keys: readonly Uint8Array[];
  /** For user configs: they are wrapped as messages of the account to itself. */
  readonly wrapper?: { readonly account: Account; readonly kind: ConfigKind };
  /** Ed25519 key (32 bytes) that signs all versions. */
  readonly verifyKey?: Uint8Array;
  /** The secret of `verifyKey` (64 bytes); without it a signed config cannot be edited. */
  readonly signKey?: Uint8Array;
  /** Default: true. */
  readonly compress?: boolean;
  /** What `dump` gave. */
  readonly dump?: Uint8Array | undefined;
}

export interface ConfigPush {
  readonly seqno: number;
  /** What to store, each as a message of its own. More than one only for very large configs. */
  readonly messages: readonly Uint8Array[];
  /** Storage hashes to delete once all messages are stored. The config forgets them. */
  readonly obsolete: readonly string[];
}

export interface StoredConfig {
  /** Storage hash. */
  readonly hash: string;
  readonly data: Uint8Array;
}

export interface ConfigMerge {
  /** Storage hashes of what was understood: of no further use as input. Ascending. */
  readonly accepted: readonly string[];
  /** The others: left alone, for they may be of a newer client. */
  readonly refused: readonly {
    readonly hash: string;
    readonly reason: 'undecryptable' | 'malformed' | 'unknown_type';
  }[];
  /** Whether the data may be other than before. */
  readonly changed: boolean;
  /**
   * Ours: others were so far ahead that nothing of this device's edits is in the result (spec §2.5). Whoever wants them
   * has to make them again, see `edits`.
   */
  readonly overtaken?: true;
}

/** Undefined: there is nothing at the path. */
export interface ConfigEdit {
  readonly path: ConfigPath;
  readonly value: ConfigValue | undefined;
}

interface Draft extends Omit<ConfigVersion, 'diff'> {
  /** What the diff is made against. */
  readonly base: ConfigDict;
  /** What is said once more beside that: edits of ours that stand nowhere else in what others will read. */
  readonly again?: Diff;
}

interface Candidate {
  readonly message: ConfigMessage;
  readonly hashes: readonly string[];
}

export class Config {
  readonly #domain: string;
  readonly #wrapper: ConfigOptions['wrapper'];
  readonly #verifyKey: Uint8Array | undefined;
  readonly #signKey: Uint8Array | undefined;
  readonly #compress: boolean;
  #keys: readonly Uint8Array[];
  #state: ConfigState = ConfigState.clean;
  #message: ConfigMessage = serializeVersion(EMPTY_VERSION);
  /** While dirty. */
  #draft: Draft | undefined;
  #current = new Set<string>();
  #old = new Set<string>();
  #pieces = new PieceCollector();
  #extra: ConfigDict = new Map();
  #needsDump = false;
  /** Paths of edits that are in no version of which it is known that it is stored. */
  readonly #edited = new Map<string, ConfigPath>();
  #overtaken = false;
  /** The whole of the last push in parts, until it is confirmed. */
  #pushed: { readonly id: string; readonly now: number } | undefined;

  /**
   * @throws ParseError `config` for a dump that is broken
   */
  constructor(options: ConfigOptions) {
    this.#domain = options.domain;
    this.#keys = options.keys.map((key) => key.slice());
    this.#wrapper = options.wrapper;
    this.#verifyKey = options.verifyKey;
    this.#signKey = options.signKey;
    this.#compress = options.compress ?? true;
    if (options.dump !== undefined) this.#load(readDump(options.dump));
  }

  get state(): ConfigState {
    return this.#state;
  }

  get seqno(): number {
    return this.#draft?.seqno ?? this.#message.seqno;
  }

  get isReadOnly(): boolean {
    return this.#verifyKey !== undefined && this.#signKey === undefined;
  }

  /** Whether there is something to `push`. */
  get needsPush(): boolean {
    return this.#state !== ConfigState.clean;
  }

  /** Whether anything changed since the last `dump`. */
  get needsDump(): boolean {
    return this.#needsDump;
  }

  /** Storage hashes of the version at hand, ascending. */
  get currentHashes(): string[] {
    return [...this.#current].sort();
  }

  /**
   * Storage hashes that are to be kept alive on the swarm: of the version at hand, and of parts whose siblings did not
   * come yet.
   * @param now Unix ms
   */
  activeHashes(now: number): string[] {
    return [...new Set([...this.#current, ...this.#pieces.storageHashes(now)])].sort();
  }

  /**
   * @param now Unix ms
   * @throws ConfigError `no_key`, `too_large`, `exhausted`; nothing has changed then
   */
  push(now: number): ConfigPush {
    const [key] = this.#keys;
    if (key === undefined) throw new ConfigError('no_key', `no key to encrypt ${this.#domain}`);
    if (this.seqno > MAX_SEQNO) throw new ConfigError('exhausted', 'no device would take a higher version');
    // What is not dirty is stored again as it is.
    if (this.#draft !== undefined) this.beforePush(now);
    const message = this.#serialize();
    const { id, messages } = this.#encode(message, key);
    this.#pushed = id === undefined ? undefined : { id, now };
    const obsolete = this.isReadOnly ? [] : [...this.#old].sort();
    if (this.#draft !== undefined || this.#old.size > 0) this.#needsDump = true;
    this.#old.clear();
    if (this.#draft !== undefined) {
      this.#message = message;
      this.#draft = undefined;
      this.#state = ConfigState.waiting;
    }
    return { seqno: message.seqno, messages, obsolete };
  }

  /**
   * Storage hashes to delete that came up while there was nothing to push; the config forgets them. Those of a version
   * that is about to be replaced come with its push.
   */
  takeObsolete(): string[] {
    if (this.#state !== ConfigState.clean || this.isReadOnly || this.#old.size === 0) return [];
    const obsolete = [...this.#old].sort();
    this.#old.clear();
    this.#needsDump = true;
    return obsolete;
  }

  /** All messages of a push are stored. Ignored when there was an edit or a merge since. */
  confirm(seqno: number, storageHashes: readonly string[]): void {
    if (this.#state !== ConfigState.waiting || seqno !== this.#message.seqno) return;
    this.#state = ConfigState.clean;
    // Not before: parts of a push that was never confirmed must be found again, to be deleted.
    if (this.#pushed !== undefined) this.#pieces.markDone(this.#pushed.id, this.#pushed.now);
    this.#setCurrent(storageHashes);
    this.#edited.clear();
    this.#needsDump = true;
  }

  /** Ours: what this device has edited and is not known to be stored, as it is now. Not part of the dump. */
  edits(): readonly ConfigEdit[] {
    return [...this.#edited.values()].map((path) => ({ path, value: this.get(...path) }));
  }

  /** After loading a dump: where the edits were. */
  markEdited(paths: readonly ConfigPath[]): void {
    for (const path of paths) this.#edited.set(JSON.stringify(path), path);
  }

  /** Makes edits again, after a merge that lost them. @throws ConfigError `read_only` */
  redo(edits: readonly ConfigEdit[]): void {
    for (const { path, value } of edits) {
      if (value === undefined) this.erase(path);
      else this.set(path, value);
    }
  }

  /**
   * Takes versions as they are stored on the swarm.
   * @param now Unix ms
   * @throws ConfigError `no_key`
   */
  merge(stored: readonly StoredConfig[], now: number): ConfigMerge {
    if (this.#keys.length === 0) throw new ConfigError('no_key', `no key to decrypt ${this.#domain}`);
    if (this.#pieces.expire(now)) this.#needsDump = true;
    const accepted = new Set<string>();
    const refused: ConfigMerge['refused'][number][] = [];
    let candidates: Candidate[] = [];
    let batchBytes = 0;
    let changed = false;
    this.#overtaken = false;
    for (const { hash, data } of stored) {
      try {
        const opened = this.#open(hash, data, now);
        if (typeof opened === 'string') {
          refused.push({ hash, reason: opened });
          continue;
        }
        accepted.add(hash);
        if (opened === undefined) continue; // a piece
        candidates.push(opened);
        for (const own of opened.hashes) accepted.add(own);
        batchBytes += opened.message.plaintext.length;
        if (batchBytes > MAX_BATCH_BYTES) {
          changed = this.#merge(candidates, now) || changed;
          candidates = [];
          batchBytes = 0;
        }
      } catch (error) {
        if (!(error instanceof ParseError)) throw error;
        refused.push({ hash, reason: 'malformed' });
      }
    }
    changed = this.#merge(candidates, now) || changed;
    return {
      accepted: [...accepted].sort(),
      refused,
      changed,
      ...(this.#overtaken ? { overtaken: true } : {}),
    };
  }

  /**
   * All that this config knows, for `ConfigOptions.dump`. Holds secrets: to be stored encrypted.
   * @param now Unix ms
   */
  dump(now: number): Uint8Array {
    this.#pieces.expire(now);
    this.#needsDump = false;
    return writeDump({
      state: this.#state,
      plaintext: this.#serialize().plaintext,
      current: this.currentHashes,
      old: [...this.#old].sort(),
      pieces: this.#pieces.sets,
      extra: this.#extra,
    });
  }

  /**
   * Replaces the keys. When another one encrypts from now on, `repush` makes the config dirty, so that it is stored
   * again with it.
   */
  setKeys(keys: readonly Uint8Array[], options?: { readonly repush?: boolean }): void {
    const [before] = this.#keys;
    const [first] = keys;
    this.#keys = keys.map((key) => key.slice());
    const isOther =
      before === undefined || first === undefined || before.some((byte, i) => byte !== first[i]);
    if (isOther && options?.repush === true && !this.isReadOnly) this.#edit();
  }

  /** The value at a path. Not to be changed. */
  get(...path: ConfigPath): ConfigValue | undefined {
    return getAt(this.#draft?.data ?? this.#message.data, path);
  }

  /**
   * Assigns; whatever is no dict on the way becomes one. Equal to what is there, nothing happens. An empty set or dict
   * is the same as `erase`.
   * @throws ConfigError `read_only`, `bad_value`
   */
  set(path: ConfigPath, value: ConfigValue): void {
    const checked = checkedValue(value);
    if (isEmpty(checked)) {
      this.erase(path);
      return;
    }
    const present = this.get(...path);
    if (present !== undefined && equalValues(present, checked)) return;
    checkPath(path);
    setAt(this.#edit().data, path, checked);
    this.#edited.set(JSON.stringify(path), path);
  }

  /** @throws ConfigError `read_only` */
  erase(path: ConfigPath): void {
    if (this.get(...path) === undefined) return;
    eraseAt(this.#edit().data, path);
    this.#edited.set(JSON.stringify(path), path);
  }

  /** Adds to a set, which takes the place of anything else. @throws ConfigError `read_only`, `bad_value` */
  addToSet(path: ConfigPath, item: ConfigScalar): void {
    const present = this.get(...path);
    const checked = checkedScalar(item);
    if (present instanceof Set && present.has(checked)) return;
    this.set(path, new Set(present instanceof Set ? [...present, checked] : [checked]));
  }

  /** @throws ConfigError `read_only` */
  removeFromSet(path: ConfigPath, item: ConfigScalar): void {
    const present = this.get(...path);
    const checked = checkedScalar(item);
    if (!(present instanceof Set) || !present.has(checked)) return;
    this.set(path, new Set([...present].filter((other) => other !== checked)));
  }

  /** Wipes the keys: there is no push and no merge any more. */
  dispose(): void {
    for (const key of this.#keys) key.fill(0);
    this.#keys = [];
  }

  /** For subclasses: what is dumped but never pushed. */
  protected get extra(): ConfigDict {
    return this.#extra;
  }

  /** For subclasses, after a change of `extra`. */
  protected markForDump(): void {
    this.#needsDump = true;
  }

  /** For subclasses: edits to make before a version is pushed for the first time. */
  protected beforePush(_now: number): void {}

  /** For subclasses: what to keep of the data that a merge has replaced. */
  protected afterMerge(_before: ConfigDict, _now: number): void {}

  #load(dumped: DumpedConfig): void {
    // The dump is our own: signatures were verified when the message came. A signature is kept in it, so that the hash
    // of the parent is right for the next version.
    this.#message = parseMessage(dumped.plaintext);
    this.#current = new Set(dumped.current);
    this.#old = new Set(dumped.old);
    for (const [id, set] of dumped.pieces) this.#pieces.sets.set(id, set);
    this.#extra = dumped.extra;
    this.#state = dumped.state;
    // spec/config-and-groups §2.9: its number is wasted.
    if (dumped.state === ConfigState.dirty) this.#draft = nextDraft(this.#message);
  }

  /** The version at hand with its bytes. */
  #serialize(): ConfigMessage {
    const draft = this.#draft;
    if (draft === undefined) return this.#message;
    const { base, again = new Map(), ...version } = draft;
    const diff = combined(restated(again, draft.data), computeDiff(base, draft.data));
    // The data is shared: the result must not outlive the draft, nor the next edit.
    return serializeVersion({ ...version, diff }, this.#signKey);
  }

  #encode(message: ConfigMessage, key: Uint8Array): { messages: Uint8Array[]; id?: string } {
    const whole = padConfig(packPlaintext(message.plaintext, this.#compress));
    if (whole.length + OVERHEAD_BYTES > MAX_STORED_BYTES) {
      const { id, pieces } = splitConfig(whole);
      return { id, messages: pieces.map((piece) => encryptConfig(piece, key, this.#domain)) };
    }
    const encrypted = encryptConfig(whole, key, this.#domain);
    if (this.#wrapper === undefined) return { messages: [encrypted] };
    const { account, kind } = this.#wrapper;
    return { messages: [wrapConfig(encrypted, kind, message.seqno, account)] };
  }

  /** Undefined for a piece that is kept. @throws ParseError */
  #open(
    hash: string,
    stored: Uint8Array,
    now: number,
  ): Candidate | undefined | 'undecryptable' | 'unknown_type' {
    const bytes = this.#wrapper ? unwrapConfig(stored, this.#wrapper.kind, this.#wrapper.account) : stored;
    const padded = decryptConfig(bytes, this.#keys, this.#domain);
    if (padded === undefined) return 'undecryptable';
    let unpacked = unpackPlaintext(padded);
    let hashes: readonly string[] = [hash];
    if (unpacked.kind === 'piece') {
      this.#needsDump = true;
      const added = this.#pieces.add(parsePiece(unpacked.bytes), hash, now);
      if (added.kind === 'kept') return undefined;
      hashes = added.storageHashes;
      unpacked = unpackPlaintext(added.whole);
    }
    if (unpacked.kind !== 'message') return 'unknown_type';
    const message = parseMessage(unpacked.plaintext, this.#verifyKey);
    if (message.seqno > MAX_SEQNO) throw new ParseError('config', 'an absurd seqno');
    return { message, hashes };
  }

  /** Whether something changed. */
  #merge(others: readonly Candidate[], now: number): boolean {
    if (others.length === 0) return false;
    const before = this.#draft?.data ?? this.#message.data;
    const changed = this.#take(others);
    if (changed) this.afterMerge(before, now);
    return changed;
  }

  #take(others: readonly Candidate[]): boolean {
    const wasDirty = this.#draft !== undefined;
    const own = wasDirty || this.#message.seqno !== 0 ? this.#serialize() : undefined;
    const candidates = own === undefined ? others : [{ message: own, hashes: [...this.#current] }, ...others];
    const messages = candidates.map((candidate) => candidate.message);
    const result = mergeMessages(messages, !this.isReadOnly);
    if (own !== undefined && this.#edited.size > 0) this.#judgeOwn(own, others);
    if (result.kind === 'merged') {
      for (const { hashes } of candidates) for (const hash of hashes) this.#old.add(hash);
      this.#current.clear();
      const { seqno, data, history } = result;
      // The quirk of spec/config-and-groups §2.5: a clean client says that all is new.
      const base: ConfigDict = wasDirty ? data : new Map();
      // Ours: our row is too old to be written, so a version beside this one would undo our edits.
      const isForgotten = own !== undefined && wasDirty && own.seqno <= seqno - LAG;
      const again = isForgotten ? { again: own.diff } : {};
      this.#draft = { seqno, data: cloneDict(data), base, history, unknown: new Map(), ...again };
      this.#state = ConfigState.dirty;
      this.#needsDump = true;
      return true;
    }
    const adopted = messages[result.index] as ConfigMessage;
    const isSame = ({ seqno, hash }: ConfigMessage) => seqno === adopted.seqno && hash === adopted.hash;
    // Ours: a second copy of the same version is current too, for whoever stored it may be about to delete the first.
    const copies = candidates.filter(({ message }) => isSame(message)).flatMap(({ hashes }) => hashes);
    const isOwn = own !== undefined && result.index === 0;
    for (const { hashes } of candidates) for (const hash of hashes) this.#old.add(hash);
    for (const hash of copies) this.#old.delete(hash);
    this.#needsDump = true;
    if (isOwn && !others.some(({ message }) => isSame(message))) return false;
    // It is on the swarm, so it is stored, also when our own push of it was never confirmed.
    this.#message = adopted;
    this.#draft = undefined;
    this.#state = ConfigState.clean;
    this.#setCurrent(copies);
    return !isOwn;
  }

  /** What becomes of the edits of this device. */
  #judgeOwn(own: ConfigMessage, others: readonly Candidate[]): void {
    const isOwn = ({ seqno, hash }: Pick<ConfigMessage, 'seqno' | 'hash'>) =>
      seqno === own.seqno && hash === own.hash;
    const isContained = others.some(({ message }) => isOwn(message) || message.history.some(isOwn));
    const newest = Math.max(...others.map(({ message }) => message.seqno));
    if (isContained) this.#edited.clear();
    else if (own.seqno + LAG <= newest) {
      this.#edited.clear();
      this.#overtaken = true;
    }
  }

  #setCurrent(hashes: readonly string[]): void {
    this.#current = new Set(hashes);
    for (const hash of hashes) this.#old.delete(hash);
  }

  #edit(): Draft {
    if (this.isReadOnly) throw new ConfigError('read_only', 'only admins change this config');
    this.#needsDump = true;
    if (this.#draft === undefined) {
      for (const hash of this.#current) this.#old.add(hash);
      this.#current.clear();
      this.#draft = nextDraft(this.#message);
      this.#state = ConfigState.dirty;
    }
    return this.#draft;
  }
}

/** spec/config-and-groups §2.4 */
function nextDraft({ seqno, hash, diff, data, history, unknown }: ConfigMessage): Draft {
  const rows = history.filter((row) => row.seqno > seqno - LAG && row.seqno < seqno);
  return {
    seqno: seqno + 1,
    data: cloneDict(data),
    base: data,
    history: [...rows, { seqno, hash, diff }],
    unknown,
  };
}
