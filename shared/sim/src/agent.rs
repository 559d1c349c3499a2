//! One pretended agent: a machine, its disk, its stores, and what its connections repeat.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{
    BlobId, BlockId, Coordinator, Hash, Message, Millis, Params, ProverId, Record, Slot, TaskId,
};

/// Messages one connection repeats when it begins (slice section 6).
const HELD_MAX: usize = 4_096;

/// A proof in the making.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) started: Millis,
    pub(crate) children: Vec<BlobId>,
    /// Which start this is: a result of an older one is nobody's.
    pub(crate) number: u64,
}

/// One agent of the world.
pub(crate) struct Agent {
    pub(crate) prover: ProverId,
    pub(crate) lanes: [u16; 2],
    /// `None` while it is down.
    pub(crate) machine: Option<Coordinator>,
    /// Records in the order in which they became durable.
    pub(crate) disk: Vec<Record>,
    /// Proof blobs on its disk.
    pub(crate) store: BTreeSet<BlobId>,
    /// Messages it saw since its start: each is taken and forwarded once.
    pub(crate) seen: BTreeSet<Message>,
    /// What it repeats to a peer that connects.
    held: Vec<(ProverId, Message)>,
    /// L1 blocks it was fed since its start.
    pub(crate) l1: Vec<Hash>,
    pub(crate) wake_at: Option<Millis>,
    pub(crate) running: BTreeMap<TaskId, Run>,
    pub(crate) planning: BTreeSet<BlockId>,
    /// Counts starts, so that nothing from before a crash arrives after it.
    pub(crate) life: u64,
    /// Since when it is up, or when it went down.
    pub(crate) changed: Millis,
    /// Down for good.
    pub(crate) stopped: bool,
    /// Announces proofs that do not verify.
    pub(crate) liar: bool,
}

impl Agent {
    pub(crate) fn new(number: u32, lanes: [u16; 2], params: &Params) -> Self {
        let prover = ProverId(number);
        Self {
            prover,
            lanes,
            machine: Some(Coordinator::new(Some(prover), params.clone())),
            disk: Vec::new(),
            store: BTreeSet::new(),
            seen: BTreeSet::new(),
            held: Vec::new(),
            l1: Vec::new(),
            wake_at: None,
            running: BTreeMap::new(),
            planning: BTreeSet::new(),
            life: 0,
            changed: Millis(0),
            stopped: false,
            liar: false,
        }
    }

    pub(crate) const fn is_up(&self) -> bool {
        self.machine.is_some()
    }

    /// Everything in memory is gone.
    pub(crate) fn crash(&mut self, now: Millis) {
        self.changed = now;
        self.machine = None;
        self.seen.clear();
        self.held.clear();
        self.l1.clear();
        self.wake_at = None;
        self.running.clear();
        self.planning.clear();
        self.life += 1;
    }

    /// Starts again from the disk.
    pub(crate) fn start(&mut self, now: Millis, params: &Params) {
        self.changed = now;
        assert!(self.machine.is_none() && !self.stopped, "only what is down can start");
        let machine = Coordinator::new(Some(self.prover), params.clone());
        self.machine = Some(machine.restore(&self.disk));
    }

    /// Keeps a message for peers that connect; of a lane's beats only the newest.
    pub(crate) fn keep(&mut self, from: ProverId, message: Message) {
        if let Message::Beat { lane, slot, .. } = message {
            let same = |it: &Message| matches!(*it, Message::Beat { lane: l, slot: s, .. } if (l, s) == (lane, slot));
            self.held.retain(|(_, it)| !same(it));
        }
        if self.held.len() == HELD_MAX {
            self.held.remove(0);
        }
        self.held.push((from, message));
    }

    /// What it repeats: messages of slots that are unsettled, as far as it knows.
    pub(crate) fn repeats(&mut self) -> Vec<(ProverId, Message)> {
        let Some(machine) = &self.machine else { return Vec::new() };
        let newest = machine.chain().slots().next_back().map_or(Slot(0), |(slot, _)| slot);
        let open = machine.unsettled_slots();
        self.held.retain(|(_, it)| open.contains(&it.slot()) || newest <= it.slot());
        self.held.clone()
    }
}
