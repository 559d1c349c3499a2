//! The sequencer's loop: the sequencer machine, its mempool, and their actions on L1 and the mesh.
//!
//! Like an agent's loop: select, step, apply. A sealed block is durable before its commitment is
//! spoken; transactions go through the sender, which sends each once.

use std::{sync::Arc, time::Duration};

use protocol::{BlockId, Millis, Params, ProverId, SequencerId, Slot, Word};
use rand::RngCore as _;
use tokio::sync::{mpsc, oneshot, watch};
use wire::control::{L1View, PeerView, Reply, Request, SCHEMA, Snapshot};

use super::{
    control::{Asked, disturb},
    is_caught_up,
    journal::Journal,
    roster::Roster,
    start::{Base, coded},
};
use crate::{
    config::Naming,
    l1::{
        calls::{Call, Opening},
        follow::{FollowEvent, L1Change},
        vrf::{VrfKey, score},
    },
    mesh::MeshEvent,
    rollup::{
        admission::Lanes,
        data::{BlockData, Tx},
        draft::{DraftRules, Seal, fill_block, seal},
        mempool::{Entry, Mempool},
        sequencer::{Sealed, Sequencer, SequencerAction},
        sets::Schedule,
        state::encode_witness,
        work::AcceptTx,
    },
    run::now,
    store,
};

/// How often the screens' data is refreshed.
const SHOW_EVERY: Duration = Duration::from_millis(500);
/// Purpose of a sealed block in the journal.
const PREPARED: &str = "block";

/// A running sequencer.
pub(crate) struct Sequencing {
    base: Base,
    machine: Sequencer,
    mempool: Mempool,
    roster: Roster,
    /// The circuit sets that L1 announced, and those that the next reveal may name.
    sets: Schedule,
    valid: Vec<Word>,
    params: Params,
    vrf: VrfKey,
    journal: Journal,
    l1: (u64, u64, Millis),
    snapshots: watch::Sender<Arc<Snapshot>>,
}

impl Sequencing {
    /// A sequencer that knows nothing of L1 yet; what it sealed before is taken up again.
    ///
    /// # Errors
    /// If a sealed block in the journal is unreadable, or there is no BLS key.
    pub(crate) fn new(
        base: Base,
        me: SequencerId,
        snapshots: watch::Sender<Arc<Snapshot>>,
    ) -> anyhow::Result<Self> {
        let params = base.config.params.params(base.config.l1.genesis_block);
        let sealed = base.restored.prepared.iter().filter(|it| it.purpose == PREPARED);
        let durable = sealed.map(|it| Sealed::decode(&it.data)).collect::<Result<Vec<_>, _>>()?;
        let machine = Sequencer::new(me, params.clone(), durable);
        let vrf = VrfKey::from_secret(base.secrets.bls()?).map_err(coded)?;
        let (mempool, roster) = (Mempool::default(), Roster::default());
        let (sets, valid) = (Schedule::new(params.clone()), Vec::new());
        let (journal, l1) = (Journal::default(), (0, 0, Millis(0)));
        Ok(Self {
            base,
            machine,
            mempool,
            roster,
            sets,
            valid,
            params,
            vrf,
            journal,
            l1,
            snapshots,
        })
    }

    /// Runs until told to stop.
    ///
    /// # Errors
    /// Of the store and the follower: nothing more may be sent then.
    pub(crate) async fn run(
        mut self,
        mut asked: mpsc::Receiver<Asked>,
        mut stop: mpsc::Receiver<anyhow::Result<()>>,
    ) -> anyhow::Result<()> {
        let mut show = tokio::time::interval(SHOW_EVERY);
        let result = loop {
            tokio::select! {
                biased;
                Some(result) = stop.recv() => break result,
                Some(event) = self.base.follower.events.recv() => {
                    if let Err(error) = self.on_follow(event).await {
                        break Err(error);
                    }
                }
                Some((request, reply)) = asked.recv() => self.answer(request, reply),
                _ = show.tick() => self.show(),
                Some(event) = self.base.mesh_events.recv() => self.on_mesh(event),
            }
        };
        self.base.mesh.shutdown().await;
        if let Err(error) = self.base.store.close() {
            tracing::error!(%error, "the journal was not closed in order; nothing is lost");
        }
        result
    }

