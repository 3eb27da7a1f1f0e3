// SPDX-License-Identifier: AGPL-3.0-or-later
// For the build: takes libsodium's WASM, which the package carries as base64 within its script, out into a file. As bytes it
// compresses by a third better, and nothing of it is parsed as a script. The code of the WASM stays what the package has.
import type { Plugin } from 'vite';

const MODULE = /[\\/]libsodium-sumo[\\/].*\.mjs$/;
/** In the glue of Emscripten: the name of the bytes, and the function that decodes the text in quotes behind it. */
const EMBEDDED = /\((\w+)\?\?=\(\w+=>\{for\(.{1,400}?return \w+\}\)\("(AGFzbQ[A-Za-z0-9+/]+=*)"\)/;
const PAUSE_MS = 1_000;

/** @throws when another version of libsodium has its WASM in another place. */
export function sodiumWasm(): Plugin {
  return {
    name: 'allium-sodium-wasm',
    apply: 'build',
    transform(code, id) {
      if (!MODULE.test(id)) return undefined;
      const [whole, name, base64] = EMBEDDED.exec(code) ?? [];
      if (whole === undefined || base64 === undefined) throw new Error(`${id}: no WASM found in it`);
      const file = this.emitFile({
        type: 'asset',
        name: 'libsodium.wasm',
        source: Buffer.from(base64, 'base64'),
      });
      // Tried until it comes: a module that failed once would fail for as long as the page is open.
      const load = `(async()=>{for(;;){try{const answer=await fetch(import.meta.ROLLUP_FILE_URL_${file});if(answer.ok)return new Uint8Array(await answer.arrayBuffer())}catch{}await new Promise(resolve=>setTimeout(resolve,${PAUSE_MS}))}})()`;
      return { code: code.replace(whole, () => `(${name}??=await ${load}`), map: null };
    },
  };
}
