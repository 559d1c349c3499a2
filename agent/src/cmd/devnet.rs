//! `coppice-agent devnet`: a whole network on one machine, for real: an embedded Ethereum node, a
//! sequencer, agents, clients; one process per role.

mod chain;
mod chaos;
mod clients;
mod folder;
mod processes;
mod report;

use std::{
    collections::VecDeque,
    ffi::OsStr,
    net::{SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use self::{
    chain::{Chain, Change},
    chaos::{Chaos, Plan, Spec},
    clients::Clients,
    folder::RunFolder,
    processes::Process,
    report::{Watched, Watcher},
};
use super::{keys, print_line, setup::default_cache};
use crate::{
    config::{Config, Folders, L1Config, MeshConfig, Preset, ProverConfig, WitnessSource},
    error::{Coded, Exit},
    prover::sets::REVISIONS,
    run::now,
    telemetry,
};

/// Lines of results that are kept while the console has the terminal.
const RESULTS_MAX: usize = 64;
/// Epochs from the start until a circuit set that is announced then is valid: its delay is one
/// whole epoch.
const EPOCHS_TO_CHANGE: u64 = 2;
/// A console that does not leave the terminal within this time is killed.
const CONSOLE_STOP_WAIT: Duration = Duration::from_secs(2);

/// Options of `devnet`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Without the console: progress on stderr, results on stdout.
    #[arg(long)]
    headless: bool,
    /// Ends with exit code 0 after this many slots have settled.
    #[arg(long)]
    slots: Option<u64>,
    /// Results as lines of JSON on stdout.
    #[arg(long)]
    json: bool,
    /// Keeps the network running after the console was left, or the slots have settled, until
    /// SIGINT.
    #[arg(long)]
    keep: bool,
    /// What goes wrong on purpose, after the first reveal: kill=0.3@60s, delay=200ms@30s..90s,
    /// partition=0.5@60s..120s; several with commas.
    #[arg(long, value_name = "EVENT", value_delimiter = ',')]
    chaos: Vec<Spec>,
    /// Changes over to the next circuit set in this slot, an even one: the set is announced at the
    /// start, and epochs have half as many slots. Makes the keys of both sets first.
    #[arg(long, value_name = "SLOT", value_parser = change_slot)]
    change_set_at: Option<u64>,
    /// Which agents --chaos takes: the same seed takes the same.
    #[arg(long, default_value_t = 1, requires = "chaos", value_name = "N")]
    chaos_seed: u64,
    /// Folder of setup and keys (1 GB), shared by all agents of the machine.
    #[arg(long, env = "COPPICE_CACHE")]
    cache: Option<PathBuf>,
}

/// Runs a devnet.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<u8> {
    let cache = arguments.cache.clone().map_or_else(default_cache, Ok)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        done = devnet(&arguments, &cache) => done,
        _ = terminate.recv() => Ok(0),
        _ = interrupt.recv() => Ok(0),
    }
}

async fn devnet(arguments: &Arguments, cache: &Path) -> anyhow::Result<u8> {
    say("INSECURE SETUP: this devnet's proofs can be forged by anyone who reads the source");
    let mut preset = Preset::devnet()?;
    if let Some(slot) = arguments.change_set_at {
        preset.params.epoch_slots = slot / EPOCHS_TO_CHANGE;
        preset.params.change_delay_epochs = EPOCHS_TO_CHANGE - 1;
    }
    let change = arguments.change_set_at.map_or(Change::Never, |_| Change::Announced);
    let plan = Plan::new(&arguments.chaos, arguments.chaos_seed, preset.devnet.agents)?;
    plan.lines().for_each(|line| say(&line));
    for revision in REVISIONS.into_iter().take(if change == Change::Never { 1 } else { 2 }) {
        make_keys(cache, revision).await?;
    }
    let folder = RunFolder::create(&data_home()?.join("devnet"), now().0 / 1000)?;
    say(&format!("run folder {}", folder.root().display()));
    let mut network = Network::start(&preset, &folder, (cache, change), plan).await?;
    if let Some(slot) = arguments.change_set_at {
        say(&format!("circuit set {} until slot {slot}, then {}", REVISIONS[0], REVISIONS[1]));
    }
    say(&format!("L1 at {}", network.chain.url()));
    let ended = if arguments.headless {
        network.headless(arguments, &mut Results::Printed).await
    } else {
        network.with_console(&folder, arguments).await
    };
    if matches!(ended, Ok(0)) && arguments.keep {
        say("the network keeps running; stop it with SIGINT (Ctrl-C)");
        std::future::pending::<()>().await;
    }
    network.stop().await;
    ended
}

/// Progress for people; results go to stdout.
fn say(text: &str) {
    tracing::info!("{text}");
}

/// The slot in which a set that is announced at the start can be valid.
fn change_slot(text: &str) -> Result<u64, String> {
    let slot = text.parse().map_err(|error| format!("{error}"))?;
    if slot == 0 || slot % EPOCHS_TO_CHANGE != 0 {
        return Err(format!(
            "it is {EPOCHS_TO_CHANGE} epochs after the start: a multiple of {EPOCHS_TO_CHANGE}"
        ));
    }
    Ok(slot)
}

