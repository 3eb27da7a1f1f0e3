// SPDX-License-Identifier: MIT
// Three devices of one account and the drawer of their swarm where a config lies, for the property tests: edits, polls,
// pushes that are confirmed or not, restarts and crashes in any order.
import fc from 'fast-check';
import { blake2b } from '#crypto';
import { concat, toBinary, toHex, utf8 } from '../../src/bytes.ts';
import { Config, ConfigState } from '../../src/config/config.ts';

const DEVICES = 3;
const KEY = new Uint8Array(32).fill(3);
const NOW = 1_767_225_600_000;
const PATHS = [['a'], ['b'], ['s'], ['d', 'x'], ['d', 'y'], ['d', 'e', 'z'], ['d', 's']] as const;

export type Action = { readonly device: number } & (
  | { readonly do: 'set' | 'add' | 'remove'; readonly path: number; readonly value: number | string }
  | { readonly do: 'erase'; readonly path: number }
  /** `lost`: what of the swarm this device does not get, by position; it comes in another order, too. */
  | { readonly do: 'poll'; readonly lost: number }
  /** The device ends after the stores, before it deleted anything, before it confirmed, or not at all. */
  | { readonly do: 'push'; readonly ends: 'stored' | 'deleted' | 'confirmed' }
  | { readonly do: 'tidy' | 'save' | 'crash' | 'restart' }
);

const device = fc.nat(DEVICES - 1);
const path = fc.nat(PATHS.length - 1);
const value = fc.oneof(fc.integer({ min: -2, max: 2 }), fc.constantFrom('', 'x', '\xff'));

export const actions: fc.Arbitrary<Action[]> = fc.array(
  fc.oneof<fc.Arbitrary<Action>[]>(
    fc.record({ device, do: fc.constantFrom('set', 'set', 'add', 'remove'), path, value }),
    fc.record({ device, do: fc.constant('erase'), path }),
    fc.record({ device, do: fc.constant('poll' as const), lost: fc.constantFrom(0, 0, 0, 1, 2, 5) }),
    fc.record({
      device,
      do: fc.constant('push'),
      ends: fc.constantFrom('confirmed', 'confirmed', 'deleted', 'stored'),
    }),
    fc.record({ device, do: fc.constantFrom('tidy', 'save', 'crash', 'restart') }),
  ),
  { maxLength: 60, size: 'max' },
);

const make = (dump?: Uint8Array) => new Config({ domain: 'Test', keys: [KEY], dump });
/** Does not compress. */
const NOISE = toBinary(concat(...Array.from({ length: 1300 }, (_, i) => blake2b(utf8(`${i}`), 64))));

export class Devices {
  readonly configs = Array.from({ length: DEVICES }, () => make());
  readonly swarm = new Map<string, Uint8Array>();
  readonly #saved: Uint8Array[];

  /** @param isLarge whether every version has two parts */
  constructor(isLarge = false) {
    if (isLarge) for (const config of this.configs) config.set(['noise'], NOISE);
    this.#saved = this.configs.map((config) => config.dump(NOW));
  }

  run(action: Action): void {
    const config = this.configs[action.device] as Config;
    const at = 'path' in action ? (PATHS[action.path] as readonly string[]) : [];
    if (action.do === 'set') config.set(at, action.value);
    else if (action.do === 'add') config.addToSet(at, action.value);
    else if (action.do === 'remove') config.removeFromSet(at, action.value);
    else if (action.do === 'erase') config.erase(at);
    else if (action.do === 'poll') this.poll(config, action.lost);
    else if (action.do === 'push') this.push(config, action.ends);
    else if (action.do === 'tidy') for (const hash of config.takeObsolete()) this.swarm.delete(hash);
    else if (action.do === 'save') this.#saved[action.device] = config.dump(NOW);
    else if (action.do === 'restart') this.configs[action.device] = make(config.dump(NOW));
    else this.configs[action.device] = make(this.#saved[action.device]);
  }

  poll(config: Config, lost: number): void {
    const stored = [...this.swarm].map(([hash, data]) => ({ hash, data }));
    const got = lost === 0 ? stored : stored.filter((_, i) => i % (lost + 1) !== 0).reverse();
    config.merge(got, NOW);
  }

  push(config: Config, ends: 'stored' | 'deleted' | 'confirmed'): void {
    if (!config.needsPush) return;
    const { seqno, messages, obsolete } = config.push(NOW);
    const hashes = messages.map((data) => {
      const hash = toHex(blake2b(data, 8));
      this.swarm.set(hash, data);
      return hash;
    });
    if (ends === 'stored') return;
    for (const hash of obsolete) this.swarm.delete(hash);
    if (ends === 'confirmed') config.confirm(seqno, hashes);
  }

  /** All devices come to rest: each polls and pushes in turn, as they do. Returns how many rounds it took. */
  settle(): number {
    for (let round = 1; round <= 10; round++) {
      const before = this.#outline();
      for (const config of this.configs) {
        this.poll(config, 0);
        this.push(config, 'confirmed');
        for (const hash of config.takeObsolete()) this.swarm.delete(hash);
      }
      const isQuiet = this.configs.every((config) => config.state === ConfigState.clean);
      if (isQuiet && this.#outline() === before) return round;
    }
    throw new Error('the devices do not come to rest');
  }

  #outline(): string {
    return [...this.configs.map((config) => config.seqno), ...this.swarm.keys()].join();
  }

  /** A new device, with what the swarm has. */
  restored(): Config {
    const config = make();
    this.poll(config, 0);
    return config;
  }
}

/** The bytes of the version at hand. */
export function versionOf(config: Config): string {
  const twin = make(config.dump(NOW));
  return twin.push(NOW).messages.map(toHex).join();
}
