// SPDX-License-Identifier: MIT
// The legacy wrapping of user configs (spec/config-and-groups §2.8): a message of the account to itself, whose content
// has the encrypted config. libsession still writes and reads it.
import { concat, equal } from '../bytes.ts';
import { ParseError } from '../errors.ts';
import type { Account } from '../identity/account.ts';
import { decodeContent, encodeContent } from '../message/content.ts';
import { MessageError, openText, sealTextDeterministic } from '../message/encryption-v1.ts';
import {
  Envelope_Type,
  EnvelopeSchema,
  WebSocketMessage_Type,
  WebSocketMessageSchema,
} from '../message/generated/session_pb.js';
import { decodeProtobuf, encodeProtobuf } from '../message/protobuf.ts';
import { MAX_STORED_BYTES } from './multipart.ts';

/** SharedConfigMessage.Kind. */
export const ConfigKind = { userProfile: 1, contacts: 2, convoInfoVolatile: 3, userGroups: 4 } as const;
export type ConfigKind = (typeof ConfigKind)[keyof typeof ConfigKind];

// From the specification, spec/config-and-groups §2.8.
const PADDING_MARK = 0x80;
const TIMESTAMP = 1;

/** `config` as it is when the wrapped one would be too large for the storage servers. */
export function wrapConfig(
  config: Uint8Array,
  kind: ConfigKind,
  seqno: number,
  account: Account,
): Uint8Array {
  const sharedConfigMessage = { kind, seqno: BigInt(seqno), data: config };
  const text = concat(encodeContent({ sharedConfigMessage }), Uint8Array.of(PADDING_MARK));
  const content = sealTextDeterministic(text, account, account.x25519Key);
  const body = encodeProtobuf(EnvelopeSchema, {
    type: Envelope_Type.SESSION_MESSAGE,
    timestamp: TIMESTAMP,
    content,
  });
  const wrapped = encodeProtobuf(WebSocketMessageSchema, {
    type: WebSocketMessage_Type.REQUEST,
    request: { verb: '', path: '', body, id: 0 },
  });
  return wrapped.length > MAX_STORED_BYTES ? config : wrapped;
}

/** What is inside, also when it was wrapped twice; `stored` itself when it is not wrapped, or not for us. */
export function unwrapConfig(stored: Uint8Array, kind: ConfigKind, account: Account): Uint8Array {
  const once = unwrapOnce(stored, kind, account);
  if (once === undefined) return stored;
  return unwrapOnce(once, kind, account) ?? once;
}

function unwrapOnce(stored: Uint8Array, kind: ConfigKind, account: Account): Uint8Array | undefined {
  try {
    const message = decodeProtobuf(WebSocketMessageSchema, stored) as {
      readonly type?: number;
      readonly request?: { readonly body?: Uint8Array };
    };
    const body = message.request?.body;
    if (message.type !== WebSocketMessage_Type.REQUEST || body === undefined) return undefined;
    const envelope = decodeProtobuf(EnvelopeSchema, body) as { readonly content?: Uint8Array };
    if (envelope.content === undefined) return undefined;
    const { senderEd25519Key, text } = openText(envelope.content, account);
    if (!equal(senderEd25519Key, account.ed25519Key)) return undefined;
    let end = text.length;
    while (end > 0 && text[end - 1] === 0) end--;
    if (text[end - 1] !== PADDING_MARK) return undefined;
    const { sharedConfigMessage } = decodeContent(text.subarray(0, end - 1));
    return sharedConfigMessage?.kind === kind ? sharedConfigMessage.data : undefined;
  } catch (error) {
    if (error instanceof ParseError || error instanceof MessageError) return undefined;
    throw error;
  }
}
