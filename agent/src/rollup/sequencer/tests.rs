//! Tables: what happens, and what the sequencer then does, by L1 head.

use std::fmt::Write as _;

use super::*;

const ME: SequencerId = SequencerId(1);
const OTHER: SequencerId = SequencerId(0);

/// Slot n: proposals in L1 blocks 100 + 10 n to 104 + 10 n, reveals in the five after them.
pub(crate) fn params() -> Params {
    Params { genesis_block: 100, build_ahead_max: 1, undo_blocks_max: 64, ..Params::devnet() }
}

fn hash(of: u64) -> Hash {
    let mut hash = Hash::default();
    hash.0[24..].copy_from_slice(&of.to_be_bytes());
    hash
}

fn sealed(slot: u64, parent: u64) -> Sealed {
    Sealed {
        slot: Slot(slot),
        block: BlockId(hash(200 + slot).0),
        data: vec![1, 2, 3],
        txs: hash(5).0,
        parent: BlockId(hash(parent).0),
        salt: hash(6).0,
        commitment: hash(1_000 + slot * 10 + parent),
        score: hash(50),
        vrf: vec![9],
        set: [1; 32],
    }
}

/// What happens.
#[derive(Clone)]
enum Do {
    /// The next L1 block, with this many txs waiting.
    Block(Vec<L1Event>, usize),
    /// Quiet L1 blocks up to this head, with one tx waiting.
    Until(u64),
    /// The next L1 block gives these slots up, with one tx waiting.
    Lapse(u64),
    /// So many L1 blocks leave the chain.
    Undo(usize),
    /// The draft that was asked for: slot, parent.
    Built(u64, u64),
    /// No tx fitted.
    Empty(u64),
    /// The process starts again with its durable blocks, and L1 is read from the start.
    Restart,
}

use Do::{Block, Built, Empty, Lapse, Restart, Undo, Until};

fn seed(slot: u64) -> L1Event {
    L1Event::Seed { slot: Slot(slot), seed: hash(7) }
}

fn proposed(by: SequencerId, commitment: u64, score: u64) -> L1Event {
    let (commitment, score) = (hash(commitment), hash(score));
    L1Event::Proposed { slot: Slot(0), sequencer: by, commitment, score }
}

fn revealed(slot: u64, sealed: &Sealed) -> L1Event {
    let (block, commitment, txs) = (sealed.block, sealed.commitment, sealed.txs);
    let (slot, set) = (Slot(slot), [0; 32]);
    L1Event::Revealed { slot, block, commitment, txs, count: 1, set }
}

fn settled(slot: u64) -> L1Event {
    let payee = protocol::Address::default();
    let (end, credit) = (hash(1).0, hash(2).0);
    L1Event::Settled { slot: Slot(slot), end, credit, payee, units: 1, pool: 1 }
}

fn registered() -> L1Event {
    let owner = protocol::Address::default();
    L1Event::SequencerRegistered { sequencer: ME, owner, mesh_key: [0; 32] }
}

