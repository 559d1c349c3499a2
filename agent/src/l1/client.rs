//! Reading L1: the head, our contracts' state, balances.

use std::time::Duration;

use alloy::{
    eips::BlockNumberOrTag,
    network::Ethereum,
    primitives::{Address as EvmAddress, B256, U256, keccak256},
    providers::{DynProvider, Provider, ProviderBuilder, RootProvider},
    rpc::{client::RpcClient, types::Block},
    transports::{BoxTransport, http::Http},
};
use protocol::{Address, BlockId, Hash, ProverId, SequencerId, Slot, Word, epoch::Epoch};

use super::{
    L1Error,
    bindings::{Registry, Rewards, Slots, Token},
    transport::Failover,
};

/// Blocks between a slot's seed block and its start (R2.2), a constant of `Params.sol`.
const SEED_LOOK_BACK: u64 = 64;
/// How long a connection may take; answers have their own limit.
const CONNECT_WAIT: Duration = Duration::from_secs(5);

/// Where one network's contracts are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Contracts {
    /// The chain they are on.
    pub(crate) chain_id: u64,
    /// Provers, sequencers, bonds.
    pub(crate) registry: Address,
    /// The life of slots.
    pub(crate) slots: Address,
    /// Pools and claims.
    pub(crate) rewards: Address,
    /// Bonds and rewards are in this token.
    pub(crate) token: Address,
    /// First block that can hold their events.
    pub(crate) from_block: u64,
}

/// A block of L1, without its contents.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    /// Height.
    pub(crate) number: u64,
    /// Hash.
    pub(crate) hash: Hash,
    /// Unix seconds.
    pub(crate) time: u64,
}

/// What the `Slots` contract was deployed with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ChainParams {
    /// First L1 block of slot 0.
    pub(crate) genesis_block: u64,
    /// Blocks of the proposal phase.
    pub(crate) proposal_blocks: u64,
    /// Blocks of the reveal phase.
    pub(crate) reveal_blocks: u64,
    /// Seconds from the reveal's block in which a slot can be settled.
    pub(crate) window_s: u64,
    /// Revealed slots that may be unsettled at once.
    pub(crate) build_ahead_max: u64,
    /// Bytes of every tx proof in a block.
    pub(crate) tx_proof_bytes: u64,
    /// Base units that the provers of a slot share.
    pub(crate) slot_reward: u128,
}

/// A circuit set as L1 keeps it (R13).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SetState {
    /// What `root` must expose.
    pub(crate) id: Word,
    /// The contract that checks its root proofs.
    pub(crate) verifier: Address,
    /// Bytes of `settle`'s proof, accumulator included.
    pub(crate) root_proof_bytes: u64,
    /// First epoch in which a reveal may name it.
    pub(crate) from: Epoch,
}

impl ChainParams {
    /// First L1 block of `slot`.
    pub(crate) const fn slot_start(&self, slot: Slot) -> u64 {
        self.genesis_block + slot.0 * (self.proposal_blocks + self.reveal_blocks)
    }
    /// The L1 block whose RANDAO is `slot`'s seed.
    pub(crate) const fn seed_block(&self, slot: Slot) -> u64 {
        self.slot_start(slot) - SEED_LOOK_BACK
    }
}

/// What L1 keeps of a slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SlotState {
    /// RANDAO of the seed block, once shown.
    pub(crate) seed: Option<Hash>,
    /// The best proposal: sequencer, commitment, score.
    pub(crate) best: Option<(SequencerId, Hash, Hash)>,
    /// The revealed block and the Unix second of its reveal.
    pub(crate) revealed: Option<(BlockId, u64)>,
    /// Whether it was settled.
    pub(crate) settled: bool,
    /// Whether it was given up.
    pub(crate) lapsed: bool,
    /// Version of the circuit set that its reveal named.
    pub(crate) set: u32,
}

/// A settled slot's pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pool {
    /// Credit root.
    pub(crate) credit: Word,
    /// Units of the whole tree.
    pub(crate) units: u64,
    /// Base units to share.
    pub(crate) amount: u128,
    /// Base units paid so far.
    pub(crate) paid: u128,
}

/// An accepted root proof.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Settlement {
    /// Gas of the whole transaction.
    pub(crate) gas: u64,
    /// Unix seconds of its block.
    pub(crate) time_s: u64,
}

/// A connection to L1; clones share it.
#[derive(Clone)]
pub(crate) struct L1 {
    /// All endpoints with failover: for reading.
    pub(super) provider: DynProvider,
    /// Each endpoint by itself: transactions go to all of them.
    pub(super) endpoints: Vec<DynProvider>,
    /// Our contracts.
    pub(crate) contracts: Contracts,
}

