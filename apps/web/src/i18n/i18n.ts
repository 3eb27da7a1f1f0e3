// SPDX-License-Identifier: AGPL-3.0-or-later
// Texts by key. English is always there; other languages are loaded when they are wanted. A key that ends with
// `_one` or `_other` is chosen by the number `n`.
import { useSyncExternalStore } from 'react';
import en from './en.json' with { type: 'json' };

type Raw = keyof typeof en;
type Plural = Raw extends infer K ? (K extends `${infer Base}_other` ? Base : never) : never;
export type TextKey = Exclude<Raw, `${string}_one` | `${string}_other`> | Plural;
export type Language = 'en' | 'de' | 'es';
type Params = Readonly<Record<string, string | number>>;

const LOADERS: Record<Exclude<Language, 'en'>, () => Promise<{ default: Partial<Record<Raw, string>> }>> = {
  de: () => import('./de.json'),
  es: () => import('./es.json'),
};

let language: Language = 'en';
let texts: Partial<Record<Raw, string>> = en;
let plurals = new Intl.PluralRules('en');
const listeners = new Set<() => void>();

/** The best language that we have for those that the browser wants. */
export function chooseLanguage(wanted: readonly string[]): Language {
  for (const tag of wanted) {
    const [base] = tag.toLowerCase().split('-');
    if (base === 'en' || base === 'de' || base === 'es') return base;
  }
  return 'en';
}

export async function setLanguage(next: Language): Promise<void> {
  const loaded = next === 'en' ? en : (await LOADERS[next]()).default;
  language = next;
  texts = loaded;
  plurals = new Intl.PluralRules(next);
  for (const listener of listeners) listener();
}

export const currentLanguage = (): Language => language;

/** As the browser wants the language: days, hours and numbers differ from country to country. */
export function currentLocale(): string {
  const wanted = typeof navigator === 'undefined' ? [] : (navigator.languages ?? []);
  return wanted.find((tag) => tag.toLowerCase().split('-')[0] === language) ?? language;
}

export function t(key: TextKey, params: Params = {}): string {
  const { n } = params;
  const chosen = typeof n === 'number' && `${key}_other` in en ? `${key}_${pluralOf(n)}` : key;
  const text = texts[chosen as Raw] ?? en[chosen as Raw] ?? key;
  if (!text.includes('{')) return text;
  return text.replaceAll(/\{(\w+)\}/g, (whole, name) => {
    const value = params[name];
    return typeof value === 'number' ? value.toLocaleString(language) : (value ?? whole);
  });
}

/** The text of an error's code, or a general one. */
export function errorText(code: string): string {
  const key = `error.${code}` as Raw;
  return key in en ? t(key as TextKey) : t('error.unexpected');
}

/** Why a message was not sent: nothing goes on by itself then. `code`: of `DeliveryView.reason`. */
export function failureText(code = 'not_stored'): string {
  const key = `failed.${code}` as Raw;
  return key in en ? t(key as TextKey) : errorText(code);
}

/** Draws the component again when the language changes. */
export function useLanguage(): Language {
  return useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, currentLanguage);
}

const pluralOf = (n: number): 'one' | 'other' => (plurals.select(n) === 'one' ? 'one' : 'other');
