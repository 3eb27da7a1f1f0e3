// SPDX-License-Identifier: MIT
import { IndexedDbBlobs } from '../../src/storage/indexeddb-blobs.ts';
import { blobSuite } from './blobs-suite.ts';

blobSuite(async () => {
  const name = `blobs-${Math.random()}`;
  return {
    port: await IndexedDbBlobs.open(name),
    reopen: () => IndexedDbBlobs.open(name),
    remove: () => IndexedDbBlobs.delete(name),
  };
});