/// One sequencer, the chain it is fed, and what it did.
struct World {
    sequencer: Sequencer,
    chain: Vec<(u64, Hash, Vec<L1Event>)>,
    forks: u64,
    durable: BTreeMap<Slot, Sealed>,
    story: String,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            sequencer: Sequencer::new(ME, params(), vec![]),
            chain: Vec::new(),
            forks: 0,
            durable: BTreeMap::new(),
            story: String::new(),
        };
        world.extend(vec![registered()], 0);
        world
    }

    fn head(&self) -> u64 {
        self.chain.last().map_or(29, |(number, ..)| *number)
    }

    fn extend(&mut self, events: Vec<L1Event>, waiting: usize) {
        let number = self.head() + 1;
        let hash = hash(self.forks * 1_000 + number);
        self.sequencer.l1_block((number, number * 2), hash, &events, &[]);
        self.chain.push((number, hash, events));
        let actions = self.sequencer.act(waiting);
        self.tell(actions);
    }

    fn perform(&mut self, step: &Do) {
        match step {
            Block(events, waiting) => self.extend(events.clone(), *waiting),
            Until(head) => {
                while self.head() < *head {
                    self.extend(vec![], 1);
                }
            }
            Lapse(slot) => {
                let (number, hash) = (self.head() + 1, hash(self.forks * 1_000 + self.head() + 1));
                self.sequencer.l1_block((number, number * 2), hash, &[], &[Slot(*slot)]);
                self.chain.push((number, hash, vec![]));
                let actions = self.sequencer.act(1);
                self.tell(actions);
            }
            Undo(depth) => {
                self.forks += 1;
                for _ in 0..*depth {
                    let (_, hash, _) = self.chain.pop().unwrap();
                    self.sequencer.l1_undo(hash).unwrap();
                }
            }
            Built(slot, parent) => {
                let actions = self.sequencer.built(Slot(*slot), Some(sealed(*slot, *parent)));
                self.tell(actions);
            }
            Empty(slot) => {
                let actions = self.sequencer.built(Slot(*slot), None);
                self.tell(actions);
            }
            Restart => {
                let durable = self.durable.values().cloned().collect();
                self.sequencer = Sequencer::new(ME, params(), durable);
                for (number, hash, events) in &self.chain {
                    self.sequencer.l1_block((*number, *number * 2), *hash, events, &[]);
                }
                let actions = self.sequencer.act(0);
                self.tell(actions);
            }
        }
    }

    fn tell(&mut self, actions: Vec<SequencerAction>) {
        for action in actions {
            let head = self.sequencer.view.head;
            let line = match action {
                SequencerAction::Lapse { slot } => format!("lapse {slot}"),
                SequencerAction::ShowSeed { slot, header } => format!("seed {slot} from {header}"),
                SequencerAction::Build { slot, parent, .. } => {
                    format!("build {slot} on {}", parent.0[31])
                }
                SequencerAction::Persist(sealed) => {
                    let line = format!("persist {}", sealed.slot);
                    self.durable.insert(sealed.slot, *sealed);
                    line
                }
                SequencerAction::Take { slot, .. } => format!("take {slot}"),
                SequencerAction::GiveBack { slot, .. } => format!("give back {slot}"),
                SequencerAction::Propose { slot, .. } => format!("propose {slot}"),
                SequencerAction::Reveal(sealed) => format!("reveal {}", sealed.slot),
                SequencerAction::Serve { slot, .. } => format!("serve {slot}"),
                SequencerAction::Forget { slot } => {
                    self.durable.remove(&slot);
                    format!("forget {slot}")
                }
                SequencerAction::Note { code, .. } => format!("note {code}"),
            };
            writeln!(self.story, "{head} {line}").unwrap();
        }
    }
}

#[track_caller]
fn check(steps: &[Do], wanted: &[&str]) {
    let mut world = World::new();
    steps.iter().for_each(|step| world.perform(step));
    let story: Vec<_> = world.story.lines().collect();
    assert_eq!(story, wanted, "{}", world.story);
}

/// Up to the proposal: head 100, our proposal sent.
fn opening() -> Vec<Do> {
    vec![Until(98), Block(vec![seed(0)], 1), Built(0, 0)]
}

const OPENING: &[&str] =
    &["97 seed 0 from 36", "99 build 0 on 0", "99 persist 0", "99 take 0", "99 propose 0"];

fn check_after_opening(steps: &[Do], wanted: &[&str]) {
    check(&[&opening(), steps].concat(), &[OPENING, wanted].concat());
}

fn won() -> L1Event {
    proposed(ME, 1_000, 50)
}

#[test]
fn a_slot_is_won_revealed_and_served_and_the_next_waits_for_settlement() {
    check_after_opening(
        &[
            Block(vec![won()], 1),
            Until(104),
            Block(vec![revealed(0, &sealed(0, 0))], 1),
            Until(125),
            Block(vec![settled(0)], 1),
            Block(vec![seed(3)], 1),
            Until(129),
            Block(vec![], 1),
        ],
        &["104 reveal 0", "105 serve 0", "129 build 3 on 200"],
    );
}

#[test]
fn without_txs_nothing_is_proposed() {
    check(&vec![Block(vec![], 0); 90], &[]);
}

