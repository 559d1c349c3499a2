// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// What `Slots` calls to check a root proof: a contract with a fallback only, generated from the
/// root circuit, so that a new circuit set is a new address and no other contract changes.
///
/// Calldata = 12 accumulator words, 9 public words, the proof's transcript; nothing else. It
/// reverts unless the proof holds and returns nothing if it does. It neither refuses words at or
/// above the field's order nor looks at the calldata's length: the caller does both, and makes
/// sure that the address has code, for a call to an empty address succeeds too.
interface IRootVerifier {
    fallback() external;
}
