// SPDX-License-Identifier: MIT
// What an OMQ endpoint does with a command (spec/storage-server §5.3): looks it up, checks the caller's rights per
// message, keeps to the limits of its category, runs the handler and sends what it answers.
import type { Cancel, Logger } from '@allium/protocol/env';
import type {
  OmqAccess,
  OmqCategoryOptions,
  OmqCommandOptions,
  OmqContext,
  OmqExchange,
  OmqHandler,
  OmqPart,
} from './endpoint.ts';

/** Who sent a message, and the way back. */
export interface Caller {
  readonly context: OmqContext;
  access(): OmqAccess;
  /** Throws when the parts are too large. */
  send(parts: readonly OmqPart[]): void;
  /** Handlers at work for this caller. */
  running: number;
}

interface Category {
  readonly access: OmqAccess;
  readonly maxConcurrent: number;
  readonly maxQueued: number;
  running: number;
  heldBytes: number;
  /** Waiting messages, from `head` on. */
  queue: Message[];
  head: number;
}

interface Command {
  readonly name: string;
  readonly category: Category;
  readonly handler: OmqHandler;
  readonly isOneWay: boolean;
  readonly admits: (peerKeyHex: string) => boolean;
}

class Message implements OmqExchange {
  readonly command: Command;
  readonly caller: Caller;
  readonly tag: Uint8Array | undefined;
  readonly bytes: number;
  data: Uint8Array[];
  /** Has no place in its category any more, and nothing of the read buffer. */
  isHeld = false;
  isOver = false;
  #cancelGone: Cancel | undefined;
  readonly #giveBack: (message: Message) => void;

  constructor(
    command: Command,
    caller: Caller,
    tag: Uint8Array | undefined,
    data: Uint8Array[],
    bytes: number,
    giveBack: (message: Message) => void,
  ) {
    this.command = command;
    this.caller = caller;
    this.tag = tag;
    this.data = data;
    this.bytes = bytes;
    this.#giveBack = giveBack;
  }

  hold(onGone?: () => void): void {
    if (this.isOver) return;
    this.#cancelGone?.();
    this.#cancelGone = onGone && this.caller.context.connection.onClose(onGone);
    if (this.isHeld) return;
    this.isHeld = true;
    this.data = NO_DATA;
    this.#giveBack(this);
  }

  end(): void {
    this.isOver = true;
    this.#cancelGone?.();
  }
}

const NO_DATA: Uint8Array[] = [];

// Ours.
const MAX_CONCURRENT = 256;
const MAX_QUEUED = 1000;
/** Of messages running or waiting in one category. */
const MAX_HELD_BYTES = 128 * 1024 * 1024;
/** Longer names are not repeated to the sender. */
const MAX_ECHO = 256;
const NOBODY = () => false;

export class Commands {
  readonly #isServiceNode: boolean;
  readonly #onRefused: (limit: 'queue') => void;
  readonly #log: Logger;
  readonly #categories = new Map<string, Category>();
  readonly #commands = new Map<string, Command>();
  #running = 0;
  #isStopping = false;
  #onIdle: (() => void) | undefined;

  constructor(
    options: { readonly isServiceNode: boolean; readonly onRefused?: (limit: 'queue') => void },
    log: Logger,
  ) {
    this.#isServiceNode = options.isServiceNode;
    this.#onRefused = options.onRefused ?? (() => {});
    this.#log = log;
  }

