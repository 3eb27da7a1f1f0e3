// SPDX-License-Identifier: AGPL-3.0-or-later
// What the commands need of the terminal: plain styled text, questions with and without echo, all of standard input.
import { openSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { ReadStream } from 'node:tty';
import { styleText } from 'node:util';
import { CliError } from './cli-error.ts';

type Style = Parameters<typeof styleText>[0];

/** `text` in a style; plain where standard output is no terminal or NO_COLOR is set. */
export function styled(style: Style, text: string): string {
  if (!process.stdout.isTTY || (process.env.NO_COLOR ?? '') !== '') return text;
  return styleText(style, text, { validateStream: false });
}

/** `1 node`, `2 nodes`. */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

export function print(line = ''): void {
  process.stdout.write(`${line}\n`);
}

/** One line. Control characters that JSON lets stand are escaped too: they steer some terminals. */
export function printJson(value: unknown): void {
  const escaped = JSON.stringify(value).replace(
    /[\u007f-\u009f]/g,
    (character) => `\\u00${character.charCodeAt(0).toString(16)}`,
  );
  process.stdout.write(`${escaped}\n`);
}

/** Text of strangers must not steer the terminal: control characters, and marks that turn the direction of writing. */
export function harmless(text: string): string {
  return text.replace(/\r\n?/g, '\n').replace(/[^\P{Cc}\n\t]|[\u202a-\u202e\u2066-\u2069]/gu, '\ufffd');
}

/** The same in one line, as for names: a line end in one could make a line of another person. */
export const harmlessLine = (text: string): string => harmless(text).replace(/\s+/g, ' ');

/** A remark for the person; never mixed into standard output, which may be read by a program. */
export function remark(line: string): void {
  process.stderr.write(`${line}\n`);
}

export interface SecretInput {
  readonly signal?: AbortSignal;
  /** A terminal that this program reads anyway, in raw mode: two readers of one would share out what is typed. */
  readonly terminal?: ReadStream;
}

/**
 * Asks on the terminal, without echo. Opens /dev/tty where no `terminal` is given, so that standard input stays free for the
 * message.
 * @throws CliError where there is no terminal; `instead` tells what to do then
 */
export async function askSecret(question: string, instead: string, input: SecretInput = {}): Promise<string> {
  const terminal = input.terminal ?? openTerminal(question, instead);
  const isOwn = input.terminal === undefined;
  // First no echo, then the question: the answer may follow at once.
  if (isOwn) terminal.setRawMode(true);
  else terminal.ref();
  process.stderr.write(`${question}: `);
  try {
    return await readHiddenLine(terminal, input.signal);
  } finally {
    if (isOwn) {
      terminal.setRawMode(false);
      terminal.destroy();
    } else terminal.pause();
    process.stderr.write('\n');
  }
}

function openTerminal(question: string, instead: string): ReadStream {
  try {
    return new ReadStream(openSync('/dev/tty', 'r+'));
  } catch {
    throw new CliError(`${question} needs a terminal. ${instead}`);
  }
}

async function readHiddenLine(terminal: ReadStream, signal?: AbortSignal): Promise<string> {
  const listening = new AbortController();
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const interrupt = () => reject(new CliError('interrupted', 130));
  if (signal?.aborted === true) interrupt();
  signal?.addEventListener('abort', interrupt, { signal: listening.signal });
  let line = '';
  const take = (chunk: string) => {
    for (const character of chunk) {
      if (character === '\r' || character === '\n') return resolve(line);
      if (character === '\u0003') return interrupt();
      if (character === '\u0004' && line === '') return reject(new CliError('no answer'));
      if (character === '\u0015') line = '';
      else if (character === '\u007f' || character === '\b') line = [...line].slice(0, -1).join('');
      else if (character >= ' ') line += character;
    }
  };
  const ended = () => reject(new CliError('no answer'));
  terminal.setEncoding('utf8');
  terminal.on('error', reject).on('end', ended).on('data', take).resume();
  try {
    return await promise;
  } finally {
    listening.abort();
    terminal.off('error', reject).off('end', ended).off('data', take);
  }
}

/** Asks on the terminal, with echo; reads one line of standard input where that is no terminal. */
export async function askLine(question: string): Promise<string> {
  if (process.stdin.isTTY) process.stderr.write(`${question}: `);
  const lines = createInterface({ input: process.stdin, terminal: false });
  try {
    for await (const line of lines) return line;
    return '';
  } finally {
    lines.close();
    process.stdin.pause();
  }
}

/** All of standard input as text. @throws CliError when it exceeds `maxBytes` or is not UTF-8 */
export async function readInput(maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of process.stdin) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxBytes) throw new CliError(`standard input is longer than ${maxBytes} bytes`, 2);
    chunks.push(chunk);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(chunks));
  } catch {
    throw new CliError('standard input is not UTF-8 text', 2);
  }
}

export interface Progress {
  update(done: number): void;
  /** What is being done at the moment. */
  note(what: string): void;
  done(): void;
}

/** A line on a terminal's standard error that shows how far a start is; silent where nobody looks. */
export function progress(what: string, unit = 'up'): Progress {
  if (!process.stderr.isTTY) return { update: () => {}, note: () => {}, done: () => {} };
  const show = (text: string) => process.stderr.write(`\r\x1b[K${text}`);
  show(`${what} …`);
  return {
    update: (done) => show(`${what} … ${done} ${unit}`),
    note: (text) => show(`${what} … ${text}`),
    done: () => show(''),
  };
}
