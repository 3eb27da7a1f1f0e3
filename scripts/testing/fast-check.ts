// SPDX-License-Identifier: MIT
// fast-check as the tests get it (vitest.config.ts): every run tries the same values, so none fails by chance. Other ones: `SEED=7 npm test`,
// and `npm run fuzz` for a long search.
import fc from '../../node_modules/fast-check/lib/fast-check.js';

/** Put in by vitest.config.ts. */
declare const SEED: number;
fc.configureGlobal({ seed: SEED });

export * from '../../node_modules/fast-check/lib/fast-check.js';
export { default } from '../../node_modules/fast-check/lib/fast-check.js';
