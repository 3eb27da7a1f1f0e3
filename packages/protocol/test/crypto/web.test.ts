// SPDX-License-Identifier: MIT
// The web provider and the reference, in Node and in Chromium.
import type { CryptoProvider } from '../../src/crypto/provider.ts';
import { cryptoSuite } from './conformance.ts';
import { reference } from './reference.ts';

const web: CryptoProvider = await import('../../src/crypto/web.ts');
cryptoSuite('web', web);
cryptoSuite('reference', reference);
