// SPDX-License-Identifier: AGPL-3.0-or-later
// Runs the service node as a program of its own.
import { runServiceNode } from '../../src/main.ts';

process.exitCode = await runServiceNode(process.argv.slice(2));
