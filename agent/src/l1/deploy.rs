//! Putting our contracts on a chain, in the one order in which they can name each other.

use alloy::{
    network::EthereumWallet,
    network::TransactionBuilder as _,
    primitives::{Address as EvmAddress, Bytes, U256},
    providers::{DynProvider, Provider as _, ProviderBuilder},
    rpc::{client::RpcClient, types::TransactionRequest},
    signers::local::PrivateKeySigner,
};
use circuits::setup::{evm, keys::VerifyingKeys, leaf::proof_bytes};
use protocol::{Address, Kind, Params, Word};

use super::{
    L1Error,
    anvil::DEVNET_CHAIN,
    bindings::{PoseidonT3, Registry, Rewards, Slots, Token},
    client::{Contracts, evm, http},
};

/// Who knows the secret of the proof system's setup.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Setup {
    /// Everybody: it was made from a constant.
    Insecure,
    /// Nobody: it comes from a ceremony.
    Ceremony,
}

/// What a network is deployed with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Plan {
    /// Phases and bounds; `genesis_block` is the first block of slot 0.
    pub(crate) params: Params,
    /// Kind of setup that the verifier was generated for.
    pub(crate) setup: Setup,
    /// The first circuit set, valid from the start.
    pub(crate) set: SetPlan,
    /// Announced by the deployer at once, before slot 0 (R13).
    pub(crate) next_set: Option<SetPlan>,
    /// State root before the first block.
    pub(crate) state_root: Word,
    /// Bytes of every tx proof.
    pub(crate) tx_proof_bytes: u32,
    /// Base units that the provers of a slot share.
    pub(crate) slot_reward: u128,
    /// Base units bonded per lane.
    pub(crate) lane_bond: u128,
    /// Base units bonded per sequencer.
    pub(crate) sequencer_bond: u128,
    /// Blocks between leaving and withdrawing.
    pub(crate) unlock_blocks: u64,
    /// Accounts that get tokens, and how many.
    pub(crate) grants: Vec<(Address, u128)>,
    /// Base units in the reward contract at the start.
    pub(crate) reward_fund: u128,
}

/// A circuit set as L1 takes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SetPlan {
    /// Setup and keys, as `root` exposes them.
    pub(crate) id: Word,
    /// Creation code of the set's root verifier.
    pub(crate) verifier: Vec<u8>,
    /// Bytes of `settle`'s proof: 384 of accumulator and the transcript.
    pub(crate) root_proof_bytes: u32,
}

/// Bytes of a root's accumulator words, which come first in `settle`'s proof.
const ACCUMULATOR_BYTES: usize = 384;
/// Puts on the chain, as a contract, what follows these ten bytes: PUSH2 length, DUP1, PUSH1 10,
/// PUSH0, CODECOPY, PUSH0, RETURN.
const CREATE: [u8; 10] = [0x61, 0, 0, 0x80, 0x60, 10, 0x5f, 0x39, 0x5f, 0xf3];
/// The root verifier as it was generated, and as it was compiled and committed.
const ROOT_SOURCE: &str = include_str!("../../../assets/contracts/src/RootVerifier.sol");
const ROOT_VERIFIER: &str = include_str!("../../../assets/abi/RootVerifier.json");
/// Contracts deployed before `Slots`: token, hash, verifier, registry, rewards.
const BEFORE_SLOTS: u64 = 5;

/// What L1 is told of the circuit set of these keys: the committed verifier's code with their root
/// key behind it. Computes the verifier's source, which takes a second.
///
/// # Errors
/// `L1-014` if the committed verifier is not that of the keys' family, `L1-010` if it is too long.
pub(crate) fn set_plan(keys: &VerifyingKeys) -> Result<SetPlan, L1Error> {
    let failed = |why: String| L1Error::Deploy { contract: "the root verifier", why };
    if evm::solidity(keys).map_err(failed)?.trim() != ROOT_SOURCE.trim() {
        return Err(L1Error::OtherVerifier { set: hex::encode(keys.set_id()) });
    }
    let committed: serde_json::Value = serde_json::from_str(ROOT_VERIFIER).unwrap_or_default();
    let runtime = committed["runtime"].as_str().unwrap_or_default().trim_start_matches("0x");
    let mut code = hex::decode(runtime).map_err(|e| failed(e.to_string()))?;
    code.extend(evm::key_data(keys));
    let root_bytes = ACCUMULATOR_BYTES + proof_bytes(keys, Kind::Root);
    let root_proof_bytes = u32::try_from(root_bytes).map_err(|e| failed(e.to_string()))?;
    let verifier = creation(&code).ok_or_else(|| failed(format!("{} bytes", code.len())))?;
    Ok(SetPlan { id: keys.set_id(), verifier, root_proof_bytes })
}

/// Creation code of a contract with this code.
fn creation(code: &[u8]) -> Option<Vec<u8>> {
    let mut head = CREATE;
    head[1..3].copy_from_slice(&u16::try_from(code.len()).ok()?.to_be_bytes());
    Some([&head, code].concat())
}

