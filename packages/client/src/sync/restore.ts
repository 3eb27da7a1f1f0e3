// SPDX-License-Identifier: MIT
// An account on a device that knows nothing of it (spec/client §2.8, "first login"): what its devices share first, from every
// member of its swarm, the newest wins; then the messages of the last 14 days, also from every member, for none need have
// all. What could not be brought back is said.
import type { AccountId } from '@allium/protocol/account-id';
import { delay, type Env } from '@allium/protocol/env';
import type { Poller } from '../messaging/poller.ts';
import type { Network } from '../network/network.ts';
import type { Storage } from '../storage/storage.ts';
import type { ConfigStatus, SyncStatus } from './config-sync.ts';

/** Their namespace (spec/client §2.9). */
const MESSAGES = 0;
// Ours.
/** Members that are asked at a time. */
const AT_ONCE = 3;
/** Paths fail, and what only one member has is worth it. */
const TRIES = 3;
const PAUSE_MS = 1_000;
/** For whoever looks whether anything was lost: conversations in full would take too long. */
const MAX_LOOKED_AT = 2_000;

export interface RestoreProgress {
  readonly stage: 'connecting' | 'configs' | 'messages' | 'done';
  /** Members of the swarm that were asked in this stage, … */
  readonly asked: number;
  /** … of so many; 0: not known yet. */
  readonly members: number;
  /** So far. */
  readonly contacts: number;
  readonly messages: number;
}

/** What was not brought back, or cannot be. */
export interface Missing {
  readonly code:
    | 'members_unreached'
    | 'no_profile'
    | 'no_contacts'
    | 'configs_refused'
    | 'unreadable'
    | 'files'
    | 'groups'
    | 'older';
  /** For people. */
  readonly text: string;
}

export interface Restored {
  /** Members of the swarm. */
  readonly members: number;
  /** Those that answered in both stages. */
  readonly reached: number;
  readonly configs: readonly ConfigStatus[];
  readonly contacts: number;
  /** That are new on this device since it was started. */
  readonly messages: number;
  readonly missing: readonly Missing[];
}

interface RestoreDeps {
  readonly id: AccountId;
  readonly network: Network;
  readonly poller: Poller;
  readonly storage: Storage;
  readonly env: Env;
  readonly counts: () => {
    readonly contacts: number;
    readonly messages: number;
    readonly unreadable: number;
  };
  readonly groups: () => number;
  readonly status: () => SyncStatus;
}

/** @throws ClientError `no_path`, `no_nodes`, `no_network`, `no_swarm`; `aborted` or `closed` by `signal` */
export async function restore(
  deps: RestoreDeps,
  signal: AbortSignal,
  onProgress: (progress: RestoreProgress) => void,
): Promise<Restored> {
  const { id, network, poller, env } = deps;
  const tell = (stage: RestoreProgress['stage'], asked: number, members: number) => {
    const { contacts, messages } = deps.counts();
    onProgress({ stage, asked, members, contacts, messages });
  };
  tell('connecting', 0, 0);
  await network.settleClock(signal);
  await network.freshenSwarm(id, 0);
  const members = shuffled([...network.swarmMembers(id)], env);
  const unreached = new Set<string>();
  const stage = async (name: 'configs' | 'messages', only: (namespace: number) => boolean) => {
    let asked = 0;
    const rest = [...members];
    tell(name, 0, members.length);
    const onPage = () => tell(name, asked, members.length);
    const work = async () => {
      for (let member = rest.shift(); member !== undefined; member = rest.shift()) {
        let isThere = false;
        for (let tries = 0; tries < TRIES && !isThere; tries++) {
          if (tries > 0) await delay(env.clock, PAUSE_MS, signal);
          isThere = await poller.askMember(member, { only, onPage, signal });
        }
        if (!isThere) unreached.add(member);
        asked++;
        tell(name, asked, members.length);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  };
  await stage('configs', (namespace) => namespace !== MESSAGES);
  await stage('messages', (namespace) => namespace === MESSAGES);
  const { configs } = deps.status();
  const { contacts, messages } = deps.counts();
  tell('done', members.length, members.length);
  const reached = members.length - unreached.size;
  return {
    members: members.length,
    reached,
    configs,
    contacts,
    messages,
    missing: await missingOf(deps, configs, members.length, unreached.size),
  };
}

async function missingOf(
  { storage, counts, groups }: RestoreDeps,
  configs: readonly ConfigStatus[],
  members: number,
  unreached: number,
): Promise<readonly Missing[]> {
  const missing: Missing[] = [];
  const add = (code: Missing['code'], text: string) => missing.push({ code, text });
  const isAbsent = (name: ConfigStatus['name']) =>
    configs.some((config) => config.name === name && config.seqno === 0);
  if (unreached > 0) {
    add(
      'members_unreached',
      `${unreached} of ${members} members of the swarm did not answer: what only they have is not here. It comes when they do.`,
    );
  }
  const absent = 'the swarm has none: nothing was ever shared, or no device was there for 30 days.';
  if (isAbsent('profile')) add('no_profile', `No profile: ${absent}`);
  if (isAbsent('contacts')) add('no_contacts', `No contacts: ${absent}`);
  const refused = configs.reduce((sum, config) => sum + config.refused, 0);
  if (refused > 0) {
    add(
      'configs_refused',
      `${refused} shared ${plural(refused, 'list')} could not be understood, perhaps of a newer program.`,
    );
  }
  const { unreadable } = counts();
  if (unreadable > 0)
    add('unreadable', `${unreadable} ${plural(unreadable, 'message')} could not be opened.`);
  const files = await countFiles(storage);
  if (files > 0) {
    add(
      'files',
      `The files of ${files} ${plural(files, 'message')} are fetched when they are opened; those that their server has forgotten are gone.`,
    );
  }
  if (groups() > 0) {
    const count = groups();
    add('groups', `${count} ${plural(count, 'group')} or communities are kept, and not shown yet.`);
  }
  add('older', 'Messages of more than 14 days ago are not in the network: only an archive has them.');
  return missing;
}

async function countFiles(storage: Storage): Promise<number> {
  let files = 0;
  let left = MAX_LOOKED_AT;
  for (const { id } of await storage.conversations()) {
    if (left <= 0) break;
    const page = await storage.history(id, { limit: left });
    left -= page.length;
    files += page.filter(({ attachments = [] }) => attachments.length > 0).length;
  }
  return files;
}

const plural = (count: number, word: string): string => (count === 1 ? word : `${word}s`);

function shuffled<T>(items: readonly T[], { random }: Env): T[] {
  const all = [...items];
  for (let i = all.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [all[i], all[j]] = [all[j] as T, all[i] as T];
  }
  return all;
}
