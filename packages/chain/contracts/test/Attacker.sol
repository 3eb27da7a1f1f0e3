// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IHooked} from "./HostileToken.sol";

/// @title A staker and beneficiary that is a contract: when it is told of tokens it calls back, or refuses them.
contract Attacker is IHooked {
    address private _target;
    bytes private _data;
    bool private _armed;
    bool public refuses;
    bool public called;
    bool public succeeded;
    bytes public answer;

    function act(address target, bytes calldata data) external returns (bytes memory result) {
        bool success;
        (success, result) = target.call(data);
        if (success) return result;
        assembly ("memory-safe") {
            revert(add(result, 0x20), mload(result))
        }
    }

    /// What it calls back with, once.
    function arm(address target, bytes calldata data) external {
        (_target, _data, _armed, called) = (target, data, true, false);
    }

    function setRefuses(bool refuses_) external {
        refuses = refuses_;
    }

    function tokensMoved() external {
        require(!refuses, "refused");
        if (!_armed) return;
        _armed = false;
        called = true;
        (succeeded, answer) = _target.call(_data);
    }
}
