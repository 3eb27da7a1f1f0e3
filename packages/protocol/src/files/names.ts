// SPDX-License-Identifier: MIT
// Names and types of files as somebody else wrote them: what is left of them can be shown, and a name can be given to a
// file in a folder of any system. Neither says anything about what is in the file.
import { utf8 } from '../bytes.ts';

// Ours.
/** Of UTF-8: file systems take 255, and whoever saves it may have to add a number. */
export const MAX_FILE_NAME_BYTES = 200;
const MAX_EXTENSION = 20;
/** Longer ones are not looked at to their end. */
const MAX_INPUT = 4_096;
export const UNKNOWN_TYPE = 'application/octet-stream';

/** Windows gives these to devices, with whatever extension. */
const DEVICES = /^(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])(?:\.|$)/i;

/**
 * The last part of a path, without what no name may have or what makes it look like another one: control and
 * bidirectional characters, separators, dots and spaces at its ends, names of devices. Undefined when nothing is left.
 */
export function cleanFileName(text: string): string | undefined {
  const last =
    text
      .slice(-MAX_INPUT)
      .split(/[/\\]/)
      .findLast((part) => /[^.\s]/.test(part)) ?? '';
  const name = trimmed(
    last
      .toWellFormed()
      .replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}\uFFFD]/gu, '')
      .normalize('NFC')
      .replace(/[<>:"|?*/\\]/g, '_')
      .replace(/\s+/gu, ' '),
  );
  if (name === '') return undefined;
  return shortened(DEVICES.test(name) ? `_${name}` : name);
}

const trimmed = (name: string) => name.replace(/^[.\s]+/u, '').replace(/[.\s]+$/u, '');

/** Whole characters; the extension stays. */
function shortened(name: string): string {
  if (utf8(name).length <= MAX_FILE_NAME_BYTES) return name;
  const dot = name.lastIndexOf('.');
  const hasExtension = dot > 0 && name.length - dot <= MAX_EXTENSION;
  const extension = hasExtension ? name.slice(dot) : '';
  let room = MAX_FILE_NAME_BYTES - utf8(extension).length;
  let stem = '';
  for (const character of hasExtension ? name.slice(0, dot) : name) {
    room -= utf8(character).length;
    if (room < 0) break;
    stem += character;
  }
  return trimmed(stem) + extension;
}

/** `type/subtype` in lower case, without parameters; what is none is unknown. */
export function cleanContentType(text: string | undefined): string {
  const type = text?.slice(0, 256).split(';')[0]?.trim().toLowerCase() ?? '';
  return /^[a-z0-9][a-z0-9!#$&^_.+-]{0,62}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}$/.test(type)
    ? type
    : UNKNOWN_TYPE;
}

/** One line that shows as it is: for titles and captions of others. */
export function cleanLine(text: string, maxLength: number): string {
  const clean = text
    .slice(0, 4 * maxLength)
    .toWellFormed()
    .replace(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, ' ')
    .replace(/[\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069\uFEFF\uFFFD]/gu, '')
    .trim();
  return [...clean].slice(0, maxLength).join('');
}
