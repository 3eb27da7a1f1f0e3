// SPDX-License-Identifier: AGPL-3.0-or-later
// People, messages and states that exist nowhere: for the gallery, its tests and the benchmark of long histories.
import type { ConversationView, MessageView, NetworkView, PersonView, SessionView } from '../model.ts';

/** An id that looks like one; `seed` 0…255. */
export function idOf(seed: number): string {
  let state = seed * 2_654_435_761 + 97;
  let hex = '';
  while (hex.length < 64) {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    hex += (state >>> 16).toString(16).padStart(4, '0').slice(-4);
  }
  return `05${hex.slice(0, 64)}`;
}

export const ME = idOf(3);
const MINUTE = 60_000;

function person(seed: number, name: string | undefined, more: Partial<PersonView> = {}): PersonView {
  return {
    id: idOf(seed),
    ...(name !== undefined && { name }),
    isSelf: false,
    approved: true,
    approvedMe: true,
    blocked: false,
    verified: false,
    ...more,
  };
}

export const PEOPLE = {
  mara: person(11, 'Mara Lindqvist', { verified: true }),
  jonas: person(24, 'Jonas'),
  amina: person(37, 'أمينة'),
  eleni: person(52, 'Ελένη'),
  ines: person(68, 'Inés Ortega'),
  theo: person(93, 'Theo van Dijk'),
  stranger: person(120, undefined),
  hostile: person(141, '<b>Adm\u202Ein</b> Z̷̡̢̛̛̛͔͕͖͗͘͜ą̵̨̛̛̱̲̳̈̉l̸̢̛̛̰̱̲̾̿g̷̨̛̛͔͕̀́o', { verified: false }),
  request: person(160, 'Lena from the workshop', { approved: false }),
  request2: person(171, undefined, { approved: false }),
  self: { ...person(3, undefined), isSelf: true },
} as const;

let counter = 0;

export function message(
  from: PersonView | 'me',
  conversation: PersonView,
  at: number,
  text: string,
  more: Partial<MessageView> = {},
): MessageView {
  const mine = from === 'me';
  const sender = mine ? ME : from.id;
  const timestamp = at + (counter++ % 1000);
  return {
    key: `${sender}:${timestamp}`,
    conversation: conversation.id,
    sender,
    mine,
    timestamp,
    place: timestamp,
    hash: btoa(`${timestamp}${text.length}`).slice(0, 27),
    text,
    ...(mine && {
      delivery: { state: 'read', stored: 7, of: 7, deliveredAt: timestamp + 900, readAt: timestamp + 8_000 },
    }),
    reactions: [],
    deleted: false,
    attachments: [],
    mentions: {},
    ...more,
  };
}