    async fn on_follow(&mut self, event: FollowEvent) -> anyhow::Result<()> {
        for (block, why) in self.base.blocks.follow(&event) {
            self.journal.note(now(), "BLK-001", format!("block {block} does not run: {why}"));
        }
        for slot in &event.lapsed {
            if let Some(sealed) = self.machine.sealed(*slot) {
                self.mempool.give_back(sealed.block);
            }
        }
        let changed = match event.change() {
            Some(L1Change::Block { number, hash, time, events }) => {
                self.machine.l1_block((number, time), hash, events, &event.lapsed);
                self.l1 = (number, time, now());
                for wrong in self.sets.l1_block(number, hash, &event.sets) {
                    self.journal.note(now(), "L1-015", format!("{wrong}; correct [params]"));
                }
                self.roster.l1_block(number, hash, events)
            }
            Some(L1Change::Undo { hash }) => {
                if let Err(SequencerAction::Note { code, text }) = self.machine.l1_undo(hash) {
                    self.journal.note(now(), code, text);
                }
                self.sets.l1_undo(hash);
                let changed = self.roster.l1_undo(hash);
                self.members(changed);
                return Ok(());
            }
            None => false,
        };
        self.members(changed);
        let valid = self.sets.valid(self.machine.next_slot());
        if !event.reveals.is_empty() || valid != self.valid {
            self.valid = valid;
            self.prune();
        }
        if is_caught_up(self.l1.1, &self.params) {
            let actions = self.machine.act(self.mempool.len());
            self.apply(actions).await?;
        }
        Ok(())
    }

    /// A reveal used nonces, or a circuit set ended: txs that can never be in a block leave the
    /// pool.
    fn prune(&mut self) {
        let slot = self.machine.next_slot();
        if let Some(state) = self.base.blocks.state() {
            self.mempool.prune(state, slot, &self.valid);
        }
    }

    fn members(&self, changed: bool) {
        if changed {
            self.base.members.send_replace(Arc::new(self.roster.members(0)));
        }
    }

    async fn apply(&mut self, actions: Vec<SequencerAction>) -> anyhow::Result<()> {
        let mut queue: std::collections::VecDeque<_> = actions.into();
        while let Some(action) = queue.pop_front() {
            match action {
                SequencerAction::Build { slot, seed, parent } => {
                    let sealed = self.build(slot, seed, parent);
                    let more = self.machine.built(slot, sealed);
                    more.into_iter().rev().for_each(|it| queue.push_front(it));
                }
                SequencerAction::Persist(sealed) => self.persist(&sealed).await?,
                SequencerAction::Lapse { slot } => self.lapse(slot),
                SequencerAction::ShowSeed { slot, header } => self.show_seed(slot, header),
                SequencerAction::Take { slot, block } => self.take(slot, block),
                SequencerAction::GiveBack { block, .. } => self.mempool.give_back(block),
                SequencerAction::Propose { slot, commitment, vrf } => {
                    self.send(self.base.l1.contracts.propose(slot, commitment, vrf));
                }
                SequencerAction::Reveal(sealed) => {
                    self.name(sealed.slot);
                    let Sealed { slot, data, txs, parent, salt, set, .. } = *sealed;
                    let parent = protocol::Hash(parent.0);
                    let opening = Opening { data, txs, parent, salt, set };
                    self.send(self.base.l1.contracts.reveal(slot, opening));
                }
                SequencerAction::Serve { slot, block } => self.serve(slot, block),
                SequencerAction::Forget { .. } => {}
                SequencerAction::Note { code, text } => self.journal.note(now(), code, text),
            }
        }
        Ok(())
    }

