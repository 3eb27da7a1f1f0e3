// SPDX-License-Identifier: MIT
// `npm run generate`: makes packages/protocol/src/message/generated from session.proto. The generator is fetched for
// the run: it has 93 MB and is needed only when the schema changes. The files are committed.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const folder = 'packages/protocol/src/message';
const template = {
  version: 'v2',
  clean: true,
  plugins: [
    { local: 'protoc-gen-es', out: `${folder}/generated`, opt: ['target=js+dts', 'import_extension=js'] },
  ],
};
const { status, error } = spawnSync(
  'npx',
  [
    '--yes',
    // The version of protoc-gen-es is that of the runtime in packages/protocol/package.json.
    ...['--package', '@bufbuild/buf@1.75.0', '--package', '@bufbuild/protoc-gen-es@2.17.0'],
    ...['buf', 'generate', folder, '--template', JSON.stringify(template)],
  ],
  { cwd: root, stdio: 'inherit' },
);
if (error !== undefined) console.error(error.message);
process.exit(status ?? 1);
