// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium account proxy`: the only way out of an account, kept beside it.
import { parseProxy, proxyText } from '@allium/net/proxy';
import { type AccountOptions, chooseEntry } from '../accounts.ts';
import { keepProxy, keptProxy } from '../proxy.ts';
import { print, printJson } from '../terminal.ts';

export async function accountProxy(
  url: string | undefined,
  options: AccountOptions & { readonly json?: boolean },
): Promise<number> {
  const entry = await chooseEntry(options);
  const proxy = url === undefined ? keptProxy(entry) : keepProxy(entry, url);
  const shown = proxy === undefined ? undefined : proxyText(parseProxy(proxy));
  if (options.json === true) printJson({ name: entry.name, proxy: shown ?? null });
  else if (shown === undefined) print(`${entry.name} connects directly.`);
  else print(`${entry.name} connects through ${shown}, or not at all.`);
  return 0;
}
