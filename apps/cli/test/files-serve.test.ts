// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium files serve` as its operator has it: ready line, key file, killed in the middle of an upload, full disk.
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '@allium/net/testing/until';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Running, Shell } from './shell.ts';

let folder: string;
let shell: Shell;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'allium-files-serve-'));
  shell = new Shell({ ALLIUM_HOME: folder });
});
afterEach(() => {
  shell.dispose();
  rmSync(folder, { recursive: true, force: true });
});

interface Ready {
  readonly url: string;
  readonly key: string;
  readonly files: number;
  readonly bytes: number;
}

async function start(...args: string[]): Promise<Ready & { readonly running: Running }> {
  const running = shell.start('files', 'serve', '--port', '0', '--json', ...args);
  await until(() => running.lines.length > 0 || running.child.exitCode !== null);
  return { ...(JSON.parse(running.lines[0] ?? '{}') as Ready), running };
}

const filesBelow = (path: string) =>
  readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).length;

test('a server that is killed while it takes files serves whole ones only, and leaves nothing half', async () => {
  const first = await start();
  expect(statSync(join(folder, 'file-server', 'server.key')).mode & 0o777).toBe(0o600);
  const whole = Buffer.alloc(200_000, 7);
  const { id } = (await (await fetch(`${first.url}/file`, { method: 'POST', body: whole })).json()) as {
    id: string;
  };
  const begun = await fetch(`${first.url}/uploads`, { method: 'POST', headers: { 'upload-length': '1000' } });
  const path = begun.headers.get('location') ?? '';
  const piece = (url: string, offset: number, length: number) =>
    fetch(`${url}${path}`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/offset+octet-stream', 'upload-offset': String(offset) },
      body: Buffer.alloc(length, 1),
    });
  expect((await piece(first.url, 0, 400)).status).toBe(204);
  // One that stands in the middle, and a crowd of others.
  const half = request(`${first.url}/file`, { method: 'POST', headers: { 'content-length': 100_000 } });
  half.on('error', () => {});
  half.write(Buffer.alloc(50_000, 9));
  const answers: Promise<string | undefined>[] = [];
  for (let i = 0; i < 30; i++) {
    answers.push(
      fetch(`${first.url}/file`, { method: 'POST', body: Buffer.alloc(50_000, i) })
        .then(async (answer) => ((await answer.json()) as { id: string }).id)
        .catch(() => undefined),
    );
  }
  await Promise.race(answers);
  first.running.child.kill('SIGKILL');
  const promised = [id, ...(await Promise.all(answers)).filter((each) => each !== undefined)];
  await first.running.ended();

  const second = await start();
  expect(second.key).toBe(first.key);
  const home = join(folder, 'file-server');
  expect(filesBelow(join(home, 'tmp'))).toBe(0);
  expect(filesBelow(join(home, 'pools'))).toBe(second.files);
  expect(second.files).toBeGreaterThanOrEqual(promised.length);
  for (const each of new Set(promised)) {
    const body = Buffer.from(await (await fetch(`${second.url}/file/${each}`)).arrayBuffer());
    expect(body).toHaveLength(each === id ? 200_000 : 50_000);
  }
  const last = await piece(second.url, 400, 600);
  expect([last.status, last.headers.get('x-fs-id')?.length]).toEqual([204, 44]);

  second.running.child.kill('SIGTERM');
  expect((await second.running.ended()).code).toBe(0);
});

test('says what to do when it cannot start', async () => {
  const { url, running } = await start();
  const port = new URL(url).port;
  const twice = await shell.run('files', 'serve', '--port', '0');
  expect([twice.code, twice.stderr]).toEqual([1, expect.stringContaining('another file server runs on')]);
  const other = join(folder, 'other');
  const taken = await shell.run('files', 'serve', '--port', port, '--folder', other);
  expect([taken.code, taken.stderr]).toEqual([
    1,
    expect.stringContaining('is taken; choose another with --port'),
  ]);
  expect(existsSync(other)).toBe(true);
  const wrong = await shell.run('files', 'serve', '--max-file', 'much');
  expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('such as 500k')]);
  running.child.kill('SIGINT');
  expect((await running.ended()).code).toBe(0);
});
