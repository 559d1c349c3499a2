//! The shell: performs the machine's actions on real sockets, disks and chains.
//!
//! Actions are performed in the order of the list. What is slow runs in tasks of its own and comes
//! back to the loop as an input; what must be durable is awaited here, before anything after it.

pub(crate) mod accepting;
pub(crate) mod blocks;
pub(crate) mod control;
pub(crate) mod intents;
pub(crate) mod journal;
pub(crate) mod payout;
pub(crate) mod planning;
pub(crate) mod roster;
pub(crate) mod sequencing;
pub(crate) mod serving;
pub(crate) mod snapshot;
pub(crate) mod start;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use circuits::setup::evm::{settle_proof, settle_words};
use protocol::{
    Action, Address, BlobId, BlockId, Coordinator, Hash, Input, Message, Node, Params, ProverEvent,
    ProverId, Record, Slot, StatementId, TaskId, Word,
};
use tokio::sync::{mpsc, oneshot, watch};
use wire::{
    Domain, ProofBlob, Signer,
    control::{Reply, Request},
};

use crate::{
    config::Config,
    error::{Coded, Exit},
    l1::{
        L1,
        calls::RootProof,
        decode::SetNews,
        follow::{FollowEvent, L1Change},
        send,
    },
    mesh::{Members, Mesh, PeerId, Source},
    prover::{
        ability::{Ability, Meter, News},
        pool::{self, Order, Pool},
        sets::KeySets,
    },
    rollup::{plan::Plan, sets::Schedule, work::work_for},
    run::{Done, now},
    store::{Entry, Store},
};

use self::{
    accepting::{check, proof_of, take},
    blocks::Blocks,
    journal::Journal,
    payout::Money,
    planning::{Planned, Planner},
    roster::Roster,
    serving::{Remains, Serving},
};

/// Plans kept in memory; the core keeps as many.
const PLANS_MAX: usize = 128;
/// L1 counts as caught up when its newest block is not older than this many of its blocks.
const CAUGHT_UP_BLOCKS: u64 = 30;

/// What the shell is made of.
pub(crate) struct Parts {
    /// The configuration.
    pub(crate) config: Config,
    /// This agent's place in the registry, if it has one.
    pub(crate) own: Option<ProverId>,
    /// Signs messages.
    pub(crate) signer: Signer,
    /// Verifying keys of the circuit sets.
    pub(crate) keys: Arc<KeySets>,
    /// Journal, index, blobs.
    pub(crate) store: Store,
    /// Revealed blocks.
    pub(crate) blocks: Blocks,
    /// What peers may have of us.
    pub(crate) serving: Arc<Serving>,
    /// The mesh.
    pub(crate) mesh: Mesh,
    /// The registry as the mesh sees it.
    pub(crate) members: watch::Sender<Arc<Members>>,
    /// Prover processes.
    pub(crate) pool: Pool,
    /// Reads what this machine is able to.
    pub(crate) meter: Meter,
    /// Ethereum.
    pub(crate) l1: L1,
    /// Transactions of the operator's account.
    pub(crate) sender: send::Sender,
    /// Plans blocks.
    pub(crate) planner: Planner,
    /// Answers of the shell's own tasks.
    pub(crate) done: mpsc::Sender<Done>,
}

/// Performs actions and remembers what only the outside needs.
pub(crate) struct Shell {
    pub(crate) parts: Parts,
    domain: Domain,
    roster: Roster,
    plans: BTreeMap<BlockId, Arc<Plan>>,
    plan_order: VecDeque<BlockId>,
    planning: BTreeSet<BlockId>,
    /// Settled slots, payouts, credit records.
    pub(crate) money: Money,
    /// Node and circuit set of each task that was given to the prover.
    proving: BTreeMap<TaskId, (Node, Word)>,
    /// The circuit sets that L1 announced.
    sets: Schedule,
    ability: Ability,
    /// Blobs of settled slots.
    remains: Remains,
    pub(crate) journal: Journal,
    pub(crate) look: snapshot::Look,
}

