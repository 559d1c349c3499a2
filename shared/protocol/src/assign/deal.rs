//! The deal of one slot: decks, ranks, who watches whom (R4.2, R4.3, R5.3).
//!
//! Ranks are read lazily: an agent of a network of thousands looks at the first few of a few
//! hundred tasks. What lanes rank early for is turned around once per deal, and machines of one
//! process share it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{keccak::keccak256, memo::Read, shuffle};
use crate::{
    domain::{Class, Hash, LaneId, Node, ProverId},
    epoch::rolling::{Rolling, rolled},
    params::Params,
};

/// Ranks that are looked through for a lane's watchers: enough that two of them live in 99 of 100
/// cases when four of five lanes vanished.
const WATCH_RANKS: usize = 32;

/// So many times more ranks than follow a task may follow it when earlier ones are lost: when four
/// of five lanes vanished, one of 64 ranks is left in all but one of a million cases.
const LATER: usize = 8;

/// So many times more ranks than follow a task are kept when they are walked first: they are read
/// again whenever a lane is lost.
const KEPT: usize = 4;

/// How much is dealt from each deck.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Amount {
    /// Subtrees, from the `rollup` deck.
    pub subtrees: usize,
    /// vm proofs, from the `vm` deck.
    pub vms: usize,
}

/// All lanes that can prove a class, in the order in which they are dealt.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Deck {
    order: Vec<LaneId>,
    place: BTreeMap<LaneId, usize>,
    stride: usize,
    /// The first so many lanes are dealt work.
    active: usize,
    /// Lanes of this deck that were dealt nothing from either.
    idle: Vec<LaneId>,
    idle_provers: BTreeSet<ProverId>,
    /// Whether every prover has one lane: then a walk names nobody twice.
    single: bool,
}

/// What one lane ranks early for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Early {
    /// Subtrees, by index.
    pub subtrees: Vec<usize>,
    /// vm proofs, by number.
    pub vms: Vec<usize>,
    /// Subtrees that it follows once some of their first ranks are lost.
    pub later_subtrees: Vec<u32>,
    /// vm proofs that it follows then.
    pub later_vms: Vec<u32>,
    /// Lanes that it may have to watch.
    pub watched: Vec<LaneId>,
    /// Lanes of other provers that may have to watch it, nearest first.
    pub watchers: Vec<LaneId>,
}

impl Early {
    /// What it follows of a class's tasks, and what it may follow later.
    const fn of(&mut self, class: Class) -> (&mut Vec<usize>, &mut Vec<u32>) {
        match class {
            Class::Rollup => (&mut self.subtrees, &mut self.later_subtrees),
            Class::Vm => (&mut self.vms, &mut self.later_vms),
        }
    }
}

/// Who may prove what in one slot (R4.2, R4.3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deal {
    seed: Hash,
    lanes: BTreeMap<LaneId, Class>,
    decks: [Deck; 2],
    /// Lanes that rank first for a subtree or a vm task.
    dealt: BTreeSet<LaneId>,
    early: BTreeMap<LaneId, Early>,
    /// The first ranks of subtrees and vm proofs, which are walked once, and where each begins.
    first: [First; 2],
    /// What machines read of it already.
    read: Read,
}

/// Ranks that were walked once: one list, and where each task's begin in it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct First {
    ranks: Vec<LaneId>,
    begins: Vec<u32>,
}

impl First {
    fn of(&self, i: usize) -> Option<&[LaneId]> {
        let (from, to) = (*self.begins.get(i)?, *self.begins.get(i + 1)?);
        self.ranks.get(from as usize..to as usize)
    }
    fn begin(&mut self) {
        self.begins.extend(u32::try_from(self.ranks.len()));
    }
}

/// What a class's shuffle is keyed with, and where its deck lies.
const fn class_number(class: Class) -> u8 {
    match class {
        Class::Rollup => 0,
        Class::Vm => 1,
    }
}

/// All lanes that can prove `class`: a `vm` lane is in both decks.
fn able(lanes: &BTreeMap<LaneId, Class>, class: Class) -> Vec<LaneId> {
    let able = lanes.iter().filter(|&(_, &it)| Params::can_prove(it, class));
    able.map(|(&lane, _)| lane).collect()
}

/// The same, shuffled.
fn shuffled(lanes: &BTreeMap<LaneId, Class>, seed: Hash, class: Class) -> Vec<LaneId> {
    let able = able(lanes, class);
    let count = u32::try_from(able.len()).unwrap_or(u32::MAX);
    let key = keccak256(&[&seed.0, &[class_number(class)]]);
    let shuffled = shuffle::shuffled_indices(count, key);
    shuffled.into_iter().map(|it| able[it as usize]).collect()
}

