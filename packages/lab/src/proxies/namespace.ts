// SPDX-License-Identifier: AGPL-3.0-or-later
// A network namespace of Linux whose only neighbour is this machine at one address, and counters of every packet that leaves
// it: to the proxy, to ask for names, anything else. Only the first kind is let through. Needs root, iproute2, nftables.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Packets {
  /** TCP to the proxy. */
  readonly proxy: number;
  /** To port 53 of anybody. */
  readonly names: number;
  /** Anything else, loopback included. */
  readonly others: number;
}

export class Namespace implements AsyncDisposable {
  /** This machine, as the namespace sees it. */
  readonly host: string;
  readonly #name: string;
  readonly #link: string;

  private constructor(name: string, link: string, host: string) {
    this.#name = name;
    this.#link = link;
    this.host = host;
  }

  /** Where packets go first that are for nobody in particular: they leave the program, and are counted. */
  static async make(): Promise<Namespace> {
    const id = process.pid % 200;
    const [name, link] = [`allium-${process.pid}`, `alm${process.pid}`];
    const [host, guest] = [`10.231.${id}.1`, `10.231.${id}.2`];
    const made = new Namespace(name, link, host);
    try {
      await ip('netns', 'add', name);
      await ip('link', 'add', link, 'type', 'veth', 'peer', 'name', 'out', 'netns', name);
      await ip('addr', 'add', `${host}/30`, 'dev', link);
      await ip('link', 'set', link, 'up');
      await ip('-n', name, 'addr', 'add', `${guest}/30`, 'dev', 'out');
      await ip('-n', name, 'link', 'set', 'out', 'up');
      await ip('-n', name, 'link', 'set', 'lo', 'up');
      await ip('-n', name, 'route', 'add', 'default', 'via', host);
      // Who asks for names in there asks us, so that the question is a packet.
      mkdirSync(`/etc/netns/${name}`, { recursive: true });
      writeFileSync(`/etc/netns/${name}/resolv.conf`, `nameserver ${host}\noptions timeout:1 attempts:1\n`);
      return made;
    } catch (error) {
      await made.remove();
      throw error;
    }
  }

  /** From now on only packets to the proxy leave, and all are counted, from zero. */
  async watch(proxyPort: number): Promise<void> {
    const rules = `
table inet watch
delete table inet watch
table inet watch {
  counter proxy {}
  counter names {}
  counter others {}
  chain output {
    type filter hook output priority 0; policy drop;
    meta l4proto tcp ip daddr ${this.host} tcp dport ${proxyPort} counter name proxy accept
    meta l4proto { tcp, udp } th dport 53 counter name names drop
    icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report } accept
    counter name others drop
  }
}
`;
    const nft = run('ip', ['netns', 'exec', this.#name, 'nft', '-f', '-']);
    nft.child.stdin?.end(rules);
    await nft;
  }

  async packets(): Promise<Packets> {
    const { stdout } = await run('ip', ['netns', 'exec', this.#name, 'nft', '-j', 'list', 'counters']);
    const { nftables } = JSON.parse(stdout) as {
      nftables: readonly { counter?: { name: string; packets: number } }[];
    };
    const of = (name: string) => {
      const found = nftables.find(({ counter }) => counter?.name === name)?.counter;
      if (found === undefined) throw new Error(`nft has no counter ${name}`);
      return found.packets;
    };
    return { proxy: of('proxy'), names: of('names'), others: of('others') };
  }

  /** Runs a script of Node in there. */
  node(script: string, ...args: readonly string[]): ChildProcess {
    return spawn('ip', ['netns', 'exec', this.#name, process.execPath, script, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  }

  async remove(): Promise<void> {
    await ip('netns', 'del', this.#name).catch(() => undefined);
    await ip('link', 'del', this.#link).catch(() => undefined);
    rmSync(`/etc/netns/${this.#name}`, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.remove();
  }
}

async function ip(...args: readonly string[]): Promise<void> {
  await run('ip', args);
}
