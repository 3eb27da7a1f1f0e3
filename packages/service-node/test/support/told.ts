// SPDX-License-Identifier: AGPL-3.0-or-later
import type { Logger } from '@allium/protocol/env';

/** Keeps what a node says to its operator: `warn a sentence`. */
export class Told {
  readonly lines: string[] = [];
  readonly log: Logger = {
    error: (_fields, text) => void this.lines.push(`error ${text}`),
    warn: (_fields, text) => void this.lines.push(`warn ${text}`),
    info: (_fields, text) => void this.lines.push(`info ${text}`),
    debug() {},
    child: () => this.log,
  };

  count(text: RegExp): number {
    return this.lines.filter((line) => text.test(line)).length;
  }
}
