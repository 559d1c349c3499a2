//! L1 as an outsider sees it: what the devnet's agents say is compared with this.

use std::path::Path;

use alloy::{
    eips::{BlockId, BlockNumberOrTag},
    network::Ethereum,
    primitives::{Address, B256, Bytes, U256},
    providers::{Provider as _, ProviderBuilder, RootProvider},
    rpc::types::{Filter, Log, TransactionRequest},
    sol_types::{SolCall as _, SolError as _, SolEvent},
    transports::{RpcError, TransportErrorKind},
};

use bindings::{Rewards, Slots, Token};

mod bindings {
    //! Calls and events, from the committed ABI.
    #![expect(
        clippy::too_many_arguments,
        reason = "generated: as many as the contracts' functions have"
    )]

    use alloy::sol;

    sol!(
        #[sol(rpc)]
        #[derive(Debug)]
        Slots,
        "../assets/abi/Slots.json"
    );
    sol!(
        #[sol(rpc)]
        #[derive(Debug)]
        Rewards,
        "../assets/abi/Rewards.json"
    );
    sol!(
        #[sol(rpc)]
        #[derive(Debug)]
        Token,
        "../assets/abi/Token.json"
    );
}

/// Bytes of the accumulator's 12 words, which come first in `settle`'s proof.
const ACCUMULATOR_BYTES: usize = 384;

type Refusal = RpcError<TransportErrorKind>;

/// A connection, and where the contracts are.
pub(super) struct Chain {
    provider: RootProvider<Ethereum>,
    pub(super) slots: Address,
    rewards: Address,
    token: Address,
    from_block: u64,
}

/// A reveal on the canonical chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reveal {
    pub(super) slot: u64,
    pub(super) block: u64,
    pub(super) hash: B256,
}

/// A settled slot, from its event and its transaction.
#[derive(Clone, Debug)]
pub(super) struct Settlement {
    pub(super) slot: u64,
    pub(super) block: u64,
    /// Unix seconds of its block.
    pub(super) time: u64,
    /// Gas of the whole transaction.
    pub(super) gas: u64,
    /// State root, from the event.
    pub(super) end: U256,
    pub(super) units: u64,
    pub(super) pool: u128,
    /// start, end, txs, count, credit, payee, units, fees, set.
    pub(super) words: [U256; 9],
    proof: Bytes,
}

/// A circuit set as L1 keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Set {
    pub(super) version: u32,
    pub(super) id: U256,
    pub(super) verifier: Address,
}

/// One payout of a slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Payout {
    pub(super) payee: Address,
    pub(super) amount: u128,
    transaction: B256,
}

