// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// Parameters of one deployment. They are fixed, but for the circuit set (R13): any other change is a
/// new deployment that provers join.
struct Params {
    /// L1 block number of slot 0's first block.
    uint64 genesis;
    /// L1 blocks in which sequencers may propose (R2.1).
    uint32 proposal;
    /// L1 blocks in which the winner may reveal.
    uint32 reveal;
    /// L1 blocks for proving, counted in seconds from the reveal.
    uint32 proving;
    /// Gap between proving and backup.
    uint32 halting;
    /// Last chance to prove the revealed block; after it the slot can be given up.
    uint32 backup;
    /// Seconds between L1 blocks.
    uint32 blockSeconds;
    /// Revealed slots that may be unsettled at once, the one just revealed included (R2.4).
    uint32 buildAheadMax;
    /// Bytes of every tx proof in a block.
    uint32 txProofLength;
    /// Bytes of `settle`'s proof: 12 accumulator words and the transcript.
    uint32 rootProofLength;
    /// Base units of the token that the provers of one slot share.
    uint96 slotReward;
    /// The first circuit set: setup and keys, as `root` exposes it.
    uint256 circuitSet;
    /// Who may announce further circuit sets, and nothing else; zero: nobody.
    address governance;
    /// Slots of an epoch: circuit sets change at its boundary (R1.3, R16).
    uint32 epochSlots;
    /// Whole epochs between the announcement of a circuit set and its effect.
    uint32 changeDelayEpochs;
    /// Epochs in which the set before stays valid beside the new one.
    uint32 changeoverEpochs;
    /// State root before the first block.
    uint256 stateRoot;
}

/// Bounds of the parameters (R16), checked once, when they are fixed.
library Bounds {
    /// Blocks between a slot's seed block and its start.
    uint64 internal constant SEED_LOOK_BACK = 64;

    error OutOfBounds(bytes32 name, uint256 value);

    /// Reverts unless every parameter lies in its bounds.
    function check(Params memory p) internal view {
        // The seed block of slot 0 lies ahead, so that sequencers can register before it.
        _within("genesis", p.genesis, block.number + SEED_LOOK_BACK + 1, type(uint64).max / 2);
        _within("proposal", p.proposal, 1, 100);
        // The deal seed is the RANDAO of the reveal phase's second block.
        _within("reveal", p.reveal, 2, 100);
        _within("proving", p.proving, 40, 10_000);
        _within("halting", p.halting, 1, 100);
        _within("backup", p.backup, 1, 10_000);
        _within("blockSeconds", p.blockSeconds, 1, 60);
        // Giving up walks the unsettled slots: 64 x about 5,000 gas fits any block.
        _within("buildAheadMax", p.buildAheadMax, 1, 64);
        _within("txProofLength", p.txProofLength, 1, 32_768);
        _within("rootProofLength", p.rootProofLength, 12 * 32 + 1, 32_768);
        _within("slotReward", p.slotReward, 0, type(uint96).max);
        _within("epochSlots", p.epochSlots, 1, 100_000);
        _within("changeDelayEpochs", p.changeDelayEpochs, 1, 1_024);
        _within("changeoverEpochs", p.changeoverEpochs, 1, 64);
    }

    function _within(bytes32 name, uint256 value, uint256 low, uint256 high) private pure {
        if (value < low || value > high) revert OutOfBounds(name, value);
    }
}