/// Makes missing keys of one circuit set in child processes, whose progress passes through.
async fn make_keys(cache: &Path, revision: u32) -> anyhow::Result<()> {
    let mut child = tokio::process::Command::new(std::env::current_exe()?);
    child.arg("setup").arg("--cache").arg(cache).arg("keys");
    child.args(["--revision", &revision.to_string()]).stdin(Stdio::null());
    child.stdout(Stdio::from(std::io::stderr())).kill_on_drop(true);
    let status = child.status().await.context("cannot start key generation")?;
    anyhow::ensure!(status.success(), "key generation ended with {status}");
    Ok(())
}

/// `$XDG_DATA_HOME/coppice`, else `~/.local/share/coppice`.
fn data_home() -> Result<PathBuf, Coded> {
    let from = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let base = from("XDG_DATA_HOME").or_else(|| from("HOME").map(|it| it.join(".local/share")));
    let text = "neither XDG_DATA_HOME nor HOME is set; set one of them to a folder of yours";
    Ok(base.ok_or_else(|| Coded::new("CFG-005", text).exit(Exit::Config))?.join("coppice"))
}

/// Everything that runs.
struct Network {
    chain: Chain,
    processes: Vec<Process>,
    clients: Clients,
    watcher: Watcher,
    chaos: Chaos,
    window_s: u64,
}

/// Where lines of results go.
enum Results {
    /// To stdout.
    Printed,
    /// The console has the terminal: kept until it is gone, the last [`RESULTS_MAX`].
    Kept(VecDeque<String>),
}

/// One role before it is started.
pub(crate) struct Role {
    /// Such as `agent-1`.
    pub(crate) name: String,
    /// Its folders.
    pub(crate) folders: Folders,
    /// Its public identity.
    pub(crate) identity: keys::Public,
    /// Where it listens on the mesh.
    pub(crate) listen: SocketAddr,
}

impl Network {
    async fn start(
        preset: &Preset,
        folder: &RunFolder,
        (cache, change): (&Path, Change),
        plan: Plan,
    ) -> anyhow::Result<Self> {
        let sequencers = roles("sequencer", preset.devnet.sequencers, folder, cache)?;
        let agents = roles("agent", preset.devnet.agents, folder, cache)?;
        let chain = Chain::start(preset, cache, change, (&agents, &sequencers)).await?;
        let everybody: Vec<&Role> = sequencers.iter().chain(&agents).collect();
        let bootstrap: Vec<String> = everybody
            .iter()
            .map(|it| format!("{}@{}", hex::encode(it.identity.mesh), it.listen))
            .collect();
        let mut processes = Vec::new();
        for (index, role) in everybody.iter().enumerate() {
            let is_agent = index >= sequencers.len();
            let number = index.saturating_sub(sequencers.len());
            let config = config_of(role, preset, &chain, &bootstrap, witness_of(number));
            let path = folder.config(&role.name);
            config.write(&path)?;
            let command = if is_agent { "run" } else { "sequencer" };
            let arguments: [&OsStr; 4] = [
                command.as_ref(),
                "--config".as_ref(),
                path.as_os_str(),
                "--die-with-parent".as_ref(),
            ];
            processes.push(Process::start(&role.name, &arguments, &folder.log(&role.name))?);
        }
        let params = preset.params.params(preset.devnet.lead_blocks);
        let sequencer = sequencers.first().context("a devnet needs a sequencer")?;
        let agent = agents.first().context("a devnet needs an agent")?;
        let clients = Clients::start(preset, &chain, cache, &sequencer.folders.socket)?;
        let watcher = Watcher::new(agent.folders.socket.clone(), chain.l1().clone());
        let window_s = params.proving_blocks * params.l1_block_s;
        let chaos = Chaos::new(plan, &sequencers, &agents);
        Ok(Self { chain, processes, clients, watcher, chaos, window_s })
    }

    /// Waits for settled slots and prints them; meanwhile what `--chaos` asks for is done.
    async fn headless(
        &mut self,
        arguments: &Arguments,
        results: &mut Results,
    ) -> anyhow::Result<u8> {
        let wanted = arguments.slots.unwrap_or(u64::MAX);
        let mut settled = 0;
        while settled < wanted {
            self.check_processes()?;
            let news = self.watcher.next(self.window_s).await?;
            let done = match self.watcher.since_reveal() {
                Some(since) => self.chaos.strike(since, &mut self.processes).await?,
                None => Vec::new(),
            };
            done.iter().try_for_each(|it| results.add(it.line(arguments.json)))?;
            match news {
                Watched::Nothing => {}
                Watched::Progress(text) => say(&text),
                Watched::Settled(report) => {
                    settled += 1;
                    results.add(report.line(arguments.json))?;
                }
                // Whoever watches the console sees it there, and decides.
                Watched::Missed(_) if !arguments.headless && arguments.slots.is_none() => {}
                Watched::Missed(slot) => {
                    let text = format!("slot {slot} was not settled within {} s", self.window_s);
                    return Err(Coded::new("DEV-002", text).exit(Exit::NotSettled).into());
                }
            }
        }
        for event in self.chaos.open() {
            say(&format!("chaos not reached: {event}"));
        }
        Ok(0)
    }

