//! `coppice-agent setup`: the setup (powers of tau) and the proving keys made from it.

use std::path::{Path, PathBuf};

use circuits::setup::{
    evm,
    folder::REVISION,
    keys::{KeyError, KeyFolder, Phase, Progress},
};
use protocol::Kind;

use super::print_line;
use crate::{error::Coded, shell::start::key_folder_of};

/// Options of `setup`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Folder of setup and keys, shared by all agents of a machine (1 GB).
    #[arg(long, env = "COPPICE_CACHE", global = true)]
    cache: Option<PathBuf>,
    /// Chain id: only a devnet (31337) has an insecure setup, all others an imported one.
    #[arg(long, default_value_t = 31337, global = true)]
    chain_id: u64,
    /// Number of the circuit set whose keys are meant: a network that changes over needs those of
    /// the next one too.
    #[arg(long, default_value_t = REVISION, global = true, value_name = "NUMBER")]
    revision: u32,
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    /// Makes what is missing of the devnet's insecure setup, and no keys.
    Generate {
        /// Progress and result as lines of JSON on stdout.
        #[arg(long)]
        json: bool,
    },
    /// Checks a setup made elsewhere and makes it the chain's (minutes).
    Import {
        /// Powers of tau in halo2's raw format, of height 20.
        file: PathBuf,
        /// Progress and result as lines of JSON on stdout.
        #[arg(long)]
        json: bool,
    },
    /// Makes what is missing: setup and all keys, one process after the other.
    Keys {
        /// Makes only the next missing key (memory of a key is given back only at a process's end).
        #[arg(long, hide = true)]
        next: bool,
        /// Progress as lines of JSON on stdout.
        #[arg(long)]
        json: bool,
    },
    /// Checks every file against its hash, and the keys against the committed ones (reads 1 GB).
    Verify,
    /// Prints the root verifier's Solidity source, the same for every set of the family.
    Verifier {
        /// Prints, in hex, what stands behind its code instead: the set's own root key.
        #[arg(long)]
        key: bool,
    },
    /// Prints what `shared/circuits/vk/devnet.json` pins, for a change of circuits on purpose.
    Pins,
}

/// Runs the command.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<u8> {
    let cache = arguments.cache.map_or_else(default_cache, Ok)?;
    let keys = Keys { cache: &cache, chain_id: arguments.chain_id, revision: arguments.revision };
    match arguments.what {
        What::Generate { json } => {
            let mut report = |progress: Progress| say(Job::Generate, progress, json);
            let made = KeyFolder::generate_setup(&cache, arguments.chain_id, &mut report);
            installed(&made.map_err(coded)?, json)
        }
        What::Import { file, json } => {
            let mut report = |progress: Progress| say(Job::Import, progress, json);
            let made = KeyFolder::import_setup(&cache, arguments.chain_id, &file, &mut report);
            installed(&made.map_err(coded)?, json)
        }
        What::Keys { next: true, json } => keys.make_next(json),
        What::Keys { next: false, json } => keys.make_all(json),
        What::Pins => {
            let pins = keys.folder()?.pins().map_err(coded)?;
            print_line(&serde_json::to_string_pretty(&pins)?)?;
            Ok(0)
        }
        What::Verify => keys.verify(),
        What::Verifier { key: true } => {
            let keys = keys.folder()?.verifying_keys().map_err(coded)?;
            print_line(&hex::encode(evm::key_data(&keys)))?;
            Ok(0)
        }
        What::Verifier { key: false } => {
            let keys = keys.folder()?.verifying_keys().map_err(coded)?;
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

/// Which keys are meant.
struct Keys<'a> {
    cache: &'a Path,
    chain_id: u64,
    revision: u32,
}

impl Keys<'_> {
    fn folder(&self) -> Result<KeyFolder, Coded> {
        key_folder_of(self.cache, self.chain_id, self.revision)
    }

    fn make_next(&self, json: bool) -> anyhow::Result<u8> {
        let mut report = |progress: Progress| say(Job::Keys, progress, json);
        self.folder()?.generate_next(&mut report).map_err(coded)?;
        Ok(0)
    }

    fn make_all(&self, json: bool) -> anyhow::Result<u8> {
        let folder = self.folder()?;
        while !folder.missing().map_err(coded)?.is_empty() {
            let mut child = std::process::Command::new(std::env::current_exe()?);
            child.arg("setup").arg("--cache").arg(self.cache);
            child.args(["--chain-id", &self.chain_id.to_string()]);
            child.args(["--revision", &self.revision.to_string()]);
            child.args(["keys", "--next"]).args(json.then_some("--json"));
            let status = child.status()?;
            if !status.success() {
                let text = format!("key generation ended with {status}; its message stands above");
                return Err(Coded::new("KEY-011", text).into());
            }
        }
        Ok(0)
    }

    fn verify(&self) -> anyhow::Result<u8> {
        let folder = self.folder()?;
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
}

/// Where a setup lies, and which it is.
fn installed(folder: &KeyFolder, json: bool) -> anyhow::Result<u8> {
    let (path, setup) = (folder.path().display(), hex::encode(folder.setup().hash()));
    if json {
        let path = path.to_string();
        let setup = format!("0x{setup}");
        let line = serde_json::json!({"event": "setup_installed", "folder": path, "setup": setup});
        print_line(&line.to_string())?;
    } else {
        print_line(&format!("folder {path}"))?;
        print_line(&format!("setup 0x{setup}"))?;
    }
    Ok(0)
}

/// What goes on for minutes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Job {
    Keys,
    Generate,
    Import,
}

