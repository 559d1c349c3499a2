//! What every long-running process of ours begins with: keys, store, L1, mesh.
//!
//! In this order, because each needs the one before: the data folder is locked before anything is
//! signed, and the mesh opens last, when there is something to say.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use circuits::setup::{folder::REVISION, keys::KeyFolder, leaf::proof_bytes};
use protocol::{Kind, ProverId};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use wire::{Domain, Signer};

use super::{blocks::Blocks, intents::Journal, parse_address, serving::Serving};
use crate::{
    cmd::keys::{self, AgentKeys},
    config::{Config, WitnessSource},
    error::{Coded, Exit},
    l1::{
        L1,
        anvil::DEVNET_CHAIN,
        client::Contracts,
        follow::{Cursor, Follower, follow},
        send::{SendPolicy, Sender},
    },
    mesh::{Bootstrap, Members, Mesh, MeshConfig, MeshEvent, MeshKey},
    prover::sets::KeySets,
    rollup::{
        execute::Programs,
        genesis::{domain, first_state},
    },
    store::{Options, Restored, Store},
};

/// The parts that agents and sequencers share.
pub(crate) struct Base {
    pub(crate) config: Config,
    pub(crate) secrets: AgentKeys,
    pub(crate) keys: Arc<KeySets>,
    pub(crate) programs: Arc<Programs>,
    pub(crate) proof_bytes: usize,
    pub(crate) store: Store,
    pub(crate) restored: Restored,
    pub(crate) serving: Arc<Serving>,
    pub(crate) l1: L1,
    pub(crate) sender: Sender,
    pub(crate) blocks: Blocks,
    pub(crate) domain: Domain,
    pub(crate) signer: Signer,
    pub(crate) mesh: Mesh,
    pub(crate) mesh_events: mpsc::Receiver<MeshEvent>,
    pub(crate) members: watch::Sender<Arc<Members>>,
    pub(crate) follower: Follower,
}

/// The contracts a configuration names.
///
/// # Errors
/// `CFG-004` for text that is no address.
pub(crate) fn contracts(config: &Config) -> Result<Contracts, Coded> {
    let l1 = &config.l1;
    Ok(Contracts {
        chain_id: l1.chain_id,
        registry: parse_address(&l1.registry)?,
        slots: parse_address(&l1.slots)?,
        rewards: parse_address(&l1.rewards)?,
        token: parse_address(&l1.token)?,
        from_block: l1.from_block,
    })
}

/// The folder of keys for this chain's setup. Only a devnet has an insecure one.
///
/// # Errors
/// `SRS-001` on any other chain for which no setup was imported.
pub(crate) fn key_folder(cache: &Path, chain_id: u64) -> Result<KeyFolder, Coded> {
    key_folder_of(cache, chain_id, REVISION)
}

/// The same for the keys of the circuit set with this number (R13).
///
/// # Errors
/// As [`key_folder`].
pub(crate) fn key_folder_of(
    cache: &Path,
    chain_id: u64,
    revision: u32,
) -> Result<KeyFolder, Coded> {
    let folder = KeyFolder::of_chain_revision(cache, chain_id, revision);
    folder.map_err(|error| Coded::new(error.code(), error.to_string()))
}

