// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {CircuitSet, CircuitSets} from "../src/CircuitSets.sol";
import {Field} from "../src/Field.sol";
import {Slots} from "../src/Slots.sol";
import {Vm} from "./Vm.sol";
import {OneProof, World} from "./World.sol";

/// One circuit set follows another (R13). Epochs have four slots; a set announced in epoch e is valid
/// from epoch e + 2 on, and the one before it until epoch e + 3.
contract CircuitSetsTest is World {
    uint256 internal constant NEXT = 0x5e8;
    uint256 internal constant LATER = 0x5e9;
    /// First slot of epochs 2 and 3.
    uint64 internal constant FROM = 8;
    uint64 internal constant OVER = 12;

    OneProof internal other;

    function setUp() public override {
        super.setUp();
        other = new OneProof();
    }

    function announce(uint256 id) internal {
        vm.prank(GOVERNOR);
        slots.announceSet(id, address(other), ROOT_PROOF + 32);
    }

    function notValid(uint256 id, uint64 epoch) internal {
        vm.expectRevert(abi.encodeWithSelector(CircuitSets.SetNotValid.selector, id, epoch));
    }

    /// Words of a proof of the next set, which is 32 bytes longer, and `other` accepts them.
    function nextProof(uint256 start, uint256 end)
        internal
        returns (uint256[9] memory words_, bytes memory proof_)
    {
        words_ = words(start, end);
        words_[8] = NEXT;
        proof_ = abi.encodePacked(proof(), bytes32("longer"));
        bytes memory input = new bytes(proof_.length + 9 * 32);
        for (uint256 i; i < proof_.length; ++i) {
            input[i < 12 * 32 ? i : i + 9 * 32] = proof_[i];
        }
        for (uint256 i; i < 9 * 32; ++i) {
            input[12 * 32 + i] = bytes32(words_[i / 32])[i % 32];
        }
        other.expect(keccak256(input));
    }

    function test_a_set_is_valid_from_its_epoch_and_the_one_before_until_the_next() public {
        announce(NEXT);
        assertEq(slots.setCount(), 2, "sets");
        assertEq(slots.setAt(1).from, 2, "its epoch");
        assertEq(slots.setAt(1).verifier, address(other), "its verifier");
        uint64[4] memory around = [FROM - 1, FROM, OVER - 1, OVER];
        uint32[4] memory current = [uint32(0), 1, 1, 1];
        for (uint256 i; i < 4; ++i) {
            assertEq(slots.versionAt(around[i], 0), current[i], "the newest valid one");
        }
        assertEq(slots.versionAt(FROM - 1, SET), 0, "before");
        assertEq(slots.versionAt(FROM, SET), 0, "both are valid");
        assertEq(slots.versionAt(OVER - 1, SET), 0, "both are valid to the end");
        assertEq(slots.versionAt(FROM, NEXT), 1, "the new one");
        notValid(NEXT, 1);
        slots.versionAt(FROM - 1, NEXT);
        notValid(SET, 3);
        slots.versionAt(OVER, SET);
        notValid(LATER, 2);
        slots.versionAt(FROM, LATER);
    }

    function test_a_reveal_names_a_set_that_is_valid_then() public {
        announce(NEXT);
        bytes memory data = blockOf(0);
        proposed(0, data);
        bytes32 parent = slots.lastBlock();
        notValid(NEXT, 0);
        vm.prank(ANNA);
        slots.reveal(0, data, TXS, parent, SALT, NEXT);
        reveal(0, data, SET);
        assertEq(slots.slotAt(0).set, 0, "the first set");
        revealed(FROM, NEXT);
        assertEq(slots.slotAt(FROM).set, 1, "the next set");
        settled(0, words(START_ROOT, 1));
        data = blockOf(OVER);
        proposed(OVER, data);
        parent = slots.lastBlock();
        notValid(SET, 3);
        vm.prank(ANNA);
        slots.reveal(OVER, data, TXS, parent, SALT, SET);
        reveal(OVER, data, 0);
        assertEq(slots.slotAt(OVER).set, 1, "named by none");
    }

    /// Two slots on both sides of the change: each is settled by its own set, the older one after it.
    function test_each_slot_settles_by_the_set_its_reveal_named() public {
        announce(NEXT);
        revealed(FROM - 1);
        revealed(FROM);
        (uint256[9] memory early, bytes memory longer) = nextProof(START_ROOT, 1);
        vm.expectRevert(abi.encodeWithSelector(Slots.WrongWord.selector, 8, SET, NEXT));
        slots.settle(FROM - 1, early, longer);
        settled(FROM - 1, words(START_ROOT, 1));

        uint256[9] memory late = words(1, 2);
        accept(late);
        vm.expectRevert(abi.encodeWithSelector(Slots.WrongWord.selector, 8, NEXT, SET));
        slots.settle(FROM, late, proof());
        // With the id alone it is not a proof of that set: another length, another verifier.
        late[8] = NEXT;
        accept(late);
        vm.expectRevert(
            abi.encodeWithSelector(Slots.WrongProofLength.selector, ROOT_PROOF + 32, ROOT_PROOF)
        );
        slots.settle(FROM, late, proof());
        bytes memory padded = abi.encodePacked(proof(), bytes32(0));
        vm.expectRevert(Slots.ProofRefused.selector);
        slots.settle(FROM, late, padded);

        (late, longer) = nextProof(1, 2);
        slots.settle(FROM, late, longer);
        assertEq(slots.stateRoot(), 2, "settled by the other verifier");
    }

    function test_a_slot_of_the_change_over_may_keep_the_old_set() public {
        announce(NEXT);
        revealed(OVER - 1, SET);
        vm.roll(slots.slotStart(OVER + 4));
        settled(OVER - 1, words(START_ROOT, 1));
        assertEq(slots.stateRoot(), 1, "after the old set's last epoch");
    }

    function test_only_governance_announces() public {
        vm.expectRevert(abi.encodeWithSelector(CircuitSets.NotGovernance.selector, address(this)));
        slots.announceSet(NEXT, address(other), ROOT_PROOF);
    }

    function test_what_is_no_set_is_refused() public {
        vm.expectRevert(abi.encodeWithSelector(CircuitSets.SetKnown.selector, SET));
        announce(SET);
        vm.expectPartialRevert(Field.NotInField.selector);
        announce(Field.ORDER);
        vm.expectRevert(abi.encodeWithSelector(CircuitSets.NoCode.selector, address(0xe0a)));
        vm.prank(GOVERNOR);
        slots.announceSet(NEXT, address(0xe0a), ROOT_PROOF);
        vm.expectRevert(abi.encodeWithSelector(CircuitSets.SetProofLength.selector, 12 * 32));
        vm.prank(GOVERNOR);
        slots.announceSet(NEXT, address(other), 12 * 32);
    }

    function test_one_change_at_a_time() public {
        announce(NEXT);
        bytes memory pending = abi.encodeWithSelector(CircuitSets.SetPending.selector, 3);
        vm.expectRevert(pending);
        announce(LATER);
        vm.roll(slots.slotStart(OVER) - 1);
        vm.expectRevert(pending);
        announce(LATER);
        vm.roll(slots.slotStart(OVER));
        announce(LATER);
        assertEq(slots.setAt(2).from, 5, "two epochs later");
        assertEq(slots.versionAt(OVER + 7, 0), 1, "not yet");
        assertEq(slots.versionAt(OVER + 8, 0), 2, "now");
        assertEq(slots.versionAt(OVER + 8, NEXT), 1, "beside it");
        notValid(SET, 5);
        slots.versionAt(OVER + 8, SET);
    }

    function test_the_events_name_every_set() public {
        vm.recordLogs();
        announce(NEXT);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(logs.length, 1, "one event");
        assertEq(logs[0].topics[0], CircuitSets.SetAnnounced.selector, "which");
        assertEq(logs[0].topics[1], bytes32(uint256(1)), "version");
        (uint256 id, address verifier_, uint32 length, uint64 epoch) =
            abi.decode(logs[0].data, (uint256, address, uint32, uint64));
        CircuitSet memory set = slots.setAt(1);
        assertEq(id, set.id, "id");
        assertEq(verifier_, set.verifier, "verifier");
        assertEq(length, set.proofLength, "length");
        assertEq(epoch, set.from, "epoch");
    }
}
