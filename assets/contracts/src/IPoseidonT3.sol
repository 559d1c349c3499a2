// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// H2 of the circuits: one Poseidon permutation of [0, a, b] over BN254's scalar field, first word
/// of the result. A deployed `poseidon-solidity` library answers this call; taking its address
/// saves linking bytecode. Inputs are reduced modulo the field's order: callers check them.
interface IPoseidonT3 {
    function hash(uint256[2] calldata input) external pure returns (uint256);
}
