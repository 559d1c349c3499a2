//! Who is paid what for an epoch (R4.3, R6, R9.3, R9.4, R14, R15).
//!
//! Everything is a floor, and what a floor, a coverage factor or a take-over leaves unpaid stays in
//! the reward contract: nobody earns by another's miss, and the sum never exceeds the pool.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    assign::keccak::keccak256,
    domain::{Address, Hash, LaneId, ProverId},
    epoch::Epoch,
    params::Params,
};

/// What one slot pays out, by source.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Pool {
    /// Fees of the block's txs.
    pub fees: u128,
    /// The network's reward for a settled slot.
    pub reward: u128,
    /// What the sequencer adds for provers: it can only add (R9.3).
    pub top_up: u128,
}

/// A pool by role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shares {
    /// For provers.
    pub provers: u128,
    /// For the sequencer.
    pub sequencer: u128,
    /// For the submitter.
    pub submitter: u128,
}

/// Floor of `amount` × `permille` / 1000, without overflow.
pub(crate) const fn part(amount: u128, permille: u64) -> u128 {
    amount / 1_000 * permille as u128 + amount % 1_000 * permille as u128 / 1_000
}

/// Floor of `amount` × `a` / `b` for a ≤ b, without overflow.
fn fraction(amount: u128, a: u128, b: u128) -> u128 {
    assert!(a <= b && b <= u128::from(u64::MAX), "{a} / {b} of an amount");
    amount / b * a + amount % b * a / b
}

impl Pool {
    /// Splits fees and reward by the shares; the top-up is the provers', and so is what rounding
    /// leaves (R9.3).
    #[must_use]
    pub fn split(self, params: &Params) -> Shares {
        let shared = self.fees + self.reward;
        let sequencer = part(shared, params.sequencer_share_permille);
        let submitter = part(shared, params.submitter_share_permille);
        let provers = shared - sequencer - submitter + self.top_up;
        let all = provers + sequencer + submitter;
        assert_eq!(all, shared + self.top_up, "a pool is split exactly");
        Shares { provers, sequencer, submitter }
    }
}

/// Units of one proof, the root and merges by how far they stand below the root: those of the hot crown count
/// `hot_copies` times, so that standing by is paid (R4.3).
#[must_use]
pub const fn credited_units(units: u64, below_root: Option<u8>, params: &Params) -> u64 {
    match below_root {
        Some(depth) if depth < params.hot_levels => units * params.hot_copies as u64,
        Some(_) | None => units,
    }
}

/// Dealt units of a lane in an epoch, over slots settled by network roots (R9.3).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Coverage {
    /// Units dealt.
    pub dealt: u64,
    /// Units that the lane proved it made, of whatever tasks, up to those dealt.
    pub made: u64,
}

impl Coverage {
    /// Thousandths, rounded down; `None` if nothing was dealt.
    #[must_use]
    pub fn permille(self) -> Option<u64> {
        assert!(self.made <= self.dealt, "{} units made of {} dealt", self.made, self.dealt);
        let dealt = u128::from(self.dealt);
        let permille = (u128::from(self.made) * 1_000).checked_div(dealt)?;
        Some(u64::try_from(permille).unwrap_or(1_000))
    }

    /// The factor on a lane's pay, in thousandths: 1000 from `coverage_full` on, below it the square
    /// of what is reached of it. Half of the dealt work pays less than a third, and yet every
    /// further proof pays, so a lane that comes back late still has a reason to work. A lane that
    /// was dealt nothing is paid in full for what it took.
    #[must_use]
    pub fn factor_permille(self, params: &Params) -> u64 {
        let full = params.coverage_full_permille;
        match self.permille() {
            Some(reached) if reached < full => reached * reached * 1_000 / (full * full),
            Some(_) | None => 1_000,
        }
    }
}

/// What every lane of one epoch was dealt, and what its prover made.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Duties {
    dealt: BTreeMap<LaneId, u64>,
    credited: BTreeMap<ProverId, u64>,
}

impl Duties {
    /// A slot settled by a network root dealt `units` to the lane. Slots that their leader proved
    /// alone are not brought here (R14).
    pub fn dealt(&mut self, lane: LaneId, units: u64) {
        *self.dealt.entry(lane).or_default() += units;
    }
    /// Such a slot credits the prover `units`, whatever it made: a lane that others were quicker
    /// than, and that did as much for them, did its duty.
    pub fn credited(&mut self, prover: ProverId, units: u64) {
        *self.credited.entry(prover).or_default() += units;
    }
    /// The coverage of every lane that was dealt something. What a prover made fills its lanes in
    /// their order.
    #[must_use]
    pub fn coverage(&self) -> BTreeMap<LaneId, Coverage> {
        let mut left = self.credited.clone();
        let cover = |(&lane, &dealt): (&LaneId, &u64)| {
            let left = left.entry(lane.prover()).or_default();
            let made = dealt.min(*left);
            *left -= made;
            (lane, Coverage { dealt, made })
        };
        self.dealt.iter().map(cover).collect()
    }
}

/// Units that a payee is credited in an epoch.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Earned {
    /// Dealt to it, open, or taken over from a lost or capped lane.
    pub full: u64,
    /// Taken over from a lane that was neither (R9.3).
    pub taken: u64,
}

impl Earned {
    /// In thousandths of a unit, taken ones at `takeover_share`.
    fn milliunits(self, params: &Params) -> u128 {
        u128::from(self.full) * 1_000
            + u128::from(self.taken) * u128::from(params.takeover_share_permille)
    }
}

