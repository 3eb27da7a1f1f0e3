// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IServiceNodeRegistry} from "./IServiceNodeRegistry.sol";

/// @title Reads the registry's storage apart, many things at once; holds nothing (spec/chain §4.2, 4.4, 4.15).
/// @dev Apart from the registry for the sake of that one's size. The numbers below are places of its storage.
contract RegistryLens {
    uint256 public constant MAX_COUNT = 200;
    uint256 private constant PARAMS = 0;
    uint256 private constant NOTICES = 2;
    uint256 private constant ACCOUNTING = 3;
    uint256 private constant POSITIONS = 5;
    uint256 private constant SLOTS = 8;
    uint256 private constant NODES = 11;
    uint256 private constant CONTRIBUTORS = 12;
    uint256 private constant PAY_QUEUE = 13;
    uint256 private constant EXIT_QUEUE = 14;
    uint256 private constant GENESIS_OPERATORS = 15;
    uint256 private constant SUCCESSOR = 16;

    uint8 private constant ACTIVE = 2;
    uint8 private constant DECOMMISSIONED = 3;

    struct WholeNode {
        uint32 nodeId;
        IServiceNodeRegistry.Node node;
        IServiceNodeRegistry.Contributor[] contributors;
        // The slot word; of a finished node it may belong to another one by now.
        address votingKey;
        uint32 slotNodeId;
        uint32 from;
        uint32 until;
        uint32 credit; // creditOf
    }

    struct QueueEntry {
        uint40 time;
        uint32 nodeId;
    }

    IServiceNodeRegistry public immutable registry;

    constructor(IServiceNodeRegistry registry_) {
        registry = registry_;
    }

    /// The nodes `from`, `from + 1`, … that exist; at most `count` and at most 200. Ids begin with 1.
    function nodes(uint32 from, uint32 count) external view returns (WholeNode[] memory list) {
        if (from == 0) from = 1;
        uint256 last = positions().lastNodeId;
        if (count > MAX_COUNT) count = uint32(MAX_COUNT);
        if (from > last) return list;
        uint256 length = last - from + 1;
        list = new WholeNode[](length < count ? length : count);
        for (uint32 i; i < list.length; ++i) {
            WholeNode memory w = list[i];
            w.nodeId = from + i;
            w.node = node(w.nodeId);
            w.contributors = contributors(w.nodeId);
            (w.votingKey, w.slotNodeId, w.from, w.until) = slotAt(w.node.slot);
            w.credit = _creditOf(w.node);
        }
    }

    /// All fields zero: no such node.
    function node(uint32 nodeId) public view returns (IServiceNodeRegistry.Node memory n) {
        uint256[] memory words = registry.storageWords(_place(nodeId, NODES), 6);
        uint256 w = words[0];
        n.operator = address(uint160(w));
        n.slot = uint32(w >> 160);
        n.state = uint8(w >> 192);
        n.feeBps = uint16(w >> 200);
        n.contributorCount = uint8(w >> 216);
        n.stateNonce = uint32(w >> 224);
        w = words[1];
        n.registeredAt = uint40(w);
        n.activeSince = uint40(w >> 40);
        n.decommissionedAt = uint40(w >> 80);
        n.credit = uint32(w >> 120);
        n.unlockAt = uint40(w >> 152);
        n.lockedUntil = uint40(w >> 192);
        n.decommissionCount = uint16(w >> 232);
        n.flags = uint8(w >> 248);
        n.ed25519 = bytes32(words[2]);
        w = words[3];
        n.reward = uint128(w);
        n.accSnap = uint128(w >> 128);
        w = words[4];
        n.stake = uint128(w);
        n.reasonsAll = uint16(w >> 128);
        n.reasonsAny = uint16(w >> 144);
        n.payableAt = uint40(w >> 160);
        n.penalty = uint56(w >> 200);
        n.beaconAnchor = bytes32(words[5]);
    }

    function contributors(uint32 nodeId) public view returns (IServiceNodeRegistry.Contributor[] memory list) {
        uint256 outer = _place(nodeId, CONTRIBUTORS);
        list = new IServiceNodeRegistry.Contributor[](
            uint8(registry.storageWords(_place(nodeId, NODES), 1)[0] >> 216)
        );
        for (uint256 i; i < list.length; ++i) {
            uint256[] memory words = registry.storageWords(_place(i, outer), 2);
            IServiceNodeRegistry.Contributor memory c = list[i];
            c.staker = address(uint160(words[0]));
            c.amount = uint88(words[0] >> 160);
            c.withdrawn = words[0] >> 248 != 0;
            c.beneficiary = address(uint160(words[1]));
            c.claimed = uint96(words[1] >> 160);
        }
    }

    /// Active: credit now. Decommissioned: what is left of it. Else 0. Seconds.
    function creditOf(uint32 nodeId) external view returns (uint32) {
        return _creditOf(node(nodeId));
    }

    function _creditOf(IServiceNodeRegistry.Node memory n) private view returns (uint32) {
        if (n.state == ACTIVE) {
            IServiceNodeRegistry.Params memory p = params();
            uint256 credit = n.credit + ((block.timestamp - n.activeSince) * p.creditRateNum) / p.creditRateDen;
            return credit > p.creditMax ? p.creditMax : uint32(credit);
        }
        if (n.state != DECOMMISSIONED) return 0;
        uint256 downtime = block.timestamp - n.decommissionedAt;
        return n.credit > downtime ? uint32(n.credit - downtime) : 0;
    }

    function slotCount() public view returns (uint32) {
        return registry.slotCountFor(type(uint32).max);
    }

    function slotAt(
        uint32 slot
    ) public view returns (address votingKey, uint32 nodeId, uint32 from, uint32 until) {
        uint256 word = registry.storageWords(_place(slot, SLOTS), 1)[0];
        return (address(uint160(word >> 96)), uint32(word >> 64), uint32(word >> 32), uint32(word));
    }

    /// The words of the slots `from`, `from + 1`, … (votingKey 160 | nodeId 32 | from 32 | until 32).
    function slots(uint32 from, uint32 count) external view returns (uint256[] memory words) {
        uint256 total = slotCount();
        if (from >= total) return words;
        words = new uint256[](total - from < count ? total - from : count);
        for (uint256 i; i < words.length; ++i) {
            words[i] = registry.storageWords(_place(from + i, SLOTS), 1)[0];
        }
    }

    /// What a claim would pay now, without the pool's cap. Not a view, since it works off the queues: meant for eth_call.
    function claimable(IServiceNodeRegistry.Entry[] calldata entries) external returns (uint256[] memory amounts) {
        registry.poke(1000);
        amounts = new uint256[](entries.length);
        for (uint256 i; i < amounts.length; ++i) {
            amounts[i] = registry.claimable(entries[i].nodeId, entries[i].index);
        }
    }

    function accounting() external view returns (IServiceNodeRegistry.Accounting memory a) {
        uint256[] memory words = registry.storageWords(ACCOUNTING, 2);
        a.accPerNode = uint128(words[0]);
        a.allocated = uint128(words[0] >> 128);
        uint256 w = words[1];
        a.lastAccrual = uint40(w);
        a.payableCount = uint32(w >> 40);
        a.activeCount = uint32(w >> 72);
        a.counterEpoch = uint32(w >> 104);
        a.registrations = uint32(w >> 136);
        a.decommissions = uint32(w >> 168);
        a.activeBase = uint32(w >> 200);
    }

    function positions() public view returns (IServiceNodeRegistry.Positions memory p) {
        uint256 w = registry.storageWords(POSITIONS, 1)[0];
        p.payHead = uint32(w);
        p.payTail = uint32(w >> 32);
        p.exitHead = uint32(w >> 64);
        p.exitTail = uint32(w >> 96);
        p.freeHead = uint32(w >> 128);
        p.lastNodeId = uint32(w >> 160);
        p.revealedEpoch1 = uint32(w >> 192);
        p.revealedEpoch2 = uint32(w >> 224);
    }

    /// Parameters in force now; a change that waits for its time is not in them.
    function params() public view returns (IServiceNodeRegistry.Params memory p) {
        uint256[] memory words = registry.storageWords(PARAMS, 3);
        uint256 w = words[0];
        p.stakingRequirement = uint64(w);
        p.maxContributors = uint8(w >> 64);
        p.unlockDelay = uint32(w >> 72);
        p.deregLock = uint32(w >> 104);
        p.penaltyBps = uint16(w >> 136);
        p.payableDelay = uint32(w >> 152);
        p.shortOutage = uint32(w >> 184);
        p.smallDelay = uint32(w >> 216);
        w = words[1];
        p.creditInitial = uint32(w);
        p.creditMax = uint32(w >> 32);
        p.creditRateDen = uint16(w >> 64);
        p.creditRateNum = uint16(w >> 80);
        p.minGrace = uint32(w >> 96);
        p.rateDen = uint32(w >> 128);
        p.rateNum = uint32(w >> 160);
        p.deactivationBps = uint16(w >> 208);
        p.registrationBps = uint16(w >> 224);
        w = words[NOTICES];
        if (block.timestamp < uint40(w >> 32)) p.unlockDelay = uint32(w);
        if (block.timestamp < uint40(w >> 104)) p.deregLock = uint32(w >> 72);
        if (block.timestamp < uint40(w >> 160)) p.penaltyBps = uint16(w >> 144);
        (p.quorumSize, p.minVoters) = registry.quorumParams(registry.epochNow());
    }

    /// The first `count` waiting entries: of those who become payable (false), of those who leave (true).
    function queue(bool exits, uint32 count) external view returns (QueueEntry[] memory list) {
        IServiceNodeRegistry.Positions memory p = positions();
        (uint32 head, uint32 tail) = exits ? (p.exitHead, p.exitTail) : (p.payHead, p.payTail);
        list = new QueueEntry[](tail - head < count ? tail - head : count);
        for (uint256 i; i < list.length; ++i) {
            uint256 word = registry.storageWords(_place(head + i, exits ? EXIT_QUEUE : PAY_QUEUE), 1)[0];
            list[i] = QueueEntry(uint40(word >> 32), uint32(word));
        }
    }

    function isGenesisOperator(address operator) external view returns (bool) {
        return registry.storageWords(_place(uint160(operator), GENESIS_OPERATORS), 1)[0] != 0;
    }

    function successor() external view returns (address successor_, uint40 namedAt) {
        uint256 w = registry.storageWords(SUCCESSOR, 1)[0];
        return (address(uint160(w)), uint40(w >> 160));
    }

    function registrationsPausedUntil() external view returns (uint40) {
        return uint40(registry.storageWords(SUCCESSOR, 1)[0] >> 200);
    }

    function _place(uint256 key, uint256 slot) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(key, slot)));
    }
}
