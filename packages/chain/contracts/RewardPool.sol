// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @title Holds the reward tokens (spec/chain §4.2). Anybody may send it more.
/// @notice Apart from the registry, so that a fault in the accounting of rewards cannot touch a stake; and with a limit
/// of its own, so that it cannot empty the pool in a night.
contract RewardPool {
    using SafeERC20 for IERC20;

    error NotRegistry();
    error NotGovernor();
    error NotDeployer();
    error AlreadyBound();
    error CapExceeded();
    error OutOfBounds();
    error ZeroAddress();

    event Bound(address registry);
    event Paid(address indexed to, uint256 amount);
    event PayCapChanged(uint256 payCap);

    uint256 public constant WINDOW = 12 hours;

    IERC20 public immutable token;
    address public immutable governor;
    address public immutable deployer;
    address public registry;
    /// At most so much leaves in a window; 0: no limit. One word with what it is compared with.
    uint96 public payCap;
    uint96 private _paidInWindow;
    uint40 private _window;

    constructor(IERC20 token_, address governor_, uint256 payCap_) {
        if (address(token_) == address(0)) revert ZeroAddress();
        token = token_;
        governor = governor_;
        deployer = msg.sender;
        _setPayCap(payCap_);
    }

    /// Once, since the registry needs the pool's address first.
    function bind(address registry_) external {
        if (msg.sender != deployer) revert NotDeployer();
        if (registry != address(0)) revert AlreadyBound();
        if (registry_ == address(0)) revert ZeroAddress();
        registry = registry_;
        emit Bound(registry_);
    }

    function pay(address to, uint256 amount) external {
        if (msg.sender != registry) revert NotRegistry();
        if (payCap != 0) {
            if (amount > room()) revert CapExceeded();
            uint40 current = uint40(block.timestamp / WINDOW);
            if (_window != current) (_window, _paidInWindow) = (current, 0);
            _paidInWindow += uint96(amount);
        }
        emit Paid(to, amount);
        token.safeTransfer(to, amount);
    }

    /// What may still be paid in this window.
    function room() public view returns (uint256) {
        if (payCap == 0) return type(uint256).max;
        uint256 used = _window == block.timestamp / WINDOW ? _paidInWindow : 0;
        return used < payCap ? payCap - used : 0;
    }

    function setPayCap(uint256 payCap_) external {
        if (msg.sender != governor) revert NotGovernor();
        _setPayCap(payCap_);
    }

    /// A cap below a thousandth of all tokens would be a way to withhold the rewards.
    function _setPayCap(uint256 payCap_) private {
        if (payCap_ != 0 && payCap_ < token.totalSupply() / 1000) revert OutOfBounds();
        if (payCap_ > type(uint96).max) revert OutOfBounds();
        payCap = uint96(payCap_);
        emit PayCapChanged(payCap_);
    }
}