/// Where `Slots` will stand when `deployer`, who sent nothing before, deploys: what the first
/// state root depends on.
pub(crate) fn slots_address(deployer: Address) -> Address {
    Address(evm(deployer).create(BEFORE_SLOTS).into_array())
}

/// Supply of the devnet's token: a billion.
const SUPPLY: u128 = 1_000_000_000 * 10_u128.pow(18);

/// Deploys the token, the hash, the verifier, `Registry`, `Rewards` and `Slots` from the account
/// of `secret`, pays out the grants and fills the reward contract.
///
/// # Errors
/// `L1-011` for the insecure setup anywhere but on chain 31337; `L1-010` if a contract refuses its
/// parameters; `L1-002` if the chain does not answer.
pub(crate) async fn deploy(
    url: &str,
    secret: &[u8; 32],
    plan: &Plan,
) -> Result<Contracts, L1Error> {
    let deployer = Deployer::connect(url, secret).await?;
    if plan.setup == Setup::Insecure && deployer.chain_id != DEVNET_CHAIN {
        return Err(L1Error::InsecureSetup { chain_id: deployer.chain_id });
    }
    let from_block = deployer.provider.get_block_number().await;
    let from_block = from_block.map_err(|e| L1Error::rpc("the head", e))?;
    let token = deployer.token().await?;
    let base = Base {
        token,
        poseidon: deployer.create("PoseidonT3", PoseidonT3::BYTECODE.clone()).await?,
        verifier: deployer.create("the root verifier", plan.set.verifier.clone().into()).await?,
        registry: deployer.registry(token, plan).await?,
    };
    let (rewards, slots) = deployer.slots(&base, plan).await?;
    if let Some(next) = &plan.next_set {
        deployer.announce(slots, next).await?;
    }
    deployer.pay(token, rewards, plan).await?;
    let address = |it: EvmAddress| Address(it.into_array());
    Ok(Contracts {
        chain_id: deployer.chain_id,
        registry: address(base.registry),
        slots: address(slots),
        rewards: address(rewards),
        token: address(token),
        from_block,
    })
}

/// What `Rewards` and `Slots` stand on.
struct Base {
    token: EvmAddress,
    poseidon: EvmAddress,
    verifier: EvmAddress,
    registry: EvmAddress,
}

/// Gas of one transaction that does nothing but verify a root proof: `verifier` is the contract's
/// creation code and the calldata of the proof.
///
/// # Errors
/// `L1-010` if the contract cannot be created or refuses the proof.
pub(crate) async fn verification_gas(
    url: &str,
    secret: &[u8; 32],
    verifier: (Vec<u8>, Vec<u8>),
) -> Result<u64, L1Error> {
    let failed = |why: String| L1Error::Deploy { contract: "the root verifier", why };
    let deployer = Deployer::connect(url, secret).await?;
    let address = deployer.create("the root verifier", verifier.0.into()).await?;
    let request = TransactionRequest::default().with_to(address).with_input(verifier.1);
    let sent = deployer.provider.send_transaction(request).await;
    let receipt = sent.map_err(|e| failed(e.to_string()))?.get_receipt().await;
    let receipt = receipt.map_err(|e| failed(e.to_string()))?;
    if !receipt.status() {
        return Err(failed("it refuses the proof".into()));
    }
    Ok(receipt.gas_used)
}

struct Deployer {
    provider: DynProvider,
    account: EvmAddress,
    chain_id: u64,
}

impl Deployer {
    async fn connect(url: &str, secret: &[u8; 32]) -> Result<Self, L1Error> {
        let signer = PrivateKeySigner::from_slice(secret)
            .map_err(|_| L1Error::Key("the deployer's secret"))?;
        let account = signer.address();
        let parsed = reqwest::Url::parse(url)
            .map_err(|error| L1Error::Endpoint { url: url.to_owned(), why: error.to_string() })?;
        let client = RpcClient::new(http(parsed)?, true);
        client.set_poll_interval(std::time::Duration::from_millis(10));
        let provider = ProviderBuilder::new()
            .wallet(EthereumWallet::from(signer))
            .connect_client(client)
            .erased();
        let chain_id = provider.get_chain_id().await.map_err(|e| L1Error::rpc("chain id", e))?;
        Ok(Self { provider, account, chain_id })
    }

    async fn create(&self, contract: &'static str, code: Bytes) -> Result<EvmAddress, L1Error> {
        let failed = |why: String| L1Error::Deploy { contract, why };
        let request = TransactionRequest::default().with_deploy_code(code);
        let sent = self.provider.send_transaction(request).await;
        let sent = sent.map_err(|e| failed(e.to_string()))?;
        let receipt = sent.get_receipt().await.map_err(|e| failed(e.to_string()))?;
        let created = receipt.contract_address.filter(|_| receipt.status());
        created.ok_or_else(|| failed("its constructor reverted".into()))
    }

