// SPDX-License-Identifier: MIT
// A history as one HTML file that needs nothing else: no script, no address is asked for (its policy forbids both), text of
// strangers stays text. Light and dark, and fit for paper.

import type { AccountId } from '@allium/protocol/account-id';
import { shortId } from '@allium/protocol/account-id';
import { toBase64, utf8 } from '@allium/protocol/bytes';
import { sha256 } from '@allium/protocol/crypto';
import { filesOf, type StoredAttachment } from '../files/stored-attachment.ts';
import type { Storage, StoredMessage } from '../storage/storage.ts';
import { timeOf } from './json-lines.ts';
import type { MediaSource } from './media.ts';
import { conversationsToRead, messagesToRead, namesToRead, type ReadingOptions } from './reading.ts';

/** What browsers show without running anything in it. */
const SHOWN =
  /^(image\/(png|jpeg|gif|webp|avif|bmp)|audio\/(mpeg|mp4|ogg|aac|wav|webm|flac|opus)|video\/(mp4|webm|ogg))$/;

const STYLE = `
:root{color-scheme:light dark;--back:#fff;--text:#1c1c1e;--soft:#6b6b70;--other:#eeeef1;--own:#d6ecff;--line:#d8d8dc}
@media (prefers-color-scheme:dark){:root{--back:#141416;--text:#f0f0f2;--soft:#a0a0a6;--other:#26262a;--own:#123a5c;--line:#38383d}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:50rem;padding:1rem;background:var(--back);color:var(--text);font:16px/1.4 system-ui,sans-serif}
h1{font-size:1.4rem}h2{font-size:1.2rem;margin:2.5rem 0 .2rem;padding-top:1rem;border-top:1px solid var(--line)}
nav ol{padding-left:1.4rem}a{color:inherit}
code,.soft,time{color:var(--soft);font-size:.8rem;overflow-wrap:anywhere}
h3{font-size:.85rem;color:var(--soft);text-align:center;margin:1.2rem 0 .4rem}
article{margin:.35rem 0;padding:.5rem .75rem;border-radius:.8rem;background:var(--other);width:fit-content;max-width:85%;break-inside:avoid}
article.own{background:var(--own);margin-left:auto}
article p{margin:.15rem 0;white-space:pre-wrap;overflow-wrap:anywhere}
article header{font-weight:600;font-size:.85rem}
blockquote{margin:.2rem 0;padding-left:.6rem;border-left:3px solid var(--line);color:var(--soft);overflow-wrap:anywhere}
.line{text-align:center;color:var(--soft);font-size:.85rem}
img,video{max-width:100%;max-height:30rem;border-radius:.5rem;display:block;margin:.3rem 0}audio{max-width:100%}
@media print{body{max-width:none;padding:0}article{border:1px solid var(--line)}h2{break-before:page}nav{display:none}}
`;

/** In pieces. `media`: files that are on this device are in it. */
export async function* htmlPages(
  storage: Storage,
  options: ReadingOptions,
  media?: MediaSource,
): AsyncGenerator<string, void, void> {
  const { account, now } = options;
  const names = await namesToRead(storage, account);
  const ids = await conversationsToRead(storage, options);
  const nameOf = (id: string) => (id === account ? (names.get(id) ?? 'Me') : (names.get(id) ?? shortId(id)));
  const titleOf = (id: AccountId) => (id === account ? 'Notes to self' : nameOf(id));
  const hash = toBase64(sha256(utf8(STYLE)));
  yield `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; media-src data:; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">
<title>Messages of ${text(nameOf(account))}</title><style>${STYLE}</style></head><body>
<h1>Messages of ${text(nameOf(account))}</h1><p class="soft">${text(account)}, as of ${text(timeOf(now))}. Times are UTC.</p>\n`;
  if (ids.length > 1) {
    yield `<nav><ol>${ids.map((id, at) => `<li><a href="#c${at}">${text(titleOf(id))}</a></li>`).join('\n')}</ol></nav>\n`;
  }
  for (const [at, id] of ids.entries()) {
    yield `<section><h2 id="c${at}">${text(titleOf(id))}</h2><code>${text(id)}</code>\n`;
    let day = '';
    for await (const message of messagesToRead(storage, id, options)) {
      const time = timeOf(message.timestamp);
      if (time.slice(0, 10) !== day) {
        day = time.slice(0, 10);
        yield `<h3>${text(day)}</h3>\n`;
      }
      yield await articleOf(message, { account, nameOf, time: time.slice(11, 16), media });
    }
    yield '</section>\n';
  }
  yield '</body></html>\n';
}

