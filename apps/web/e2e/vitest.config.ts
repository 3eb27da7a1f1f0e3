// SPDX-License-Identifier: AGPL-3.0-or-later
// `npm run e2e`: the long end-to-end tests. The short ones run with all others.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ['**/*.e2e.ts'],
    testTimeout: 120_000,
    hookTimeout: 180_000,
    fileParallelism: false,
  },
});
