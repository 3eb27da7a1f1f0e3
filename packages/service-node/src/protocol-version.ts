// SPDX-License-Identifier: AGPL-3.0-or-later
// What this node says of itself on the wire.

/** The announced wire version, not that of our product (spec/storage-server §9.1: 2.11.x means all but QUIC between nodes). */
export const WIRE_VERSION: readonly [number, number, number] = [2, 11, 0];
export const WIRE_VERSION_TEXT = WIRE_VERSION.join('.');
/** spec/chain §4.21: `hardfork` and `snode_revision`. */
export const HARDFORK: readonly [number, number] = [21, 2];
export const SERVER_HEADER = `Oxen Storage Server/${WIRE_VERSION_TEXT}`;
