//! The devnet's L1: node, contracts, registrations.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use circuits::setup::leaf::proof_bytes;
use protocol::{Address, Kind};

use super::Role;
use crate::{
    cmd::keys,
    config::Preset,
    l1::{
        L1,
        anvil::{Anvil, DEVNET_CHAIN},
        calls::ProverEntry,
        client::Contracts,
        deploy::{Plan, SetPlan, Setup, deploy, set_plan, slots_address},
        send::{Intent, IntentLog, Receipt, SendPolicy, Sender, Signed, Tx, account_of},
        vrf::VrfKey,
    },
    prover::sets::{KeySets, REVISIONS},
    rollup::{
        execute::Programs,
        genesis::{domain, first_state},
        state::genesis_root,
    },
    shell::start::{coded, key_folder, key_folder_of},
};

/// Ether of every account: gas for years.
const WEI: u128 = 1_000 * 10_u128.pow(18);
/// Slots whose rewards are in the contract at the start.
const REWARD_SLOTS: u128 = 10_000;

/// A running L1 with our contracts and everybody registered.
pub(crate) struct Chain {
    anvil: Anvil,
    l1: L1,
    keys: Arc<KeySets>,
}

/// Which circuit sets the network has, by their numbers (R13).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    /// The release's own set, for good.
    Never,
    /// Then the next one, announced at the start.
    Announced,
}

impl Chain {
    /// Starts the node, deploys, registers, and mines up to slot 0.
    pub(crate) async fn start(
        preset: &Preset,
        cache: &Path,
        change: Change,
        (agents, sequencers): (&[Role], &[Role]),
    ) -> anyhow::Result<Self> {
        // Keys of changed circuits would be found out only by L1, after ten minutes of proving.
        key_folder(cache, DEVNET_CHAIN)?.check_pins()?;
        let keys = KeySets::open(cache, DEVNET_CHAIN)?;
        let sets = sets(cache, &keys, change)?;
        let anvil = Anvil::start().await.map_err(coded)?;
        for role in agents.iter().chain(sequencers) {
            anvil.set_wei(role.identity.operator, WEI).await.map_err(coded)?;
        }
        let plan = plan(preset, (&keys, sets), &anvil, (agents, sequencers))?;
        let deployer = anvil.rich().map_err(coded)?;
        let contracts = deploy(anvil.url(), &deployer, &plan).await.map_err(coded)?;
        let expected = slots_address(account_of(&deployer).map_err(coded)?);
        anyhow::ensure!(contracts.slots == expected, "Slots stands at another address");
        let endpoints = [anvil.url().to_owned()];
        let l1 = L1::connect(&endpoints, contracts).await.map_err(coded)?;
        for role in agents {
            register_agent(&l1, role, preset).await.with_context(|| role.name.clone())?;
        }
        for role in sequencers {
            register_sequencer(&l1, role, preset).await.with_context(|| role.name.clone())?;
        }
        let block_s = preset.params.l1_block_s;
        anvil.mine_to(preset.devnet.lead_blocks, block_s).await.map_err(coded)?;
        anvil.mine_every(block_s).await.map_err(coded)?;
        Ok(Self { anvil, l1, keys: Arc::new(keys) })
    }

    /// JSON-RPC endpoint.
    pub(crate) fn url(&self) -> &str {
        self.anvil.url()
    }
    /// Where the contracts are.
    pub(crate) const fn contracts(&self) -> &Contracts {
        &self.l1.contracts
    }
    /// A connection.
    pub(crate) const fn l1(&self) -> &L1 {
        &self.l1
    }
    /// Verifying keys of the network's circuit sets.
    pub(crate) fn keys(&self) -> &Arc<KeySets> {
        &self.keys
    }
    /// How the node ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.anvil.ended()
    }
}

/// What L1 is told of the first circuit set, and of the next.
fn sets(
    cache: &Path,
    keys: &KeySets,
    change: Change,
) -> anyhow::Result<(SetPlan, Option<SetPlan>)> {
    let first = set_plan(keys.first()).map_err(coded)?;
    let next = match change {
        Change::Never => None,
        Change::Announced => {
            let folder = key_folder_of(cache, DEVNET_CHAIN, REVISIONS[1])?;
            Some(set_plan(&folder.verifying_keys()?).map_err(coded)?)
        }
    };
    Ok((first, next))
}

