// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// Words of the circuits: below the order of BN254's scalar field, so that a statement has exactly
/// one encoding.
library Field {
    uint256 internal constant ORDER =
        21888242871839275222246405745257275088548364400416034343698204186575808495617;

    error NotInField(uint256 word);

    /// Reverts unless `word` is below the field's order.
    function check(uint256 word) internal pure {
        if (word >= ORDER) revert NotInField(word);
    }
}
