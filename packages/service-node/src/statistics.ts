// SPDX-License-Identifier: AGPL-3.0-or-later
// `service.get_stats`: the names that dashboards of operators know (spec/storage-server §7 "Statistics").
import type { Database } from './mailbox/database.ts';
import type { Mailbox } from './mailbox/mailbox.ts';
import { type Metrics, STATISTICS } from './metrics.ts';
import { WIRE_VERSION_TEXT } from './protocol-version.ts';

/** Walks the indexes of the mailbox once: for a person who asks, not for a hot path. */
export function statisticsJson(
  mailbox: Mailbox,
  database: Database,
  metrics: Metrics,
  height: number,
): string {
  const { messages, counts, namespaces } = mailbox.statistics();
  const size = database.size();
  const recent = metrics.recent();
  const stats: Record<string, unknown> = {};
  for (const name of STATISTICS) {
    stats[`total_${name}_requests`] = metrics.totals[name];
    stats[`recent_${name}_requests`] = recent[name];
  }
  stats.recent_timespan = recent.timespanSeconds;
  stats.peers = Object.fromEntries(
    [...metrics.failures].map(([peer, { requests, pushes }]) => [
      peer,
      { requests_failed: requests, pushes_failed: pushes },
    ]),
  );
  stats.version = WIRE_VERSION_TEXT;
  stats.height = height;
  stats.target_height = height;
  stats.accounts = counts.length;
  stats.total_stored = messages;
  stats.account_msg_mean = counts.length === 0 ? 0 : counts.reduce((sum, n) => sum + n, 0) / counts.length;
  if (counts.length >= 5) {
    // Ascending, so a rank is an index.
    const rank = (share: number) => counts[Math.round(share * (counts.length - 1))];
    stats.account_msg_count_min = rank(0);
    stats.account_msg_count_5th = rank(0.05);
    stats.account_msg_count_25th = rank(0.25);
    stats.account_msg_count_median = rank(0.5);
    stats.account_msg_count_75th = rank(0.75);
    stats.account_msg_count_95th = rank(0.95);
    stats.account_msg_count_max = rank(1);
  }
  stats.namespace_messages = Object.fromEntries(namespaces);
  stats.db_used = size.used;
  stats.db_total = size.total;
  stats.db_max = size.max;
  return JSON.stringify(stats);
}