/// Starts everything that both roles need.
///
/// # Errors
/// Coded ones, each with the exit code of its kind.
pub(crate) async fn base(config: Config, source: WitnessSource) -> anyhow::Result<Base> {
    let secrets = keys::load(&config.folders.identity)?;
    secrets.check_chain(config.l1.chain_id)?;
    let keys = load_verifying_keys(&config).await?;
    let (store, restored) = open_store(&config)?;
    let contracts = contracts(&config)?;
    let l1 = L1::connect(&config.l1.endpoints, contracts).await.map_err(coded)?;
    let policy = SendPolicy::for_blocks(config.params.l1_block_s, 0);
    let log = Arc::new(Journal::new(store.clone(), restored.txs.clone()));
    let sender = Sender::start(l1.clone(), secrets.operator(), log, policy).map_err(coded)?;
    let programs = Arc::new(Programs::release().context("the release's programs")?);
    let tx_bytes = proof_bytes(keys.first(), Kind::Tx);
    let blocks = blocks(&config, source, &programs, tx_bytes)?;
    let domain = Domain::new(contracts.chain_id, contracts.registry);
    let signer = Signer::new(secrets.operator())?;
    let serving = Arc::new(Serving::new(store.clone()));
    let (members, receiver) = watch::channel(Arc::new(Members::default()));
    let bootstrap = config.mesh.bootstrap.iter().map(|it| {
        let parsed = it.parse::<Bootstrap>();
        parsed.map_err(|error| Coded::new(error.code(), error.to_string()).exit(Exit::Config))
    });
    let (mesh, mesh_events) = Mesh::start(MeshConfig {
        key: MeshKey::new(secrets.mesh())?,
        listen: config.mesh.listen,
        advertise: None,
        bootstrap: bootstrap.collect::<Result<_, _>>()?,
        domain,
        members: receiver,
        blobs: Arc::clone(&serving) as Arc<dyn crate::mesh::BlobSource>,
        disturbable: contracts.chain_id == DEVNET_CHAIN,
    })
    .map_err(|error| Coded::new(error.code(), error.to_string()).exit(Exit::Config))?;
    let cursor = Cursor { from: contracts.from_block, delivered: Vec::new() };
    let poll = Duration::from_millis(config.params.l1_block_s.clamp(1, 12) * 250);
    let follower = follow(l1.clone(), cursor, poll);
    Ok(Base {
        config,
        secrets,
        keys,
        programs,
        proof_bytes: tx_bytes,
        store,
        restored,
        serving,
        l1,
        sender,
        blocks,
        domain,
        signer,
        mesh,
        mesh_events,
        members,
        follower,
    })
}

async fn load_verifying_keys(config: &Config) -> anyhow::Result<Arc<KeySets>> {
    let (cache, chain_id) = (config.folders.cache.clone(), config.l1.chain_id);
    let loaded = tokio::task::spawn_blocking(move || KeySets::open(&cache, chain_id)).await?;
    let loaded = loaded.map_err(|error| {
        let text = format!("{error}; run `coppice-agent setup keys` first");
        Coded::new(error.code(), text).exit(Exit::Config)
    })?;
    Ok(Arc::new(loaded))
}

fn open_store(config: &Config) -> anyhow::Result<(Store, Restored)> {
    let folders = &config.folders;
    let opened = Store::open(&folders.data, &folders.anchor, Options::default());
    let (store, restored) = opened.map_err(Coded::from)?;
    if restored.torn_bytes > 0 {
        let bytes = restored.torn_bytes;
        tracing::warn!(bytes, "the journal's last record was torn and is cut off");
    }
    if let Some(why) = &restored.rebuilt {
        tracing::warn!(why, "the index was rebuilt from the journal");
    }
    Ok((store, restored))
}

fn blocks(
    config: &Config,
    source: WitnessSource,
    programs: &Arc<Programs>,
    proof_bytes: usize,
) -> anyhow::Result<Blocks> {
    let slots = parse_address(&config.l1.slots)?;
    let domain = domain(config.l1.chain_id, slots);
    let state = first_state(&config.genesis, domain, programs)?;
    Ok(Blocks::new(source, &state, Arc::clone(programs), proof_bytes)?)
}

/// The registry index of this operator, if it is registered.
///
/// # Errors
/// Of L1.
pub(crate) async fn own_prover(base: &Base) -> anyhow::Result<Option<ProverId>> {
    let operator = base.signer.address();
    Ok(base.l1.find_prover(operator).await.map_err(coded)?)
}

/// Ends the loop when the follower does, which is only ever with a reason.
pub(crate) fn watch_follower(
    follower: JoinHandle<Result<(), crate::l1::L1Error>>,
    stop: mpsc::Sender<anyhow::Result<()>>,
) {
    tokio::spawn(async move {
        let ended = follower.await.map_err(anyhow::Error::from);
        // Nobody listens only when the loop has ended already.
        let _ = stop.send(ended.and_then(|it| it.map_err(|error| coded(error).into()))).await;
    });
}

/// An L1 error as the operator sees it.
pub(crate) fn coded(error: crate::l1::L1Error) -> Coded {
    let text = error.to_string();
    // These errors begin with their code, as logs show them; here it comes from the type.
    let bare = text.strip_prefix(error.code()).and_then(|rest| rest.strip_prefix(": "));
    Coded::new(error.code(), bare.unwrap_or(&text))
}
