// SPDX-License-Identifier: MIT
// `npm run bench [-- NAME…]`: runs packages/*/bench/*.bench.ts and apps/*/bench/*.bench.ts whose name contains NAME, one after the other.
// Each file exports `run()`, which prints its own table.
import { globSync } from 'node:fs';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';

const root = join(import.meta.dirname, '..');
const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
const files = globSync(['packages/*/bench/*.bench.ts', 'apps/*/bench/*.bench.ts'], { cwd: root })
  .sort()
  .filter((file) => wanted.length === 0 || wanted.some((name) => basename(file).includes(name)));
if (files.length === 0) {
  console.error(`no benchmark is named ${wanted.join(', ')}; see packages/*/bench`);
  process.exit(2);
}
for (const file of files) {
  console.log(`\n${file}`);
  const { run }: { run: () => Promise<void> } = await import(pathToFileURL(join(root, file)).href);
  await run();
}