/// A class's deck: shuffled, and those that were dealt least often in this epoch first (R4.2).
fn deck(
    lanes: &BTreeMap<LaneId, Class>,
    seed: Hash,
    class: Class,
    times: &dyn Fn(Class, LaneId) -> u32,
) -> Vec<LaneId> {
    rolled(shuffled(lanes, seed, class), |lane| times(class, lane))
}

/// What stands for the number of times of a lane that is dealt nothing: it is on probation (R1.4).
pub const NOT_DEALT: u32 = u32::MAX;

/// How often each lane was dealt in the earlier slots of an epoch (R4.2). A slot counts as dealing
/// as many places of each deck as it has txs: that is the number L1 knows.
#[must_use]
pub fn times_dealt(
    lanes: &BTreeMap<LaneId, Class>,
    earlier: &[(Hash, u16)],
) -> BTreeMap<(Class, LaneId), u32> {
    let earlier: Vec<(Hash, u32)> =
        earlier.iter().map(|&(seed, txs)| (seed, u32::from(txs))).collect();
    let of = |class| {
        let able = able(lanes, class);
        let shuffle = |seed| shuffled(lanes, seed, class);
        let rolling = Rolling::replay(able.iter().copied(), &earlier, shuffle);
        able.into_iter().map(move |lane| ((class, lane), rolling.times(lane)))
    };
    [Class::Rollup, Class::Vm].into_iter().flat_map(of).collect()
}

const fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The smallest step of at least max(1, n/7) that is coprime to n: a walk by it meets everybody.
pub(super) fn stride(count: usize) -> usize {
    let least = (count / 7).max(1);
    (least..=least + count).find(|&step| gcd(step, count) == 1).unwrap_or(1)
}

impl Deck {
    fn new(order: Vec<LaneId>, active: usize) -> Self {
        let place = order.iter().enumerate().map(|(place, &lane)| (lane, place)).collect();
        let stride = stride(order.len());
        let provers: BTreeSet<ProverId> = order.iter().map(|it| it.prover()).collect();
        let single = provers.len() == order.len();
        let (idle, idle_provers) = (Vec::new(), BTreeSet::new());
        Self { order, place, stride, active, idle, idle_provers, single }
    }

    fn set_idle(&mut self, dealt: &BTreeSet<LaneId>) {
        self.idle = self.order.iter().copied().filter(|it| !dealt.contains(it)).collect();
        self.idle_provers = self.idle.iter().map(|it| it.prover()).collect();
    }
}

impl Deal {
    /// Deals to the epoch's lanes. `times` says how often a lane was dealt before in this epoch, or
    /// that it is not dealt anything ([`NOT_DEALT`]);
    /// `topic` is the number of ranks that follow a task closely.
    #[must_use]
    pub fn new(
        seed: Hash,
        lanes: BTreeMap<LaneId, Class>,
        amount: Amount,
        topic: usize,
        times: &dyn Fn(Class, LaneId) -> u32,
    ) -> Self {
        let [rollup, vm] = [Class::Rollup, Class::Vm].map(|class| {
            let order = deck(&lanes, seed, class, times);
            let active = order.iter().filter(|&&it| times(class, it) != NOT_DEALT).count();
            Deck::new(order, active)
        });
        assert_eq!(rollup.order.len(), lanes.len(), "every lane can do rollup work");
        let dealt_first = |deck: &Deck, count: usize| -> Vec<LaneId> {
            deck.order.iter().copied().take(count.min(deck.active)).collect()
        };
        let dealt: BTreeSet<LaneId> = dealt_first(&rollup, amount.subtrees)
            .into_iter()
            .chain(dealt_first(&vm, amount.vms))
            .collect();
        assert!(dealt.iter().all(|it| lanes.contains_key(it)), "only lanes are dealt work");
        let early = BTreeMap::new();
        let (first, read) = Default::default();
        let mut deal = Self { seed, lanes, decks: [rollup, vm], dealt, early, first, read };
        for deck in &mut deal.decks {
            deck.set_idle(&deal.dealt);
        }
        deal.turn_around(amount, topic);
        deal
    }

