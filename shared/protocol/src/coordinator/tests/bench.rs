//! A machine with a pretended L1, clock and peers, and the words its actions are written in.

use std::collections::BTreeMap;

use crate::{
    Coordinator,
    assign::keccak::keccak256,
    domain::{
        Address, BlobId, BlockId, Credit, Hash, LaneId, Millis, Node, ProverId, SequencerId, Slot,
        StatementId, TaskId, Word,
    },
    io::{Action, BlockPlan, Input, L1Event, Message, PlannedTask, Previous, ProverEvent, Record},
    params::Params,
    round::{Round, Task},
    tree::Tree,
};

/// Something that happens to the machine.
#[derive(Clone, Debug)]
pub(super) enum Do {
    /// Time passes, in seconds; the machine is woken at each of its deadlines.
    Wait(u64),
    /// Time passes, in milliseconds.
    WaitMs(u64),
    /// An L1 block with nothing in it.
    Block,
    /// Seed, proposal and reveal of the current slot, and the block that makes its deal.
    Reveal,
    /// The block was checked and planned.
    Plan,
    /// The block failed its check.
    Refuse,
    /// A prover claims a node, with this number.
    Claim(u32, &'static str, u64),
    /// A prover gives its claim back.
    Release(u32, &'static str, u64),
    /// A prover announces its proof of a node under this number.
    Made(u32, &'static str, u64),
    /// A prover says that it holds another prover's proof of a node.
    Held(u32, u32, &'static str),
    /// All provers but us and these beat every five seconds for so many seconds.
    Beats(u64, &'static [u32]),
    /// A prover says that another one is silent.
    Loss(u32, u32),
    /// The proof of a node by this prover was fetched and accepted.
    Accepted(u32, &'static str),
    /// The proof of a node by this prover could not be fetched.
    NotFetched(u32, &'static str),
    /// A prover's proof of a task came and does not pass.
    NotPassed(u32, &'static str),
    /// Our child process for a node runs.
    Started(&'static str),
    /// We proved a node.
    Proved(&'static str),
    /// We could not prove a node.
    Failed(&'static str),
    /// The leader names a prover, or says that it proves alone as that one.
    Named(u32, bool),
    /// L1 settled the slot.
    Settled,
    /// Nothing but a tick.
    Tick,
}

/// A machine under test.
pub(super) struct Bench {
    pub(super) machine: Coordinator,
    pub(super) now: Millis,
    pub(super) slot: Slot,
    own: Option<ProverId>,
    hashes: Vec<Hash>,
    /// The canonical chain as it was fed.
    chain: Vec<Input>,
    calls: Vec<u8>,
    tree: Tree,
    log: String,
    pub(super) records: Vec<Record>,
    pub(super) actions: Vec<Action>,
    show_beats: bool,
    provers: u32,
    /// Distinguishes blocks of one history from another.
    pub(super) salt: u8,
    randao_salt: u8,
}

/// First instant: the clock of L1's block 0.
const START: u64 = 1_000_000_000;
/// The circuit set of every block.
pub(super) const SET: Word = [9; 32];

pub(super) fn params() -> Params {
    Params { genesis_block: 80, ..Params::devnet() }
}

pub(super) fn lane(prover: u32) -> LaneId {
    LaneId::new(ProverId(prover), 0)
}

pub(super) fn payee(prover: u32) -> Address {
    Address([u8::try_from(prover).unwrap() + 1; 20])
}

fn hash(parts: &[&[u8]]) -> Hash {
    keccak256(parts)
}

fn registration(prover: u32) -> L1Event {
    L1Event::ProverRegistered {
        prover: ProverId(prover),
        operator: payee(prover),
        mesh_key: [u8::try_from(prover).unwrap(); 32],
        payout: payee(prover),
        rollup: 0,
        vm: 1,
    }
}

impl Bench {
    pub(super) fn new(own: Option<u32>, provers: u32, calls: &[u8]) -> Self {
        Self::with(own, provers, calls, params())
    }

    pub(super) fn with(own: Option<u32>, provers: u32, calls: &[u8], params: Params) -> Self {
        let own = own.map(ProverId);
        let mut bench = Self {
            machine: Coordinator::new(own, params),
            now: Millis(START),
            slot: Slot(0),
            own,
            hashes: Vec::new(),
            chain: Vec::new(),
            calls: calls.to_vec(),
            tree: Tree::new(calls).unwrap(),
            log: String::new(),
            records: Vec::new(),
            actions: Vec::new(),
            show_beats: false,
            provers,
            salt: 0,
            randao_salt: 0,
        };
        bench.sync();
        bench
    }

    /// Feeds L1 from its first block up to the one before slot 0.
    fn sync(&mut self) {
        self.block((0..self.provers).map(registration).collect());
        while self.hashes.len() < 80 {
            self.block(Vec::new());
        }
    }

    pub(super) fn beats(mut self) -> Self {
        self.show_beats = true;
        self
    }

    pub(super) fn params(&self) -> &Params {
        self.machine.params()
    }
    pub(super) fn block_id(&self) -> BlockId {
        BlockId(hash(&[b"block", &[self.salt], &self.slot.0.to_be_bytes(), &self.calls]).0)
    }

    fn block(&mut self, events: Vec<L1Event>) {
        let number = self.hashes.len() as u64;
        let parent = self.hashes.last().copied().unwrap_or_default();
        let hash = hash(&[b"l1", &number.to_be_bytes(), &parent.0, &[self.salt, self.randao_salt]]);
        let randao = keccak256(&[b"randao", &number.to_be_bytes(), &[self.randao_salt]]);
        self.hashes.push(hash);
        let time = self.now.0 / 1000;
        let block = Input::L1Block { number, hash, parent, time, randao, events };
        self.chain.push(block.clone());
        self.step(block);
    }

    fn fill(&mut self, until: u64) {
        while (self.hashes.len() as u64) < until {
            self.block(Vec::new());
        }
    }

    fn reveal(&mut self) {
        let slot = self.slot;
        let start = self.params().slot_start(slot);
        let commitment = hash(&[b"commitment", &self.block_id().0]);
        self.fill(start);
        let sequencer = SequencerId(0);
        self.block(vec![
            L1Event::Seed { slot, seed: hash(&[b"seed", &slot.0.to_be_bytes()]) },
            L1Event::Proposed { slot, sequencer, commitment, score: Hash::default() },
        ]);
        self.fill(start + self.params().proposal_blocks);
        self.block(vec![self.revealed()]);
        self.block(Vec::new());
    }

    fn revealed(&self) -> L1Event {
        let (slot, block, set) = (self.slot, self.block_id(), SET);
        let commitment = hash(&[b"commitment", &block.0]);
        let count = u16::try_from(self.calls.len()).unwrap();
        L1Event::Revealed { slot, block, commitment, txs: [3; 32], count, set }
    }

    /// The reveal alone, once more, in the next block.
    pub(super) fn reveal_again(&mut self) {
        self.block(vec![self.revealed()]);
    }

    pub(super) fn undo(&mut self) {
        let hash = self.hashes.pop().unwrap();
        self.chain.pop();
        self.step(Input::L1Undo { hash });
    }

    /// A prover registers in the next block.
    pub(super) fn join(&mut self, prover: u32) {
        self.block(vec![registration(prover)]);
    }

    /// From now on L1's randomness is another.
    pub(super) const fn salt_randao(&mut self, salt: u8) {
        self.randao_salt = salt;
    }

    /// A plan with the right tasks and these numbers of calls.
    pub(super) fn plan_as(&mut self, calls: &[u8]) {
        let block = self.block_id();
        let nodes = self.tree.nodes().to_vec();
        let tasks = nodes.iter().map(|&node| PlannedTask { node, task: self.task(node) }).collect();
        self.step(Input::Planned { block, plan: BlockPlan { calls: calls.into(), tasks } });
    }

    pub(super) fn feed_chain(&mut self) {
        for block in self.chain.clone() {
            self.step(block);
        }
    }

    pub(super) fn plan(&mut self) {
        let block = self.block_id();
        let nodes = self.tree.nodes().to_vec();
        let tasks = nodes.iter().map(|&node| PlannedTask { node, task: self.task(node) }).collect();
        let calls = self.calls.as_slice().into();
        self.step(Input::Planned { block, plan: BlockPlan { calls, tasks } });
    }

    pub(super) fn task(&self, node: Node) -> TaskId {
        TaskId(hash(&[b"task", &self.block_id().0, &node.to_bytes()]).0)
    }
    pub(super) fn node(&self, name: &str) -> Node {
        let found = self.tree.nodes().iter().find(|it| it.to_string() == name);
        *found.unwrap_or_else(|| panic!("no node {name}"))
    }
    pub(super) fn named(&self, name: &str) -> TaskId {
        self.task(self.node(name))
    }
    pub(super) fn statement(&self, prover: u32, name: &str) -> StatementId {
        StatementId(hash(&[b"statement", &self.named(name).0, &prover.to_be_bytes()]).0)
    }
    pub(super) fn blob(&self, prover: u32, name: &str) -> BlobId {
        BlobId(hash(&[b"blob", &self.named(name).0, &prover.to_be_bytes()]).0)
    }
    pub(super) fn credit(prover: u32) -> Credit {
        let payee = payee(prover);
        Credit { kind: 3, own: 1, total: 1, payee, left: [0; 32], right: [0; 32] }
    }

    pub(super) fn claim(&self, prover: u32, name: &str, seq: u64) -> Message {
        let (task, lane, slot) = (self.named(name), lane(prover), self.slot);
        Message::Claim { task, lane, slot, seq, attempt: 0, previous: Previous::None }
    }
    pub(super) fn made(&self, prover: u32, name: &str, seq: u64) -> Message {
        Message::Made {
            task: self.named(name),
            statement: self.statement(prover, name),
            blob: self.blob(prover, name),
            lane: lane(prover),
            slot: self.slot,
            seq,
            cpu_ms: 1_000,
            peak_mb: 100,
        }
    }
    pub(super) fn beat(&self, prover: u32) -> Message {
        let n = self.now.0 / self.params().beat_ms + 1;
        Message::Beat { lane: lane(prover), slot: self.slot, n, task: TaskId::default() }
    }

    pub(super) const fn number_of(&self, message: Message) -> Option<u64> {
        if let Message::Beat { n, .. } = message { Some(n) } else { None }
    }

    pub(super) fn hear(&mut self, message: Message) {
        let from = message.speaker().prover();
        self.step(Input::Peer { from, message });
    }

    /// Wakes the machine at each deadline on the way.
    pub(super) fn wait(&mut self, ms: u64) {
        let end = self.now.after(ms);
        while let Some((at, _)) = self.machine.deadline().filter(|(at, _)| *at <= end) {
            assert!(self.now < at, "a deadline lies ahead");
            self.now = at;
            self.step(Input::Tick);
        }
        self.now = end;
    }

    fn beats_for(&mut self, seconds: u64, silent: &[u32]) {
        for _ in 0..seconds / 5 {
            self.wait(5_000);
            let own = self.own.map(|it| it.0);
            let speak = |it: &u32| !silent.contains(it) && own != Some(*it);
            for prover in (0..self.provers).filter(speak) {
                self.hear(self.beat(prover));
            }
        }
    }

    pub(super) fn run(&mut self, what: &Do) {
        let slot = self.slot;
        match *what {
            Do::Wait(seconds) => self.wait(seconds * 1000),
            Do::WaitMs(ms) => self.wait(ms),
            Do::Block => self.block(Vec::new()),
            Do::Reveal => self.reveal(),
            Do::Plan => self.plan(),
            Do::Refuse => self.step(Input::Refused { block: self.block_id() }),
            Do::Claim(prover, name, seq) => self.hear(self.claim(prover, name, seq)),
            Do::Release(prover, name, seq) => {
                let task = self.named(name);
                self.hear(Message::Release { task, lane: lane(prover), slot, seq, failed: false });
            }
            Do::Made(prover, name, seq) => self.hear(self.made(prover, name, seq)),
            Do::Held(prover, maker, name) => {
                let statement = self.statement(maker, name);
                self.hear(Message::Held { statement, lane: lane(prover), slot });
            }
            Do::Beats(seconds, silent) => self.beats_for(seconds, silent),
            Do::Loss(watcher, gone) => self.lose(watcher, gone),
            Do::Accepted(prover, name) => self.step(Input::Accepted {
                task: self.named(name),
                statement: self.statement(prover, name),
                blob: self.blob(prover, name),
                credit: Self::credit(prover),
            }),
            Do::NotPassed(prover, name) => {
                self.step(Input::FetchFailed { blob: self.blob(prover, name), refused: true });
            }
            Do::NotFetched(prover, name) => {
                self.step(Input::FetchFailed { blob: self.blob(prover, name), refused: false });
            }
            Do::Started(name) => {
                self.step(Input::Prover(ProverEvent::Started { task: self.named(name) }));
            }
            Do::Proved(name) => self.proved(name),
            Do::Failed(name) => {
                let task = self.named(name);
                self.step(Input::Prover(ProverEvent::Failed { task, why: "PRV-065" }));
            }
            Do::Named(prover, alone) => {
                self.block(vec![L1Event::Named { slot, prover: ProverId(prover), alone }]);
            }
            Do::Settled => self.block(vec![self.settled()]),
            Do::Tick => self.step(Input::Tick),
        }
    }

    /// The watcher heard what we heard, and nothing since.
    fn lose(&mut self, watcher: u32, gone: u32) {
        let round = self.machine.round(self.slot);
        let last_beat = round.and_then(|it| it.standing(lane(gone))?.beat).unwrap_or(0);
        let (lane, watcher) = (lane(gone), lane(watcher));
        self.hear(Message::Loss { lane, slot: self.slot, watcher, last_beat });
    }

    fn proved(&mut self, name: &str) {
        let own = self.own.map_or(0, |it| it.0);
        self.step(Input::Prover(ProverEvent::Made {
            task: self.named(name),
            statement: self.statement(own, name),
            blob: self.blob(own, name),
            credit: Self::credit(own),
            cpu_ms: 2_000,
            peak_mb: 200,
        }));
    }

    pub(super) fn settled(&self) -> L1Event {
        let (slot, end, credit) = (self.slot, [1; 32], [2; 32]);
        L1Event::Settled { slot, end, credit, payee: payee(0), units: 9, pool: 100 }
    }

    pub(super) fn settle(&mut self) {
        let event = self.settled();
        self.block(vec![event]);
    }

    /// Starts again from the first `records` of the journal and from L1, as after a crash.
    pub(super) fn restart(&mut self, records: usize) {
        self.records.truncate(records);
        let machine = Coordinator::new(self.own, params());
        self.machine = machine.restore(&self.records);
        self.feed_chain();
    }

    pub(super) fn step(&mut self, input: Input) {
        let mut actions = Vec::new();
        self.machine.step(self.now, input, &mut actions);
        for action in actions {
            if let Action::Persist(record) = action {
                self.records.push(record);
            }
            let hidden = matches!(action, Action::Send { message: Message::Beat { .. }, .. })
                && !self.show_beats;
            if !hidden {
                let line = self.write(&action);
                self.log.push_str(&line);
                self.log.push('\n');
            }
            self.actions.push(action);
        }
    }

    fn name(&self, task: TaskId) -> String {
        let nodes = self.tree.nodes().iter();
        let names: BTreeMap<TaskId, String> =
            nodes.map(|&it| (self.task(it), it.to_string())).collect();
        names.get(&task).cloned().unwrap_or_else(|| "?".into())
    }
    fn blob_name(&self, blob: BlobId) -> String {
        let all = self.tree.nodes().iter().flat_map(|it| (0..self.provers).map(move |p| (it, p)));
        let mut found = all.filter(|(node, p)| self.blob(*p, &node.to_string()) == blob);
        found.next().map_or_else(|| "?".into(), |(node, p)| format!("{node}@{p}"))
    }
    fn statement_name(&self, statement: StatementId) -> String {
        let all = self.tree.nodes().iter().flat_map(|it| (0..self.provers).map(move |p| (it, p)));
        let mut found = all.filter(|(node, p)| self.statement(*p, &node.to_string()) == statement);
        found.next().map_or_else(|| "?".into(), |(node, p)| format!("{node}@{p}"))
    }

    /// An action as text: `prover#seq` for claims, `node@prover` for proofs.
    fn write(&self, action: &Action) -> String {
        match action {
            Action::Persist(record) => format!("persist {}", self.write_record(record)),
            Action::Send { message, .. } => format!("send {}", self.write_message(message)),
            Action::Relay { message, .. } => format!("relay {}", self.write_message(message)),
            Action::Fetch { blob, from, .. } => {
                let from: Vec<String> = from.iter().map(ToString::to_string).collect();
                format!("fetch {} from {}", self.blob_name(*blob), from.join(" "))
            }
            Action::Prove { node, children, .. } => {
                let children: Vec<String> = children.iter().map(|&it| self.blob_name(it)).collect();
                format!("prove {node} from [{}]", children.join(" "))
            }
            Action::Abandon { task } => format!("abandon {}", self.name(*task)),
            Action::SubmitRoot { slot, blob, .. } => {
                format!("submit slot {slot} {}", self.blob_name(*blob))
            }
            Action::Note { code, .. } => format!("note {code}"),
        }
    }

    fn write_record(&self, record: &Record) -> String {
        match *record {
            Record::Claimed { task, lane, seq, attempt, .. } => {
                format!("claimed {} {}#{seq} attempt {attempt}", self.name(task), lane.prover())
            }
            Record::Ended { lane, seq, how } => {
                format!("ended {}#{seq} {}", lane.prover(), crate::view::ended(how))
            }
            Record::Made { statement, .. } => format!("made {}", self.statement_name(statement)),
            Record::Held { statement, .. } => format!("held {}", self.statement_name(statement)),
            Record::Settled { slot } => format!("settled {slot}"),
        }
    }

    fn write_message(&self, message: &Message) -> String {
        match *message {
            Message::Claim { task, lane, seq, previous, .. } => {
                let name = self.name(task);
                let first = previous == Previous::None;
                let before = format!(" after {}", crate::view::ended(previous));
                let before = if first { "" } else { &before };
                format!("claim {name} {}#{seq}{before}", lane.prover())
            }
            Message::Release { task, lane, seq, .. } => {
                format!("release {} {}#{seq}", self.name(task), lane.prover())
            }
            Message::Beat { lane, task, .. } => {
                let works = if task == TaskId::default() { "idle".into() } else { self.name(task) };
                format!("beat {} {works}", lane.prover())
            }
            Message::Loss { lane, watcher, .. } => {
                format!("loss {} by {}", lane.prover(), watcher.prover())
            }
            Message::Made { statement, seq, lane, .. } => {
                format!("made {} {}#{seq}", self.statement_name(statement), lane.prover())
            }
            Message::Held { statement, lane, .. } => {
                format!("held {} by {}", self.statement_name(statement), lane.prover())
            }
            Message::Advert { lane, able, .. } => {
                format!("{} {}", lane.prover(), if able { "has keys" } else { "lacks keys" })
            }
        }
    }

    /// The claims that were spoken since the log was forgotten.
    pub(super) fn claims_spoken(&self) -> Vec<(u64, Previous)> {
        let claim = |it: &Action| {
            let Action::Send { message: Message::Claim { seq, previous, .. }, .. } = *it else {
                return None;
            };
            Some((seq, previous))
        };
        self.actions.iter().filter_map(claim).collect()
    }

    /// The lines since the last call.
    pub(super) fn take_log(&mut self) -> String {
        core::mem::take(&mut self.log)
    }
    pub(super) fn forget_log(&mut self) {
        self.log.clear();
        self.actions.clear();
    }
    pub(super) fn round(&self) -> &Round {
        self.machine.round(self.slot).unwrap()
    }
    /// What the machine knows about a node's task.
    pub(super) fn known(&self, name: &str) -> &Task {
        let round = self.round();
        round.task(round.find(self.named(name)).unwrap()).unwrap()
    }
    /// The lane that ranks at this place for a node.
    pub(super) fn ranked(&self, name: &str, rank: usize) -> u32 {
        self.known(name).order[rank].prover().0
    }
}

/// Runs a script on a fresh machine of one of three provers, at work on the devnet's block, and
/// compares everything it does after `Reveal, Plan`.
#[track_caller]
pub(super) fn check(own: u32, script: &[Do], expected: &[&str]) {
    let mut bench = Bench::new(Some(own), 3, &[1, 0]);
    for what in script {
        bench.run(what);
    }
    let log = bench.take_log();
    assert_eq!(log.lines().collect::<Vec<_>>(), expected, "\n{log}");
}
