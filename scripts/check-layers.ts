// SPDX-License-Identifier: MIT
// Holds every import between our packages against the table of ARCHITECTURE.md, and asks for the
// SPDX line of each source file. Prints what breaks the rules and exits with 1.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';

const ROOT = join(import.meta.dirname, '..');

/** package → the packages of ours that its `src` may import. Tests may import anything. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  'packages/protocol': [],
  'packages/net': ['protocol'],
  'packages/client': ['protocol'],
  'packages/client/src/node': ['protocol', 'net'],
  'packages/chain': ['protocol'],
  'packages/service-node': ['protocol', 'net', 'chain'],
  'packages/servers': ['protocol', 'net', 'chain'],
  'packages/lab': ['protocol', 'net', 'chain', 'client', 'service-node', 'servers'],
  'apps/cli': ['protocol', 'net', 'chain', 'client', 'service-node', 'servers', 'lab'],
  'apps/web': ['protocol', 'client'],
};
const MIT = ['packages/protocol', 'packages/net', 'packages/client', 'packages/chain', 'scripts', 'examples'];

function* sourceFiles(folder: string): Generator<string> {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (name === 'node_modules' || name === 'generated') continue;
    if (statSync(path).isDirectory()) yield* sourceFiles(path);
    else if (/\.(tsx?|mjs)$/.test(name)) yield path;
  }
}

const problems: string[] = [];
for (const top of ['packages', 'apps', 'scripts', 'examples']) {
  let files: string[];
  try {
    files = [...sourceFiles(join(ROOT, top))];
  } catch {
    continue;
  }
  for (const file of files) {
    const path = relative(ROOT, file);
    const text = readFileSync(file, 'utf8');
    const licence = MIT.some((folder) => path.startsWith(`${folder}/`)) ? 'MIT' : 'AGPL-3.0-or-later';
    if (!text.slice(0, 300).includes(`SPDX-License-Identifier: ${licence}`)) {
      problems.push(`${path}: no line "SPDX-License-Identifier: ${licence}" at its top`);
    }
    if (!path.includes('/src/')) continue;
    const rule = Object.keys(MAY_IMPORT)
      .filter((folder) => path.startsWith(`${folder}/`))
      .sort((a, b) => b.length - a.length)[0];
    if (rule === undefined) {
      problems.push(`${path}: its package is not in the table of scripts/check-layers.ts`);
      continue;
    }
    const own = rule.split('/')[1];
    for (const [, target] of text.matchAll(/(?:from|import)\s*\(?\s*'@allium\/([a-z-]+)[^']*'/g)) {
      if (target !== own && !MAY_IMPORT[rule]?.includes(target ?? '')) {
        problems.push(`${path}: ${rule} may not import @allium/${target}`);
      }
    }
    for (const [, target] of text.matchAll(/(?:from|import)\s*\(?\s*'(\.\.?\/[^']*)'/g)) {
      const resolved = relative(ROOT, join(file, '..', target ?? ''));
      const home = path.split('/').slice(0, 2).join('/');
      if (!resolved.startsWith(`${home}/`))
        problems.push(`${path}: imports ${target}, a file of another package, by path`);
    }
  }
}
for (const problem of problems) console.error(problem);
console.log(problems.length === 0 ? 'layers: ok' : `layers: ${problems.length} problems`);
process.exit(problems.length === 0 ? 0 : 1);
