//! Configuration: one TOML file per process, explained by its types.
//!
//! Unknown keys are refused, so that a misspelt limit is never silently the default. Secrets are
//! never in this file: it names the folder that holds the key files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use protocol::Params;
use serde::{Deserialize, Serialize};

use crate::error::{Coded, Exit};

/// The preset that `coppice-agent devnet` starts from.
pub(crate) const DEVNET: &str = include_str!("../../assets/config/devnet.toml");

/// Everything one agent or sequencer process needs to know.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Name on screens, in logs and of the socket, such as `agent-1`.
    pub(crate) name: String,
    /// Network, such as `devnet`.
    pub(crate) network: String,
    /// Where things are on disk.
    pub(crate) folders: Folders,
    /// How Ethereum is reached and where our contracts are.
    pub(crate) l1: L1Config,
    /// How other agents are reached.
    pub(crate) mesh: MeshConfig,
    /// How proofs are made here.
    pub(crate) prover: ProverConfig,
    /// The network's parameters (R16).
    pub(crate) params: Tuning,
    /// Client accounts and storage in the state tree before the first block.
    pub(crate) genesis: Genesis,
    /// Whom a sequencer names as coordinator of its blocks (R2.6); without it the deal stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) naming: Option<Naming>,
}

/// Folders and files.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Folders {
    /// Journal, index and blobs of this process alone.
    pub(crate) data: PathBuf,
    /// Key files: operator, mesh (and BLS of a sequencer).
    pub(crate) identity: PathBuf,
    /// Setup and proving keys, shared by all processes of a machine (1 GB).
    pub(crate) cache: PathBuf,
    /// The journal's outside anchor: a folder on another disk, if there is one.
    pub(crate) anchor: PathBuf,
    /// The control socket, at most 107 bytes long.
    pub(crate) socket: PathBuf,
}

/// Ethereum.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct L1Config {
    /// JSON-RPC endpoints, tried in order; two or more survive the loss of one (R9.2).
    pub(crate) endpoints: Vec<String>,
    /// Chain id, compared with what the endpoint says.
    pub(crate) chain_id: u64,
    /// Registry contract, 0x-hex.
    pub(crate) registry: String,
    /// Slots contract.
    pub(crate) slots: String,
    /// Rewards contract.
    pub(crate) rewards: String,
    /// Token of bonds and rewards.
    pub(crate) token: String,
    /// First block that can hold our events.
    pub(crate) from_block: u64,
    /// First L1 block of slot 0.
    pub(crate) genesis_block: u64,
}

/// The mesh.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MeshConfig {
    /// UDP address to listen on.
    pub(crate) listen: std::net::SocketAddr,
    /// `<mesh key, hex>@host:port` of peers to begin with.
    pub(crate) bootstrap: Vec<String>,
}

/// The leader's word about the proving of its blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Naming {
    /// Registry index of the named prover, or of the leader's own.
    pub(crate) prover: u32,
    /// Whether that prover proves alone, so that nobody is dealt anything (R14).
    #[serde(default)]
    pub(crate) alone: bool,
}

/// Where a block's witnesses come from (slice section 4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WitnessSource {
    /// From an own state tree, replayed from L1.
    Derive,
    /// From any peer, checked against L1's state root.
    Fetch,
}

/// Proving.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProverConfig {
    /// Threads of one proof.
    pub(crate) threads: u16,
    /// Proofs at once on this machine, over all agents that share `folders.cache`.
    pub(crate) proofs_at_once: u16,
    /// Where witnesses come from.
    pub(crate) witness: WitnessSource,
}

/// The state tree before the first block. Client secrets are derived from a seed, so this is only
/// for a devnet.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Genesis {
    /// Number of client accounts.
    pub(crate) clients: u16,
    /// Balance of each, in the rollup's fee token.
    pub(crate) balance: u64,
}

