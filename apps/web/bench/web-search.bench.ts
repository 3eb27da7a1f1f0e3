// SPDX-License-Identifier: AGPL-3.0-or-later
// `npm run bench -- web-search`: searching 100 000 messages in Chromium's IndexedDB, sealed as in the app: what each kind of question
// takes, and what writing with the index costs. Words are drawn by Zipf's law. `MESSAGES=20000 npm run bench -- web-search` is quicker.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'vite';
import { launch } from '../e2e/browser.ts';
import type { SearchBench } from './search-page.ts';

const MESSAGES = Number(process.env.MESSAGES ?? 100_000);
const QUESTIONS = 100;
const AIM_MS = 100;
const SCRIPT = 'page.js';

const percentile = (sorted: readonly number[], share: number) =>
  sorted[Math.ceil(sorted.length * share) - 1] ?? Number.NaN;

export async function run(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'allium-web-search-'));
  const server = createServer((request, response) => {
    const isScript = request.url === `/${SCRIPT}`;
    response.setHeader('Content-Type', isScript ? 'text/javascript' : 'text/html');
    response.end(
      isScript
        ? readFileSync(join(folder, SCRIPT))
        : `<!doctype html><title>bench</title><script type="module" src="/${SCRIPT}"></script>`,
    );
  });
  const browser = await launch();
  try {
    await build({
      root: import.meta.dirname,
      configFile: false,
      publicDir: false,
      logLevel: 'error',
      build: {
        outDir: folder,
        target: 'es2024',
        reportCompressedSize: false,
        lib: { entry: join(import.meta.dirname, 'search-page.ts'), formats: ['es'], fileName: () => SCRIPT },
      },
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const page = await browser.newPage();
    await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/`);
    await page.waitForFunction(() => 'bench' in globalThis);
    const inPage = <R>(work: string): Promise<R> => page.evaluate(`globalThis.bench.${work}`);
    const written = await inPage<Awaited<ReturnType<SearchBench['fill']>>>(`fill(${MESSAGES})`);
    const opened = await inPage<number>('reopen()');
    const asked = await inPage<Awaited<ReturnType<SearchBench['ask']>>>(`ask(${MESSAGES}, ${QUESTIONS})`);
    const bytes = await inPage<number>('bytes()');
    console.log('question                                p50 ms   p95 ms   max ms   hits');
    for (const { kind, ms, hits } of asked) {
      const times = ms.toSorted((a, b) => a - b);
      const shown = [percentile(times, 0.5), percentile(times, 0.95), times.at(-1) ?? Number.NaN].map((one) =>
        one.toFixed(1).padStart(8),
      );
      console.log(`${kind.padEnd(38)}${shown.join(' ')} ${(hits / ms.length).toFixed(1).padStart(6)}`);
    }
    const all = asked.flatMap(({ ms }) => ms).sort((a, b) => a - b);
    const p95 = percentile(all, 0.95);
    console.log(
      `all ${all.length} questions: p50 ${percentile(all, 0.5).toFixed(1)} ms, p95 ${p95.toFixed(1)} ms; ` +
        `aim for p95 ${AIM_MS} ms, ratio ${(p95 / AIM_MS).toFixed(2)}`,
    );
    console.log(
      `${MESSAGES} messages written with their index in ${(written / 1_000).toFixed(1)} s ` +
        `(${Math.round(MESSAGES / (written / 1_000))} a second), ${(bytes / 1e6).toFixed(0)} MB, opened again in ${opened.toFixed(0)} ms`,
    );
  } finally {
    await browser.close();
    await new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
    rmSync(folder, { recursive: true, force: true });
  }
}
