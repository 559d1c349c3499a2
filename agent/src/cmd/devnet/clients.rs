//! The devnet's clients: they make real txs, prove them in child processes, send them to the
//! sequencer, and follow L1 to see them revealed.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use circuits::{
    setup::{
        leaf::proof_bytes,
        prove::{Proof, Work},
    },
    tx::TxInput,
};
use protocol::{Address, Kind, Params, Slot, TaskId, Word};
use tokio::{sync::mpsc, task::JoinHandle};
use wire::control::{Reply, Request};

use super::chain::Chain;
use crate::{
    config::Preset,
    l1::{
        L1,
        decode::RevealData,
        follow::{Cursor, FollowEvent, L1Change, follow},
    },
    prover::{
        pool::{self, Order, Pool},
        sets::KeySets,
    },
    rollup::{
        data::BlockData,
        execute::Programs,
        genesis::domain,
        sets::Schedule,
        traffic::{Traffic, to_hex, with_proof},
    },
    shell::{control::Client, start::coded},
};

/// Pause after the sequencer did not take a tx.
const RETRY: Duration = Duration::from_secs(2);

/// The clients' task.
pub(crate) struct Clients {
    task: JoinHandle<anyhow::Result<()>>,
}

impl Clients {
    /// Starts them; `socket` is the sequencer's.
    pub(crate) fn start(
        preset: &Preset,
        chain: &Chain,
        cache: &Path,
        socket: &Path,
    ) -> anyhow::Result<Self> {
        let programs = Programs::release()?;
        let domain = domain(chain.contracts().chain_id, chain.contracts().slots);
        let traffic = Traffic::new(&preset.genesis, domain, &programs)?;
        let devnet = &preset.devnet;
        let (threads, at_once) = (devnet.threads, devnet.proofs_at_once);
        let config = pool::Config::own_binary(
            cache.to_owned(),
            chain.contracts().chain_id,
            threads,
            at_once,
        )?;
        let (pool, proofs) = Pool::new(config)?;
        let params = preset.params.params(devnet.lead_blocks);
        let work = Working {
            traffic,
            sets: Schedule::new(params.clone()),
            set: None,
            params,
            proof_bytes: proof_bytes(chain.keys().first(), Kind::Tx),
            keys: Arc::clone(chain.keys()),
            pool,
            proofs,
            socket: socket.to_owned(),
            head: 0,
            busy: false,
        };
        Ok(Self { task: tokio::spawn(work.run(chain.l1().clone())) })
    }

    /// The reason why they stopped, if they did.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        if !self.task.is_finished() {
            return Ok(());
        }
        let ended = futures::FutureExt::now_or_never(&mut self.task).context("clients stopped")?;
        ended?.context("the clients stopped")
    }

    /// Stops them.
    pub(crate) fn stop(&self) {
        self.task.abort();
    }
}

/// What a sequencer did with a tx.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sent {
    Taken,
    NotTaken,
    OtherSet,
}

struct Working {
    traffic: Traffic,
    params: Params,
    /// The circuit sets that L1 announced, and the one that txs are proved under.
    sets: Schedule,
    set: Option<Word>,
    proof_bytes: usize,
    keys: Arc<KeySets>,
    pool: Pool,
    proofs: mpsc::Receiver<pool::Event>,
    socket: PathBuf,
    head: u64,
    busy: bool,
}

impl Working {
    async fn run(mut self, l1: L1) -> anyhow::Result<()> {
        let cursor = Cursor { from: l1.contracts.from_block, delivered: Vec::new() };
        let poll = Duration::from_millis(self.params.l1_block_s * 500);
        let mut follower = follow(l1, cursor, poll);
        while let Some(event) = follower.events.recv().await {
            self.on_l1(&event);
            // One event later the next tx may be due; proofs are made between two of them.
            if !self.busy && event.reveals.is_empty() {
                self.send_again().await?;
                self.send_due().await?;
            }
        }
        follower.task.await?.map_err(coded)?;
        Ok(())
    }

