// SPDX-License-Identifier: AGPL-3.0-or-later
// `npm run lab -- restore`: an account with many contacts and messages comes back on an empty device, on real sockets and
// disk, nodes in processes of their own. Told: time and CPU of the first sync, of a start with all that is there, and what
// an idle synced client costs.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { NETWORKS } from '@allium/client/network/presets';
import { openClient } from '@allium/client/node';
import { systemClock } from '@allium/net/system-env';
import { Account } from '@allium/protocol/account';
import type { AccountId } from '@allium/protocol/account-id';
import { utf8 } from '@allium/protocol/bytes';
import { ContactsConfig } from '@allium/protocol/config/contacts';
import { ConvoInfoVolatileConfig } from '@allium/protocol/config/convo-info-volatile';
import { CONFIG_TTL_MS, type UserConfig } from '@allium/protocol/config/user-config';
import { UserProfileConfig } from '@allium/protocol/config/user-profile';
import { blake2b } from '@allium/protocol/crypto';
import { encodeContent } from '@allium/protocol/message/content';
import { encryptMessage } from '@allium/protocol/message/encryption-v1';
import { encodeJsonBody } from '@allium/protocol/storage/request-writer';
import { parseAccountPubkey, type StoreRequest } from '@allium/protocol/storage/requests';
import { signRequest } from '@allium/protocol/storage/signatures';
import { startProcessDevnet } from '../process-devnet.ts';
import { type Endpoint, newAgent, post } from './post.ts';

export interface RestoreOptions {
  readonly contacts: number;
  readonly messages: number;
  /** For which the client is left alone, after the first sync. */
  readonly idleSeconds: number;
}

/** What is asked how often is as on the public network; the network itself is on loopback. */
const PRESET = {
  ...NETWORKS.local,
  crossCheckEveryMs: NETWORKS.main.crossCheckEveryMs,
  secondMemberMs: NETWORKS.main.secondMemberMs,
};
/** All of them in one swarm. */
const NODES = 7;
const AT_ONCE = 4;
const BATCH = 20;
const TTL_MS = 14 * 86_400_000;
/** Messages lie so far back. */
const SPAN_MS = 13 * 86_400_000;
/** After the first sync: paths are completed, the time of configs is extended for the first time. */
const CALM_MS = 30_000;