impl L1 {
    /// Prepares the endpoints, in order of preference, and compares the chain id.
    ///
    /// # Errors
    /// `L1-001` for an endpoint that is no URL, `L1-002` if none answers, `L1-003` for another
    /// chain.
    pub(crate) async fn connect(
        endpoints: &[String],
        contracts: Contracts,
    ) -> Result<Self, L1Error> {
        let client = http_client()?;
        let transport = |url: &String| {
            let parsed = reqwest::Url::parse(url)
                .map_err(|error| L1Error::Endpoint { url: url.clone(), why: error.to_string() })?;
            Ok(BoxTransport::new(Http::with_client(client.clone(), parsed)))
        };
        let named: Vec<(String, BoxTransport)> = endpoints
            .iter()
            .map(|url| Ok((url.clone(), transport(url)?)))
            .collect::<Result<_, L1Error>>()?;
        let l1 = Self::over(named, contracts);
        let found = l1.provider.get_chain_id().await.map_err(|e| L1Error::rpc("chain id", e))?;
        if found != contracts.chain_id {
            return Err(L1Error::WrongChain {
                expected: contracts.chain_id.to_string(),
                found: found.to_string(),
            });
        }
        Ok(l1)
    }

    /// The same over any transports, each with a name for logs.
    pub(super) fn over(named: Vec<(String, BoxTransport)>, contracts: Contracts) -> Self {
        Self {
            endpoints: named.iter().map(|(_, transport)| provider(transport.clone())).collect(),
            provider: provider(BoxTransport::new(Failover::new(named))),
            contracts,
        }
    }

    /// The newest block.
    ///
    /// # Errors
    /// `L1-002` if no endpoint answers.
    pub(crate) async fn head(&self) -> Result<Head, L1Error> {
        let block = self.block(BlockNumberOrTag::Latest).await?;
        let block = block.ok_or_else(|| L1Error::rpc("the newest block", "there is none"))?;
        Ok(Head {
            number: block.header.number,
            hash: Hash(block.header.hash.0),
            time: block.header.timestamp,
        })
    }

    /// Hash of block `number`, which says whether two endpoints serve the same chain.
    ///
    /// # Errors
    /// `L1-002` if no endpoint answers or the block does not exist.
    pub(crate) async fn block_hash(&self, number: u64) -> Result<Hash, L1Error> {
        let block = self.block(BlockNumberOrTag::Number(number)).await?;
        let block = block.ok_or_else(|| L1Error::rpc("a block", format!("no block {number}")))?;
        Ok(Hash(block.header.hash.0))
    }

    /// The RLP header of block `number`, as `show_seed` wants it.
    ///
    /// # Errors
    /// `L1-002` if no endpoint has the block, or its header does not hash to its own hash.
    pub(crate) async fn header(&self, number: u64) -> Result<Vec<u8>, L1Error> {
        let block = self.block(BlockNumberOrTag::Number(number)).await?;
        let block = block.ok_or_else(|| L1Error::rpc("a header", format!("no block {number}")))?;
        let header = alloy::rlp::encode(&block.header.inner);
        if keccak256(&header) != block.header.hash {
            return Err(L1Error::rpc("a header", "it has fields this version does not know"));
        }
        Ok(header)
    }

    /// What `Slots` was deployed with.
    ///
    /// # Errors
    /// `L1-002` if no endpoint answers.
    pub(crate) async fn params(&self) -> Result<ChainParams, L1Error> {
        let slots = self.slots();
        let failed = |e| L1Error::rpc("the parameters", e);
        Ok(ChainParams {
            genesis_block: slots.genesis().call().await.map_err(failed)?,
            proposal_blocks: slots.proposal().call().await.map_err(failed)?.into(),
            reveal_blocks: slots.reveals().call().await.map_err(failed)?.into(),
            window_s: slots.window().call().await.map_err(failed)?,
            build_ahead_max: slots.buildAheadMax().call().await.map_err(failed)?.into(),
            tx_proof_bytes: slots.txProofLength().call().await.map_err(failed)?.into(),
            slot_reward: slots.slotReward().call().await.map_err(failed)?.to(),
        })
    }

    /// The circuit set of this version, counted from 0 as they were announced.
    ///
    /// # Errors
    /// `L1-002` if no endpoint answers.
    pub(crate) async fn circuit_set(&self, version: u32) -> Result<SetState, L1Error> {
        let set = self.slots().setAt(version).call().await;
        let set = set.map_err(|e| L1Error::rpc("a circuit set", e))?;
        Ok(SetState {
            id: set.id.to_be_bytes(),
            verifier: Address(set.verifier.into_array()),
            root_proof_bytes: set.proofLength.into(),
            from: Epoch(set.from),
        })
    }

