// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium node`: one service node in the foreground. Its options, help and `--print-config` come from its own table.
import { runServiceNode } from '@allium/service-node/main';

export function runNode(args: readonly string[]): Promise<number> {
  return runServiceNode(args);
}
