// SPDX-License-Identifier: MIT
// Addresses of uploaded files (spec/client §5.2, spec/community-and-file-servers §2.5):
//
//   <server>/file/<id>[#d&p=<64 hex>]     d: deterministic form; p: Ed25519 key of the server
import { ParseError, quote } from '../errors.ts';

// From the specification.
/** The server of the public network, whose key is not written. */
export const DEFAULT_FILE_SERVER = {
  url: 'http://filev2.getsession.org',
  ed25519Hex: 'b8eef9821445ae16e2e97ef8aa6fe782fd11ad5253cd6723b281341dba22e371',
} as const;
const DEFAULT_HOSTS = /(?:^|\.)getsession\.org$/;
// Ours.
const MAX_URL = 2048;
const MAX_ID = 64;

export interface FileUrl {
  /** Scheme, host and, if it is not the usual one, port. */
  readonly server: string;
  readonly id: string;
  /** Of the server, lower-case hex. */
  readonly ed25519Hex: string;
  readonly isDeterministic: boolean;
}

/** @throws ParseError `file_url` for anything else, also for a foreign server without a key */
export function parseFileUrl(text: string): FileUrl {
  const fail = (why: string) => new ParseError('file_url', `${quote(text)}: ${why}`);
  if (text.length > MAX_URL) throw fail('too long');
  let url: URL;
  try {
    url = new URL(text);
  } catch (cause) {
    throw new ParseError('file_url', `${quote(text)} is no URL`, { cause });
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw fail('neither http nor https');
  if (url.username !== '' || url.password !== '' || url.search !== '') {
    throw fail('user, password or query in it');
  }
  const id = /^\/files?\/([A-Za-z0-9_-]+)$/.exec(url.pathname)?.[1];
  if (id === undefined || id.length > MAX_ID) throw fail('no file id in it');
  const items = new Map(
    url.hash
      .slice(1)
      .split('&')
      .map((item) => {
        const [name = '', value = ''] = item.split('=', 2);
        return [name, value] as const;
      }),
  );
  const key = items.get('p')?.toLowerCase();
  if (key !== undefined && !/^[0-9a-f]{64}$/.test(key)) throw fail('the key of the server is malformed');
  if (key === undefined && !DEFAULT_HOSTS.test(url.hostname)) throw fail('the key of the server is missing');
  return {
    server: url.origin,
    id,
    ed25519Hex: key ?? DEFAULT_FILE_SERVER.ed25519Hex,
    isDeterministic: items.get('d') === '',
  };
}

export function formatFileUrl(file: FileUrl): string {
  const isDefault =
    file.ed25519Hex === DEFAULT_FILE_SERVER.ed25519Hex && DEFAULT_HOSTS.test(new URL(file.server).hostname);
  const items = [...(file.isDeterministic ? ['d'] : []), ...(isDefault ? [] : [`p=${file.ed25519Hex}`])];
  return `${file.server}/file/${file.id}${items.length > 0 ? `#${items.join('&')}` : ''}`;
}
