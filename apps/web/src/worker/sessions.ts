// SPDX-License-Identifier: AGPL-3.0-or-later
// Which account is open, and everything around that: create, restore, unlock, lock, remove.
import { Account } from '@allium/protocol/account';
import type { Call, PhraseCheck, Seal, Secret } from '../api.ts';
import type { AccountEntry, SessionView } from '../model.ts';
import { AppError } from '../rpc.ts';
import { databaseOf, eraseDatabase } from './databases.ts';
import type { Served, Tell } from './host.ts';
import { checkPhrase, suggestWords } from './phrases.ts';
import type { Session } from './session.ts';
import type { Secrets, Vault, VaultEntry } from './vault.ts';

const LAST = 'last';
/** Codes of databases that may not open another time either. */
const UNREADABLE = /^(damaged|wrong_key|wrong_account|failed)$/;
/** Nobody chose an account: the welcome page, also after a reload. */
const NONE = 'none';

/** The client is half of what a browser loads, and no welcome page needs it. */
export const loadClient = () => import('./session.ts');

/** An account whose database cannot be read. */
interface Broken extends Secrets {
  readonly key: string;
  readonly code: string;
}

interface Open {
  readonly key: string;
  readonly session: Session;
  readonly account: Account;
  readonly databaseKey: Uint8Array;
}

export class Sessions {
  readonly api: Served;
  readonly #vault: Vault;
  readonly #tell: Tell;
  #draft: Account | undefined;
  #open: Open | undefined;
  /** The account whose passphrase is asked for. */
  #locked: string | undefined;
  #broken: Broken | undefined;
  #problem: string | undefined;
  /** One change of session at a time. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(vault: Vault, tell: Tell) {
    this.#vault = vault;
    this.#tell = tell;
    const own: Partial<Served> = {
      session: () => this.#view(),
      draftAccount: async () => {
        this.#draft?.dispose();
        this.#draft = Account.create();
        return { id: this.#draft.id, phrase: this.#draft.phrase() };
      },
      createAccount: (options) =>
        this.#inTurn(async () => {
          const draft = this.#draft ?? Account.create();
          // Should it fail: the same account, whose phrase is written down, is tried again.
          this.#draft = draft;
          const seed = draft.seed();
          await this.#keep(Account.fromSeed(seed), options).finally(() => seed.fill(0));
          draft.dispose();
          this.#draft = undefined;
          if (options.name.trim() !== '') await this.#session.setName(options.name.trim());
        }),
      suggestWords: async (prefix) => suggestWords(prefix),
      checkPhrase: (phrase) => this.#checkPhrase(phrase),
      restoreAccount: ({ phrase, name, seal, replace = false }, call) =>
        this.#inTurn(async () => {
          await this.#keep(Account.fromPhrase(phrase), { phraseConfirmed: true, seal, replace });
          // It is here already, and cannot be read: the page says what can be done.
          if (this.#broken !== undefined) return;
          await this.#session.restore(call, name?.trim());
        }),
      unlock: (key, secret) => this.#inTurn(() => this.#unlock(key, secret)),
      reopen: () =>
        this.#inTurn(async () => {
          const { key, seed, databaseKey } = this.#brokenOne();
          await this.#openWith(key, { seed: seed.slice(), databaseKey });
        }),
      rebuild: (call) => this.#inTurn(() => this.#rebuild(call)),
      eraseSetAside: () => this.#inTurn(() => this.#eraseSetAside()),
      openSetAside: () => this.#inTurn(() => this.#openSetAside()),
      lock: () =>
        this.#inTurn(async () => {
          const key = this.#open?.key;
          await this.#close();
          this.#locked = key;
        }),
      switchAccount: (key) => this.#inTurn(() => this.#switch(key)),
      removeAccount: (key, { network }, call) =>
        this.#inTurn(async () => {
          if (network) {
            const { session, key: open } = this.#current();
            if (open !== key)
              throw new AppError('locked', 'only the open account can erase what the network keeps');
            await session.eraseSwarm(call.signal);
          }
          await this.#remove(key);
        }),
      showPhrase: async (secret) => {
        const open = this.#current();
        const { sealedBy } = await this.#entry(open.key);
        if (sealedBy !== 'browser') wipe(await this.#vault.unlock(open.key, secret));
        return open.account.phrase();
      },
      confirmPhrase: () =>
        this.#inTurn(() => this.#vault.change(this.#current().key, { phraseConfirmed: true })),
      reseal: (current, next) =>
        this.#inTurn(() => {
          const { key, account } = this.#current();
          return this.#vault.reseal(key, account.id, current, next);
        }),
      setName: (name) =>
        this.#inTurn(async () => {
          await this.#session.setName(name.trim());
          await this.#vault.change(this.#current().key, { name: name.trim() });
        }),
      setPicture: (picture, call) => this.#inTurn(() => this.#session.setPicture(picture, call.signal)),
      importArchive: async (archive, passphrase, call) => {
        await this.#session.importArchive(archive, passphrase, call);
        // What the client keeps in memory is old now.
        await this.#inTurn(async () => {
          const { key, account, databaseKey } = this.#current();
          await this.#openWith(key, { seed: account.seed(), databaseKey });
        });
        this.#tell('restarted', {});
      },
    };
    // Everything else is asked of the account that is open.
    this.api = new Proxy(own as Served, {
      get: (target, method: keyof Served) =>
        target[method] ??
        (async (...args: unknown[]) => {
          const run = this.#session.api[method] as ((...given: unknown[]) => Promise<unknown>) | undefined;
          if (run === undefined) throw new AppError('bad_request', `no method ${String(method)}`);
          return await run(...args);
        }),
    });
  }

  /** Opens the account that was open last; a sealed one stays locked. */
  async resume(): Promise<void> {
    const entries = await this.#vault.entries();
    const last = await this.#vault.value(LAST);
    const entry = entries.find(({ key }) => key === last) ?? (last === NONE ? undefined : entries[0]);
    if (entry === undefined) return;
    if (entry.sealedBy !== 'browser') this.#locked = entry.key;
    else {
      try {
        await this.#unlock(entry.key, undefined);
      } catch (error) {
        this.#problem = (error as { code?: string }).code ?? 'unexpected';
        console.error('the account cannot be opened', error);
      }
    }
  }

