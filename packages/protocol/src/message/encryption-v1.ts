// SPDX-License-Identifier: MIT
// Encryption of messages between two accounts, version 1 (spec/client §4). What `store` takes, from outside to inside:
//
//   WebSocketMessage { request { Envelope { timestamp, sealed box, proSig } } }
//   sealed box to Y:  M ‖ A (32) ‖ signature (64) by A over M ‖ A ‖ Y
//   M:                padded Content            A: sender's Ed25519 key        Y: recipient's X25519 key
import {
  blake2b,
  boxKey,
  ed25519KeyPair,
  ed25519PublicKeyToX25519,
  ed25519Sign,
  ed25519Verify,
  randomBytes,
  sealedBoxSeal,
  secretboxSeal,
  sha512,
  x25519PublicKey,
} from '#crypto';
import { concat, toBinary, utf8 } from '../bytes.ts';
import { AlliumError, ParseError } from '../errors.ts';
import type { Account } from '../identity/account.ts';
import { type AccountId, accountIdOf, parseAccountId, x25519KeyOf } from '../identity/account-id.ts';
import { type Content, decodeContent } from './content.ts';
import {
  Envelope_Type,
  EnvelopeSchema,
  WebSocketMessage_Type,
  WebSocketMessageSchema,
} from './generated/session_pb.js';
import { pad, unpad } from './padding.ts';
import { decodeProtobuf, encodeProtobuf } from './protobuf.ts';

// From the specification (spec/client §4.2, §4.3).
const MAX_MESSAGE_BYTES = 76_800;
const SIGNATURE = 64;
const KEY = 32;
const TRAILER = KEY + SIGNATURE;
const SEAL = 48;
const EPHEMERAL_HASH_KEY = utf8('SessionBoxEphemeralHashKey');
/** First byte of a message of version 2 (spec/client §10.4). */
const VERSION_2_MARK = 0;
// Ours.
const REPEATABLE_HASH_KEY = utf8('AlliumRepeatableMessage');
/** Remembered for each account: some 40 kB. */
const MAX_SENDERS = 256;

/**
 * Why a message cannot be sent (`too_large`) or was refused.
 * `not_for_account`: a message to a group, or from one. `version_2`: of the protocol that we do not read.
 */
export class MessageError extends AlliumError<
  | 'malformed'
  | 'too_large'
  | 'not_for_account'
  | 'version_2'
  | 'too_short'
  | 'undecryptable'
  | 'bad_signature'
  | 'bad_sender'
  | 'bad_content'
  | 'bad_timestamp'
  | 'bad_pro_signature'
> {
  override readonly name = 'MessageError';
}

export interface OutgoingMessage {
  /** An encoded Content. */
  readonly content: Uint8Array;
  readonly sender: Account;
  readonly recipient: AccountId;
  /** Sent time, ms; equal to the content's `sigTimestamp`. */
  readonly timestamp: number;
}

export interface IncomingMessage {
  /** Proven by signature. */
  readonly sender: AccountId;
  readonly senderEd25519Key: Uint8Array;
  /** Of the envelope: sent time, ms. */
  readonly timestamp: number;
  readonly content: Content;
  readonly contentBytes: Uint8Array;
  /** Over the ciphertext, by a Pro key or by a random one: means nothing unless the content has a proof. */
  readonly proSignature: Uint8Array | undefined;
  /** What `proSignature` signs. */
  readonly ciphertext: Uint8Array;
}

/** What is random otherwise. */
export interface FixedMessage {
  readonly ephemeralSecret: Uint8Array;
  readonly proSeed: Uint8Array;
}

/**
 * The bytes for `data` of `store`.
 * @throws MessageError `too_large` when no storage server would take them
 */
export function encryptMessage(message: OutgoingMessage, fixed?: FixedMessage): Uint8Array {
  const { content, sender, recipient, timestamp } = message;
  const ciphertext = sealText(pad(content), sender, x25519KeyOf(recipient), fixed?.ephemeralSecret);
  const data = wrap({
    type: Envelope_Type.SESSION_MESSAGE,
    timestamp,
    content: ciphertext,
    // spec/client §4.5: a signature by a key for this message alone, so that nobody sees who has Pro.
    proSig: dummySignature(ciphertext, fixed?.proSeed),
  });
  if (data.length > MAX_MESSAGE_BYTES)
    throw new MessageError('too_large', `a message of ${data.length} bytes`);
  return data;
}

