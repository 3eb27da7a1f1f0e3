// SPDX-License-Identifier: AGPL-3.0-or-later
// Two people at their terminals: a network on this machine, a home with an account for each, and what they type.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Devnet, type DevnetOptions } from '@allium/lab';
import { Account } from '@allium/protocol/account';
import { saveAccount } from '../src/accounts.ts';
import { type Output, type Running, Shell } from './shell.ts';

export type Person = 'ann' | 'ben';

export class TwoPeople implements AsyncDisposable {
  readonly net: Devnet;
  /** For whatever a test writes; goes with it. */
  readonly folder: string;
  readonly home: string;
  /** Knows home and network. */
  readonly shell: Shell;
  /** Account ids. */
  readonly ids: Readonly<Record<Person, string>>;

  private constructor(net: Devnet, folder: string, shell: Shell, ids: Record<Person, string>) {
    this.net = net;
    this.folder = folder;
    this.home = homeIn(folder);
    this.shell = shell;
    this.ids = ids;
  }

  /** @param env besides that of the network */
  static async sitDown(
    options: DevnetOptions = {},
    env: (folder: string) => Promise<Record<string, string>> | Record<string, string> = () => ({}),
  ): Promise<TwoPeople> {
    const folder = mkdtempSync(join(tmpdir(), 'allium-two-people-'));
    const home = homeIn(folder);
    const idOf = async (name: Person) =>
      (await saveAccount(Account.create(), name, { home, passphrase: false })).id;
    const ids = { ann: await idOf('ann'), ben: await idOf('ben') };
    const more = await env(folder);
    const net = await Devnet.start({ nodes: 5, ...options });
    const shell = new Shell({ ALLIUM_HOME: home, ALLIUM_SEED: net.seed, ...more });
    return new TwoPeople(net, folder, shell, ids);
  }

  run(who: Person, ...args: string[]): Promise<Output> {
    return this.shell.run(...args, '--account', who);
  }

  start(who: Person, ...args: string[]): Running {
    return this.shell.start(...args, '--account', who);
  }

  /** With `--json`: the lines that came. */
  async json(
    who: Person,
    ...args: string[]
  ): Promise<Output & { readonly lines: ReturnType<typeof jsonLines> }> {
    const output = await this.run(who, ...args, '--json');
    return { ...output, lines: jsonLines(output.stdout) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.shell.dispose();
    await this.net.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const homeIn = (folder: string): string => join(folder, 'home');

/** What a program reads of an output. */
export function jsonLines(text: string) {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}
