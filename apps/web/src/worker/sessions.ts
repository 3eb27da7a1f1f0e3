// SPDX-License-Identifier: AGPL-3.0-or-later
// Which account is open, and everything around that: create, restore, unlock, lock, remove.
import { IndexedDbStorage } from '@allium/client/storage/indexeddb';
import { IndexedDbBlobs } from '@allium/client/storage/indexeddb-blobs';
import { Account } from '@allium/protocol/account';
import type { AccountEntry, SessionView } from '../model.ts';
import { AppError } from '../rpc.ts';
import type { Served, Tell } from './host.ts';
import { checkPhrase, suggestWords } from './phrases.ts';
import { filesOf, Session } from './session.ts';
import type { Secrets, Vault } from './vault.ts';

const LAST = 'last';
/** Nobody chose an account: the welcome page, also after a reload. */
const NONE = 'none';

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
          const account = this.#draft ?? Account.create();
          this.#draft = undefined;
          await this.#keep(account, options);
          if (options.name.trim() !== '') await this.#session.setName(options.name.trim());
        }),
      suggestWords: async (prefix) => suggestWords(prefix),
      checkPhrase: async (phrase) => checkPhrase(phrase),
      restoreAccount: ({ phrase, name, passphrase }, call) =>
        this.#inTurn(async () => {
          await this.#keep(Account.fromPhrase(phrase), { phraseConfirmed: true, passphrase });
          await this.#session.restore(call, name?.trim());
        }),
      unlock: (key, passphrase) => this.#inTurn(() => this.#unlock(key, passphrase)),
      lock: () =>
        this.#inTurn(async () => {
          const key = this.#open?.key;
          await this.#close();
          this.#locked = key;
        }),
      switchAccount: (key) => this.#inTurn(() => this.#switch(key)),
      removeAccount: (key) => this.#inTurn(() => this.#remove(key)),
      showPhrase: async (passphrase) => {
        const open = this.#current();
        const entry = (await this.#vault.entries()).find(({ key }) => key === open.key);
        if (entry?.hasPassphrase === true) await this.#vault.unlock(open.key, passphrase);
        return open.account.phrase();
      },
      confirmPhrase: () =>
        this.#inTurn(() => this.#vault.change(this.#current().key, { phraseConfirmed: true })),
      setPassphrase: (current, next) =>
        this.#inTurn(() => {
          const { key, account } = this.#current();
          return this.#vault.setPassphrase(key, account.id, current, next);
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

  /** Opens the account that was open last; one with a passphrase stays locked. */
  async resume(): Promise<void> {
    const entries = await this.#vault.entries();
    const last = await this.#vault.value(LAST);
    const entry = entries.find(({ key }) => key === last) ?? (last === NONE ? undefined : entries[0]);
    if (entry === undefined) return;
    if (entry.hasPassphrase) this.#locked = entry.key;
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

  async #keep(
    account: Account,
    options: { name?: string; phraseConfirmed: boolean; passphrase?: string | undefined },
  ): Promise<void> {
    const known = (await this.#vault.entries()).find(({ id }) => id === account.id);
    const seed = account.seed();
    try {
      const key =
        known?.key ??
        (await this.#vault.add(seed, {
          id: account.id,
          ...(options.name !== undefined && { name: options.name.trim() }),
          phraseConfirmed: options.phraseConfirmed,
          passphrase: options.passphrase,
        }));
      await this.#unlock(key, options.passphrase);
    } finally {
      seed.fill(0);
      account.dispose();
    }
  }

  async #unlock(key: string, passphrase: string | undefined): Promise<void> {
    const secrets = await this.#vault.unlock(key, passphrase);
    await this.#openWith(key, secrets);
  }

  async #openWith(key: string, { seed, databaseKey }: Secrets): Promise<void> {
    await this.#close();
    const account = Account.fromSeed(seed);
    seed.fill(0);
    try {
      const session = await Session.open(account, {
        database: databaseOf(key),
        databaseKey,
        tell: this.#tell,
      });
      this.#open = { key, session, account, databaseKey };
      this.#locked = undefined;
      this.#problem = undefined;
      await this.#vault.setValue(LAST, key);
    } catch (error) {
      account.dispose();
      throw error;
    }
  }

  async #switch(key: string | undefined): Promise<void> {
    await this.#close();
    this.#locked = undefined;
    this.#problem = undefined;
    await this.#vault.setValue(LAST, key ?? NONE);
    if (key === undefined) return;
    const entry = (await this.#vault.entries()).find((one) => one.key === key);
    if (entry?.hasPassphrase === true) this.#locked = key;
    else await this.#unlock(key, undefined);
  }

  async #remove(key: string): Promise<void> {
    if (this.#open?.key === key) await this.#close();
    if (this.#locked === key) this.#locked = undefined;
    await IndexedDbStorage.delete(databaseOf(key));
    await IndexedDbBlobs.delete(filesOf(databaseOf(key)));
    await this.#vault.remove(key);
    await this.#vault.setValue(LAST, undefined);
  }

  async #close(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    await open?.session.close();
    open?.account.dispose();
  }

  async #view(): Promise<SessionView> {
    const accounts: AccountEntry[] = (await this.#vault.entries()).map(({ id, ...entry }) => ({
      ...entry,
      id: id ?? (entry.key === this.#open?.key ? this.#open.account.id : ''),
    }));
    const key = this.#open?.key ?? this.#locked;
    const current = accounts.find((entry) => entry.key === key);
    return {
      phase: this.#open !== undefined ? 'open' : current !== undefined ? 'locked' : 'welcome',
      accounts,
      ...(current !== undefined && { current }),
      profile: this.#open?.session.profile ?? {},
      ...(this.#problem !== undefined && { problem: this.#problem }),
    };
  }
}

const databaseOf = (key: string): string => `allium-${key}`;
