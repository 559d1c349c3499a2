// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {BlockData} from "../src/BlockData.sol";
import {Bls} from "../src/Bls.sol";
import {CircuitSets} from "../src/CircuitSets.sol";
import {Field} from "../src/Field.sol";
import {Header} from "../src/Header.sol";
import {Bounds, Params} from "../src/Params.sol";
import {Rewards} from "../src/Rewards.sol";
import {Slots} from "../src/Slots.sol";
import {Vm} from "./Vm.sol";
import {History, World} from "./World.sol";

contract SlotsTest is World {
    function wrongPhase(uint64 slot, uint256 from, uint256 until) internal {
        vm.expectRevert(abi.encodeWithSelector(Slots.WrongPhase.selector, slot, from, until));
    }

    function test_a_slot_lives_from_seed_to_settlement() public {
        revealed(0);
        Slots.Slot memory s = slots.slotAt(0);
        assertEq(s.seed, keccak256(abi.encode("randao", uint64(0))), "seed");
        assertEq(s.blockId, keccak256(blockOf(0)), "block id");
        assertEq(s.count, 2, "txs");
        assertEq(s.score, score(ANNA_KEY, 0), "score");
        assertEq(slots.lastBlock(), s.blockId, "parent of the next");
        settled(0, words(START_ROOT, 0xe2d));
        assertEq(slots.stateRoot(), 0xe2d, "state root");
        (uint64 number,) = slots.unsettled();
        assertEq(number, 0, "nothing is left");
        Rewards.Pool memory pool = rewards.poolOf(0);
        assertEq(pool.amount, SLOT_REWARD, "pool");
        assertEq(pool.credit, 0xc2ed17, "credit root");
        assertEq(pool.units, 1_000, "units");
    }

    function test_the_seed_is_the_randao_of_one_exact_block() public {
        vm.roll(GENESIS);
        bytes memory shown = header(bytes32("r"));
        vm.expectRevert(abi.encodeWithSelector(Header.UnknownBlock.selector, GENESIS - 64));
        slots.showSeed(0, shown);
        History(payable(Header.HISTORY)).set(GENESIS - 63, keccak256(shown));
        vm.expectRevert(abi.encodeWithSelector(Header.UnknownBlock.selector, GENESIS - 64));
        slots.showSeed(0, shown);
        History(payable(Header.HISTORY)).set(GENESIS - 64, keccak256(shown));
        bytes memory other = header(bytes32("s"));
        vm.expectRevert(
            abi.encodeWithSelector(Header.NotTheHeader.selector, GENESIS - 64, keccak256(shown))
        );
        slots.showSeed(0, other);
        slots.showSeed(0, shown);
        assertEq(slots.slotAt(0).seed, bytes32("r"), "seed");
        History(payable(Header.HISTORY)).set(GENESIS - 64, keccak256(other));
        slots.showSeed(0, other);
        assertEq(slots.slotAt(0).seed, bytes32("r"), "a seed is fixed once");
    }

    function test_phases_open_and_close_at_their_blocks() public {
        seed(0);
        bytes memory ticket = vrf(ANNA_KEY, 0);
        vm.roll(GENESIS - 1);
        wrongPhase(0, GENESIS, GENESIS + 5);
        vm.prank(ANNA);
        slots.propose(0, bytes32("c"), ticket);
        vm.roll(GENESIS + 5);
        wrongPhase(0, GENESIS, GENESIS + 5);
        vm.prank(ANNA);
        slots.propose(0, bytes32("c"), ticket);
        vm.roll(GENESIS + 4);
        bytes memory data = blockOf(0);
        propose(ANNA, ANNA_KEY, 0, commit(data, 0));
        wrongPhase(0, GENESIS + 5, GENESIS + 10);
        vm.prank(ANNA);
        slots.reveal(0, data, TXS, 0, SALT, 0);
        vm.roll(GENESIS + 10);
        wrongPhase(0, GENESIS + 5, GENESIS + 10);
        vm.prank(ANNA);
        slots.reveal(0, data, TXS, 0, SALT, 0);
        vm.roll(GENESIS + 9);
        vm.prank(ANNA);
        slots.reveal(0, data, TXS, 0, SALT, 0);
        vm.prank(ANNA);
        vm.expectRevert(abi.encodeWithSelector(Slots.AlreadyRevealed.selector, 0));
        slots.reveal(0, data, TXS, 0, SALT, 0);
    }

    /// Anna says it, and that is what followers of the events hear.
    function names(uint64 slot, uint32 prover, bool alone) internal {
        vm.recordLogs();
        vm.prank(ANNA);
        slots.name(slot, prover, alone);
        Vm.Log memory log = vm.getRecordedLogs()[0];
        assertEq(log.topics[0], Slots.Named.selector, "event");
        assertEq(uint256(log.topics[1]), slot, "slot");
        assertEq(uint256(log.topics[2]), prover, "prover");
        assertTrue(abi.decode(log.data, (bool)) == alone, "alone");
    }

    function test_the_winner_names_once_in_the_reveal_phase() public {
        seed(0);
        propose(ANNA, ANNA_KEY, 0, commit(blockOf(0), 0));
        registerProver(address(0xca21));
        wrongPhase(0, GENESIS + 5, GENESIS + 10);
        vm.prank(ANNA);
        slots.name(0, 0, false);
        vm.roll(GENESIS + 5);
        vm.expectRevert(abi.encodeWithSelector(Slots.NotTheWinner.selector, 0, BERT));
        vm.prank(BERT);
        slots.name(0, 0, false);
        vm.expectRevert(abi.encodeWithSelector(Slots.NoProver.selector, 1));
        vm.prank(ANNA);
        slots.name(0, 1, false);
        names(0, 0, false);
        vm.expectRevert(abi.encodeWithSelector(Slots.AlreadyNamed.selector, 0));
        vm.prank(ANNA);
        slots.name(0, 0, true);
        vm.roll(GENESIS + 10);
        wrongPhase(0, GENESIS + 5, GENESIS + 10);
        vm.prank(ANNA);
        slots.name(0, 0, false);
    }

    function test_a_leader_that_proves_alone_need_not_be_a_prover() public {
        revealed(0);
        names(0, 7, true);
        assertTrue(slots.slotAt(0).named, "named");
        settled(0, words(START_ROOT, 0xe2d));
    }

    function test_no_proposal_without_a_seed() public {
        vm.roll(GENESIS);
        bytes memory ticket = vrf(ANNA_KEY, 0);
        vm.prank(ANNA);
        vm.expectRevert(abi.encodeWithSelector(Slots.NoSeed.selector, 0));
        slots.propose(0, bytes32("c"), ticket);
    }

    function test_the_highest_score_wins_in_either_order() public {
        for (uint64 slot; slot < 6; ++slot) {
            seed(slot);
            bool anna = score(ANNA_KEY, slot) > score(BERT_KEY, slot);
            if (slot % 2 == 0) propose(ANNA, ANNA_KEY, slot, bytes32("anna"));
            else propose(BERT, BERT_KEY, slot, bytes32("bert"));
            bool outscored = (slot % 2 == 0) == anna;
            bytes memory ticket = vrf(slot % 2 == 0 ? BERT_KEY : ANNA_KEY, slot);
            if (outscored) vm.expectPartialRevert(Slots.Outscored.selector);
            vm.prank(slot % 2 == 0 ? BERT : ANNA);
            slots.propose(slot, slot % 2 == 0 ? bytes32("bert") : bytes32("anna"), ticket);
            Slots.Slot memory s = slots.slotAt(slot);
            assertEq(s.commitment, anna ? bytes32("anna") : bytes32("bert"), "winner");
            assertEq(s.sequencer, anna ? 0 : 1, "winner's index");
        }
    }

    function test_ties_go_to_the_lower_index() public {
        // Two owners of one key have the same score.
        address twin = address(0x7e1);
        assertEq(registerSequencer(twin, ANNA_KEY, bytes32("twin")), 2, "index of the twin");
        seed(0);
        propose(twin, ANNA_KEY, 0, bytes32("twin"));
        propose(ANNA, ANNA_KEY, 0, bytes32("anna"));
        assertEq(slots.slotAt(0).commitment, bytes32("anna"), "lower index takes over");
        bytes memory ticket = vrf(ANNA_KEY, 0);
        bytes32 best = slots.slotAt(0).score;
        vm.prank(twin);
        vm.expectRevert(abi.encodeWithSelector(Slots.Outscored.selector, best, best));
        slots.propose(0, bytes32("twin"), ticket);
        vm.prank(ANNA);
        vm.expectRevert(abi.encodeWithSelector(Slots.Outscored.selector, best, best));
        slots.propose(0, bytes32("changed"), ticket);
    }

    function test_a_wrong_ticket_is_refused() public {
        seed(0);
        bytes memory foreign = vrf(BERT_KEY, 0);
        vm.prank(ANNA);
        vm.expectRevert(abi.encodeWithSelector(Slots.WrongKey.selector, 0));
        slots.propose(0, bytes32("c"), foreign);
        bytes memory stolen = abi.encodePacked(
            publicKey(ANNA_KEY),
            sign(BERT_KEY, slots.ticket(0, slots.slotAt(0).seed), Bls.VRF_DOMAIN)
        );
        vm.prank(ANNA);
        vm.expectRevert(Bls.BadSignature.selector);
        slots.propose(0, bytes32("c"), stolen);
        bytes memory other = abi.encodePacked(
            publicKey(ANNA_KEY),
            sign(ANNA_KEY, slots.ticket(1, slots.slotAt(0).seed), Bls.VRF_DOMAIN)
        );
        vm.prank(ANNA);
        vm.expectRevert(Bls.BadSignature.selector);
        slots.propose(0, bytes32("c"), other);
        bytes memory long = abi.encodePacked(vrf(ANNA_KEY, 0), uint8(0));
        vm.prank(ANNA);
        vm.expectRevert(abi.encodeWithSelector(Bls.BadLength.selector, 385));
        slots.propose(0, bytes32("c"), long);
        assertEq(slots.slotAt(0).score, 0, "no proposal");
    }

    function test_a_key_registered_after_the_seed_block_is_too_young() public {
        address late = address(0x1a7e);
        vm.roll(GENESIS - 64);
        uint32 young = registerSequencer(late, 77, bytes32("late"));
        seed(0);
        bytes memory ticket = vrf(77, 0);
        vm.prank(late);
        vm.expectRevert(abi.encodeWithSelector(Slots.TooYoung.selector, young, GENESIS - 64));
        slots.propose(0, bytes32("c"), ticket);
    }

    function test_a_leaving_sequencer_may_not_propose() public {
        seed(0);
        bytes memory ticket = vrf(ANNA_KEY, 0);
        vm.prank(ANNA);
        registry.leaveSequencer();
        vm.prank(ANNA);
        vm.expectRevert(abi.encodeWithSelector(Slots.Leaving.selector, 0));
        slots.propose(0, bytes32("c"), ticket);
    }

    function test_only_the_winner_reveals() public {
        bytes memory data = blockOf(0);
        proposed(0, data);
        vm.prank(BERT);
        vm.expectRevert(abi.encodeWithSelector(Slots.NotTheWinner.selector, 0, BERT));
        slots.reveal(0, data, TXS, 0, SALT, 0);
        vm.roll(slots.slotStart(1) + 5);
        vm.prank(ANNA);
        vm.expectRevert(abi.encodeWithSelector(Slots.NotTheWinner.selector, 1, ANNA));
        slots.reveal(1, data, TXS, 0, SALT, 0);
    }

    function test_a_reveal_must_open_its_commitment() public {
        bytes memory data = blockOf(0);
        proposed(0, data);
        bytes32 commitment = commit(data, 0);
        bytes memory refused = abi.encodeWithSelector(Slots.WrongCommitment.selector, commitment);
        bytes memory other = blockOf(1);
        vm.prank(ANNA);
        vm.expectRevert(refused);
        slots.reveal(0, other, TXS, 0, SALT, 0);
        vm.prank(ANNA);
        vm.expectRevert(refused);
        slots.reveal(0, data, TXS + 1, 0, SALT, 0);
        vm.prank(ANNA);
        vm.expectRevert(refused);
        slots.reveal(0, data, TXS, 0, bytes32("pepper"), 0);
        vm.prank(ANNA);
        vm.expectRevert(
            abi.encodeWithSelector(Slots.WrongParent.selector, bytes32(0), bytes32("orphan"))
        );
        slots.reveal(0, data, TXS, bytes32("orphan"), SALT, 0);
        vm.prank(ANNA);
        vm.expectRevert(abi.encodeWithSelector(Field.NotInField.selector, Field.ORDER));
        slots.reveal(0, data, Field.ORDER, 0, SALT, 0);
    }

    function test_an_expired_tx_is_refused() public {
        revealed(0);
        bytes memory data = blockOf(0);
        proposed(1, data);
        bytes32 parent = slots.lastBlock();
        vm.prank(ANNA);
        vm.expectRevert(abi.encodeWithSelector(BlockData.Expired.selector, 0, 0));
        slots.reveal(1, data, TXS, parent, SALT, 0);
    }

    function test_unsettled_slots_are_bounded() public {
        revealed(0);
        revealed(1);
        bytes memory data = blockOf(2);
        proposed(2, data);
        bytes32 parent = slots.lastBlock();
        vm.prank(ANNA);
        vm.expectRevert(abi.encodeWithSelector(Slots.TooFarAhead.selector, 2));
        slots.reveal(2, data, TXS, parent, SALT, 0);
        settled(0, words(START_ROOT, 1));
        vm.prank(ANNA);
        slots.reveal(2, data, TXS, parent, SALT, 0);
    }

    function test_slots_settle_in_order_of_their_reveals() public {
        revealed(3);
        revealed(7);
        accept(words(START_ROOT, 1));
        vm.expectRevert(abi.encodeWithSelector(Slots.NotTheOldest.selector, 7));
        slots.settle(7, words(START_ROOT, 1), proof());
        settled(3, words(START_ROOT, 1));
        vm.expectRevert(abi.encodeWithSelector(Slots.NotTheOldest.selector, 3));
        slots.settle(3, words(START_ROOT, 1), proof());
        settled(7, words(1, 2));
        assertEq(slots.stateRoot(), 2, "state root");
        vm.expectRevert(abi.encodeWithSelector(Slots.NotTheOldest.selector, 0));
        slots.settle(0, words(2, 3), proof());
    }

    function refuseWord(uint256 index, uint256 value, bytes memory refusal) internal {
        uint256[9] memory words_ = words(START_ROOT, 1);
        words_[index] = value;
        accept(words_);
        vm.expectRevert(refusal);
        slots.settle(0, words_, proof());
    }

    function wrong(uint256 index, uint256 expected, uint256 word)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(Slots.WrongWord.selector, index, expected, word);
    }

    function test_words_must_be_those_that_are_stored() public {
        revealed(0);
        refuseWord(0, START_ROOT + 1, wrong(0, START_ROOT, START_ROOT + 1));
        refuseWord(2, TXS + 1, wrong(2, TXS, TXS + 1));
        refuseWord(3, 3, wrong(3, 2, 3));
        refuseWord(5, 1 << 160, wrong(5, 0, 1 << 160));
        refuseWord(6, 1 << 64, wrong(6, 0, 1 << 64));
        refuseWord(7, 1 << 64, wrong(7, 0, 1 << 64));
        refuseWord(8, SET + 1, wrong(8, SET, SET + 1));
    }

    function test_words_have_one_encoding() public {
        revealed(0);
        uint256[9] memory good = words(START_ROOT, 1);
        for (uint256 i; i < 9; ++i) {
            uint256 second = good[i] + Field.ORDER;
            refuseWord(i, second, abi.encodeWithSelector(Field.NotInField.selector, second));
        }
        accept(good);
        for (uint256 i; i < 12; ++i) {
            bytes memory altered = proof();
            for (uint256 j; j < 32; ++j) {
                altered[32 * i + j] = bytes32(Field.ORDER + i + 1)[j];
            }
            vm.expectRevert(abi.encodeWithSelector(Field.NotInField.selector, Field.ORDER + i + 1));
            slots.settle(0, good, altered);
        }
    }

    function test_a_proof_of_another_length_or_content_is_refused() public {
        revealed(0);
        uint256[9] memory good = words(START_ROOT, 1);
        accept(good);
        bytes memory long = abi.encodePacked(proof(), uint8(0));
        vm.expectRevert(
            abi.encodeWithSelector(Slots.WrongProofLength.selector, ROOT_PROOF, ROOT_PROOF + 1)
        );
        slots.settle(0, good, long);
        bytes memory bad = proof();
        bad[ROOT_PROOF - 1] ^= 0x01;
        vm.expectRevert(Slots.ProofRefused.selector);
        slots.settle(0, good, bad);
        vm.expectRevert(Slots.ProofRefused.selector);
        slots.settle(0, words(START_ROOT, 2), proof());
        slots.settle(0, good, proof());
    }

    function test_the_window_closes_and_the_slot_can_be_given_up() public {
        revealed(0);
        revealed(1);
        uint256 deadline = slots.slotAt(0).revealedAt + (1_500 + 1 + 300) * 2;
        vm.warp(deadline);
        vm.expectRevert(abi.encodeWithSelector(Slots.WindowOpen.selector, 0, deadline));
        slots.lapse(0);
        vm.warp(deadline + 1);
        accept(words(START_ROOT, 1));
        vm.expectRevert(abi.encodeWithSelector(Slots.WindowClosed.selector, 0, deadline));
        slots.settle(0, words(START_ROOT, 1), proof());
        vm.expectRevert(abi.encodeWithSelector(Slots.NotTheOldest.selector, 1));
        slots.lapse(1);
        slots.lapse(0);
        assertEq(uint8(slots.slotAt(0).stage), uint8(Slots.Stage.Lapsed), "oldest given up");
        assertEq(uint8(slots.slotAt(1).stage), uint8(Slots.Stage.Lapsed), "what built on it too");
        assertEq(slots.lastBlock(), 0, "nothing was settled");
        assertEq(slots.stateRoot(), START_ROOT, "state root unchanged");
        vm.expectRevert(abi.encodeWithSelector(Slots.NotTheOldest.selector, 0));
        slots.lapse(0);
        revealed(500);
        settled(500, words(START_ROOT, 1));
    }

    function test_after_giving_up_the_parent_is_the_last_settled_block() public {
        revealed(0);
        settled(0, words(START_ROOT, 1));
        bytes32 parent = slots.lastBlock();
        revealed(1);
        vm.warp(block.timestamp + 100_000);
        slots.lapse(1);
        assertEq(slots.lastBlock(), parent, "parent");
        assertEq(parent, slots.slotAt(0).blockId, "settled block");
    }

    function test_a_proof_at_the_last_second_settles() public {
        revealed(0);
        vm.warp(slots.slotAt(0).revealedAt + (1_500 + 1 + 300) * 2);
        settled(0, words(START_ROOT, 1));
    }

    function test_a_lack_of_funds_does_not_stop_the_chain() public {
        vm.prank(address(rewards));
        token.transfer(address(this), 930e18);
        revealed(0);
        settled(0, words(START_ROOT, 1));
        assertEq(rewards.poolOf(0).amount, 70e18, "what is there");
        revealed(1);
        settled(1, words(1, 2));
        assertEq(rewards.poolOf(1).amount, 0, "all of it is owed already");
        assertEq(slots.stateRoot(), 2, "settled");
    }

    function test_a_verifier_without_code_is_refused() public {
        Rewards r = new Rewards(token, poseidon, created(vm.getNonce(address(this)) + 1));
        vm.expectRevert(abi.encodeWithSelector(CircuitSets.NoCode.selector, address(0xe0a)));
        new Slots(registry, r, address(0xe0a), params());
    }

    function test_rewards_of_other_slots_are_refused() public {
        vm.expectRevert(abi.encodeWithSelector(Slots.WrongRewards.selector, address(rewards)));
        new Slots(registry, rewards, address(verifier), params());
    }

    function refuseParams(Params memory p, bytes32 name, uint256 value) internal {
        Rewards r = new Rewards(token, poseidon, created(vm.getNonce(address(this)) + 1));
        vm.expectRevert(abi.encodeWithSelector(Bounds.OutOfBounds.selector, name, value));
        new Slots(registry, r, address(verifier), p);
    }

    function test_bounds_of_the_parameters() public {
        Params memory p = params();
        p.genesis = uint64(block.number + 64);
        refuseParams(p, "genesis", block.number + 64);
        p = params();
        p.proposal = 0;
        refuseParams(p, "proposal", 0);
        p = params();
        p.reveal = 1;
        refuseParams(p, "reveal", 1);
        p = params();
        p.proving = 39;
        refuseParams(p, "proving", 39);
        p = params();
        p.halting = 0;
        refuseParams(p, "halting", 0);
        p = params();
        p.backup = 10_001;
        refuseParams(p, "backup", 10_001);
        p = params();
        p.blockSeconds = 0;
        refuseParams(p, "blockSeconds", 0);
        p = params();
        p.buildAheadMax = 65;
        refuseParams(p, "buildAheadMax", 65);
        p = params();
        p.rootProofLength = 12 * 32;
        refuseParams(p, "rootProofLength", 12 * 32);
        p = params();
        p.txProofLength = 0;
        refuseParams(p, "txProofLength", 0);
        p = params();
        p.epochSlots = 0;
        refuseParams(p, "epochSlots", 0);
        p = params();
        p.changeDelayEpochs = 0;
        refuseParams(p, "changeDelayEpochs", 0);
        p = params();
        p.changeoverEpochs = 65;
        refuseParams(p, "changeoverEpochs", 65);
    }
}
