// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Params} from "../src/Params.sol";
import {Slots} from "../src/Slots.sol";
import {Halo2Verifier} from "../src/RootVerifier.sol";
import {RootProof} from "./RootProof.sol";
import {World} from "./World.sol";

/// The generated verifier, below the real contracts, with a real proof.
contract RootVerifierTest is World {
    uint256[9] internal real;
    bytes internal shown;

    function setUp() public override {
        super.setUp();
        bytes memory input = RootProof.CALLDATA;
        for (uint256 i; i < 9; ++i) {
            real[i] = wordAt(input, 12 + i);
        }
        shown = new bytes(input.length - 9 * 32);
        for (uint256 i; i < shown.length; ++i) {
            shown[i] = input[i < 12 * 32 ? i : i + 9 * 32];
        }
        Params memory p = params();
        p.stateRoot = real[0];
        p.circuitSet = real[8];
        p.rootProofLength = uint32(shown.length);
        deploySlots(verifierWith(RootProof.KEY, 1), p);
        token.transfer(address(rewards), 1_000e18);
        revealReal();
    }

    /// The generated code with the root key of one circuit set behind it.
    function verifierWith(bytes memory key, uint160 number) internal returns (address place) {
        place = address(0x5e70 + number);
        vm.etch(place, abi.encodePacked(type(Halo2Verifier).runtimeCode, key));
    }

    /// Any block of as many txs: L1 takes the commitment of the tx list as it is claimed.
    function revealReal() internal {
        bytes memory data = blockOf(0);
        seed(0);
        bytes32 commitment = keccak256(abi.encode(keccak256(data), real[2], bytes32(0), SALT));
        propose(ANNA, ANNA_KEY, 0, commitment);
        vm.roll(slots.slotStart(0) + 5);
        vm.prank(ANNA);
        slots.reveal(0, data, real[2], 0, SALT, 0);
    }

    function wordAt(bytes memory input, uint256 index) internal pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(add(add(input, 32), mul(index, 32)))
        }
    }

    /// 21,000 of any transaction, 16 per byte of calldata that is not zero, 4 per zero byte.
    function intrinsic(bytes memory input) internal pure returns (uint256 gas) {
        gas = 21_000;
        for (uint256 i; i < input.length; ++i) {
            gas += input[i] == 0 ? 4 : 16;
        }
    }

    function test_a_real_proof_settles_within_the_gas_budget() public {
        uint256[9] memory words_ = real;
        bytes memory proof_ = shown;
        uint256 before = gasleft();
        slots.settle(0, words_, proof_);
        uint256 used = before - gasleft();
        used += intrinsic(abi.encodeCall(Slots.settle, (0, words_, proof_)));
        assertEq(slots.stateRoot(), real[1], "state root");
        // Accounts and storage are as cold here as in a transaction of its own.
        assertTrue(used < 690_000, "690,000 gas");
    }

    function test_every_word_is_bound() public {
        bytes memory proof_ = shown;
        for (uint256 i; i < 9; ++i) {
            uint256[9] memory words_ = real;
            words_[i] ^= 1;
            // Those that are stored are refused before the verifier is asked, the others by it.
            if (i == 1 || (i > 3 && i < 8)) vm.expectRevert(Slots.ProofRefused.selector);
            else vm.expectPartialRevert(Slots.WrongWord.selector);
            slots.settle{gas: 2_000_000}(0, words_, proof_);
        }
    }

    /// One code serves every set of the family, and each set's proofs its own key alone.
    function test_a_proof_holds_for_the_key_of_its_own_set_only() public {
        bytes memory input = RootProof.CALLDATA;
        (bool ok,) = verifierWith(RootProof.KEY, 1).staticcall(input);
        assertTrue(ok, "its own set");
        (ok,) = verifierWith(RootProof.OTHER_KEY, 2).staticcall{gas: 2_000_000}(input);
        assertTrue(!ok, "the other set");
        (ok,) = verifierWith("", 3).staticcall{gas: 2_000_000}(input);
        assertTrue(!ok, "no key");
        assertTrue(address(0x5e71).code.length < 24_576, "L1's limit for code");
    }

    function test_every_bit_of_the_key_counts() public {
        bytes memory input = RootProof.CALLDATA;
        for (uint256 i; i < RootProof.KEY.length; i += 32) {
            bytes memory key = RootProof.KEY;
            key[i + 31] ^= bytes1(uint8(1 << (i / 32 % 8)));
            (bool ok,) = verifierWith(key, 4).staticcall{gas: 2_000_000}(input);
            assertTrue(!ok, "a changed key");
        }
    }

    function testFuzz_every_bit_of_the_proof_counts(uint256 bit) public {
        bytes memory proof_ = shown;
        bit %= proof_.length * 8;
        proof_[bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
        uint256[9] memory words_ = real;
        vm.expectRevert();
        slots.settle{gas: 2_000_000}(0, words_, proof_);
    }
}
