//! One pretended agent: a machine, its disk, its stores, and what its connections repeat.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use protocol::{
    Audience, BlockId, Class, Coordinator, LaneId, Message, Millis, ProverId, Record, Slot, TaskId,
};

use crate::behaviour::Behaviour;

/// Messages one agent remembers having said: what one connection may repeat (slice section 6).
const SAID_MAX: usize = 4_096;

/// A signed message.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) signer: ProverId,
    pub(crate) message: Message,
}

/// What an agent said or passed on, and to whom.
#[derive(Clone)]
pub(crate) struct Said {
    pub(crate) packet: Arc<Packet>,
    pub(crate) to: Audience,
}

/// One lane, as the world sees it.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    pub(crate) id: LaneId,
    pub(crate) class: Class,
    /// The claim in work that is on its disk: number and task.
    pub(crate) live: Option<(u64, TaskId)>,
    /// Claims whose proofs are made and that did not end yet.
    pub(crate) made: Vec<(u64, TaskId)>,
    /// Since when.
    pub(crate) since: Millis,
    /// The last claim number on its disk, whatever became of it.
    pub(crate) seq: u64,
}

/// One agent of the world.
pub(crate) struct Agent {
    pub(crate) prover: ProverId,
    pub(crate) lanes: Vec<Lane>,
    /// `None` while it is down.
    pub(crate) machine: Option<Box<Coordinator>>,
    /// Records in the order in which they became durable; empty in worlds without restarts.
    pub(crate) disk: Vec<Record>,
    /// Numbers of the blobs on its disk.
    pub(crate) store: BTreeSet<u32>,
    /// Tasks it proved, as its journal says.
    pub(crate) proved: BTreeSet<TaskId>,
    /// Numbers of the statements in its journal.
    pub(crate) durable: BTreeSet<u32>,
    /// What it repeats to a peer that connects, oldest first.
    said: VecDeque<Said>,
    /// The newest beat of each lane and slot that it speaks for.
    beats: Vec<Said>,
    /// When it last heard each lane beat in each slot; only in worlds that are judged all to all.
    pub(crate) heard: BTreeMap<(Slot, LaneId), Millis>,
    /// Number of the newest L1 block it was fed since its start.
    pub(crate) l1: Option<u32>,
    pub(crate) wake_at: Option<Millis>,
    /// Proofs in the making: task and number of the run.
    pub(crate) running: Vec<(TaskId, u32)>,
    pub(crate) planning: BTreeSet<BlockId>,
    /// Counts starts, so that nothing from before a crash arrives after it.
    pub(crate) life: u32,
    /// Since when it is up, or when it went down.
    pub(crate) changed: Millis,
    /// Cut off from the mesh until then.
    pub(crate) cut_until: Millis,
    /// Down for good.
    pub(crate) stopped: bool,
    pub(crate) behaviour: Behaviour,
    /// Its time for a proof in thousandths of the usual one.
    pub(crate) speed: u64,
    pub(crate) slow: bool,
    pub(crate) nat: bool,
    /// Milliseconds that its witnesses come later.
    pub(crate) starved_ms: u64,
    /// Has no proving keys of the next circuit set.
    pub(crate) keyless: bool,
}

impl Lane {
    /// A claim ends; gives its task if it was in work.
    pub(crate) fn end(&mut self, seq: u64) -> Option<(u64, TaskId)> {
        self.made.retain(|it| it.0 != seq);
        self.live.take_if(|it| it.0 == seq)
    }
    /// The task of a claim that did not end yet.
    pub(crate) fn task_of(&self, seq: u64) -> Option<TaskId> {
        self.live.iter().chain(&self.made).find(|it| it.0 == seq).map(|it| it.1)
    }
    /// Whether this claim did not end yet.
    pub(crate) fn has(&self, seq: u64) -> bool {
        self.task_of(seq).is_some()
    }
}

