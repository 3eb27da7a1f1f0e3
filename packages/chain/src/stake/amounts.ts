// SPDX-License-Identifier: MIT
// Amounts of the token as people write them; inside they are atomic units (10^-9 token, spec/chain §4.2).
import { InputError } from '../input-error.ts';
import { TOKEN_DECIMALS } from '../presets.ts';

/** Atomic units as text: `15000`, `0.5`. */
export function tokens(amount: unknown): string {
  return decimal(String(amount), TOKEN_DECIMALS);
}

/** Wei as text, cut after six digits that count: `0.000123457`. */
export function ether(wei: bigint): string {
  const text = decimal(String(wei), 18);
  const [, shown = text] = /^(\d+\.0*[1-9]\d{0,5})\d*$/.exec(text) ?? [];
  return text.includes('.') ? shown.replace(/\.?0+$/, '') : text;
}

function decimal(digitsOnly: string, decimals: number): string {
  const digits = digitsOnly.padStart(decimals + 1, '0');
  const rest = digits.slice(-decimals).replace(/0+$/, '');
  return rest === '' ? digits.slice(0, -decimals) : `${digits.slice(0, -decimals)}.${rest}`;
}

/** The inverse of `tokens`. @throws InputError `amount`: not a positive number with at most nine decimals */
export function parseTokens(text: string): bigint {
  const [, whole = '', fraction = ''] = /^(\d{1,12})(?:\.(\d{1,9}))?$/.exec(text) ?? [];
  const amount = whole === '' ? 0n : BigInt(whole + fraction.padEnd(TOKEN_DECIMALS, '0'));
  if (amount === 0n) {
    throw new InputError('amount', `"${text.slice(0, 40)}" is no amount of tokens, such as 25 or 0.5`);
  }
  return amount;
}