impl Chain {
    /// The chain that an agent's configuration names; `None` while the file is not whole.
    pub(super) fn of(config: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(config).ok()?;
        let l1 = text.parse::<toml::Table>().ok()?.get("l1")?.clone();
        let address = |name: &str| l1.get(name)?.as_str()?.parse().ok();
        let url = l1.get("endpoints")?.get(0)?.as_str()?.parse().ok()?;
        // An error means that another test of this process installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Some(Self {
            provider: ProviderBuilder::default().connect_reqwest(client, url),
            slots: address("slots")?,
            rewards: address("rewards")?,
            token: address("token")?,
            from_block: l1.get("from_block")?.as_integer()?.try_into().ok()?,
        })
    }

    /// Number of the newest block.
    pub(super) async fn head(&self) -> u64 {
        self.provider.get_block_number().await.unwrap()
    }

    /// Whether the node still runs.
    pub(super) async fn answers(&self) -> bool {
        self.provider.get_block_number().await.is_ok()
    }

    /// Hash and Unix seconds of a canonical block.
    pub(super) async fn block(&self, number: u64) -> (B256, u64) {
        let block = self.provider.get_block_by_number(BlockNumberOrTag::Number(number)).await;
        let header = block.unwrap().unwrap_or_else(|| panic!("L1 has no block {number}")).header;
        (header.hash, header.timestamp)
    }

    /// Replaces the newest `depth` blocks by empty ones.
    pub(super) async fn reorganise(&self, depth: u64) {
        let none: [(); 0] = [];
        let done = self.provider.raw_request("anvil_reorg".into(), (depth, none)).await;
        let _: serde_json::Value = done.unwrap();
    }

    /// All reveals, oldest first.
    pub(super) async fn reveals(&self) -> Vec<Reveal> {
        let logs = self.events::<Slots::Revealed>(self.slots).await;
        let reveal = |log: &Log<Slots::Revealed>| Reveal {
            slot: log.inner.data.slot,
            block: log.block_number.unwrap(),
            hash: log.block_hash.unwrap(),
        };
        logs.iter().map(reveal).collect()
    }

    /// Data of the block that was revealed in `slot`, and the bytes of each of its tx proofs.
    pub(super) async fn opened(&self, slot: u64) -> (Bytes, usize) {
        let logs = self.events::<Slots::BlockOpened>(self.slots).await;
        let log = logs.into_iter().find(|log| log.inner.data.slot == slot);
        let data = log.unwrap_or_else(|| panic!("slot {slot} has no block")).inner.data.data;
        let proof_bytes = self.contract().txProofLength().call().await.unwrap();
        (data, proof_bytes as usize)
    }

    /// The circuit set that the reveal of a slot named.
    pub(super) async fn set_of(&self, slot: u64) -> Set {
        let version = self.contract().slotAt(slot).call().await.unwrap().set;
        let set = self.contract().setAt(version).call().await.unwrap();
        Set { version, id: set.id, verifier: set.verifier }
    }

    /// The settlement of a slot.
    pub(super) async fn settlement(&self, slot: u64) -> Settlement {
        let logs = self.events::<Slots::Settled>(self.slots).await;
        let log = logs.iter().find(|log| log.inner.data.slot == slot);
        let log = log.unwrap_or_else(|| panic!("slot {slot} is settled on L1"));
        let (hash, block) = (log.transaction_hash.unwrap(), log.block_number.unwrap());
        let receipt = self.provider.get_transaction_receipt(hash).await.unwrap().unwrap();
        let call = Slots::settleCall::abi_decode(&self.input(hash).await).unwrap();
        let event = &log.inner.data;
        assert_eq!(call.slot, event.slot);
        Settlement {
            slot: event.slot,
            block,
            time: self.block(block).await.1,
            gas: receipt.gas_used,
            end: event.end,
            units: event.units,
            pool: event.pool,
            words: call.words,
            proof: call.proof,
        }
    }

    /// State root after the last settled block.
    pub(super) async fn state_root(&self) -> U256 {
        self.contract().stateRoot().call().await.unwrap()
    }

    /// Whether the verifier of a circuit set accepts the proof of `settled` for `words`.
    pub(super) async fn verifies(
        &self,
        verifier: Address,
        settled: &Settlement,
        words: &[U256; 9],
    ) -> bool {
        let (accumulator, rest) = settled.proof.split_at(ACCUMULATOR_BYTES);
        let words: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes::<32>()).collect();
        self.ask(verifier, [accumulator, &words, rest].concat().into()).await.is_ok()
    }

    /// Whether `Slots` would have taken `words` in the block before it settled; any other reason
    /// than the proof is an error of the test.
    pub(super) async fn would_settle(&self, settled: &Settlement, words: [U256; 9]) -> bool {
        let before = BlockId::number(settled.block - 1);
        let contract = self.contract();
        let call = contract.settle(settled.slot, words, settled.proof.clone()).block(before);
        match call.call().await {
            Ok(_) => true,
            Err(error) => {
                let refused = error.as_decoded_error::<Slots::ProofRefused>();
                assert!(refused.is_some(), "`settle` is refused for another reason: {error}");
                false
            }
        }
    }

    /// Whether `Slots`, in the block before it settled `slot`, would have taken `words` with the
    /// proof of another slot's settlement; why not.
    pub(super) async fn why_not(
        &self,
        slot: &Settlement,
        words: [U256; 9],
        other: &Settlement,
    ) -> Option<String> {
        let before = BlockId::number(slot.block - 1);
        let contract = self.contract();
        let call = contract.settle(slot.slot, words, other.proof.clone()).block(before);
        let error = call.call().await.err()?;
        if error.as_decoded_error::<Slots::ProofRefused>().is_some() {
            return Some("proof".to_owned());
        }
        let word = error.as_decoded_error::<Slots::WrongWord>();
        Some(word.map_or_else(|| error.to_string(), |it| format!("word {}", it.index)))
    }

    /// Base units of the token.
    pub(super) async fn balance(&self, account: Address) -> U256 {
        Token::new(self.token, &self.provider).balanceOf(account).call().await.unwrap()
    }

    /// All payouts of a slot.
    pub(super) async fn payouts(&self, slot: u64) -> Vec<Payout> {
        let logs = self.events::<Rewards::Paid>(self.rewards).await;
        let own = logs.iter().filter(|log| log.inner.data.slot == slot);
        let payout = |log: &Log<Rewards::Paid>| Payout {
            payee: log.inner.data.payee,
            amount: log.inner.data.amount,
            transaction: log.transaction_hash.unwrap(),
        };
        own.map(payout).collect()
    }

    /// Sends the same claim once more, and says whether `Rewards` refuses it as made already.
    pub(super) async fn is_paid_once(&self, payout: &Payout) -> bool {
        let refused = self.ask(self.rewards, self.input(payout.transaction).await).await;
        let Err(error) = refused else { return false };
        let data = error.as_error_resp().and_then(|it| it.as_revert_data()).unwrap_or_default();
        data.starts_with(&Rewards::AlreadyClaimed::SELECTOR)
    }

    fn contract(&self) -> Slots::SlotsInstance<&RootProvider<Ethereum>> {
        Slots::new(self.slots, &self.provider)
    }

    async fn input(&self, transaction: B256) -> Bytes {
        use alloy::consensus::Transaction as _;
        let found = self.provider.get_transaction_by_hash(transaction).await.unwrap();
        found.expect("a mined transaction is found by its hash").input().clone()
    }

    /// A call that changes nothing, on the newest block.
    async fn ask(&self, to: Address, input: Bytes) -> Result<Bytes, Refusal> {
        let request = TransactionRequest::default().to(to).input(input.into());
        let answer = self.provider.call(request).block(BlockId::latest()).await;
        if let Err(error) = &answer {
            assert!(error.as_error_resp().is_some(), "L1 does not answer: {error}");
        }
        answer
    }

    async fn events<E: SolEvent>(&self, contract: Address) -> Vec<Log<E>> {
        let filter = Filter::new()
            .address(contract)
            .event_signature(E::SIGNATURE_HASH)
            .from_block(self.from_block);
        let logs = self.provider.get_logs(&filter).await.unwrap();
        logs.iter().map(|log| log.log_decode::<E>().unwrap()).collect()
    }
}
