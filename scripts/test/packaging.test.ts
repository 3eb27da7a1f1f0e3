// SPDX-License-Identifier: MIT
// What operators install: that it is complete, that it runs from its own tree, and that its files speak of things that exist.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, matchesGlob } from 'node:path';
import { systemEnv } from '@allium/net/system-env';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readConfig } from '../../packages/service-node/src/config.ts';
import { Metrics } from '../../packages/service-node/src/metrics.ts';
import { normalize, stageProgram } from '../stage-program.ts';

const ROOT = join(import.meta.dirname, '../..');
const PACKAGING = join(ROOT, 'packaging');
const read = (path: string) => readFileSync(join(PACKAGING, path), 'utf8');

describe('the staged program', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'allium-stage-'));
    stageProgram(join(folder, 'allium'), {
      arch: process.arch === 'arm64' ? 'arm64' : 'x64',
      runtime: false,
    });
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const allium = (...args: string[]) =>
    spawnSync(process.execPath, [join(folder, 'allium/apps/cli/bin/allium.mjs'), ...args], {
      encoding: 'utf8',
      env: { PATH: process.env.PATH, HOME: folder, NODE_DISABLE_COMPILE_CACHE: '1' },
    });

  test('runs from its own tree', () => {
    expect(allium('--version')).toMatchObject({ status: 0, stdout: '0.1.0\n', stderr: '' });
    expect(allium('node', '--version').status).toBe(0);
    // Loads what a node loads: sockets, SQLite, cryptography, log.
    const node = allium('node', '--data-dir', join(folder, 'data'), '--log-format', 'json');
    expect(node.status).toBe(1);
    expect(node.stderr).toContain('--network-file');
    expect(existsSync(join(folder, 'data/node.key'))).toBe(true);
    expect(allium('node', 'doctor', '--only', 'version').stdout).toMatch(/^ok {4}version/);
  });

  test('reaches nothing outside of its tree and holds nothing for developers', () => {
    const names = readdirSync(join(folder, 'allium'), { recursive: true, withFileTypes: true });
    for (const entry of names.filter((name) => name.isSymbolicLink())) {
      expect(realpathSync(join(entry.parentPath, entry.name)).startsWith(realpathSync(folder))).toBe(true);
    }
    const top = readdirSync(join(folder, 'allium/node_modules'));
    expect(top).toContain('commander');
    for (const name of ['vitest', 'typescript', '@biomejs', 'playwright']) expect(top).not.toContain(name);
    expect(readdirSync(join(folder, 'allium/node_modules/sodium-native/prebuilds'))).toHaveLength(1);
    expect(existsSync(join(folder, 'allium/apps/cli/test'))).toBe(false);
  });

  test('has the same times and modes on every machine', () => {
    normalize(folder, 1_700_000_000, (path) => path.endsWith('allium.mjs'));
    const launcher = statSync(join(folder, 'allium/apps/cli/bin/allium.mjs'));
    expect(launcher.mtimeMs).toBe(1_700_000_000_000);
    expect(launcher.mode & 0o777).toBe(0o755);
    expect(statSync(join(folder, 'allium/package.json')).mode & 0o777).toBe(0o644);
  });
});

describe('the Debian package', () => {
  test.each(['allium', 'postinst', 'prerm', 'postrm'])('%s is a shell script', (name) => {
    execFileSync('sh', ['-n', join(PACKAGING, 'debian', name)]);
    expect(statSync(join(PACKAGING, 'debian', name)).mode & 0o111).not.toBe(0);
  });

  test('its configuration and that of the systemd unit are understood', () => {
    const unit = read('systemd/allium-node.service');
    const [, args] = /^ExecStart=\/usr\/bin\/allium node (.*)$/m.exec(unit) ?? [];
    const line = args!.replace('/etc/allium/node.json', join(PACKAGING, 'debian/node.json')).split(' ');
    expect(readConfig(line, {}).options).toMatchObject({
      dataDir: '/var/lib/allium',
      networkFile: '/etc/allium/network.json',
      logFormat: 'json',
    });
    for (const guard of [
      'NoNewPrivileges=yes',
      'ProtectSystem=strict',
      'User=allium',
      'StateDirectory=allium',
    ]) {
      expect(unit).toContain(`\n${guard}\n`);
    }
  });
});