#[test]
fn a_draft_without_a_tx_is_no_proposal_and_is_tried_again() {
    check(
        &[Until(98), Block(vec![seed(0)], 1), Empty(0), Until(104)],
        &["97 seed 0 from 36", "99 build 0 on 0", "102 build 0 on 0"],
    );
}

#[test]
fn a_sequencer_that_registered_after_the_seed_block_waits_for_a_later_slot() {
    let mut steps = vec![Undo(1)];
    steps.extend(vec![Block(vec![], 1); 7]);
    steps.push(Block(vec![registered()], 1));
    steps.push(Until(108));
    check(&steps, &["107 seed 1 from 46"]);
}

#[test]
fn an_outbid_block_gives_its_txs_back_and_is_not_revealed() {
    check_after_opening(
        &[Block(vec![won()], 0), Block(vec![proposed(OTHER, 77, 51)], 0), Block(vec![], 0)],
        &["101 give back 0", "101 note SEQ-001"],
    );
    // A tie goes to the lower id, which is the other's.
    check_after_opening(
        &[Block(vec![proposed(OTHER, 77, 50)], 0)],
        &["100 give back 0", "100 note SEQ-001"],
    );
}

#[test]
fn a_worse_proposal_does_not_stop_ours() {
    check_after_opening(
        &[Block(vec![proposed(OTHER, 77, 49)], 0), Block(vec![], 0), Block(vec![], 0)],
        &["102 propose 0"],
    );
}

#[test]
fn a_reveal_that_is_too_late_gives_its_txs_back() {
    check_after_opening(
        &[Block(vec![won()], 0), Block(vec![], 0), Block(vec![], 0), Block(vec![], 0)]
            .iter()
            .cloned()
            .chain(vec![Block(vec![], 0); 6])
            .collect::<Vec<_>>(),
        &["104 reveal 0", "107 reveal 0", "109 give back 0", "109 note SEQ-003"],
    );
}

#[test]
fn a_block_that_l1_gave_up_makes_room_and_is_nobodys_parent() {
    check_after_opening(
        &[
            Block(vec![won()], 0),
            Until(104),
            Block(vec![revealed(0, &sealed(0, 0))], 0),
            Until(128),
            Lapse(0),
            Block(vec![seed(3)], 1),
        ],
        &[
            "104 reveal 0",
            "105 serve 0",
            "129 give back 0",
            "129 note SEQ-003",
            "129 seed 3 from 66",
            "130 build 3 on 0",
        ],
    );
}

#[test]
fn a_block_that_nobody_proved_is_given_up_after_its_window() {
    // Revealed in second 210; 1,801 blocks of 2 s later its last second has passed.
    let steps = [
        Block(vec![won()], 0),
        Until(104),
        Block(vec![revealed(0, &sealed(0, 0))], 0),
        Until(1_911),
        Lapse(0),
        Undo(1),
        Until(1_913),
        Lapse(0),
        Until(1_916),
    ];
    check_after_opening(
        &steps,
        &[
            "104 reveal 0",
            "105 serve 0",
            "1907 lapse 0",
            "1910 lapse 0",
            "1912 give back 0",
            "1912 note SEQ-003",
            "1912 seed 181 from 1846",
            "1912 forget 0",
            "1912 lapse 0",
        ],
    );
}

#[test]
fn a_settled_block_is_never_given_up() {
    let revealed = revealed(0, &sealed(0, 0));
    let quiet = vec![Block(vec![], 0); 1_850];
    let steps = [vec![Until(96), Block(vec![revealed, settled(0)], 0)], quiet].concat();
    check(&steps, &[]);
}

#[test]
fn a_proposal_and_a_reveal_that_a_reorg_took_away_are_sent_again() {
    check_after_opening(
        &[Block(vec![won()], 0), Undo(1), Block(vec![], 0), Block(vec![won()], 0)],
        &["100 propose 0"],
    );
    let revealed = Block(vec![revealed(0, &sealed(0, 0))], 0);
    check_after_opening(
        &[
            Block(vec![won()], 0),
            Until(104),
            revealed.clone(),
            Block(vec![], 0),
            Undo(2),
            Block(vec![], 0),
            revealed,
        ],
        &["104 reveal 0", "105 serve 0", "105 reveal 0", "106 serve 0"],
    );
}

