//! The only place that knows what the core looks like inside; everything else speaks through
//! `step`, `deadline` and `view`.

use std::sync::Arc;

use protocol::{
    BlockId, Class, Coordinator, Hash, LaneId, Millis, Params, ProverId, Slot, TaskId,
    assign::memo::Memo,
};

use crate::Behaviour;

/// Whether the core quarantines tasks that fail for three provers (R5.3).
pub(crate) const QUARANTINES: bool = true;

/// What all machines of one world share.
#[derive(Clone, Default)]
pub(crate) struct Shared {
    memo: Arc<Memo>,
}

impl Shared {
    /// A machine with no history.
    pub(crate) fn machine(
        &self,
        prover: ProverId,
        params: &Params,
        behaviour: Behaviour,
    ) -> Coordinator {
        let mut params = params.clone();
        if behaviour == Behaviour::Sniper {
            // Waits for nobody's better rank.
            params.rank_wait_ms = 0;
        }
        Coordinator::new(Some(prover), params).sharing(Arc::clone(&self.memo))
    }
}

/// Revealed blocks that wait for their plan.
pub(crate) fn unplanned(machine: &Coordinator) -> Vec<BlockId> {
    machine.unplanned()
}

/// Slots whose messages are still worth repeating.
pub(crate) fn is_open(machine: &Coordinator, slot: Slot) -> bool {
    let newest = machine.chain().slots().next_back().map_or(Slot(0), |(slot, _)| slot);
    newest <= slot || machine.unsettled_slots().contains(&slot)
}

/// The newest L1 block it knows.
pub(crate) fn head(machine: &Coordinator) -> Option<Hash> {
    machine.chain().head().map(|it| it.hash)
}

/// Deals of its open slots: slot, seed, deck.
pub(crate) fn deals(machine: &Coordinator) -> Vec<(Slot, Hash, Vec<LaneId>)> {
    let rounds = machine.unsettled_slots().into_iter().filter_map(|it| machine.round(it));
    rounds.map(|it| (it.slot, it.deal.seed(), it.deal.deck(Class::Rollup).to_vec())).collect()
}

/// The lanes that the slot's tasks are dealt to; crown tasks are dealt to nobody.
pub(crate) fn dealt(machine: &Coordinator, slot: Slot) -> Vec<(TaskId, LaneId)> {
    let Some(round) = machine.round(slot) else { return Vec::new() };
    let first = |class, i| round.deal.walk(class, i).next();
    let dealt = round.layout.spots.iter().filter_map(|it| match (it.vm(), it.subtree()) {
        (Some(vm), _) => Some((it.id, first(Class::Vm, vm)?)),
        (None, Some(subtree)) => Some((it.id, first(Class::Rollup, subtree)?)),
        (None, None) => None,
    });
    dealt.collect()
}

/// What it knows of slots and their proofs, without what depends on when it was told.
pub(crate) fn facts(
    machine: &Coordinator,
) -> Vec<(Slot, &'static str, Option<BlockId>, Vec<String>)> {
    let slots = machine.view().slots.into_iter();
    slots
        .map(|it| {
            let nodes = it.nodes.iter().filter(|it| it.state == "made" || it.state == "delivered");
            (it.slot, it.phase, it.block, nodes.map(|it| it.node.to_string()).collect())
        })
        .collect()
}

/// A slot, since when a machine listens in it, and its lanes with when somebody last said of those
/// that are lost that they are silent.
pub(crate) type Heard = (Slot, Millis, Vec<(LaneId, Option<Millis>)>);

/// When it began to listen in each open slot, and which lanes it takes for lost there.
pub(crate) fn losses(machine: &Coordinator) -> Vec<Heard> {
    let rounds = machine.unsettled_slots().into_iter().filter_map(|it| machine.round(it));
    rounds
        .map(|round| {
            let lost = |it: LaneId| round.standing(it).filter(|it| it.lost).map(|it| it.accused);
            let lanes = round.deal.lanes().keys().filter(|it| !round.is_aside(**it));
            (round.slot, round.started, lanes.map(|&it| (it, lost(it))).collect())
        })
        .collect()
}
