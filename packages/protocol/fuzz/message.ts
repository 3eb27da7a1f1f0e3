// SPDX-License-Identifier: MIT
// Fuzz targets: what an account reads of a message, before and after decryption. A target throws on a bug only.
import type { FuzzTarget } from '../../../scripts/fuzz.ts';
import { equal, utf8 } from '../src/bytes.ts';
import { ParseError } from '../src/errors.ts';
import { Account } from '../src/identity/account.ts';
import { CallType, decodeContent, encodeContent } from '../src/message/content.ts';
import {
  decryptMessage,
  encryptMessage,
  MessageError,
  openText,
  sealText,
} from '../src/message/encryption-v1.ts';
import { EnvelopeSchema, WebSocketMessageSchema } from '../src/message/generated/session_pb.js';
import { pad, unpad } from '../src/message/padding.ts';
import { decodeProtobuf, encodeProtobuf } from '../src/message/protobuf.ts';

const SENDER = Account.fromSeed(new Uint8Array(16).fill(1));
const RECIPIENT = Account.fromSeed(new Uint8Array(16).fill(2));
const TIMESTAMP = 1_700_000_000_123;
const TEXT = encodeContent({
  dataMessage: {
    body: 'hello',
    attachments: [{ id: 5n, contentType: 'image/png', key: new Uint8Array(64), size: 3, url: 'http://x/1' }],
    quote: { id: TIMESTAMP, author: SENDER.id },
    preview: [{ url: 'https://a.example', title: 'A', image: { id: 0n } }],
    reaction: { id: TIMESTAMP, author: SENDER.id, emoji: '🧅', action: 0 },
    profile: { displayName: 'Alice', lastUpdateSeconds: 1_700_000_000 },
    groupUpdateMessage: { promoteMessage: { groupIdentitySeed: new Uint8Array(32), name: 'G' } },
  },
  expirationType: 2,
  expirationTimer: 60,
  sigTimestamp: TIMESTAMP,
  proMessage: { proof: { version: 0, expiry: 5n, sig: new Uint8Array(64) }, profileBitset: 1n },
});
const CALL = encodeContent({
  callMessage: { type: CallType.iceCandidates, sdps: ['a', 'b'], sdpMLineIndexes: [0, 300], uuid: 'u' },
});
const SENT = encryptMessage(
  { content: TEXT, sender: SENDER, recipient: RECIPIENT.id, timestamp: TIMESTAMP },
  { ephemeralSecret: new Uint8Array(32).fill(3), proSeed: new Uint8Array(32).fill(4) },
);
const SEALED = sealText(pad(TEXT), SENDER, RECIPIENT.x25519Key, new Uint8Array(32).fill(3));

/** Runs `read`; a refusal of the right type is undefined. */
function attempt<T>(refusal: typeof ParseError | typeof MessageError, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof refusal) return undefined;
    throw error;
  }
}

function assert(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}

export const targets: Record<string, FuzzTarget> = {
  content: {
    seeds: [TEXT, CALL, new Uint8Array(0)],
    run(input) {
      const content = attempt(ParseError, () => decodeContent(input));
      if (content === undefined) return;
      const bytes = encodeContent(content);
      assert(equal(encodeContent(decodeContent(bytes)), bytes), 'the canonical form is not stable');
    },
  },
  webSocketMessage: {
    seeds: [SENT],
    run(input) {
      const message = attempt(ParseError, () => decodeProtobuf(WebSocketMessageSchema, input));
      if (message !== undefined) encodeProtobuf(WebSocketMessageSchema, message);
    },
  },
  messageEnvelope: {
    seeds: [encodeProtobuf(EnvelopeSchema, { type: 6, timestamp: TIMESTAMP, content: SEALED })],
    run(input) {
      const envelope = attempt(ParseError, () => decodeProtobuf(EnvelopeSchema, input));
      if (envelope !== undefined) encodeProtobuf(EnvelopeSchema, envelope);
    },
  },
  /** As it comes from a storage server: nobody but the sender can make one that is accepted. */
  incomingMessage: {
    seeds: [SENT],
    run(input) {
      const incoming = attempt(MessageError, () => decryptMessage(input, RECIPIENT));
      if (incoming === undefined) return;
      assert(incoming.sender === SENDER.id, 'a forged sender');
      assert(equal(incoming.ciphertext, SEALED), 'a changed ciphertext was accepted');
    },
  },
  /** Whatever a contact may sign. */
  signedContent: {
    seeds: [pad(TEXT), pad(CALL), TEXT],
    run(input) {
      const content = sealText(input, SENDER, RECIPIENT.x25519Key);
      const body = encodeProtobuf(EnvelopeSchema, { type: 6, timestamp: TIMESTAMP, content });
      const data = encodeProtobuf(WebSocketMessageSchema, { type: 1, request: { body } });
      const incoming = attempt(MessageError, () => decryptMessage(data, RECIPIENT));
      if (incoming !== undefined) assert(equal(incoming.contentBytes, unpad(input)), 'another content');
    },
  },
  sealedText: {
    seeds: [SEALED],
    run(input) {
      const opened = attempt(MessageError, () => openText(input, RECIPIENT));
      assert(opened === undefined || equal(input, SEALED), 'a changed ciphertext was opened');
    },
  },
  padding: {
    seeds: [pad(utf8('hello')), utf8('hello'), new Uint8Array(5)],
    run(input) {
      assert(equal(unpad(pad(input)), input), 'padding does not come off');
      assert(unpad(input).length <= input.length, 'unpadding adds');
    },
  },
};
