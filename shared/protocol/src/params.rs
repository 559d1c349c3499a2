//! Every number of the protocol that can be tuned, with its unit (R16).
//!
//! The same table is written in `assets/docs/parameters.md`; a test compares the two.

use crate::domain::{Class, Kind, Slot};

/// Parameters of one network, fixed at an epoch boundary (R16).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Params {
    /// Seconds between L1 blocks.
    pub l1_block_s: u64,
    /// L1 block number of slot 0's first block.
    pub genesis_block: u64,
    /// Length of the proposal phase, in L1 blocks (R2.1).
    pub proposal_blocks: u64,
    /// Length of the reveal phase, in L1 blocks (R2.1).
    pub reveal_blocks: u64,
    /// Length of the proving phase, in L1 blocks after the reveal (R2.1).
    pub proving_blocks: u64,
    /// The last blocks of proving that belong to L1's inclusion (R2.1).
    pub settle_margin_blocks: u64,
    /// Gap between proving and backup, in L1 blocks (R2.1).
    pub halting_blocks: u64,
    /// Length of the backup phase, in L1 blocks (R2.1).
    pub backup_blocks: u64,
    /// Slots that may be unproven when the next one proposes (R2.4).
    pub build_ahead_max: u64,
    /// Usual time of one proof, by kind number, in milliseconds; 0 for `tx` (R5.1).
    pub p50_ms: [u64; 6],
    /// Units of one proof, by kind number: constants of the circuit set (R3.3).
    pub units: [u64; 6],
    /// A subtree holds at most this many units (R4.1).
    pub subtree_units: u64,
    /// A claim ends after this many times the kind's p50 (R5.1).
    pub claim_cap_p50s: u64,
    /// Interval of beats, in milliseconds (R5.3).
    pub beat_ms: u64,
    /// Beats that must be missed before a watcher speaks (R5.3).
    pub missed_beats: u64,
    /// Watchers per lane: the lane's first ranks (R5.3).
    pub watchers: usize,
    /// Copies of a proof inside a subtree before it counts as delivered (R5.2).
    pub replicas_subtree: usize,
    /// Copies of a subtree's top and of crown proofs (R5.2).
    pub replicas_crown: usize,
    /// An idle lane of rank r waits r times this long for a better rank's claim (R4.4).
    pub rank_wait_ms: u64,
    /// A claim whose inputs are missing this long after it is released (slice 5).
    pub inputs_wait_ms: u64,
    /// While fewer lanes are active than this, all are (R1.4).
    pub min_lanes: usize,
    /// L1 blocks that the first submitter has to itself (R9.1).
    pub submit_priority_blocks: u64,
    /// Slots of one epoch (R1.3).
    pub epoch_slots: u64,
    /// Blocks before an epoch's first slot at which its set of lanes is read (R1.3).
    pub snapshot_lag_blocks: u64,
    /// L1 blocks that can be undone exactly (R12.2).
    pub undo_blocks_max: usize,
}

impl Params {
    /// The devnet preset (slice section 8); `assets/config/devnet.toml` holds the same numbers.
    #[must_use]
    pub const fn devnet() -> Self {
        Self {
            l1_block_s: 2,
            genesis_block: 300,
            proposal_blocks: 5,
            reveal_blocks: 5,
            proving_blocks: 1_500,
            settle_margin_blocks: 5,
            halting_blocks: 1,
            backup_blocks: 300,
            build_ahead_max: 1,
            p50_ms: [0, 240_000, 300_000, 300_000, 300_000, 360_000],
            units: [0, 10, 173, 175, 173, 209],
            subtree_units: 358,
            claim_cap_p50s: 2,
            beat_ms: 5_000,
            missed_beats: 3,
            watchers: 4,
            replicas_subtree: 8,
            replicas_crown: 32,
            rank_wait_ms: 500,
            inputs_wait_ms: 30_000,
            min_lanes: 8,
            submit_priority_blocks: 5,
            epoch_slots: 32,
            snapshot_lag_blocks: 64,
            undo_blocks_max: 64,
        }
    }

    /// Panics with the reason if the numbers contradict each other: a network with such
    /// parameters would stop, so it must not start.
    pub fn assert_valid(&self) {
        assert!(0 < self.l1_block_s, "an L1 block takes time");
        assert!(2 <= self.reveal_blocks, "the deal takes the second block of the reveal phase");
        assert!(self.settle_margin_blocks < self.proving_blocks, "no time to prove");
        assert!(self.p50_ms[1..].iter().all(|&time| 0 < time), "every proof takes time");
        assert!(0 < self.claim_cap_p50s && 0 < self.beat_ms && 0 < self.missed_beats);
        assert!(2 <= self.watchers, "one watcher alone never declares a loss to others");
        assert!(0 < self.epoch_slots && 0 < self.undo_blocks_max);
    }

