// SPDX-License-Identifier: AGPL-3.0-or-later
// How small a network may be, and what to tell those who make a smaller one.

/** Three hops and a destination. */
export const FEWEST_NODES = 4;
export const TOO_FEW_NODES = `Messages need ${FEWEST_NODES} nodes, three hops and a destination: with fewer no client can send.`;
