// SPDX-License-Identifier: MIT
// What a client asks for to check the node list that a stranger hands it, as JSON (spec/chain §4.22, §4.23): methods of
// `POST /json_rpc` and endpoints of `oxend_request`.
//
//   get_membership_certificate {epoch?: n, after?: n} → {epochs: [n…], epoch?: n, certificate?: base64, t0, epoch_seconds, status}
//   get_static_list {}                                → {list: the signed file as text, status}
import { fromBase64, fromUtf8, toBase64, utf8 } from '../bytes.ts';
import { type Json, type JsonObject, stringifyJson } from '../codec/json.ts';
import { ParseError } from '../errors.ts';

export const CERTIFICATE_METHOD = 'get_membership_certificate';
export const STATIC_LIST_METHOD = 'get_static_list';

// Ours: bounds on what a stranger can make us read.
const MAX_EPOCHS = 4096;
const MAX_EPOCH = 0xffffffff;
const MAX_CERTIFICATE_TEXT = 6 * 1024 * 1024;

export interface CertificateAnswer {
  /** Those that can be asked for, ascending. */
  readonly epochs: readonly number[];
  /** The one asked for, else the newest; undefined: there is none. */
  readonly certificate: Uint8Array | undefined;
  /** Start of epoch 0, unix seconds. */
  readonly t0: number;
  readonly epochSeconds: number;
}

export interface CertificateQuery {
  /** Absent: the newest. */
  readonly epoch?: number;
  /** The newest only when it is of a later epoch than this one, which the client has. */
  readonly after?: number;
}

/** @throws ParseError `evidence` */
export function parseCertificateQuery(params: Json | undefined): CertificateQuery {
  const { epoch, after } = params === undefined || params === null ? {} : object(params, 'params');
  const isGiven = (value: Json | undefined) => value !== undefined && value !== null;
  return {
    ...(isGiven(epoch) && { epoch: whole(epoch, 'epoch', MAX_EPOCH) }),
    ...(isGiven(after) && { after: whole(after, 'after', MAX_EPOCH) }),
  };
}

/** @param answer its `certificate` is the one of `epoch` */
export function certificateAnswerJson(answer: CertificateAnswer, epoch: number | undefined): string {
  return stringifyJson({
    epochs: answer.epochs,
    ...(answer.certificate !== undefined && { epoch, certificate: toBase64(answer.certificate) }),
    t0: answer.t0,
    epoch_seconds: answer.epochSeconds,
    status: 'OK',
  });
}

/** @throws ParseError `evidence` or `base64` */
export function parseCertificateAnswer(result: Json): CertificateAnswer {
  const { epochs, certificate, t0, epoch_seconds } = object(result, 'result');
  if (!Array.isArray(epochs) || epochs.length > MAX_EPOCHS) throw malformed('epochs');
  const numbers = (epochs as readonly Json[]).map((epoch) => whole(epoch, 'epochs', MAX_EPOCH));
  if (numbers.some((epoch, i) => i > 0 && epoch <= numbers[i - 1]!)) throw malformed('order of epochs');
  const isText = typeof certificate === 'string' && certificate.length <= MAX_CERTIFICATE_TEXT;
  if (certificate !== undefined && certificate !== null && !isText) throw malformed('certificate');
  const epochSeconds = whole(epoch_seconds, 'epoch_seconds', MAX_EPOCH);
  if (epochSeconds === 0) throw malformed('epoch_seconds');
  return {
    epochs: numbers,
    certificate: typeof certificate === 'string' ? fromBase64(certificate) : undefined,
    t0: whole(t0, 't0', Number.MAX_SAFE_INTEGER),
    epochSeconds,
  };
}

/** @param list the file, canonical */
export function staticListAnswerJson(list: Uint8Array): string {
  return stringifyJson({ list: fromUtf8(list), status: 'OK' });
}

/** The file; read it with `parseStaticList`. @throws ParseError `evidence` */
export function parseStaticListAnswer(result: Json): Uint8Array {
  const { list } = object(result, 'result');
  if (typeof list !== 'string') throw malformed('list');
  return utf8(list);
}

function whole(value: Json | undefined, what: string, most: number): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= most) return value;
  throw malformed(what);
}

function object(value: Json, what: string): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw malformed(`${what} is not an object`);
}

function malformed(what: string): ParseError {
  return new ParseError('evidence', `malformed answer about members: ${what}`);
}
