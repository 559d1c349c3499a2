//! Who registered which lanes, with as much history as a deal may need (R1.3).

use std::collections::BTreeMap;

use crate::{
    domain::{Address, Class, LaneId, ProverId},
    epoch::{
        Epoch,
        members::{Change, Members},
    },
    params::Params,
};

/// A prover as registered (R1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Registration {
    /// L1 block of the registration.
    pub number: u64,
    /// Who its proofs pay.
    pub payout: Address,
    /// Lanes of class rollup; their numbers come first.
    pub rollup: u16,
    /// Lanes of class vm; their numbers follow.
    pub vm: u16,
}

impl Registration {
    /// The prover's lanes: numbers 0.. of class rollup, then those of class vm.
    pub fn lanes(&self, prover: ProverId) -> impl Iterator<Item = (LaneId, Class)> + use<> {
        let rollup = self.rollup;
        (0..rollup.saturating_add(self.vm)).map(move |number| {
            let class = if number < rollup { Class::Rollup } else { Class::Vm };
            (LaneId::new(prover, number), class)
        })
    }
}

/// Everybody who registered: a function of the L1 blocks up to its last change, so that machines
/// of one process share it ([`crate::assign::memo`]).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Registry {
    provers: BTreeMap<ProverId, Registration>,
    members: Members,
    /// L1 block in which it was last pruned.
    pruned: u64,
}

impl Registry {
    /// The newest registration of a prover, whether or not it left since.
    #[must_use]
    pub fn prover(&self, prover: ProverId) -> Option<&Registration> {
        self.provers.get(&prover)
    }
    /// The newest registrations that pay this address.
    pub(super) fn paid_at(&self, payee: Address) -> impl Iterator<Item = (LaneId, Class)> {
        let provers = self.provers.iter().filter(move |(_, it)| it.payout == payee);
        provers.flat_map(|(&prover, it)| it.lanes(prover))
    }
    /// What every epoch's set is read from.
    #[must_use]
    pub const fn members(&self) -> &Members {
        &self.members
    }

    /// Lanes are bonded, or bonded anew, in L1 block `it.number`.
    pub(super) fn register(&mut self, prover: ProverId, it: Registration) {
        self.provers.insert(prover, it);
        self.members.change(it.number, prover, Change::Lanes { rollup: it.rollup, vm: it.vm });
    }
    /// A prover leaves in L1 block `number`.
    pub(super) fn leave(&mut self, prover: ProverId, number: u64) {
        if self.provers.contains_key(&prover) {
            self.members.change(number, prover, Change::Leave);
        }
    }
    /// Forgets what no slot that can still be at work in L1 block `number` needs.
    pub(super) fn prune(&mut self, number: u64, params: &Params) {
        if core::mem::replace(&mut self.pruned, number) == number {
            return;
        }
        let longest = params.proving_blocks + params.halting_blocks + params.backup_blocks;
        let reach = longest + params.undo_blocks_max as u64 + params.snapshot_lag_blocks;
        let slot = params.slot_at(number.saturating_sub(reach)).0;
        let oldest = slot / params.epoch_slots;
        self.members.prune(Epoch(oldest.saturating_sub(1)), params);
    }
}
