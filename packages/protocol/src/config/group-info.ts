// SPDX-License-Identifier: MIT
// What a closed group is called and how it behaves (spec/config-and-groups §3.6). Setters are for admins: for others they
// throw ConfigError `read_only`. Times are Unix seconds, 0 for none.
import { checkText, Fields, MAX_NAME_BYTES, type Picture } from './fields.ts';
import { GroupConfig, type GroupConfigOptions } from './group-config.ts';

// From the specification, spec/config-and-groups §3.
const MAX_DESCRIPTION_BYTES = 600;

export class GroupInfoConfig extends GroupConfig {
  readonly #fields = new Fields(this, []);

  /**
   * @throws ParseError `config` for a dump that is broken
   * @throws ConfigError `bad_value` for a seed that is not of this group
   */
  constructor(options: GroupConfigOptions) {
    super('groupInfo', options);
  }

  get name(): string {
    return this.#fields.text('n');
  }

  /** @throws ConfigError `bad_value` for more than 100 bytes */
  setName(name: string): void {
    checkText('a name', name, MAX_NAME_BYTES);
    this.#fields.setText('n', name);
  }

  get description(): string {
    return this.#fields.text('o');
  }

  /** @throws ConfigError `bad_value` for more than 600 bytes */
  setDescription(description: string): void {
    checkText('a description', description, MAX_DESCRIPTION_BYTES);
    this.#fields.setText('o', description);
  }

  get picture(): Picture | undefined {
    return this.#fields.picture();
  }

  /** @throws ConfigError `bad_value` */
  setPicture(picture: Picture | undefined): void {
    this.#fields.setPicture(picture);
  }

  /** After that time from being sent, messages disappear; 0: never. */
  get expirySeconds(): number {
    return this.#fields.positive('E');
  }

  setExpiry(seconds: number): void {
    this.#fields.setPositive('E', seconds);
  }

  get createdSeconds(): number {
    return this.#fields.time('c');
  }

  setCreated(seconds: number): void {
    this.#fields.setTime('c', seconds);
  }

  /** All messages sent before are to be deleted. */
  get deleteBeforeSeconds(): number {
    return this.#fields.time('d');
  }

  setDeleteBefore(seconds: number): void {
    this.#fields.setTime('d', seconds);
  }

  /** All messages with attachments sent before are to be deleted. */
  get deleteAttachmentsBeforeSeconds(): number {
    return this.#fields.time('D');
  }

  setDeleteAttachmentsBefore(seconds: number): void {
    this.#fields.setTime('D', seconds);
  }

  get isDestroyed(): boolean {
    return this.#fields.positive('!') > 0;
  }

  /** For good. */
  destroy(): void {
    this.#fields.setFlag('!', true);
  }
}
