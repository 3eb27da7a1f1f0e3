// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

interface IHooked {
    function tokensMoved() external;
}

/// @title A token that keeps a fee and calls whom it moves to or from. Takes the place of a SessionToken's code in tests,
/// whose balances stand at the same places of the storage.
contract HostileToken is ERC20 {
    address private constant THIEF = address(0xdead);

    uint256 public feeBps;
    mapping(address => bool) public isHooked;

    constructor() ERC20("", "") {}

    function setFee(uint256 bps) external {
        feeBps = bps;
    }

    function hook(address holder) external {
        isHooked[holder] = true;
    }

    function decimals() public pure override returns (uint8) {
        return 9;
    }

    function _update(address from, address to, uint256 value) internal override {
        uint256 fee = (value * feeBps) / 10_000;
        super._update(from, to, value - fee);
        if (fee > 0) super._update(from, THIEF, fee);
        if (isHooked[from]) IHooked(from).tokensMoved();
        if (isHooked[to]) IHooked(to).tokensMoved();
    }
}
