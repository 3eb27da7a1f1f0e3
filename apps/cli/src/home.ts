// SPDX-License-Identifier: AGPL-3.0-or-later
// The folder of the command line: `accounts/NAME/` (account file and its messages) and `settings.json` (seeds, chain and
// wallet to use).
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { CliError, fileTrouble, usage } from './cli-error.ts';

/** --home, else ALLIUM_HOME, else the place where the system keeps settings. */
export function homeFolder(options: { readonly home?: string }): string {
  const chosen = options.home ?? process.env.ALLIUM_HOME;
  if (chosen !== undefined && chosen !== '') return resolve(chosen);
  const settings = process.env.XDG_CONFIG_HOME;
  return join(settings !== undefined && settings !== '' ? settings : join(homedir(), '.config'), 'allium');
}

export interface SeedOptions {
  readonly home?: string;
  readonly seed?: readonly string[];
}

/**
 * The seeds of the network to use: --seed, else ALLIUM_SEED, else the settings file.
 * @throws CliError that says how to choose one
 */
export function chosenSeeds(options: SeedOptions): string[] {
  if (options.seed !== undefined) return options.seed.map(parseSeed);
  const fromEnvironment = (process.env.ALLIUM_SEED ?? '').split(/[\s,]+/).filter((part) => part !== '');
  if (fromEnvironment.length > 0) return fromEnvironment.map(parseSeed);
  const saved = readSettings(homeFolder(options)).seeds;
  if (saved !== undefined) return saved.map(parseSeed);
  throw usage(
    'no network chosen. Name one of its nodes: --seed https://HOST:PORT (or ALLIUM_SEED, or "allium network use URL"). ' +
      '"allium demo" starts a network on this machine and says its seed.',
  );
}

export function isNetworkChosen(options: SeedOptions): boolean {
  return (
    options.seed !== undefined ||
    (process.env.ALLIUM_SEED ?? '').trim() !== '' ||
    readSettings(homeFolder(options)).seeds !== undefined
  );
}

/** What later commands use where nothing else is said. */
export interface Settings {
  readonly seeds?: readonly string[];
  /** URL#KEY each. */
  readonly fileServers?: readonly string[];
  /** What the network is called by those who invited us. */
  readonly network?: string;
  /** Path: what its node list is checked against. */
  readonly trust?: string;
  /** URL; may hold a key. */
  readonly chainRpc?: string;
  /** Paths. */
  readonly deployment?: string;
  readonly keystore?: string;
}

/** Remembers the seeds for later commands. */
export function saveSeeds(home: string, seeds: readonly string[], fileServers: readonly string[] = []): void {
  // What belonged to the network before would be wrong for this one.
  saveSettings(home, { seeds: seeds.map(parseSeed), fileServers, network: undefined, trust: undefined });
}

/** What later commands check the node list of the kept network against; undefined: nothing, or another network is meant. */
export function keptTrust(options: SeedOptions): string | undefined {
  const isOther = options.seed !== undefined || (process.env.ALLIUM_SEED ?? '').trim() !== '';
  return isOther ? undefined : readSettings(homeFolder(options)).trust;
}

/** What `settings` does not name stays; what is undefined there goes. */
export function saveSettings(
  home: string,
  settings: { readonly [Name in keyof Settings]: Settings[Name] | undefined },
): void {
  makePrivateFolder(home);
  const path = join(home, 'settings.json');
  const whole = { ...readSettings(home), ...settings };
  try {
    writeFileSync(`${path}.new`, `${JSON.stringify(whole, undefined, 2)}\n`, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  } catch (error) {
    rmSync(`${path}.new`, { force: true });
    throw new CliError(fileTrouble('cannot write', path, error).message, 1, { cause: error });
  }
}

export function makePrivateFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (thrown) {
    const error = reasonAgainst(folder) ?? thrown;
    throw new CliError(fileTrouble('cannot make the folder', folder, error).message, 1, { cause: thrown });
  }
}

/** Why nothing can be made there: on a disk that is only read, mkdir says that a folder is missing. */
function reasonAgainst(folder: string): unknown {
  let there = folder;
  while (!existsSync(there) && dirname(there) !== there) there = dirname(there);
  try {
    accessSync(there, constants.W_OK);
    return undefined;
  } catch (error) {
    return error;
  }
}

/** @throws CliError when the file is damaged */
export function readSettings(home: string): Settings {
  const path = join(home, 'settings.json');
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return {};
  }
  try {
    const { seeds, fileServers, ...others } = (JSON.parse(text) ?? {}) as Record<string, unknown>;
    const isText = (value: unknown) => typeof value === 'string' && value !== '';
    const named = ['chainRpc', 'deployment', 'keystore', 'network', 'trust'].filter((name) =>
      isText(others[name]),
    );
    return {
      ...(Array.isArray(seeds) && seeds.length > 0 && seeds.every(isText) && { seeds: seeds as string[] }),
      ...(Array.isArray(fileServers) &&
        fileServers.length > 0 &&
        fileServers.every(isText) && { fileServers: fileServers as string[] }),
      ...Object.fromEntries(named.map((name) => [name, others[name]])),
    };
  } catch (error) {
    throw new CliError(`${path} is not JSON: correct or delete it`, 1, { cause: error });
  }
}

function parseSeed(text: string): string {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw usage(`"${text}" is not the URL of a seed, such as https://127.0.0.1:22021`);
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    throw usage(`the URL of a seed begins with https://, not ${url.protocol}//`);
  }
  return url.origin;
}