impl Agent {
    /// A proof is in the journal: its claim is not in work any more.
    pub(crate) fn prove(&mut self, task: TaskId) {
        self.proved.insert(task);
        for lane in &mut self.lanes {
            lane.made.extend(lane.live.take_if(|it| it.1 == task));
        }
    }

    /// The record of a proof is lost.
    pub(crate) fn unprove(&mut self, task: TaskId) {
        self.proved.remove(&task);
        for lane in &mut self.lanes {
            if let Some(at) = lane.made.iter().position(|it| it.1 == task) {
                lane.live = Some(lane.made.remove(at));
            }
        }
    }

    pub(crate) fn new(number: u32, class: Class, lanes: u16) -> Self {
        let prover = ProverId(number);
        let lane = |it| Lane {
            id: LaneId::new(prover, it),
            class,
            live: None,
            made: Vec::new(),
            since: Millis(0),
            seq: 0,
        };
        Self {
            prover,
            lanes: (0..lanes).map(lane).collect(),
            machine: None,
            disk: Vec::new(),
            store: BTreeSet::new(),
            proved: BTreeSet::new(),
            durable: BTreeSet::new(),
            said: VecDeque::new(),
            beats: Vec::new(),
            heard: BTreeMap::new(),
            l1: None,
            wake_at: None,
            running: Vec::new(),
            planning: BTreeSet::new(),
            life: 0,
            changed: Millis(0),
            cut_until: Millis(0),
            stopped: false,
            behaviour: Behaviour::Honest,
            speed: 1000,
            slow: false,
            nat: false,
            starved_ms: 0,
            keyless: false,
        }
    }

    pub(crate) const fn is_up(&self) -> bool {
        self.machine.is_some()
    }
    pub(crate) fn class(&self) -> Class {
        self.lanes.first().map_or(Class::Rollup, |it| it.class)
    }
    pub(crate) fn lane(&mut self, lane: LaneId) -> Option<&mut Lane> {
        self.lanes.get_mut(usize::from(lane.number())).filter(|it| it.id == lane)
    }

    /// Everything in memory is gone.
    pub(crate) fn crash(&mut self, now: Millis) {
        self.changed = now;
        self.machine = None;
        self.said.clear();
        self.beats.clear();
        self.heard.clear();
        self.l1 = None;
        self.wake_at = None;
        self.running.clear();
        self.planning.clear();
        self.life += 1;
    }

    /// Remembers a message for peers that connect; of a lane's beats only the newest.
    pub(crate) fn remember(&mut self, said: Said) {
        if let Message::Beat { lane, slot, .. } = said.packet.message {
            let same = |it: &&mut Said| matches!(it.packet.message, Message::Beat { lane: l, slot: s, .. } if (l, s) == (lane, slot));
            match self.beats.iter_mut().find(same) {
                Some(older) => *older = said,
                None => self.beats.push(said),
            }
            return;
        }
        if self.said.len() == SAID_MAX {
            self.said.pop_front();
        }
        self.said.push_back(said);
    }

    /// What it repeats to one peer, of slots that are open: what it said to it, and that it lives.
    pub(crate) fn repeats(
        &mut self,
        to: ProverId,
        is_open: impl Fn(&Coordinator, Slot) -> bool,
    ) -> Vec<Arc<Packet>> {
        let Some(machine) = &self.machine else { return Vec::new() };
        let mut last = None;
        let mut open = |it: &Said| {
            let slot = it.packet.message.slot();
            let known = last.filter(|(known, _)| *known == slot).map(|it| it.1);
            let open = known.unwrap_or_else(|| is_open(machine, slot));
            last = Some((slot, open));
            open
        };
        self.said.retain(&mut open);
        self.beats.retain(&mut open);
        let meant = |it: &&Said| match &it.to {
            Audience::Everyone => true,
            Audience::Provers(list) => list.binary_search(&to).is_ok(),
        };
        // A connection begins with the newest beats, whoever watches: they refute old notices.
        let all = self.said.iter().filter(meant).chain(&self.beats);
        all.map(|it| Arc::clone(&it.packet)).collect()
    }
}