impl Shell {
    /// A shell that has done nothing yet. `restored` are the records of the journal.
    pub(crate) fn new(parts: Parts, domain: Domain, restored: &[Record]) -> Self {
        let sets = Schedule::new(parts.config.params.params(parts.config.l1.genesis_block));
        let mut money = Money::default();
        for record in restored {
            if let Record::Made { credit, .. } | Record::Held { credit, .. } = record {
                money.records.insert(*credit);
            }
        }
        Self {
            parts,
            domain,
            roster: Roster::default(),
            plans: BTreeMap::new(),
            plan_order: VecDeque::new(),
            planning: BTreeSet::new(),
            money,
            proving: BTreeMap::new(),
            sets,
            ability: Ability::default(),
            remains: Remains::default(),
            journal: Journal::default(),
            look: snapshot::Look::default(),
        }
    }

    /// Performs the actions of one step, in order.
    ///
    /// # Errors
    /// Of the store: then nothing more may be signed, and the process ends (exit 75).
    pub(crate) async fn perform(&mut self, actions: Vec<Action>) -> anyhow::Result<()> {
        let mut records = Vec::new();
        for action in actions {
            if let Action::Persist(record) = action {
                records.push(Entry::Record(record));
                continue;
            }
            self.persist(&mut records).await?;
            self.act(action);
        }
        self.persist(&mut records).await
    }