    /// State root after the last settled block.
    ///
    /// # Errors
    /// `L1-002` if no endpoint answers.
    pub(crate) async fn state_root(&self) -> Result<Word, L1Error> {
        let root = self.slots().stateRoot().call().await;
        root.map(|it| it.to_be_bytes()).map_err(|e| L1Error::rpc("the state root", e))
    }

    /// The parent that the next reveal must name; zero before the first.
    ///
    /// # Errors
    /// `L1-002` if no endpoint answers.
    pub(crate) async fn last_block(&self) -> Result<Hash, L1Error> {
        let last = self.slots().lastBlock().call().await;
        last.map(|it| Hash(it.0)).map_err(|e| L1Error::rpc("the last block", e))
    }

    /// What L1 keeps of `slot`.
    ///
    /// # Errors
    /// `L1-002` if no endpoint answers.
    pub(crate) async fn slot(&self, slot: Slot) -> Result<SlotState, L1Error> {
        let s = self.slots().slotAt(slot.0).call().await.map_err(|e| L1Error::rpc("a slot", e))?;
        let some = |word: B256| (word != B256::ZERO).then_some(Hash(word.0));
        Ok(SlotState {
            seed: some(s.seed),
            best: some(s.score)
                .map(|score| (SequencerId(s.sequencer), Hash(s.commitment.0), score)),
            revealed: some(s.blockId).map(|block| (BlockId(block.0), s.revealedAt)),
            settled: s.stage == 2,
            lapsed: s.stage == 3,
            set: s.set,
        })
    }

    /// How many revealed slots are neither settled nor given up, and the oldest of them.
    ///
    /// # Errors
    /// `L1-002` if no endpoint answers.
    pub(crate) async fn unsettled(&self) -> Result<(u64, Option<Slot>), L1Error> {
        let all = self.slots().unsettled().call().await;
        let all = all.map_err(|e| L1Error::rpc("the unsettled slots", e))?;
        Ok((all.number, (all.number > 0).then_some(Slot(all.oldest))))
    }

    /// A slot's pool, if it was settled.
    ///
    /// # Errors
    /// `L1-002` if no endpoint answers.
    pub(crate) async fn pool(&self, slot: Slot) -> Result<Option<Pool>, L1Error> {
        let p = self.rewards().poolOf(slot.0).call().await;
        let p = p.map_err(|e| L1Error::rpc("a pool", e))?;
        Ok((p.units > 0).then(|| Pool {
            credit: p.credit.to_be_bytes(),
            units: p.units,
            amount: p.amount.to(),
            paid: p.paid.to(),
        }))
    }

    /// Whether the record at `position` of `slot`'s credit tree was paid.
    ///
    /// # Errors
    /// `L1-002` if no endpoint answers.
    pub(crate) async fn is_claimed(&self, slot: Slot, position: u64) -> Result<bool, L1Error> {
        let claimed = self.rewards().claimed(slot.0, U256::from(position)).call().await;
        claimed.map_err(|e| L1Error::rpc("a claim", e))
    }

    /// Base units that `prover` has bonded.
    ///
    /// # Errors
    /// `L1-002` if no endpoint answers.
    pub(crate) async fn bond(&self, prover: ProverId) -> Result<u128, L1Error> {
        let bond = self.registry().bondOf(prover.0).call().await;
        bond.map(|it| it.saturating_to()).map_err(|e| L1Error::rpc("a bond", e))
    }

    /// Bond of one lane and bond of a sequencer, in base units.
    ///
    /// # Errors
    /// `L1-002` if no endpoint answers.
    pub(crate) async fn bonds_asked(&self) -> Result<(u128, u128), L1Error> {
        let registry = self.registry();
        let failed = |e| L1Error::rpc("the bonds", e);
        let lane = registry.laneBond().call().await.map_err(failed)?;
        let sequencer = registry.sequencerBond().call().await.map_err(failed)?;
        Ok((lane.saturating_to(), sequencer.saturating_to()))
    }

    /// Whether `operator` signs for a registered prover.
    ///
    /// # Errors
    /// `L1-002` if no endpoint answers.
    pub(crate) async fn is_operator(&self, operator: Address) -> Result<bool, L1Error> {
        let taken = self.registry().operatorTaken(evm(operator)).call().await;
        taken.map_err(|e| L1Error::rpc("an operator", e))
    }

    /// The registry index of the prover whose messages `operator` signs, if there is one. Asks for
    /// every prover in turn: for the start of a process, not for a loop.
    ///
    /// # Errors
    /// `L1-002` if no endpoint answers.
    pub(crate) async fn find_prover(&self, operator: Address) -> Result<Option<ProverId>, L1Error> {
        if !self.is_operator(operator).await? {
            return Ok(None);
        }
        let failed = |e| L1Error::rpc("the provers", e);
        let count = self.registry().proverCount().call().await.map_err(failed)?;
        for id in 0..count {
            let prover = self.registry().proverAt(id).call().await.map_err(failed)?;
            if prover.operator == evm(operator) {
                return Ok(Some(ProverId(id)));
            }
        }
        Ok(None)
    }

