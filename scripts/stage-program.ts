// SPDX-License-Identifier: MIT
// Puts `allium` with all that it needs into one folder, from what `npm ci` installed: the sources of our packages, and of the
// dependencies those that run in production, as package-lock.json has them. Nothing is fetched, so two runs over one
// checkout make the same files.
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';

const ROOT = join(import.meta.dirname, '..');

/** What runs of each package of ours. */
const PACKAGE_PARTS = ['package.json', 'README.md', 'src', 'bin'];
/** Of dependencies; what nobody reads at run time. */
const UNUSED =
  /\.(map|d\.ts|d\.mts|d\.cts|bare)$|(^|\/)(test|tests|bench|benchmark|docs|examples|\.github)(\/|$)/;

export interface StageOptions {
  /** As Node calls it. */
  readonly arch: 'x64' | 'arm64';
  /** Whether the Node that npm installed comes along, as `bin/node`. */
  readonly runtime: boolean;
}

/** Fills `folder`, which must not exist. @throws Error when something is not installed */
export function stageProgram(folder: string, { arch, runtime }: StageOptions): void {
  if (existsSync(folder)) throw new Error(`${folder} exists already`);
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as Lock;
  copy('package.json', folder);
  for (const [path, { dev, devOptional, link, resolved, optional }] of Object.entries(lock.packages)) {
    if (path === '' || dev === true || devOptional === true) continue;
    if (link === true) {
      // Our packages: node_modules/@allium/x → packages/x. Node strips types only outside of node_modules.
      const target = join(folder, path);
      mkdirSync(dirname(target), { recursive: true });
      symlinkSync(relative(dirname(target), join(folder, resolved ?? '')), target);
    } else if (!path.includes('node_modules/')) {
      for (const part of PACKAGE_PARTS)
        if (existsSync(join(ROOT, path, part))) copy(join(path, part), folder);
    } else if (optional !== true) {
      if (!existsSync(join(ROOT, path))) throw new Error(`${path} is not installed: run "npm ci"`);
      copy(path, folder, (name) => !UNUSED.test(name) && fits(name, arch));
    }
  }
  if (runtime) {
    const source = join('node_modules', `node-linux-${arch}`);
    const node = join(ROOT, source, 'bin', 'node');
    if (!existsSync(node)) {
      throw new Error(`${source} is not installed: run "npm ci --cpu=${arch} --os=linux --include=optional"`);
    }
    mkdirSync(join(folder, 'bin'), { recursive: true });
    copyFileSync(node, join(folder, 'bin', 'node'));
    chmodSync(join(folder, 'bin', 'node'), 0o755);
    copyFileSync(join(ROOT, source, 'LICENSE'), join(folder, 'bin', 'LICENSE.node'));
  }
}

interface Lock {
  readonly packages: Readonly<
    Record<
      string,
      {
        readonly dev?: boolean;
        readonly devOptional?: boolean;
        readonly optional?: boolean;
        readonly link?: boolean;
        readonly resolved?: string;
      }
    >
  >;
}

/** Prebuilt binaries of other systems stay out. */
function fits(name: string, arch: string): boolean {
  const match = /(?:^|\/)prebuilds\/([^/]+)/.exec(name);
  return match === null || match[1] === `linux-${arch}`;
}

function copy(path: string, folder: string, wanted: (name: string) => boolean = () => true): void {
  const source = join(ROOT, path);
  const target = join(folder, path);
  if (!wanted(path.split(sep).join('/'))) return;
  const stats = statSync(source);
  if (stats.isDirectory()) {
    for (const name of readdirSync(source).sort()) {
      // Dependencies of dependencies have entries of their own in the lock file.
      if (name !== 'node_modules' && name !== '.cache') copy(join(path, name), folder, wanted);
    }
    return;
  }
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(source, target);
}

/** Gives everything below `folder` the same time and the usual modes, whatever the machine's umask. */
export function normalize(folder: string, seconds: number, isProgram: (path: string) => boolean): void {
  const visit = (path: string) => {
    const full = join(folder, path);
    for (const entry of readdirSync(full, { withFileTypes: true })) {
      const child = join(path, entry.name);
      if (entry.isDirectory()) visit(child);
      else if (!entry.isSymbolicLink()) chmodSync(join(folder, child), isProgram(child) ? 0o755 : 0o644);
      lutimesSync(join(folder, child), seconds, seconds);
    }
    chmodSync(full, 0o755);
  };
  visit('');
  lutimesSync(folder, seconds, seconds);
}