    /// From tasks and their first ranks to lanes and what they rank early for.
    fn turn_around(&mut self, amount: Amount, topic: usize) {
        let mut early: BTreeMap<LaneId, Early> = BTreeMap::new();
        let decks =
            [(Class::Rollup, amount.subtrees, topic), (Class::Vm, amount.vms, topic.div_ceil(2))];
        self.first = decks.map(|it| self.follow_up(it, &mut early));
        for &lane in self.lanes.keys() {
            let watchers = self.watchers_of(lane);
            for &watcher in &watchers {
                early.entry(watcher).or_default().watched.push(lane);
            }
            early.entry(lane).or_default().watchers = watchers;
        }
        self.early = early;
    }

    /// Walks the ranks of each of a class's tasks, and notes for lanes what they follow.
    fn follow_up(
        &self,
        (class, count, topic): (Class, usize, usize),
        early: &mut BTreeMap<LaneId, Early>,
    ) -> First {
        let mut first = First::default();
        for i in 0..count {
            first.begin();
            for (rank, lane) in self.walk(class, i).take(LATER * topic).enumerate() {
                let (near, later) = early.entry(lane).or_default().of(class);
                near.extend((rank < topic).then_some(i));
                later.extend(u32::try_from(i));
                first.ranks.extend((rank < KEPT * topic).then_some(lane));
            }
        }
        first.begin();
        first
    }

    /// The seed it was made from.
    #[must_use]
    pub const fn seed(&self) -> Hash {
        self.seed
    }
    /// All lanes of the epoch with their classes.
    #[must_use]
    pub const fn lanes(&self) -> &BTreeMap<LaneId, Class> {
        &self.lanes
    }
    /// The lanes of one prover with their classes.
    pub fn lanes_of(&self, prover: ProverId) -> impl Iterator<Item = (LaneId, Class)> {
        let from = self.lanes.range(LaneId::new(prover, 0)..).map(|(&lane, &class)| (lane, class));
        from.take_while(move |(lane, _)| lane.prover() == prover)
    }
    /// What a lane ranks early for.
    #[must_use]
    pub fn early(&self, lane: LaneId) -> Option<&Early> {
        self.early.get(&lane)
    }
    const fn deck_of(&self, class: Class) -> &Deck {
        &self.decks[class_number(class) as usize]
    }
    /// The lanes of a class in the order in which they are dealt.
    #[must_use]
    pub fn deck(&self, class: Class) -> &[LaneId] {
        &self.deck_of(class).order
    }

