// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title The EIP-712 domain of a contract, version 1 (spec/chain §4.10).
/// @dev The library's EIP712 pulls in code that needs a newer EVM than the one we compile for.
abstract contract TypedData {
    bytes32 private constant DOMAIN_TYPE =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

    uint256 private immutable _chainId;
    bytes32 private immutable _separator;
    bytes32 private immutable _nameHash;

    constructor(string memory name_) {
        _nameHash = keccak256(bytes(name_));
        _chainId = block.chainid;
        _separator = _computeSeparator();
    }

    /// A chain that splits in two gets another separator on the side with the new id.
    function _domainSeparator() internal view returns (bytes32) {
        return block.chainid == _chainId ? _separator : _computeSeparator();
    }

    function _digest(bytes32 structHash) internal view returns (bytes32 digest) {
        bytes32 separator = _domainSeparator();
        assembly ("memory-safe") {
            let free := mload(0x40)
            mstore(free, hex"1901")
            mstore(add(free, 0x02), separator)
            mstore(add(free, 0x22), structHash)
            digest := keccak256(free, 0x42)
        }
    }

    function _computeSeparator() private view returns (bytes32) {
        return keccak256(abi.encode(DOMAIN_TYPE, _nameHash, keccak256("1"), block.chainid, address(this)));
    }
}
