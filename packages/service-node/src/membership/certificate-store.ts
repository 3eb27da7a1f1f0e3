// SPDX-License-Identifier: AGPL-3.0-or-later
// Membership certificates that a node keeps and serves (spec/chain §4.22): the newest ninety, and of the older ones every
// thirtieth; with an epoch of an hour that is one per day and one per 30 days. In the data folder: `certificates.bt` with
// their epochs, and each in a file of its own.
import { join } from 'node:path';
import { btInteger, btList, decodeBtDict, encodeBt } from '@allium/protocol/bencode';
import { equal, fromHex } from '@allium/protocol/bytes';
import type { Env } from '@allium/protocol/env';
import { ParseError } from '@allium/protocol/errors';
import {
  encodeCertificate,
  type MembershipCertificate,
  parseCertificate,
} from '@allium/protocol/membership/certificate';

// From the specification (spec/chain §4.22), counted in certified epochs.
const KEPT_ALL = 90;
const KEPT_EACH = 30;

// Ours.
/** More than forty years of the production preset. */
const MAX_KEPT = 600;
const INDEX = 'certificates.bt';

export interface CertificateFiles {
  /** Undefined when there is none. */
  read(path: string): Promise<Uint8Array | undefined>;
  /** Whole or not at all. */
  write(path: string, bytes: Uint8Array): Promise<void>;
  /** Harmless when there is none. Absent: what is not kept any more is left lying. */
  remove?(path: string): Promise<void>;
}

export interface CertificateStoreParts {
  readonly files: CertificateFiles;
  readonly folder: string;
  readonly chainId: number;
  readonly registry: `0x${string}`;
  /** Epochs from one certificate to the next. */
  readonly certifyEvery: number;
}

export class CertificateStore {
  readonly #parts: CertificateStoreParts;
  readonly #registry: Uint8Array;
  readonly #env: Env;
  readonly #kept = new Map<number, Uint8Array>();
  #newest: MembershipCertificate | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(parts: CertificateStoreParts, env: Env) {
    this.#parts = parts;
    this.#registry = fromHex(parts.registry.slice(2), 20);
    this.#env = env;
  }

  /** Reads what was kept; what cannot be read is told of and done without. */
  async start(): Promise<void> {
    const { files } = this.#parts;
    for (const epoch of await this.#index()) {
      const path = this.#path(epoch);
      try {
        const bytes = await files.read(path);
        if (bytes === undefined) continue;
        const certificate = parseCertificate(bytes);
        // Whoever takes the folder to another network starts anew.
        if (!this.isOfThisNetwork(certificate) || certificate.epoch !== epoch) continue;
        this.#take(certificate, Uint8Array.from(bytes));
      } catch (error) {
        this.#env.log.warn({ file: path, error: String(error) }, 'a kept certificate is not readable');
      }
    }
  }

  async stop(): Promise<void> {
    await this.#writing;
  }

  isOfThisNetwork({ chainId, registry }: MembershipCertificate): boolean {
    return chainId === this.#parts.chainId && equal(registry, this.#registry);
  }

  /** Ascending. */
  epochs(): readonly number[] {
    return [...this.#kept.keys()].sort((a, b) => a - b);
  }

  newest(): MembershipCertificate | undefined {
    return this.#newest;
  }

  /** Of that epoch, else of the newest. */
  bytes(epoch = this.#newest?.epoch): Uint8Array | undefined {
    return epoch === undefined ? undefined : this.#kept.get(epoch);
  }

  /** Whether a certificate of that epoch is worth asking for. */
  wants(epoch: number): boolean {
    if (this.#kept.has(epoch) || epoch % this.#parts.certifyEvery !== 0) return false;
    return this.#isKept(epoch, Math.max(epoch, this.#newest?.epoch ?? 0));
  }

  /** Keeps it, in place of one with other signatures. It must be believed already. */
  put(certificate: MembershipCertificate): void {
    const bytes = encodeCertificate(certificate);
    const before = this.#kept.get(certificate.epoch);
    if (before !== undefined && equal(before, bytes)) return;
    this.#take(certificate, bytes);
    const dropped = this.#prune();
    const index = encodeBt({ e: [...this.epochs()], v: 1 });
    const isStill = this.#kept.has(certificate.epoch);
    this.#writing = this.#writing
      .then(async () => {
        const { files, folder } = this.#parts;
        if (isStill) await files.write(this.#path(certificate.epoch), bytes);
        await files.write(join(folder, INDEX), index);
        for (const epoch of dropped) await files.remove?.(this.#path(epoch));
      })
      .catch((error: unknown) =>
        this.#env.log.error({ error: String(error) }, 'a certificate could not be written'),
      );
  }

  #take(certificate: MembershipCertificate, bytes: Uint8Array): void {
    this.#kept.set(certificate.epoch, bytes);
    if (certificate.epoch >= (this.#newest?.epoch ?? 0)) this.#newest = certificate;
  }

  #prune(): number[] {
    const newest = this.#newest?.epoch ?? 0;
    const dropped = [...this.#kept.keys()].filter((epoch) => !this.#isKept(epoch, newest));
    const left = this.epochs().filter((epoch) => !dropped.includes(epoch));
    dropped.push(...left.slice(0, Math.max(0, left.length - MAX_KEPT)));
    for (const epoch of dropped) this.#kept.delete(epoch);
    return dropped;
  }

  #isKept(epoch: number, newest: number): boolean {
    const place = epoch / this.#parts.certifyEvery;
    return newest / this.#parts.certifyEvery - place < KEPT_ALL || place % KEPT_EACH === 0;
  }

  #path(epoch: number): string {
    return join(this.#parts.folder, `certificate-${epoch}.bt`);
  }

  async #index(): Promise<number[]> {
    const path = join(this.#parts.folder, INDEX);
    try {
      const bytes = await this.#parts.files.read(path);
      if (bytes === undefined) return [];
      const dict = decodeBtDict(bytes, { maxDepth: 2, maxValues: 2 * MAX_KEPT });
      const epochs = btList(dict, 'e') ?? [];
      if (btInteger(dict, 'v') !== 1 || !epochs.every((epoch) => typeof epoch === 'number')) {
        throw new ParseError('certificate', 'not a list of kept certificates');
      }
      return epochs as number[];
    } catch (error) {
      this.#env.log.warn(
        { file: path, error: String(error) },
        'the list of kept certificates is not readable',
      );
      return [];
    }
  }
}
