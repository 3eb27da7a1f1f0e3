// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {IServiceNodeRegistry} from "./IServiceNodeRegistry.sol";

/// @title Collects the stake of nodes with several contributors (spec/chain §4.6). No administrator.
contract ContributionPools is ReentrancyGuard {
    using SafeERC20 for IERC20;

    uint8 public constant OPEN = 1;
    uint8 public constant FILLED = 2;
    uint8 public constant REGISTERED = 3;
    uint8 public constant CANCELLED = 4;
    uint256 public constant WITHDRAW_DELAY = 24 hours;
    uint256 public constant FINALIZE_PERIOD = 14 days;
    /// More than a registration with ten contributors takes.
    uint256 private constant REGISTRATION_GAS = 1_000_000;

    struct Reservation {
        address staker;
        uint96 amount;
    }

    struct Pool {
        address operator;
        uint8 state;
        uint8 maxContributors;
        bool manualFinalize;
        uint40 filledAt;
        uint32 nodeId; // 0 until registered
        uint96 requirement;
        uint96 contributed;
    }

    struct Member {
        address staker;
        uint96 amount;
        address beneficiary;
        uint40 lastAt; // of the latest contribution
    }

    error NotDeployer();
    error AlreadyBound();
    error ZeroAddress();
    error NotOperator();
    error NotContributor();
    error BadState(uint8 state);
    error BadFee();
    error ZeroKey();
    error BadReservation();
    error TooManyContributors();
    /// What was offered, or what is left to take, lies below the least that is accepted.
    error BelowMinimum(uint256 minimum);
    error AboveRemaining(uint256 remaining);
    error RequirementChanged();
    error TooEarly(uint40 until);
    error TransferMismatch();
    error TooLittleGas();

    event PoolOpened(
        uint256 indexed poolId,
        address indexed operator,
        bytes32 indexed ed25519,
        uint16 feeBps,
        uint256 requirement,
        uint8 maxContributors,
        bool manualFinalize,
        Reservation[] reserved
    );
    event Contributed(uint256 indexed poolId, address indexed staker, address beneficiary, uint256 amount);
    event ContributionWithdrawn(uint256 indexed poolId, address indexed staker, uint256 amount);
    event ReservationReleased(uint256 indexed poolId, address indexed staker);
    event BeneficiaryChanged(uint256 indexed poolId, address indexed staker, address beneficiary);
    event PoolFilled(uint256 indexed poolId);
    /// The registry did not take the full pool (rate limit, pause); anyone may try again.
    event RegistrationFailed(uint256 indexed poolId, bytes reason);
    event PoolRegistered(uint256 indexed poolId, uint32 indexed nodeId);
    event PoolCancelled(uint256 indexed poolId, address by);

    IERC20 public immutable token;
    address public immutable deployer;
    IServiceNodeRegistry public registry;
    uint256 public poolCount;

    mapping(uint256 => Pool) private _pools;
    mapping(uint256 => IServiceNodeRegistry.Registration) private _registrations;
    mapping(uint256 => Member[]) private _members;
    mapping(uint256 => Reservation[]) private _reserved;

    constructor(IERC20 token_) {
        if (address(token_) == address(0)) revert ZeroAddress();
        token = token_;
        deployer = msg.sender;
    }

    /// Once, since the registry needs this address first.
    function bind(IServiceNodeRegistry registry_) external {
        if (msg.sender != deployer) revert NotDeployer();
        if (address(registry) != address(0)) revert AlreadyBound();
        if (address(registry_) == address(0)) revert ZeroAddress();
        registry = registry_;
    }

    // ---- opening -----------------------------------------------------------------------------------------------

    /// With the operator's own contribution, so that a pool is never empty. Fee, keys and signature are fixed from here
    /// on: contributors know what they join.
    function open(
        IServiceNodeRegistry.Registration calldata registration,
        Reservation[] calldata reserved,
        bool manualFinalize,
        uint96 amount
    ) external nonReentrant returns (uint256 poolId) {
        if (registration.feeBps > 10_000) revert BadFee();
        if (registration.ed25519 == 0 || registration.votingKey == address(0)) revert ZeroKey();
        poolId = ++poolCount;
        Pool storage pool = _pools[poolId];
        uint96 requirement = registry.stakingRequirement();
        uint8 max = registry.maxContributors();
        pool.operator = msg.sender;
        pool.state = OPEN;
        pool.maxContributors = max;
        pool.manualFinalize = manualFinalize;
        pool.requirement = requirement;
        _registrations[poolId] = registration;

        uint256 minimum = _ceil(requirement, 4);
        if (amount < minimum) revert BelowMinimum(minimum);
        if (amount > requirement) revert AboveRemaining(requirement);
        _reserve(poolId, reserved, requirement - amount, max);
        emit PoolOpened(
            poolId,
            msg.sender,
            registration.ed25519,
            registration.feeBps,
            requirement,
            max,
            manualFinalize,
            reserved
        );
        _members[poolId].push(Member(msg.sender, 0, _or(registration.beneficiary, msg.sender), 0));
        _add(poolId, 0, amount);
    }

    function _reserve(uint256 poolId, Reservation[] calldata reserved, uint256 remaining, uint256 max) private {
        if (reserved.length >= max) revert TooManyContributors();
        for (uint256 i; i < reserved.length; ++i) {
            (address staker, uint96 amount) = (reserved[i].staker, reserved[i].amount);
            if (staker == address(0) || staker == msg.sender) revert BadReservation();
            for (uint256 k; k < i; ++k) if (reserved[k].staker == staker) revert BadReservation();
            if (amount == 0 || amount < _ceil(remaining, max - i - 1)) revert BadReservation();
            if (amount > remaining) revert AboveRemaining(remaining);
            remaining -= amount;
            _reserved[poolId].push(reserved[i]);
        }
    }

    function releaseReservation(uint256 poolId, address staker) external {
        Pool storage pool = _pools[poolId];
        if (msg.sender != pool.operator) revert NotOperator();
        if (pool.state != OPEN) revert BadState(pool.state);
        if (_takeReservation(poolId, staker) == 0) revert BadReservation();
        emit ReservationReleased(poolId, staker);
    }

    // ---- contributing ------------------------------------------------------------------------------------------

    /// @param beneficiary of a new contributor; zero: himself
    /// @param allowPartial takes what is missing when the amount is more: losing a race does not revert
    /// @param minAccepted the least that the caller wants to be in with
    function contribute(
        uint256 poolId,
        uint96 amount,
        address beneficiary,
        bool allowPartial,
        uint96 minAccepted
    ) external nonReentrant returns (uint96 accepted) {
        Pool storage pool = _pools[poolId];
        if (pool.state != OPEN) revert BadState(pool.state);
        if (
            registry.stakingRequirement() != pool.requirement || registry.maxContributors() != pool.maxContributors
        ) revert RequirementChanged();

        (bool found, uint256 index) = _indexOf(poolId, msg.sender);
        uint256 minimum = 1;
        uint256 remaining;
        if (found) {
            remaining = _remaining(poolId);
        } else {
            uint256 own = _takeReservation(poolId, msg.sender);
            remaining = _remaining(poolId); // what was reserved for the caller is in it now
            minimum = own != 0 ? own : _minimum(poolId);
            index = _members[poolId].length;
            _members[poolId].push(Member(msg.sender, 0, _or(beneficiary, msg.sender), 0));
        }
        accepted = amount;
        if (accepted > remaining) {
            if (!allowPartial) revert AboveRemaining(remaining);
            accepted = uint96(remaining);
        }
        if (minimum < minAccepted) minimum = minAccepted;
        if (minimum == 0) minimum = 1; // all that is missing is reserved for others
        if (accepted < minimum) revert BelowMinimum(minimum);
        _add(poolId, index, accepted);
    }

    function _add(uint256 poolId, uint256 index, uint96 amount) private {
        Pool storage pool = _pools[poolId];
        Member storage member = _members[poolId][index];
        member.amount += amount;
        member.lastAt = uint40(block.timestamp);
        pool.contributed += amount;
        emit Contributed(poolId, msg.sender, member.beneficiary, amount);

        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), amount);
        if (token.balanceOf(address(this)) != before + amount) revert TransferMismatch();

        if (pool.contributed != pool.requirement) return;
        pool.state = FILLED;
        pool.filledAt = uint40(block.timestamp);
        emit PoolFilled(poolId);
        if (pool.manualFinalize) return;
        // Else an estimate would settle for gas with which this call passes and the one below does not.
        if (gasleft() < REGISTRATION_GAS) revert TooLittleGas();
        // A registry that is full for this epoch must not turn away the contributor who completes the pool.
        try this.registerFilled(poolId) {} catch (bytes memory reason) {
            emit RegistrationFailed(poolId, reason);
        }
    }

    function setBeneficiary(uint256 poolId, address beneficiary) external {
        Pool storage pool = _pools[poolId];
        if (pool.state != OPEN && pool.state != FILLED) revert BadState(pool.state);
        if (beneficiary == address(0)) revert ZeroAddress();
        (bool found, uint256 index) = _indexOf(poolId, msg.sender);
        if (!found) revert NotContributor();
        _members[poolId][index].beneficiary = beneficiary;
        emit BeneficiaryChanged(poolId, msg.sender, beneficiary);
    }

    // ---- registering -------------------------------------------------------------------------------------------

    /// By the operator; by anyone if the pool was to register by itself.
    function finalize(uint256 poolId) external nonReentrant {
        Pool storage pool = _pools[poolId];
        if (pool.state != FILLED) revert BadState(pool.state);
        if (pool.manualFinalize && msg.sender != pool.operator) revert NotOperator();
        _registerFilled(poolId);
    }

    /// Only for this contract: a call, so that its failure can be caught.
    function registerFilled(uint256 poolId) external {
        if (msg.sender != address(this)) revert NotOperator();
        _registerFilled(poolId);
    }

    function _registerFilled(uint256 poolId) private {
        Pool storage pool = _pools[poolId];
        pool.state = REGISTERED;
        Member[] storage members = _members[poolId];
        IServiceNodeRegistry.Contribution[] memory list = new IServiceNodeRegistry.Contribution[](members.length);
        for (uint256 i; i < list.length; ++i) {
            list[i] = IServiceNodeRegistry.Contribution(
                members[i].staker,
                members[i].beneficiary,
                members[i].amount
            );
        }
        token.forceApprove(address(registry), pool.requirement);
        uint32 nodeId = registry.registerPooled(pool.operator, _registrations[poolId], list);
        pool.nodeId = nodeId;
        emit PoolRegistered(poolId, nodeId);
    }

    // ---- leaving -----------------------------------------------------------------------------------------------

    function withdraw(uint256 poolId) external nonReentrant returns (uint256 amount) {
        Pool storage pool = _pools[poolId];
        (bool found, uint256 index) = _indexOf(poolId, msg.sender);
        if (!found) revert NotContributor();
        Member[] storage members = _members[poolId];
        amount = members[index].amount;
        if (pool.state == OPEN || pool.state == FILLED) {
            // The operator leaves by cancelling.
            if (index == 0) revert BadState(pool.state);
            uint40 until = members[index].lastAt + uint40(WITHDRAW_DELAY);
            if (block.timestamp < until) revert TooEarly(until);
            pool.state = OPEN;
        } else if (pool.state != CANCELLED) {
            revert BadState(pool.state);
        }
        members[index] = members[members.length - 1];
        members.pop();
        pool.contributed -= uint96(amount);
        emit ContributionWithdrawn(poolId, msg.sender, amount);
        token.safeTransfer(msg.sender, amount);
    }

    /// By the operator; by anyone when a full pool was not registered in 14 d. Then everyone withdraws his own.
    function cancel(uint256 poolId) external {
        Pool storage pool = _pools[poolId];
        if (pool.state != OPEN && pool.state != FILLED) revert BadState(pool.state);
        if (msg.sender != pool.operator) {
            if (pool.state != FILLED) revert NotOperator();
            uint40 until = pool.filledAt + uint40(FINALIZE_PERIOD);
            if (block.timestamp < until) revert TooEarly(until);
        }
        pool.state = CANCELLED;
        emit PoolCancelled(poolId, msg.sender);
    }

    // ---- views -------------------------------------------------------------------------------------------------

    function poolOf(
        uint256 poolId
    )
        external
        view
        returns (
            Pool memory pool,
            IServiceNodeRegistry.Registration memory registration,
            Member[] memory members,
            Reservation[] memory reserved
        )
    {
        return (_pools[poolId], _registrations[poolId], _members[poolId], _reserved[poolId]);
    }

    /// The least and the most that `staker` can contribute now; both 0: nothing.
    function limitsOf(uint256 poolId, address staker) external view returns (uint256 minimum, uint256 remaining) {
        if (_pools[poolId].state != OPEN) return (0, 0);
        remaining = _remaining(poolId);
        (bool found, ) = _indexOf(poolId, staker);
        if (found) return (remaining == 0 ? 0 : 1, remaining);
        Reservation[] storage reserved = _reserved[poolId];
        for (uint256 i; i < reserved.length; ++i) {
            if (reserved[i].staker == staker) return (reserved[i].amount, remaining + reserved[i].amount);
        }
        if (remaining == 0 || _members[poolId].length + reserved.length >= _pools[poolId].maxContributors) {
            return (0, 0);
        }
        minimum = _minimum(poolId);
    }

    // ---- helpers -----------------------------------------------------------------------------------------------

    /// Not contributed and not reserved.
    function _remaining(uint256 poolId) private view returns (uint256 remaining) {
        Pool storage pool = _pools[poolId];
        remaining = pool.requirement - pool.contributed;
        Reservation[] storage reserved = _reserved[poolId];
        for (uint256 i; i < reserved.length; ++i) remaining -= reserved[i].amount;
    }

    /// For one more contributor: even if each of the others that fit brings no more, the pool fills.
    function _minimum(uint256 poolId) private view returns (uint256) {
        uint256 count = _members[poolId].length + _reserved[poolId].length;
        uint256 max = _pools[poolId].maxContributors;
        if (count >= max) revert TooManyContributors();
        return _ceil(_remaining(poolId), max - count);
    }

    function _indexOf(uint256 poolId, address staker) private view returns (bool found, uint256 index) {
        Member[] storage members = _members[poolId];
        for (uint256 i; i < members.length; ++i) if (members[i].staker == staker) return (true, i);
    }

    function _takeReservation(uint256 poolId, address staker) private returns (uint256 amount) {
        Reservation[] storage reserved = _reserved[poolId];
        for (uint256 i; i < reserved.length; ++i) {
            if (reserved[i].staker != staker) continue;
            amount = reserved[i].amount;
            reserved[i] = reserved[reserved.length - 1];
            reserved.pop();
            return amount;
        }
    }

    function _ceil(uint256 a, uint256 b) private pure returns (uint256) {
        return (a + b - 1) / b;
    }

    function _or(address value, address fallback_) private pure returns (address) {
        return value == address(0) ? fallback_ : value;
    }
}
