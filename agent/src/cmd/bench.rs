//! `coppice-agent bench circuits`: what each circuit costs on this machine, with real proofs.

use std::path::PathBuf;

use anyhow::Context as _;
use circuits::setup::{bench, evm};
use protocol::{Address, Kind};
use serde_json::json;

use super::{print_line, setup::default_cache};
use crate::{
    l1::{
        anvil::{Anvil, DEVNET_CHAIN},
        deploy::{root_verifier, verification_gas},
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
}

/// Runs the benchmark; takes about 15 minutes of CPU.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<u8> {
    let What::Circuits { json } = arguments.what;
    let cache = arguments.cache.map_or_else(default_cache, Ok)?;
    let folder = key_folder(&cache, DEVNET_CHAIN)?;
    let keys = folder.verifying_keys().context("run `coppice-agent setup keys` first")?;
    let measured = tokio::task::spawn_blocking(move || {
        let payee = Address([0xa1; 20]);
        bench::circuits(&folder, payee, &mut |kind, phase| tracing::info!(%kind, ?phase))
    })
    .await??;
    let anvil = Anvil::start().await.map_err(coded)?;
    let code = root_verifier(keys.set_id()).map_err(coded)?;
    let calldata = evm::calldata(&measured.root.instances, &measured.root.proof);
    let secret = anvil.rich().map_err(coded)?;
    let gas = verification_gas(anvil.url(), &secret, (code, calldata)).await.map_err(coded)?;
    for figures in &measured.figures {
        let gas = (figures.kind == Kind::Root.name()).then_some(gas);
        print_line(&line(figures, gas, json))?;
    }
    Ok(0)
}

fn line(it: &bench::Figures, gas: Option<u64>, as_json: bool) -> String {
    let seconds = |ms: u64| ms as f64 / 1000.0;
    if !as_json {
        let gas = gas.map(|gas| format!("  {gas} gas")).unwrap_or_default();
        return format!(
            "{:<6} k={} advice={} cells={:>9} keygen {:>5.1} CPU-s  key {:>5} MB  proof {:>5.1} \
             CPU-s  peak {:>5} MB  {:>5} B  verify {:>2} ms{gas}",
            it.kind,
            it.k,
            it.advice_columns,
            it.cells,
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
        "advice_columns": it.advice_columns,
        "cells": it.cells,
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
