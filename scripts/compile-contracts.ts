// SPDX-License-Identifier: MIT
// `npm run contracts`: compiles packages/chain/contracts with the JavaScript build of solc and writes one module per
// contract into packages/chain/src/contracts/generated (ABI, creation code, runtime code with its immutable places).
// `--check` writes nothing and exits with 1 if the committed modules are not what a compilation gives. Settings:
// spec/chain §4.2. The metadata hash is left out of the code, so that a comment does not change what is deployed.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { format } from 'node:util';

const ROOT = join(import.meta.dirname, '..');
const SOURCES = join(ROOT, 'packages/chain/contracts');
const OUTPUT = join(ROOT, 'packages/chain/src/contracts/generated');
const TEST_OUTPUT = join(ROOT, 'packages/chain/test/support/generated');
/** Contracts of others that we deploy as they are. */
const FOREIGN = ['@openzeppelin/contracts/governance/TimelockController.sol'];

export const COMPILER_SETTINGS = {
  optimizer: { enabled: true, runs: 200 },
  viaIR: true,
  evmVersion: 'shanghai',
  metadata: { bytecodeHash: 'none', appendCBOR: false },
};

interface Artifact {
  abi: unknown[];
  evm: {
    bytecode: { object: string };
    deployedBytecode: {
      object: string;
      immutableReferences: Record<string, { start: number; length: number }[]>;
    };
  };
}
interface SolcOutput {
  errors?: { severity: string; formattedMessage: string }[];
  contracts?: Record<string, Record<string, Artifact>>;
}

function contractFiles(folder: string): string[] {
  const path = join(SOURCES, folder);
  if (!existsSync(path)) return [];
  return readdirSync(path)
    .filter((name) => name.endsWith('.sol'))
    .sort()
    .map((name) => (folder === '' ? name : `${folder}/${name}`));
}

/**
 * SHA-256 over our contracts, the compiler's settings and the pinned versions of compiler and library: what the
 * generated modules follow from. A test compares it in milliseconds where a compilation takes many seconds.
 */
export function contractSourcesHash(): string {
  const hash = createHash('sha256');
  for (const file of ownFiles()) hash.update(`${file}\n${readFileSync(join(SOURCES, file), 'utf8')}\n`);
  const manifest = JSON.parse(readFileSync(join(ROOT, 'packages/chain/package.json'), 'utf8'));
  hash.update(JSON.stringify([COMPILER_SETTINGS, FOREIGN, manifest.devDependencies]));
  return hash.digest('hex');
}

const ownFiles = () => ['', 'registry', 'test'].flatMap(contractFiles);

/** file → contract → what solc makes of it. @throws with solc's words when the contracts do not compile */
function compile(
  file: string,
  contract: string,
  edit?: (file: string, text: string) => string,
): { contracts: Record<string, Record<string, Artifact>>; version: string } {
  const require = createRequire(join(ROOT, 'packages/chain/package.json'));
  const solc = require('solc') as {
    compile(
      input: string,
      callbacks: { import(path: string): { contents: string } | { error: string } },
    ): string;
    version(): string;
  };
  const sources: Record<string, { content: string }> = {};
  for (const file of ownFiles()) {
    const content = readFileSync(join(SOURCES, file), 'utf8');
    sources[file] = { content: edit?.(file, content) ?? content };
  }
  const read = (path: string) => readFileSync(join(ROOT, 'node_modules', path), 'utf8');
  for (const file of FOREIGN) sources[file] = { content: read(file) };
  const input = {
    language: 'Solidity',
    sources,
    settings: {
      ...COMPILER_SETTINGS,
      outputSelection: {
        [file]: {
          [contract]: [
            'abi',
            'evm.bytecode.object',
            'evm.deployedBytecode.object',
            'evm.deployedBytecode.immutableReferences',
          ],
        },
      },
    },
  };
  const imported = (path: string) => {
    try {
      return { contents: read(path) };
    } catch (error) {
      return { error: format(error) };
    }
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: imported })) as SolcOutput;
  // Warnings are errors in what we deploy; sources that were broken on purpose may have some.
  const problems = (output.errors ?? []).filter(({ severity }) => edit === undefined || severity === 'error');
  if (problems.length > 0) throw new Error(problems.map((problem) => problem.formattedMessage).join('\n'));

  return { contracts: output.contracts ?? {}, version: solc.version() };
}

