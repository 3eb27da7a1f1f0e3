// SPDX-License-Identifier: MIT
// The root of everything that Allium throws on purpose.

/** Base of everything we throw on purpose. `code` is stable, `message` is for people and never holds a secret. */
export class AlliumError<Code extends string = string> extends Error {
  override readonly name: string = 'AlliumError';
  readonly code: Code;

  constructor(code: Code, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** What a decoder throws, and the only thing that it throws: foreign bytes or text that break the format. */
export class ParseError extends AlliumError<
  | 'account_id'
  | 'active_nodes'
  | 'base32z'
  | 'base64'
  | 'bencode'
  | 'certificate'
  | 'chain_vote'
  | 'config'
  | 'content'
  | 'data_push'
  | 'entry'
  | 'envelope'
  | 'evidence'
  | 'file_parts'
  | 'file_url'
  | 'hex'
  | 'invitation'
  | 'json'
  | 'mnemonic'
  | 'monitor'
  | 'node_list'
  | 'onion'
  | 'proxy'
  | 'reconcile'
  | 'request'
  | 'response'
  | 'session_name'
  | 'static_list'
  | 'subaccount'
  | 'uptime_proof'
  | 'utf8'
> {
  override readonly name = 'ParseError';
}

/** Foreign text made fit for an error message: quoted, cut to 24 characters, control characters escaped. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 24 ? `${text.slice(0, 23)}…` : text);
}
