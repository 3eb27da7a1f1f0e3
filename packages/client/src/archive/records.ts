// SPDX-License-Identifier: MIT
// What an archive carries of a storage, as lines of JSON (docs/formats/archive.md), and the reading of such lines, which
// may be anybody's: what is not as it must be is refused, members that are unknown stay.
import type { AccountId } from '@allium/protocol/account-id';
import { cleanContentType, cleanFileName } from '@allium/protocol/files/names';
import { filesOf, isLink, type StoredAttachment, withFiles } from '../files/stored-attachment.ts';
import { CONTACT } from '../messaging/contacts.ts';
import { SETTINGS } from '../messaging/settings.ts';
import type { Marks } from '../storage/marks.ts';
import type { StoredMessage, StoredRecord } from '../storage/storage.ts';
import { SETTING_NAMES } from '../sync/mapping.ts';
import { canonicalJson } from './canonical.ts';

/**
 * Kinds of records that belong to the account and not to the device. Left out: what waits to be sent or fetched, configs
 * (the swarm has them), names and keys of local files.
 */
export const RECORD_KINDS = [CONTACT, 'conversation', 'profile', SETTINGS, 'kept'] as const;

// Ours.
const MAX_RECORD_CHARACTERS = 512 * 1024;
const MAX_TEXT = 256 * 1024;
const MAX_KEY = 300;
const MAX_HASH = 200;
const MAX_REACTIONS = 200;
const MAX_EDITS = 20;
const MAX_FILES = 32;
const MAX_EMOJI = 64;
/** Why a message that was still being sent counts as failed elsewhere: only one device may go on with it. */
const INTERRUPTED = 'interrupted';

/** A message without what only concerns the device that sends it. */
export function carriedMessage(message: StoredMessage): StoredMessage {
  const { copyPending: _copyPending, keepTrying: _keepTrying, ...carried } = message;
  return carried.state === 'sending' ? { ...carried, state: 'failed', failure: INTERRUPTED } : carried;
}

/** A record without the settings of this device. */
function carriedRecord(record: StoredRecord): StoredRecord {
  if (record.kind !== SETTINGS) return record;
  const {
    autoDownload: _download,
    fileCacheBytes: _cache,
    ...value
  } = record.value as Record<string, unknown>;
  return { ...record, value };
}

/** What is written, and what the digest is taken of. */
export const messageLine = (message: StoredMessage): string =>
  `message ${canonicalJson(carriedMessage(message))}`;
export const recordLine = (record: StoredRecord): string => `record ${canonicalJson(carriedRecord(record))}`;

/** It would be gone at `now`. */
export const isExpired = ({ marks }: StoredMessage, now: number): boolean =>
  (marks?.expiresAt ?? Infinity) <= now;

/** Undefined when it is malformed. */
export function readMessage(json: string): StoredMessage | undefined {
  const given = readObject(json);
  if (given === undefined) return undefined;
  const { sender, timestamp, conversation, text, state, hash, sortTimestamp, handled } = given;
  const [from, to] = [readId(sender), readId(conversation)];
  const isSound =
    from !== undefined &&
    to !== undefined &&
    isTime(timestamp) &&
    isText(text, MAX_TEXT) &&
    (state === 'received' || state === 'sent' || state === 'failed') &&
    (hash === undefined || isText(hash, MAX_HASH)) &&
    (sortTimestamp === undefined || isTime(sortTimestamp)) &&
    typeof handled === 'boolean' &&
    areDetails(given) &&
    (given.marks === undefined || areMarks(given.marks));
  if (!isSound) return undefined;
  return cleaned(carriedMessage({ ...given, sender: from, conversation: to } as unknown as StoredMessage));
}

/** What it says of files and links, as messages from the network are cleaned. */
function cleaned({ preview, ...given }: StoredMessage): StoredMessage {
  const message = { ...given, ...(preview !== undefined && isLink(preview.url) && { preview }) };
  return withFiles(message, filesOf(message).map(cleanedFile));
}

function cleanedFile({ fileName, ...file }: StoredAttachment): StoredAttachment {
  const name = fileName === undefined ? undefined : cleanFileName(fileName);
  return {
    ...file,
    contentType: cleanContentType(file.contentType),
    ...(name !== undefined && { fileName: name }),
  };
}

/** Undefined when it is malformed, or of a kind that is not carried. */
export function readRecord(json: string): StoredRecord | 'unknown' | undefined {
  const given = readObject(json);
  if (given === undefined) return undefined;
  const { kind, key, value, expiry } = given;
  if (!isText(kind, MAX_KEY) || !isText(key, MAX_KEY) || !isObject(value)) return undefined;
  if (!(RECORD_KINDS as readonly string[]).includes(kind)) return 'unknown';
  if (expiry !== undefined && !isTime(expiry)) return undefined;
  if (kind === CONTACT && !isContact(key, value)) return undefined;
  if (kind === 'conversation' && (readId(key) !== key || !isState(value))) return undefined;
  if (kind === SETTINGS && !areSettings(value)) return undefined;
  if (kind === 'profile' && !isProfile(value)) return undefined;
  if (kind === 'kept' && !isKept(value)) return undefined;
  return carriedRecord({ kind, key, value, ...(expiry !== undefined && { expiry }) });
}