    async fn persist(&mut self, sealed: &Sealed) -> anyhow::Result<()> {
        let prepared =
            store::Prepared { slot: sealed.slot, purpose: PREPARED.into(), data: sealed.encode() };
        let done = self.base.store.append_async(&[store::Entry::Prepared(prepared)]).await;
        done.map_err(crate::error::Coded::from)?;
        Ok(())
    }

    /// The txs of a block and their circuit set: the newest of which any tx fits (R13).
    fn fill(&mut self, slot: Slot) -> Option<(Word, Vec<Tx>)> {
        let lanes = self.roster.lanes();
        let state = self.base.blocks.state()?;
        self.sets.valid(slot).into_iter().find_map(|set| {
            let rules = DraftRules {
                slot,
                set,
                params: &self.params,
                lanes: Lanes { all: lanes.0, vm: lanes.1 },
                // `build_ahead_max` unsettled blocks stop the machine before it asks for a draft.
                backlog: &[],
                programs: &self.base.programs,
            };
            let txs = fill_block(&self.mempool, state, &rules);
            (!txs.is_empty()).then_some((set, txs))
        })
    }

    /// Fills and seals a block; `None` when no tx fits.
    fn build(&mut self, slot: Slot, seed: protocol::Hash, parent: BlockId) -> Option<Sealed> {
        let (set, txs) = self.fill(slot)?;
        let contracts = &self.base.l1.contracts;
        let ticket = self.vrf.ticket(contracts.chain_id, contracts.slots, slot, seed);
        let mut salt = [0; 32];
        rand::rngs::OsRng.fill_bytes(&mut salt);
        let seal_with = Seal { slot, parent, salt, score: score(&ticket)?, vrf: ticket, set };
        match seal(txs, seal_with, self.base.proof_bytes) {
            Ok(sealed) => Some(sealed),
            Err(error) => {
                self.journal.note(now(), error.code(), error.to_string());
                None
            }
        }
    }

    fn lapse(&mut self, slot: Slot) {
        self.journal.event(now(), "chain", format!("giving up slot {slot}: its window has passed"));
        self.send(self.base.l1.contracts.lapse(slot));
    }

    /// Names the coordinator of the block that is about to be revealed, if there is one (R2.6).
    fn name(&self, slot: Slot) {
        if let Some(Naming { prover, alone }) = self.base.config.naming {
            self.send(self.base.l1.contracts.name(slot, ProverId(prover), alone));
        }
    }

    fn show_seed(&self, slot: Slot, number: u64) {
        let (l1, sender) = (self.base.l1.clone(), self.base.sender.clone());
        tokio::spawn(async move {
            let sent = match l1.header(number).await {
                Ok(header) => sender.send(l1.contracts.show_seed(slot, header)).await.map(drop),
                Err(error) => Err(error),
            };
            if let Err(error) = sent {
                tracing::warn!(%error, %slot, "the seed was not shown by us");
            }
        });
    }

    /// Sends off the loop: the machine sees the effect on L1, and asks again if there is none.
    fn send(&self, call: Call) {
        let sender = self.base.sender.clone();
        tokio::spawn(async move {
            let (purpose, slot) = (call.purpose.clone(), call.slot);
            match sender.send(call).await {
                Ok(receipt) => tracing::info!(%slot, purpose, outcome = ?receipt.outcome, "on L1"),
                Err(error) => tracing::warn!(%error, %slot, purpose, "was not sent"),
            }
        });
    }

    fn take(&mut self, slot: Slot, block: BlockId) {
        let Some(sealed) = self.machine.sealed(slot) else { return };
        if let Ok(data) = BlockData::decode(&sealed.data, self.base.proof_bytes) {
            self.mempool.take(block, sealed.set, &data.txs);
        }
    }

