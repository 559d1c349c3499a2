// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {BlockData} from "../src/BlockData.sol";
import {Header} from "../src/Header.sol";
import {Test} from "./Vm.sol";

contract Walker {
    function count(bytes calldata data, uint64 slot, uint256 proofLength)
        external
        pure
        returns (uint16)
    {
        return BlockData.count(data, slot, proofLength);
    }

    function mixHash(bytes calldata header) external pure returns (bytes32) {
        return Header.mixHash(header);
    }
}

contract BlockDataTest is Test {
    uint256 internal constant PROOF = 33;
    uint64 internal constant SLOT = 5;
    Walker internal walker = new Walker();

    /// A tx whose calls and arguments follow from `shape`.
    function tx_(uint256 shape, uint64 expiry) internal pure returns (bytes memory out) {
        uint8 calls = uint8(shape % 4);
        out = abi.encodePacked(keccak256(abi.encode(shape)), uint64(1), uint64(2), expiry, calls);
        for (uint256 i; i < calls; ++i) {
            uint8 args = uint8((shape >> (8 * i + 2)) % 5);
            out = abi.encodePacked(out, bytes32("program"), args);
            for (uint256 j; j < args; ++j) {
                out = abi.encodePacked(out, keccak256(abi.encode(shape, i, j)));
            }
        }
        out = abi.encodePacked(out, new bytes(PROOF));
    }

    function blockOf(uint256 shape, uint16 txs) internal pure returns (bytes memory out) {
        out = abi.encodePacked(uint8(1), txs);
        for (uint256 i; i < txs; ++i) {
            out = abi.encodePacked(out, tx_(uint256(keccak256(abi.encode(shape, i))), SLOT));
        }
    }

    function part(bytes memory data, uint256 length) internal pure returns (bytes memory out) {
        out = new bytes(length);
        for (uint256 i; i < length; ++i) {
            out[i] = data[i];
        }
    }

    function testFuzz_every_valid_block_is_counted(uint256 shape, uint16 txs) public view {
        txs = 1 + txs % 16;
        assertEq(walker.count(blockOf(shape, txs), SLOT, PROOF), txs, "txs");
    }

    function testFuzz_a_truncated_block_is_refused(uint256 shape, uint256 cut) public {
        bytes memory data = blockOf(shape, uint16(1 + shape % 4));
        bytes memory short = part(data, cut % data.length);
        vm.expectPartialRevert(BlockData.WrongLength.selector);
        walker.count(short, SLOT, PROOF);
    }

    function testFuzz_bytes_behind_the_end_are_refused(uint256 shape, uint8 more) public {
        bytes memory data = blockOf(shape, 2);
        bytes memory long = abi.encodePacked(data, new bytes(uint256(more) + 1));
        vm.expectRevert(
            abi.encodeWithSelector(BlockData.WrongLength.selector, data.length, long.length)
        );
        walker.count(long, SLOT, PROOF);
    }

    function testFuzz_one_expired_tx_is_enough(uint256 shape, uint8 index, uint64 expiry) public {
        expiry %= SLOT;
        uint256 late = index % 3;
        bytes memory data = abi.encodePacked(uint8(1), uint16(3));
        for (uint256 i; i < 3; ++i) {
            data = abi.encodePacked(data, tx_(shape >> i, i == late ? expiry : SLOT + uint64(i)));
        }
        vm.expectRevert(abi.encodeWithSelector(BlockData.Expired.selector, late, expiry));
        walker.count(data, SLOT, PROOF);
    }

    function testFuzz_random_bytes_pass_only_if_plausible(bytes calldata noise) public view {
        // The shortest block needs 3 + 57 + 33 bytes that fit each other.
        bytes memory data = abi.encodePacked(uint8(1), uint16(1), noise);
        try walker.count(data, SLOT, PROOF) returns (uint16) {
            assertTrue(data.length >= 3 + 57 + PROOF && uint8(data[59]) <= 3, "plausible");
        } catch (bytes memory reason) {
            assertTrue(reason.length >= 4, "an error with a name");
        }
    }

    function test_limits() public {
        bytes memory good = blockOf(1, 1);
        good[0] = 0x02;
        vm.expectRevert(BlockData.WrongVersion.selector);
        walker.count(good, SLOT, PROOF);
        vm.expectRevert(abi.encodeWithSelector(BlockData.WrongTxCount.selector, 0));
        walker.count(hex"010000", SLOT, PROOF);
        bytes memory many = blockOf(1, 17);
        vm.expectRevert(abi.encodeWithSelector(BlockData.WrongTxCount.selector, 17));
        walker.count(many, SLOT, PROOF);
        bytes memory calls = abi.encodePacked(
            uint8(1), uint16(1), bytes32("a"), uint64(0), uint64(0), SLOT, uint8(4)
        );
        vm.expectRevert(abi.encodeWithSelector(BlockData.TooManyCalls.selector, 0, 4));
        walker.count(calls, SLOT, PROOF);
        calls[59] = 0x01;
        bytes memory args = abi.encodePacked(calls, bytes32("program"), uint8(5));
        vm.expectRevert(abi.encodeWithSelector(BlockData.TooManyArgs.selector, 0, 5));
        walker.count(args, SLOT, PROOF);
        vm.expectRevert(abi.encodeWithSelector(BlockData.WrongLength.selector, 3, 2));
        walker.count(hex"0100", SLOT, PROOF);
    }

    function testFuzz_a_malformed_header_is_refused(bytes calldata noise) public {
        // Too short to hold 13 items and a word.
        if (noise.length > 45) return;
        vm.expectPartialRevert(Header.Malformed.selector);
        walker.mixHash(noise);
    }
}
