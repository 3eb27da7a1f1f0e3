// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium account wipe`: nothing of an account stays on this machine.
import { wipeAccountFolder } from '@allium/client/node/wipe-account';
import { chooseEntry, secretFiles } from '../accounts.ts';
import { CliError, fileTrouble } from '../cli-error.ts';
import { explain, openSession, type SessionOptions, takeReceiving } from '../session.ts';
import { askLine, counted, print, printJson, remark } from '../terminal.ts';

interface WipeOptions extends SessionOptions {
  readonly swarm?: boolean;
  readonly yes?: boolean;
  readonly json?: boolean;
}

export async function wipeAccount(options: WipeOptions): Promise<number> {
  const entry = await chooseEntry(options);
  if (options.yes !== true) {
    remark(`This removes account ${entry.name} (${entry.id}) with all its messages from ${entry.folder}.`);
    remark('Without its recovery phrase it is gone for ever.');
    const answer = await askLine(`Type its name (${entry.name}) to go on`);
    if (answer.trim() !== entry.name)
      throw new CliError('nothing was removed: that is not its name (scripts say --yes)');
  }
  let swarm: { confirmed: number; of: number } | undefined;
  if (options.swarm === true) {
    try {
      await using session = await openSession({ ...options, account: entry.name }, 'send');
      swarm = await session.client.eraseSwarm();
    } catch (error) {
      const { message, exitCode } = explain(error);
      throw new CliError(
        `${message}; nothing was removed, leave --swarm away to wipe only this machine`,
        exitCode,
      );
    }
  }
  const release = takeReceiving(entry);
  if (typeof release !== 'function') {
    throw new CliError(`process ${release} listens for account ${entry.name}: end it first`);
  }
  try {
    const { files, bytes } = wipeAccountFolder(entry.folder, secretFiles(entry));
    if (options.json === true)
      printJson({ name: entry.name, id: entry.id, files, bytes, ...(swarm && { swarm }) });
    else {
      if (swarm !== undefined)
        print(
          `Removed from the network by ${swarm.confirmed} of ${counted(swarm.of, 'member')} of its swarm.`,
        );
      print(`Account ${entry.name} is gone: ${counted(files, 'file')} overwritten and removed.`);
    }
    return 0;
  } catch (error) {
    throw fileTrouble('not everything could be removed from', entry.folder, error);
  }
}
