// SPDX-License-Identifier: AGPL-3.0-or-later
// Runs `allium` as a person does from a shell: by the launcher, on the shell's own node.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { LAUNCHER, shellEnv, systemNode } from './system-node.ts';

export interface Output {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A running `allium` with what it has printed so far. */
export class Running {
  readonly child: ChildProcessWithoutNullStreams;
  stdout = '';
  stderr = '';
  readonly #closed: Promise<number | null>;

  constructor(args: readonly string[], env: Record<string, string>, input: string | undefined) {
    this.child = spawn(systemNode(), [LAUNCHER, ...args], { env: shellEnv(env) });
    this.child.stdout.on('data', (chunk) => {
      this.stdout += chunk;
    });
    this.child.stderr.on('data', (chunk) => {
      this.stderr += chunk;
    });
    this.#closed = once(this.child, 'close').then(([code]) => code as number | null);
    this.child.stdin.on('error', () => {});
    if (input !== undefined) this.child.stdin.end(input);
  }

  get lines(): string[] {
    return this.stdout.split('\n').slice(0, -1);
  }

  async ended(): Promise<Output> {
    const code = await this.#closed;
    return { code, stdout: this.stdout, stderr: this.stderr };
  }
}

export class Shell {
  readonly #env: Record<string, string>;
  readonly #running = new Set<Running>();

  constructor(env: Record<string, string>) {
    this.#env = env;
  }

  start(...args: string[]): Running {
    return this.#start(args, undefined);
  }

  /** Runs to the end with an empty standard input. */
  run(...args: string[]): Promise<Output> {
    return this.#start(args, '').ended();
  }

  /** Runs to the end with `input` as standard input. */
  feed(input: string, ...args: string[]): Promise<Output> {
    return this.#start(args, input).ended();
  }

  /** Kills what still runs. */
  dispose(): void {
    for (const running of this.#running) running.child.kill('SIGKILL');
  }

  #start(args: readonly string[], input: string | undefined): Running {
    const running = new Running(args, this.#env, input);
    this.#running.add(running);
    running.child.on('close', () => this.#running.delete(running));
    return running;
  }
}