export async function runRestore(options: RestoreOptions, print: (line: string) => void): Promise<void> {
  await using net = await startProcessDevnet({ nodes: NODES, rateLimit: false });
  const account = Account.create();
  const filled = await fill(net.nodes[0]!, account, options);
  print(
    `${options.contacts} contacts, ${options.messages} messages, ${(filled / 1e6).toFixed(1)} MB in a swarm of ${NODES}`,
  );
  const folder = await mkdtemp(join(tmpdir(), 'allium-restore-'));
  try {
    print('| what | seconds | CPU seconds of the client | memory MB |');
    print('| --- | --- | --- | --- |');
    await measure(net.seed, account, folder, options, print);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function measure(
  seed: string,
  account: Account,
  folder: string,
  { contacts, messages, idleSeconds }: RestoreOptions,
  print: (line: string) => void,
): Promise<void> {
  const row = (what: string, ms: number, cpu: NodeJS.CpuUsage) => {
    const cpuSeconds = (cpu.user + cpu.system) / 1e6;
    const rss = (process.memoryUsage().rss / 2 ** 20).toFixed(0);
    print(`| ${what} | ${(ms / 1000).toFixed(2)} | ${cpuSeconds.toFixed(2)} | ${rss} |`);
  };
  const open = () => openClient({ account, network: PRESET, seeds: [seed], folder });
  {
    const cpu = process.cpuUsage();
    const began = performance.now();
    await using client = await open();
    let configsMs: number | undefined;
    let configsCpu: NodeJS.CpuUsage | undefined;
    const restored = await client.restore({
      onProgress: ({ stage }) => {
        if (stage !== 'messages' || configsMs !== undefined) return;
        configsMs = performance.now() - began;
        configsCpu = process.cpuUsage(cpu);
      },
    });
    row(
      'empty device: name, contacts, read state, from all members',
      configsMs ?? Number.NaN,
      configsCpu ?? cpu,
    );
    row('… and all messages', performance.now() - began, process.cpuUsage(cpu));
    print(`${restored.reached} of ${restored.members} members answered`);
    if (restored.contacts !== contacts || restored.messages !== messages) {
      throw new Error(`not all came back: ${JSON.stringify(restored)}`);
    }
    await client.synced();
    await sleep(CALM_MS);
    const idle = process.cpuUsage();
    await sleep(idleSeconds * 1_000);
    const used = process.cpuUsage(idle);
    row(`idle for ${idleSeconds} s`, idleSeconds * 1_000, used);
    const share = (used.user + used.system) / 1e6 / idleSeconds;
    print(`idle: ${(share * 100).toFixed(2)} % of a core`);
  }
  const cpu = process.cpuUsage();
  const began = performance.now();
  await using client = await open();
  const known = client.contacts().length;
  const listed = (await client.conversations()).length;
  row('start with all that is there, conversations listed', performance.now() - began, process.cpuUsage(cpu));
  if (known !== contacts || listed !== contacts)
    throw new Error(`${known} contacts, ${listed} conversations`);
  const changeCpu = process.cpuUsage();
  const changed = performance.now();
  await client.conversation(client.contacts()[0]!.id).setNickname('a nickname');
  row('one change, written', performance.now() - changed, process.cpuUsage(changeCpu));
  await client.synced();
  row('… and stored by the swarm', performance.now() - changed, process.cpuUsage(changeCpu));
}

/** Puts an account's configs and messages on its swarm; bytes as stored. */
async function fill(
  node: Endpoint,
  account: Account,
  { contacts, messages }: RestoreOptions,
): Promise<number> {
  const now = systemClock.now();
  const people = Array.from({ length: contacts }, () => Account.create());
  const profile = new UserProfileConfig(account);
  profile.setName('Somebody with many friends', Math.floor(now / 1_000));
  const list = new ContactsConfig(account);
  const readState = new ConvoInfoVolatileConfig(account);
  for (const [i, { id }] of people.entries()) {
    list.setContact({
      id,
      name: `Person number ${i}`,
      picture: { url: `http://filev2.getsession.org/file/${i}`, key: blake2b(utf8(id), 32) },
      isApproved: true,
      hasApprovedMe: true,
      profileUpdatedSeconds: Math.floor(now / 1_000) - i,
    });
    readState.setReadState({ type: 'account', id }, { lastRead: now - i * 1_000 }, now);
  }
  let bytes = 0;
  const requests: (() => StoreRequest)[] = [];
  for (const config of [profile, list, readState] as readonly UserConfig[]) {
    for (const data of config.push(now).messages) {
      bytes += data.length;
      requests.push(() => signedStore(account, config.namespace, data));
    }
  }
  for (let i = 0; i < messages; i++) {
    requests.push(() => {
      const timestamp = now - SPAN_MS + Math.floor((i * SPAN_MS) / messages);
      const data = sealed(
        people[i % contacts]!,
        account.id,
        `message ${i} about onions and other plants`,
        timestamp,
      );
      bytes += data.length;
      return {
        method: 'store',
        account: parseAccountPubkey(account.id),
        namespace: 0,
        timestamp,
        expiry: timestamp + TTL_MS,
        data,
      };
    });
  }
  const agent = newAgent(AT_ONCE);
  const work = async () => {
    for (let batch = requests.splice(0, BATCH); batch.length > 0; batch = requests.splice(0, BATCH)) {
      const body = encodeJsonBody({ method: 'batch', requests: batch.map((make) => make()) });
      const answer = await post(node, '/storage_rpc/v1', body, { agent });
      const codes = [...answer.body.toString().matchAll(/"code":(\d+)/g)].map(([, code]) => code);
      if (codes.length !== batch.length || codes.some((code) => code !== '200')) {
        throw new Error(`a node did not store: ${answer.status} ${answer.body.toString().slice(0, 200)}`);
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  } finally {
    agent.destroy();
  }
  return bytes;
}

function signedStore(account: Account, namespace: number, data: Uint8Array): StoreRequest {
  const timestamp = systemClock.now();
  return signRequest(
    {
      method: 'store',
      account: parseAccountPubkey(account.id),
      namespace,
      timestamp,
      signatureTimestamp: timestamp,
      expiry: timestamp + CONFIG_TTL_MS,
      data,
    },
    account,
  );
}

function sealed(sender: Account, recipient: AccountId, body: string, timestamp: number): Uint8Array {
  const content = encodeContent({ dataMessage: { body }, sigTimestamp: timestamp });
  return encryptMessage({ content, sender, recipient, timestamp });
}