    async fn token(&self) -> Result<EvmAddress, L1Error> {
        let failed =
            |e: alloy::contract::Error| L1Error::Deploy { contract: "Token", why: e.to_string() };
        let token = Token::deploy(self.provider.clone(), U256::from(SUPPLY)).await;
        token.map(|it| *it.address()).map_err(failed)
    }

    async fn registry(&self, token: EvmAddress, plan: &Plan) -> Result<EvmAddress, L1Error> {
        let registry = Registry::deploy(
            self.provider.clone(),
            token,
            U256::from(plan.lane_bond),
            U256::from(plan.sequencer_bond),
            plan.unlock_blocks,
        );
        registry
            .await
            .map(|it| *it.address())
            .map_err(|e| L1Error::Deploy { contract: "Registry", why: e.to_string() })
    }

    /// `Rewards` and `Slots` name each other: the second one's address follows from our nonce.
    async fn slots(&self, base: &Base, plan: &Plan) -> Result<(EvmAddress, EvmAddress), L1Error> {
        let nonce = self.provider.get_transaction_count(self.account).await;
        let nonce = nonce.map_err(|e| L1Error::rpc("the nonce", e))?;
        let expected = self.account.create(nonce + 1);
        let provider = self.provider.clone();
        let rewards = Rewards::deploy(provider, base.token, base.poseidon, expected).await;
        let rewards = rewards
            .map(|it| *it.address())
            .map_err(|e| L1Error::Deploy { contract: "Rewards", why: e.to_string() })?;
        let (provider, params) = (self.provider.clone(), params(plan, self.account)?);
        let slots = Slots::deploy(provider, base.registry, rewards, base.verifier, params).await;
        let slots = slots
            .map(|it| *it.address())
            .map_err(|e| L1Error::Deploy { contract: "Slots", why: e.to_string() })?;
        Ok((rewards, slots))
    }

    /// Announces the next circuit set: a deployer governs its own network.
    async fn announce(&self, slots: EvmAddress, next: &SetPlan) -> Result<(), L1Error> {
        let verifier = self.create("the next root verifier", next.verifier.clone().into()).await?;
        let (id, length) = (U256::from_be_bytes(next.id), next.root_proof_bytes);
        let failed = |why: String| L1Error::Deploy { contract: "the next circuit set", why };
        let slots = Slots::new(slots, self.provider.clone());
        let sent = slots.announceSet(id, verifier, length).send().await;
        let receipt = sent.map_err(|e| failed(e.to_string()))?.get_receipt().await;
        let receipt = receipt.map_err(|e| failed(e.to_string()))?;
        if receipt.status() { Ok(()) } else { Err(failed("it reverted".into())) }
    }

    async fn pay(
        &self,
        token: EvmAddress,
        rewards: EvmAddress,
        plan: &Plan,
    ) -> Result<(), L1Error> {
        let token = Token::new(token, self.provider.clone());
        let fund = [(rewards, plan.reward_fund)];
        let grants = plan.grants.iter().map(|(account, amount)| (evm(*account), *amount));
        for (account, amount) in grants.chain(fund) {
            let sent = token.transfer(account, U256::from(amount)).send().await;
            let sent = sent.map_err(|e| L1Error::rpc("a transfer", e))?;
            let receipt = sent.get_receipt().await.map_err(|e| L1Error::rpc("a transfer", e))?;
            if !receipt.status() {
                return Err(L1Error::rpc("a transfer", "it reverted"));
            }
        }
        Ok(())
    }
}

fn params(plan: &Plan, governance: EvmAddress) -> Result<Slots::Params, L1Error> {
    let p = &plan.params;
    let narrow = |value: u64| {
        u32::try_from(value).map_err(|_| L1Error::Deploy {
            contract: "Slots",
            why: format!("a parameter is {value}, at most {} is possible", u32::MAX),
        })
    };
    Ok(Slots::Params {
        genesis: p.genesis_block,
        proposal: narrow(p.proposal_blocks)?,
        reveal: narrow(p.reveal_blocks)?,
        proving: narrow(p.proving_blocks)?,
        halting: narrow(p.halting_blocks)?,
        backup: narrow(p.backup_blocks)?,
        blockSeconds: narrow(p.l1_block_s)?,
        buildAheadMax: narrow(p.build_ahead_max)?,
        txProofLength: plan.tx_proof_bytes,
        rootProofLength: plan.set.root_proof_bytes,
        slotReward: U256::from(plan.slot_reward).saturating_to(),
        circuitSet: U256::from_be_bytes(plan.set.id),
        governance,
        epochSlots: narrow(p.epoch_slots)?,
        changeDelayEpochs: narrow(p.change_delay_epochs)?,
        changeoverEpochs: narrow(p.changeover_epochs)?,
        stateRoot: U256::from_be_bytes(plan.state_root),
    })
}
