// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IServiceNodeRegistry} from "./IServiceNodeRegistry.sol";

/// @title What a registry that follows ours must understand (spec/chain §4.13).
interface ISuccessorRegistry {
    /// Called by the old registry with an allowance over the sum of the contributions, which must be taken exactly.
    /// `data` is the operator's: a signature of the Ed25519 key over the new registry's address, a new beacon anchor.
    function acceptMigration(
        uint32 oldNodeId,
        address operator,
        bytes32 ed25519,
        address votingKey,
        uint16 feeBps,
        IServiceNodeRegistry.Contribution[] calldata contributions,
        bytes calldata data
    ) external;
}