fn plan(
    preset: &Preset,
    (keys, (set, next_set)): (&KeySets, (SetPlan, Option<SetPlan>)),
    anvil: &Anvil,
    (agents, sequencers): (&[Role], &[Role]),
) -> anyhow::Result<Plan> {
    let deployer = account_of(&anvil.rich().map_err(coded)?).map_err(coded)?;
    let slots = slots_address(deployer);
    let programs = Programs::release()?;
    let genesis = first_state(&preset.genesis, domain(DEVNET_CHAIN, slots), &programs)?;
    let contracts = &preset.contracts;
    let grant = contracts.bond_per_lane.max(contracts.sequencer_bond) * 16;
    let everybody = agents.iter().chain(sequencers);
    Ok(Plan {
        params: preset.params.params(preset.devnet.lead_blocks),
        setup: Setup::Insecure,
        set,
        next_set,
        state_root: genesis_root(&genesis)?,
        tx_proof_bytes: u32::try_from(proof_bytes(keys.first(), Kind::Tx))?,
        slot_reward: contracts.slot_reward,
        lane_bond: contracts.bond_per_lane,
        sequencer_bond: contracts.sequencer_bond,
        unlock_blocks: contracts.unlock_blocks,
        grants: everybody.map(|role| (role.identity.operator, grant)).collect(),
        reward_fund: contracts.slot_reward * REWARD_SLOTS,
    })
}

/// One `vm` lane each; the operator is its own payout address on a devnet.
async fn register_agent(l1: &L1, role: &Role, preset: &Preset) -> anyhow::Result<()> {
    let secrets = keys::load(&role.folders.identity)?;
    let sender = sender(l1, secrets.operator())?;
    let entry = ProverEntry {
        operator: role.identity.operator,
        mesh_key: role.identity.mesh,
        payout: role.identity.operator,
        rollup: 0,
        vm: 1,
    };
    let bond = preset.contracts.bond_per_lane;
    sender.send(l1.contracts.approve(bond)).await.map_err(coded)?;
    sender.send(l1.contracts.register(&entry)).await.map_err(coded)?;
    Ok(())
}

async fn register_sequencer(l1: &L1, role: &Role, preset: &Preset) -> anyhow::Result<()> {
    let secrets = keys::load(&role.folders.identity)?;
    let sender = sender(l1, secrets.operator())?;
    let vrf = VrfKey::from_secret(secrets.bls()?).map_err(coded)?;
    let owner: Address = sender.account();
    let proof = vrf.possession(DEVNET_CHAIN, l1.contracts.registry, owner);
    let call = l1.contracts.register_sequencer(vrf.public(), proof, role.identity.mesh);
    sender.send(l1.contracts.approve(preset.contracts.sequencer_bond)).await.map_err(coded)?;
    sender.send(call).await.map_err(coded)?;
    Ok(())
}

fn sender(l1: &L1, secret: &[u8; 32]) -> anyhow::Result<Sender> {
    let log = Arc::new(Remembered::default());
    Ok(Sender::start(l1.clone(), secret, log, SendPolicy::for_blocks(1, 0)).map_err(coded)?)
}

/// Intents of the devnet's set-up live as long as its chain: in memory. Everything after it goes
/// through each process's journal.
#[derive(Default)]
struct Remembered(Mutex<Vec<Tx>>);

impl Remembered {
    fn update(&self, nonce: u64, change: impl FnOnce(&mut Tx)) {
        let mut txs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tx) = txs.iter_mut().find(|it| it.intent.nonce == nonce) {
            change(tx);
        }
    }
}

impl IntentLog for Remembered {
    fn intent(&self, intent: &Intent) -> Result<(), String> {
        let mut txs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        txs.push(Tx { intent: intent.clone(), signed: Vec::new(), receipt: None });
        Ok(())
    }
    fn signed(&self, signed: &Signed) -> Result<(), String> {
        self.update(signed.nonce, |tx| tx.signed.push(signed.clone()));
        Ok(())
    }
    fn receipt(&self, receipt: &Receipt) -> Result<(), String> {
        self.update(receipt.nonce, |tx| tx.receipt = Some(*receipt));
        Ok(())
    }
    fn txs(&self) -> Result<Vec<Tx>, String> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}
