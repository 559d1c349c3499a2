//! `coppice-agent bench`: what the core and each circuit cost on this machine.
//!
//! Circuits are measured with real proofs. Every proof is made as an agent makes it, in a limited
//! process of its own: only so is its peak memory its own, and a limit that is too low shows here
//! before it costs a claim.

mod steps;

use std::{path::PathBuf, time::Instant};

use anyhow::Context as _;
use circuits::setup::{
    bench, evm,
    keys::VerifyingKeys,
    prove::{Made, Proof, Timings, Work},
};
use protocol::{Address, Kind, TaskId};
use serde_json::json;
use tokio::sync::mpsc;

use super::{print_line, setup::default_cache};
use crate::{
    l1::{
        anvil::{Anvil, DEVNET_CHAIN},
        deploy::{set_plan, verification_gas},
    },
    prover::{
        Step,
        pool::{Config, Event, Order, Pool},
    },
    shell::start::{coded, key_folder},
};

/// Options of `bench`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Folder of setup and keys.
    #[arg(long, env = "COPPICE_CACHE", global = true)]
    cache: Option<PathBuf>,
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    /// Proves one block of two txs, one of them with a call.
    Circuits {
        /// One line of JSON per circuit.
        #[arg(long)]
        json: bool,
    },
    /// Steps of the protocol's core, recorded from a simulated block of 8,192 tasks among 1,024
    /// lanes.
    Core {
        /// One line of JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Runs a benchmark.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<u8> {
    match arguments.what {
        What::Circuits { json } => circuits(arguments.cache, json).await,
        What::Core { json } => {
            print_line(&tokio::task::spawn_blocking(steps::measured).await?.line(json))?;
            Ok(0)
        }
    }
}

/// Takes about 15 minutes of CPU.
async fn circuits(cache: Option<PathBuf>, json: bool) -> anyhow::Result<u8> {
    let cache = cache.map_or_else(default_cache, Ok)?;
    let folder = key_folder(&cache, DEVNET_CHAIN)?;
    let keys = folder.verifying_keys().context("run `coppice-agent setup keys` first")?;
    let threads = u16::try_from(std::thread::available_parallelism()?.get())?;
    let (pool, news) = Pool::new(Config::own_binary(cache, DEVNET_CHAIN, threads, 1)?)?;
    let code = set_plan(&keys).map_err(coded)?.verifier;
    let mut children = Children { pool, news, keys };
    let measured = tokio::task::spawn_blocking(move || {
        bench::circuits_with(&folder, &mut |work| children.prove(work))
    })
    .await??;
    let anvil = Anvil::start().await.map_err(coded)?;
    let calldata = evm::calldata(&measured.root.instances, &measured.root.proof);
    let secret = anvil.rich().map_err(coded)?;
    let gas = verification_gas(anvil.url(), &secret, (code, calldata)).await.map_err(coded)?;
    for figures in &measured.figures {
        let gas = (figures.kind == Kind::Root.name()).then_some(gas);
        print_line(&line(figures, gas, json))?;
    }
    for figures in &bench::RETIRED {
        print_line(&retired_line(figures, json)?)?;
    }
    Ok(0)
}

/// The processes that prove, one at a time.
struct Children {
    pool: Pool,
    news: mpsc::Receiver<Event>,
    keys: VerifyingKeys,
}

impl Children {
    /// Who is paid in the sample.
    const PAYEE: Address = Address([0xa1; 20]);

    fn prove(&mut self, work: &Work) -> anyhow::Result<Made> {
        let kind = work.kind();
        let (task, revision) = (TaskId::default(), self.keys.revision());
        self.pool.start(task, Order { kind, payee: Self::PAYEE, work: work.encode()?, revision });
        let mut clock = Instant::now();
        loop {
            match self.news.blocking_recv().context("the prover pool ended")? {
                // What came before was waiting for another proof.
                Event::Step { step: Step::Witness, .. } => clock = Instant::now(),
                Event::Step { step, .. } => tracing::info!(%kind, step = step.name()),
                Event::Made { output, cpu_ms, peak_mb, .. } => {
                    let proof = Proof::decode(&output)?;
                    let wall_ms = millis(clock);
                    let accepting = Instant::now();
                    proof.accept(&self.keys)?;
                    let (cpu_ms, peak_mb) = (u64::from(cpu_ms), u64::from(peak_mb));
                    let accept_ms = millis(accepting);
                    let timings = Timings { cpu_ms, wall_ms, accept_ms, peak_mb };
                    return Ok(Made { proof, timings });
                }
                Event::Failed { why, .. } => return Err(why.into()),
                Event::Cancelled { .. } => anyhow::bail!("the proof of {kind} was stopped"),
            }
        }
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// A circuit of a retired set, as it was measured.
fn retired_line(it: &bench::Retired, as_json: bool) -> anyhow::Result<String> {
    if as_json {
        return Ok(serde_json::to_string(it)?);
    }
    let bench::Retired { revision, kind, k, prove_cpu_s, peak_mb, proof_bytes } = it;
    Ok(format!(
        "{kind:<6} k={k} of set {revision}, retired  proof {prove_cpu_s:>5} CPU-s  peak \
         {peak_mb:>5} MB  {proof_bytes:>5} B"
    ))
}

fn line(it: &bench::Figures, gas: Option<u64>, as_json: bool) -> String {
    let seconds = |ms: u64| ms as f64 / 1000.0;
    if !as_json {
        let gas = gas.map(|gas| format!("  {gas} gas")).unwrap_or_default();
        return format!(
            "{:<6} k={} rows {:>7} of {:>7}  keygen {:>5.1} CPU-s  key {:>5} MB  proof {:>5.1} \
             CPU-s  peak {:>5} MB  {:>5} B  verify {:>2} ms{gas}",
            it.kind,
            it.k,
            it.rows,
            it.usable_rows,
            seconds(it.keygen_cpu_ms),
            it.pk_mb,
            seconds(it.prove_cpu_ms),
            it.peak_mb,
            it.proof_bytes,
            it.verify_ms
        );
    }
    let mut line = json!({
        "circuit": it.kind,
        "k": it.k,
        "rows": it.rows,
        "block_rows": it.block_rows,
        "usable_rows": it.usable_rows,
        "keygen_cpu_s": seconds(it.keygen_cpu_ms),
        "pk_mb": it.pk_mb,
        "prove_cpu_s": seconds(it.prove_cpu_ms),
        "peak_mb": it.peak_mb,
        "proof_bytes": it.proof_bytes,
        "verify_ms": it.verify_ms,
    });
    if let Some(gas) = gas {
        line["gas"] = gas.into();
    }
    line.to_string()
}
