// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {ISuccessorRegistry} from "./ISuccessorRegistry.sol";
import {Parameters} from "./registry/Parameters.sol";
import {RegistryState} from "./registry/RegistryState.sol";
import {Rewards} from "./registry/Rewards.sol";
import {TypedData} from "./TypedData.sol";

/// @title Stakes, states and votes of the service nodes (spec/chain §4.5, 4.10, 4.11, 4.13).
/// @dev unchecked stands around counters, epochs and times, which cannot reach the ends of their types; sums of tokens
/// are checked.
/// @notice No proxy, no owner: the governor moves bounded parameters, and nobody can move a stake but its owner.
contract ServiceNodeRegistry is Rewards, TypedData {
    using SafeERC20 for IERC20;

    bytes32 private constant VOTE_TYPE =
        keccak256("StateVote(uint32 nodeId,uint8 action,uint32 epoch,uint32 stateNonce,uint16 reasons)");
    uint8 private constant DECOMMISSION = 1;
    uint8 private constant RECOMMISSION = 2;
    uint8 private constant DEREGISTER = 3;
    /// Registrations and decommissions that an epoch allows however small the network is.
    uint256 private constant MIN_REGISTRATIONS = 10;
    uint256 private constant MIN_DECOMMISSIONS = 2;

    /// nodeId → contributor → successor to which he lets the node move
    mapping(uint256 => mapping(uint256 => address)) private _agreed;

    constructor(
        Config memory config_,
        Params memory initial,
        address[] memory genesisOperators
    ) RegistryState(config_) Parameters(initial) TypedData("SessionServiceNodes") {
        for (uint256 i; i < genesisOperators.length; ++i) _isGenesisOperator[genesisOperators[i]] = true;
    }

    // ---- registration ------------------------------------------------------------------------------------------

    function register(Registration calldata registration) external nonReentrant returns (uint32) {
        return _registerSolo(registration);
    }

    function registerWithPermit(
        Registration calldata registration,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external nonReentrant returns (uint32) {
        // Somebody may have sent the permit before us to make this fail; the allowance is what counts.
        try
            IERC20Permit(token).permit(msg.sender, address(this), _params.stakingRequirement, deadline, v, r, s)
        {} catch {}
        return _registerSolo(registration);
    }

    function _registerSolo(Registration calldata registration) private returns (uint32) {
        Contribution[] memory list = new Contribution[](1);
        list[0] = Contribution(msg.sender, registration.beneficiary, uint96(_params.stakingRequirement));
        return _register(msg.sender, registration, list);
    }

    function registerPooled(
        address operator,
        Registration calldata registration,
        Contribution[] memory contributions
    ) external nonReentrant returns (uint32) {
        if (msg.sender != contributionPools) revert NotPools();
        if (contributions.length == 0 || contributions.length > _params.maxContributors) revert BadStake();
        if (contributions[0].staker != operator) revert NotOperator();
        if (uint256(contributions[0].amount) * 4 < _params.stakingRequirement) revert BadStake();
        return _register(operator, registration, contributions);
    }

    function _register(
        address operator,
        Registration calldata registration,
        Contribution[] memory list
    ) private returns (uint32 nodeId) {
        if (registration.feeBps > 10_000) revert BadFee();
        if (registration.ed25519 == 0 || registration.votingKey == address(0)) revert ZeroKey();
        _poke(STEPS);
        uint32 epoch = epochNow();
        _countRegistration(operator, epoch);

        unchecked {
            nodeId = ++_positions.lastNodeId;
            ++_accounting.activeCount;
        }
        Node storage n = _nodes[nodeId];
        n.operator = operator;
        uint32 slot = _takeSlot(epoch);
        n.slot = slot;
        n.state = ACTIVE;
        n.feeBps = registration.feeBps;
        n.contributorCount = uint8(list.length);
        n.registeredAt = uint40(block.timestamp);
        n.activeSince = uint40(block.timestamp);
        n.credit = _params.creditInitial;
        n.ed25519 = registration.ed25519;
        n.beaconAnchor = registration.beaconAnchor;
        _queuePayable(nodeId, n);

        uint256 stake;
        for (uint256 i; i < list.length; ++i) {
            Contribution memory c = list[i];
            if (c.amount == 0) revert BadStake();
            if (c.beneficiary == address(0)) c.beneficiary = c.staker;
            stake += c.amount;
            Contributor storage stored = _contributors[nodeId][i];
            stored.staker = c.staker;
            stored.amount = uint88(c.amount); // stake ≤ 10^15
            stored.beneficiary = c.beneficiary;
        }
        if (stake != _params.stakingRequirement) revert BadStake();
        n.stake = uint128(stake);

        emit NodeRegistered(
            nodeId,
            operator,
            registration.ed25519,
            registration.edSig0,
            registration.edSig1,
            registration.votingKey,
            registration.beaconAnchor,
            registration.feeBps,
            stake,
            list
        );
        _writeSlot(slot, registration.votingKey, nodeId, epoch + 2, INF);

        uint256 before = _held(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), stake);
        if (_held(address(this)) != before + stake) revert TransferMismatch();
    }

    /// Before the opening the genesis operators register, as many as they are; then everybody, at a limited rate.
    function _countRegistration(address operator, uint32 epoch) private {
        unchecked {
            if (block.timestamp < _pausedUntil) revert NotOpen();
            _rollCounters(epoch);
            if (block.timestamp < registrationOpenAt) {
                if (!_isGenesisOperator[operator]) revert NotOpen();
                return;
            }
            uint256 limit = _shareOf(_accounting.activeBase, _params.registrationBps);
            if (limit < MIN_REGISTRATIONS) limit = MIN_REGISTRATIONS;
            if (++_accounting.registrations > limit) revert RateLimited();
        }
    }

    function setVotingKey(uint32 nodeId, address key) external {
        Node storage n = _nodes[nodeId];
        if (msg.sender != n.operator) revert NotOperator();
        if (key == address(0)) revert ZeroKey();
        // Afterwards the slot may belong to somebody else.
        if (n.state != ACTIVE && n.state != DECOMMISSIONED) revert BadState(n.state);
        _slots[n.slot] = (uint256(uint160(key)) << 96) | uint96(_slots[n.slot]);
        emit VotingKeyChanged(nodeId, key);
    }

    function setBeneficiary(uint32 nodeId, uint8 index, address beneficiary) external {
        Contributor storage c = _contributors[nodeId][index];
        if (msg.sender != c.staker) revert NotContributor();
        if (beneficiary == address(0)) revert ZeroAddress();
        c.beneficiary = beneficiary;
        emit BeneficiaryChanged(nodeId, index, beneficiary);
    }

    // ---- votes -------------------------------------------------------------------------------------------------

    function submitStateChange(
        uint32 nodeId,
        uint8 action,
        uint32 epoch,
        uint32 stateNonce,
        Vote[] calldata votes
    ) external nonReentrant {
        {
            uint32 current = epochNow();
            if (epoch > current || epoch + 1 < current) revert StaleEpoch();
            if (block.timestamp < _startOf(epoch) + revealWindow) revert TooEarly();
        }
        Node storage n = _nodes[nodeId];
        if (n.stateNonce != stateNonce) revert BadNonce();
        _poke(STEPS);
        {
            uint8 state = n.state;
            if (action == DECOMMISSION ? state != ACTIVE : state != DECOMMISSIONED) revert BadState(state);
            uint40 unlockAt = n.unlockAt;
            // Its owners have left, even if the queue has not come to it yet.
            if (unlockAt != 0 && block.timestamp >= unlockAt) revert BadState(state);
        }
        (uint16 reasonsAll, uint16 reasonsAny) = _checkVotes(nodeId, action, epoch, stateNonce, votes);
        n.stateNonce = stateNonce + 1;
        n.reasonsAll = reasonsAll;
        n.reasonsAny = reasonsAny;
        if (action == DECOMMISSION) _decommission(nodeId, n);
        else if (action == RECOMMISSION) _recommission(nodeId, n);
        else if (action == DEREGISTER) _deregister(n, epoch);
        else revert BadAction();
        emit StateChanged(nodeId, n.state, epoch, stateNonce + 1, reasonsAll, reasonsAny);
    }

    function _checkVotes(
        uint32 nodeId,
        uint8 action,
        uint32 epoch,
        uint32 stateNonce,
        Vote[] calldata votes
    ) private view returns (uint16 reasonsAll, uint16 reasonsAny) {
        (uint256[] memory members, uint32 threshold) = _quorum(nodeId, epoch);
        if (threshold == 0) revert TooFewVoters();
        if (votes.length < threshold) revert TooFewVotes();
        if (votes.length > members.length) revert TooManyVotes();
        reasonsAll = type(uint16).max;
        uint256 lowest;
        for (uint256 k; k < votes.length; ++k) {
            Vote calldata vote = votes[k];
            uint8 index = vote.index;
            // Ascending: nobody votes twice.
            if (index < lowest || index >= members.length) revert BadIndex();
            lowest = uint256(index) + 1;
            (address signer, , ) = ECDSA.tryRecover(
                voteDigest(nodeId, action, epoch, stateNonce, vote.reasons),
                vote.r,
                vote.vs
            );
            if (signer == address(0) || signer != address(uint160(members[index] >> 96))) revert BadSignature(index);
            reasonsAll &= vote.reasons;
            reasonsAny |= vote.reasons;
        }
    }

    function voteDigest(
        uint32 nodeId,
        uint8 action,
        uint32 epoch,
        uint32 stateNonce,
        uint16 reasons
    ) public view returns (bytes32) {
        return _digest(keccak256(abi.encode(VOTE_TYPE, nodeId, action, epoch, stateNonce, reasons)));
    }

    function _decommission(uint32 nodeId, Node storage n) private {
        unchecked {
            uint32 epoch = epochNow();
            _rollCounters(epoch);
            uint256 limit = _shareOf(_accounting.activeBase, _params.deactivationBps);
            if (limit < MIN_DECOMMISSIONS) limit = MIN_DECOMMISSIONS;
            if (++_accounting.decommissions > limit) revert RateLimited();
            --_accounting.activeCount;
            if (_leavePayable(nodeId, n)) n.payableAt = DUE;
            n.credit = _creditOf(n);
            n.state = DECOMMISSIONED;
            n.decommissionedAt = uint40(block.timestamp);
            if (n.decommissionCount != type(uint16).max) ++n.decommissionCount;
            _endMembership(nodeId, n.slot, epoch + 1);
        }
    }

    function _recommission(uint32 nodeId, Node storage n) private {
        unchecked {
            uint32 epoch = epochNow();
            _rollCounters(epoch);
            uint256 downtime = block.timestamp - n.decommissionedAt;
            uint256 credit = n.credit;
            n.credit = uint32(credit > 2 * downtime ? credit - 2 * downtime : 0);
            n.state = ACTIVE;
            n.activeSince = uint40(block.timestamp);
            ++_accounting.activeCount;
            if (downtime <= _params.shortOutage && n.payableAt == DUE) _becomePayable(nodeId, n);
            else _queuePayable(nodeId, n);

            uint32 slot = n.slot;
            uint256 word = _slots[slot];
            // The old interval still counts in draws of this epoch and the one before: then the node takes another slot.
            if (uint32(word) >= epoch && uint32(word >> 32) < uint32(word)) {
                _freeSlot(slot);
                slot = _takeSlot(epoch);
                n.slot = slot;
            }
            uint32 until = INF;
            if (n.unlockAt != 0) {
                until = _epochAt(n.unlockAt) + 1;
                if (until < epoch + 2) until = epoch + 2;
            }
            _writeSlot(slot, address(uint160(word >> 96)), nodeId, epoch + 2, until);
        }
    }

    function _deregister(Node storage n, uint32 epoch) private {
        uint256 grace = n.credit > _params.minGrace ? n.credit : _params.minGrace;
        uint256 graceUntil = n.decommissionedAt + grace;
        if (block.timestamp < graceUntil) revert GraceNotOver(uint40(graceUntil));
        if (_startOf(epoch) <= n.decommissionedAt) revert StaleEpoch();
        n.state = DEREGISTERED;
        n.lockedUntil = uint40(block.timestamp + _deregLock());
        _freeSlot(n.slot);
        uint256 penalty = (uint256(n.stake) * _penaltyBps()) / 10_000;
        if (penalty == 0) return;
        n.penalty = uint56(penalty); // ≤ 5 % of 10^15
        IERC20(token).safeTransfer(rewardPool, penalty);
    }

    function _creditOf(Node storage n) private view returns (uint32) {
        unchecked {
            uint256 credit = n.credit +
                ((block.timestamp - n.activeSince) * _params.creditRateNum) /
                _params.creditRateDen;
            return credit > _params.creditMax ? _params.creditMax : uint32(credit);
        }
    }

    /// Rounded up.
    function _shareOf(uint256 count, uint256 bps) private pure returns (uint256) {
        unchecked {
            return (count * bps + 9_999) / 10_000;
        }
    }

    // ---- leaving -----------------------------------------------------------------------------------------------

    function requestExit(uint32 nodeId, uint8 index) external {
        unchecked {
            _poke(STEPS);
            Node storage n = _nodes[nodeId];
            Contributor storage c = _contributors[nodeId][index];
            if (msg.sender != c.staker) revert NotContributor();
            if (n.state != ACTIVE && n.state != DECOMMISSIONED) revert BadState(n.state);
            if (n.unlockAt != 0) revert ExitAlreadyRequested();
            if (uint256(c.amount) * 4 < n.stake) {
                uint40 lockedUntil = n.registeredAt + _params.smallDelay;
                if (block.timestamp < lockedUntil) revert SmallContributorLocked(lockedUntil);
            }
            Positions storage p = _positions;
            uint32 tail = p.exitTail;
            uint256 unlockAt = _notBefore(_exitQueue, tail, p.exitHead, block.timestamp + _unlockDelay());
            n.unlockAt = uint40(unlockAt);
            _exitQueue[tail] = (unlockAt << 32) | nodeId;
            p.exitTail = tail + 1;
            emit ExitRequested(nodeId, msg.sender, uint40(unlockAt));
            // Two epochs ahead at least, like an entry: nobody arranges the list knowing the seed.
            uint32 until = _epochAt(unlockAt) + 1;
            uint32 earliest = epochNow() + 2;
            _endMembership(nodeId, n.slot, until < earliest ? earliest : until);
        }
    }

    function withdrawStake(uint32 nodeId, uint8 index) external nonReentrant returns (uint256 amount) {
        Node storage n = _nodes[nodeId];
        if (n.state != EXITED && n.state != DEREGISTERED) _poke(STEPS);
        if (n.state == DEREGISTERED) {
            if (block.timestamp < n.lockedUntil) revert Locked(n.lockedUntil);
        } else if (n.state != EXITED) {
            revert BadState(n.state);
        }
        Contributor storage c = _contributors[nodeId][index];
        if (msg.sender != c.staker) revert NotContributor();
        if (c.withdrawn) revert AlreadyWithdrawn();
        c.withdrawn = true;
        amount = c.amount;
        if (index == 0) amount -= n.penalty;
        emit StakeWithdrawn(nodeId, index, amount);
        IERC20(token).safeTransfer(msg.sender, amount);
    }

    function agreeToMigrate(uint32 nodeId, uint8 index, address successor_) external {
        if (msg.sender != _contributors[nodeId][index].staker) revert NotContributor();
        _agreed[nodeId][index] = successor_;
        emit MigrationAgreed(nodeId, index, successor_);
    }

    function migrate(uint32 nodeId, bytes calldata data) external nonReentrant {
        _poke(STEPS);
        Node storage n = _nodes[nodeId];
        if (msg.sender != n.operator) revert NotOperator();
        if (n.state != ACTIVE || n.unlockAt != 0) revert BadState(n.state);
        address target = _successor;
        if (target == address(0)) revert NoSuccessor();
        if (block.timestamp < _successorNamedAt + SUCCESSOR_NOTICE) revert TooEarly();

        uint256 stake = n.stake;
        uint256 agreed;
        Contribution[] memory list = new Contribution[](n.contributorCount);
        for (uint256 i; i < list.length; ++i) {
            Contributor storage c = _contributors[nodeId][i];
            if (_agreed[nodeId][i] == target) agreed += c.amount;
            list[i] = Contribution(c.staker, c.beneficiary, c.amount);
            c.withdrawn = true;
        }
        if (agreed * 4 < stake * 3) revert NotAgreed();

        uint32 slot = n.slot;
        _endMembership(nodeId, slot, epochNow() + 2);
        _exit(nodeId, n);
        emit NodeMigrated(nodeId, target, stake);

        uint256 before = _held(address(this));
        IERC20(token).approve(target, stake);
        ISuccessorRegistry(target).acceptMigration(
            nodeId,
            msg.sender,
            n.ed25519,
            address(uint160(_slots[slot] >> 96)),
            n.feeBps,
            list,
            data
        );
        // Taken to the last unit, so that no allowance is left either.
        if (_held(address(this)) + stake != before) revert TransferMismatch();
    }
}
