//! From a revealed block to the machine's tasks: witnesses derived or fetched, the block executed
//! and checked off the loop.

use std::sync::Arc;

use circuits::state::TxWitness;
use protocol::{BlockId, Word};

use crate::{
    l1::decode::RevealData,
    mesh::{Mesh, PeerId, Source},
    prover::sets::KeySets,
    rollup::{
        execute::Programs,
        plan::{OnChain, Plan, PlanRules, plan},
        state::{WITNESS_BYTES_MAX, decode_witness, encode_witness},
        work::AcceptTx,
    },
    store::Store,
};

/// Peers asked for the witnesses of one block before it is left for later.
const PEERS_TRIED_MAX: usize = 8;

/// What planning a block came to.
pub(crate) enum Planned {
    /// It can be worked on; the witnesses are stored and served.
    Ready(Arc<Plan>, Vec<protocol::BlobId>),
    /// It is not worked on, with the reason.
    Refused(BlockId, String),
    /// No witnesses, or no keys yet, with a code; asked again after the next L1 block.
    Later(BlockId, &'static str, String),
}

/// Everything planning needs; clones share it.
#[derive(Clone)]
pub(crate) struct Planner {
    pub(crate) keys: Arc<KeySets>,
    pub(crate) programs: Arc<Programs>,
    pub(crate) store: Store,
    pub(crate) mesh: Mesh,
    pub(crate) proof_bytes: usize,
}

impl Planner {
    /// Plans one block from `start`, with `derived` witnesses or with those of any peer.
    pub(crate) async fn plan(
        self,
        reveal: RevealData,
        start: Word,
        derived: Option<Vec<TxWitness>>,
    ) -> Planned {
        if let Some(witnesses) = derived {
            let block = reveal.block;
            return match self.check(reveal, start, witnesses).await {
                Ok(ready) => ready,
                Err((Fault::Keys, why)) => Planned::Later(block, "KEY-012", why),
                Err((_, why)) => Planned::Refused(block, why),
            };
        }
        let mut tried = Vec::new();
        let mut why = "no peer has its witnesses".to_owned();
        while tried.len() < PEERS_TRIED_MAX {
            let Some((peer, witnesses)) = self.fetch(reveal.block, &tried).await else { break };
            tried.push(peer);
            let Some(witnesses) = witnesses else { continue };
            match self.check(reveal.clone(), start, witnesses).await {
                Ok(ready) => return ready,
                Err((Fault::Keys, why)) => return Planned::Later(reveal.block, "KEY-012", why),
                Err((Fault::Block, why)) => return Planned::Refused(reveal.block, why),
                Err((Fault::Witness, reason)) => {
                    // R7.1: a false witness costs its sender, never the block.
                    self.mesh.cut_off(peer);
                    why = format!("peer {peer} sent witnesses that do not check: {reason}");
                }
            }
        }
        let why = format!("its witnesses are missing: {why}");
        Planned::Later(reveal.block, "BLK-003", why)
    }

    /// The next peer that names witnesses, and the witnesses if they could be read.
    async fn fetch(
        &self,
        block: BlockId,
        tried: &[PeerId],
    ) -> Option<(PeerId, Option<Vec<TxWitness>>)> {
        let names = self.mesh.fetch_witness_names(block, Source::AnyoneBut(tried)).await;
        let (peer, names) = names.ok()?;
        let mut witnesses = Vec::with_capacity(names.len());
        for name in names {
            let bytes = match self.store.blobs().get(name) {
                Ok(Some(bytes)) => bytes,
                Ok(None) | Err(_) => {
                    let source = Source::AnyoneBut(tried);
                    match self.mesh.fetch_blob(name, WITNESS_BYTES_MAX, source).await {
                        Ok(bytes) => bytes,
                        Err(_) => return Some((peer, None)),
                    }
                }
            };
            match decode_witness(&bytes) {
                Ok(witness) => witnesses.push(witness),
                Err(_) => {
                    self.mesh.cut_off(peer);
                    return Some((peer, None));
                }
            }
        }
        Some((peer, Some(witnesses)))
    }

    /// Executes and checks on a thread of its own: tx proofs take milliseconds each.
    async fn check(
        &self,
        reveal: RevealData,
        start: Word,
        witnesses: Vec<TxWitness>,
    ) -> Result<Planned, (Fault, String)> {
        let planner = self.clone();
        let work = move || planner.check_now(&reveal, start, &witnesses);
        tokio::task::spawn_blocking(work)
            .await
            .unwrap_or_else(|error| Err((Fault::Witness, error.to_string())))
    }

    fn check_now(
        &self,
        reveal: &RevealData,
        start: Word,
        witnesses: &[TxWitness],
    ) -> Result<Planned, (Fault, String)> {
        let Some(keys) = self.keys.get(&reveal.set) else {
            let (set, revision) = (hex::encode(reveal.set), self.keys.revision(&reveal.set));
            let why = format!(
                "it is proved by circuit set {set}, whose keys are not here; run `coppice-agent \
                 setup keys --revision {revision}`, then it goes on by itself"
            );
            return Err((Fault::Keys, why));
        };
        let rules = PlanRules {
            set: reveal.set,
            proof_bytes: self.proof_bytes,
            programs: &self.programs,
            check: &AcceptTx(&[keys]),
        };
        let on_chain = OnChain { data: &reveal.data, txs: reveal.txs, start };
        let plan = plan(&on_chain, witnesses, &rules).map_err(|error| {
            let fault = if error.is_witness_fault() { Fault::Witness } else { Fault::Block };
            (fault, format!("{}: {error}", error.code()))
        })?;
        let mut names = Vec::with_capacity(witnesses.len());
        for witness in witnesses {
            let (name, bytes) = encode_witness(witness);
            let stored = self.store.blobs().put(&bytes);
            stored.map_err(|error| (Fault::Witness, error.to_string()))?;
            names.push(name);
        }
        Ok(Planned::Ready(Arc::new(plan), names))
    }
}

/// Whose fault a failed check is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    Block,
    Witness,
    /// Nobody's: this machine is not ready for the block's circuit set.
    Keys,
}