    /// Lanes of the class in their rank for the `i`-th subtree (class rollup, counted left to
    /// right) or vm task (class vm, counted by tx and call): the dealt one, then those that were
    /// dealt nothing, from a place that differs by task, then a walk through the deck that names
    /// every prover before it names one twice. Lanes that were lost since are skipped by whoever
    /// reads this; there is no last rank.
    #[must_use]
    pub const fn walk(&self, class: Class, i: usize) -> Walk<'_> {
        let named = BTreeSet::new();
        let deck = self.deck_of(class);
        let place = if deck.active == 0 { i } else { i % deck.active };
        Walk { deal: self, deck, i, place, at: 0, named, again: BTreeSet::new() }
    }

    /// The same ranks as [`Deal::walk`] gives, of which the first were walked already.
    pub fn read(&self, class: Class, i: usize) -> impl Iterator<Item = LaneId> {
        let first = self.first[class_number(class) as usize].of(i).unwrap_or_default();
        let walked = move || self.walk(class, i).skip(first.len());
        let rest = core::iter::once_with(walked).flatten();
        first.iter().copied().chain(rest)
    }

    /// The first ranks of a task in a picture in which nobody was lost, which only its makers
    /// change: most machines hold that one, so it is made once.
    pub(crate) fn undisturbed(
        &self,
        task: usize,
        makers: [Option<LaneId>; 2],
        read: impl FnOnce() -> Vec<LaneId>,
    ) -> Arc<[LaneId]> {
        self.read.ranks(task, makers, read)
    }

    /// All ranks at once.
    #[must_use]
    pub fn ranks(&self, class: Class, i: usize) -> Vec<LaneId> {
        let ranks: Vec<LaneId> = self.walk(class, i).collect();
        assert_eq!(ranks.len(), self.deck(class).len(), "every lane has one rank");
        ranks
    }

    /// Where a crown node's ranks begin in the deck, and whether the left child's maker is first
    /// (R4.3).
    #[must_use]
    pub fn crown_place(&self, node: Node) -> (usize, bool) {
        let c = keccak256(&[&self.seed.0, &node.to_bytes()]).0;
        let position = c[..8].iter().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte));
        let count = self.decks[0].order.len() as u64;
        let place = position.checked_rem(count).and_then(|it| usize::try_from(it).ok());
        (place.unwrap_or(0), c[31] & 1 == 0)
    }

    /// The same for a task of the block, computed once.
    pub(crate) fn crown_place_of(&self, task: usize, node: Node) -> (usize, bool) {
        self.read.place(task, || self.crown_place(node))
    }

    /// The rank order of a crown node (R4.3): the makers of both children (`left` and `right`; for
    /// the root twice the same), then the deck from a position that the seed picks.
    #[must_use]
    pub fn crown_ranks(&self, node: Node, makers: [Option<LaneId>; 2]) -> Vec<LaneId> {
        let (place, left_first) = self.crown_place(node);
        let [left, right] = makers;
        let ordered = if left_first { [left, right] } else { [right, left] };
        let mut taken = BTreeSet::new();
        let able = |it: &LaneId| self.lanes.contains_key(it);
        let makers = ordered.into_iter().flatten().filter(able);
        makers.chain(self.walk(Class::Rollup, place)).filter(|it| taken.insert(*it)).collect()
    }

    /// The lanes of other provers that may say this lane's beats stopped, nearest first (R5.3): a
    /// walk through the deck from the lane's own place, every prover before one is named twice.
    /// However many vanish, the next one that lives hears of the silent lane nearest to it, then
    /// of the next; lanes that watch each other and nobody else would be silent for ever.
    #[must_use]
    pub fn watchers(&self, lane: LaneId) -> &[LaneId] {
        self.early.get(&lane).map(|it| it.watchers.as_slice()).unwrap_or_default()
    }

    fn watchers_of(&self, lane: LaneId) -> Vec<LaneId> {
        let deck = &self.decks[0];
        let Some(place) = deck.place.get(&lane) else { return Vec::new() };
        let count = deck.order.len();
        let walk = (1..count).map(|r| deck.order[(place + r * deck.stride) % count]);
        let (mut named, mut again) = (Vec::new(), Vec::new());
        let mut seen = BTreeSet::new();
        for it in walk.filter(|it| it.prover() != lane.prover()) {
            if seen.insert(it.prover()) {
                named.push(it);
            } else if again.len() < WATCH_RANKS {
                again.push(it);
            }
            if named.len() == WATCH_RANKS {
                return named;
            }
        }
        named.extend(again.into_iter().take(WATCH_RANKS - named.len()));
        named
    }
}

/// Ranks of one task, read one by one.
#[derive(Clone, Debug)]
pub struct Walk<'a> {
    deal: &'a Deal,
    deck: &'a Deck,
    i: usize,
    /// Place in the deck of whoever is dealt it.
    place: usize,
    at: usize,
    named: BTreeSet<ProverId>,
    again: BTreeSet<LaneId>,
}

impl Walk<'_> {
    /// Everything in the order of the rule, with repetitions left out by `next`.
    fn at(&mut self, at: usize) -> Option<LaneId> {
        let (order, idle) = (&self.deck.order, &self.deck.idle);
        let count = order.len();
        let first = order[self.place % count];
        let Some(at) = at.checked_sub(1) else {
            if !self.deck.single {
                self.named.insert(first.prover());
            }
            return Some(first);
        };
        let Some(at) = at.checked_sub(idle.len()) else {
            let lane = idle[(self.i + at) % idle.len()];
            return (lane != first).then_some(lane);
        };
        let second = at >= count - 1;
        let r = if second { at + 2 - count } else { at + 1 };
        let lane = order[(self.place + r * self.deck.stride) % count];
        if lane == first || (!idle.is_empty() && !self.deal.dealt.contains(&lane)) {
            return None;
        }
        if self.deck.single {
            return (!second).then_some(lane);
        }
        let new = !self.deck.idle_provers.contains(&lane.prover());
        match second {
            false if new && self.named.insert(lane.prover()) => {
                self.again.insert(lane);
                Some(lane)
            }
            true if !self.again.contains(&lane) => Some(lane),
            false | true => None,
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = LaneId;

    fn next(&mut self) -> Option<LaneId> {
        let count = self.deck.order.len();
        if count == 0 {
            return None;
        }
        let rounds = if self.deck.single { 1 } else { 2 };
        let all = 1 + self.deck.idle.len() + rounds * (count - 1);
        while self.at < all {
            let at = self.at;
            self.at += 1;
            if let Some(lane) = self.at(at) {
                return Some(lane);
            }
        }
        None
    }
}
