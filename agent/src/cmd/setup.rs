//! `coppice-agent setup`: the setup (powers of tau) and the proving keys made from it.

use std::path::PathBuf;

use circuits::setup::{
    evm,
    keys::{KeyError, Phase, Progress},
};
use protocol::Kind;

use super::print_line;
use crate::{error::Coded, shell::start::key_folder};

/// Options of `setup`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Folder of setup and keys, shared by all agents of a machine (4 GB).
    #[arg(long, env = "COPPICE_CACHE", global = true)]
    cache: Option<PathBuf>,
    /// Chain id: only a devnet (31337) has an insecure setup.
    #[arg(long, default_value_t = 31337, global = true)]
    chain_id: u64,
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    /// Makes what is missing: setup and all keys, one process after the other.
    Keys {
        /// Makes only the next missing key (memory of a key is given back only at a process's end).
        #[arg(long, hide = true)]
        next: bool,
        /// Progress as lines of JSON on stdout.
        #[arg(long)]
        json: bool,
    },
    /// Checks every file against its hash, and the keys against the committed ones (reads 4 GB).
    Verify,
    /// Prints the root verifier's Solidity source.
    Verifier,
    /// Prints what `shared/circuits/vk/devnet.json` pins, for a change of circuits on purpose.
    Pins,
}

/// Runs the command.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<u8> {
    let cache = arguments.cache.map_or_else(default_cache, Ok)?;
    match arguments.what {
        What::Keys { next: true, json } => next_key(&cache, arguments.chain_id, json),
        What::Keys { next: false, json } => all_keys(&cache, arguments.chain_id, json),
        What::Pins => {
            let pins = key_folder(&cache, arguments.chain_id)?.pins().map_err(coded)?;
            print_line(&serde_json::to_string_pretty(&pins)?)?;
            Ok(0)
        }
        What::Verify => verify(&cache, arguments.chain_id),
        What::Verifier => {
            let folder = key_folder(&cache, arguments.chain_id)?;
            let keys = folder.verifying_keys().map_err(coded)?;
            let source = evm::solidity(&keys).map_err(|why| Coded::new("KEY-010", why))?;
            print_line(source.trim_end())?;
            Ok(0)
        }
    }
}

/// `$XDG_CACHE_HOME/coppice`, else `~/.cache/coppice`.
///
/// # Errors
/// `CFG-005` if neither variable is set.
pub(crate) fn default_cache() -> Result<PathBuf, Coded> {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let base = from("XDG_CACHE_HOME").or_else(|| from("HOME").map(|home| home.join(".cache")));
    let base = base.ok_or_else(|| {
        Coded::new("CFG-005", "neither XDG_CACHE_HOME nor HOME is set; name a folder with --cache")
    })?;
    Ok(base.join("coppice"))
}

fn next_key(cache: &std::path::Path, chain_id: u64, json: bool) -> anyhow::Result<u8> {
    let folder = key_folder(cache, chain_id)?;
    let mut report = |progress: Progress| say(progress, json);
    folder.generate_next(&mut report).map_err(coded)?;
    Ok(0)
}

fn all_keys(cache: &std::path::Path, chain_id: u64, json: bool) -> anyhow::Result<u8> {
    let folder = key_folder(cache, chain_id)?;
    while !folder.missing().map_err(coded)?.is_empty() {
        let mut child = std::process::Command::new(std::env::current_exe()?);
        child.arg("setup").arg("--cache").arg(cache).args(["--chain-id", &chain_id.to_string()]);
        child.args(["keys", "--next"]).args(json.then_some("--json"));
        let status = child.status()?;
        if !status.success() {
            let text = format!("key generation ended with {status}; its message stands above");
            return Err(Coded::new("KEY-011", text).into());
        }
    }
    Ok(0)
}

/// One line per phase: a true count, and the text of what begins.
fn say(progress: Progress, json: bool) {
    let (done, of) = (progress.done, progress.of);
    let text = match progress.phase {
        Phase::Setup(k) => format!("setup of 2^{k} powers (insecure, for a devnet)"),
        Phase::Building(kind) => format!("{kind}: writing down the circuit"),
        Phase::Generating(kind) => format!("{kind}: computing the key"),
        Phase::Writing(kind) => format!("{kind}: writing the files"),
        Phase::Done => "keys are complete".into(),
    };
    let line = if json {
        serde_json::json!({"event": "keys", "done": done, "of": of, "phase": text}).to_string()
    } else {
        format!("keys {done:>2}/{of} {text}")
    };
    // Nobody reading is no reason to stop a key that takes minutes.
    let _ = print_line(&line);
}

fn verify(cache: &std::path::Path, chain_id: u64) -> anyhow::Result<u8> {
    let folder = key_folder(cache, chain_id)?;
    let missing = folder.missing().map_err(coded)?;
    if !missing.is_empty() {
        let list: Vec<_> = missing.iter().map(|kind| kind.name()).collect();
        let text = format!("missing: {}; run `coppice-agent setup keys`", list.join(" "));
        return Err(Coded::new("KEY-001", text).into());
    }
    folder.verify().map_err(coded)?;
    folder.check_pins().map_err(coded)?;
    let keys = folder.verifying_keys().map_err(coded)?;
    print_line(&format!("folder {}", folder.path().display()))?;
    print_line(&format!("circuit set 0x{}", hex::encode(keys.set_id())))?;
    for kind in Kind::ALL {
        print_line(&format!("{kind} 0x{}", hex::encode(keys.hash(kind))))?;
    }
    Ok(0)
}

fn coded(error: KeyError) -> Coded {
    Coded::new(error.code(), error.to_string())
}
