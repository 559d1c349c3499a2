//! The registry as the mesh and the screens need it, followed from L1's events and undone exactly.

use std::collections::BTreeMap;

use protocol::{Address, Hash, L1Event, ProverId, SequencerId};

use crate::{
    l1::follow::UndoLog,
    mesh::{Members, PeerId, Prover},
};

/// A prover's registration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Registered {
    /// What the mesh needs of it.
    pub(crate) prover: Prover,
    /// Who its proofs pay.
    pub(crate) payout: Address,
    /// Lanes of class rollup.
    pub(crate) rollup: u16,
    /// Lanes of class vm.
    pub(crate) vm: u16,
}

/// Everybody who is registered, as of the newest L1 block.
#[derive(Clone, Default, Debug)]
pub(crate) struct Roster {
    head: u64,
    provers: BTreeMap<ProverId, Registered>,
    sequencers: BTreeMap<SequencerId, PeerId>,
    added: UndoLog<(Vec<ProverId>, Vec<SequencerId>)>,
}

impl Roster {
    /// A canonical L1 block. True if it changed who may connect.
    pub(crate) fn l1_block(&mut self, number: u64, hash: Hash, events: &[L1Event]) -> bool {
        let (mut provers, mut sequencers) = (Vec::new(), Vec::new());
        for event in events {
            if let Some((id, registered)) = registration(event) {
                self.provers.insert(id, registered);
                provers.push(id);
            } else if let L1Event::SequencerRegistered { sequencer, mesh_key, .. } = event {
                self.sequencers.insert(*sequencer, PeerId(*mesh_key));
                sequencers.push(*sequencer);
            }
        }
        self.head = number;
        let changed = !provers.is_empty() || !sequencers.is_empty();
        self.added.push(hash, (provers, sequencers));
        changed
    }

    /// The newest L1 block left the chain. True if that changed who may connect.
    pub(crate) fn l1_undo(&mut self, hash: Hash) -> bool {
        let Some((provers, sequencers)) = self.added.pop(hash) else { return false };
        self.head = self.head.saturating_sub(1);
        self.provers.retain(|id, _| !provers.contains(id));
        self.sequencers.retain(|id, _| !sequencers.contains(id));
        !provers.is_empty() || !sequencers.is_empty()
    }

    /// What the mesh's gate and signature check read.
    pub(crate) fn members(&self, epoch: u64) -> Members {
        let provers = self.provers.iter().map(|(id, it)| (*id, it.prover)).collect();
        Members::new(epoch, self.head, provers, &self.sequencers)
    }

    /// Lanes of all provers, and those of class vm among them.
    pub(crate) fn lanes(&self) -> (u64, u64) {
        let sum = |lanes: fn(&Registered) -> u64| self.provers.values().map(lanes).sum();
        (sum(|it| u64::from(it.rollup) + u64::from(it.vm)), sum(|it| u64::from(it.vm)))
    }

    /// One prover's registration.
    pub(crate) fn prover(&self, id: ProverId) -> Option<&Registered> {
        self.provers.get(&id)
    }
}

fn registration(event: &L1Event) -> Option<(ProverId, Registered)> {
    let L1Event::ProverRegistered { prover, operator, mesh_key, payout, rollup, vm } = event else {
        return None;
    };
    let lanes = u32::from(*rollup) + u32::from(*vm);
    let known = Prover { peer: PeerId(*mesh_key), operator: *operator, lanes };
    Some((*prover, Registered { prover: known, payout: *payout, rollup: *rollup, vm: *vm }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prover(number: u8) -> L1Event {
        L1Event::ProverRegistered {
            prover: ProverId(number.into()),
            operator: Address([number; 20]),
            mesh_key: [number; 32],
            payout: Address([number; 20]),
            rollup: 1,
            vm: 2,
        }
    }

    #[test]
    fn an_undone_registration_keeps_its_key_out_again() {
        let mut roster = Roster::default();
        assert!(roster.l1_block(1, Hash([1; 32]), &[prover(7)]));
        assert!(!roster.l1_block(2, Hash([2; 32]), &[]));
        assert!(roster.members(0).role(PeerId([7; 32])).is_some());
        assert_eq!(roster.prover(ProverId(7)).map(|it| it.prover.lanes), Some(3));
        assert!(!roster.l1_undo(Hash([1; 32])), "not the newest");
        assert!(!roster.l1_undo(Hash([2; 32])));
        assert!(roster.l1_undo(Hash([1; 32])));
        assert!(roster.members(0).role(PeerId([7; 32])).is_none());
    }
}
