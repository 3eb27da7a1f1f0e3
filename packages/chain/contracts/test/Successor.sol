// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ISuccessorRegistry} from "../ISuccessorRegistry.sol";
import {IServiceNodeRegistry} from "../IServiceNodeRegistry.sol";

/// @title A registry that only takes stakes over; with `taken` set, it takes that part of them (in bps).
contract Successor is ISuccessorRegistry {
    IERC20 public immutable token;
    uint256 public taken = 10_000;

    event Accepted(
        uint32 oldNodeId,
        address operator,
        bytes32 ed25519,
        address votingKey,
        uint16 feeBps,
        IServiceNodeRegistry.Contribution[] contributions,
        bytes data
    );

    constructor(IERC20 token_) {
        token = token_;
    }

    function setTaken(uint256 bps) external {
        taken = bps;
    }

    function acceptMigration(
        uint32 oldNodeId,
        address operator,
        bytes32 ed25519,
        address votingKey,
        uint16 feeBps,
        IServiceNodeRegistry.Contribution[] calldata contributions,
        bytes calldata data
    ) external {
        uint256 sum;
        for (uint256 i; i < contributions.length; ++i) sum += contributions[i].amount;
        token.transferFrom(msg.sender, address(this), (sum * taken) / 10_000);
        emit Accepted(oldNodeId, operator, ed25519, votingKey, feeBps, contributions, data);
    }
}
