// SPDX-License-Identifier: MIT
// What the history of a network tells (spec/chain §4.15); apart from how it is read, which needs a chain.
export const HISTORY_TYPES = [
  'register',
  'decommission',
  'recommission',
  'deregister',
  'exit_requested',
  'exit',
  'withdraw',
  'claim',
] as const;
export type HistoryType = (typeof HISTORY_TYPES)[number];