function readObject(json: string): Record<string, unknown> | undefined {
  if (json.length > MAX_RECORD_CHARACTERS) return undefined;
  try {
    const value: unknown = JSON.parse(json);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function areDetails({
  failure,
  quote,
  original,
  timer,
  notice,
  attachments,
  preview,
  content,
}: Record<string, unknown>): boolean {
  return (
    isMaybe(content, isBase64) &&
    isMaybe(failure, (code) => isText(code, MAX_HASH)) &&
    isMaybe(original, (text) => isText(text, MAX_TEXT)) &&
    isMaybe(quote, (one) => isObject(one) && isText(one.author, MAX_KEY) && isTime(one.timestamp)) &&
    isMaybe(timer, isTimer) &&
    isMaybe(notice, (one) => isObject(one) && isText(one.kind, MAX_KEY) && isMaybe(one.timer, isTimer)) &&
    isMaybe(attachments, (all) => Array.isArray(all) && all.length <= MAX_FILES && all.every(isFile)) &&
    isMaybe(
      preview,
      (one) =>
        isObject(one) &&
        isText(one.url, MAX_TEXT) &&
        isMaybe(one.title, (title) => isText(title, MAX_TEXT)) &&
        isMaybe(one.image, isFile),
    )
  );
}

function isFile(file: unknown): boolean {
  if (!isObject(file) || !isText(file.contentType, MAX_KEY) || !isTime(file.sizeBytes)) return false;
  const texts = ['fileName', 'caption', 'url', 'key', 'digest', 'content', 'problem'];
  const numbers = ['width', 'height', 'durationMs', 'partsTextBytes', 'uploadedAt', 'expiresAt'];
  return (
    texts.every((name) => isMaybe(file[name], (text) => isText(text, MAX_TEXT))) &&
    numbers.every((name) => isMaybe(file[name], isTime)) &&
    isMaybe(file.isVoice, (flag) => typeof flag === 'boolean')
  );
}

function areMarks(marks: unknown): marks is Marks {
  if (!isObject(marks)) return false;
  const numbers = ['stored', 'of', 'deliveredAt', 'readAt', 'deletedAt', 'expiresAt'];
  return (
    numbers.every((name) => isMaybe(marks[name], isTime)) &&
    isMaybe(
      marks.reactions,
      (all) => Array.isArray(all) && all.length <= MAX_REACTIONS && all.every(isReaction),
    ) &&
    isMaybe(marks.edits, (all) => Array.isArray(all) && all.length <= MAX_EDITS && all.every(isEdit))
  );
}

const isReaction = (mark: unknown): boolean =>
  isObject(mark) &&
  isText(mark.by, MAX_KEY) &&
  isText(mark.emoji, MAX_EMOJI) &&
  isTime(mark.at) &&
  typeof mark.on === 'boolean';

const isEdit = (mark: unknown): boolean => isObject(mark) && isText(mark.text, MAX_TEXT) && isTime(mark.at);

const isTimer = (timer: unknown): boolean =>
  isObject(timer) && (timer.mode === 'after_send' || timer.mode === 'after_read') && isTime(timer.seconds);

function isContact(key: string, value: Record<string, unknown>): boolean {
  const texts = ['name', 'nickname', 'pictureUrl', 'pictureKey'];
  return (
    readId(key) === key &&
    value.id === key &&
    ['approved', 'approvedMe', 'blocked'].every((name) => typeof value[name] === 'boolean') &&
    texts.every((name) => isMaybe(value[name], (text) => isText(text, 1000))) &&
    isMaybe(value.profileUpdatedAt, isTime) &&
    isMaybe(value.timerChangedAt, isTime) &&
    isMaybe(value.timer, isTimer)
  );
}

function isState(value: Record<string, unknown>): boolean {
  return (
    ['readTo', 'hiddenAt', 'mutedUntil'].every((name) => isMaybe(value[name], isTime)) &&
    isMaybe(value.pin, (pin) => typeof pin === 'number' && Number.isFinite(pin)) &&
    isMaybe(value.isMarkedUnread, (flag) => flag === true) &&
    isMaybe(value.notifications, (which) => which === 'all' || which === 'none') &&
    isMaybe(value.draft, (text) => isText(text, MAX_TEXT))
  );
}

function isProfile(value: Record<string, unknown>): boolean {
  return (
    isTime(value.updatedAtSeconds) &&
    isMaybe(value.name, (name) => isText(name, 1000)) &&
    isMaybe(
      value.picture,
      (picture) => isObject(picture) && isText(picture.url, 1000) && isText(picture.key, 1000),
    )
  );
}

const areSettings = (value: Record<string, unknown>): boolean =>
  Object.keys(SETTING_NAMES).every((name) => isMaybe(value[name], (flag) => typeof flag === 'boolean'));

/** A content that was not understood. */
const isKept = ({
  sender,
  timestamp,
  storedAt,
  expiration,
  hash,
  content,
}: Record<string, unknown>): boolean =>
  readId(sender) !== undefined &&
  [timestamp, storedAt].every(isTime) &&
  isMaybe(expiration, isTime) &&
  isText(hash, MAX_HASH) &&
  isBase64(content);

const isBase64 = (text: unknown): boolean => isText(text, MAX_TEXT) && /^[A-Za-z0-9+/]*={0,2}$/.test(text);

const isMaybe = (value: unknown, check: (value: unknown) => boolean): boolean =>
  value === undefined || check(value);

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isText = (value: unknown, most: number): value is string =>
  typeof value === 'string' && value.length <= most;

const isTime = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** Any prefix: groups will have conversations too. */
function readId(text: unknown): AccountId | undefined {
  return typeof text === 'string' && /^[0-9a-f]{66}$/.test(text) ? (text as AccountId) : undefined;
}