/** Creation code of the registry made from sources that `edit` has changed: to show that a fault is found. */
export function compileRegistry(edit: (file: string, text: string) => string): `0x${string}` {
  const { contracts } = compile('ServiceNodeRegistry.sol', 'ServiceNodeRegistry', edit);
  return `0x${contracts['ServiceNodeRegistry.sol']?.ServiceNodeRegistry?.evm.bytecode.object ?? ''}`;
}

/** path from the repository's root → text of the module. */
export function compileContracts(): Map<string, string> {
  const own = ownFiles();
  const { contracts: compiled, version } = compile('*', '*');
  const sourceHash = contractSourcesHash();
  const modules = new Map<string, string>();
  for (const [file, contracts] of Object.entries(compiled)) {
    if (!own.includes(file) && !FOREIGN.includes(file)) continue;
    for (const [name, artifact] of Object.entries(contracts)) {
      const code = artifact.evm.bytecode.object;
      // Abstract contracts and the small faces inside a file are nobody's business.
      if (code === '' && !/^I[A-Z]/.test(file)) continue;
      const folder = file.startsWith('test/') ? TEST_OUTPUT : OUTPUT;
      const path = join(folder, `${name}.ts`).slice(ROOT.length + 1);
      modules.set(path, moduleText(file, version, sourceHash, artifact));
    }
  }
  return modules;
}

function moduleText(file: string, compiler: string, sourceHash: string, artifact: Artifact): string {
  const { bytecode, deployedBytecode } = artifact.evm;
  const lines = [
    '// SPDX-License-Identifier: MIT',
    `// Made by \`npm run contracts\` from ${file} with solc ${compiler}; do not edit.`,
    '',
    '/** contractSourcesHash() of scripts/compile-contracts.ts at the compilation. */',
    `export const sourceHash = '${sourceHash}';`,
    '',
    `export const abi = [`,
    ...artifact.abi.map((item) => `  ${JSON.stringify(item)},`),
    '] as const;',
  ];
  if (bytecode.object !== '') {
    const immutables = Object.values(deployedBytecode.immutableReferences ?? {})
      .flat()
      .sort((a, b) => a.start - b.start);
    lines.push(
      '',
      `export const bytecode = '0x${bytecode.object}' as const;`,
      '',
      '/** The code on chain, with zeros where the constructor writes immutable values. */',
      `export const deployedBytecode = '0x${deployedBytecode.object}' as const;`,
      '',
      '/** Byte ranges of the immutable values in deployedBytecode. */',
      `export const immutableReferences: readonly { start: number; length: number }[] = ${JSON.stringify(immutables)};`,
    );
  }
  return `${lines.join('\n')}\n`;
}

function main(): void {
  const check = process.argv.includes('--check');
  const modules = compileContracts();
  const stale: string[] = [];
  const folders = [OUTPUT, TEST_OUTPUT];
  for (const folder of folders) {
    mkdirSync(folder, { recursive: true });
    for (const name of readdirSync(folder)) {
      const path = join(folder, name);
      if (modules.has(path.slice(ROOT.length + 1))) continue;
      stale.push(path);
      if (!check) rmSync(path);
    }
  }
  for (const [path, text] of modules) {
    let committed = '';
    try {
      committed = readFileSync(join(ROOT, path), 'utf8');
    } catch {}
    if (committed === text) continue;
    stale.push(path);
    if (!check) writeFileSync(join(ROOT, path), text);
  }
  console.log(`contracts: ${modules.size} modules, ${stale.length} ${check ? 'not up to date' : 'written'}`);
  if (check && stale.length > 0) {
    console.error(`run \`npm run contracts\`: ${stale.join(', ')}`);
    process.exitCode = 1;
  }
}

if (import.meta.main) main();
