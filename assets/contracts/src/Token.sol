// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// Bonds and rewards of a devnet. It is worth nothing: its whole supply goes to whoever deploys it,
/// so it refuses every chain but the local one.
contract Token is ERC20 {
    uint256 public constant DEVNET_CHAIN = 31337;

    error DevnetOnly(uint256 chainId);

    /// Mints `supply` base units (18 decimals) to the deployer.
    constructor(uint256 supply) ERC20("Coppice devnet token", "COP") {
        if (block.chainid != DEVNET_CHAIN) revert DevnetOnly(block.chainid);
        _mint(msg.sender, supply);
    }
}
