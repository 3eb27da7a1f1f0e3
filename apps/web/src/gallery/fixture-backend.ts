// SPDX-License-Identifier: AGPL-3.0-or-later
// Answers like the worker, from fixtures. Nothing here leaves the page.
import type { Api, ApiEvents, ApiMethod } from '../api.ts';
import type { ConversationsView, MessageView, NetworkView, PersonView, SessionView } from '../model.ts';
import { AppError, type Backend, type CallOptions } from '../rpc.ts';
import {
  conversationsOf,
  histories,
  idOf,
  ME,
  message,
  NETWORK,
  PEOPLE,
  PHRASE,
  SESSION,
} from './fixtures.ts';

export interface FixtureOptions {
  readonly session?: SessionView | undefined;
  readonly network?: NetworkView;
  readonly conversations?: ConversationsView | undefined;
  /** Methods that never answer, or fail with the code. */
  readonly stuck?: readonly ApiMethod[];
  readonly fails?: Partial<Record<ApiMethod, string>>;
  /** Messages in the first conversation. */
  readonly history?: number;
}

type Answers = {
  [M in ApiMethod]?: (
    ...args: Parameters<Api[M]>
  ) => Awaited<ReturnType<Api[M]>> | Promise<Awaited<ReturnType<Api[M]>>>;
};

export class FixtureBackend implements Backend {
  readonly #listeners = new Map<keyof ApiEvents, Set<(value: never) => void>>();
  readonly #options: FixtureOptions;
  readonly #histories: Record<string, readonly MessageView[]>;
  readonly #answers: Answers;

