// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium node key show | backup | restore`: the identity of a node, which is all of it that cannot be made again. A backup
// is a seed file of the format `allium-node-key`; its id is the Ed25519 key.
import {
  readSeedFile,
  type SeedFileCode,
  type SeedFileKind,
  writeSeedFile,
} from '@allium/client/node/seed-file';
import { fromHex } from '@allium/protocol/bytes';
import { AlliumError } from '@allium/protocol/errors';
import { NodeKeys, readNodeSeed, restoreNodeSeed } from '@allium/service-node/node-keys';
import { CliError, usage } from '../cli-error.ts';
import { choosePassphrase, readPassphrase } from '../passphrase.ts';
import { print, printJson } from '../terminal.ts';
import type { NodeCommand } from './node-command.ts';

class NodeKeyFileError extends AlliumError<SeedFileCode> {
  override readonly name = 'NodeKeyFileError';
}

const NODE_KEY_FILE: SeedFileKind = {
  format: 'allium-node-key',
  noun: 'backup of a node key',
  error: (code, message, options) => new NodeKeyFileError(code, message, options),
  checkId: (id) => fromHex(id, 32),
};

const USAGE = 'write "allium node key show", "allium node key backup FILE" or "allium node key restore FILE"';

export async function nodeKey(command: NodeCommand): Promise<number> {
  const [verb, file, ...more] = command.words;
  if (more.length > 0) throw usage(`too many arguments: ${USAGE}`);
  if (verb === 'show' && file === undefined) return show(command);
  if (verb === 'backup' && file !== undefined) return backup(file, command);
  if (verb === 'restore' && file !== undefined) return restore(file, command);
  throw usage(USAGE);
}

function show(command: NodeCommand): number {
  const { ed25519Hex, x25519Hex } = new NodeKeys(heldSeed(command));
  if (command.json) printJson({ ed25519: ed25519Hex, x25519: x25519Hex });
  else print(ed25519Hex);
  return 0;
}

async function backup(file: string, command: NodeCommand): Promise<number> {
  const seed = heldSeed(command);
  const id = new NodeKeys(seed).ed25519Hex;
  const passphrase = await choosePassphrase('the backup', command, { required: true });
  await aboutFile(file, () => writeSeedFile(file, NODE_KEY_FILE, { id, seed }, passphrase));
  seed.fill(0);
  if (command.json) printJson({ ed25519: id, file });
  else print(`The key of node ${id} is in ${file}. Keep it and its passphrase on another machine.`);
  return 0;
}

async function restore(file: string, command: NodeCommand): Promise<number> {
  const passphrase = await readPassphrase(file, command);
  const { id, seed } = await aboutFile(file, () => readSeedFile(file, NODE_KEY_FILE, passphrase));
  if (seed.length !== 32 || new NodeKeys(seed).ed25519Hex !== id) {
    throw new CliError(`${file}: the backup names another key than it holds`);
  }
  const restored = restoreNodeSeed(command.node.dataDir, seed);
  seed.fill(0);
  if (command.json) printJson({ ed25519: id, restored });
  else if (restored)
    print(`${command.node.dataDir} now has the key of node ${id}. Never run two nodes with one key.`);
  else print(`${command.node.dataDir} has the key of node ${id} already.`);
  return 0;
}

/** @throws CliError where the folder has no key */
function heldSeed({ node }: NodeCommand): Uint8Array {
  const seed = readNodeSeed(node.dataDir);
  if (seed === undefined) {
    throw new CliError(
      `there is no node.key in ${node.dataDir}: name the data folder (--data-dir); the first start of a node makes its key`,
    );
  }
  return seed;
}

async function aboutFile<T>(file: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof NodeKeyFileError)
      throw new CliError(`${file}: ${error.message}`, 1, { cause: error });
    throw error;
  }
}