/// Protocol parameters as people write them: seconds where a person thinks in seconds. Names and
/// meanings are those of `protocol::Params`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tuning {
    pub(crate) l1_block_s: u64,
    pub(crate) proposal_blocks: u64,
    pub(crate) reveal_blocks: u64,
    pub(crate) proving_blocks: u64,
    pub(crate) settle_margin_blocks: u64,
    pub(crate) halting_blocks: u64,
    pub(crate) backup_blocks: u64,
    pub(crate) build_ahead_max: u64,
    pub(crate) subtree_units: u64,
    pub(crate) claim_cap_p50s: u64,
    pub(crate) beat_ms: u64,
    pub(crate) missed_beats: u64,
    pub(crate) watchers: usize,
    pub(crate) replicas_subtree: usize,
    pub(crate) replicas_crown: usize,
    pub(crate) rank_wait_ms: u64,
    pub(crate) inputs_wait_ms: u64,
    pub(crate) min_lanes: usize,
    pub(crate) submit_priority_blocks: u64,
    pub(crate) epoch_slots: u64,
    pub(crate) snapshot_lag_blocks: u64,
    pub(crate) undo_blocks_max: usize,
    pub(crate) commitment_blocks: u64,
    pub(crate) name_grace_blocks: u64,
    pub(crate) name_cover_permille: u64,
    pub(crate) t1_permille: u64,
    pub(crate) t1_dealt_permille: u64,
    pub(crate) slack_permille: u64,
    pub(crate) hot_levels: u8,
    pub(crate) hot_copies: usize,
    pub(crate) hedge_permille: u64,
    pub(crate) quarantine_provers: usize,
    pub(crate) probe: u64,
    pub(crate) carry_max: u64,
    pub(crate) coverage_full_permille: u64,
    pub(crate) coverage_min_permille: u64,
    pub(crate) suspension_max_epochs: u64,
    pub(crate) takeover_share_permille: u64,
    pub(crate) prover_share_permille: u64,
    pub(crate) sequencer_share_permille: u64,
    pub(crate) submitter_share_permille: u64,
    #[serde(with = "decimal")]
    pub(crate) payout_minimum: u128,
    #[serde(with = "decimal")]
    pub(crate) reporter_bounty: u128,
    pub(crate) burnt_permille: u64,
    pub(crate) repairer_permille: u64,
    pub(crate) no_show_permille: u64,
    pub(crate) unproven_part_permille: u64,
    pub(crate) change_delay_epochs: u64,
    pub(crate) changeover_epochs: u64,
    pub(crate) p50_s: PerKind,
    pub(crate) units: PerKind,
}

/// One number for each prover-made kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PerKind {
    pub(crate) vm: u64,
    pub(crate) kernel: u64,
    pub(crate) base: u64,
    pub(crate) merge: u64,
    pub(crate) root: u64,
}

impl PerKind {
    const fn table(self, scale: u64) -> [u64; 6] {
        [
            0,
            self.vm * scale,
            self.kernel * scale,
            self.base * scale,
            self.merge * scale,
            self.root * scale,
        ]
    }
}

impl Tuning {
    /// The core's parameters, for a network whose slot 0 starts at L1 block `genesis_block`.
    pub(crate) const fn params(&self, genesis_block: u64) -> Params {
        Params {
            l1_block_s: self.l1_block_s,
            genesis_block,
            proposal_blocks: self.proposal_blocks,
            reveal_blocks: self.reveal_blocks,
            proving_blocks: self.proving_blocks,
            settle_margin_blocks: self.settle_margin_blocks,
            halting_blocks: self.halting_blocks,
            backup_blocks: self.backup_blocks,
            build_ahead_max: self.build_ahead_max,
            p50_ms: self.p50_s.table(1000),
            units: self.units.table(1),
            subtree_units: self.subtree_units,
            claim_cap_p50s: self.claim_cap_p50s,
            beat_ms: self.beat_ms,
            missed_beats: self.missed_beats,
            watchers: self.watchers,
            replicas_subtree: self.replicas_subtree,
            replicas_crown: self.replicas_crown,
            rank_wait_ms: self.rank_wait_ms,
            inputs_wait_ms: self.inputs_wait_ms,
            min_lanes: self.min_lanes,
            submit_priority_blocks: self.submit_priority_blocks,
            epoch_slots: self.epoch_slots,
            snapshot_lag_blocks: self.snapshot_lag_blocks,
            undo_blocks_max: self.undo_blocks_max,
            commitment_blocks: self.commitment_blocks,
            name_grace_blocks: self.name_grace_blocks,
            name_cover_permille: self.name_cover_permille,
            t1_permille: self.t1_permille,
            t1_dealt_permille: self.t1_dealt_permille,
            slack_permille: self.slack_permille,
            hot_levels: self.hot_levels,
            hot_copies: self.hot_copies,
            hedge_permille: self.hedge_permille,
            quarantine_provers: self.quarantine_provers,
            probe: self.probe,
            carry_max: self.carry_max,
            coverage_full_permille: self.coverage_full_permille,
            coverage_min_permille: self.coverage_min_permille,
            suspension_max_epochs: self.suspension_max_epochs,
            takeover_share_permille: self.takeover_share_permille,
            prover_share_permille: self.prover_share_permille,
            sequencer_share_permille: self.sequencer_share_permille,
            submitter_share_permille: self.submitter_share_permille,
            payout_minimum: self.payout_minimum,
            reporter_bounty: self.reporter_bounty,
            burnt_permille: self.burnt_permille,
            repairer_permille: self.repairer_permille,
            no_show_permille: self.no_show_permille,
            unproven_part_permille: self.unproven_part_permille,
            change_delay_epochs: self.change_delay_epochs,
            changeover_epochs: self.changeover_epochs,
        }
    }
}

/// The devnet preset's file.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Preset {
    /// Protocol parameters.
    pub(crate) params: Tuning,
    /// What the contracts are deployed with.
    pub(crate) contracts: ContractsPreset,
    /// How many of each role.
    pub(crate) devnet: DevnetPreset,
    /// The state tree before the first block.
    pub(crate) genesis: Genesis,
}

