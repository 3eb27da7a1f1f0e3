// SPDX-License-Identifier: AGPL-3.0-or-later
// Messages of a scenario on a chain network: stored once, and looked for later with every member of the swarm that their
// account belongs to by then.
import { Account } from '@allium/protocol/account';
import { x25519KeyOf } from '@allium/protocol/account-id';
import { chooseSwarm, swarmIdHex, swarmPosition } from '@allium/protocol/swarm';
import { MailboxClient } from '../load/mailbox-client.ts';
import type { ProcessNode } from '../process-devnet.ts';
import type { DevChain } from './dev-chain.ts';

const TIMEOUT_MS = 10_000;

export class StoredMessages {
  readonly #client = new MailboxClient(16, TIMEOUT_MS);
  readonly #hashes = new Map<Account, string[]>();

  get count(): number {
    return [...this.#hashes.values()].reduce((sum, hashes) => sum + hashes.length, 0);
  }

  /** @throws Error for a message that is not stored by its whole swarm */
  async store(
    chain: DevChain,
    nodes: readonly ProcessNode[],
    accounts: number,
    perAccount: number,
  ): Promise<void> {
    for (let n = 0; n < accounts; n++) {
      const account = Account.create();
      const [member] = membersFor(chain, nodes, account);
      if (member === undefined) throw new Error('an account without a swarm');
      const hashes: string[] = [];
      for (let i = 0; i < perAccount; i++) {
        const { status, hash } = await this.#client.store(member, account, `message ${n}.${i}`);
        if (hash === undefined) throw new Error(`node ${member.name} answered ${status} to a message`);
        hashes.push(hash);
      }
      this.#hashes.set(account, hashes);
    }
  }

  /** What members lack: none of these is empty when all is well. `only`: those that this node has to have. */
  async missing(chain: DevChain, nodes: readonly ProcessNode[], only?: ProcessNode): Promise<string[]> {
    const missing: string[] = [];
    for (const [account, hashes] of this.#hashes) {
      const members = membersFor(chain, nodes, account);
      if (members.length === 0) missing.push(`${account.id.slice(0, 8)} has no swarm`);
      for (const member of members) {
        if (only !== undefined && member !== only) continue;
        const held = await this.#client.hashes(member, account);
        for (const hash of hashes) if (!held.has(hash)) missing.push(`${hash.slice(0, 8)} at ${member.name}`);
      }
    }
    return missing;
  }

  close(): void {
    this.#client.close();
  }
}

/** By the swarms of the epoch in force, of all nodes that run. */
function membersFor(chain: DevChain, nodes: readonly ProcessNode[], account: Account): ProcessNode[] {
  const ids = [...chain.epochView.swarms.keys()].sort((a, b) => (a < b ? -1 : 1));
  const id = chooseSwarm(swarmPosition(x25519KeyOf(account.id)), ids);
  if (id === undefined) return [];
  return nodes.filter((node) => node.pid !== 0 && node.swarm === swarmIdHex(id));
}
