// SPDX-License-Identifier: MIT
// Who is in a closed group (spec/config-and-groups §3.7). Setters are for admins: for others they throw ConfigError
// `read_only`.
import type { AccountId } from '../identity/account-id.ts';
import { dictEntries, Fields, idKey, idOfKey, MAX_NAME_BYTES, type Picture, truncateText } from './fields.ts';
import { GroupConfig, type GroupConfigOptions } from './group-config.ts';

/** How far an invitation or a promotion has come; other numbers are of newer clients. */
export const Delivery = { done: 0, sent: 1, failed: 2, notSent: 3 } as const;

export const MemberRemoval = { none: 0, removed: 1, removedWithMessages: 2 } as const;

type DeliveryStatus = 'unknown' | 'not_sent' | 'sending' | 'failed' | 'sent' | 'accepted';

/** What to show of a member. */
export type MemberStatus =
  | `invite_${DeliveryStatus}`
  | `promotion_${DeliveryStatus}`
  | 'removed_unknown'
  | 'removed'
  | 'removed_including_messages';

export interface GroupMember {
  readonly id: AccountId;
  /** Cut to 100 bytes. */
  readonly name: string;
  readonly picture: Picture | undefined;
  readonly profileUpdatedSeconds: number;
  readonly isAdmin: boolean;
  /** `Delivery`; 0 for admins. */
  readonly invite: number;
  /** `Delivery`. */
  readonly promotion: number;
  /** `MemberRemoval`. */
  readonly removal: number;
  /** Whether the invitation brings the keys of earlier messages. */
  readonly sharesHistory: boolean;
  readonly status: MemberStatus;
}

const MEMBERS = 'm';
const PENDING = 'pending_send_ids';

export class GroupMembersConfig extends GroupConfig {
  /**
   * @throws ParseError `config` for a dump that is broken
   * @throws ConfigError `bad_value` for a seed that is not of this group
   */
  constructor(options: GroupConfigOptions) {
    super('groupMembers', options);
  }

  member(id: AccountId): GroupMember | undefined {
    const key = idKey(id);
    return this.get(MEMBERS, key) instanceof Map ? this.#read(id, key) : undefined;
  }

  /** In the order of their ids. */
  *members(): Generator<GroupMember> {
    for (const [key] of dictEntries(this.get(MEMBERS))) {
      const id = idOfKey<AccountId>(key, '05');
      if (id !== undefined) yield this.#read(id, key);
    }
  }

  /**
   * Adds or changes a member: what is given is written, the rest stays. A new one is to be invited.
   * @throws ConfigError `read_only`, `bad_value`
   */
  setMember(member: Partial<Omit<GroupMember, 'status'>> & Pick<GroupMember, 'id'>): void {
    const { id } = member;
    const before = this.member(id);
    const isAdmin = member.isAdmin ?? before?.isAdmin ?? false;
    const invite = isAdmin ? 0 : (member.invite ?? before?.invite ?? Delivery.notSent);
    const promotion = member.promotion ?? before?.promotion ?? 0;
    const fields = new Fields(this, [MEMBERS, idKey(id)]);
    if ('picture' in member) fields.setPicture(member.picture);
    fields.setAlways('n', truncateText(member.name ?? before?.name ?? '', MAX_NAME_BYTES));
    if (member.profileUpdatedSeconds !== undefined) fields.setPositive('t', member.profileUpdatedSeconds);
    fields.setFlag('A', isAdmin);
    fields.setPositive('I', invite);
    fields.setPositive('P', promotion);
    if (member.sharesHistory !== undefined) fields.setFlag('s', member.sharesHistory);
    if (member.removal !== undefined) fields.setPositive('R', member.removal);
    this.#setPending(id, (isAdmin ? promotion : invite) === Delivery.notSent);
  }

  /** What became of the invitation. */
  setInvite(id: AccountId, invite: number): void {
    const isDone = invite === Delivery.done;
    this.setMember({ id, isAdmin: false, invite, ...(isDone && { sharesHistory: false }) });
  }

  /** Makes an admin of a member, or says what became of that. */
  setPromotion(id: AccountId, promotion: number): void {
    this.setMember({ id, isAdmin: true, promotion });
  }

  /** Marks a member; the entry goes when the removal is done, by `eraseMember`. */
  removeMember(id: AccountId, withMessages: boolean): void {
    const removal = withMessages ? MemberRemoval.removedWithMessages : MemberRemoval.removed;
    this.setMember({ id, invite: 0, promotion: 0, removal });
  }

  eraseMember(id: AccountId): void {
    this.erase([MEMBERS, idKey(id)]);
    this.#setPending(id, false);
  }

  #read(id: AccountId, key: string): GroupMember {
    const fields = new Fields(this, [MEMBERS, key]);
    const isAdmin = fields.flag('A');
    const invite = isAdmin ? 0 : fields.positive('I');
    const promotion = fields.positive('P');
    const removal = fields.positive('R');
    const member = {
      id,
      name: fields.text('n'),
      picture: fields.picture(),
      profileUpdatedSeconds: fields.positive('t'),
      isAdmin,
      invite,
      promotion,
      removal,
      sharesHistory: invite > 0 && promotion === 0 && fields.flag('s'),
    };
    return { ...member, status: statusOf(member, this.#isPending(id)) };
  }

  #isPending(id: AccountId): boolean {
    const pending = this.extra.get(PENDING);
    return pending instanceof Set && pending.has(id);
  }

  /** On this device only: whose invitation or promotion is about to be sent. */
  #setPending(id: AccountId, isPending: boolean): void {
    if (isPending === this.#isPending(id)) return;
    const before = this.extra.get(PENDING);
    const pending = new Set(before instanceof Set ? before : []);
    if (isPending) pending.add(id);
    else pending.delete(id);
    if (pending.size > 0) this.extra.set(PENDING, pending);
    else this.extra.delete(PENDING);
    this.markForDump();
  }
}

function statusOf(member: Omit<GroupMember, 'status'>, isPending: boolean): MemberStatus {
  if (member.removal > 0) {
    if (member.removal === MemberRemoval.removedWithMessages) return 'removed_including_messages';
    return member.removal === MemberRemoval.removed ? 'removed' : 'removed_unknown';
  }
  const [subject, delivery] = member.isAdmin
    ? (['promotion', member.promotion] as const)
    : (['invite', member.invite] as const);
  switch (delivery) {
    case Delivery.done:
      return `${subject}_accepted`;
    case Delivery.sent:
      return `${subject}_sent`;
    case Delivery.failed:
      return `${subject}_failed`;
    case Delivery.notSent:
      return isPending ? `${subject}_sending` : `${subject}_not_sent`;
    default:
      return `${subject}_unknown`;
  }
}
