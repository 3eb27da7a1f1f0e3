// SPDX-License-Identifier: AGPL-3.0-or-later
// `allium node doctor`: a line per check, `ok` or what to do.
import { silentLog, systemEnv } from '@allium/net/system-env';
import { CHECKS, examine } from '@allium/service-node/doctor';
import { usage } from '../cli-error.ts';
import { print, printJson, styled } from '../terminal.ts';
import type { NodeCommand } from './node-command.ts';

export async function nodeDoctor({ words, node, json, only }: NodeCommand): Promise<number> {
  if (words.length > 0) throw usage(`unknown argument "${words[0]}": write "allium node doctor [--json]"`);
  const unknown = only?.find((name) => !CHECKS.some((check) => check === name));
  if (unknown !== undefined) throw usage(`there is no check "${unknown}". Checks: ${CHECKS.join(', ')}`);
  const findings = await examine(node, systemEnv(silentLog), only);
  const open = findings.filter(({ ok }) => !ok).length;
  if (json) {
    printJson({ checks: findings, ok: open === 0 });
  } else {
    for (const { name, ok, text } of findings) {
      print(`${ok ? styled('green', 'ok  ') : styled('red', 'TODO')}  ${name.padEnd(12)} ${text}`);
    }
    print(open === 0 ? 'All is well.' : `${open} ${open === 1 ? 'thing' : 'things'} to do.`);
  }
  return open === 0 ? 0 : 1;
}
