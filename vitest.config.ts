// SPDX-License-Identifier: MIT
// Two projects: every test in Node; those of the isomorphic packages (all but *.node.test.ts) in Chromium too.
import { fileURLToPath } from 'node:url';
import { playwright } from '@vitest/browser-playwright';
import { defineConfig } from 'vitest/config';
import { findChromium } from './scripts/chromium.ts';

const executablePath = findChromium();

// Limits only end what hangs: a slow and busy machine must never meet them. Tests set none of their own below these.
const limits = { testTimeout: 240_000, hookTimeout: 240_000, expect: { poll: { timeout: 60_000 } } };

const setupFiles = [fileURLToPath(new URL('scripts/testing/setup.ts', import.meta.url))];

// Properties try the same values in each run.
const properties = {
  resolve: {
    alias: { 'fast-check': fileURLToPath(new URL('scripts/testing/fast-check.ts', import.meta.url)) },
  },
  define: { SEED: Number(process.env.SEED ?? 1) },
};

export default defineConfig({
  test: {
    projects: [
      {
        ...properties,
        test: {
          name: 'node',
          include: ['packages/*/test/**/*.test.ts', 'apps/*/test/**/*.test.ts', 'scripts/test/**/*.test.ts'],
          exclude: ['**/*.browser.test.ts'],
          setupFiles,
          ...limits,
        },
      },
      ...(executablePath === undefined
        ? []
        : [
            {
              ...properties,
              // Named here so that Vite does not find them late and reload a running test page.
              optimizeDeps: {
                include: [
                  '@bokuweb/zstd-wasm',
                  '@bufbuild/protobuf',
                  '@bufbuild/protobuf/codegenv2',
                  '@noble/ciphers/aes.js',
                  '@noble/ciphers/_poly1305.js',
                  '@noble/ciphers/chacha.js',
                  '@noble/ciphers/salsa.js',
                  '@noble/curves/ed25519.js',
                  '@noble/hashes/argon2.js',
                  '@noble/hashes/blake2.js',
                  '@noble/hashes/hmac.js',
                  '@noble/hashes/sha2.js',
                  'idb',
                  'libsodium-wrappers-sumo',
                ],
              },
              test: {
                name: 'chromium',
                include: ['packages/protocol/test/**/*.test.ts', 'packages/client/test/**/*.test.ts'],
                exclude: ['**/*.node.test.ts'],
                setupFiles,
                ...limits,
                browser: {
                  enabled: true,
                  headless: true,
                  screenshotFailures: false,
                  provider: playwright({
                    launchOptions: {
                      executablePath,
                      args: [
                        '--no-sandbox',
                        '--disable-gpu',
                        '--disable-quic',
                        '--no-first-run',
                        '--disable-background-networking',
                        '--disable-component-update',
                        '--disable-sync',
                      ],
                    },
                  }),
                  instances: [{ browser: 'chromium' as const }],
                },
              },
            },
          ]),
    ],
  },
});