    fn on_l1(&mut self, event: &FollowEvent) {
        match event.change() {
            Some(L1Change::Block { number, hash, .. }) => {
                self.head = number;
                for wrong in self.sets.l1_block(number, hash, &event.sets) {
                    tracing::warn!("{wrong}");
                }
                let reveals = event.reveals.iter().filter_map(|it| self.readable(it)).collect();
                self.traffic.l1_block(self.slot(), hash, reveals, &event.lapsed);
            }
            Some(L1Change::Undo { hash }) => {
                self.sets.l1_undo(hash);
                self.traffic.l1_undo(self.slot(), hash);
            }
            None => {}
        }
        let set = self.sets.current(self.params.slot_at(self.head + 1)).map(|it| it.id);
        if set != self.set {
            self.set = set;
            // What waits was proved under the set before, and is worth nothing soon (R13).
            self.traffic.renew();
        }
    }

    fn readable(&self, reveal: &RevealData) -> Option<(Slot, BlockData)> {
        let data = BlockData::decode(&reveal.data, self.proof_bytes);
        let data = data.inspect_err(|error| tracing::warn!(%error, "a block is unreadable"));
        data.ok().map(|data| (reveal.slot, data))
    }

    fn slot(&self) -> Slot {
        self.params.slot_at(self.head)
    }

    /// Sends once what L1 has lost; what is not taken now is sent in the next slot.
    async fn send_again(&mut self) -> anyhow::Result<()> {
        for tx in self.traffic.again(self.slot()) {
            let tx = to_hex(&tx, self.proof_bytes)?;
            self.send(&Request::SubmitTx { tx }).await;
        }
        Ok(())
    }

    /// Proves every tx that is due, one after the other, then sends them together: a sequencer
    /// proposes as soon as there is something to propose.
    async fn send_due(&mut self) -> anyhow::Result<()> {
        if self.head + 1 < self.params.genesis_block {
            return Ok(());
        }
        self.busy = true;
        let mut proved = Vec::new();
        for input in self.traffic.due(self.slot()) {
            let proof = self.prove(&input).await?;
            proved.push(with_proof(&input, proof));
        }
        for tx in proved {
            let taken = self.submit(to_hex(&tx, self.proof_bytes)?).await;
            if taken {
                self.traffic.accepted(&tx);
            }
        }
        self.busy = false;
        Ok(())
    }

    async fn prove(&mut self, input: &TxInput) -> anyhow::Result<Vec<u8>> {
        let keys = self.set.and_then(|set| self.keys.get(&set));
        let revision = keys.context("there are no keys of the circuit set in force")?.revision();
        let work = Work::Tx(input.clone()).encode()?;
        let task = TaskId(*blake3::hash(&work).as_bytes());
        self.pool.start(task, Order { kind: Kind::Tx, payee: Address::default(), work, revision });
        while let Some(event) = self.proofs.recv().await {
            match event {
                pool::Event::Made { task: made, output, .. } if made == task => {
                    return Ok(Proof::decode(&output)?.proof);
                }
                pool::Event::Failed { task: failed, why } if failed == task => {
                    anyhow::bail!("{}: a client's tx: {why}", why.code());
                }
                pool::Event::Made { .. }
                | pool::Event::Failed { .. }
                | pool::Event::Step { .. }
                | pool::Event::Cancelled { .. } => {}
            }
        }
        anyhow::bail!("the prover pool stopped")
    }

    /// Sends the tx until the sequencer takes it or says that it has it. False if it refuses the
    /// proof: the circuit set has changed meanwhile, and the tx is proved anew.
    async fn submit(&self, tx: String) -> bool {
        let request = Request::SubmitTx { tx };
        loop {
            match self.send(&request).await {
                Sent::Taken => return true,
                Sent::OtherSet => return false,
                Sent::NotTaken => tokio::time::sleep(RETRY).await,
            }
        }
    }

    /// What became of the tx; taken is also what L1 will tell of.
    async fn send(&self, request: &Request) -> Sent {
        let answer = match Client::connect(&self.socket).await {
            Ok(mut client) => client.ask(request).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(Reply::Accepted { text }) => {
                tracing::info!("a client's tx is taken: {text}");
                Sent::Taken
            }
            Ok(Reply::Refused { code, text }) => {
                tracing::info!(code, "a client's tx is not taken: {text}");
                match code.as_str() {
                    // Its nonce was used, or it waits already.
                    "MEM-003" | "MEM-006" => Sent::Taken,
                    "MEM-008" => Sent::OtherSet,
                    _ => Sent::NotTaken,
                }
            }
            Ok(Reply::Snapshot(_)) => Sent::NotTaken,
            Err(error) => {
                tracing::debug!(%error, "the sequencer does not answer yet");
                Sent::NotTaken
            }
        }
    }
}
