// SPDX-License-Identifier: AGPL-3.0-or-later
// The node list of a network without chain: a file signed by its admins (spec/chain §4.23). The list in force stands in
// `network.json` of the data folder. The first one is trusted by configuration; later ones must be newer and signed by the
// admins of the one in force, wherever they come from: the configured file, the file in the folder, or other nodes.
import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { equal, toHex } from '@allium/protocol/bytes';
import type { Cancel, Env } from '@allium/protocol/env';
import { AlliumError } from '@allium/protocol/errors';
import { CurrentMembership, type Membership, type MembershipSource } from '@allium/protocol/membership';
import {
  acceptStaticList,
  encodeStaticList,
  membershipOf,
  parseStaticList,
  type StaticList,
  staticListDigest,
} from '@allium/protocol/membership/static-list';

const HELD = 'network.json';

// Ours.
const POLL_MS = 3_000;
/** A warning that nobody reads at first is repeated. */
const EXPIRY_REMINDER_MS = 3_600_000;
/** Refusals of one source that are told. */
const COMPLAINT_PAUSE_MS = 60_000;

class NetworkFileError extends AlliumError<
  'no_network' | 'unreadable' | 'malformed' | 'wrong_digest' | 'other_network'
> {
  override readonly name = 'NetworkFileError';
}

export interface StaticSourceOptions {
  readonly dataDir: string;
  /** Empty: none configured. */
  readonly networkFile: string;
  /** Hex, or empty. */
  readonly networkDigest: string;
}

/** Where lists lie; default: the disk. */
export interface ListFiles {
  /** Changes whenever the file does; undefined when there is none. */
  mark(path: string): Promise<string | undefined>;
  /** Undefined when there is none. */
  read(path: string): Promise<Uint8Array | undefined>;
  /** Whole or not at all. */
  write(path: string, bytes: Uint8Array): Promise<void>;
  /** Harmless when there is none. */
  remove?(path: string): Promise<void>;
}

export const diskFiles: ListFiles = {
  mark: (path) =>
    ifThere(async () => {
      const { mtimeMs, size, ino } = await stat(path);
      return `${mtimeMs} ${size} ${ino}`;
    }),
  read: (path) => ifThere<Uint8Array>(() => readFile(path)),
  async write(path, bytes) {
    const temporary = `${path}.new`;
    await writeFile(temporary, bytes);
    await rename(temporary, path);
  },
  remove: (path) => rm(path, { force: true }),
};

