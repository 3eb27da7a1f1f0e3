// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {RegistryState} from "./RegistryState.sol";

/// @title Parameters, their bounds, and the powers of governor and guardian (spec/chain §4.3, 4.14).
abstract contract Parameters is RegistryState {
    /// Longer than the longest usual unlock: whoever dislikes a change can leave under the old rule.
    uint256 internal constant CHANGE_NOTICE = 15 days;
    uint256 internal constant SUCCESSOR_NOTICE = 14 days;
    uint256 internal constant MAX_PAUSE = 14 days;
    uint256 internal constant PAUSE_PERIOD = 90 days;
    uint256 internal constant TOKEN_UNIT = 10 ** 9;

    /// First byte and width in bytes of each Param in the two words of Params, lowest byte first.
    bytes16 private constant PLACES = hex"0008090d1113171b2024282c30383a3c";
    bytes16 private constant WIDTHS = hex"08010404020404040404040408020202";

    modifier onlyGovernor() {
        if (msg.sender != governor) revert NotGovernor();
        _;
    }

    constructor(Params memory p) {
        _params = p;
        _checkBounds();
        Notices storage n = _notices;
        n.oldQuorumSize = p.quorumSize;
        n.oldMinVoters = p.minVoters;
        // The events alone tell everything: who follows them needs no list of presets.
        uint256[16] memory values = [
            uint256(p.stakingRequirement),
            p.maxContributors,
            p.unlockDelay,
            p.deregLock,
            p.penaltyBps,
            p.payableDelay,
            p.shortOutage,
            p.smallDelay,
            p.creditInitial,
            p.creditMax,
            (uint256(p.creditRateNum) << 16) | p.creditRateDen,
            p.minGrace,
            (uint256(p.rateNum) << 32) | p.rateDen,
            (uint256(p.quorumSize) << 8) | p.minVoters,
            p.deactivationBps,
            p.registrationBps
        ];
        for (uint8 key; key < values.length; ++key) emit ParamChanged(key, values[key], 0);
    }

    function setParam(Param key, uint256 value) external onlyGovernor {
        // What has accrued until now was earned under the old values.
        _pokeBeforeChange();
        Params storage p = _params;
        Notices storage n = _notices;
        uint32 fromEpoch = epochNow();
        if (key == Param.quorum) {
            // Three sizes would be needed to answer for the epochs that can be voted on.
            if (fromEpoch <= n.quorumFrom && n.quorumFrom != 0) revert TooEarly();
            (n.oldQuorumSize, n.oldMinVoters) = (p.quorumSize, p.minVoters);
            fromEpoch += 2;
            n.quorumFrom = fromEpoch;
        } else if (key == Param.unlockDelay || key == Param.deregLock || key == Param.penaltyBps) {
            uint40 effectiveAt = uint40(block.timestamp + CHANGE_NOTICE);
            fromEpoch = _epochAt(effectiveAt) + 1;
            if (key == Param.unlockDelay) (n.oldUnlockDelay, n.unlockDelayAt) = (_unlockDelay(), effectiveAt);
            else if (key == Param.deregLock) (n.oldDeregLock, n.deregLockAt) = (_deregLock(), effectiveAt);
            else (n.oldPenaltyBps, n.penaltyBpsAt) = (_penaltyBps(), effectiveAt);
        }
        uint256 place = uint8(PLACES[uint8(key)]);
        uint256 bits = uint256(uint8(WIDTHS[uint8(key)])) * 8;
        if (value >> bits != 0) revert OutOfBounds();
        assembly ("memory-safe") {
            let slot := add(p.slot, shr(5, place))
            let shift := shl(3, and(place, 31))
            let mask := shl(shift, sub(shl(bits, 1), 1))
            sstore(slot, or(and(sload(slot), not(mask)), shl(shift, value)))
        }
        _checkBounds();
        emit ParamChanged(uint8(key), value, fromEpoch);
    }

    function nameSuccessor(address successor_) external onlyGovernor {
        _successor = successor_;
        _successorNamedAt = uint40(block.timestamp);
        emit SuccessorNamed(successor_);
    }

    function announceMinimumVersion(uint16 major, uint16 minor, uint16 patch) external onlyGovernor {
        emit MinimumVersion(major, minor, patch);
    }

    function pauseRegistrations(uint40 duration) external {
        if (msg.sender != guardian) revert NotGuardian();
        if (duration > MAX_PAUSE) revert OutOfBounds();
        if (_pausedAt != 0 && block.timestamp < _pausedAt + PAUSE_PERIOD) revert TooEarly();
        _pausedAt = uint40(block.timestamp);
        _pausedUntil = uint40(block.timestamp) + duration;
        emit RegistrationsPaused(_pausedUntil);
    }

    function resumeRegistrations() external {
        if (msg.sender != guardian) revert NotGuardian();
        _pausedUntil = uint40(block.timestamp);
        emit RegistrationsPaused(_pausedUntil);
    }

    function stakingRequirement() external view returns (uint64) {
        return _params.stakingRequirement;
    }

    function maxContributors() external view returns (uint8) {
        return _params.maxContributors;
    }

    function quorumParams(uint32 epoch) public view returns (uint8 quorumSize, uint8 minVoters) {
        if (epoch < _notices.quorumFrom) return (_notices.oldQuorumSize, _notices.oldMinVoters);
        return (_params.quorumSize, _params.minVoters);
    }

    function _pokeBeforeChange() internal virtual;

    function _unlockDelay() internal view returns (uint32) {
        return block.timestamp < _notices.unlockDelayAt ? _notices.oldUnlockDelay : _params.unlockDelay;
    }

    function _deregLock() internal view returns (uint32) {
        return block.timestamp < _notices.deregLockAt ? _notices.oldDeregLock : _params.deregLock;
    }

    function _penaltyBps() internal view returns (uint16) {
        return block.timestamp < _notices.penaltyBpsAt ? _notices.oldPenaltyBps : _params.penaltyBps;
    }

    function _checkBounds() private view {
        Params storage p = _params;
        bool inside = p.stakingRequirement >= TOKEN_UNIT &&
            p.stakingRequirement <= 10 ** 6 * TOKEN_UNIT &&
            p.maxContributors >= 1 &&
            p.maxContributors <= 10 &&
            p.unlockDelay <= 30 days &&
            p.deregLock <= 60 days &&
            p.penaltyBps <= 500 &&
            p.payableDelay <= 7 days &&
            p.shortOutage <= 6 hours &&
            p.smallDelay <= 60 days;
        inside =
            inside &&
            p.creditInitial <= p.creditMax &&
            p.creditMax <= 14 days &&
            p.creditRateDen != 0 &&
            uint256(p.creditRateNum) * 5 <= p.creditRateDen &&
            p.minGrace >= 2 * epochLength &&
            p.minGrace <= 30 days &&
            p.rateDen != 0 &&
            uint256(p.rateNum) * 2 <= p.rateDen;
        inside =
            inside &&
            p.quorumSize >= 5 &&
            p.quorumSize <= 32 &&
            p.minVoters >= 3 &&
            p.minVoters <= p.quorumSize &&
            p.deactivationBps <= 10_000 &&
            p.registrationBps <= 10_000;
        if (!inside) revert OutOfBounds();
    }
}