    async fn persist(&mut self, records: &mut Vec<Entry>) -> anyhow::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let done = self.parts.store.append_async(records).await;
        done.map_err(|error| store_failed(&error))?;
        for entry in records.drain(..) {
            if let Entry::Record(Record::Made { credit, .. } | Record::Held { credit, .. }) = entry
            {
                self.money.records.insert(credit);
            }
        }
        Ok(())
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Persist(_) => {}
            Action::Send { message, .. } => self.send(message),
            // The mesh of this version floods: everybody was sent this when it was first heard.
            Action::Relay { .. } => {}
            Action::Fetch { blob, task, from } => self.fetch(blob, task, from),
            Action::Prove { block, node, task, payee, children, .. } => {
                let order = self.order(block, node, payee, &children);
                self.prove((block, node), task, order);
            }
            Action::Abandon { task } => {
                self.parts.pool.cancel(task);
                self.proving.remove(&task);
            }
            Action::SubmitRoot { slot, statement, blob } => self.submit(slot, statement, blob),
            Action::Note { code, text } => self.note(code, text),
        }
    }

    fn send(&mut self, message: Message) {
        self.journal.said(now(), &message);
        let signed = self.parts.signer.sign(&self.domain, message);
        if let Err(error) = self.parts.mesh.broadcast(&signed) {
            self.note("MSH-010", format!("peers would refuse our own message: {error}"));
        }
    }

    /// Fetches a proof, checks it, stores it, and tells the machine; all off the loop.
    fn fetch(&self, blob: BlobId, task: TaskId, from: Vec<ProverId>) {
        let (mesh, store) = (self.parts.mesh.clone(), self.parts.store.clone());
        let (keys, done) = (Arc::clone(&self.parts.keys), self.parts.done.clone());
        tokio::spawn(async move {
            let source = Source::Provers(&from);
            let bytes = mesh.fetch_blob(blob, wire::blob::PROOF_BYTES_MAX, source).await;
            let outcome = match bytes {
                Ok(bytes) => take(keys, store, bytes, task).await,
                Err(error) => Err(Coded::new(error.code(), error.to_string())),
            };
            let input = outcome.unwrap_or_else(|error| {
                tracing::warn!(%error, %blob, "a proof was not taken");
                Input::FetchFailed { blob, refused: accepting::is_refusal(&error) }
            });
            // The loop is gone only when the process ends.
            let _ = done.send(Done::Input(input)).await;
        });
    }

    fn prove(
        &mut self,
        (block, node): (BlockId, Node),
        task: TaskId,
        order: anyhow::Result<Order>,
    ) {
        match order {
            Ok(order) => {
                let set = self.plans.get(&block).map(|plan| plan.set()).unwrap_or_default();
                self.proving.insert(task, (node, set));
                self.parts.pool.start(task, order);
            }
            Err(error) => {
                self.note("PRV-066", format!("{node} cannot be proved here: {error}"));
                self.answer_later(Input::Prover(ProverEvent::Failed { task, why: "PRV-066" }));
            }
        }
    }

    fn order(
        &self,
        block: BlockId,
        node: Node,
        payee: Address,
        children: &[BlobId],
    ) -> anyhow::Result<Order> {
        use anyhow::Context as _;
        let plan = self.plans.get(&block).context("its block is not planned here")?;
        let mut proofs = Vec::with_capacity(children.len());
        for child in children {
            let bytes = self.parts.store.blobs().get(*child)?.context("a child's blob is gone")?;
            proofs.push(proof_of(&ProofBlob::decode(&bytes)?)?);
        }
        let keys = self.parts.keys.get(&plan.set()).context("its circuit set's keys are gone")?;
        let work = work_for(plan, node, proofs, &keys)?.encode()?;
        Ok(Order { kind: node.kind, payee, work, revision: keys.revision() })
    }

    /// What a prover process said, as an input for the machine.
    ///
    /// # Errors
    /// Of the store.
    pub(crate) fn pool_event(&mut self, event: pool::Event) -> anyhow::Result<Option<Input>> {
        match event {
            pool::Event::Step { task, step, since } => {
                let started = self.look.step(task, step, since);
                if started {
                    self.ability.started(task, since);
                }
                Ok(started.then_some(Input::Prover(ProverEvent::Started { task })))
            }
            pool::Event::Made { task, output, cpu_ms, peak_mb } => {
                self.look.finished(task);
                let Some((node, set)) = self.ended(task, true) else { return Ok(None) };
                self.look.proofs += 1;
                match self.store_made((node, set), &output) {
                    Ok((statement, blob, credit)) => {
                        let made =
                            ProverEvent::Made { task, statement, blob, credit, cpu_ms, peak_mb };
                        Ok(Some(Input::Prover(made)))
                    }
                    Err(error) => {
                        self.note(
                            "PRV-074",
                            format!("the proof of {node} cannot be kept: {error}"),
                        );
                        Ok(Some(Input::Prover(ProverEvent::Failed { task, why: "PRV-074" })))
                    }
                }
            }
            pool::Event::Failed { task, why } => {
                self.look.finished(task);
                self.look.failed += 1;
                self.ended(task, false);
                self.note(why.code(), why.to_string());
                Ok(Some(Input::Prover(ProverEvent::Failed { task, why: why.code() })))
            }
            pool::Event::Cancelled { task } => {
                self.look.finished(task);
                self.ended(task, false);
                Ok(None)
            }
        }
    }

    /// A proof's process ended; gives its node and circuit set.
    fn ended(&mut self, task: TaskId, made: bool) -> Option<(Node, Word)> {
        let (node, set) = self.proving.remove(&task)?;
        let usual_ms = self.parts.config.params.params(0).p50(node.kind);
        self.ability.ended(task, usual_ms, made, now());
        Some((node, set))
    }

    /// What changed in what our lanes are able to (R5.6), for the machine.
    pub(crate) fn abilities(&mut self, machine: &Coordinator) -> Vec<Input> {
        let now = now();
        let own = self.parts.own.filter(|_| self.ability.is_due(now));
        let registered = own.and_then(|own| Some((own, *machine.chain().prover(own)?)));
        let Some((own, registered)) = registered else { return Vec::new() };
        let reading = self.parts.meter.read(&self.sets_in_use(machine));
        let lanes = registered.lanes(own);
        let News { inputs, notes, back } =
            self.ability.look(now, lanes, &reading, machine.params());
        notes.into_iter().for_each(|(code, text)| self.note(code, text));
        for lane in back {
            self.journal.event(now, "proof", format!("lane {lane} can prove again"));
        }
        inputs
    }

    fn store_made(
        &self,
        (node, set): (Node, Word),
        output: &[u8],
    ) -> anyhow::Result<(StatementId, BlobId, protocol::Credit)> {
        use anyhow::Context as _;
        let proof = circuits::setup::prove::Proof::decode(output)?;
        let credit = proof.credit.context("a prover's proof has a credit record")?.credit();
        let (instances, proof) = (proof.instances, proof.proof);
        let bytes = ProofBlob { set, node, instances, proof, credit }.encode()?;
        let checked = check(&self.parts.keys, &bytes)?;
        let blob = self.parts.store.blobs().put(&bytes)?;
        Ok((checked.statement, blob, credit))
    }

    /// Sends a root proof to L1, off the loop: the sender waits for its receipt.
    fn submit(&mut self, slot: Slot, statement: StatementId, blob: BlobId) {
        let root = match self.root_proof(blob) {
            Ok(root) => root,
            Err(error) => {
                return self.note("SUB-001", format!("root of slot {slot} is unreadable: {error}"));
            }
        };
        let call = self.parts.l1.contracts.settle(slot, &root);
        let (sender, done) = (self.parts.sender.clone(), self.parts.done.clone());
        self.note("SUB-000", format!("settling slot {slot} with statement {statement}"));
        tokio::spawn(async move {
            let note = match sender.send(call).await {
                Ok(receipt) => ("SUB-000", format!("slot {slot}: {:?} on L1", receipt.outcome)),
                Err(error) => ("SUB-002", format!("slot {slot} was not settled by us: {error}")),
            };
            let _ = done.send(Done::Note(note.0, note.1)).await;
        });
    }

    fn root_proof(&self, blob: BlobId) -> anyhow::Result<RootProof> {
        use anyhow::Context as _;
        let bytes = self.parts.store.blobs().get(blob)?.context("its blob is gone")?;
        let blob = ProofBlob::decode(&bytes)?;
        let words = settle_words(&blob.instances).context("these are not a root's words")?;
        Ok(RootProof { words, proof: settle_proof(&blob.instances, &blob.proof) })
    }

    /// Follows L1 beside the machine. Gives the blocks that nobody can work on.
    pub(crate) fn followed(&mut self, event: &FollowEvent) -> Vec<BlockId> {
        let changed = match event.change() {
            Some(L1Change::Block { number, hash, events, .. }) => {
                self.money.l1_block(hash, events);
                self.announced(number, hash, &event.sets);
                self.roster.l1_block(number, hash, events)
            }
            Some(L1Change::Undo { hash }) => {
                self.money.l1_undo(hash);
                self.sets.l1_undo(hash);
                self.roster.l1_undo(hash)
            }
            None => false,
        };
        if changed {
            self.parts.members.send_replace(Arc::new(self.roster.members(0)));
        }
        self.look.l1_seen = now();
        let refused = self.parts.blocks.follow(event);
        for (block, why) in &refused {
            self.note("BLK-001", format!("block {block} does not run: {why}"));
        }
        refused.into_iter().map(|(block, _)| block).collect()
    }

    /// Starts planning what the machine waits for, once L1 is caught up: while the past is read,
    /// most blocks are settled already.
    pub(crate) fn plan(&mut self, machine: &Coordinator) {
        let newest_s = machine.chain().head().map_or(0, |it| it.time_s);
        if !is_caught_up(newest_s, machine.params()) {
            return;
        }
        let slots = machine.unsettled_slots();
        if let (Some(first), Some(last)) = (slots.first(), slots.last()) {
            self.parts.mesh.set_slots(*first..=Slot(last.0 + 2));
        }
        for block in machine.unplanned() {
            if self.planning.contains(&block) {
                continue;
            }
            let Some((reveal, start)) = self.parts.blocks.on_chain(block) else { continue };
            let reveal = reveal.clone();
            let derived = self.parts.blocks.witnesses(block).map(<[_]>::to_vec);
            self.planning.insert(block);
            let (planner, done) = (self.parts.planner.clone(), self.parts.done.clone());
            tokio::spawn(async move {
                let planned = planner.plan(reveal, start, derived).await;
                let _ = done.send(Done::Plan(Box::new(planned))).await;
            });
        }
    }

    /// What planning came to, as an input for the machine.
    pub(crate) fn planned(&mut self, planned: Planned) -> Option<Input> {
        match planned {
            Planned::Ready(plan, names) => {
                let block = plan.block();
                self.planning.remove(&block);
                self.parts.serving.set(block, names);
                self.parts.blocks.planned(block, plan.end());
                self.keep_plan(Arc::clone(&plan));
                Some(plan.planned())
            }
            Planned::Refused(block, why) => {
                self.planning.remove(&block);
                self.note("BLK-001", format!("block {block} is refused: {why}"));
                Some(Input::Refused { block })
            }
            Planned::Later(block, code, why) => {
                self.planning.remove(&block);
                self.note(code, format!("block {block} waits: {why}"));
                None
            }
        }
    }

    fn keep_plan(&mut self, plan: Arc<Plan>) {
        let block = plan.block();
        if self.plans.insert(block, plan).is_none() {
            self.plan_order.push_back(block);
        }
        if self.plan_order.len() > PLANS_MAX
            && let Some(oldest) = self.plan_order.pop_front()
        {
            self.plans.remove(&oldest);
        }
    }

    /// Remembers what an input means for payouts.
    pub(crate) fn remember(&mut self, input: &Input) {
        if let Input::Accepted { credit, .. } = input {
            self.money.records.insert(*credit);
        }
    }

    fn answer_later(&self, input: Input) {
        let done = self.parts.done.clone();
        tokio::spawn(async move {
            let _ = done.send(Done::Input(input)).await;
        });
    }

    /// Tells the operator: log, journal of events, alerts.
    pub(crate) fn note(&mut self, code: &'static str, text: String) {
        self.journal.note(now(), code, text);
    }

    /// A peer came or went.
    pub(crate) fn note_peer(&mut self, peer: PeerId, up: bool) {
        let who = self.roster.members(0).role(peer);
        let who = who.map_or_else(|| peer.to_string(), |role| role.to_string());
        let what = if up { "connected" } else { "disconnected" };
        self.journal.event(now(), "mesh", format!("{who} {what}"));
    }

    /// Ends in order: provers are stopped, peers told, the journal marked clean.
    pub(crate) async fn stop(&mut self) {
        for task in std::mem::take(&mut self.proving).into_keys() {
            self.parts.pool.cancel(task);
        }
        self.parts.mesh.shutdown().await;
        if let Err(error) = self.parts.store.close() {
            tracing::error!(%error, "the journal was not closed in order; nothing is lost");
        }
    }
}

