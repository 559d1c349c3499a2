//! Which circuit sets a block may be proved by, as L1 announces them (R13).
//!
//! Agents take a block's set from its reveal; whoever makes blocks or txs must know beforehand.
//! The rule is the core's, fed with L1's announcements and undone exactly like everything else.

use protocol::{
    Hash, Params, Slot, Word,
    epoch::{
        Epoch,
        sets::{CircuitSet, Sets},
    },
};

use crate::l1::{decode::SetNews, follow::UndoLog};

/// The circuit sets of a network as of the newest L1 block.
#[derive(Debug)]
pub(crate) struct Schedule {
    params: Params,
    /// `None` until the contracts' first event.
    sets: Option<Sets>,
    /// What stood before a block that changed something.
    log: UndoLog<Option<Option<Sets>>>,
}

impl Schedule {
    /// Nothing announced yet.
    pub(crate) fn new(params: Params) -> Self {
        Self { params, sets: None, log: UndoLog::default() }
    }

    /// A canonical L1 block and what was announced in it. Gives what does not fit: the parameters
    /// configured here are then not the network's.
    pub(crate) fn l1_block(&mut self, number: u64, hash: Hash, news: &[SetNews]) -> Vec<String> {
        if news.is_empty() {
            self.log.push(hash, None);
            return Vec::new();
        }
        let before = self.sets.clone();
        let wrong = news.iter().filter_map(|news| self.announced_in(number, news)).collect();
        self.log.push(hash, Some(before));
        wrong
    }

    /// The newest L1 block left the chain.
    pub(crate) fn l1_undo(&mut self, hash: Hash) {
        if let Some(Some(before)) = self.log.pop(hash) {
            self.sets = before;
        }
    }

    fn announced_in(&mut self, number: u64, news: &SetNews) -> Option<String> {
        let SetNews { set, from } = *news;
        let now = Epoch::of(self.params.slot_at(number), &self.params);
        let Some(sets) = &mut self.sets else {
            self.sets = Some(Sets::new(set));
            return None;
        };
        let id = hex::encode(set.id);
        match sets.announce(set, now, &self.params) {
            Ok(ours) if ours == from => None,
            Ok(ours) => Some(format!(
                "circuit set {id} is valid from epoch {from} on L1, from {ours} by the parameters \
                 configured here"
            )),
            Err(refused) => {
                Some(format!("circuit set {id} is announced on L1 against R13: {refused:?}"))
            }
        }
    }

    /// Ids that a reveal of this slot may name, newest first; none until L1 named the first.
    pub(crate) fn valid(&self, slot: Slot) -> Vec<Word> {
        let epoch = Epoch::of(slot, &self.params);
        let sets = self.sets.as_ref().map(|it| it.valid(epoch, &self.params));
        sets.unwrap_or_default().into_iter().map(|it| it.id).collect()
    }

    /// The same, and the one that is announced: what a machine must have keys of, or say so.
    pub(crate) fn known(&self, slot: Slot) -> Vec<Word> {
        let epoch = Epoch::of(slot, &self.params);
        let announced = self.sets.as_ref().and_then(|it| it.announced(epoch));
        announced.map(|(set, _)| set.id).into_iter().chain(self.valid(slot)).collect()
    }

    /// The newest of them.
    pub(crate) fn current(&self, slot: Slot) -> Option<CircuitSet> {
        self.sets.as_ref().map(|it| it.current(Epoch::of(slot, &self.params)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn news(version: u32, from: u64) -> SetNews {
        SetNews { set: CircuitSet { id: [version as u8 + 1; 32], version }, from: Epoch(from) }
    }

    /// Epochs of three slots of ten blocks, from block 300 on.
    fn schedule() -> Schedule {
        let params = Params { epoch_slots: 3, ..Params::devnet() };
        let mut schedule = Schedule::new(params);
        assert_eq!(schedule.valid(Slot(0)), Vec::<Word>::new());
        assert_eq!(schedule.l1_block(5, Hash([5; 32]), &[news(0, 0)]), Vec::<String>::new());
        schedule
    }

    #[test]
    fn a_set_announced_before_the_first_slot_is_valid_two_epochs_later() {
        let mut schedule = schedule();
        assert_eq!(schedule.l1_block(6, Hash([6; 32]), &[news(1, 2)]), Vec::<String>::new());
        let (old, new) = ([1; 32], [2; 32]);
        assert_eq!(schedule.valid(Slot(5)), [old]);
        assert_eq!(schedule.known(Slot(5)), [new, old]);
        assert_eq!(schedule.known(Slot(9)), [new]);
        assert_eq!(
            (schedule.valid(Slot(6)), schedule.valid(Slot(8))),
            (vec![new, old], vec![new, old])
        );
        assert_eq!(schedule.valid(Slot(9)), [new]);
        assert_eq!(schedule.current(Slot(6)), Some(news(1, 2).set));
    }

    #[test]
    fn an_announcement_is_undone_with_its_block() {
        let mut schedule = schedule();
        schedule.l1_block(6, Hash([6; 32]), &[news(1, 2)]);
        schedule.l1_block(7, Hash([7; 32]), &[]);
        schedule.l1_undo(Hash([7; 32]));
        assert_eq!(schedule.valid(Slot(9)), [[2; 32]]);
        schedule.l1_undo(Hash([6; 32]));
        assert_eq!(schedule.valid(Slot(9)), [[1; 32]]);
        // Announced anew in slot 4, which is of epoch 1.
        assert_eq!(schedule.l1_block(340, Hash([8; 32]), &[news(1, 3)]), Vec::<String>::new());
        assert_eq!(
            (schedule.valid(Slot(8)), schedule.current(Slot(9))),
            (vec![[1; 32]], Some(news(1, 3).set))
        );
    }

    #[test]
    fn other_parameters_than_the_networks_are_noticed() {
        let mut schedule = schedule();
        let wrong = schedule.l1_block(6, Hash([6; 32]), &[news(1, 4)]);
        assert!(wrong[0].contains("from epoch 4 on L1, from 2 by the parameters"), "{wrong:?}");
        let wrong = schedule.l1_block(7, Hash([7; 32]), &[news(2, 4)]);
        assert!(wrong[0].contains("against R13: Pending"), "{wrong:?}");
    }
}
