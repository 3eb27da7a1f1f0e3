// SPDX-License-Identifier: AGPL-3.0-or-later
// The network of a signed file (spec/chain §4.23): the list in force and its exchange with other nodes.
import type { Env } from '@allium/protocol/env';
import { STATIC_LIST_METHOD, staticListAnswerJson } from '@allium/protocol/membership/evidence';
import { staticHeight } from '@allium/protocol/membership/static-list';
import type { ListedNetwork } from '@allium/protocol/storage/service-node-list';
import { StaticDistribution } from './distribution.ts';
import type { NetworkCommand, NetworkParts, NodeNetwork, PlaceWords } from './node-network.ts';
import { type ListFiles, StaticSource, type StaticSourceOptions } from './static-source.ts';

const WORDS: PlaceWords = {
  notListed: 'this node is not in the node list: it serves no accounts',
  noAddress:
    'the node list has no address of this node: others cannot reach it. Ask the admins for a list with its address',
  otherAddress:
    'the node list has another address of this node than --public-ip: others look for it at the old one. Ask the admins ' +
    'for a list with its new address, or correct --public-ip',
  otherPorts:
    'correct --https-port and --omq-port, forward the ports, or ask the admins for a list with these ports',
  right: 'the node list now has this node at its address',
};

export class StaticNetwork implements NodeNetwork {
  readonly source: StaticSource;
  readonly words = WORDS;
  readonly questions = {
    [STATIC_LIST_METHOD]: () => staticListAnswerJson(this.source.bytes),
  };
  /** A node that only newer lists have could not show us one otherwise. */
  readonly openCommands: ReadonlySet<string> = new Set(['chain_static']);
  readonly #ownHex: string;
  readonly #env: Env;
  #distribution: StaticDistribution | undefined;
  #isOpen = false;

  private constructor(source: StaticSource, ownHex: string, env: Env) {
    this.source = source;
    this.#ownHex = ownHex;
    this.#env = env;
  }

  /** @throws NetworkFileError */
  static async open(
    options: StaticSourceOptions,
    ownHex: string,
    files: ListFiles,
    env: Env,
  ): Promise<StaticNetwork> {
    return new StaticNetwork(await StaticSource.open(options, env, files), ownHex, env);
  }

  get version(): number {
    return this.source.list.version;
  }

  get expires(): number {
    return this.source.list.expires;
  }

  height(): number {
    return staticHeight(this.#env.clock.now() / 1000);
  }

  listed(): ListedNetwork {
    const { blockHash, members } = this.source.current();
    return { height: this.height(), blockHash, members };
  }

  commands({ omq }: NetworkParts): Readonly<Record<string, NetworkCommand>> {
    const distribution = new StaticDistribution(this.source, omq, this.#ownHex, this.#env);
    this.#distribution = distribution;
    return {
      chain_static: (member, data, { remoteAddress }) =>
        distribution.answer(data[0], { member, remoteAddress }),
    };
  }

  heard(ed25519Hex: string): void {
    this.#distribution?.wake(ed25519Hex);
  }

  start(): Promise<void> {
    return this.source.start();
  }

  open(): void {
    this.#isOpen = true;
    this.#distribution?.start();
  }

  async close(): Promise<void> {
    if (this.#isOpen) await this.#distribution?.stop();
    this.#isOpen = false;
  }

  stop(): Promise<void> {
    return this.source.stop();
  }
}