interface Context {
  readonly account: AccountId;
  readonly nameOf: (id: string) => string;
  readonly time: string;
  readonly media: MediaSource | undefined;
}

async function articleOf(message: StoredMessage, { account, nameOf, time, media }: Context): Promise<string> {
  const { sender, marks, quote, notice, preview } = message;
  const isOwn = sender === account;
  if (notice !== undefined) {
    return `<p class="line">${text(nameOf(sender))} ${text(tellNotice(notice))} <time>${text(time)}</time></p>\n`;
  }
  const parts: string[] = [];
  if (!isOwn) parts.push(`<header>${text(nameOf(sender))}</header>`);
  if (quote !== undefined) {
    parts.push(
      `<blockquote>${text(nameOf(quote.author))}, ${text(timeOf(quote.timestamp).slice(0, 16).replace('T', ' '))}</blockquote>`,
    );
  }
  if (marks?.deletedAt !== undefined) parts.push('<p class="soft">This message was deleted.</p>');
  else if (message.text !== '') parts.push(`<p>${text(message.text)}</p>`);
  if (preview !== undefined)
    parts.push(`<p class="soft">${text(preview.title ?? '')} ${text(preview.url)}</p>`);
  for (const file of filesOf(message)) parts.push(await fileOf(file, media));
  const reactions = (marks?.reactions ?? []).filter(({ on }) => on);
  if (reactions.length > 0) {
    parts.push(
      `<p class="soft">${reactions.map(({ emoji, by }) => `${text(emoji)} ${text(nameOf(by))}`).join(', ')}</p>`,
    );
  }
  const told = [
    time,
    ...(marks?.edits === undefined ? [] : ['edited']),
    ...(isOwn ? [stateOf(message)] : []),
  ].join(', ');
  parts.push(`<time>${text(told)}</time>`);
  return `<article${isOwn ? ' class="own"' : ''}>${parts.join('')}</article>\n`;
}

async function fileOf(file: StoredAttachment, media: MediaSource | undefined): Promise<string> {
  const name = file.fileName ?? (file.isVoice === true ? 'Voice message' : file.contentType);
  const caption = file.caption === undefined ? '' : `<p>${text(file.caption)}</p>`;
  const bytes = await media?.(file);
  const size = `${Math.max(1, Math.round(file.sizeBytes / 1000))} kB`;
  if (bytes === undefined)
    return `<p class="soft">File: ${text(name)} (${text(file.contentType)}, ${size})</p>${caption}`;
  const isShown = SHOWN.test(file.contentType);
  const url = `data:${isShown ? file.contentType : 'application/octet-stream'};base64,${toBase64(bytes)}`;
  const kind = isShown ? file.contentType.split('/')[0] : '';
  if (kind === 'image') return `<img alt="${text(name)}" src="${url}">${caption}`;
  if (kind === 'video' || kind === 'audio') return `<${kind} controls src="${url}"></${kind}>${caption}`;
  return `<p>File: <a download="${text(name)}" href="${url}">${text(name)}</a> <span class="soft">${size}</span></p>${caption}`;
}

function tellNotice(notice: NonNullable<StoredMessage['notice']>): string {
  switch (notice.kind) {
    case 'screenshot':
      return 'took a screenshot';
    case 'media_saved':
      return 'saved a file';
    case 'timer':
      return notice.timer === undefined
        ? 'turned disappearing messages off'
        : `set messages to disappear after ${notice.timer.seconds} s`;
  }
}

function stateOf({ state, marks }: StoredMessage): string {
  if (marks?.readAt !== undefined) return 'read';
  if (marks?.deliveredAt !== undefined) return 'delivered';
  return state === 'sending' ? 'not sent yet' : state === 'failed' ? 'not sent' : 'sent';
}

/**
 * Text in HTML, between tags and in quoted attributes. Control characters and marks that turn the direction of writing are
 * replaced: they could make a text look like another's.
 */
function text(given: string): string {
  return given
    .replace(/[^\P{Cc}\n\t]|[\u202a-\u202e\u2066-\u2069]/gu, '\ufffd')
    .replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
