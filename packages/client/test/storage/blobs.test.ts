// SPDX-License-Identifier: MIT
import { MemoryBlobs } from '../../src/storage/blobs.ts';
import { blobSuite } from './blobs-suite.ts';

blobSuite(async () => {
  const port = new MemoryBlobs();
  return { port, reopen: async () => port, remove: async () => undefined };
});
