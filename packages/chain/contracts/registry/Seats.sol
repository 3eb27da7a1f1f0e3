// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Parameters} from "./Parameters.sol";

/// @title Seeds, slots and the draw (spec/chain §4.7–4.9).
abstract contract Seats is Parameters {
    constructor() {
        bytes32 genesis = keccak256(abi.encodePacked("SN-GENESIS-v1", block.chainid, address(this)));
        _seed1 = genesis;
        _seed2 = genesis;
    }

    // ---- seeds -------------------------------------------------------------------------------------------------

    function reveal(bytes32 pre) external {
        if (seedMode == SEED_BLOCK) revert WrongSeedMode();
        uint32 epoch = _openWindow();
        uint32 nodeId = proposerOf(epoch);
        if (keccak256(abi.encodePacked(pre)) != _nodes[nodeId].beaconAnchor) revert WrongPreimage();
        _nodes[nodeId].beaconAnchor = pre;
        _storeSeed(epoch, nodeId, pre);
    }

    function record() external {
        if (seedMode != SEED_BLOCK) revert WrongSeedMode();
        _storeSeed(_openWindow(), 0, blockhash(block.number - 1));
    }

    function _openWindow() private view returns (uint32 epoch) {
        epoch = epochNow();
        if (_positions.revealedEpoch1 == epoch) revert AlreadyRevealed();
        if (block.timestamp >= _startOf(epoch) + revealWindow) revert WindowClosed();
    }

    function _storeSeed(uint32 epoch, uint32 nodeId, bytes32 pre) private {
        bytes32 seed = keccak256(abi.encodePacked("SN-SEED-v1", _seedAt(epoch - 1), epoch, pre));
        _seed2 = _seed1;
        _seed1 = seed;
        _positions.revealedEpoch2 = _positions.revealedEpoch1;
        _positions.revealedEpoch1 = epoch;
        emit SeedRevealed(epoch, nodeId, pre, seed);
    }

    function seedOf(uint32 epoch) public view returns (bytes32) {
        unchecked {
            uint32 current = epochNow();
            if (epoch > current || epoch + 1 < current) revert StaleEpoch();
            if (
                epoch == current &&
                _positions.revealedEpoch1 != epoch &&
                block.timestamp < _startOf(epoch) + revealWindow
            ) revert TooEarly();
            return _seedAt(epoch);
        }
    }

    /// Two revealed seeds are enough for the epochs that can be asked for: the newer may lie after the asked one.
    function _seedAt(uint32 epoch) private view returns (bytes32) {
        uint32 revealedEpoch = _positions.revealedEpoch1;
        bytes32 revealed = _seed1;
        if (revealedEpoch > epoch) (revealedEpoch, revealed) = (_positions.revealedEpoch2, _seed2);
        if (revealedEpoch == epoch) return revealed;
        return keccak256(abi.encodePacked("SN-SKIP-v1", revealed, revealedEpoch, epoch));
    }

    // ---- slots -------------------------------------------------------------------------------------------------

    function slotCountFor(uint32 epoch) public view returns (uint32) {
        unchecked {
            for (uint256 i = _checkpoints.length; i > 0; --i) {
                uint64 checkpoint = _checkpoints[i - 1];
                if ((checkpoint >> 32) + 2 <= epoch) return uint32(checkpoint);
            }
            return 0;
        }
    }

    function _takeSlot(uint32 epoch) internal returns (uint32 slot) {
        unchecked {
            uint32 head = _positions.freeHead;
            if (head < _freeSlots.length) {
                uint64 free = _freeSlots[head];
                if (uint32(free) <= epoch) {
                    _positions.freeHead = head + 1;
                    return uint32(free >> 32);
                }
            }
            uint256 length = _checkpoints.length;
            uint64 last = length == 0 ? 0 : _checkpoints[length - 1];
            slot = uint32(last);
            uint64 next = (uint64(epoch) << 32) | (slot + 1);
            if (length != 0 && last >> 32 == epoch) _checkpoints[length - 1] = next;
            else _checkpoints.push(next);
        }
    }

    /// For a word whose interval has its end.
    function _freeSlot(uint32 slot) internal {
        unchecked {
            _freeSlots.push((uint64(slot) << 32) | (uint32(_slots[slot]) + SLOT_REST));
        }
    }

    function _writeSlot(uint32 slot, address key, uint32 nodeId, uint32 from, uint32 until) internal {
        _slots[slot] = (uint256(uint160(key)) << 96) | (uint256(nodeId) << 64) | (uint256(from) << 32) | until;
        emit MembershipChanged(nodeId, slot, from, until);
    }

    /// Brings the end of the node's interval forward, never back.
    function _endMembership(uint32 nodeId, uint32 slot, uint32 until) internal {
        uint256 word = _slots[slot];
        if (until >= uint32(word)) return;
        _writeSlot(slot, address(uint160(word >> 96)), nodeId, uint32(word >> 32), until);
    }

    // ---- draws -------------------------------------------------------------------------------------------------

    function proposerOf(uint32 epoch) public view returns (uint32) {
        if (epoch == 0) return 0;
        bytes32 q = keccak256(abi.encodePacked("SN-BEACON-v1", seedOf(epoch - 1), epoch));
        uint256[] memory words = _draw(q, slotCountFor(epoch), epoch, 0, 1);
        return words.length == 0 ? 0 : uint32(words[0] >> 64);
    }

    function quorumOf(
        uint32 nodeId,
        uint32 epoch
    ) external view returns (uint32[] memory nodeIds, address[] memory keys, uint32 threshold) {
        uint256[] memory words;
        (words, threshold) = _quorum(nodeId, epoch);
        nodeIds = new uint32[](words.length);
        keys = new address[](words.length);
        for (uint256 i; i < words.length; ++i) {
            nodeIds[i] = uint32(words[i] >> 64);
            keys[i] = address(uint160(words[i] >> 96));
        }
    }

    function _quorum(
        uint32 nodeId,
        uint32 epoch
    ) internal view returns (uint256[] memory words, uint32 threshold) {
        (uint8 want, uint8 minVoters) = quorumParams(epoch);
        bytes32 q = keccak256(abi.encodePacked("SN-QUORUM-v1", seedOf(epoch), nodeId));
        words = _draw(q, slotCountFor(epoch), epoch, nodeId, want);
        if (words.length >= minVoters) threshold = uint32((2 * words.length) / 3 + 1);
    }

    /// Sparse Fisher–Yates: position i changes places with a random one at or behind it. The table remembers only the
    /// places that were changed, in a hash table of 64 entries that quadruples before it is half full: many
    /// ineligible slots then cost a storage read each and no more.
    function _draw(
        bytes32 q,
        uint256 count,
        uint256 epoch,
        uint256 skipNode,
        uint256 want
    ) internal view returns (uint256[] memory words) {
        words = new uint256[](want < count ? want : count);
        uint256 found;
        uint256 size = 64;
        uint256[] memory table = new uint256[](size);
        unchecked {
            for (uint256 i; i < count && found < want; ++i) {
                if (i * 2 == size) {
                    table = _grow(table);
                    size = table.length;
                }
                uint256 word;
                {
                    uint256 j;
                    assembly ("memory-safe") {
                        mstore(0x00, q)
                        mstore(0x20, i)
                        j := add(i, mod(keccak256(0x00, 0x40), sub(count, i)))
                    }
                    (uint256 place, uint256 vj) = _find(table, j);
                    (, uint256 vi) = _find(table, i);
                    assembly ("memory-safe") {
                        mstore(place, or(shl(128, add(j, 1)), vi))
                    }
                    word = _slots[vj];
                }
                if (uint32(word >> 32) <= epoch && epoch < uint32(word) && uint32(word >> 64) != skipNode) {
                    words[found++] = word;
                }
            }
        }
        assembly ("memory-safe") {
            mstore(words, found)
        }
    }

    /// Memory place of the key's entry (or of the empty one where it belongs), and its value (without one: the key).
    function _find(uint256[] memory table, uint256 key) private pure returns (uint256 place, uint256 value) {
        assembly ("memory-safe") {
            let mask := sub(mload(table), 1)
            let base := add(table, 0x20)
            let p := and(key, mask)
            value := key
            for {} 1 {} {
                place := add(base, shl(5, p))
                let entry := mload(place)
                if iszero(entry) { break }
                if eq(shr(128, entry), add(key, 1)) {
                    value := and(entry, 0xffffffffffffffffffffffffffffffff)
                    break
                }
                p := and(add(p, 1), mask)
            }
        }
    }

    function _grow(uint256[] memory table) private pure returns (uint256[] memory larger) {
        unchecked {
            larger = new uint256[](table.length * 4);
            for (uint256 i; i < table.length; ++i) {
                uint256 entry = table[i];
                if (entry == 0) continue;
                (uint256 place, ) = _find(larger, (entry >> 128) - 1);
                assembly ("memory-safe") {
                    mstore(place, entry)
                }
            }
        }
    }
}
