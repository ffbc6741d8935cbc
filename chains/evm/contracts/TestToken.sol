// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title A test dollar
/// @notice Behaves as USDC does: 6 decimals, EIP-3009 with random nonces, EIP-2612. Anyone may mint it, so it is worth
/// nothing.
contract TestToken is ERC20, ERC20Permit, ERC3009 {
    /// @notice Create the token with a supply of 0.
    constructor() ERC20("Test Dollar", "TUSD") ERC20Permit("Test Dollar") {}

    /// @notice The number of decimals: 6, as USDC has.
    function decimals() public pure override returns (uint8) {
        return 6;
    }

    /// @notice Mint tokens. Anyone may call this.
    /// @param to the receiver
    /// @param amount in the smallest unit
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}