export function histories(now: number): Readonly<Record<string, readonly MessageView[]>> {
  const { mara, jonas, hostile, request, amina } = PEOPLE;
  const yesterday = now - 26 * 60 * MINUTE;
  const quoted = message(
    mara,
    mara,
    now - 31 * MINUTE,
    'Could you bring the tent pegs? I only found nine of twelve.',
  );
  return {
    [mara.id]: [
      message(mara, mara, yesterday, 'Morning! Is the hut still free for the weekend?'),
      message('me', mara, yesterday + 2 * MINUTE, 'I asked. They keep it for us until tonight.'),
      message('me', mara, yesterday + 2.5 * MINUTE, 'Six beds, one stove, no signal. Perfect.', {
        reactions: [
          { emoji: '🔥', by: [mara.id], mine: false },
          { emoji: '🙌', by: [mara.id, ME], mine: true },
        ],
      }),
      message(
        mara,
        mara,
        yesterday + 9 * MINUTE,
        'Then I am in. The path from the south is open again: https://paths.example.org/ridge/south?from=valley',
      ),
      message(mara, mara, now - 42 * MINUTE, '', {
        attachments: [
          {
            index: 0,
            name: 'ridge.png',
            contentType: 'image/png',
            sizeBytes: 84_211,
            width: 1280,
            height: 800,
            isVoice: false,
          },
        ],
      }),
      message(mara, mara, now - 41 * MINUTE, 'From up there. You can see both lakes.'),
      message('me', mara, now - 39 * MINUTE, '😍'),
      quoted,
      message('me', mara, now - 24 * MINUTE, 'I have a whole bag of them, and two spare guy lines.', {
        quote: {
          author: mara.id,
          timestamp: quoted.timestamp,
          authorName: 'Mara Lindqvist',
          text: quoted.text,
        },
      }),
      message('me', mara, now - 22 * MINUTE, '', {
        attachments: [
          {
            index: 5,
            name: 'voice',
            contentType: 'audio/webm',
            sizeBytes: 31_200,
            isVoice: true,
            durationMs: 14_000,
            waveform: Array.from(
              { length: 48 },
              (_, i) => 0.15 + 0.8 * Math.abs(Math.sin(i * 0.55) * Math.cos(i * 0.21)),
            ),
          },
        ],
        delivery: { state: 'delivered', stored: 7, of: 7, deliveredAt: now - 21 * MINUTE },
      }),
      message(mara, mara, now - 4 * MINUTE, 'Brilliant. Train at 7:40 then, platform 3?', {
        reactions: [{ emoji: '👍', by: [ME], mine: true }],
      }),
      message('me', mara, now - 3 * MINUTE, 'See you there. I bring croissants 🥐', {
        editedAt: now - 2.5 * MINUTE,
        delivery: { state: 'delivered', stored: 7, of: 7, deliveredAt: now - 3 * MINUTE },
      }),
      message('me', mara, now - 1 * MINUTE, 'And the map.', {
        delivery: { state: 'stored', stored: 6, of: 7 },
      }),
    ],
    [jonas.id]: [
      message(jonas, jonas, now - 60 * MINUTE, 'Did the invoice reach you?'),
      message(jonas, jonas, now - 59 * MINUTE, '', { notice: { kind: 'timer', seconds: 86_400 } }),
      message('me', jonas, now - 55 * MINUTE, 'Not yet.', {
        delivery: { state: 'failed', reason: 'no_path' },
      }),
      message('me', jonas, now - 54 * MINUTE, 'Sending it again', { delivery: { state: 'queued' } }),
      message(jonas, jonas, now - 50 * MINUTE, '', { deleted: true }),
      message(jonas, jonas, now - 49 * MINUTE, 'Here it is', {
        expiresAt: now + 86_400_000,
        attachments: [
          {
            index: 0,
            name: 'Invoice 2026-114.pdf',
            contentType: 'application/pdf',
            sizeBytes: 214_000,
            isVoice: false,
          },
        ],
      }),
    ],
    [amina.id]: [
      message(amina, amina, now - 90 * MINUTE, 'صباح الخير! هل وصلت الرسالة؟'),
      message('me', amina, now - 88 * MINUTE, 'نعم، شكرا — the file is called report-final.pdf'),
    ],
    [hostile.id]: [
      message(
        hostile,
        hostile,
        now - 30 * MINUTE,
        '<img src=x onerror="globalThis.pwned=1"><script>globalThis.pwned=1</script>',
      ),
      message(
        hostile,
        hostile,
        now - 29 * MINUTE,
        'javascript:globalThis.pwned=1 data:text/html,<script>1</script> https://user:pass@bank.example/ https://xn--pple-43d.example/login',
      ),
      message(
        hostile,
        hostile,
        now - 28 * MINUTE,
        'safe \u202Egpj.exe\u202C and \u2066\u2067nested\u2069 ends here',
      ),
      message(
        hostile,
        hostile,
        now - 27 * MINUTE,
        `Z${'\u0337\u0321\u0322\u031b\u0354\u0355\u0356'.repeat(40)}algo ${'\u0489'.repeat(400)}`,
      ),
      message(hostile, hostile, now - 26 * MINUTE, 'A'.repeat(20_000)),
      message(
        hostile,
        hostile,
        now - 25 * MINUTE,
        '👨‍👩‍👧‍👦🏴‍☠️🧑🏽‍🚀\u200d\u200d\u200d\ufe0f\u{e0067}\u{e007f}',
      ),
      message(hostile, hostile, now - 24 * MINUTE, '', {
        attachments: [
          {
            index: 1,
            name: 'photo\u202Egnp.exe',
            contentType: 'image/png',
            sizeBytes: 4_000,
            width: 99_999,
            height: 1,
            isVoice: false,
          },
          { index: 2, name: '../../etc/passwd', contentType: 'audio/webm', sizeBytes: 4_000, isVoice: true },
        ],
      }),
    ],
    [request.id]: [
      message(
        request,
        request,
        now - 20 * MINUTE,
        'Hi, we met at the workshop on Saturday. May I write to you here?',
      ),
    ],
  };
}