  category(name: string, options: OmqCategoryOptions): void {
    this.#categories.set(name, {
      access: options.access,
      maxConcurrent: options.maxConcurrent ?? MAX_CONCURRENT,
      maxQueued: options.maxQueued ?? MAX_QUEUED,
      running: 0,
      heldBytes: 0,
      queue: [],
      head: 0,
    });
  }

  register(name: string, handler: OmqHandler, options: OmqCommandOptions = {}): void {
    const category = this.#categories.get(name.slice(0, name.indexOf('.')));
    if (category === undefined) throw new TypeError(`no category for OMQ command ${name}`);
    const { oneWay: isOneWay = false, admits = NOBODY } = options;
    this.#commands.set(name, { name, category, handler, isOneWay, admits });
  }

  start(): void {
    this.#isStopping = false;
  }

  /** Takes no more messages; calls `run` once none is being handled. */
  stop(run: () => void): void {
    this.#isStopping = true;
    for (const category of this.#categories.values()) {
      for (const message of category.queue.slice(category.head)) category.heldBytes -= message.bytes;
      category.queue = [];
      category.head = 0;
    }
    if (this.#running === 0) run();
    else this.#onIdle = run;
  }

  dispatch(caller: Caller, name: string, parts: Uint8Array[]): void {
    if (this.#isStopping) return;
    const command = this.#commands.get(name);
    if (command === undefined) {
      if (name.length <= MAX_ECHO) caller.send(['UNKNOWNCOMMAND', parts[0]!]);
      return;
    }
    const { category, isOneWay } = command;
    const refusal = this.#refusal(command, caller);
    const tag = isOneWay ? undefined : parts[1];
    if (refusal !== undefined) {
      caller.send(tag === undefined ? [refusal, parts[0]!] : [refusal, 'REPLY', tag]);
      return;
    }
    if (tag === undefined && !isOneWay) {
      caller.send(['NO_REPLY_TAG', parts[0]!]);
      return;
    }
    let bytes = 0;
    for (const part of parts) bytes += part.length;
    const data = parts.slice(isOneWay ? 1 : 2);
    const message = new Message(command, caller, tag, data, bytes, this.#giveBack);
    const isFull = category.heldBytes + bytes > MAX_HELD_BYTES;
    if (!isFull && category.running < category.maxConcurrent) {
      category.running++;
      this.#running++;
      category.heldBytes += bytes;
      this.#run(message);
    } else if (!isFull && category.queue.length - category.head < category.maxQueued) {
      category.heldBytes += bytes;
      category.queue.push(message);
    } else this.#onRefused('queue'); // dropped silently: spec/storage-server §5.3
  }

  #refusal({ category: { access: wanted }, admits }: Command, caller: Caller): string | undefined {
    if (wanted === 'none') return undefined;
    if (wanted === 'service_node' && !this.#isServiceNode) return 'NOT_A_SERVICE_NODE';
    if (caller.access() === wanted || admits(caller.context.peerKeyHex)) return undefined;
    return wanted === 'service_node' ? 'FORBIDDEN_SN' : 'FORBIDDEN';
  }

  /** The message is counted already. */
  #run(message: Message): void {
    message.caller.running++;
    try {
      const answer = message.command.handler(message.caller.context, message.data, message);
      if (answer instanceof Promise) {
        answer.then(
          (late) => this.#finish(message, late),
          (error) => this.#fail(message, error),
        );
      } else this.#finish(message, answer);
    } catch (error) {
      this.#fail(message, error);
    }
  }

  #finish(message: Message, answer: readonly OmqPart[] | undefined): void {
    if (answer !== undefined && message.tag !== undefined) {
      try {
        message.caller.send(['REPLY', message.tag, ...answer]);
      } catch (error) {
        this.#log.error({ error, command: message.command.name }, 'omq reply cannot be sent');
      }
    }
    this.#release(message);
  }

  #fail(message: Message, error: unknown): void {
    this.#log.error({ error, command: message.command.name }, 'omq handler failed');
    this.#release(message);
  }

  #release(message: Message): void {
    message.end();
    message.caller.running--;
    this.#running--;
    if (!message.isHeld) this.#giveBack(message);
    if (this.#running === 0 && this.#isStopping) {
      const run = this.#onIdle;
      this.#onIdle = undefined;
      run?.();
    }
  }

  /** The place in the category, to the next that waits for one. */
  readonly #giveBack = (message: Message): void => {
    const { category } = message.command;
    category.heldBytes -= message.bytes;
    if (category.head < category.queue.length) {
      const next = category.queue[category.head++]!; // takes over the place
      this.#running++;
      if (category.head === category.queue.length) {
        category.queue = [];
        category.head = 0;
      } else if (category.head > 1024) {
        category.queue.splice(0, category.head);
        category.head = 0;
      }
      // Not from here: handlers that answer at once would nest as deep as the queue is long.
      queueMicrotask(() => this.#run(next));
      return;
    }
    category.running--;
  };
}