  constructor(options: FixtureOptions, now: number) {
    this.#options = options;
    this.#histories = { ...histories(now) };
    if (options.history !== undefined) this.#histories[PEOPLE.mara.id] = long(options.history, now);
    const session = options.session ?? SESSION;
    const conversations = options.conversations ?? {
      list: conversationsOf(now),
      requests: [PEOPLE.request, PEOPLE.request2].map((person) => ({
        person,
        preview: {
          text: 'Hi, we met at the workshop on Saturday. May I write to you here?',
          mine: false,
          at: now - 1_200_000,
          deleted: false,
        },
        unread: 1,
        pinned: false,
      })),
    };
    const people: readonly PersonView[] = Object.values(PEOPLE);
    this.#answers = {
      session: () => session,
      conversations: () => conversations,
      network: () => options.network ?? { ...NETWORK, lastPollAt: now - 2_000 },
      person: (id) => people.find((one) => one.id === id) ?? { ...PEOPLE.stranger, id, isSelf: id === ME },
      contacts: () => [
        ...people.filter(({ isSelf }) => !isSelf),
        { ...PEOPLE.stranger, id: idOf(241), name: 'Prize office', blocked: true },
      ],
      history: (id, { limit, before }) => {
        const all = this.#histories[id] ?? [];
        const end =
          before === undefined
            ? all.length
            : all.findLastIndex(
                ({ timestamp, sender }) => timestamp === before.timestamp && sender === before.sender,
              );
        return all.slice(Math.max(0, end - limit), end);
      },
      draftAccount: () => ({ id: ME, phrase: PHRASE }),
      showPhrase: () => PHRASE,
      settings: () => ({ deliveryReceipts: true, readReceipts: false, typingIndicators: true }),
      changeSettings: (change) => ({
        deliveryReceipts: true,
        readReceipts: false,
        typingIndicators: true,
        ...change,
      }),
      suggestWords: (prefix) =>
        ['petals', 'pests', 'peculiar', 'pencil'].filter((word) => word.startsWith(prefix)),
      checkPhrase: (phrase) => {
        const words = phrase
          .trim()
          .split(/\s+/)
          .filter((word) => word !== '');
        const wrong = words.flatMap((word, index) => (PHRASE.includes(word) ? [] : [index]));
        return { wrong, count: words.length };
      },
      safetyNumber: () => '58213 00472 91833 40912 77310 55021 19384 66120 03917 82244 61590 27731',
      sync: () => ({
        parts: [
          { name: 'profile', state: 'stored', seqno: 4 },
          { name: 'contacts', state: 'pending', seqno: 12 },
          { name: 'groups', state: 'empty', seqno: 0 },
          { name: 'readState', state: 'stored', seqno: 87 },
        ],
        syncedAt: now - 240_000,
        failed: false,
      }),
      search: (text) =>
        Object.entries(this.#histories).flatMap(([id, messages]) =>
          messages
            .filter((one) => one.text.toLowerCase().includes(text.toLowerCase()))
            .map((one) => ({ message: one, person: people.find((who) => who.id === id) ?? PEOPLE.stranger })),
        ),
      attachment: (_name, index) =>
        index === 0
          ? landscape()
          : index === 5
            ? tone()
            : new TextEncoder().encode('this is neither a picture nor a sound'),
      picture: () => undefined,
      send: (id, text) => {
        const own = message('me', people.find((one) => one.id === id) ?? PEOPLE.stranger, Date.now(), text, {
          delivery: { state: 'queued' },
        });
        this.emit('message', { view: own, isNew: false });
      },
      find: (text) => {
        const given = text.trim();
        if (/^05[0-9a-f]{64}$/.test(given)) return { id: given };
        if (given === 'mara') return { id: PEOPLE.mara.id, name: given };
        throw new AppError('name_unknown', 'nobody has this name');
      },
    };
  }

  call<M extends ApiMethod>(
    method: M,
    args: Parameters<Api[M]>,
    options: CallOptions = {},
  ): ReturnType<Api[M]> {
    return this.#call(method, args, options) as ReturnType<Api[M]>;
  }

  async #call(method: ApiMethod, args: readonly unknown[], options: CallOptions): Promise<unknown> {
    const code = this.#options.fails?.[method];
    if (code !== undefined) throw new AppError(code, 'as the scene wants it');
    if (this.#options.stuck?.includes(method)) {
      return await new Promise((_, reject) => {
        options.signal?.addEventListener('abort', () => reject(options.signal?.reason));
      });
    }
    const answer = this.#answers[method] as ((...given: unknown[]) => unknown) | undefined;
    return await answer?.(...args);
  }

  on<N extends keyof ApiEvents>(name: N, listener: (value: ApiEvents[N]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    listeners.add(listener as (value: never) => void);
    return () => listeners.delete(listener as (value: never) => void);
  }

  emit<N extends keyof ApiEvents>(name: N, value: ApiEvents[N]): void {
    for (const listener of this.#listeners.get(name) ?? []) listener(value as never);
  }
}

const WORDS =
  'the hut is free on friday and we could take the early train over the ridge if the weather holds'.split(
    ' ',
  );

/** So many messages of two people, ending now; texts of one to forty words. */
function long(count: number, now: number): readonly MessageView[] {
  return Array.from({ length: count }, (_, i) => {
    const words = 1 + ((i * 7_919) % 40);
    const text = Array.from({ length: words }, (_, word) => WORDS[(i + word * 3) % WORDS.length]).join(' ');
    const from = (i * 31) % 7 < 3 ? 'me' : PEOPLE.mara;
    return {
      ...message(from, PEOPLE.mara, now - (count - i) * 90_000, `${i + 1}: ${text}`),
      place: now - (count - i) * 90_000,
    };
  });
}

/** A picture, painted here. */
async function landscape(): Promise<Uint8Array> {
  const canvas = document.createElement('canvas');
  canvas.width = 960;
  canvas.height = 600;
  const context = canvas.getContext('2d');
  if (context !== null) {
    const sky = context.createLinearGradient(0, 0, 0, 600);
    sky.addColorStop(0, '#f2c9a1');
    sky.addColorStop(0.55, '#dfa3b4');
    sky.addColorStop(1, '#7d6aa8');
    context.fillStyle = sky;
    context.fillRect(0, 0, 960, 600);
    context.fillStyle = '#fff3dd';
    context.beginPath();
    context.arc(690, 190, 52, 0, 7);
    context.fill();
    for (const [base, height, colour] of [
      [360, 150, '#8c76ab'],
      [420, 130, '#66568f'],
      [490, 110, '#473c70'],
      [560, 90, '#2d284f'],
    ] as const) {
      context.fillStyle = colour;
      context.beginPath();
      context.moveTo(0, 600);
      for (let x = 0; x <= 960; x += 8) {
        context.lineTo(
          x,
          base - height * Math.abs(Math.sin(x / 173 + base) * Math.cos(x / 61 + height)) * 0.9,
        );
      }
      context.lineTo(960, 600);
      context.fill();
    }
  }
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/png'));
  return new Uint8Array((await blob?.arrayBuffer()) ?? []);
}

/** A second of a soft tone, WAV. */
function tone(): Uint8Array {
  const rate = 8_000;
  const bytes = new Uint8Array(44 + rate * 2);
  const view = new DataView(bytes.buffer);
  const text = (at: number, value: string) => bytes.set(new TextEncoder().encode(value), at);
  text(0, 'RIFF');
  view.setUint32(4, 36 + rate * 2, true);
  text(8, 'WAVEfmt ');
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, rate, true);
  view.setUint32(28, rate * 2, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, 'data');
  view.setUint32(40, rate * 2, true);
  for (let i = 0; i < rate; i++)
    view.setInt16(44 + i * 2, 6_000 * Math.sin((i / rate) * 440 * 2 * Math.PI), true);
  return bytes;
}
