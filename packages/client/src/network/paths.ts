// SPDX-License-Identifier: MIT
// Paths of three hops (spec/client §2.4): building them around guards (`guards.ts`), choosing one for a request, counting
// their failures, rebuilding them. A path is usable only after an end-to-end probe answered through it.
//
//   probing ──probe ok──▶ usable ──failure──▶ suspect ──probe ok──▶ usable
//      └───probe failed──▶ gone ◀──third failure──┘
import { delay, type Env } from '@allium/protocol/env';
import { ClientError, type ClientErrorCode, noWayOut } from '../errors.ts';
import { Signal, type Tasks } from '../events.ts';
import type { PoolNode, Storage } from '../storage/storage.ts';
import { Guards } from './guards.ts';
import { ANY_NODES, areOneParty, MAX_FAILURES, type NodePool, subnetOf } from './pool.ts';
import type { NetworkPreset } from './presets.ts';
import type { Blame } from './status.ts';

// From the specification, §2.4.
const BUILD_TRIES = 3;
const BUILD_PAUSE_MS = 1_000;
// Ours.
/** Pause before a missing second path is tried again while the first one works. */
const SPARE_PAUSE_MS = 30_000;

/** Guard first; an immutable view of a path at one moment. */
export interface Path {
  readonly hops: readonly PoolNode[];
  readonly state: 'probing' | 'usable' | 'suspect';
  /** How long its last probe took. */
  readonly probeMs: number | undefined;
}

interface LivePath extends Path {
  hops: readonly PoolNode[];
  state: Path['state'];
  probeMs: number | undefined;
}

export type ProbeResult =
  | { readonly ok: true; readonly ms: number }
  | { readonly ok: false; readonly blame: Blame; readonly error: ClientErrorCode };

interface PathsDeps {
  readonly pool: NodePool;
  readonly storage: Storage;
  readonly tasks: Tasks;
  readonly env: Env;
  /** Sends something through the path to a node beyond it. Never rejects but for the signal. */
  probe(path: Path, signal: AbortSignal): Promise<ProbeResult>;
  /** Where paths can begin at present; undefined: anywhere. */
  guards(): ReadonlySet<string> | undefined;
  /** Whether the node answers when asked directly. */
  testGuard(node: PoolNode, signal: AbortSignal): Promise<boolean>;
  /** Sees to it that the pool has enough nodes; `anew` when no path could be built from those it has. */
  fillPool(anew: boolean): Promise<void>;
  onChange(): void;
}

export class Paths {
  #paths: LivePath[] = [];
  readonly #guards: Guards;
  /** Failures of a path, kept under its guard. */
  readonly #failures = new Map<string, number>();
  #building = false;
  #nextBuildAt = Number.NEGATIVE_INFINITY;
  #failedBuilds = 0;
  #lastFailure: unknown;
  readonly #change = new Signal();
  readonly #preset: NetworkPreset;
  readonly #deps: PathsDeps;

