// SPDX-License-Identifier: MIT
// Fuzz targets: files that somebody else's server gives, and addresses that somebody else's message names. A target
// throws on a bug only.
import type { FuzzTarget } from '../../../scripts/fuzz.ts';
import { concat, equal, fromUtf8, utf8 } from '../src/bytes.ts';
import { sha256 } from '../src/crypto/node.ts';
import { ParseError } from '../src/errors.ts';
import { DeterministicOpener, openDeterministic, sealDeterministic } from '../src/files/deterministic.ts';
import { FileError } from '../src/files/file-error.ts';
import { openAttachment, openAvatar, sealAttachment, sealAvatar } from '../src/files/legacy.ts';
import { cleanFileName } from '../src/files/names.ts';
import { type FileParts, formatParts, PART_BYTES, parseParts } from '../src/files/parts.ts';
import { type FileUrl, formatFileUrl, parseFileUrl } from '../src/files/url.ts';

const KEY = new Uint8Array(64).map((_, i) => i);
const SHORT_KEY = KEY.slice(0, 32);
const TEXT = utf8('a file of some words');
const LEGACY = sealAttachment(TEXT, {}, { key: KEY, iv: KEY.slice(0, 16) }).body;
const PARTS = formatParts(
  {
    ...{ sizeBytes: PART_BYTES + 1, contentType: 'video/mp4', digest: SHORT_KEY, key: SHORT_KEY },
    parts: [1, 2].map((id) => ({ url: `http://a.b/file/${id}#p=${'ab'.repeat(32)}`, digest: SHORT_KEY })),
  },
  'film.mp4',
);
const DETERMINISTIC = sealDeterministic(TEXT, SHORT_KEY);

/** What opens must be what was sealed: the fuzzer has no keys. */
function opens(seeds: readonly Uint8Array[], open: (input: Uint8Array) => Uint8Array): FuzzTarget {
  return {
    seeds,
    run(input) {
      let opened: Uint8Array;
      try {
        opened = open(input);
      } catch (error) {
        if (error instanceof FileError) return;
        throw error;
      }
      if (!equal(opened, TEXT)) throw new Error('something opened that nobody sealed');
    },
  };
}

export const targets: Record<string, FuzzTarget> = {
  attachment: opens([LEGACY], (input) =>
    openAttachment(input, { key: KEY, digest: sha256(input), sizeBytes: TEXT.length }),
  ),
  deterministicFile: opens([DETERMINISTIC.body], (input) => openDeterministic(input, DETERMINISTIC.key)),
  deterministicFileInPieces: opens([DETERMINISTIC.body], (input) => {
    const opener = new DeterministicOpener(DETERMINISTIC.key);
    const step = 1 + ((input[0] ?? 0) % 97) * 50;
    const out: Uint8Array[] = [];
    for (let at = 0; at < input.length; at += step) out.push(opener.push(input.subarray(at, at + step)));
    return concat(...out, opener.finish());
  }),
  avatar: opens([sealAvatar(TEXT, SHORT_KEY)], (input) => openAvatar(input, SHORT_KEY)),
  fileUrl: {
    seeds: [
      utf8('http://filev2.getsession.org/file/AAAA_-#d'),
      utf8(`https://files.example.org:8080/files/1#d&p=${'ab'.repeat(32)}`),
    ],
    run(input) {
      let file: FileUrl;
      try {
        file = parseFileUrl(fromUtf8(input));
      } catch (error) {
        if (error instanceof ParseError) return;
        throw error;
      }
      const again = parseFileUrl(formatFileUrl(file));
      if (JSON.stringify(again) !== JSON.stringify(file)) throw new Error('it reads back as another file');
    },
  },
  fileParts: {
    seeds: [PARTS],
    run(input) {
      let parts: FileParts;
      try {
        parts = parseParts(input);
      } catch (error) {
        if (error instanceof ParseError && error.code === 'file_parts') return;
        throw error;
      }
      const again = parseParts(formatParts(parts, 'name'));
      if (JSON.stringify(again) !== JSON.stringify(parts)) throw new Error('it reads back as other parts');
    },
  },
  fileName: {
    seeds: [utf8('../a b\u202Egpj.exe'), utf8('CON.txt'), utf8(`${'x'.repeat(300)}.png`)],
    run(input) {
      const name = cleanFileName(new TextDecoder().decode(input));
      if (name === undefined) return;
      if (/[/\\\p{Cc}\p{Cf}]/u.test(name) || name.startsWith('.')) throw new Error('no name for a folder');
      if (cleanFileName(name) !== name) throw new Error('not clean yet');
    },
  },
};
