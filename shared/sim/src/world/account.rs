//! The books of a world: who was dealt what, who made it, who was lost. Kept only when asked for.

use std::collections::BTreeMap;

use protocol::{LaneId, Message, Slot, TaskId};

use super::{World, index};
use crate::{
    Behaviour, machine,
    report::pay::{Account, Share},
};

/// What is written down while a world runs.
#[derive(Default)]
pub(crate) struct Books {
    pub(crate) kept: bool,
    /// Dealt lanes of each slot's tasks.
    dealt: BTreeMap<Slot, BTreeMap<TaskId, LaneId>>,
    pub(crate) account: Account,
    /// The newest claim of each lane, to find two with one number.
    claims: BTreeMap<LaneId, (u64, TaskId)>,
}

impl Books {
    /// Two different claims with one number cost the bond (R10.1).
    pub(crate) fn hear(&mut self, message: &Message) {
        let Message::Claim { task, lane, seq, .. } = *message else { return };
        match self.claims.insert(lane, (seq, task)) {
            Some((last, other)) if last == seq && other != task => {
                self.account.equivocators.insert(lane);
            }
            Some(_) | None => (),
        }
    }
}

impl World {
    /// Writes down deals and losses as one honest agent sees them.
    pub(super) fn keep_books(&mut self) {
        if !self.books.kept {
            return;
        }
        let honest = |it: &&super::Agent| it.is_up() && it.behaviour == Behaviour::Honest;
        let Some(machine) = self.agents.iter().find(honest).and_then(|it| it.machine.as_ref())
        else {
            return;
        };
        for (slot, _, lanes) in machine::losses(machine) {
            let lost =
                lanes.into_iter().filter(|it| it.1.is_some()).map(|it| (slot, it.0.prover()));
            self.books.account.excused.extend(lost);
            if let std::collections::btree_map::Entry::Vacant(entry) = self.books.dealt.entry(slot)
            {
                entry.insert(machine::dealt(machine, slot).into_iter().collect());
            }
        }
    }

    /// The account of all settled slots.
    pub(super) fn account(&mut self) -> Account {
        let mut account = core::mem::take(&mut self.books.account);
        account.lanes = self.agents.iter().flat_map(|it| &it.lanes).map(|it| it.id).collect();
        for root in self.settling_roots() {
            let content = &self.contents[index(self.numbers[&root.block])];
            let dealt = self.books.dealt.get(&root.slot);
            let used = crate::checks::settles(content, root.blob, &self.truth).unwrap_or_default();
            for blob in used {
                let fact = &self.truth.facts[index(blob)];
                let place = self.truth.places[index(fact.task)];
                let task = self.contents[index(place.content)].tasks[index(place.place)].task;
                let dealt = dealt.and_then(|it| it.get(&task)).copied();
                let makers = fact.children.iter().map(|it| self.truth.facts[index(*it)].maker);
                let rights = dealt.map_or_else(|| makers.collect(), |it| vec![it.prover()]);
                account.shares.push(Share {
                    slot: root.slot,
                    units: self.options.params.units[1],
                    maker: fact.maker,
                    dealt,
                    rights,
                });
            }
        }
        account
    }
}
