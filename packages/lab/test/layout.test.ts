// SPDX-License-Identifier: AGPL-3.0-or-later
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openLayout } from '../src/layout.ts';

test('a temporary folder whose process was killed goes with the next start, one in use stays', async () => {
  const make = (pid: number | undefined) => {
    const folder = mkdtempSync(join(tmpdir(), 'allium-devnet-'));
    if (pid !== undefined) writeFileSync(join(folder, 'lock'), `${pid}\n`);
    return folder;
  };
  const dead = spawnSync(process.execPath, ['-e', '0']).pid;
  const [stale, used, made] = [make(dead), make(process.pid), make(undefined)];
  try {
    const layout = await openLayout({ nodes: 1 });
    expect([stale, used, made].map((folder) => existsSync(folder))).toEqual([false, true, true]);
    expect(existsSync(layout.folder)).toBe(true);
    layout.release();
    expect(existsSync(layout.folder)).toBe(false);
  } finally {
    for (const folder of [stale, used, made]) rmSync(folder, { recursive: true, force: true });
  }
});