    /// The registry index of the sequencer that `owner` registered.
    ///
    /// # Errors
    /// `L1-002` if no endpoint answers, or `owner` registered none.
    pub(crate) async fn find_sequencer(&self, owner: Address) -> Result<SequencerId, L1Error> {
        let found = self.registry().sequencerOf(evm(owner)).call().await;
        found.map(SequencerId).map_err(|e| L1Error::rpc("a sequencer", e))
    }

    /// Where and at what price L1 accepted the root proof of `slot`.
    ///
    /// # Errors
    /// `L1-002` if no endpoint answers, or the slot is not settled.
    pub(crate) async fn settlement(&self, slot: Slot) -> Result<Settlement, L1Error> {
        let failed = |e: String| L1Error::rpc("a settlement", e);
        let filter = alloy::rpc::types::Filter::new()
            .address(evm(self.contracts.slots))
            .event_signature(<Slots::Settled as alloy::sol_types::SolEvent>::SIGNATURE_HASH)
            .topic1(U256::from(slot.0))
            .from_block(self.contracts.from_block);
        let logs = self.provider.get_logs(&filter).await.map_err(|e| failed(e.to_string()))?;
        let log = logs.last().ok_or_else(|| failed(format!("slot {slot} is not settled")))?;
        let hash = log.transaction_hash.unwrap_or_default();
        let receipt = self.provider.get_transaction_receipt(hash).await;
        let receipt = receipt.map_err(|e| failed(e.to_string()))?;
        let receipt = receipt.ok_or_else(|| failed("it has no receipt".into()))?;
        let number = BlockNumberOrTag::Number(log.block_number.unwrap_or_default());
        let block = self.block(number).await?;
        let block = block.ok_or_else(|| failed("its block is gone".into()))?;
        Ok(Settlement { gas: receipt.gas_used, time_s: block.header.timestamp })
    }

    /// Wei of `account`.
    ///
    /// # Errors
    /// `L1-002` if no endpoint answers.
    pub(crate) async fn wei(&self, account: Address) -> Result<u128, L1Error> {
        let wei = self.provider.get_balance(evm(account)).await;
        wei.map(|it| it.saturating_to()).map_err(|e| L1Error::rpc("a balance", e))
    }

    /// Base units of our token that `account` owns.
    ///
    /// # Errors
    /// `L1-002` if no endpoint answers.
    pub(crate) async fn tokens(&self, account: Address) -> Result<u128, L1Error> {
        let token = Token::new(evm(self.contracts.token), self.provider.clone());
        let tokens = token.balanceOf(evm(account)).call().await;
        tokens.map(|it| it.saturating_to()).map_err(|e| L1Error::rpc("a token balance", e))
    }

    pub(super) async fn block(&self, at: BlockNumberOrTag) -> Result<Option<Block>, L1Error> {
        self.provider.get_block_by_number(at).await.map_err(|e| L1Error::rpc("a block", e))
    }

    fn slots(&self) -> Slots::SlotsInstance<DynProvider> {
        Slots::new(evm(self.contracts.slots), self.provider.clone())
    }
    fn rewards(&self) -> Rewards::RewardsInstance<DynProvider> {
        Rewards::new(evm(self.contracts.rewards), self.provider.clone())
    }
    fn registry(&self) -> Registry::RegistryInstance<DynProvider> {
        Registry::new(evm(self.contracts.registry), self.provider.clone())
    }
}

/// A transport to one endpoint by itself.
pub(super) fn http(url: reqwest::Url) -> Result<BoxTransport, L1Error> {
    Ok(BoxTransport::new(Http::with_client(http_client()?, url)))
}

/// One HTTP client for all endpoints. TLS is ring's, which must be installed before.
fn http_client() -> Result<reqwest::Client, L1Error> {
    // An error means that it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Endpoints are named explicitly; a proxy of the environment would see every call.
    let built = reqwest::Client::builder().connect_timeout(CONNECT_WAIT).no_proxy().build();
    built.map_err(|error| L1Error::Endpoint { url: "https".into(), why: error.to_string() })
}

fn provider(transport: BoxTransport) -> DynProvider {
    let root: RootProvider<Ethereum> =
        ProviderBuilder::default().connect_client(RpcClient::new(transport, true));
    root.erased()
}

pub(super) fn evm(address: Address) -> EvmAddress {
    EvmAddress::from(address.0)
}