async function ifThere<T>(look: () => Promise<T>): Promise<T | undefined> {
  try {
    return await look();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** What was done with a list that came in. `text` is the answer to a peer. */
export interface Offer {
  readonly accepted: boolean;
  readonly text: string;
}

export class StaticSource implements MembershipSource {
  readonly #env: Env;
  readonly #files: ListFiles;
  readonly #path: string;
  readonly #watched: { readonly path: string; seen: string }[];
  #list: StaticList;
  #bytes: Uint8Array;
  readonly #membership: CurrentMembership;
  #cancel: Cancel | undefined;
  #polling: Promise<void> | undefined;
  #writing: Promise<void> = Promise.resolve();
  #stopped = true;
  #remindAt = 0;
  /** Until when refusals of a source are not told, by the monotonic clock; a peer can send such lists without end. */
  readonly #quietUntil = new Map<string, number>();

  private constructor(
    options: StaticSourceOptions,
    deps: { env: Env; files: ListFiles },
    path: string,
    list: StaticList,
  ) {
    this.#env = deps.env;
    this.#files = deps.files;
    this.#path = path;
    this.#list = list;
    this.#bytes = encodeStaticList(list);
    this.#membership = new CurrentMembership(membershipOf(list));
    const paths = options.networkFile === '' ? [path] : [path, options.networkFile];
    this.#watched = paths.map((watched) => ({ path: watched, seen: '' }));
  }

  /** Reads the list in force, or the configured one at the first start. @throws NetworkFileError */
  static async open(
    options: StaticSourceOptions,
    env: Env,
    files: ListFiles = diskFiles,
  ): Promise<StaticSource> {
    const { list, isFirst } = await readListInForce(options, files);
    const source = new StaticSource(options, { env, files }, join(options.dataDir, HELD), list);
    if (isFirst) await source.#write();
    return source;
  }

  get list(): StaticList {
    return this.#list;
  }

  /** The list in force as nodes hand it to each other. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  current(): Membership {
    return this.#membership.current();
  }

  onChange(listener: (next: Membership, previous: Membership) => void): Cancel {
    return this.#membership.onChange(listener);
  }

  /** Reads newer files that are already there, then looks at them every few seconds. */
  async start(): Promise<void> {
    this.#stopped = false;
    await this.#poll();
    this.#schedule();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    await this.#polling;
    await this.#writing;
  }

  #schedule(): void {
    if (this.#stopped) return;
    this.#cancel = this.#env.clock.after(POLL_MS, () => {
      this.#polling = this.#poll().then(() => {
        this.#polling = undefined;
        this.#schedule();
      });
    });
  }

  async #poll(): Promise<void> {
    for (const watched of this.#watched) {
      try {
        const mark = await this.#files.mark(watched.path);
        if (mark === undefined || mark === watched.seen) continue;
        watched.seen = mark;
        const bytes = await this.#files.read(watched.path);
        if (bytes !== undefined) this.offer(bytes, watched.path);
      } catch (error) {
        this.#env.log.warn({ file: watched.path, error: String(error) }, 'node list not readable');
      }
    }
    this.#remind();
  }

  #remind(): void {
    const now = this.#env.clock.now();
    if (this.#list.expires * 1000 > now || now < this.#remindAt) return;
    this.#remindAt = now + EXPIRY_REMINDER_MS;
    // spec/chain §4.23: it stays in force; going dark would lose messages.
    this.#env.log.error(
      { version: this.#list.version },
      'the node list has expired: ask its admins for a new one',
    );
  }

  /** Takes a newer list over when the admins of the one in force have signed it (spec/chain §4.23). */
  offer(bytes: Uint8Array, from: string): Offer {
    const { log, clock } = this.#env;
    // Every member pushes a new list to all others, so this is what comes in most of all.
    if (equal(bytes, this.#bytes)) return { accepted: false, text: 'OK' };
    let candidate: StaticList;
    let membership: Membership;
    try {
      candidate = parseStaticList(bytes);
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      if (this.#mayComplain(from)) log.warn({ from, error: text }, 'node list refused: malformed');
      return { accepted: false, text: 'malformed list' };
    }
    const verdict = acceptStaticList(candidate, this.#list, Math.floor(clock.now() / 1000));
    if (!verdict.accepted) {
      if (verdict.reason === 'conflict') {
        if (this.#mayComplain(from)) {
          const held = toHex(staticListDigest(this.#list));
          const other = toHex(staticListDigest(candidate));
          log.error(
            { from, version: candidate.version, held, other },
            'two node lists of one version: keeping ours',
          );
        }
      } else if (verdict.reason !== 'same' && verdict.reason !== 'older' && this.#mayComplain(from)) {
        log.warn({ from, version: candidate.version, reason: verdict.reason }, 'node list refused');
      }
      return { accepted: false, text: verdict.reason === 'same' ? 'OK' : verdict.reason };
    }
    try {
      membership = membershipOf(candidate);
    } catch (error) {
      if (this.#mayComplain(from)) log.warn({ from, error: String(error) }, 'node list refused: bad keys');
      return { accepted: false, text: 'bad_node_key' };
    }
    this.#list = candidate;
    this.#bytes = encodeStaticList(candidate);
    this.#remindAt = 0;
    log.info({ from, version: candidate.version, nodes: candidate.nodes.length }, 'new node list in force');
    this.#writing = this.#write().catch((error: unknown) =>
      log.error({ file: this.#path, error: String(error) }, 'the node list could not be written'),
    );
    this.#membership.replace(membership);
    return { accepted: true, text: 'OK' };
  }

  #mayComplain(from: string): boolean {
    const now = this.#env.clock.monotonic();
    if (now < (this.#quietUntil.get(from) ?? Number.NEGATIVE_INFINITY)) return false;
    // Sources that are gone.
    for (const [source, until] of this.#quietUntil) if (until <= now) this.#quietUntil.delete(source);
    this.#quietUntil.set(from, now + COMPLAINT_PAUSE_MS);
    return true;
  }

  async #write(): Promise<void> {
    await this.#writing;
    await this.#files.write(this.#path, this.#bytes);
  }
}

/** The list that a start with these options puts in force; writes nothing. @throws NetworkFileError */
export async function readListInForce(
  options: StaticSourceOptions,
  files: ListFiles = diskFiles,
): Promise<{ list: StaticList; isFirst: boolean }> {
  const path = join(options.dataDir, HELD);
  const held = await readList(files, path);
  let configured: StaticList | undefined;
  try {
    configured = options.networkFile === '' ? undefined : await readList(files, options.networkFile);
  } catch (error) {
    // A file that is being copied must not keep a node down that has a list; whoever watches the file tells of it.
    if (held === undefined) throw error;
  }
  if (held !== undefined) {
    if (configured !== undefined && configured.network !== held.network) {
      throw new NetworkFileError(
        'other_network',
        `${options.networkFile} is the list of another network than ${path}: choose another data folder for it`,
      );
    }
    return { list: held, isFirst: false };
  }
  if (configured === undefined) {
    throw new NetworkFileError(
      'no_network',
      options.networkFile === ''
        ? 'no node list: name the signed list of your network with --network-file'
        : `${options.networkFile} does not exist: name the signed list of your network with --network-file`,
    );
  }
  if (options.networkDigest !== '' && toHex(staticListDigest(configured)) !== options.networkDigest) {
    throw new NetworkFileError(
      'wrong_digest',
      `${options.networkFile} is not the list with the configured digest`,
    );
  }
  return { list: configured, isFirst: true };
}

async function readList(files: ListFiles, path: string): Promise<StaticList | undefined> {
  let bytes: Uint8Array | undefined;
  try {
    bytes = await files.read(path);
  } catch (error) {
    throw new NetworkFileError(
      'unreadable',
      `cannot read ${path}: ${error instanceof Error ? error.message : error}`,
      {
        cause: error,
      },
    );
  }
  if (bytes === undefined) return undefined;
  try {
    return parseStaticList(bytes);
  } catch (error) {
    throw new NetworkFileError(
      'malformed',
      `${path} is not a signed node list: ${error instanceof Error ? error.message : error}`,
      { cause: error },
    );
  }
}