/// Amounts in base units of the devnet's token (18 decimals).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ContractsPreset {
    /// What the provers of one settled slot share.
    #[serde(with = "decimal")]
    pub(crate) slot_reward: u128,
    /// Bond of one lane.
    #[serde(with = "decimal")]
    pub(crate) bond_per_lane: u128,
    /// Bond of a sequencer.
    #[serde(with = "decimal")]
    pub(crate) sequencer_bond: u128,
    /// L1 blocks between leaving and withdrawing a bond.
    pub(crate) unlock_blocks: u64,
}

/// The devnet's size.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DevnetPreset {
    /// Agents, one `vm` lane each.
    pub(crate) agents: u16,
    /// Sequencers.
    pub(crate) sequencers: u16,
    /// Clients, one tx a slot each.
    pub(crate) clients: u16,
    /// L1 blocks mined ahead before slot 0.
    pub(crate) lead_blocks: u64,
    /// Proofs at once on the machine.
    pub(crate) proofs_at_once: u16,
    /// Threads of one proof.
    pub(crate) threads: u16,
}

/// Amounts that do not fit TOML's integers are decimal strings.
mod decimal {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(value: &u128, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&value.to_string())
    }
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

impl Preset {
    /// The preset built into this binary.
    pub(crate) fn devnet() -> Result<Self, Coded> {
        parse(DEVNET, Path::new("devnet.toml"))
    }
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// `CFG-001` if it cannot be read, `CFG-002` if it does not parse, `CFG-003` if a value is
    /// outside its bounds.
    pub(crate) fn read(path: &Path) -> Result<Self, Coded> {
        let text = fs::read_to_string(path).map_err(|error| {
            config_error("CFG-001", format!("cannot read {}: {error}", path.display()))
        })?;
        let config: Self = parse(&text, path)?;
        config.check()?;
        Ok(config)
    }

    /// Writes the file (0600: it names key folders).
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
        let text = toml::to_string_pretty(self)?;
        let mut file = fs::OpenOptions::new();
        file.write(true).create(true).truncate(true).mode(0o600);
        file.open(path)?.write_all(text.as_bytes())?;
        Ok(())
    }

    fn check(&self) -> Result<(), Coded> {
        /// Longest path of a Unix socket that every system accepts.
        const SOCKET_PATH_MAX: usize = 107;
        let socket = self.folders.socket.as_os_str().len();
        if socket > SOCKET_PATH_MAX {
            let text = format!(
                "folders.socket is {socket} bytes long, at most {SOCKET_PATH_MAX} are possible; \
                 choose a shorter folder"
            );
            return Err(config_error("CFG-003", text));
        }
        if self.l1.endpoints.is_empty() {
            return Err(config_error("CFG-003", "l1.endpoints is empty; name at least one"));
        }
        if self.prover.threads == 0 || self.prover.proofs_at_once == 0 {
            let text = "prover.threads and prover.proofs_at_once must be at least 1";
            return Err(config_error("CFG-003", text));
        }
        Ok(())
    }
}

fn parse<T: for<'de> Deserialize<'de>>(text: &str, path: &Path) -> Result<T, Coded> {
    toml::from_str(text)
        .map_err(|error| config_error("CFG-002", format!("{}: {error}", path.display())))
}

fn config_error(code: &'static str, text: impl Into<String>) -> Coded {
    Coded::new(code, text).exit(Exit::Config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_devnet_preset_parses_and_holds_the_admission_bound() {
        let preset = Preset::devnet().unwrap();
        let params = preset.params.params(300);
        assert_eq!(params.p50_ms, [0, 240_000, 300_000, 300_000, 300_000, 360_000]);
        assert_eq!(params.units, [0, 10, 173, 175, 173, 209]);
        // R3.3 for two txs, one with a call: vm, kernel, base, merge, root one after the other.
        let bound_s = params.p50_ms.iter().sum::<u64>() / 1000;
        let asked_s = bound_s * 12 / 10 + 2 * 360 + 10;
        let window_s = params.proving_blocks * params.l1_block_s;
        assert!(asked_s <= window_s, "{asked_s} s asked, {window_s} s there");
        assert_eq!(preset.contracts.slot_reward, 100 * 10_u128.pow(18));
    }

    #[test]
    fn a_sequencer_may_name_a_prover_and_need_not() {
        #[derive(Deserialize)]
        struct Part {
            #[serde(default)]
            naming: Option<Naming>,
        }
        let read = |text: &str| toml::from_str::<Part>(text).unwrap().naming;
        assert_eq!(read(""), None);
        let named = Naming { prover: 2, alone: false };
        assert_eq!(read("[naming]\nprover = 2"), Some(named));
        let alone = Naming { alone: true, ..named };
        assert_eq!(read("[naming]\nprover = 2\nalone = true"), Some(alone));
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let text = DEVNET.replace("beat_ms", "beet_ms");
        let error = parse::<Preset>(&text, Path::new("x.toml")).unwrap_err();
        assert_eq!(error.code(), "CFG-002");
        assert!(error.to_string().contains("beet_ms"), "{error}");
    }
}
