// SPDX-License-Identifier: MIT
// `npm run package:deb [-- --arch arm64] [--out FOLDER]`: a Debian package of `allium`, its Node and a systemd unit,
// as dist/allium_VERSION_ARCH.deb. Needs dpkg-deb. Times of files come from SOURCE_DATE_EPOCH, else the last commit, so
// that two runs over one checkout make the same bytes.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { buildWeb } from '../apps/web/build.ts';
import { normalize, stageProgram } from './stage-program.ts';

const ROOT = join(import.meta.dirname, '..');
const PACKAGING = join(ROOT, 'packaging');
const ARCHES = { x64: 'amd64', arm64: 'arm64' } as const;
const SCRIPTS = ['postinst', 'prerm', 'postrm'];

const { values } = parseArgs({
  options: { arch: { type: 'string', default: process.arch }, out: { type: 'string', default: 'dist' } },
});
if (values.arch !== 'x64' && values.arch !== 'arm64') {
  process.stderr.write(`--arch is x64 or arm64, not "${values.arch}"\n`);
  process.exit(2);
}
const arch = values.arch;
const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
const seconds = Number(
  process.env.SOURCE_DATE_EPOCH ??
    execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: ROOT, encoding: 'utf8' }).trim(),
);
const out = resolve(ROOT, values.out, `allium_${version}_${ARCHES[arch]}.deb`);
const work = mkdtempSync(join(tmpdir(), 'allium-deb-'));
try {
  const tree = join(work, 'tree');
  stageProgram(join(tree, 'usr/lib/allium'), { arch, runtime: true });
  const put = (from: string, to: string) => {
    mkdirSync(dirname(join(tree, to)), { recursive: true });
    copyFileSync(from, join(tree, to));
  };
  put(join(PACKAGING, 'debian/allium'), 'usr/bin/allium');
  put(join(PACKAGING, 'debian/node.json'), 'etc/allium/node.json');
  put(join(PACKAGING, 'debian/copyright'), 'usr/share/doc/allium/copyright');
  put(join(PACKAGING, 'systemd/allium-node.service'), 'usr/lib/systemd/system/allium-node.service');
  put(join(PACKAGING, 'systemd/allium-gateway.service'), 'usr/lib/systemd/system/allium-gateway.service');
  put(join(PACKAGING, 'grafana/allium-node.json'), 'usr/share/doc/allium/grafana/allium-node.json');
  put(join(ROOT, 'docs/guides/operator.md'), 'usr/share/doc/allium/operator.md');
  put(join(ROOT, 'docs/guides/gateway.md'), 'usr/share/doc/allium/gateway.md');
  put(join(ROOT, 'CHANGELOG.md'), 'usr/share/doc/allium/CHANGELOG.md');
  for (const name of readdirSync(join(ROOT, 'LICENSES'))) {
    put(join(ROOT, 'LICENSES', name), `usr/share/doc/allium/LICENSES/${name}`);
  }
  await buildWeb(join(tree, 'usr/share/allium/web'));
  const files = listFiles(tree);
  const sizeKib = Math.ceil(files.reduce((sum, path) => sum + statSync(join(tree, path)).size, 0) / 1024);
  const md5 = (path: string) =>
    createHash('md5')
      .update(readFileSync(join(tree, path)))
      .digest('hex');
  const sums = files.filter((path) => !path.startsWith('etc/')).map((path) => `${md5(path)}  ${path}\n`);

  const control = join(tree, 'DEBIAN');
  mkdirSync(control);
  const template = readFileSync(join(PACKAGING, 'debian/control'), 'utf8');
  writeFileSync(
    join(control, 'control'),
    template.replace('@VERSION@', version).replace('@ARCH@', ARCHES[arch]).replace('@SIZE@', String(sizeKib)),
  );
  writeFileSync(join(control, 'conffiles'), '/etc/allium/node.json\n');
  writeFileSync(join(control, 'md5sums'), sums.join(''));
  for (const name of SCRIPTS) copyFileSync(join(PACKAGING, 'debian', name), join(control, name));
  const programs = new Set([
    ...SCRIPTS.map((name) => join('DEBIAN', name)),
    'usr/bin/allium',
    'usr/lib/allium/bin/node',
    'usr/lib/allium/apps/cli/bin/allium.mjs',
  ]);
  normalize(tree, seconds, (path) => programs.has(path));

  mkdirSync(dirname(out), { recursive: true });
  execFileSync('dpkg-deb', ['--root-owner-group', '-Zxz', '-z3', '--build', tree, out], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, SOURCE_DATE_EPOCH: String(seconds) },
  });
  chmodSync(out, 0o644);
  const sha256 = createHash('sha256').update(readFileSync(out)).digest('hex');
  process.stdout.write(`${out}\n${(statSync(out).size / 1e6).toFixed(1)} MB, sha256 ${sha256}\n`);
} finally {
  rmSync(work, { recursive: true, force: true });
}

function listFiles(folder: string, path = ''): string[] {
  return readdirSync(join(folder, path), { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const child = join(path, entry.name);
      return entry.isDirectory() ? listFiles(folder, child) : entry.isFile() ? [child] : [];
    });
}