  get #session(): Session {
    return this.#current().session;
  }

  #current(): Open {
    if (this.#open === undefined) throw new AppError('locked', 'no account is open');
    return this.#open;
  }

  async #inTurn(work: () => Promise<void>): Promise<SessionView> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    await turn;
    const view = await this.#view();
    this.#tell('session', view);
    return view;
  }

  async #checkPhrase(phrase: string): Promise<PhraseCheck> {
    const checked = checkPhrase(phrase);
    if (checked.id === undefined) return checked;
    using account = Account.fromPhrase(phrase);
    const known = await this.#known(account);
    return known === undefined ? checked : { ...checked, here: { key: known.key, sealedBy: known.sealedBy } };
  }

  async #known(account: Account): Promise<VaultEntry | undefined> {
    const seed = account.seed();
    try {
      return (
        (await this.#vault.find(seed))[0] ?? (await this.#vault.entries()).find(({ id }) => id === account.id)
      );
    } finally {
      seed.fill(0);
    }
  }

  async #keep(
    account: Account,
    options: { name?: string; phraseConfirmed: boolean; seal?: Seal | undefined; replace?: boolean },
  ): Promise<void> {
    const { seal } = options;
    const seed = account.seed();
    try {
      const known = await this.#known(account);
      if (known === undefined || known.sealedBy !== 'browser') {
        // Two of them would each have half of the messages. What is sealed nobody can read without its passphrase.
        if (known !== undefined && options.replace !== true)
          throw new AppError('already_here', 'the account is in this browser already');
        await this.#addAndOpen(seed, account.id, options);
        // What it replaces goes when the new one is open.
        const same = (await this.#vault.find(seed)).map(({ key }) => key);
        for (const key of new Set([...(known ? [known.key] : []), ...same]))
          if (key !== this.#open?.key) await this.#remove(key);
        return;
      }
      // It was here without: whoever sets a passphrase now means it.
      if (seal !== undefined) await this.#vault.reseal(known.key, account.id, undefined, seal);
      await this.#unlock(known.key, seal);
    } finally {
      seed.fill(0);
      account.dispose();
    }
  }

  /** One that does not open leaves nothing behind. */
  async #addAndOpen(
    seed: Uint8Array,
    id: string,
    { name, phraseConfirmed, seal }: { name?: string; phraseConfirmed: boolean; seal?: Seal | undefined },
  ): Promise<void> {
    const last = await this.#vault.value(LAST);
    const about = { id, ...(name !== undefined && { name: name.trim() }), phraseConfirmed, seal };
    const key = await this.#vault.add(seed, about);
    try {
      await this.#unlock(key, seal);
      if (this.#broken !== undefined) throw new AppError(this.#broken.code, 'its database cannot be read');
    } catch (error) {
      // Should that fail too, the first failure says more.
      await this.#remove(key)
        .then(() => this.#vault.setValue(LAST, last))
        .catch(() => undefined);
      throw error;
    }
  }

  async #unlock(key: string, secret: Secret | undefined): Promise<void> {
    const secrets = await this.#vault.unlock(key, secret);
    await this.#openWith(key, secrets);
  }

  /** A database that cannot be read is no failure: the session is `broken` then. */
  async #openWith(key: string, { seed, databaseKey }: Secrets): Promise<void> {
    await this.#close();
    const account = Account.fromSeed(seed);
    const { generation } = await this.#entry(key);
    try {
      const { Session } = await loadClient();
      const session = await Session.open(account, {
        database: databaseOf(key, generation),
        databaseKey,
        tell: this.#tell,
      });
      this.#open = { key, session, account, databaseKey };
      this.#problem = undefined;
      seed.fill(0);
    } catch (error) {
      account.dispose();
      const code = (error as { code?: string }).code ?? '';
      if (!UNREADABLE.test(code)) {
        seed.fill(0);
        throw error;
      }
      console.warn('the database cannot be read', error);
      this.#broken = { key, seed, databaseKey, code };
    }
    this.#locked = undefined;
    await this.#vault.setValue(LAST, key);
  }

  #brokenOne(): Broken {
    if (this.#broken === undefined) throw new AppError('not_found', 'no account is broken');
    return this.#broken;
  }

  /** Nothing is erased: the old database keeps its name, the new one gets the next. */
  async #rebuild(call: Call): Promise<void> {
    const before = { ...this.#brokenOne(), seed: this.#brokenOne().seed.slice() };
    const { key, databaseKey } = before;
    const { generation, setAside } = await this.#entry(key);
    const next = Math.max(generation, ...setAside) + 1;
    await this.#vault.change(key, { generation: next, setAside: [...setAside, generation] });
    try {
      await this.#openWith(key, { seed: before.seed.slice(), databaseKey });
      if (this.#broken !== undefined)
        throw new AppError(this.#broken.code, 'the new one cannot be read either');
    } catch (error) {
      await this.#close();
      await eraseDatabase(key, next);
      await this.#vault.change(key, { generation, setAside });
      this.#broken = before;
      throw error;
    }
    before.seed.fill(0);
    await this.#session.restore(call, undefined);
  }

  async #eraseSetAside(): Promise<void> {
    const { key } = this.#current();
    const { setAside } = await this.#entry(key);
    for (const generation of setAside) await eraseDatabase(key, generation);
    await this.#vault.change(key, { setAside: [] });
  }

  async #openSetAside(): Promise<void> {
    const { key, account, databaseKey } = this.#current();
    const { generation, setAside } = await this.#entry(key);
    const last = setAside.at(-1);
    if (last === undefined) throw new AppError('not_found', 'nothing was set aside');
    const seed = account.seed();
    await this.#vault.change(key, { generation: last, setAside: [...setAside.slice(0, -1), generation] });
    await this.#openWith(key, { seed, databaseKey });
  }

  async #entry(key: string): Promise<VaultEntry> {
    const entry = (await this.#vault.entries()).find((one) => one.key === key);
    if (entry === undefined) throw new AppError('not_found', 'there is no such account in this browser');
    return entry;
  }

  async #switch(key: string | undefined): Promise<void> {
    await this.#close();
    this.#locked = undefined;
    this.#problem = undefined;
    await this.#vault.setValue(LAST, key ?? NONE);
    if (key === undefined) return;
    const { sealedBy } = await this.#entry(key);
    if (sealedBy !== 'browser') this.#locked = key;
    else await this.#unlock(key, undefined);
  }

  async #remove(key: string): Promise<void> {
    if (this.#open?.key === key || this.#broken?.key === key) await this.#close();
    if (this.#locked === key) this.#locked = undefined;
    const { generation, setAside } = await this.#entry(key);
    for (const one of [generation, ...setAside]) await eraseDatabase(key, one);
    await this.#vault.remove(key);
    if ((await this.#vault.value(LAST)) === key) await this.#vault.setValue(LAST, undefined);
  }

  async #close(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    this.#broken?.seed.fill(0);
    this.#broken = undefined;
    await open?.session.close();
    open?.account.dispose();
  }

  async #view(): Promise<SessionView> {
    const accounts: AccountEntry[] = (await this.#vault.entries()).map(({ id, generation: _, ...entry }) => ({
      ...entry,
      id: id ?? (entry.key === this.#open?.key ? this.#open.account.id : ''),
    }));
    const key = this.#open?.key ?? this.#broken?.key ?? this.#locked;
    const current = accounts.find((entry) => entry.key === key);
    const problem = this.#broken?.code ?? this.#problem;
    return {
      phase:
        this.#open !== undefined
          ? 'open'
          : this.#broken !== undefined
            ? 'broken'
            : current !== undefined
              ? 'locked'
              : 'welcome',
      accounts,
      ...(current !== undefined && { current }),
      profile: this.#open?.session.profile ?? {},
      ...(problem !== undefined && { problem }),
    };
  }
}

function wipe({ seed, databaseKey }: Secrets): void {
  seed.fill(0);
  databaseKey.fill(0);
}
