// SPDX-License-Identifier: MIT
// (types first)

import { AlliumError } from '../errors.ts';
import type { Account } from '../identity/account.ts';
import type { AccountId } from '../identity/account-id.ts';
import type { Content } from './content.ts';

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
}

/** The bytes for `data` of `store`. @throws MessageError `too_large` */
export declare function encryptMessage(message: OutgoingMessage): Uint8Array;
/** @throws MessageError */
export declare function decryptMessage(data: Uint8Array, account: Account): IncomingMessage;
