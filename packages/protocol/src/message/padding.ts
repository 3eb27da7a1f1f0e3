// SPDX-License-Identifier: MIT
// (types first)
export declare function pad(content: Uint8Array): Uint8Array;
export declare function unpad(padded: Uint8Array): Uint8Array;