/**
 * What is random otherwise, drawn from the sender's secret and all that the message says: it has the same bytes whenever it is
 * encrypted again, also after a restart, so that a swarm which has it already keeps one message. Nobody else can compute it.
 */
export function repeatable({ content, sender, recipient, timestamp }: OutgoingMessage): FixedMessage {
  const secret = sender.seed();
  const said = [secret, x25519KeyOf(recipient), utf8(`${timestamp} `), content];
  const hash = blake2b(said, 64, { key: REPEATABLE_HASH_KEY });
  secret.fill(0);
  return { ephemeralSecret: hash.subarray(0, 32), proSeed: hash.subarray(32) };
}

/** Parts of the result are parts of `data`. Does not judge by sender, time or repetition. @throws MessageError */
export function decryptMessage(data: Uint8Array, account: Account): IncomingMessage {
  if (data.length > MAX_MESSAGE_BYTES)
    throw new MessageError('too_large', `a message of ${data.length} bytes`);
  if (data[0] === VERSION_2_MARK) throw new MessageError('version_2', 'a message of version 2');
  const { type, source, timestamp, content: ciphertext, proSig } = unwrap(data);
  if (type !== Envelope_Type.SESSION_MESSAGE || source?.startsWith('03')) {
    throw new MessageError('not_for_account', 'a message of a group');
  }
  if (source !== undefined && source !== '') checkSource(source);
  if (proSig !== undefined && proSig.length !== 0 && proSig.length !== SIGNATURE) {
    throw new MessageError('bad_pro_signature', `a Pro signature of ${proSig.length} bytes`);
  }
  if (ciphertext === undefined) throw new MessageError('too_short', 'an envelope without content');
  const { sender, senderEd25519Key, text } = openText(ciphertext, account);
  const contentBytes = unpad(text);
  const content = readContent(contentBytes);
  const { sigTimestamp } = content;
  // spec/client §4.3.7: legacy senders set none.
  if (sigTimestamp !== undefined && sigTimestamp !== timestamp) {
    throw new MessageError('bad_timestamp', 'the signed time is not that of the envelope');
  }
  // spec/client §4.5
  if (content.proMessage !== undefined && sigTimestamp === undefined) {
    throw new MessageError('bad_timestamp', 'a Pro message without signed time');
  }
  const proSignature = proSig?.length === SIGNATURE ? proSig : undefined;
  return { sender, senderEd25519Key, timestamp, content, contentBytes, proSignature, ciphertext };
}

export interface OpenedText {
  readonly sender: AccountId;
  readonly senderEd25519Key: Uint8Array;
  /** Still padded. */
  readonly text: Uint8Array;
}

/** Signs `text` and seals it to an X25519 key. `ephemeralSecret` is for tests. */
export function sealText(
  text: Uint8Array,
  sender: Account,
  recipientKey: Uint8Array,
  ephemeralSecret?: Uint8Array,
): Uint8Array {
  const signature = sender.sign(concat(text, sender.ed25519Key, recipientKey));
  const plaintext = concat(text, sender.ed25519Key, signature);
  if (ephemeralSecret === undefined) return sealedBoxSeal(plaintext, recipientKey);
  // A sealed box by hand (spec/client §4.2.5).
  const ephemeralKey = x25519PublicKey(ephemeralSecret);
  const nonce = blake2b([ephemeralKey, recipientKey], 24);
  return concat(ephemeralKey, secretboxSeal(boxKey(ephemeralSecret, recipientKey), nonce, plaintext));
}

/** The variant where equal input gives equal output (spec/client §4.2). Not for chat messages. */
export function sealTextDeterministic(
  text: Uint8Array,
  sender: Account,
  recipientKey: Uint8Array,
): Uint8Array {
  const seed = new Uint8Array(32);
  const secret = sender.seed();
  seed.set(secret);
  const hash = blake2b([seed, recipientKey, text], 32, { key: EPHEMERAL_HASH_KEY });
  secret.fill(0);
  seed.fill(0);
  return sealText(text, sender, recipientKey, sha512(hash).subarray(0, 32));
}

