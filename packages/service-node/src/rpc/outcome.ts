// SPDX-License-Identifier: AGPL-3.0-or-later
// The answer to one storage request before its carrier is known: HTTPS and onions want JSON text, OMQ may want
// bt-encoding, a batch nests it (spec/storage-server §2.4).
import { toBase64, utf8 } from '@allium/protocol/bytes';
import type { Clock } from '@allium/protocol/env';
import type { AccountPubkey } from '@allium/protocol/storage/requests';
import { toBtResult, toJsonResult } from '@allium/protocol/storage/response-writer';
import type { Swarm } from '../swarm/swarm.ts';

export type Outcome = {
  readonly status: number;
} & (
  | { readonly kind: 'text'; readonly text: string }
  | {
      readonly kind: 'json';
      readonly value: object;
      /** A faster way to the same JSON, as text or as its bytes in ASCII. */
      readonly encode?: () => string | Buffer;
      /** Of `retrieve`: no messages, so that the answer can be held. */
      readonly isEmpty?: boolean;
    }
  | { readonly kind: 'binary'; readonly bytes: Uint8Array }
);

export const failure = (status: number, text: string): Outcome => ({ status, kind: 'text', text });

export const success = (value: object, status = 200): Outcome => ({ status, kind: 'json', value });

/** 421 with the swarm that serves the account (§2.5); undefined: it is ours. */
export function wrongSwarm(swarm: Swarm, account: AccountPubkey, clock: Clock): Outcome | undefined {
  if (swarm.serves(account.key)) return undefined;
  return success(swarm.describe(account.key, clock.now()), 421);
}

/** JSON text of a structured result. */
export const jsonOf = (outcome: JsonOutcome): string => {
  const json = jsonBody(outcome);
  return typeof json === 'string' ? json : json.toString('latin1');
};

type JsonOutcome = Extract<Outcome, { kind: 'json' }>;

const jsonBody = (outcome: JsonOutcome): string | Buffer => outcome.encode?.() ?? toJsonResult(outcome.value);

/** As a member of a batch: JSON as it is, text and binary as JSON strings. */
export function nestedJson(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'json':
      return jsonOf(outcome);
    case 'text':
      return JSON.stringify(outcome.text);
    case 'binary':
      return `"${toBase64(outcome.bytes)}"`;
  }
}

/** As the body of an HTTP answer. */
export type ContentType = 'application/json' | 'text/plain' | 'application/octet-stream';

export function httpBody(outcome: Outcome): { contentType: ContentType; body: Uint8Array | string } {
  switch (outcome.kind) {
    case 'json':
      return { contentType: 'application/json', body: jsonBody(outcome) };
    case 'text':
      return { contentType: 'text/plain', body: outcome.text };
    case 'binary':
      return { contentType: 'application/octet-stream', body: outcome.bytes };
  }
}

/** As the data part of an OMQ reply. */
export function omqBody(outcome: Outcome, isBt: boolean): Uint8Array {
  switch (outcome.kind) {
    case 'json':
      return isBt ? toBtResult(outcome.value) : utf8(jsonOf(outcome));
    case 'text':
      return utf8(outcome.text);
    case 'binary':
      return outcome.bytes;
  }
}