    /// Makes the witnesses of a revealed block available to agents that keep no state.
    fn serve(&mut self, slot: Slot, block: BlockId) {
        let Some(witnesses) = self.base.blocks.witnesses(block) else { return };
        let mut names = Vec::with_capacity(witnesses.len());
        for witness in witnesses {
            let (name, bytes) = encode_witness(witness);
            if let Err(error) = self.base.store.blobs().put(&bytes) {
                let text = format!("witnesses of slot {slot} cannot be stored: {error}");
                return self.journal.note(now(), error.code(), text);
            }
            names.push(name);
        }
        self.base.serving.set(block, names);
        self.journal.event(now(), "chain", format!("slot {slot} is revealed as {block}"));
    }

    fn answer(&mut self, request: Request, reply: oneshot::Sender<Reply>) {
        let answer = match request {
            Request::SubmitTx { tx } => self.submit(&tx),
            Request::Claim { .. } => Reply::Refused {
                code: "CTL-008".into(),
                text: "a sequencer holds no credit records; claim through an agent".into(),
            },
            Request::Disturb { delay_ms, cut } => disturb(&self.base.mesh, delay_ms, &cut),
            Request::Status | Request::Subscribe { .. } => return,
        };
        // A client that hung up needs no answer.
        let _ = reply.send(answer);
    }

    fn submit(&mut self, tx: &str) -> Reply {
        let slot = self.machine.next_slot();
        let valid = self.sets.valid(slot);
        let keys: Vec<_> = valid.iter().filter_map(|set| self.base.keys.get(set)).collect();
        let Some(state) = self.base.blocks.state() else {
            let text = "this sequencer keeps no state tree".into();
            return Reply::Refused { code: "CTL-009".into(), text };
        };
        let entry = Entry {
            accounts: state,
            check: &AcceptTx(&keys),
            slot,
            proof_bytes: self.base.proof_bytes,
            newest: valid.first().copied().unwrap_or_default(),
        };
        match self.mempool.submit(tx, &entry) {
            Ok(()) => Reply::Accepted { text: format!("{} txs are waiting", self.mempool.len()) },
            Err(error) => Reply::Refused { code: error.code().to_owned(), text: error.to_string() },
        }
    }

    fn on_mesh(&mut self, event: MeshEvent) {
        match event {
            // Messages are checked and forwarded by the mesh; a sequencer has no use for them.
            MeshEvent::Message(_) => {}
            MeshEvent::PeerUp(peer) => self.journal.event(now(), "mesh", format!("{peer} is up")),
            MeshEvent::PeerDown(peer) => {
                self.journal.event(now(), "mesh", format!("{peer} is gone"));
            }
        }
    }

    fn show(&self) {
        let config = &self.base.config;
        let at = now();
        let silent_ms = 15 * self.params.l1_block_s * 1000;
        let alive = at.since(self.l1.2) <= silent_ms;
        let peer = |it: crate::mesh::PeerInfo| PeerView {
            key: it.peer.to_string(),
            who: it.role.map_or_else(|| "unknown".into(), |role| role.to_string()),
            address: it.address.map(|it| it.to_string()).unwrap_or_default(),
            connected: it.is_connected(),
            ..PeerView::default()
        };
        let snapshot = Snapshot {
            schema: SCHEMA,
            at_ms: at.0,
            version: env!("CARGO_PKG_VERSION").into(),
            name: config.name.clone(),
            network: format!("{} ({})", config.network, config.l1.chain_id),
            insecure_setup: self.base.keys.first().setup().is_insecure(),
            phase: "idle".into(),
            idle_code: Some("IDLE-NO-LANES".into()),
            idle_text: Some(format!("a sequencer; {} txs are waiting", self.mempool.len())),
            health: if alive { "ok".into() } else { "not_working".into() },
            peers: self.base.mesh.peers().into_iter().map(peer).collect(),
            l1: L1View {
                number: self.l1.0,
                time_s: self.l1.1,
                seen_ms: self.l1.2.0,
                ..L1View::default()
            },
            alerts: self.journal.alerts(at),
            events: self.journal.events(),
            ..Snapshot::default()
        };
        self.snapshots.send_replace(Arc::new(snapshot));
    }
}