/// Circuit sets (R13).
impl Shell {
    /// Follows what L1 announces, and tells the operator in time.
    fn announced(&mut self, number: u64, hash: Hash, news: &[SetNews]) {
        for wrong in self.sets.l1_block(number, hash, news) {
            self.note("L1-015", format!("{wrong}; correct [params]"));
        }
        for SetNews { set, from } in news {
            let text = format!("circuit set {} from epoch {from} on", hex::encode(set.id));
            if self.parts.keys.missing(&set.id).is_empty() {
                self.journal.event(now(), "chain", format!("{text}: its keys are here"));
                continue;
            }
            let revision = self.parts.keys.revision(&set.id);
            self.note(
                "KEY-013",
                format!("{text}: run `coppice-agent setup keys --revision {revision}` before it"),
            );
        }
    }

    /// The sets of blocks that may come, and of unsettled ones. Without keys of the latter, or of the
    /// next block's if there are none, a lane stands by now: these come with `true`.
    fn sets_in_use(&self, machine: &Coordinator) -> Vec<(Word, bool)> {
        let head = machine.chain().head().map_or(0, |it| it.number);
        let next = machine.params().slot_at(head + 1);
        let mut wanted = self.parts.blocks.sets_of(&machine.unsettled_slots());
        if wanted.is_empty() {
            wanted.extend(self.sets.current(next).map(|it| it.id));
        }
        let mut all = self.sets.known(next);
        all.retain(|it| !wanted.contains(it));
        let wanted = wanted.into_iter().map(|it| (it, true));
        wanted.chain(all.into_iter().map(|it| (it, false))).collect()
    }
}

