// SPDX-License-Identifier: MIT
// Settings of one device, which never leave it (spec/config-and-groups §3.5). The layout is ours.
import { toBinary, utf8 } from '../bytes.ts';
import type { Account } from '../identity/account.ts';
import { Config, type ConfigPush } from './config.ts';
import { ConfigError } from './config-error.ts';
import { Fields } from './fields.ts';
import { configKeyOf } from './user-config.ts';

const SWITCHES = 'b';
const TEXTS = 't';

export class LocalConfig extends Config {
  /** @throws ParseError `config` for a dump that is broken */
  constructor(account: Account, dump?: Uint8Array) {
    super({ domain: 'Local', keys: [configKeyOf(account)], dump });
  }

  override get needsPush(): boolean {
    return false;
  }

  /** @throws ConfigError `read_only` always */
  override push(): ConfigPush {
    throw new ConfigError('read_only', 'settings of a device stay there');
  }

  /** Undefined when it was never set. */
  switch(name: string): boolean | undefined {
    const fields = new Fields(this, [SWITCHES]);
    const key = toBinary(utf8(name));
    return typeof fields.get(key) === 'number' ? fields.flag(key) : undefined;
  }

  setSwitch(name: string, value: boolean | undefined): void {
    const path = [SWITCHES, toBinary(utf8(name))];
    if (value === undefined) this.erase(path);
    else this.set(path, value ? 1 : 0);
  }

  /** '' when it was never set. */
  text(name: string): string {
    return new Fields(this, [TEXTS]).text(toBinary(utf8(name)));
  }

  setText(name: string, value: string): void {
    new Fields(this, [TEXTS]).setText(toBinary(utf8(name)), value);
  }
}
