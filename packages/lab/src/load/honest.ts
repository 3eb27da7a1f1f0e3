// SPDX-License-Identifier: AGPL-3.0-or-later
// Honest clients beside a load, in a process of their own so that nothing else slows them: what a node does for them.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProcessNode } from '../process-devnet.ts';
import type { HonestFigures } from './honest-client.ts';

const WARM_UP_MS = 3_000;

export class HonestClients implements AsyncDisposable {
  readonly #node: ProcessNode;
  readonly #child: ChildProcess;

  private constructor(node: ProcessNode, child: ChildProcess) {
    this.#node = node;
    this.#child = child;
  }

  /** Resolves when they have worked for a while. */
  static async start(node: ProcessNode, clients: number): Promise<HonestClients> {
    const child = program('honest-client.ts', [node.host, `${node.port}`, `${clients}`]);
    await sleep(WARM_UP_MS);
    return new HonestClients(node, child);
  }

  /** What they do in so many seconds, and the cores that the node uses meanwhile. */
  async count(seconds: number): Promise<{ figures: HonestFigures; cpu: number }> {
    const cpuBefore = cpuSeconds(this.#node.pid);
    const began = performance.now();
    this.#child.send('begin');
    await sleep(seconds * 1000);
    const figures = await ask<HonestFigures>(this.#child, 'end');
    const passed = (performance.now() - began) / 1000;
    return { figures, cpu: (cpuSeconds(this.#node.pid) - cpuBefore) / passed };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return end(this.#child);
  }
}

/** A program of this folder, with a channel for questions. */
export function program(file: string, options: readonly string[]): ChildProcess {
  return fork(join(import.meta.dirname, file), options, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
}

export async function ask<T>(child: ChildProcess, question: string): Promise<T> {
  const answer = once(child, 'message');
  child.send(question);
  const [figures] = await answer;
  return figures as T;
}

export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

/** User and system time of all threads; the kernel counts in hundredths. */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