/** Opens and verifies. @throws MessageError */
export function openText(ciphertext: Uint8Array, account: Account): OpenedText {
  if (ciphertext.length < SEAL + TRAILER + 1) {
    throw new MessageError('too_short', `a ciphertext of ${ciphertext.length} bytes`);
  }
  const plaintext = account.openSealedBox(ciphertext);
  if (plaintext === undefined) throw new MessageError('undecryptable', 'not encrypted for this account');
  const end = plaintext.length - TRAILER;
  const senderEd25519Key = plaintext.subarray(end, end + KEY);
  const signed = concat(plaintext.subarray(0, end + KEY), account.x25519Key);
  if (!ed25519Verify(plaintext.subarray(end + KEY), signed, senderEd25519Key)) {
    throw new MessageError('bad_signature', 'the sender did not sign this for this account');
  }
  const sender = senderOf(senderEd25519Key, account);
  return { sender, senderEd25519Key, text: plaintext.subarray(0, end) };
}

/** Whose key it is, for each account apart: the conversion costs as much as the signature, and the same people write again. */
const senders = new WeakMap<Account, Map<string, AccountId>>();

/** @throws MessageError `bad_sender` */
function senderOf(ed25519Key: Uint8Array, account: Account): AccountId {
  let known = senders.get(account);
  if (known === undefined) {
    known = new Map();
    senders.set(account, known);
  }
  const name = toBinary(ed25519Key);
  const before = known.get(name);
  if (before !== undefined) return before;
  const key = ed25519PublicKeyToX25519(ed25519Key);
  if (key === undefined) throw new MessageError('bad_sender', 'the sender has no account id');
  if (known.size >= MAX_SENDERS) known.delete(known.keys().next().value!);
  const sender = accountIdOf(key);
  known.set(name, sender);
  return sender;
}

/** Members as in session.proto. */
interface Envelope {
  readonly type: number;
  readonly source?: string;
  readonly timestamp: number;
  readonly content?: Uint8Array;
  readonly proSig?: Uint8Array;
}

function wrap(envelope: Envelope): Uint8Array {
  const body = encodeProtobuf(EnvelopeSchema, envelope);
  const request = { verb: '', path: '', body, id: 0 };
  return encodeProtobuf(WebSocketMessageSchema, { type: WebSocketMessage_Type.REQUEST, request });
}

function unwrap(data: Uint8Array): Envelope {
  try {
    const message = decodeProtobuf(WebSocketMessageSchema, data) as {
      readonly type?: number;
      readonly request?: { readonly body?: Uint8Array };
    };
    // spec/client §4.3.1: newer senders may leave the wrapping out. An envelope's type is no type of the wrapping.
    if (message.type === undefined) return decodeProtobuf(EnvelopeSchema, data) as Envelope;
    const body = message.request?.body;
    if (message.type === WebSocketMessage_Type.REQUEST && body !== undefined && body.length > 0) {
      return decodeProtobuf(EnvelopeSchema, body) as Envelope;
    }
  } catch (cause) {
    if (!(cause instanceof ParseError)) throw cause;
    throw new MessageError('malformed', 'not an envelope', { cause });
  }
  throw new MessageError('malformed', 'not a request with an envelope');
}

function dummySignature(ciphertext: Uint8Array, seed = randomBytes(32)): Uint8Array {
  return ed25519Sign(ciphertext, ed25519KeyPair(seed).secretKey);
}

/** It is not trusted, but must be what it claims to be. */
function checkSource(source: string): void {
  try {
    parseAccountId(source);
  } catch (cause) {
    throw new MessageError('malformed', 'the source is no account id', { cause });
  }
}

function readContent(bytes: Uint8Array): Content {
  try {
    return decodeContent(bytes);
  } catch (cause) {
    if (!(cause instanceof ParseError)) throw cause;
    throw new MessageError('bad_content', 'the content is malformed', { cause });
  }
}
