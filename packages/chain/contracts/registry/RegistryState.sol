// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IServiceNodeRegistry} from "../IServiceNodeRegistry.sol";

/// @title Constants, storage and epochs of the registry (spec/chain §4.3, 4.4, 4.7).
abstract contract RegistryState is IServiceNodeRegistry {
    /// Values before their last change, and when the new ones (in Params) take over. A stake that is already on its
    /// way out, and a quorum that is already drawn, keep the rules they began under.
    struct Notices {
        uint32 oldUnlockDelay;
        uint40 unlockDelayAt;
        uint32 oldDeregLock;
        uint40 deregLockAt;
        uint16 oldPenaltyBps;
        uint40 penaltyBpsAt;
        uint8 oldQuorumSize;
        uint8 oldMinVoters;
        uint32 quorumFrom;
    }

    uint8 internal constant ACTIVE = 2;
    uint8 internal constant DECOMMISSIONED = 3;
    uint8 internal constant DEREGISTERED = 4;
    uint8 internal constant EXITED = 5;
    uint8 internal constant PAYABLE = 1;
    uint40 internal constant DUE = 1;
    uint32 internal constant INF = type(uint32).max;
    uint8 internal constant SEED_BLOCK = 1;
    /// Epochs after its end in which a slot may be named by a draw that can still be voted on, and one more.
    uint32 internal constant SLOT_REST = 3;

    address internal immutable token;
    address internal immutable rewardPool;
    address internal immutable contributionPools;
    address internal immutable governor;
    address internal immutable guardian;
    uint256 internal immutable epochLength;
    uint256 internal immutable revealWindow;
    uint256 internal immutable t0;
    uint256 internal immutable registrationOpenAt;
    uint8 internal immutable seedMode;

    // The order of what follows is known to RegistryLens.
    Params internal _params;
    Notices internal _notices;
    Accounting internal _accounting;
    Positions internal _positions;
    bytes32 internal _seed1;
    bytes32 internal _seed2;
    /// slot → votingKey 160 | nodeId 32 | from 32 | until 32
    mapping(uint256 => uint256) internal _slots;
    /// epoch 32 | number of slots 32, ascending
    uint64[] internal _checkpoints;
    /// slot 32 | epoch of reuse 32; a queue from _positions.freeHead on
    uint64[] internal _freeSlots;
    mapping(uint256 => Node) internal _nodes;
    mapping(uint256 => mapping(uint256 => Contributor)) internal _contributors;
    /// position → time 40 | nodeId 32
    mapping(uint256 => uint256) internal _payQueue;
    mapping(uint256 => uint256) internal _exitQueue;
    mapping(address => bool) internal _isGenesisOperator;
    address internal _successor;
    uint40 internal _successorNamedAt;
    uint40 internal _pausedUntil;
    uint40 internal _pausedAt;

    constructor(Config memory c) {
        if (c.token == address(0) || c.rewardPool == address(0) || c.contributionPools == address(0)) {
            revert ZeroAddress();
        }
        if (
            c.epochLength == 0 ||
            c.revealWindow == 0 ||
            c.revealWindow * 4 > c.epochLength ||
            c.seedMode > SEED_BLOCK
        ) {
            revert OutOfBounds();
        }
        token = c.token;
        rewardPool = c.rewardPool;
        contributionPools = c.contributionPools;
        governor = c.governor;
        guardian = c.guardian;
        epochLength = c.epochLength;
        revealWindow = c.revealWindow;
        registrationOpenAt = c.registrationOpenAt;
        seedMode = c.seedMode;
        t0 = block.timestamp;
        _accounting.lastAccrual = uint40(block.timestamp);
    }

    function epochNow() public view returns (uint32) {
        return _epochAt(block.timestamp);
    }

    function _epochAt(uint256 time) internal view returns (uint32) {
        unchecked {
            return uint32((time - t0) / epochLength);
        }
    }

    function _startOf(uint256 epoch) internal view returns (uint256) {
        unchecked {
            return t0 + epoch * epochLength;
        }
    }

    /// The counters of the rate limits begin anew with the first change of an epoch; the limits are shares of the
    /// nodes that were active then, so that the order of changes inside an epoch does not matter.
    function _rollCounters(uint32 epoch) internal {
        Accounting storage a = _accounting;
        if (a.counterEpoch != epoch) {
            a.counterEpoch = epoch;
            a.registrations = 0;
            a.decommissions = 0;
            a.activeBase = a.activeCount;
        }
    }

    function config() external view returns (Config memory c) {
        c.token = token;
        c.rewardPool = rewardPool;
        c.contributionPools = contributionPools;
        c.governor = governor;
        c.guardian = guardian;
        c.epochLength = uint32(epochLength);
        c.revealWindow = uint32(revealWindow);
        c.t0 = uint40(t0);
        c.registrationOpenAt = uint40(registrationOpenAt);
        c.seedMode = seedMode;
    }

    function storageWords(uint256 slot, uint256 count) external view returns (uint256[] memory words) {
        words = new uint256[](count);
        assembly ("memory-safe") {
            let place := add(words, 0x20)
            for { let i := 0 } lt(i, count) { i := add(i, 1) } {
                mstore(add(place, shl(5, i)), sload(add(slot, i)))
            }
        }
    }
}
