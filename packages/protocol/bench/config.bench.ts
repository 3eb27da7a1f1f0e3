// SPDX-License-Identifier: MIT
// What the contact list of an account costs, on one core of Node (median): storing a version, taking one over, resolving
// a conflict of two devices, starting from a dump, one edit and its push, listing all contacts.
import { Bench } from 'tinybench';
import { ContactsConfig } from '../src/config/contacts.ts';
import { randomBytes } from '../src/crypto/node.ts';
import { Account } from '../src/identity/account.ts';
import { accountIdOf } from '../src/identity/account-id.ts';

const NOW = 1_767_225_600_000;
const SECONDS = NOW / 1000;

function tasks(count: number): Record<string, () => unknown> {
  const account = Account.create();
  const ids = Array.from({ length: count }, () => accountIdOf(randomBytes(32)));
  const config = new ContactsConfig(account);
  for (const [i, id] of ids.entries()) {
    const picture = { url: `http://files.example/file/${i * 7919}`, key: randomBytes(32) };
    config.setContact({
      id,
      name: `Person ${i}`,
      picture,
      isApproved: true,
      hasApprovedMe: true,
      createdSeconds: SECONDS - i,
    });
  }
  const store = (from: ContactsConfig) => from.push(NOW).messages.map((data, i) => ({ hash: `${i}`, data }));
  const base = store(config);
  config.confirm(
    1,
    base.map(({ hash }) => hash),
  );
  const dump = config.dump(NOW);
  const edited = (i: number) => {
    const device = new ContactsConfig(account, dump);
    device.setContact({ id: ids[i]!, nickname: `device ${i}` });
    return device;
  };
  const theirs = store(edited(1)).map(({ data }) => ({ hash: 'theirs', data }));
  const oursDirty = edited(2).dump(NOW);
  console.log(
    `${count} contacts: ${dump.length} B as dump, ${base.length} message(s) of ${base[0]!.data.length} B at most`,
  );
  return {
    'push (compress, encrypt, wrap)': () => config.push(NOW),
    'take a version over': () => new ContactsConfig(account).merge(base, NOW),
    'load a dump': () => new ContactsConfig(account, dump),
    'load, conflict of two, push': () => {
      const device = new ContactsConfig(account, oursDirty);
      const { changed } = device.merge(theirs, NOW);
      if (!changed) throw new Error('there was no conflict');
      return device.push(NOW);
    },
    'load, edit one, push': () => edited(3).push(NOW),
    'list all': () => [...config.contacts()],
  };
}

export async function run(): Promise<void> {
  const sizes = [50, 500, 3000];
  const columns: Map<string, number>[] = [];
  for (const size of sizes) {
    const bench = new Bench({ time: 300, warmupTime: 100 });
    for (const [name, task] of Object.entries(tasks(size))) bench.add(name, () => void task());
    await bench.run();
    columns.push(
      new Map(
        bench.tasks.map((task) => {
          if (task.result.state !== 'completed') throw new Error(`${task.name} did not complete`);
          return [task.name, task.result.latency.p50] as const;
        }),
      ),
    );
  }
  const cells = (texts: string[]) => texts.map((text) => text.padStart(10)).join('');
  console.log(`${'ms per operation, contacts'.padEnd(34)}${cells(sizes.map(String))}`);
  for (const name of columns[0]?.keys() ?? []) {
    const times = columns.map((column) => (column.get(name) ?? Number.NaN).toFixed(2));
    console.log(name.padEnd(34) + cells(times));
  }
}
