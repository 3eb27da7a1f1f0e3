// SPDX-License-Identifier: MIT
// The three parameter sets of a chain network (spec/chain §4.3).

export type PresetName = 'production' | 'test' | 'local';
