// SPDX-License-Identifier: MIT
// What happens to a message after it was written: delivered, read, reactions, deletion. Marks only grow together: `mergeMarks`
// is commutative, associative and idempotent, so that devices which hear of the same things in any order end equal, and
// two writers of one storage cannot undo each other.

// Ours.
/**
 * Of one message: what a peer can make us keep. The newest stay, and the order of hearing makes no difference: what is beyond
 * the limits of some is beyond those of more. About 26 kB of reactions, and 40 000 characters of versions; the newest one
 * stays, however long.
 */
const MAX_REACTIONS = 200;
const MAX_REACTIONS_OF_ONE = 20;
const MAX_EDITS = 20;
const MAX_EDITS_LENGTH = 40_000;

/** A change of one person's reaction with one emoji; the newest change counts. */
interface ReactionMark {
  readonly by: string;
  readonly emoji: string;
  /** When the change was sent, network time in ms. */
  readonly at: number;
  /** False: taken back. */
  readonly on: boolean;
}

/** A version of the text; the newest counts. */
interface EditMark {
  readonly text: string;
  /** When it was sent, network time in ms. */
  readonly at: number;
}

export interface Marks {
  /** Of an outgoing message: members of the swarm that proved that they keep it, the best of all attempts, … */
  readonly stored?: number;
  /** … of so many. */
  readonly of?: number;
  /** Network time in ms at which it was first told that a device of the recipient has it. */
  readonly deliveredAt?: number;
  /** The same of reading. */
  readonly readAt?: number;
  /** Sorted by person and emoji; those that were taken back are kept as such. */
  readonly reactions?: readonly ReactionMark[];
  /** By ascending time. */
  readonly edits?: readonly EditMark[];
  /** Deleted for everyone at this time; the text is gone. */
  readonly deletedAt?: number;
  /** It disappears altogether at this network time in ms (spec/client §6.7). */
  readonly expiresAt?: number;
}

/** Both together. */
export function mergeMarks(a: Marks | undefined, b: Marks | undefined): Marks | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  const best = isBetter(a, b) ? a : b;
  const deliveredAt = earlier(a.deliveredAt, b.deliveredAt);
  const readAt = earlier(a.readAt, b.readAt);
  const deletedAt = earlier(a.deletedAt, b.deletedAt);
  const expiresAt = earlier(a.expiresAt, b.expiresAt);
  const isThere = deletedAt === undefined;
  const reactions = isThere ? mergeReactions([...(a.reactions ?? []), ...(b.reactions ?? [])]) : [];
  const edits = isThere ? mergeEdits([...(a.edits ?? []), ...(b.edits ?? [])]) : [];
  return {
    ...(best.stored !== undefined && { stored: best.stored }),
    ...(best.of !== undefined && { of: best.of }),
    ...(deliveredAt !== undefined && { deliveredAt }),
    ...(readAt !== undefined && { readAt }),
    ...(reactions.length > 0 && { reactions }),
    ...(edits.length > 0 && { edits }),
    ...(deletedAt !== undefined && { deletedAt }),
    ...(expiresAt !== undefined && { expiresAt }),
  };
}

/**
 * A message with more marks: its text is that of its newest version; one that is deleted says nothing any more (spec/client
 * §6.6).
 */
export function marked<
  T extends { readonly text: string; readonly original?: string; readonly marks?: Marks },
>(message: T, marks: Marks | undefined): T {
  const all = mergeMarks(message.marks, marks);
  if (all === undefined) return message;
  if (all.deletedAt !== undefined) {
    const {
      quote: _quote,
      original: _original,
      attachments: _attachments,
      preview: _preview,
      content: _content,
      ...rest
    } = message as T & { quote?: unknown; attachments?: unknown; preview?: unknown; content?: unknown };
    return { ...(rest as unknown as T), text: '', marks: all };
  }
  const newest = all.edits?.at(-1);
  if (newest === undefined) return { ...message, marks: all };
  return { ...message, text: newest.text, original: message.original ?? message.text, marks: all };
}

function isBetter(a: Marks, b: Marks): boolean {
  const [x, y] = [a.stored ?? -1, b.stored ?? -1];
  return x > y || (x === y && (a.of ?? -1) >= (b.of ?? -1));
}

function earlier(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.min(a, b);
}

function mergeReactions(all: readonly ReactionMark[]): readonly ReactionMark[] {
  const newest = new Map<string, ReactionMark>();
  for (const mark of all) {
    const key = `${mark.by} ${mark.emoji}`;
    const other = newest.get(key);
    // Of one millisecond the taking back counts.
    if (other === undefined || mark.at > other.at || (mark.at === other.at && !mark.on))
      newest.set(key, mark);
  }
  let kept = [...newest.entries()];
  if (kept.length > MAX_REACTIONS_OF_ONE) {
    const counts = new Map<string, number>();
    const isOneOfFew = ([, { by }]: [string, ReactionMark]) => {
      const count = (counts.get(by) ?? 0) + 1;
      counts.set(by, count);
      return count <= MAX_REACTIONS_OF_ONE;
    };
    kept.sort(([x, a], [y, b]) => b.at - a.at || compare(x, y));
    kept = kept.filter(isOneOfFew).slice(0, MAX_REACTIONS);
  }
  return kept.sort(([x], [y]) => compare(x, y)).map(([, mark]) => mark);
}

function mergeEdits(all: readonly EditMark[]): readonly EditMark[] {
  const sorted = [...all].sort((a, b) => a.at - b.at || compare(a.text, b.text));
  const different = sorted.filter(
    ({ at, text }, i) => at !== sorted[i - 1]?.at || text !== sorted[i - 1]?.text,
  );
  let count = 0;
  let length = 0;
  for (const { text } of different.toReversed()) {
    length += text.length;
    if (count === MAX_EDITS || (count > 0 && length > MAX_EDITS_LENGTH)) break;
    count++;
  }
  return count === 0 ? [] : different.slice(-count);
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