impl Job {
    /// What is made.
    const fn name(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Generate | Self::Import => "setup",
        }
    }
}

/// One line per phase: a true count, and the text of what begins.
fn say(job: Job, progress: Progress, json: bool) {
    let (name, done, of) = (job.name(), progress.done, progress.of);
    let text = match progress.phase {
        Phase::Setup(k) if job == Job::Import => format!("setup of 2^{k} powers, from the file"),
        Phase::Setup(k) => format!("setup of 2^{k} powers (insecure, for a devnet)"),
        Phase::Building(kind) => format!("{kind}: writing down the circuit"),
        Phase::Generating(kind) => format!("{kind}: computing the key"),
        Phase::Writing(kind) => format!("{kind}: writing the files"),
        Phase::Done if job == Job::Keys => "keys are complete".into(),
        Phase::Done => "the setup is complete".into(),
    };
    let line = if json {
        serde_json::json!({"event": name, "done": done, "of": of, "phase": text}).to_string()
    } else {
        format!("{name} {done:>2}/{of} {text}")
    };
    // Nobody reading is no reason to stop a key that takes minutes.
    let _ = print_line(&line);
}

fn coded(error: KeyError) -> Coded {
    Coded::new(error.code(), error.to_string())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn refused(cache: &Path, chain_id: u64, what: What) -> Coded {
        let (cache, revision) = (Some(cache.to_owned()), REVISION);
        let arguments = Arguments { cache, chain_id, revision, what };
        run(arguments).unwrap_err().downcast().unwrap()
    }

    #[test]
    fn an_insecure_setup_is_made_for_the_devnet_alone() {
        let cache = tempfile::tempdir().unwrap();
        let error = refused(cache.path(), 1, What::Generate { json: false });
        assert_eq!(error.code(), "SRS-001");
        let text = error.to_string();
        assert!(text.contains("chain id 31337, not 1") && text.contains("setup import"), "{text}");
        assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 0, "nothing is written");
    }

    #[test]
    fn a_file_that_is_no_setup_is_not_imported() {
        let cache = tempfile::tempdir().unwrap();
        let file = cache.path().join("powers.bin");
        let import = || What::Import { file: file.clone(), json: false };
        assert_eq!(refused(cache.path(), 1, import()).code(), "SRS-003", "there is no such file");
        fs::write(&file, 19_u32.to_le_bytes()).unwrap();
        let error = refused(cache.path(), 1, import());
        assert_eq!(error.code(), "SRS-002");
        let text = error.to_string();
        assert!(text.contains("its height is 19, the circuits need 18"), "{text}");
        assert_eq!(refused(cache.path(), 31337, import()).code(), "SRS-004");
    }
}
