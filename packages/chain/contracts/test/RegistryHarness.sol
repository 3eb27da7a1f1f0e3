// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ServiceNodeRegistry} from "../ServiceNodeRegistry.sol";

/// @title The registry with its seeds and slots laid open, to hold its draws against vectors. Never deployed for use.
contract RegistryHarness is ServiceNodeRegistry {
    constructor(
        Config memory config_,
        Params memory initial
    ) ServiceNodeRegistry(config_, initial, new address[](0)) {}

    function setRevealed(uint32 newerEpoch, bytes32 newer, uint32 olderEpoch, bytes32 older) external {
        (_seed1, _seed2) = (newer, older);
        (_positions.revealedEpoch1, _positions.revealedEpoch2) = (newerEpoch, olderEpoch);
    }

    /// Words as stored: votingKey 160 | nodeId 32 | from 32 | until 32.
    function setSlots(uint32 first, uint256[] calldata words) external {
        for (uint256 i; i < words.length; ++i) _slots[first + i] = words[i];
    }

    /// All of them appended in epoch 0.
    function setSlotCount(uint32 count) external {
        delete _checkpoints;
        _checkpoints.push(count);
    }

    function setQuorumSize(uint8 size) external {
        _params.quorumSize = size;
    }

    function setAnchor(uint32 nodeId, bytes32 anchor) external {
        _nodes[nodeId].beaconAnchor = anchor;
    }

    function draw(
        bytes32 q,
        uint256 count,
        uint256 epoch,
        uint256 skipNode,
        uint256 want
    ) external view returns (uint256[] memory) {
        return _draw(q, count, epoch, skipNode, want);
    }
}