describe('the Docker image', () => {
  const dockerfile = read('docker/Dockerfile').replaceAll('\\\n', ' ');
  const instructions = dockerfile.split('\n').filter((line) => /^[A-Z]/.test(line));

  test('copies only what exists and what the ignore file lets in', () => {
    const patterns = read('docker/Dockerfile.dockerignore').trim().split('\n');
    const allowed = (path: string) => {
      let isAllowed = true;
      for (const pattern of patterns) {
        const isBack = pattern.startsWith('!');
        const glob = isBack ? pattern.slice(1) : pattern;
        // Docker's star means dot files too.
        if (glob === '*' || matchesGlob(path, glob) || matchesGlob(path, `${glob}/**`)) isAllowed = isBack;
      }
      return isAllowed;
    };
    const sources = instructions
      .filter((line) => line.startsWith('COPY ') && !line.includes('--from'))
      .flatMap((line) => line.split(/\s+/).slice(1, -1));
    expect(sources).toContain('package-lock.json');
    for (const source of sources) {
      expect(existsSync(join(ROOT, source))).toBe(true);
      expect([source, allowed(source)]).toEqual([source, true]);
    }
    expect(allowed('apps/cli/src/main.ts')).toBe(true);
    expect(allowed('packages/net/node_modules/x/index.js')).toBe(false);
    expect(allowed('packages/net/test/x.test.ts')).toBe(false);
    expect(allowed('.git/config')).toBe(false);
    const target = /^COPY --from=build (\S+) (\S+)$/m.exec(dockerfile);
    expect(target?.[1]).toBe(/^WORKDIR (\S+)$/m.exec(dockerfile)?.[1]);
    const entry = join(ROOT, 'apps/cli/bin/allium.mjs').slice(ROOT.length);
    expect(dockerfile).toContain(`ENTRYPOINT ["node", "${target?.[2]}${entry}"]`);
  });

  test('runs as a user of its own, with options that exist and a health check', () => {
    expect(
      instructions.filter((line) => line.startsWith('FROM ')).every((line) => /:\d+-\w+/.test(line)),
    ).toBe(true);
    expect(instructions.findLast((line) => line.startsWith('USER '))).toBe('USER node');
    expect(dockerfile).toMatch(/^HEALTHCHECK .*"node", "doctor", "--only", "node,database"\]$/m);
    const pairs = [...dockerfile.matchAll(/(ALLIUM_NODE_\w+)=(\S+)/g)].map(([, name, value]) => [
      name!,
      value!,
    ]);
    const compose = read('docker/compose.yaml');
    const more = [...compose.matchAll(/(ALLIUM_NODE_\w+): "(\S+)"/g)].map(([, name, value]) => [
      name!,
      value!,
    ]);
    const { options } = readConfig([], Object.fromEntries([...pairs, ...more]) as Record<string, string>);
    expect(options).toMatchObject({ dataDir: '/var/lib/allium', metricsPort: 9120 });
    expect(compose).toContain(`- data:${options.dataDir}\n`);
    expect(compose).toContain(`- ./network.json:${options.networkFile}:ro\n`);
  });
});

describe('the dashboard', () => {
  test('asks for metrics that exist', async () => {
    const size = { used: 0, total: 0, max: 0 };
    const answers: Record<string | symbol, unknown> = {
      databaseBytes: size,
      failingPeers: [],
      // Of a node that votes: it has all metrics.
      governance: { votes: { submitted: new Map() }, turns: {} },
    };
    const observed = new Proxy({}, { get: (_, name) => () => (name in answers ? answers[name] : 0) });
    const text = await new Metrics(systemEnv()).text(observed as Parameters<Metrics['text']>[0]);
    const known = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name));
    const dashboard = JSON.parse(read('grafana/allium-node.json')) as {
      panels: { id: number; targets?: { expr: string }[] }[];
    };
    const asked = new Set(JSON.stringify(dashboard).match(/\ballium_[a-z_]+/g));
    expect([...asked].filter((name) => !known.has(name))).toEqual([]);
    expect(asked.size).toBeGreaterThan(20);
    const ids = dashboard.panels.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });
});
