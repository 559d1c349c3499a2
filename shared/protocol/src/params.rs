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
    /// Blocks after the reveal in which the leader may name a coordinator or itself (R2.1, R2.6).
    pub commitment_blocks: u64,
    /// Blocks after the reveal until a name must be covered by claims (R2.6).
    pub name_grace_blocks: u64,
    /// Subtrees, in thousandths, that must be claimed under the name by then (R2.6).
    pub name_cover_permille: u64,
    /// First part of the proving window, T1, that the named party has first (R6).
    pub t1_permille: u64,
    /// Units that a root must credit to dealt lanes within T1 (R6).
    pub t1_dealt_permille: u64,
    /// How much longer than computed a block (R3.3) and a remaining way (R6) are taken to be.
    pub slack_permille: u64,
    /// Merges less than this far below the root, and the root, are the hot crown (R4.3); 0: none.
    pub hot_levels: u8,
    /// Lanes that start each proof of the hot crown at once (R4.3).
    pub hot_copies: usize,
    /// A proof this much slower than its kind's p50 is opened to its next rank (R5.4).
    pub hedge_permille: u64,
    /// Failures by this many provers quarantine a task for the slot (R5.3).
    pub quarantine_provers: usize,
    /// Tasks of its class that a new lane is credited before it is active (R1.4).
    pub probe: u64,
    /// Reveals that must offer a carried tx its place before it is dropped (R12.1).
    pub carry_max: u64,
    /// Coverage from which a lane is paid in full (R9.3).
    pub coverage_full_permille: u64,
    /// Coverage below which a lane is suspended (R10.2).
    pub coverage_min_permille: u64,
    /// Longest suspension; it doubles from one epoch (R10.2).
    pub suspension_max_epochs: u64,
    /// Pay of units taken over from a lane that was neither lost nor capped (R9.3).
    pub takeover_share_permille: u64,
    /// Provers' share of a slot's pool (R9.3).
    pub prover_share_permille: u64,
    /// Sequencer's share of a slot's pool (R9.3).
    pub sequencer_share_permille: u64,
    /// Submitter's premium of a slot's pool (R9.1, R9.3).
    pub submitter_share_permille: u64,
    /// Less than this is carried into the next epoch's payout (R9.4).
    pub payout_minimum: u128,
    /// What the reporter of a fault gets, never a share (R10.1).
    pub reporter_bounty: u128,
    /// Part of a slashed bond that is burnt (R10.1).
    pub burnt_permille: u64,
    /// Part of a slashed bond for whoever repaired; uncles get the rest (R10.1, R12.1).
    pub repairer_permille: u64,
    /// Part of a lane's bond burnt for an epoch of zero coverage (R10.2).
    pub no_show_permille: u64,
    /// Part of a sequencer's bond lost for an available block nobody proved (R3.4).
    pub unproven_part_permille: u64,
    /// Whole epochs between a change of parameters or circuits and its effect (R13, R16).
    pub change_delay_epochs: u64,
    /// Epochs in which the old circuit set stays valid beside the new one (R13).
    pub changeover_epochs: u64,
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
            watchers: 6,
            replicas_subtree: 8,
            replicas_crown: 32,
            rank_wait_ms: 500,
            inputs_wait_ms: 30_000,
            min_lanes: 8,
            submit_priority_blocks: 5,
            epoch_slots: 32,
            snapshot_lag_blocks: 64,
            undo_blocks_max: 64,
            commitment_blocks: 5,
            name_grace_blocks: 2,
            name_cover_permille: 900,
            t1_permille: 600,
            t1_dealt_permille: 500,
            slack_permille: 1_200,
            hot_levels: 0,
            hot_copies: 1,
            hedge_permille: 1_500,
            quarantine_provers: 3,
            probe: 3,
            carry_max: 3,
            coverage_full_permille: 900,
            coverage_min_permille: 500,
            suspension_max_epochs: 32,
            takeover_share_permille: 400,
            prover_share_permille: 900,
            sequencer_share_permille: 50,
            submitter_share_permille: 50,
            payout_minimum: 1_000_000_000_000_000_000,
            reporter_bounty: 1_000_000_000_000_000_000,
            burnt_permille: 500,
            repairer_permille: 250,
            no_show_permille: 250,
            unproven_part_permille: 100,
            change_delay_epochs: 1,
            changeover_epochs: 1,
        }
    }

    /// Panics with the reason if the numbers contradict each other: a network with such
    /// parameters would stop, so it must not start.
    pub fn assert_valid(&self) {
        let relations = self.check();
        assert!(relations.is_ok(), "{}", relations.err().unwrap_or_default());
    }

    /// Whether the numbers fit each other; bounds of single ones are [`crate::epoch::tuning`]'s.
    ///
    /// # Errors
    /// The relation that does not hold.
    pub fn check(&self) -> Result<(), &'static str> {
        let relations = [self.work_relations(), self.window_relations(), self.money_relations()];
        match relations.concat().into_iter().find(|&(holds, _)| !holds) {
            Some((_, reason)) => Err(reason),
            None => Ok(()),
        }
    }

    fn work_relations(&self) -> Vec<(bool, &'static str)> {
        vec![
            (0 < self.l1_block_s, "an L1 block takes time"),
            (2 <= self.reveal_blocks, "the deal takes the second block of the reveal phase"),
            (self.settle_margin_blocks < self.proving_blocks, "no time to prove"),
            (self.p50_ms[1..].iter().all(|&time| 0 < time), "every proof takes time"),
            (0 < self.claim_cap_p50s, "a claim takes time"),
            (0 < self.beat_ms && 0 < self.missed_beats, "silence takes time"),
            (2 <= self.watchers, "one watcher alone never declares a loss to others"),
            (0 < self.epoch_slots, "an epoch has slots"),
            (0 < self.undo_blocks_max, "L1 reorgs"),
            (0 < self.hot_copies, "somebody must make a hot proof"),
            (0 < self.quarantine_provers, "a task is poison only after a failure"),
            (1_000 < self.hedge_permille, "half of all proofs are slower than their p50"),
        ]
    }

    fn window_relations(&self) -> Vec<(bool, &'static str)> {
        vec![
            (1_000 <= self.slack_permille, "proofs do not take less than computed"),
            (self.t1_permille <= 1_000 && self.t1_dealt_permille <= 1_000, "T1 is a part"),
            (self.name_cover_permille <= 1_000, "more than all subtrees cannot be claimed"),
            (self.name_grace_blocks < self.proving_blocks, "no fallback before the deadline"),
            (0 < self.carry_max, "preconfirmed txs are carried at least once"),
            (0 < self.change_delay_epochs, "a change surprises nobody"),
            (0 < self.changeover_epochs, "two sets are valid during a change-over"),
            (0 < self.suspension_max_epochs, "a suspension lasts at least an epoch"),
        ]
    }

    fn money_relations(&self) -> Vec<(bool, &'static str)> {
        let shares = [
            self.prover_share_permille,
            self.sequencer_share_permille,
            self.submitter_share_permille,
        ];
        let sum = shares.iter().fold(0u64, |sum, &share| sum.saturating_add(share));
        let full = self.coverage_full_permille;
        let split = self.burnt_permille.saturating_add(self.repairer_permille);
        let parts = [self.no_show_permille, self.unproven_part_permille];
        vec![
            (sum == 1_000, "a pool is split exactly"),
            (self.coverage_min_permille <= full, "suspended, yet paid in full"),
            ((1..=1_000).contains(&full), "coverage is a part"),
            (self.takeover_share_permille <= 1_000, "a taken unit pays more than an own one"),
            (split <= 1_000, "a bond is split once"),
            (parts.iter().all(|&part| part <= 1_000), "more than a bond cannot be lost"),
        ]
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
    /// A claim on this kind that lasts longer is opened to the next rank, in milliseconds (R5.4).
    #[must_use]
    pub fn hedge_ms(&self, kind: Kind) -> u64 {
        self.p50(kind) * self.hedge_permille / 1000
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
    /// The slot that an L1 block falls into; blocks before slot 0 count as its.
    #[must_use]
    pub const fn slot_at(&self, number: u64) -> Slot {
        Slot(number.saturating_sub(self.genesis_block) / self.slot_blocks())
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
            Params { slack_permille: 999, ..devnet() },
            Params { hedge_permille: 1_000, ..devnet() },
            Params { t1_permille: 1_001, ..devnet() },
            Params { t1_dealt_permille: 1_001, ..devnet() },
            Params { name_cover_permille: 1_001, ..devnet() },
            Params { name_grace_blocks: 1_500, ..devnet() },
            Params { hot_copies: 0, ..devnet() },
            Params { quarantine_provers: 0, ..devnet() },
            Params { carry_max: 0, ..devnet() },
            Params { change_delay_epochs: 0, ..devnet() },
            Params { changeover_epochs: 0, ..devnet() },
            Params { prover_share_permille: 901, ..devnet() },
            Params { submitter_share_permille: 49, ..devnet() },
            Params { coverage_min_permille: 901, ..devnet() },
            Params { coverage_full_permille: 1_001, ..devnet() },
            Params { takeover_share_permille: 1_001, ..devnet() },
            Params { burnt_permille: 751, ..devnet() },
            Params { no_show_permille: 1_001, ..devnet() },
            Params { unproven_part_permille: 1_001, ..devnet() },
            Params { suspension_max_epochs: 0, ..devnet() },
        ];
        for params in wrong {
            let refused = std::panic::catch_unwind(|| params.assert_valid()).is_err();
            assert!(refused, "{params:?}");
        }
    }
}
