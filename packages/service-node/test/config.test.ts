// SPDX-License-Identifier: AGPL-3.0-or-later
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import {
  ConfigError,
  helpText,
  OPTIONS,
  printConfig,
  readConfig,
  serviceNodeOptions,
} from '../src/config.ts';

const folder = mkdtempSync(join(tmpdir(), 'allium-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(content: unknown): string {
  const path = join(folder, `${Math.random()}.json`);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

const code = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof ConfigError) return error.code;
    throw error;
  }
  return 'no error';
};

describe('precedence', () => {
  const path = file({ httpsPort: 1, omqPort: 1, rpcBurst: 1 });

  test('flags win over the environment, that over the file, that over the default', () => {
    const { options } = readConfig(['--config', path, '--https-port', '3'], {
      ALLIUM_NODE_HTTPS_PORT: '2',
      ALLIUM_NODE_OMQ_PORT: '2',
    });
    expect(options).toMatchObject({ httpsPort: 3, omqPort: 2, rpcBurst: 1, rpcPerSecond: 300 });
  });

  test('the file may be named in the environment', () => {
    expect(readConfig([], { ALLIUM_NODE_CONFIG: path }).options.rpcBurst).toBe(1);
  });

  test('what it returns cannot be changed', () => {
    expect(Object.isFrozen(serviceNodeOptions())).toBe(true);
  });
});

describe('refusals', () => {
  test.each([
    ['an unknown flag', () => readConfig(['--colour', 'red'], {})],
    ['a camel-case flag', () => readConfig(['--httpsPort', '1'], {})],
    ['an argument without dashes', () => readConfig(['start'], {})],
    ['an unknown environment variable', () => readConfig([], { ALLIUM_NODE_COLOUR: 'red' })],
    ['an unknown key of a file', () => readConfig(['--config', file({ colour: 'red' })], {})],
    ['a key that every object has', () => readConfig(['--config', file('{"constructor":1}')], {})],
    ['an unknown override', () => serviceNodeOptions({ colour: 'red' } as never)],
  ])('%s is an unknown option', (_, run) => {
    expect(code(run)).toBe('unknown_option');
  });

  test.each([
    ['a port beyond 65535', ['--https-port', '65536']],
    ['a port that is no number', ['--https-port', 'x']],
    ['a negative count', ['--rpc-burst=-1']],
    ['a yes or no that is neither', ['--relay-http=perhaps']],
    ['a log level that does not exist', ['--log-level', 'loud']],
    ['an address that is none', ['--bind-host', 'here']],
    ['a range without length', ['--relay-exempt-ranges', '10.0.0.0']],
    ['a range longer than its family', ['--relay-exempt-ranges', '10.0.0.0/33']],
    ['a key of the wrong length', ['--stats-access-keys', 'ab']],
  ])('%s is a bad value', (_, argv) => {
    expect(code(() => readConfig(argv, {}))).toBe('bad_value');
  });

  test('a flag at the end without value', () => {
    expect(code(() => readConfig(['--data-dir'], {}))).toBe('missing_value');
  });

  test.each([
    ['no JSON', file('{')],
    ['no object', file('[]')],
    ['a file that is not there', join(folder, 'absent')],
  ])('a configuration file with %s', (_, path) => {
    expect(code(() => readConfig(['--config', path], {}))).toBe('bad_file');
  });
});

describe('values', () => {
  test('a yes or no flag may stand alone', () => {
    const { options } = readConfig(['--relay-http', '--https-port', '1'], {});
    expect(options).toMatchObject({ relayHttp: true, httpsPort: 1 });
    expect(readConfig(['--relay-http', 'false'], {}).options.relayHttp).toBe(false);
  });

  test('a list comes as text with commas or as a JSON list', () => {
    const ranges = ['10.0.0.0/8', 'fd00::/8'];
    expect(readConfig([`--relay-exempt-ranges=${ranges.join(', ')}`], {}).options.relayExemptRanges).toEqual(
      ranges,
    );
    const path = file({ relayExemptRanges: ranges });
    expect(readConfig(['--config', path], {}).options.relayExemptRanges).toEqual(ranges);
  });
});

describe('output', () => {
  test('what --print-config shows is a file that gives the same options', () => {
    const { options } = readConfig(['--https-port', '7'], {});
    expect(readConfig(['--config', file(printConfig(options))], {}).options).toEqual(options);
  });

  test('secrets are masked', () => {
    const table = { token: { kind: 'text', default: '', meaning: '', secret: true } } as const;
    expect(printConfig({ token: 'hidden' }, table as never)).toBe('{\n  "token": "***"\n}\n');
  });

  test('the help names every option', () => {
    const help = helpText('node');
    for (const { meaning } of Object.values(OPTIONS)) expect(help).toContain(meaning);
  });
});
