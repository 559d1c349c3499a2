// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {BlockData} from "./BlockData.sol";
import {Bls} from "./Bls.sol";
import {CircuitSet, CircuitSets} from "./CircuitSets.sol";
import {Field} from "./Field.sol";
import {Header} from "./Header.sol";
import {Bounds, Params} from "./Params.sol";
import {Registry} from "./Registry.sol";
import {Rewards} from "./Rewards.sol";

/// The life of a slot (R2, R9): seed, proposals, reveal, settlement, or giving up.
///
/// Phases count L1 blocks up to the reveal and seconds after it. Nothing happens by itself: each
/// call looks at the clock. What a root proof says is compared with what is stored here, never with
/// calldata alone. Slots settle in the order of their reveals, each by the circuit set that its reveal
/// named (R13).
contract Slots is ReentrancyGuardTransient, CircuitSets {
    struct Slot {
        // RANDAO of the seed block; 0 until shown.
        bytes32 seed;
        // Best score so far; 0 until there is a proposal.
        bytes32 score;
        // keccak(keccak(data), txs, parent, salt) of the best proposal.
        bytes32 commitment;
        // keccak of the revealed data; 0 until revealed.
        bytes32 blockId;
        // Claimed Poseidon commitment of the tx list.
        uint256 txs;
        uint32 sequencer;
        uint16 count;
        // Unix seconds of the reveal's block.
        uint64 revealedAt;
        Stage stage;
        // Whether the winner has named a prover, or itself.
        bool named;
        // Version of the circuit set that the reveal named: what the slot is settled by.
        uint32 set;
    }

    enum Stage {
        Open,
        Revealed,
        Settled,
        Lapsed
    }

    /// Words of the accumulator, which come first in `settle`'s proof.
    uint256 private constant ACCUMULATOR_BYTES = 12 * 32;

    Registry public immutable registry;
    Rewards public immutable rewards;
    uint64 public immutable genesis;
    uint32 public immutable proposal;
    uint32 public immutable reveals;
    /// Seconds from the reveal's block in which the slot can be settled.
    uint64 public immutable window;
    uint32 public immutable buildAheadMax;
    uint32 public immutable txProofLength;
    uint96 public immutable slotReward;

    /// State root after the last settled block.
    uint256 public stateRoot;
    /// The parent that the next reveal must name: the last revealed block that was not given up.
    bytes32 public lastBlock;
    /// Revealed slots in order, of which those from `settledTo` on are unsettled.
    mapping(uint64 index => uint64 slot) private _queue;
    uint64 private _settledTo;
    uint64 private _revealedTo;
    /// Last settled slot + 1; 0 if none is.
    uint64 private _settledNext;
    mapping(uint64 slot => Slot) private _slots;

    event Seed(uint64 indexed slot, bytes32 seed);
    event Proposed(
        uint64 indexed slot, uint32 indexed sequencer, bytes32 commitment, bytes32 score
    );
    /// The winner's word (R2.6, R14): who coordinates its block, or that it proves alone.
    event Named(uint64 indexed slot, uint32 indexed prover, bool alone);
    /// `set` is the id of the circuit set that the block is proved by.
    event Revealed(uint64 indexed slot, bytes32 blockId, uint256 txs, uint16 n, uint256 set);
    /// What the commitment opened to: following the events is enough to have every block, however
    /// the call was made. Costs nothing beyond the floor price of the calldata (EIP-7623).
    event BlockOpened(uint64 indexed slot, bytes32 parent, bytes32 salt, bytes data);
    event Settled(
        uint64 indexed slot, uint256 end, uint256 credit, address payee, uint64 units, uint128 pool
    );
    event Lapsed(uint64 indexed slot);

    error WrongRewards(address rewards);
    error WrongPhase(uint64 slot, uint256 from, uint256 until);
    error NoSeed(uint64 slot);
    error TooYoung(uint32 sequencer, uint64 since);
    error Leaving(uint32 sequencer);
    error WrongKey(uint32 sequencer);
    error Outscored(bytes32 best, bytes32 score);
    error NotTheWinner(uint64 slot, address caller);
    error AlreadyRevealed(uint64 slot);
    error AlreadyNamed(uint64 slot);
    error NoProver(uint32 prover);
    error WrongCommitment(bytes32 commitment);
    error WrongParent(bytes32 expected, bytes32 parent);
    error TooFarAhead(uint256 unsettled);
    error NotTheOldest(uint64 slot);
    error WindowClosed(uint64 slot, uint256 deadline);
    error WindowOpen(uint64 slot, uint256 deadline);
    error WrongWord(uint256 index, uint256 expected, uint256 word);
    error WrongProofLength(uint256 expected, uint256 length);
    error ProofRefused();

    /// `rewards_` must name this contract as its `slots`.
    constructor(Registry registry_, Rewards rewards_, address verifier_, Params memory p)
        CircuitSets(verifier_, p)
    {
        Bounds.check(p);
        Field.check(p.stateRoot);
        if (address(registry_).code.length == 0) revert NoCode(address(registry_));
        if (rewards_.slots() != address(this)) revert WrongRewards(address(rewards_));
        registry = registry_;
        rewards = rewards_;
        genesis = p.genesis;
        proposal = p.proposal;
        reveals = p.reveal;
        window = (uint64(p.proving) + p.halting + p.backup) * p.blockSeconds;
        buildAheadMax = p.buildAheadMax;
        txProofLength = p.txProofLength;
        slotReward = p.slotReward;
        stateRoot = p.stateRoot;
    }

    /// Fixes `slot`'s seed from the RLP header of the L1 block 64 before its start. Anybody may
    /// call it; once the seed is known it does nothing, so that two callers do not fail each other.
    function showSeed(uint64 slot, bytes calldata header) external {
        Slot storage s = _slots[slot];
        if (s.seed != 0) return;
        s.seed = Header.randao(seedBlock(slot), header);
        emit Seed(slot, s.seed);
    }

    /// Offers a block: `commitment` = keccak(keccak(data), txs, parent, salt), `vrf` = the caller's
    /// BLS key (256 bytes) and its signature of `ticket` (128 bytes). The highest score wins, ties
    /// go to the lower sequencer index; a ticket that does not win is refused before the pairing.
    function propose(uint64 slot, bytes32 commitment, bytes calldata vrf) external {
        _requirePhase(slot, slotStart(slot), slotStart(slot) + proposal);
        Slot storage s = _slots[slot];
        if (s.seed == 0) revert NoSeed(slot);
        uint32 sequencer = _electable(slot, vrf);
        bytes32 score = keccak256(vrf[Bls.KEY_LENGTH:]);
        if (score < s.score || (score == s.score && sequencer >= s.sequencer)) {
            revert Outscored(s.score, score);
        }
        _verifyTicket(ticket(slot, s.seed), vrf);
        s.score = score;
        s.commitment = commitment;
        s.sequencer = sequencer;
        emit Proposed(slot, sequencer, commitment, score);
    }

    /// Publishes the winner's block. `txs` is what it claims to be the Poseidon commitment of the
    /// tx list (L1 computes no Poseidon: a false claim cannot be proved), `parent` the block before,
    /// `set` the circuit set that its tx proofs are of, 0 for the newest valid one. The commitment
    /// does not hold the set: under another one the winner's own block cannot be proved.
    function reveal(
        uint64 slot,
        bytes calldata data,
        uint256 txs,
        bytes32 parent,
        bytes32 salt,
        uint256 set
    ) external {
        uint256 from = slotStart(slot) + proposal;
        _requirePhase(slot, from, from + reveals);
        Slot storage s = _slots[slot];
        _requireWinner(slot, s);
        if (s.stage != Stage.Open) revert AlreadyRevealed(slot);
        if (_revealedTo - _settledTo >= buildAheadMax) {
            revert TooFarAhead(_revealedTo - _settledTo);
        }
        if (parent != lastBlock) revert WrongParent(lastBlock, parent);
        Field.check(txs);
        bytes32 blockId = keccak256(data);
        if (keccak256(abi.encode(blockId, txs, parent, salt)) != s.commitment) {
            revert WrongCommitment(s.commitment);
        }
        s.count = BlockData.count(data, slot, txProofLength);
        s.blockId = blockId;
        s.txs = txs;
        s.revealedAt = uint64(block.timestamp);
        s.stage = Stage.Revealed;
        s.set = versionAt(slot, set);
        lastBlock = blockId;
        _queue[_revealedTo++] = slot;
        emit Revealed(slot, blockId, txs, s.count, _set(s.set).id);
        emit BlockOpened(slot, parent, salt, data);
    }

    /// The winner says once, before or after its reveal, who coordinates the proving of its block,
    /// or that it proves alone. Only the event counts: without it the deal is the assignment.
    function name(uint64 slot, uint32 prover, bool alone) external {
        uint256 from = slotStart(slot) + proposal;
        _requirePhase(slot, from, from + reveals);
        Slot storage s = _slots[slot];
        _requireWinner(slot, s);
        if (s.named) revert AlreadyNamed(slot);
        // Whoever proves alone takes no lane's work and need not be registered.
        if (!alone && registry.proverAt(prover).owner == address(0)) revert NoProver(prover);
        s.named = true;
        emit Named(slot, prover, alone);
    }

    /// Settles the oldest revealed slot. `words` = start, end, txs, count, credit, payee, units,
    /// fees, set; `proof` = 12 accumulator words and the transcript, of exactly the length of the
    /// slot's circuit set. Anybody may call it: the payee stands in the proof.
    function settle(uint64 slot, uint256[9] calldata words, bytes calldata proof)
        external
        nonReentrant
    {
        if (_settledTo == _revealedTo || _queue[_settledTo] != slot) {
            revert NotTheOldest(slot);
        }
        Slot storage s = _slots[slot];
        if (block.timestamp > s.revealedAt + window) {
            revert WindowClosed(slot, s.revealedAt + window);
        }
        _checkWords(s, words);
        CircuitSet storage set = _set(s.set);
        _requireWord(8, set.id, words[8]);
        _verify(set.verifier, set.proofLength, words, proof);
        stateRoot = words[1];
        s.stage = Stage.Settled;
        ++_settledTo;
        _settledNext = slot + 1;
        uint64 units = uint64(words[6]);
        uint128 pool = rewards.open(slot, words[4], units, slotReward);
        emit Settled(slot, words[1], words[4], address(uint160(words[5])), units, pool);
    }

    /// Gives up the oldest revealed slot after its window, with every slot built on it: their
    /// parent does not exist any more. The next reveal builds on the last settled block.
    function lapse(uint64 slot) external {
        if (_settledTo == _revealedTo || _queue[_settledTo] != slot) revert NotTheOldest(slot);
        uint256 deadline = _slots[slot].revealedAt + window;
        if (block.timestamp <= deadline) revert WindowOpen(slot, deadline);
        // At most `buildAheadMax` turns.
        for (uint64 i = _settledTo; i < _revealedTo; ++i) {
            uint64 given = _queue[i];
            _slots[given].stage = Stage.Lapsed;
            emit Lapsed(given);
        }
        _settledTo = _revealedTo;
        lastBlock = _settledNext == 0 ? bytes32(0) : _slots[_settledNext - 1].blockId;
    }

    /// First L1 block of `slot`.
    function slotStart(uint64 slot) public view returns (uint256) {
        return genesis + uint256(slot) * (uint256(proposal) + reveals);
    }

    /// The L1 block whose RANDAO is `slot`'s seed.
    function seedBlock(uint64 slot) public view returns (uint256) {
        return slotStart(slot) - Bounds.SEED_LOOK_BACK;
    }

    /// What an election ticket signs.
    function ticket(uint64 slot, bytes32 seed) public view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(this), slot, seed));
    }

    function slotAt(uint64 slot) external view returns (Slot memory) {
        return _slots[slot];
    }

    /// Number of revealed slots that are neither settled nor given up, and the oldest of them.
    function unsettled() external view returns (uint64 number, uint64 oldest) {
        number = _revealedTo - _settledTo;
        if (number != 0) oldest = _queue[_settledTo];
    }

    /// The caller's index, if it may propose in `slot` with the key that `vrf` begins with.
    function _electable(uint64 slot, bytes calldata vrf) private view returns (uint32 sequencer) {
        if (vrf.length != Bls.KEY_LENGTH + Bls.SIGNATURE_LENGTH) revert Bls.BadLength(vrf.length);
        sequencer = registry.sequencerOf(msg.sender);
        Registry.Sequencer memory who = registry.sequencerAt(sequencer);
        // Whoever registers after the seed block could try keys until one wins.
        if (who.since >= seedBlock(slot)) revert TooYoung(sequencer, who.since);
        if (who.unlocks != 0) revert Leaving(sequencer);
        if (keccak256(vrf[:Bls.KEY_LENGTH]) != who.keyHash) revert WrongKey(sequencer);
    }

    function _verifyTicket(bytes32 message, bytes calldata vrf) private view {
        Bls.verify(vrf[:Bls.KEY_LENGTH], vrf[Bls.KEY_LENGTH:], message, Bls.VRF_DOMAIN);
    }

    function _currentEpoch() internal view override returns (uint64) {
        if (block.number < genesis) return 0;
        uint256 slot = (block.number - genesis) / (uint256(proposal) + reveals);
        return uint64(slot / epochSlots);
    }

    function _requirePhase(uint64 slot, uint256 from, uint256 until) private view {
        if (block.number < from || block.number >= until) revert WrongPhase(slot, from, until);
    }

    function _requireWinner(uint64 slot, Slot storage s) private view {
        if (s.score == 0 || registry.sequencerAt(s.sequencer).owner != msg.sender) {
            revert NotTheWinner(slot, msg.sender);
        }
    }

    function _checkWords(Slot storage s, uint256[9] calldata words) private view {
        for (uint256 i; i < 9; ++i) {
            Field.check(words[i]);
        }
        _requireWord(0, stateRoot, words[0]);
        _requireWord(2, s.txs, words[2]);
        _requireWord(3, s.count, words[3]);
        _requireWord(5, uint160(words[5]), words[5]);
        _requireWord(6, uint64(words[6]), words[6]);
        _requireWord(7, uint64(words[7]), words[7]);
    }

    function _requireWord(uint256 index, uint256 expected, uint256 word) private pure {
        if (word != expected) revert WrongWord(index, expected, word);
    }

    function _verify(
        address verifier,
        uint256 length,
        uint256[9] calldata words,
        bytes calldata proof
    ) private view {
        if (proof.length != length) {
            revert WrongProofLength(length, proof.length);
        }
        for (uint256 offset; offset < ACCUMULATOR_BYTES; offset += 32) {
            Field.check(uint256(bytes32(proof[offset:offset + 32])));
        }
        (bool ok,) = verifier.staticcall(
            abi.encodePacked(proof[:ACCUMULATOR_BYTES], words, proof[ACCUMULATOR_BYTES:])
        );
        if (!ok) revert ProofRefused();
    }
}
