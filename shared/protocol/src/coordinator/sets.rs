//! Who can prove the circuit set of a slot (R13.1): our lanes say when they cannot, and others hear it.
//!
//! A lane without the keys may not even be able to check the block, so its word does not depend on a
//! plan: it follows from L1 and from what the shell found. It goes to everybody with the slot's deal
//! and once more with the next L1 block; a lane that has all keys says nothing.

use super::Coordinator;
use crate::{
    claims::End,
    domain::{LaneId, Millis, Slot, Word},
    io::{Action, Message, Previous},
};

/// Times that a lane says the same in a slot: the first word may be lost.
const SAID_MAX: u8 = 2;

/// What a lane of ours said in a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Said {
    set: Word,
    able: bool,
    /// Number of the last word.
    n: u64,
    times: u8,
}

impl Coordinator {
    /// Says what our lanes cannot prove in each slot that is dealt, or can again.
    pub(super) fn advertise(&mut self, now: Millis, actions: &mut Vec<Action>) {
        let Some(own) = self.own.filter(|_| !self.adverts.is_empty()) else { return };
        let dealt = self
            .chain
            .slots()
            .filter(|(slot, it)| it.is_dealt() && self.chain.unsettled(*slot, &self.params));
        let dealt: Vec<(Slot, Word)> =
            dealt.filter_map(|(slot, it)| Some((slot, it.reveal?.set))).collect();
        for (slot, set) in dealt {
            let lanes = self.chain.set_of(slot, &self.params);
            let ours = lanes.lanes().map(|it| it.0).filter(|it| it.prover() == own);
            for lane in ours.filter(|&it| lanes.may_take_open(it)) {
                self.advertise_lane(now, (slot, set), lane, actions);
            }
        }
    }

    fn advertise_lane(
        &mut self,
        now: Millis,
        (slot, set): (Slot, Word),
        lane: LaneId,
        actions: &mut Vec<Action>,
    ) {
        let able = self.adverts.can_prove(lane, set);
        let before = self.said.get(&(slot, lane)).copied().filter(|it| it.set == set);
        let same = before.filter(|it| it.able == able);
        let times = same.map_or(1, |it| it.times + 1);
        let early = same.is_some_and(|it| now.0 < it.n + self.params.beat_ms);
        if early || SAID_MAX < times || (before.is_none() && able) {
            return;
        }
        let n = before.map_or(0, |it| it.n + 1).max(now.0);
        self.said.insert((slot, lane), Said { set, able, n, times });
        actions.push(Action::to_all(Message::Advert { lane, slot, set, n, able }));
        if times == 1 && !able {
            let text = format!("lane {lane} stands aside in slot {slot}: it lacks its set's keys");
            actions.push(Action::Note { code: "KEY-014", text });
        }
        self.on_advert(now, slot, (lane, n, able), actions);
    }

    /// Our own words hold in a round that begins.
    pub(super) fn repeat_to_self(&mut self, now: Millis, slot: Slot, actions: &mut Vec<Action>) {
        let Some(set) = self.rounds.get(&slot).map(|it| it.reveal.set) else { return };
        let own = self.said.range((slot, LaneId(0))..=(slot, LaneId(u64::MAX)));
        let own: Vec<(LaneId, Said)> = own.map(|(key, it)| (key.1, *it)).collect();
        for (lane, said) in own.into_iter().filter(|it| it.1.set == set) {
            self.on_advert(now, slot, (lane, said.n, said.able), actions);
        }
    }

    /// A lane's word about the slot's set. A claim of it ends with it.
    pub(super) fn on_advert(
        &mut self,
        now: Millis,
        slot: Slot,
        (lane, n, able): (LaneId, u64, bool),
        actions: &mut Vec<Action>,
    ) {
        let Some(round) = self.rounds.get_mut(&slot) else { return };
        let ours = round.is_own(lane);
        let Some(changed) = round.on_advert(now, lane, (n, able), &self.params) else { return };
        if ours && !able && self.claims.live(lane).is_some_and(|it| it.slot == slot) {
            self.end_own(now, lane, End::plain(Previous::Released), actions);
        }
        self.tell_new_ranks(slot, changed, actions);
        self.due.deliveries = true;
        self.due.offers = true;
        self.plan_silence(now);
    }

    /// Whether all our lanes lack the keys of the slot's set.
    pub(crate) fn lacks_keys(&self, slot: Slot) -> bool {
        let set = self.chain.slot(slot).and_then(|it| it.reveal).map(|it| it.set);
        let own = self.own.and_then(|it| Some((it, self.chain.prover(it)?)));
        let (Some(set), Some((own, registered))) = (set, own) else { return false };
        registered.lanes(own).all(|(lane, _)| !self.adverts.can_prove(lane, set))
    }
}