  constructor(preset: NetworkPreset, deps: PathsDeps) {
    this.#preset = preset;
    this.#deps = deps;
    const { pool, storage, tasks } = deps;
    this.#guards = new Guards(preset, {
      ...{ pool, storage, tasks },
      possible: () => deps.guards(),
      test: (node, signal) => deps.testGuard(node, signal),
    });
    deps.pool.events.on('dropped', (node) => this.#onDropped(node));
    deps.pool.events.on('replaced', () => this.#onReplaced());
  }

  async load(): Promise<void> {
    await this.#guards.load();
  }

  list(): readonly Path[] {
    return this.#paths.map((path) => ({ ...path }));
  }

  /** The path over this guard; undefined: there is none now. */
  over(guard: string | undefined): Path | undefined {
    return this.#paths.find(({ hops }) => hops[0]!.ed25519Hex === guard);
  }

  /** Whether paths begin there, now or as soon as they are built. */
  isGuard(ed25519Hex: string): boolean {
    return this.#guards.kept.includes(ed25519Hex) || this.over(ed25519Hex) !== undefined;
  }

  /** Whether a usable path without `ed25519Hex` is there beside those in `avoid`. */
  avoids(ed25519Hex: string, avoid: ReadonlySet<Path>): boolean {
    return this.#paths.some(
      (path) => path.state === 'usable' && !contains(path, ed25519Hex) && !avoid.has(path),
    );
  }

  isUsable(path: Path): boolean {
    return path.state === 'usable' && this.#paths.some((other) => other === path);
  }

  /**
   * A usable path that does not contain `target`: `prefer`, else one by chance; one of `avoid` only when there is no
   * other. Builds what is missing and waits for it.
   * @throws ClientError `no_path`, `no_nodes`, `no_network`; the reason of `signal`
   */
  async get(
    target: string | undefined,
    avoid: ReadonlySet<Path>,
    signal: AbortSignal,
    prefer?: Path,
  ): Promise<Path> {
    const failedBefore = this.#failedBuilds;
    for (;;) {
      signal.throwIfAborted();
      const usable = this.#paths.filter((path) => path.state === 'usable');
      const free = usable.filter((path) => target === undefined || !contains(path, target));
      const preferred = free.filter((path) => !avoid.has(path));
      const choice = preferred.length > 0 ? preferred : free;
      if (choice.length > 0) {
        this.#ensure(undefined);
        return choice.find((path) => path === prefer) ?? choice[this.#deps.env.random.below(choice.length)]!;
      }
      if (this.#failedBuilds > failedBefore) throw this.#lastFailure;
      this.#ensure(usable.length > 0 ? target : undefined);
      await this.#change.wait(signal);
    }
  }

  /** An answer came through: the path and its hops are innocent of what was before. */
  succeeded(path: Path): void {
    const live = this.#paths.find((other) => other === path);
    if (live === undefined) return;
    this.#failures.delete(live.hops[0]!.ed25519Hex);
    for (const hop of live.hops) this.#deps.pool.forgive(hop.ed25519Hex);
    if (live.state === 'suspect') this.#becomes(live, 'usable');
  }

  /** Counts a failure where it belongs (§2.4). */
  blame(path: Path, blame: Blame): void {
    const { pool } = this.#deps;
    switch (blame.kind) {
      case 'nobody':
        break;
      case 'guard':
        this.#failed(path, false);
        break;
      case 'path':
        this.#failed(path, true);
        break;
      case 'node':
        pool.strike(blame.ed25519Hex);
        break;
      case 'drop':
        pool.drop(blame.ed25519Hex);
        break;
      case 'path_and_node':
        pool.strike(blame.ed25519Hex);
        this.#failed(path, true);
    }
  }

  #failed(path: Path, hopsToo: boolean): void {
    const { pool } = this.#deps;
    const live = this.#paths.find((other) => other === path);
    // A request of a path that is gone by now: what it suffered is known already.
    if (live === undefined) return;
    const guard = live.hops[0]!.ed25519Hex;
    const others = live.hops.slice(1);
    const failures = (this.#failures.get(guard) ?? 0) + 1;
    this.#failures.set(guard, failures);
    if (failures >= MAX_FAILURES) {
      this.#remove(live);
      this.#guards.forget(guard);
      pool.drop(guard);
    }
    if (hopsToo) for (const hop of others) pool.strike(hop.ed25519Hex);
    if (live.state === 'usable' && this.#paths.includes(live)) {
      // Ours: not used again before a probe tells whether the path or the destination was at fault.
      this.#becomes(live, 'suspect');
      this.#recheck(live);
    }
    if (!this.#paths.includes(live)) this.#ensure(undefined);
  }

  /** Probes a suspect or changed path until it works or is gone. */
  #recheck(path: LivePath): void {
    this.#deps.tasks.run('path probe', async () => {
      while (this.#paths.includes(path) && path.state !== 'usable') {
        const hops = path.hops;
        const result = await this.#deps.probe(path, this.#deps.tasks.signal);
        if (hops !== path.hops) continue; // A hop was replaced meanwhile.
        if (!this.#paths.includes(path)) return;
        if (result.ok) {
          path.probeMs = result.ms;
          this.succeeded(path);
          this.#becomes(path, 'usable');
        } else if (result.blame.kind === 'nobody') {
          // No network here, or nobody to ask: nothing was learnt about the path. But who waits for it must know.
          this.#fail(noWayOut(result.error) ?? new ClientError(result.error, 'the path cannot be tried'));
          await delay(this.#deps.env.clock, BUILD_PAUSE_MS, this.#deps.tasks.signal);
        } else {
          this.blame(path, result.blame);
          if (this.#paths.includes(path)) {
            await delay(this.#deps.env.clock, BUILD_PAUSE_MS, this.#deps.tasks.signal);
          }
        }
      }
    });
  }

  /** Starts building what is missing; with `target`, one more path that does not contain it. */
  #ensure(target: string | undefined): void {
    if (this.#building) return;
    const missing = this.#preset.paths - this.#paths.length;
    if (target === undefined) {
      if (missing <= 0) return;
      if (this.#paths.length > 0 && this.#deps.env.clock.monotonic() < this.#nextBuildAt) return;
    }
    this.#building = true;
    this.#deps.tasks.run('path build', async () => {
      try {
        if (target !== undefined) await this.#buildAround(target);
        else await this.#buildMissing();
      } catch (error) {
        this.#fail(error);
        if (!this.#deps.tasks.signal.aborted) {
          this.#deps.env.log.debug({ error: String(error) }, 'no path could be built');
        }
      } finally {
        this.#building = false;
        this.#change.notify();
      }
    });
  }

  /** Whoever waits for a path gets this error. */
  #fail(error: unknown): void {
    this.#lastFailure = error;
    this.#failedBuilds++;
    this.#change.notify();
  }

  async #buildMissing(): Promise<void> {
    await this.#deps.fillPool(false);
    await this.#buildUpTo(this.#preset.paths);
    if (this.#paths.length === 0) {
      // spec/client §2.2: the list is refreshed also when no path can be built.
      await this.#deps.fillPool(true);
      await this.#buildUpTo(this.#preset.paths);
    }
    if (this.#paths.length === 0) throw this.#noPath();
    this.#nextBuildAt = this.#deps.env.clock.monotonic() + SPARE_PAUSE_MS;
  }

  #noPath(): ClientError {
    const { pool } = this.#deps;
    const known = pool.size;
    const { hops } = this.#preset;
    const isUniform =
      pool.random(hops, new Set(), this.#preset).length < hops &&
      pool.random(hops, new Set(), ANY_NODES).length === hops;
    if (known > hops && isUniform) return new ClientError('no_path', this.#uniformity());
    // Hops and the destination are different nodes.
    const text =
      known <= hops
        ? `the network has ${known} nodes, and a path of ${hops} hops and its destination need ${hops + 1}`
        : 'no path through the network answers';
    return new ClientError('no_path', text);
  }

  /** Why nodes enough are no path: too few parties run them. */
  #uniformity(): string {
    const { distinctSubnets, distinctOperators, hops } = this.#preset;
    const nodes = this.#deps.pool.all();
    const parties = [
      ...(distinctSubnets ? [`stand in ${new Set(nodes.map(subnetOf)).size} networks (/24)`] : []),
      ...(distinctOperators
        ? [`belong to ${new Set(nodes.map((node) => node.operator ?? node.ed25519Hex)).size} operators`]
        : []),
    ];
    return (
      `the ${nodes.length} known nodes ${parties.join(' and ')}, and no two of the ${hops} hops of a path may share one. ` +
      'Wait for nodes of others, or allow it with distinctSubnets and distinctOperators of the network'
    );
  }

  async #buildUpTo(count: number): Promise<void> {
    const missing = Math.max(0, count - this.#paths.length);
    await Promise.all(Array.from({ length: missing }, () => this.#build(new Set(), false)));
  }

  /** Every usable path contains the target: in a network this small hops are shared. */
  async #buildAround(target: string): Promise<void> {
    if (!(await this.#build(new Set([target]), true))) {
      throw new ClientError('no_path', 'no path that leaves out the destination answers');
    }
    // The oldest gives way.
    if (this.#paths.length > this.#preset.paths + 1) this.#remove(this.#paths[0]!);
  }

  async #build(exclude: ReadonlySet<string>, mayShare: boolean): Promise<boolean> {
    const { signal } = this.#deps.tasks;
    for (let attempt = 0; attempt < BUILD_TRIES; attempt++) {
      if (attempt > 0) await delay(this.#deps.env.clock, BUILD_PAUSE_MS, signal);
      const guard = await this.#guards.take(exclude, (key) => !mayShare && this.#isUsed(key));
      if (guard === undefined) continue;
      const hops = this.#hopsAfter(guard, exclude, mayShare);
      if (hops === undefined) {
        this.#guards.release(guard.ed25519Hex);
        return false;
      }
      const path: LivePath = { hops: [guard, ...hops], state: 'probing', probeMs: undefined };
      this.#paths.push(path);
      this.#guards.release(guard.ed25519Hex);
      const result = await this.#deps.probe(path, signal);
      if (result.ok && this.#paths.includes(path)) {
        path.probeMs = result.ms;
        this.#guards.keep(guard.ed25519Hex);
        this.succeeded(path);
        this.#becomes(path, 'usable');
        return true;
      }
      if (!result.ok) {
        // One who does not answer now is not worth a second connection; his place is free for another.
        if (result.blame.kind === 'guard') this.#guards.forget(guard.ed25519Hex);
        this.blame(path, result.blame);
      }
      this.#remove(path);
      const trapped = result.ok ? undefined : noWayOut(result.error);
      if (trapped !== undefined) throw trapped;
    }
    return false;
  }

  /** Middle and edge: one random node per /24, larger networks more likely (§2.4). */
  #hopsAfter(
    guard: PoolNode,
    exclude: ReadonlySet<string>,
    mayShare: boolean,
  ): readonly PoolNode[] | undefined {
    const { pool } = this.#deps;
    const unfit = new Set([...exclude, guard.ed25519Hex]);
    // Where paths can begin at few nodes only, these are too good for other places.
    const scarce = mayShare ? undefined : this.#deps.guards();
    for (const node of pool.all()) {
      const key = node.ed25519Hex;
      if (scarce?.has(key) === true) unfit.add(key);
      if (!mayShare && (this.#isUsed(key) || this.#guards.isTaken(key) || this.#guards.kept.includes(key)))
        unfit.add(key);
      if (areOneParty(node, guard, this.#preset)) unfit.add(key);
    }
    const wanted = this.#preset.hops - 1;
    let hops = pool.random(wanted, unfit, this.#preset);
    if (hops.length < wanted && !mayShare) {
      // Ours: guards of earlier runs stay free only as long as there are enough other nodes.
      for (const key of this.#guards.kept) {
        const node = pool.get(key);
        const isFree = node !== undefined && !this.#isUsed(key) && !this.#guards.isTaken(key);
        if (isFree && !areOneParty(node, guard, this.#preset)) unfit.delete(key);
      }
      unfit.add(guard.ed25519Hex);
      hops = pool.random(wanted, unfit, this.#preset);
    }
    return hops.length === wanted ? hops : undefined;
  }

  #isUsed(ed25519Hex: string): boolean {
    return this.#paths.some((path) => contains(path, ed25519Hex));
  }

  #onDropped(node: PoolNode): void {
    for (const path of [...this.#paths]) {
      const position = path.hops.findIndex((hop) => hop.ed25519Hex === node.ed25519Hex);
      if (position === -1) continue;
      if (position === 0 || path.state === 'probing') {
        if (position === 0) this.#guards.forget(node.ed25519Hex);
        this.#remove(path);
        continue;
      }
      // §2.4: a replacement is appended at the end. Ours: and probed before it is used.
      const rest = path.hops.filter((hop) => hop !== path.hops[position]);
      const unfit = new Set(this.#paths.flatMap((other) => other.hops.map((hop) => hop.ed25519Hex)));
      for (const other of this.#deps.pool.all()) {
        if (rest.some((hop) => areOneParty(other, hop, this.#preset))) unfit.add(other.ed25519Hex);
      }
      const [replacement] = this.#deps.pool.random(1, unfit, this.#preset);
      if (replacement === undefined) {
        this.#remove(path);
        continue;
      }
      path.hops = [...rest, replacement];
      if (path.state === 'usable') {
        this.#becomes(path, 'suspect');
        this.#recheck(path);
      }
    }
  }

  #onReplaced(): void {
    const { pool } = this.#deps;
    this.#failures.clear();
    this.#guards.forgetSpare();
    for (const path of [...this.#paths]) {
      const isSame = (hop: PoolNode) => {
        const now = pool.get(hop.ed25519Hex);
        return now !== undefined && now.host === hop.host && now.httpsPort === hop.httpsPort;
      };
      if (!path.hops.every(isSame)) this.#remove(path);
    }
  }

  #becomes(path: LivePath, state: Path['state']): void {
    path.state = state;
    this.#deps.onChange();
    this.#change.notify();
  }

  #remove(path: LivePath): void {
    const before = this.#paths.length;
    this.#paths = this.#paths.filter((other) => other !== path);
    if (this.#paths.length === before) return;
    // A path that was never usable is nobody's business.
    if (path.state !== 'probing') {
      this.#nextBuildAt = Number.NEGATIVE_INFINITY;
      this.#deps.onChange();
      this.#change.notify();
    }
  }
}

function contains(path: Path, ed25519Hex: string): boolean {
  return path.hops.some((hop) => hop.ed25519Hex === ed25519Hex);
}