/// The list of one epoch: its pool, and every payee with its units (R9.4).
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct List {
    epoch: Epoch,
    pool: u128,
    units: u64,
    earned: BTreeMap<Address, Earned>,
}

impl List {
    /// An empty list.
    #[must_use]
    pub fn new(epoch: Epoch) -> Self {
        Self { epoch, ..Self::default() }
    }
    /// Which epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }
    /// What its provers share.
    #[must_use]
    pub const fn pool(&self) -> u128 {
        self.pool
    }
    /// Payees with their units, in the order of their addresses.
    pub fn lines(&self) -> impl Iterator<Item = (Address, Earned)> {
        self.earned.iter().map(|(&payee, &earned)| (payee, earned))
    }

    /// Adds a settled slot: the provers' share of its pool, the units of its whole tree, and what
    /// its credit tree shows.
    pub fn settled(
        &mut self,
        provers: u128,
        units: u64,
        credits: impl IntoIterator<Item = (Address, Earned)>,
    ) {
        let before = self.credited();
        for (payee, earned) in credits {
            let line = self.earned.entry(payee).or_default();
            line.full += earned.full;
            line.taken += earned.taken;
        }
        self.pool += provers;
        self.units += units;
        assert!(self.credited() - before <= units, "a slot credits no more than its tree holds");
    }

    fn credited(&self) -> u64 {
        self.earned.values().map(|it| it.full + it.taken).sum()
    }

    /// What the payee earned: pool × its units × its coverage factor, rounded down (R9.3).
    #[must_use]
    pub fn amount(&self, payee: Address, factor_permille: u64, params: &Params) -> u128 {
        assert!(factor_permille <= 1_000, "a factor is a part");
        let Some(earned) = self.earned.get(&payee) else { return 0 };
        let weight = earned.milliunits(params) * u128::from(factor_permille);
        if weight == 0 {
            return 0;
        }
        fraction(self.pool, weight, u128::from(self.units) * 1_000_000)
    }
}

/// A payout that is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotPaid {
    /// It was paid, or carried forward, before.
    Twice,
    /// The payee is not on the list.
    Unknown,
    /// The epoch is closed.
    Closed,
}

/// What was paid, and what waits for the minimum (R9.4).
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Payouts {
    done: BTreeSet<(Epoch, Address)>,
    spent: BTreeMap<Epoch, u128>,
    waiting: BTreeMap<Address, u128>,
    /// Epochs before this one are closed.
    open: Epoch,
}

impl Payouts {
    /// Takes a payee's line of an epoch's list, exactly once, and returns what is sent now: with
    /// what was carried forward, or nothing while both are below `payout_minimum`.
    ///
    /// # Errors
    /// Why it is refused; nothing changes then.
    pub fn take(
        &mut self,
        list: &List,
        payee: Address,
        factor_permille: u64,
        params: &Params,
    ) -> Result<u128, NotPaid> {
        if list.epoch < self.open {
            return Err(NotPaid::Closed);
        }
        if !list.earned.contains_key(&payee) {
            return Err(NotPaid::Unknown);
        }
        if !self.done.insert((list.epoch, payee)) {
            return Err(NotPaid::Twice);
        }
        let amount = list.amount(payee, factor_permille, params);
        let spent = self.spent.entry(list.epoch).or_insert(0);
        *spent += amount;
        assert!(*spent <= list.pool, "epoch {} pays more than its pool", list.epoch);
        let due = amount + self.waiting.remove(&payee).unwrap_or(0);
        if due < params.payout_minimum {
            self.waiting.insert(payee, due);
            return Ok(0);
        }
        Ok(due)
    }
    /// What a payee has waiting.
    #[must_use]
    pub fn waiting(&self, payee: Address) -> u128 {
        self.waiting.get(&payee).copied().unwrap_or(0)
    }
    /// What an epoch's pool was used for so far, carried amounts included.
    #[must_use]
    pub fn spent(&self, epoch: Epoch) -> u128 {
        self.spent.get(&epoch).copied().unwrap_or(0)
    }
    /// Closes the epochs before `oldest`: nothing of them is paid any more, so that what was paid
    /// need not be remembered.
    pub fn close(&mut self, oldest: Epoch) {
        self.open = self.open.max(oldest);
        self.done.retain(|&(epoch, _)| self.open <= epoch);
        self.spent.retain(|&epoch, _| self.open <= epoch);
    }
}

/// What opens a payee that hides its prover (R15).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opening {
    /// Whose.
    pub prover: ProverId,
    /// In which epoch.
    pub epoch: Epoch,
    /// 32 random bytes, which are what hides it.
    pub blinding: [u8; 32],
}

impl Opening {
    /// The payee: the last 20 bytes of keccak("coppice.payee.v1" ‖ prover ‖ epoch ‖ blinding).
    #[must_use]
    pub fn payee(&self) -> Address {
        let prover = self.prover.0.to_be_bytes();
        let epoch = self.epoch.0.to_be_bytes();
        let Hash(hash) = keccak256(&[b"coppice.payee.v1", &prover, &epoch, &self.blinding]);
        let mut payee = [0; 20];
        payee.copy_from_slice(&hash[12..]);
        Address(payee)
    }
    /// Whether it opens this payee, for units of this epoch, by this prover.
    #[must_use]
    pub fn opens(&self, payee: Address, prover: ProverId, epoch: Epoch) -> bool {
        self.prover == prover && self.epoch == epoch && self.payee() == payee
    }
}

#[cfg(test)]
mod tests;
