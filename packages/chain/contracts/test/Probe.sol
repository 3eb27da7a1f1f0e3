// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ContributionPools} from "../ContributionPools.sol";
import {IServiceNodeRegistry} from "../IServiceNodeRegistry.sol";

/// @title Everything that the invariants of spec/chain §5.4 speak of, in one call. Places of the storage as in RegistryLens.
contract Probe {
    struct Addresses {
        IServiceNodeRegistry registry;
        ContributionPools pools;
        IERC20 token;
        address rewardPool;
        address[] holders;
    }

    /// @return facts time, supply, held by registry, by pools, by the reward pool, by the holders together, S(e), S(e + 1),
    /// then the first six words of the registry's storage
    /// @return nodes of each node: six words, the word of its slot, then two words per contributor
    /// @return payQueue waiting entries, oldest first
    /// @return exitQueue waiting entries, oldest first
    /// @return funds of each pool: state, contributed, sum of what its members brought
    function look(
        Addresses calldata a
    )
        external
        view
        returns (
            uint256[] memory facts,
            uint256[] memory nodes,
            uint256[] memory payQueue,
            uint256[] memory exitQueue,
            uint256[] memory funds
        )
    {
        uint256[] memory state = a.registry.storageWords(0, 6);
        facts = new uint256[](14);
        facts[0] = block.timestamp;
        facts[1] = a.token.totalSupply();
        facts[2] = a.token.balanceOf(address(a.registry));
        facts[3] = a.token.balanceOf(address(a.pools));
        facts[4] = a.token.balanceOf(a.rewardPool);
        for (uint256 i; i < a.holders.length; ++i) facts[5] += a.token.balanceOf(a.holders[i]);
        uint32 epoch = a.registry.epochNow();
        facts[6] = a.registry.slotCountFor(epoch);
        facts[7] = a.registry.slotCountFor(epoch + 1);
        for (uint256 i; i < 6; ++i) facts[8 + i] = state[i];
        uint256 positions = state[5];
        nodes = _nodes(a.registry, uint32(positions >> 160));
        payQueue = _queue(a.registry, 13, uint32(positions), uint32(positions >> 32));
        exitQueue = _queue(a.registry, 14, uint32(positions >> 64), uint32(positions >> 96));
        funds = _funds(a.pools);
    }

    function _nodes(IServiceNodeRegistry registry, uint256 count) private view returns (uint256[] memory words) {
        words = new uint256[](count * 27);
        uint256 length;
        for (uint256 id = 1; id <= count; ++id) {
            uint256[] memory node = registry.storageWords(_place(id, 11), 6);
            for (uint256 i; i < 6; ++i) words[length++] = node[i];
            words[length++] = registry.storageWords(_place(uint32(node[0] >> 160), 8), 1)[0];
            uint256 contributors = uint8(node[0] >> 216);
            for (uint256 i; i < contributors; ++i) {
                uint256[] memory c = registry.storageWords(_place(i, _place(id, 12)), 2);
                words[length++] = c[0];
                words[length++] = c[1];
            }
        }
        assembly ("memory-safe") {
            mstore(words, length)
        }
    }

    function _queue(
        IServiceNodeRegistry registry,
        uint256 slot,
        uint256 head,
        uint256 tail
    ) private view returns (uint256[] memory words) {
        words = new uint256[](tail - head);
        for (uint256 i; i < words.length; ++i) words[i] = registry.storageWords(_place(head + i, slot), 1)[0];
    }

    function _funds(ContributionPools pools) private view returns (uint256[] memory words) {
        uint256 count = pools.poolCount();
        words = new uint256[](count * 3);
        for (uint256 i; i < count; ++i) {
            (ContributionPools.Pool memory pool, , ContributionPools.Member[] memory members, ) = pools.poolOf(i + 1);
            words[i * 3] = pool.state;
            words[i * 3 + 1] = pool.contributed;
            for (uint256 k; k < members.length; ++k) words[i * 3 + 2] += members[k].amount;
        }
    }

    function _place(uint256 key, uint256 slot) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(key, slot)));
    }
}