/// The control socket.
impl Shell {
    /// Answers what comes through the control socket.
    pub(crate) fn answer(
        &mut self,
        machine: &Coordinator,
        request: Request,
        reply: oneshot::Sender<Reply>,
    ) {
        let _ = machine;
        match request {
            Request::Claim { slot, payee } => self.claim(slot.map(Slot), payee, reply),
            Request::SubmitTx { .. } => {
                let text = "an agent has no mempool; send the tx to a sequencer's socket".into();
                // A client that hung up needs no answer.
                let _ = reply.send(Reply::Refused { code: "CTL-007".into(), text });
            }
            Request::Disturb { delay_ms, cut } => {
                let _ = reply.send(control::disturb(&self.parts.mesh, delay_ms, &cut));
            }
            Request::Status | Request::Subscribe { .. } => {}
        }
    }
}

/// Whether L1 is read up to now: until then nothing is begun, most of it is over already.
fn is_caught_up(newest_s: u64, params: &Params) -> bool {
    (now().0 / 1000).saturating_sub(newest_s) <= CAUGHT_UP_BLOCKS * params.l1_block_s
}

fn store_failed(error: &crate::store::StoreError) -> anyhow::Error {
    Coded::new(error.code(), error.to_string()).exit(Exit::Storage).into()
}

/// An address as people write it: 0x and 40 hex digits.
pub(crate) fn parse_address(text: &str) -> Result<Address, Coded> {
    let mut bytes = [0; 20];
    let digits = text.strip_prefix("0x").unwrap_or(text);
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| {
        Coded::new("CFG-004", format!("`{text}` is not an address of 40 hex digits"))
    })?;
    Ok(Address(bytes))
}
