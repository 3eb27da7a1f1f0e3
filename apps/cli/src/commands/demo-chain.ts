// SPDX-License-Identifier: AGPL-3.0-or-later
// What `npm start` tells of the chain before a message crosses the network: contracts, registrations, the epoch in force, a
// quorum. All of it is read back from the chain.
import type { NodeRecord } from '@allium/chain/chain-view';
import { tokens } from '@allium/chain/stake/amounts';
import type { DevChain } from '@allium/lab/dev-chain';
import { counted, print, styled } from '../terminal.ts';

const SHOWN_SEED = 18;

export async function tellChain(chain: DevChain, ms: number): Promise<void> {
  const { deployment, view, network } = chain;
  heading('Chain', ms);
  const origin = {
    new: 'made now',
    found: 'found, and continued',
    replaced: 'made now: the one in the folder is damaged, or older than a week',
  }[chain.origin];
  print(
    `  anvil at ${styled('bold', chain.url)}, chain ${network.chainId}, ${origin}. Its tokens are worth nothing.`,
  );
  print(`  registry ${deployment.registry}   token ${deployment.token}   pool ${deployment.pool}`);
  print('');
  const records = [...view.nodes().values()];
  await tellOperators(chain, records);
  tellEpoch(chain, records);
  tellQuorum(chain);
}

async function tellOperators(chain: DevChain, records: readonly NodeRecord[]): Promise<void> {
  print(styled('bold', 'Registrations'));
  for (const [operator, own] of Map.groupBy(records, (record) => record.operator)) {
    const stake = own.reduce((sum, record) => sum + record.stake, 0n);
    const names = own.map(
      (record) => nameOf(chain, record.nodeId) + (record.state === 'active' ? '' : ` (${record.state})`),
    );
    const { tokens: left } = await (await chain.session(operator)).funds();
    print(
      `  operator ${styled('cyan', operator)}: ${tokens(stake)} tokens locked for ${own.length === 1 ? 'node' : 'nodes'} ${names.join(' ')}, ${tokens(left)} left`,
    );
  }
  if (chain.origin !== 'found') {
    const { epochSeconds } = chain.network;
    print(
      `  A registration takes effect two epochs of ${epochSeconds} s later. So that you need not wait, the chain's clock was slow by a good`,
    );
    print('  minute during the registrations and was then set right.');
  }
  print('');
}

function tellEpoch(chain: DevChain, records: readonly NodeRecord[]): void {
  const { epochView: view, network } = chain;
  const ends = new Date((network.t0 + (view.epoch + 1) * network.epochSeconds) * 1000);
  print(styled('bold', `Epoch ${view.epoch} is in force`));
  const seed = [...view.seed].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  const proposer = records.find((record) => record.nodeId === view.proposerId);
  const made =
    proposer === undefined
      ? 'derived from the one before: nobody had a turn'
      : view.revealed
        ? `revealed by node ${nameOf(chain, proposer.nodeId)}`
        : `derived from the one before: node ${nameOf(chain, proposer.nodeId)} had the turn before it was up`;
  print(`  seed ${styled('cyan', `${seed.slice(0, SHOWN_SEED)}…`)}, ${made}`);
  print(
    `  ${counted(view.memberIds.length, 'member')} in ${counted(view.swarms.size, 'swarm')}; the next epoch begins at ${ends.toTimeString().slice(0, 8)}`,
  );
  print('');
}

/** The draw for one node, as it stands for all others. */
function tellQuorum(chain: DevChain): void {
  const { epochView: view } = chain;
  const target = view.memberIds[Number(BigInt(view.seed[0] ?? 0) % BigInt(view.memberIds.length))];
  const quorum = target === undefined ? undefined : chain.view.quorumOf(target, view.epoch);
  if (target === undefined || quorum === undefined) return;
  const key = chain.view.nodes().get(target)?.ed25519Hex.slice(0, 8) ?? '';
  print(styled('bold', `The quorum of node ${nameOf(chain, target)}`));
  const members = quorum.members.map((member) => nameOf(chain, member.nodeId));
  print(
    `  node id ${target}, key ${key}: the seed draws nodes ${members.join(' ')} to test it until the next epoch.`,
  );
  print(
    quorum.threshold === undefined
      ? '  They are too few to decide anything.'
      : `  Were it silent, ${quorum.threshold} of these ${quorum.members.length} could suspend it, by signatures that the registry checks.`,
  );
  print('');
}

/** Name of a node in the devnet; of a stranger its id. */
function nameOf(chain: DevChain, nodeId: number): string {
  return chain.registrations.find((one) => one.nodeId === nodeId)?.node.name ?? `id ${nodeId}`;
}

function heading(title: string, ms: number): void {
  print(`${styled('bold', title)}  ${styled('dim', `${ms.toFixed(0)} ms`)}`);
}
