// SPDX-License-Identifier: MIT
import { MemoryStorage } from '../../src/storage/memory.ts';
import { storageSuite } from './suite.ts';

storageSuite('memory', async () => {
  const storage = new MemoryStorage();
  return {
    storage,
    reopen: async () => {
      await storage.close();
      return storage.reopen();
    },
    remove: () => storage.close(),
  };
});
