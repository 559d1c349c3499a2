//! Tests against a running chain: a fresh anvil for each, with our contracts on it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use protocol::{Address, Params};

use super::{
    L1, L1Error,
    anvil::Anvil,
    client::Contracts,
    deploy::{Plan, SetPlan, Setup, deploy},
    send::{Intent, IntentLog, Receipt, SendPolicy, Sender, Signed, Tx, account_of},
};
use crate::config::Preset;

mod flow;
mod follower;
mod sender;

/// Creation code of a contract whose whole code is STOP: it accepts every root proof, as a
/// verifier does the right ones.
const ALWAYS: [u8; 5] = [0x60, 0x01, 0x60, 0x00, 0xf3];
const COIN: u128 = 1_000_000_000_000_000_000;
/// The circuit set at the start.
const SET: protocol::Word = [1; 32];
const GENESIS: u64 = 120;
const ROOT_PROOF_BYTES: u32 = 12 * 32 + 64;
const TX_PROOF_BYTES: u32 = 40;

/// A chain with our contracts, and some funded accounts.
struct World {
    chain: Anvil,
    contracts: Contracts,
    l1: L1,
}

impl World {
    async fn start() -> Self {
        Self::start_with(&plan()).await
    }

    async fn start_with(plan: &Plan) -> Self {
        let chain = Anvil::start().await.unwrap();
        let contracts = deploy(chain.url(), &chain.rich().unwrap(), plan).await.unwrap();
        for name in 1..=4 {
            chain.set_wei(account(name), COIN).await.unwrap();
        }
        let l1 = L1::connect(&[chain.url().to_owned()], contracts).await.unwrap();
        Self { chain, contracts, l1 }
    }

    fn sender(&self, name: u8) -> Sender {
        self.sender_over(self.l1.clone(), name, Arc::new(MemoryLog::default()))
    }

    fn sender_over(&self, l1: L1, name: u8, log: Arc<MemoryLog>) -> Sender {
        Sender::start(l1, &secret(name), log, policy()).unwrap()
    }
}

fn secret(name: u8) -> [u8; 32] {
    [name; 32]
}

fn account(name: u8) -> Address {
    account_of(&secret(name)).unwrap()
}

fn params() -> Params {
    Preset::devnet().unwrap().params.params(GENESIS)
}

/// A set whose verifier accepts everything.
fn set_plan(id: protocol::Word) -> SetPlan {
    SetPlan { id, verifier: ALWAYS.to_vec(), root_proof_bytes: ROOT_PROOF_BYTES }
}

fn plan() -> Plan {
    Plan {
        params: params(),
        setup: Setup::Insecure,
        set: set_plan(SET),
        next_set: None,
        state_root: [2; 32],
        tx_proof_bytes: TX_PROOF_BYTES,
        slot_reward: 100 * COIN,
        lane_bond: 100 * COIN,
        sequencer_bond: 1_000 * COIN,
        unlock_blocks: 100,
        grants: (1..=4).map(|name| (account(name), 10_000 * COIN)).collect(),
        reward_fund: 1_000 * COIN,
    }
}

/// Quick looks; a replacement after 300 ms.
const fn policy() -> SendPolicy {
    SendPolicy {
        poll: Duration::from_millis(5),
        bump_after: Duration::from_millis(300),
        confirmations: 0,
        tip_floor: 10_000_000,
        fee_cap: 500_000_000_000,
    }
}

/// A log that outlives its senders.
#[derive(Default)]
struct MemoryLog(Mutex<BTreeMap<u64, Tx>>);

impl MemoryLog {
    fn all(&self) -> Vec<Tx> {
        self.0.lock().unwrap().values().cloned().collect()
    }
}

impl IntentLog for MemoryLog {
    fn intent(&self, intent: &Intent) -> Result<(), String> {
        let mut txs = self.0.lock().unwrap();
        let signed = txs.remove(&intent.nonce).map_or_else(Vec::new, |tx| tx.signed);
        txs.insert(intent.nonce, Tx { intent: intent.clone(), signed, receipt: None });
        Ok(())
    }
    fn signed(&self, signed: &Signed) -> Result<(), String> {
        let mut txs = self.0.lock().unwrap();
        let tx = txs.get_mut(&signed.nonce).ok_or("signed without an intent")?;
        tx.signed.push(signed.clone());
        Ok(())
    }
    fn receipt(&self, receipt: &Receipt) -> Result<(), String> {
        let mut txs = self.0.lock().unwrap();
        let tx = txs.get_mut(&receipt.nonce).ok_or("a receipt without an intent")?;
        tx.receipt = Some(*receipt);
        Ok(())
    }
    fn txs(&self) -> Result<Vec<Tx>, String> {
        Ok(self.all())
    }
}

/// Repeats `look` until it finds something; fails after ten seconds.
async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    for _ in 0..2_000 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what} did not happen");
}

#[tokio::test]
async fn the_insecure_setup_is_refused_off_the_devnet() {
    let chain = Anvil::start().await.unwrap();
    chain.ask::<_, serde_json::Value>("anvil_setChainId", (1,)).await.unwrap();
    let error = deploy(chain.url(), &chain.rich().unwrap(), &plan()).await.unwrap_err();
    assert!(matches!(error, L1Error::InsecureSetup { chain_id: 1 }), "{error}");
    let ceremony = Plan { setup: Setup::Ceremony, ..plan() };
    let error = deploy(chain.url(), &chain.rich().unwrap(), &ceremony).await.unwrap_err();
    assert_eq!(error.code(), "L1-010", "the devnet's token is refused too: {error}");
}

#[tokio::test]
async fn another_chain_is_refused() {
    let world = World::start().await;
    let contracts = Contracts { chain_id: 5, ..world.contracts };
    let error = L1::connect(&[world.chain.url().to_owned()], contracts).await.err().unwrap();
    assert_eq!(error.code(), "L1-003");
    let error = L1::connect(&["nowhere".to_owned()], contracts).await.err().unwrap();
    assert_eq!(error.code(), "L1-001");
}

#[tokio::test]
async fn a_dead_endpoint_costs_nothing_but_a_look() {
    let world = World::start().await;
    let endpoints = ["http://127.0.0.1:9".to_owned(), world.chain.url().to_owned()];
    let l1 = L1::connect(&endpoints, world.contracts).await.unwrap();
    let head = world.l1.head().await.unwrap();
    for _ in 0..50 {
        assert_eq!(l1.head().await.unwrap(), head);
    }
}

#[tokio::test]
async fn the_chain_ends_with_us_and_has_the_time_of_day() {
    let mut chain = Anvil::start().await.unwrap();
    assert!(chain.ended().is_none());
    chain.mine_to(300, 2).await.unwrap();
    chain.mine(1, 2).await.unwrap();
    let contracts = Contracts { chain_id: 31337, ..plan_contracts() };
    let l1 = L1::connect(&[chain.url().to_owned()], contracts).await.unwrap();
    let head = l1.head().await.unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(head.number, 301);
    assert!(head.time.abs_diff(now.as_secs()) <= 3, "{} and {}", head.time, now.as_secs());
    assert_eq!(l1.block_hash(0).await.unwrap(), chain.genesis());
    let id = chain.id().unwrap();
    drop(chain);
    eventually("the end of anvil", || async {
        let status = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        (status.is_empty() || status.contains(") Z ")).then_some(())
    })
    .await;
}

fn plan_contracts() -> Contracts {
    let nobody = Address::default();
    Contracts {
        chain_id: 0,
        registry: nobody,
        slots: nobody,
        rewards: nobody,
        token: nobody,
        from_block: 0,
    }
}
