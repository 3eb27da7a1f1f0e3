// SPDX-License-Identifier: AGPL-3.0-or-later
// `npm run bench -- web`: what a first visit loads, when one can do something, how long the page blocks, and scrolling through
// 100 000 messages. Each figure beside its aim; the ratio is measured ÷ aim: at most 1 is good.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import type { CDPSession, Page } from 'playwright';
import { launch, servePage } from '../e2e/browser.ts';
import { builtApp } from '../e2e/network.ts';

const ROUNDS = 5;
/** A mid-range phone beside this machine. */
const SLOWER = 4;

interface Row {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  readonly aim: number;
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const has = (paths: Iterable<string>, part: string): boolean =>
  [...paths].some((path) => path.includes(part));

async function waitUntil(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 100));
}

/** Ways to scroll, px in each frame, frames. */
const SCROLLS = [
  { what: 'a screen', px: 600, frames: 60 },
  { what: 'a fast wheel', px: 120, frames: 200 },
] as const;

/** CPU time of the page's thread in ms: does not grow with what else the machine does, as times of a clock do. */
async function cpuMs(session: CDPSession): Promise<number> {
  const { metrics } = await session.send('Performance.getMetrics');
  return (metrics.find(({ name }) => name === 'TaskDuration')?.value ?? Number.NaN) * 1_000;
}

async function slow(page: Page): Promise<void> {
  const session = await page.context().newCDPSession(page);
  await session.send('Emulation.setCPUThrottlingRate', { rate: SLOWER });
}

/** Long tasks of the page's thread since it began, ms each. */
const WATCH = () => {
  const tasks: number[] = [];
  (globalThis as { longTasks?: number[] }).longTasks = tasks;
  new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration))).observe(
    {
      type: 'longtask',
      buffered: true,
    },
  );
};

export async function run(): Promise<void> {
  const folder = await builtApp();
  const rows: Row[] = [];
  const server = await servePage(folder);
  const browser = await launch();
  try {
    // What is fetched until the welcome page is there, worker and cryptography included.
    const fetched = new Set<string>();
    // … and what is fetched behind it meanwhile: all that a chat needs.
    const chat = new Set<string>();
    const interactive: number[] = [];
    const painted: number[] = [];
    const blocked: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const context = await browser.newContext({ serviceWorkers: 'block' });
      const page = await context.newPage();
      let isThere = false;
      context.on('response', (response) => {
        const path = new URL(response.url()).pathname.slice(1) || 'index.html';
        chat.add(path);
        if (!isThere) fetched.add(path);
      });
      await page.addInitScript(WATCH);
      await slow(page);
      await page.goto(server.url, { waitUntil: 'commit' });
      // It can be clicked, and the worker behind it answers.
      await page.getByRole('button', { name: 'Create an account' }).waitFor();
      isThere = true;
      interactive.push(await page.evaluate(() => performance.now()));
      await page.waitForTimeout(500);
      const paint = await page.evaluate(
        () => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? Number.NaN,
      );
      painted.push(paint);
      const tasks = await page.evaluate(() => (globalThis as { longTasks?: number[] }).longTasks ?? []);
      blocked.push(tasks.reduce((sum, task) => sum + task - 50, 0));
      if (round === 0) {
        await waitUntil(() => ['chat-view-', 'session-', 'zstd-'].every((part) => has(chat, part)));
      }
      await context.close();
    }
    const size = (paths: Iterable<string>, compress: (bytes: Buffer) => Buffer) =>
      [...paths]
        .filter((path) => !/icon-|manifest|bundle\.json/.test(path))
        .reduce((sum, path) => sum + compress(readFileSync(join(folder, path))).length, 0) / 1000;
    const brotli = (bytes: Buffer) => brotliCompressSync(bytes);
    const gzip = (bytes: Buffer) => gzipSync(bytes);
    for (const [what, paths] of [
      ['first load', fetched],
      ['… with all that a chat needs', chat],
    ] as const) {
      rows.push({ what: `${what}, brotli as served`, value: size(paths, brotli), unit: 'kB', aim: 500 });
      rows.push({ what: `${what}, gzip`, value: size(paths, gzip), unit: 'kB', aim: 500 });
    }
    rows.push({
      what: `first paint, CPU ${SLOWER} × slower`,
      value: median(painted),
      unit: 'ms',
      aim: 1_000,
    });
    rows.push({
      what: `interactive, CPU ${SLOWER} × slower`,
      value: median(interactive),
      unit: 'ms',
      aim: 2_000,
    });
    rows.push({ what: 'blocked beyond 50 ms until then', value: median(blocked), unit: 'ms', aim: 300 });

    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    await page.addInitScript(WATCH);
    await page.goto(`${server.url}/#/gallery/chat-long`);
    await page.locator('.message', { hasText: '100000:' }).waitFor();
    const session = await page.context().newCDPSession(page);
    await session.send('Performance.enable', { timeDomain: 'threadTicks' });
    // Upwards, as fast as frames come; older messages are loaded on the way. First for the CPU time, then slowed for the clock.
    const scroll = (step: { readonly px: number; readonly frames: number }) =>
      page.evaluate(async ({ px, frames }) => {
        const list = document.querySelector('.messages');
        const gaps: number[] = [];
        let last = performance.now();
        for (let i = 0; i < frames; i++) {
          list?.scrollBy(0, -px);
          await new Promise((resolve) => requestAnimationFrame(resolve));
          const now = performance.now();
          gaps.push(now - last);
          last = now;
        }
        return gaps.sort((a, b) => a - b);
      }, step);
    const cpu: number[] = [];
    for (const step of SCROLLS) {
      const before = await cpuMs(session);
      await scroll(step);
      cpu.push(((await cpuMs(session)) - before) / step.frames);
    }
    await slow(page);
    for (const [i, step] of SCROLLS.entries()) {
      const gaps = await scroll(step);
      const what = `scrolling 100,000 messages ${step.what} per frame`;
      rows.push({ what: `${what}: CPU`, value: cpu[i] ?? Number.NaN, unit: 'ms', aim: 17 / SLOWER });
      rows.push({ what: `… CPU ${SLOWER} × slower: median frame`, value: median(gaps), unit: 'ms', aim: 17 });
      rows.push({
        what: '… 95 of 100 frames',
        value: gaps[Math.floor(gaps.length * 0.95)] ?? Number.NaN,
        unit: 'ms',
        aim: 50,
      });
    }
    const nodes = await page.evaluate(() => document.querySelectorAll('*').length);
    rows.push({ what: 'elements in the document', value: nodes, unit: '', aim: 1_500 });
  } finally {
    await browser.close();
    await server.stop();
  }
  for (const { what, value, unit, aim } of rows) {
    const shown = `${value.toFixed(value < 100 ? 1 : 0)} ${unit}`.padStart(12);
    console.log(
      `${what.padEnd(60)}${shown}   aim ${String(aim).padStart(5)}   ratio ${(value / aim).toFixed(2)}`,
    );
  }
  const assets = readdirSync(join(folder, 'assets'))
    .filter((name) => !name.endsWith('.br'))
    .map((name) => ({
      name,
      kB: brotliCompressSync(readFileSync(join(folder, 'assets', name))).length / 1000,
    }))
    .sort((a, b) => b.kB - a.kB)
    .slice(0, 5);
  console.log(
    `largest files (brotli): ${assets.map(({ name, kB }) => `${name} ${kB.toFixed(0)} kB`).join(', ')}`,
  );
}
