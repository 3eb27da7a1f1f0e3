// SPDX-License-Identifier: AGPL-3.0-or-later
// Text of a message as it is: no markup is ever read from it. Only links of http and https become buttons that ask
// first; mentions get names; piles of accents are cut; all directions of writing end with the text.
import { shortId } from '@allium/protocol/account-id';
import { Fragment, useState } from 'react';
import { t } from '../i18n/i18n.ts';
import { Button } from './button.tsx';
import { Dialog } from './dialog.tsx';
import { Note } from './feedback.tsx';
import './rich-text.css';

const MAX_SHOWN = 3_000;
const MAX_LINKS = 40;
const PATTERN =
  /https?:\/\/[^\s<>"'`\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]{1,2000}|@05[0-9a-fA-F]{64}/gu;

/** Of combining marks on one letter four stay: more serve no script and cover the lines around. */
export function tame(text: string): string {
  return text.replaceAll(/(\p{M}{4})\p{M}+/gu, '$1').replaceAll(/[^\P{Cc}\t\n\r]|[\ufff9-\ufffb]/gu, '');
}

/** For names and other short lines: characters that turn the direction of writing go too, and so do line ends. */
export function tameLine(text: string): string {
  return tame(text)
    .replaceAll(/[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]/g, '')
    .replaceAll(/\s+/g, ' ');
}

/** What `piecesOf` or `tame` may change, and marks on marks, which have to be cut at the edge of the text. */
const SPECIAL = /https?:\/\/|@05|\p{M}{2}|[^\P{Cc}\t\n\r]|[\ufff9-\ufffb]/u;

/** Shown as it is, in one element; anything else needs `RichText`. */
export function isPlain(text: string): boolean {
  return text.length <= MAX_SHOWN && !SPECIAL.test(text);
}

export type Piece =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'link'; readonly text: string; readonly href: string }
  | { readonly kind: 'mention'; readonly id: string; readonly text: string };

/** Pure, for tests: what becomes of a text. */
export function piecesOf(raw: string, mentions: Readonly<Record<string, string>>): readonly Piece[] {
  const text = tame(raw);
  const pieces: Piece[] = [];
  let from = 0;
  let links = 0;
  for (const match of text.matchAll(PATTERN)) {
    let found = match[0];
    if (found.startsWith('@')) {
      const id = found.slice(1).toLowerCase();
      push(text.slice(from, match.index));
      pieces.push({ kind: 'mention', id, text: `@${mentions[id] ?? shortId(id)}` });
      from = match.index + found.length;
      continue;
    }
    // What closes a sentence does not belong to the address.
    found = found.replace(/[.,;:!?)\]}»”’]+$/u, '');
    const href = safeHref(found);
    if (href === undefined || ++links > MAX_LINKS) continue;
    push(text.slice(from, match.index));
    pieces.push({ kind: 'link', text: found, href });
    from = match.index + found.length;
  }
  push(text.slice(from));
  return pieces;

  function push(plain: string): void {
    if (plain !== '') pieces.push({ kind: 'text', text: plain });
  }
}

/** An address that may be opened, in its plain ASCII form; undefined for any other scheme and for hidden user names. */
export function safeHref(text: string): string | undefined {
  try {
    const url = new URL(text);
    const isWeb = url.protocol === 'https:' || url.protocol === 'http:';
    return isWeb && url.username === '' && url.password === '' ? url.href : undefined;
  } catch {
    return undefined;
  }
}

const EMOJI = /^(?:\p{Extended_Pictographic}|\p{Regional_Indicator}{2}|[0-9#*]\uFE0F?\u20E3)/u;
let graphemes: Intl.Segmenter | undefined;

/** Up to three emoji and nothing else: shown large. */
export function isOnlyEmoji(text: string): boolean {
  if (text.length > 40 || !EMOJI.test(text)) return false;
  graphemes ??= new Intl.Segmenter('en', { granularity: 'grapheme' });
  const parts = [...graphemes.segment(text)].map(({ segment }) => segment).filter((part) => part !== ' ');
  return parts.length <= 3 && parts.every((part) => EMOJI.test(part));
}

export function RichText({
  text,
  mentions,
}: {
  readonly text: string;
  readonly mentions: Readonly<Record<string, string>>;
}) {
  const [link, setLink] = useState<string>();
  const [whole, setWhole] = useState(false);
  const isLong = text.length > MAX_SHOWN && !whole;
  const pieces = piecesOf(isLong ? text.slice(0, MAX_SHOWN) : text, mentions);
  return (
    <>
      <bdi className="rich-text rich-text--rich">
        {pieces.map((piece, index) => {
          // biome-ignore lint/suspicious/noArrayIndexKey: pieces of one text that never changes
          if (piece.kind === 'text') return <Fragment key={index}>{piece.text}</Fragment>;
          return piece.kind === 'mention' ? (
            // biome-ignore lint/suspicious/noArrayIndexKey: the same
            <bdi key={index} className="rich-text__mention">
              {piece.text}
            </bdi>
          ) : (
            <a
              // biome-ignore lint/suspicious/noArrayIndexKey: the same
              key={index}
              className="rich-text__link"
              href={piece.href}
              target="_blank"
              rel="noopener noreferrer"
              onClick={(event) => {
                event.preventDefault();
                setLink(piece.href);
              }}
            >
              {piece.text}
            </a>
          );
        })}
        {isLong && '…'}
      </bdi>
      {isLong && (
        <button type="button" className="rich-text__more" onClick={() => setWhole(true)}>
          {t('message.show_all', { n: text.length })}
        </button>
      )}
      {link !== undefined && <LinkDialog href={link} onClose={() => setLink(undefined)} />}
    </>
  );
}

function LinkDialog({ href, onClose }: { readonly href: string; readonly onClose: () => void }) {
  const { host, protocol } = new URL(href);
  return (
    <Dialog
      title={t('link.title')}
      onClose={onClose}
      actions={
        <>
          <Button look="plain" onClick={onClose}>
            {t('cancel')}
          </Button>
          <Button
            look="plain"
            icon="copy"
            onClick={() => {
              void navigator.clipboard.writeText(href);
              onClose();
            }}
          >
            {t('copy')}
          </Button>
          <Button
            look="primary"
            onClick={() => {
              window.open(href, '_blank', 'noopener,noreferrer');
              onClose();
            }}
          >
            {t('link.open')}
          </Button>
        </>
      }
    >
      <p>{t('link.about')}</p>
      <p className="link-address mono foreign" dir="ltr">
        {protocol}
        {'//'}
        <strong>{host}</strong>
        {href.slice(href.indexOf(host) + host.length)}
      </p>
      {/xn--/.test(host) && <Note kind="warning">{t('link.punycode')}</Note>}
      {protocol === 'http:' && <Note kind="warning">{t('link.insecure')}</Note>}
    </Dialog>
  );
}