    /// L1 blocks from one slot's first to the next one's.
    #[must_use]
    pub const fn slot_blocks(&self) -> u64 {
        self.proposal_blocks + self.reveal_blocks
    }
    /// The L1 block whose RANDAO makes the deal of `slot`: the second of its reveal phase (R2.2).
    #[must_use]
    pub fn deal_block(&self, slot: Slot) -> u64 {
        self.slot_start(slot) + self.proposal_blocks + 1
    }
    /// The first L1 block after the reveal phase of `slot`.
    #[must_use]
    pub fn reveal_end(&self, slot: Slot) -> u64 {
        self.slot_start(slot) + self.slot_blocks()
    }
    /// L1 block whose registry is the set of lanes of this slot's epoch (R1.3).
    #[must_use]
    pub fn snapshot_block(&self, slot: Slot) -> u64 {
        let first = Slot(slot.0 - slot.0 % self.epoch_slots);
        self.slot_start(first).saturating_sub(self.snapshot_lag_blocks)
    }
    /// Longest time one claim on this kind may last, in milliseconds (R5.1).
    #[must_use]
    pub fn claim_cap_ms(&self, kind: Kind) -> u64 {
        self.p50(kind) * self.claim_cap_p50s
    }
    /// A lane this long without a beat is silent (R5.3).
    #[must_use]
    pub const fn silence_ms(&self) -> u64 {
        self.beat_ms * self.missed_beats
    }

    /// First L1 block of `slot`.
    #[must_use]
    pub fn slot_start(&self, slot: Slot) -> u64 {
        self.genesis_block + slot.0 * (self.proposal_blocks + self.reveal_blocks)
    }
    /// Usual time of one proof of this kind, in milliseconds.
    #[must_use]
    pub fn p50(&self, kind: Kind) -> u64 {
        self.p50_ms[kind as usize]
    }
    /// Units credited for one proof of this kind.
    #[must_use]
    pub fn units_of(&self, kind: Kind) -> u64 {
        self.units[kind as usize]
    }
    /// Whether a lane of class `lane` can prove tasks of class `task` (R1.1).
    #[must_use]
    pub const fn can_prove(lane: Class, task: Class) -> bool {
        matches!((lane, task), (Class::Vm, _) | (Class::Rollup, Class::Rollup))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_devnet_preset_is_valid_and_admits_its_block() {
        let params = Params::devnet();
        params.assert_valid();
        // R3.3 for two txs, one with a call: B = 1,500 s of critical path; 1.2 B + 2 p50 + margin.
        let needed_s = 12 * 1_500 / 10 + 2 * 360 + params.settle_margin_blocks * params.l1_block_s;
        assert_eq!(needed_s, 2_530);
        assert!(needed_s <= params.proving_blocks * params.l1_block_s);
    }

    #[test]
    fn slots_follow_each_other_every_ten_blocks() {
        let params = Params::devnet();
        let slot = Slot(3);
        assert_eq!(params.slot_start(slot), 330);
        assert_eq!(params.deal_block(slot), 336);
        assert_eq!(params.reveal_end(slot), 340);
        assert_eq!(params.reveal_end(slot), params.slot_start(Slot(4)));
    }

    #[test]
    fn an_epochs_snapshot_lies_64_blocks_before_its_first_slot() {
        let params = Params::devnet();
        for (slot, block) in [(0, 236), (31, 236), (32, 556), (63, 556), (64, 876)] {
            assert_eq!(params.snapshot_block(Slot(slot)), block, "slot {slot}");
        }
        let young = Params { genesis_block: 10, ..params };
        assert_eq!(young.snapshot_block(Slot(0)), 0, "a chain that begins later than that");
    }

    #[test]
    fn a_vm_lane_does_everything_and_a_rollup_lane_no_vm() {
        use Class::{Rollup, Vm};
        let able = [(Vm, Vm), (Vm, Rollup), (Rollup, Rollup), (Rollup, Vm)];
        assert_eq!(
            able.map(|(lane, task)| Params::can_prove(lane, task)),
            [true, true, true, false]
        );
    }

    #[test]
    fn caps_and_silence_are_multiples() {
        let params = Params::devnet();
        assert_eq!(params.claim_cap_ms(Kind::Vm), 480_000);
        assert_eq!(params.claim_cap_ms(Kind::Root), 720_000);
        assert_eq!(params.silence_ms(), 15_000);
        assert_eq!((params.units_of(Kind::Base), params.units_of(Kind::Tx)), (175, 0));
    }

    /// Each change alone makes a network that would stop.
    #[test]
    fn contradicting_numbers_are_refused() {
        let devnet = Params::devnet;
        let wrong = [
            Params { l1_block_s: 0, ..devnet() },
            Params { reveal_blocks: 1, ..devnet() },
            Params { settle_margin_blocks: 1_500, ..devnet() },
            Params { p50_ms: [0; 6], ..devnet() },
            Params { claim_cap_p50s: 0, ..devnet() },
            Params { beat_ms: 0, ..devnet() },
            Params { missed_beats: 0, ..devnet() },
            Params { watchers: 1, ..devnet() },
            Params { epoch_slots: 0, ..devnet() },
            Params { undo_blocks_max: 0, ..devnet() },
        ];
        for params in wrong {
            let refused = std::panic::catch_unwind(|| params.assert_valid()).is_err();
            assert!(refused, "{params:?}");
        }
    }
}