    /// Names every process that ended; agents may be killed on purpose, L1 may not.
    fn check_processes(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.chain.ended() {
            return Err(Coded::new("DEV-001", format!("the L1 node ended: {status}")).into());
        }
        for process in &mut self.processes {
            if let Some(status) = process.take_end() {
                say(&format!("{} ended: {status}", process.name()));
            }
        }
        self.clients.check()
    }

    /// The console in the foreground, attached to the first agent.
    async fn with_console(
        &mut self,
        folder: &RunFolder,
        arguments: &Arguments,
    ) -> anyhow::Result<u8> {
        let program = std::env::current_exe()?.with_file_name("coppice-console");
        telemetry::redirect(&folder.log("devnet"))?;
        let mut child = tokio::process::Command::new(&program)
            .arg("--socket")
            .arg(folder.socket("agent-1"))
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut results = Results::Kept(VecDeque::new());
        let ended = tokio::select! {
            status = child.wait() => {
                let code = status?.code().unwrap_or(1);
                Ok(u8::try_from(code).unwrap_or(1))
            }
            ended = self.headless(arguments, &mut results) => {
                stop_console(&mut child).await;
                ended
            }
        };
        results.print()?;
        ended
    }

    async fn stop(self) {
        self.clients.stop();
        for process in self.processes {
            process.stop().await;
        }
        drop(self.chain);
    }
}

impl Results {
    fn add(&mut self, line: String) -> anyhow::Result<()> {
        match self {
            Self::Printed => print_line(&line),
            Self::Kept(lines) => {
                say(&line);
                lines.push_back(line);
                if lines.len() > RESULTS_MAX {
                    lines.pop_front();
                }
                Ok(())
            }
        }
    }

    fn print(self) -> anyhow::Result<()> {
        match self {
            Self::Printed => Ok(()),
            Self::Kept(lines) => lines.iter().try_for_each(|line| print_line(line)),
        }
    }
}

/// Ends the console as a signal does, so that it gives the terminal back.
async fn stop_console(child: &mut tokio::process::Child) {
    let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(id) = id {
        // A console that is gone already needs no signal.
        let _ = kill_process(id, Signal::TERM);
    }
    // One that does not end is killed when it is dropped.
    let _ = tokio::time::timeout(CONSOLE_STOP_WAIT, child.wait()).await;
}

/// Agents 1 and 2 derive witnesses, the others fetch them (slice section 4).
const fn witness_of(agent: usize) -> WitnessSource {
    if agent < 2 { WitnessSource::Derive } else { WitnessSource::Fetch }
}

/// Folders, keys and a port for `count` processes of one kind.
fn roles(kind: &str, count: u16, folder: &RunFolder, cache: &Path) -> anyhow::Result<Vec<Role>> {
    (1..=count)
        .map(|number| {
            let name = format!("{kind}-{number}");
            let folders = folder.of(&name, cache)?;
            let identity = keys::create(&folders.identity)?;
            let listen = free_port()?;
            Ok(Role { name, folders, identity, listen })
        })
        .collect()
}

/// A UDP port of this machine that nobody uses at this moment.
fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(UdpSocket::bind("127.0.0.1:0")?.local_addr()?)
}

fn config_of(
    role: &Role,
    preset: &Preset,
    chain: &Chain,
    bootstrap: &[String],
    witness: WitnessSource,
) -> Config {
    let own = hex::encode(role.identity.mesh);
    let others = bootstrap.iter().filter(|it| !it.starts_with(&own)).cloned().collect();
    let contracts = chain.contracts();
    Config {
        name: role.name.clone(),
        network: "devnet".into(),
        folders: role.folders.clone(),
        l1: L1Config {
            endpoints: vec![chain.url().to_owned()],
            chain_id: contracts.chain_id,
            registry: contracts.registry.to_string(),
            slots: contracts.slots.to_string(),
            rewards: contracts.rewards.to_string(),
            token: contracts.token.to_string(),
            from_block: contracts.from_block,
            genesis_block: preset.devnet.lead_blocks,
        },
        mesh: MeshConfig { listen: role.listen, bootstrap: others },
        prover: ProverConfig {
            threads: preset.devnet.threads,
            proofs_at_once: preset.devnet.proofs_at_once,
            witness,
        },
        params: preset.params.clone(),
        genesis: preset.genesis.clone(),
        naming: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circuits_change_two_epochs_after_the_start() {
        assert_eq!(change_slot("12"), Ok(12));
        for wrong in ["0", "7", "-2", "soon"] {
            assert!(change_slot(wrong).is_err(), "{wrong}");
        }
        let epochs = 1 + Preset::devnet().unwrap().params.change_delay_epochs;
        assert_eq!(epochs, EPOCHS_TO_CHANGE, "the preset's delay");
    }
}
