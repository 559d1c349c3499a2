// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

// Only so that the library is compiled: it is deployed once, and called by address.
import {PoseidonT3} from "poseidon-solidity/PoseidonT3.sol";