export function conversationsOf(now: number): readonly ConversationView[] {
  const { mara, jonas, amina, eleni, ines, theo, stranger, hostile, self } = PEOPLE;
  const row = (
    who: PersonView,
    at: number,
    text: string,
    more: Partial<ConversationView> = {},
  ): ConversationView => ({
    person: who,
    preview: { text, mine: false, at, deleted: false },
    unread: 0,
    pinned: false,
    ...more,
  });
  return [
    row(mara, now - MINUTE, 'And the map.', {
      pinned: true,
      preview: { text: 'And the map.', mine: true, at: now - MINUTE, deleted: false, delivery: 'stored' },
    }),
    row(self, now - 4 * 60 * MINUTE, 'Milk, bread, call the landlord', {
      preview: {
        text: 'Milk, bread, call the landlord',
        mine: true,
        at: now - 240 * MINUTE,
        deleted: false,
        delivery: 'stored',
      },
    }),
    row(jonas, now - 49 * MINUTE, 'Here it is', {
      unread: 3,
      preview: { text: '', mine: false, at: now - 49 * MINUTE, deleted: false, attachment: 'file' },
    }),
    row(amina, now - 88 * MINUTE, 'صباح الخير! هل وصلت الرسالة؟', { unread: 1 }),
    row(eleni, now - 27 * 60 * MINUTE, 'Τα λέμε αύριο!', { mutedUntil: now + 86_400_000, unread: 12 }),
    row(ines, now - 50 * 60 * MINUTE, 'Nos vemos el jueves', { draft: 'Claro, ¿a qué hora' }),
    row(theo, now - 4 * 24 * 60 * MINUTE, 'Thanks again for the ride!', {
      preview: { text: '', mine: false, at: now - 4 * 24 * 60 * MINUTE, deleted: false, attachment: 'voice' },
    }),
    row(stranger, now - 9 * 24 * 60 * MINUTE, 'Got your id from the flyer.'),
    row(hostile, now - 12 * 24 * 60 * MINUTE, '<img src=x onerror="globalThis.pwned=1">'),
  ];
}

export const SESSION: SessionView = {
  phase: 'open',
  accounts: [
    { key: 'a', id: ME, name: 'Robin', sealedBy: 'passphrase', setAside: [], phraseConfirmed: true },
    { key: 'b', id: '', sealedBy: 'passphrase', setAside: [], phraseConfirmed: true },
  ],
  current: { key: 'a', id: ME, name: 'Robin', sealedBy: 'passphrase', setAside: [], phraseConfirmed: true },
  profile: { name: 'Robin' },
};

const hop = (n: number) => ({ ed25519Hex: idOf(n).slice(2), host: `198.51.100.${n}`, port: 22_021 });

export const NETWORK: NetworkView = {
  status: 'online',
  nodes: 1_284,
  paths: [
    { state: 'usable', probeMs: 184, hops: [hop(17), hop(88), hop(203)] },
    { state: 'usable', probeMs: 231, hops: [hop(41), hop(119), hop(160)] },
  ],
  ownSwarm: 7,
  clockOffsetMs: 42,
  lastPollAt: 0,
  trust: { state: 'verified', by: 'certificate' },
  entry: { url: 'https://entry.example.org', state: 'connected' },
  hasFileServer: true,
};

export const PHRASE =
  'petals mostly annoyed ghetto deity lurk zinger upkeep opus toffee pavements nimbly petals';
