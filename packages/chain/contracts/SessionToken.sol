// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";
import {TypedData} from "./TypedData.sol";

/// @title The staked token: fixed supply, nine decimals, permit of ERC-2612 (spec/chain §4.2).
contract SessionToken is ERC20, IERC20Permit, TypedData, Nonces {
    bytes32 private constant PERMIT_TYPE =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");

    error SupplyTooLarge();
    error PermitExpired(uint256 deadline);
    error PermitNotSigned();

    /// @param treasury gets the whole supply; the deployment moves the pool's share from there.
    constructor(
        string memory name,
        string memory symbol,
        uint256 supply,
        address treasury
    ) ERC20(name, symbol) TypedData(name) {
        // The registry keeps rewards of one node, scaled by 10^18, in 128 bits.
        if (supply > 10 ** 20) revert SupplyTooLarge();
        _mint(treasury, supply);
    }

    function decimals() public pure override returns (uint8) {
        return 9;
    }

    function permit(
        address owner,
        address spender,
        uint256 value,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        if (block.timestamp > deadline) revert PermitExpired(deadline);
        bytes32 content = keccak256(abi.encode(PERMIT_TYPE, owner, spender, value, _useNonce(owner), deadline));
        (address signer, , ) = ECDSA.tryRecover(_digest(content), v, r, s);
        if (signer == address(0) || signer != owner) revert PermitNotSigned();
        _approve(owner, spender, value);
    }

    function nonces(address owner) public view override(IERC20Permit, Nonces) returns (uint256) {
        return super.nonces(owner);
    }

    // solhint-disable-next-line func-name-mixedcase
    function DOMAIN_SEPARATOR() external view returns (bytes32) {
        return _domainSeparator();
    }
}