#[test]
fn a_reorg_of_depth_three_after_the_reveal_reveals_the_same_block() {
    check_after_opening(
        &[
            Block(vec![won()], 0),
            Until(104),
            Block(vec![revealed(0, &sealed(0, 0))], 0),
            Block(vec![], 0),
            Block(vec![], 0),
            Undo(3),
            Block(vec![], 0),
            Block(vec![], 0),
            Block(vec![revealed(0, &sealed(0, 0))], 0),
        ],
        &["104 reveal 0", "105 serve 0", "105 reveal 0", "107 serve 0"],
    );
}

#[test]
fn a_block_whose_parent_left_the_chain_gives_its_txs_back() {
    let below = sealed(0, 0);
    check(
        &[
            Until(104),
            Block(vec![revealed(0, &below), settled(0)], 0),
            Until(108),
            Block(vec![seed(1)], 1),
            Built(1, 200),
            Undo(5),
            Block(vec![], 0),
            Block(vec![], 0),
            Block(vec![], 0),
            Block(vec![], 0),
            Block(vec![seed(1)], 1),
        ],
        &[
            "97 seed 0 from 36",
            "100 seed 0 from 36",
            "103 seed 0 from 36",
            "107 seed 1 from 46",
            "109 build 1 on 200",
            "109 persist 1",
            "109 take 1",
            "109 propose 1",
            "105 give back 1",
            "105 note SEQ-002",
        ],
    );
}

#[test]
fn a_proposal_on_l1_stays_when_the_block_below_leaves_and_comes_back() {
    let below = Block(vec![revealed(0, &sealed(0, 0)), settled(0)], 0);
    let mine = L1Event::Proposed {
        slot: Slot(1),
        sequencer: ME,
        commitment: sealed(1, 200).commitment,
        score: hash(50),
    };
    let quiet = |count| vec![Block(vec![], 0); count];
    let steps = [
        vec![Until(96)],
        quiet(8),
        vec![below.clone()],
        quiet(3),
        vec![Block(vec![seed(1)], 1), Built(1, 200), Block(vec![mine.clone()], 0), Undo(6)],
        quiet(1),
        vec![Undo(1), below],
        quiet(4),
        vec![Block(vec![seed(1), mine], 0)],
        quiet(4),
    ];
    check(
        &steps.concat(),
        &[
            "109 build 1 on 200",
            "109 persist 1",
            "109 take 1",
            "109 propose 1",
            "105 give back 1",
            "105 note SEQ-002",
            "105 take 1",
            "109 propose 1",
            "114 reveal 1",
        ],
    );
}

#[test]
fn a_restart_reveals_the_durable_block() {
    check_after_opening(
        &[Block(vec![won()], 0), Until(103), Restart, Block(vec![], 0)],
        &["103 take 0", "104 reveal 0"],
    );
    // Nor is it proposed twice, or another built in its place, when it stopped before L1 had it.
    check_after_opening(
        &[Restart, Block(vec![], 1), Block(vec![won()], 1)],
        &["99 take 0", "99 propose 0"],
    );
}

#[test]
fn old_blocks_are_forgotten_when_no_reorg_can_bring_them_back() {
    check_after_opening(
        &[
            Block(vec![won()], 0),
            Until(104),
            Block(vec![revealed(0, &sealed(0, 0)), settled(0)], 0),
        ]
        .iter()
        .cloned()
        .chain(vec![Block(vec![], 0); 70])
        .collect::<Vec<_>>(),
        &["104 reveal 0", "105 serve 0", "174 forget 0"],
    );
}

#[test]
fn an_undo_of_another_block_is_refused_and_changes_nothing() {
    let mut world = World::new();
    let note = world.sequencer.l1_undo(hash(1)).unwrap_err();
    assert!(matches!(note, SequencerAction::Note { code: "SEQ-004", .. }));
    assert_eq!(world.sequencer.undo.len(), 1);
}
