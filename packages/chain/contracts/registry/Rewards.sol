// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {Seats} from "./Seats.sol";

interface IRewardPool {
    function pay(address to, uint256 amount) external;

    function room() external view returns (uint256);
}

/// @title Reward accumulator, the queues of what becomes due, and claims (spec/chain §4.12).
abstract contract Rewards is Seats, ReentrancyGuard {
    uint256 internal constant SCALE = 10 ** 18;
    uint256 internal constant YEAR = 365 days;
    /// Due entries that every call works off on its way.
    uint256 internal constant STEPS = 8;
    /// A pool that releases less than one unit in it releases nothing.
    uint256 private constant ROUNDING_TIME = 1 days;

    function poke(uint256 max) external returns (bool done) {
        return _poke(max);
    }

    function _pokeBeforeChange() internal override {
        _poke(64);
    }

    function _poke(uint256 max) internal returns (bool done) {
        unchecked {
            Positions storage p = _positions;
            while (true) {
                uint256 pay = p.payHead == p.payTail ? type(uint256).max : _payQueue[p.payHead];
                uint256 exit = p.exitHead == p.exitTail ? type(uint256).max : _exitQueue[p.exitHead];
                bool payFirst = pay >> 32 <= exit >> 32;
                uint256 entry = payFirst ? pay : exit;
                if (entry >> 32 > block.timestamp) {
                    _accrueTo(block.timestamp);
                    return true;
                }
                if (max == 0) return false;
                --max;
                uint40 time = uint40(entry >> 32);
                uint32 nodeId = uint32(entry);
                Node storage n = _nodes[nodeId];
                _accrueTo(time);
                if (payFirst) {
                    delete _payQueue[p.payHead++];
                    if (n.payableAt == time) {
                        if (n.state == ACTIVE) _becomePayable(nodeId, n);
                        else if (n.state == DECOMMISSIONED) n.payableAt = DUE;
                    }
                } else {
                    delete _exitQueue[p.exitHead++];
                    if (n.unlockAt == time && (n.state == ACTIVE || n.state == DECOMMISSIONED)) _exit(nodeId, n);
                }
            }
        }
    }

    function _accrueTo(uint256 time) private {
        Accounting storage a = _accounting;
        uint256 last = a.lastAccrual;
        if (time <= last) return;
        uint256 count = a.payableCount;
        if (count > 0) {
            uint256 balance = _held(rewardPool);
            uint256 allocated = a.allocated;
            // An empty pool loses no time to rounding: its clock goes on, or the next gift would be paid for the past.
            if (balance <= allocated) {
                a.lastAccrual = uint40(time);
                return;
            }
            uint256 free = balance - allocated;
            uint256 released = (free * _params.rateNum * (time - last)) / (_params.rateDen * YEAR);
            if (released == 0) {
                // Time is not lost to rounding; but a gift to a pool of a few units is not paid for the time before it.
                if (time - last > ROUNDING_TIME) a.lastAccrual = uint40(time);
                return;
            }
            if (released > free) released = free; // years without a call
            uint256 increase = (released * SCALE) / count;
            // Rounded up, so that allocated is never less than what the nodes can claim; never more than released.
            uint256 granted = (increase * count + SCALE - 1) / SCALE;
            a.allocated = uint128(allocated + granted);
            uint256 accPerNode = a.accPerNode + increase;
            a.accPerNode = uint128(accPerNode);
            emit Accrued(granted, accPerNode, uint40(time));
        }
        a.lastAccrual = uint40(time);
    }

    function _held(address holder) internal view returns (uint256) {
        return IERC20(token).balanceOf(holder);
    }

    function _becomePayable(uint32 nodeId, Node storage n) internal {
        unchecked {
            n.payableAt = 0;
            n.flags |= PAYABLE;
            n.accSnap = _accounting.accPerNode;
            ++_accounting.payableCount;
            emit PayableChanged(nodeId, true);
        }
    }

    /// Books what the node has earned and takes it out of the payable set; false if it was not in it.
    function _leavePayable(uint32 nodeId, Node storage n) internal returns (bool) {
        unchecked {
            if (n.flags & PAYABLE == 0) return false;
            n.reward = uint128(_earned(n));
            n.flags &= ~PAYABLE;
            --_accounting.payableCount;
            emit PayableChanged(nodeId, false);
            return true;
        }
    }

    function _queuePayable(uint32 nodeId, Node storage n) internal {
        unchecked {
            Positions storage p = _positions;
            uint32 tail = p.payTail;
            uint256 time = _notBefore(_payQueue, tail, p.payHead, block.timestamp + _params.payableDelay);
            n.payableAt = uint40(time);
            _payQueue[tail] = (time << 32) | nodeId;
            p.payTail = tail + 1;
        }
    }

    /// Times in a queue never decrease, also when a delay has been shortened. An empty queue has no past to respect.
    function _notBefore(
        mapping(uint256 => uint256) storage queue,
        uint32 tail,
        uint32 head,
        uint256 time
    ) internal view returns (uint256) {
        if (tail != head) {
            uint256 previous = queue[tail - 1] >> 32;
            if (previous > time) return previous;
        }
        return time;
    }

    function _exit(uint32 nodeId, Node storage n) internal {
        unchecked {
            uint32 epoch = epochNow();
            _rollCounters(epoch);
            _leavePayable(nodeId, n);
            if (n.state == ACTIVE) --_accounting.activeCount;
            n.state = EXITED;
            uint32 nonce = ++n.stateNonce;
            _freeSlot(n.slot);
            emit StateChanged(nodeId, EXITED, epoch, nonce, 0, 0);
        }
    }

    // ---- claims ------------------------------------------------------------------------------------------------

    function claim(Entry[] calldata entries) external nonReentrant returns (uint256 paid) {
        _poke(STEPS);
        // A cap smaller than one claim must not make it unpayable: the rest stays claimable.
        uint256 room = IRewardPool(rewardPool).room();
        bool capped;
        address to;
        uint256 sum;
        for (uint256 k; k < entries.length; ++k) {
            (uint32 nodeId, uint8 index) = (entries[k].nodeId, entries[k].index);
            Contributor storage c = _contributors[nodeId][index];
            address beneficiary = c.beneficiary;
            if ((msg.sender != c.staker && msg.sender != beneficiary) || beneficiary == address(0)) {
                revert NotContributor();
            }
            uint256 amount = _entitlement(_nodes[nodeId], c, index) - c.claimed;
            if (amount > room) (amount, capped) = (room, true);
            if (amount == 0) continue;
            room -= amount;
            c.claimed += uint96(amount);
            paid += amount;
            emit RewardsClaimed(nodeId, index, beneficiary, amount);
            if (beneficiary != to) {
                _pay(to, sum);
                (to, sum) = (beneficiary, 0);
            }
            sum += amount;
        }
        if (paid == 0) {
            if (capped) revert CapExceeded();
            revert NothingToClaim();
        }
        _pay(to, sum);
    }

    /// Booked before the tokens move: at no moment holds the pool less than what is allocated.
    function _pay(address to, uint256 sum) private {
        if (sum == 0) return;
        _accounting.allocated -= uint128(sum);
        IRewardPool(rewardPool).pay(to, sum);
    }

    function claimable(uint32 nodeId, uint8 index) external view returns (uint256) {
        Contributor storage c = _contributors[nodeId][index];
        return _entitlement(_nodes[nodeId], c, index) - c.claimed;
    }

    function _earned(Node storage n) private view returns (uint256 earned) {
        earned = n.reward;
        if (n.flags & PAYABLE != 0) earned += (_accounting.accPerNode - n.accSnap) / SCALE;
    }

    /// All that a contributor has ever earned; never decreases. Nothing for one that does not exist: its amount is 0.
    function _entitlement(Node storage n, Contributor storage c, uint8 index) private view returns (uint256 share) {
        uint256 stake = n.stake;
        if (stake == 0) return 0;
        uint256 earned = _earned(n);
        uint256 fee = (earned * n.feeBps) / 10_000;
        share = ((earned - fee) * c.amount) / stake;
        if (index == 0) share += fee;
    }
}
