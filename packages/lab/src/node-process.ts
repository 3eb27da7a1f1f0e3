// SPDX-License-Identifier: AGPL-3.0-or-later
// One node of a process devnet: the service node's own program, which ends when the devnet is gone.
import { runServiceNode } from '@allium/service-node/main';
import { followParent } from './lifeline.ts';

followParent();
process.exitCode = await runServiceNode(process.argv.slice(2));
