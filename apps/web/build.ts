// SPDX-License-Identifier: AGPL-3.0-or-later
// Builds the web app. The same sources give the same bytes: names come from contents, nothing holds a date or a path of this
// machine; so the digest over all files can be published and computed again by anybody (docs/guides/web.md).
//
//   node apps/web/build.ts [folder] [--check]     prints the digest; --check builds twice and compares
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, sep } from 'node:path';
import { brotliCompressSync } from 'node:zlib';
import react from '@vitejs/plugin-react';
import { build } from 'vite';
import { sodiumWasm } from './sodium-wasm.ts';

const ROOT = import.meta.dirname;
/** Names neither code nor data of the app, and is made last. */
const BUNDLE = 'bundle.json';
const SERVICE_WORKER = 'sw.js';
/** Beside each file of text: what servers send instead. Another form of the same, so no part of the digest. */
const COMPRESSED = '.br';
const WORTH_BYTES = 1_024;

export interface WebBuild {
  /** SHA-256 in hex over the sorted lines `digest  path` of all files but `bundle.json`. */
  readonly hash: string;
  /** Path with slashes → SHA-256 in hex and size in bytes. */
  readonly files: Readonly<Record<string, { readonly sha256: string; readonly bytes: number }>>;
}

/** Empties `outDir` and builds into it. */
export async function buildWeb(outDir: string): Promise<WebBuild> {
  // Vite and React look at it; the bytes must not depend on where they are built.
  const before = process.env.NODE_ENV;
  process.env.NODE_ENV = 'production';
  try {
    return await buildFiles(outDir);
  } finally {
    if (before === undefined) delete process.env.NODE_ENV;
    else process.env.NODE_ENV = before;
  }
}

async function buildFiles(outDir: string): Promise<WebBuild> {
  // How long plugins took is nothing that a build has to say.
  const rolldownOptions = { checks: { bundlerTimings: false } };
  const common = { root: ROOT, configFile: false, logLevel: 'warn', base: './' } as const;
  await build({
    ...common,
    plugins: [react()],
    worker: { format: 'es', plugins: () => [sodiumWasm()], rolldownOptions },
    build: {
      rolldownOptions,
      outDir,
      emptyOutDir: true,
      target: 'es2024',
      modulePreload: { polyfill: false },
      // Everything is a file of its own: no data: addresses, which the policy of the page refuses.
      assetsInlineLimit: 0,
      chunkSizeWarningLimit: 1_500,
      reportCompressedSize: false,
    },
  });
  const precache = Object.fromEntries(
    Object.entries(digestsOf(outDir)).map(([path, { sha256 }]) => [path, sha256]),
  );
  const version = createHash('sha256').update(JSON.stringify(precache)).digest('hex').slice(0, 16);
  await build({
    ...common,
    publicDir: false,
    define: { FILES: JSON.stringify(precache), VERSION: JSON.stringify(version) },
    build: {
      rolldownOptions,
      outDir,
      emptyOutDir: false,
      target: 'es2024',
      reportCompressedSize: false,
      lib: { entry: join(ROOT, 'src/sw.ts'), formats: ['es'], fileName: () => SERVICE_WORKER },
    },
  });
  const files = digestsOf(outDir);
  const lines = Object.entries(files).map(([path, { sha256 }]) => `${sha256}  ${path}\n`);
  const hash = createHash('sha256').update(lines.join('')).digest('hex');
  writeFileSync(join(outDir, BUNDLE), `${JSON.stringify({ hash, files }, null, 1)}\n`);
  for (const [path, { bytes }] of Object.entries(files)) {
    if (bytes < WORTH_BYTES || !/\.(?:js|css|wasm|svg|html)$/.test(path)) continue;
    writeFileSync(join(outDir, path + COMPRESSED), brotliCompressSync(readFileSync(join(outDir, path))));
  }
  return { hash, files };
}

function digestsOf(folder: string): Record<string, { sha256: string; bytes: number }> {
  const found = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .filter((path) => path !== BUNDLE && !path.startsWith('.') && !path.endsWith(COMPRESSED))
    .sort();
  return Object.fromEntries(
    found.map((path) => {
      const bytes = readFileSync(join(folder, path));
      return [
        path,
        {
          sha256: createHash('sha256').update(bytes).digest('hex'),
          bytes: statSync(join(folder, path)).size,
        },
      ];
    }),
  );
}

if (import.meta.main) {
  const [outDir = join(ROOT, 'dist')] = process.argv
    .slice(2)
    .filter((argument) => !argument.startsWith('--'));
  const { hash, files } = await buildWeb(outDir);
  if (process.argv.includes('--check')) {
    const second = mkdtempSync(join(tmpdir(), 'allium-web-'));
    const again = await buildWeb(second);
    rmSync(second, { recursive: true, force: true });
    if (again.hash !== hash) {
      const other = Object.keys(again.files).filter(
        (path) => again.files[path]?.sha256 !== files[path]?.sha256,
      );
      console.error(`two builds differ: ${other.join(', ')}`);
      process.exit(1);
    }
  }
  const bytes = Object.values(files).reduce((sum, file) => sum + file.bytes, 0);
  console.log(
    `${hash}  ${relative(process.cwd(), outDir) || '.'} (${Object.keys(files).length} files, ${bytes} bytes)`,
  );
}
