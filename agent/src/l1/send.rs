//! The one who sends: an actor that owns an account's nonce.
//!
//! Written down before it is spoken: the intent before the signature, every signed form before it
//! is broadcast. The error of a send decides nothing (the first copy may have been mined); only
//! the receipt of one of our hashes does, or the nonce's use by somebody else. So one intent has
//! one effect, over lost answers, restarts and reorgs. One transaction is under way at a time:
//! L1 would hold back the later ones anyway.

use std::{sync::Arc, time::Duration};

use alloy::signers::local::PrivateKeySigner;
use protocol::{Address, Hash};
use tokio::sync::{mpsc, oneshot};

use super::{L1, L1Error, calls::Call};

mod actor;
mod form;

/// What a transaction is for, before any signature exists. A later intent under the same nonce
/// replaces it; forms signed before stay valid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Intent {
    /// Nonce of the account.
    pub(crate) nonce: u64,
    /// The call.
    pub(crate) call: Call,
}

/// A signed form of an intent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Signed {
    /// Nonce of its intent.
    pub(crate) nonce: u64,
    /// Transaction hash.
    pub(crate) hash: Hash,
    /// Wei per gas, at most.
    pub(crate) max_fee: u128,
    /// Wei per gas for the block builder.
    pub(crate) tip: u128,
    /// The signed bytes, so that it can be sent again as it is.
    pub(crate) raw: Vec<u8>,
}

/// What became of a nonce.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Receipt {
    /// The nonce.
    pub(crate) nonce: u64,
    /// The transaction that used it; zero if it was not ours.
    pub(crate) hash: Hash,
    /// Height of its block, 0 if it was not ours.
    pub(crate) block: u64,
    /// Hash of its block.
    pub(crate) block_hash: Hash,
    /// How it ended.
    pub(crate) outcome: Outcome,
}

/// How a nonce ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// It had its effect.
    Done,
    /// It was mined and reverted.
    Reverted,
    /// Another transaction, not one of ours, used the nonce.
    Taken,
    /// Its block left the chain: the nonce is open again (R12.2).
    Undone,
}

/// A nonce as the log knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Tx {
    /// The newest intent.
    pub(crate) intent: Intent,
    /// Every signed form, oldest first.
    pub(crate) signed: Vec<Signed>,
    /// What L1 said last.
    pub(crate) receipt: Option<Receipt>,
}

/// Where promises towards L1 are written down. Each call returns when it is durable; it may block.
pub(crate) trait IntentLog: Send + Sync + 'static {
    /// Before anything is signed under this nonce.
    fn intent(&self, intent: &Intent) -> Result<(), String>;
    /// Before this form is sent.
    fn signed(&self, signed: &Signed) -> Result<(), String>;
    /// After L1 decided.
    fn receipt(&self, receipt: &Receipt) -> Result<(), String>;
    /// Every nonce without a final receipt (and any others it still knows), lowest first.
    fn txs(&self) -> Result<Vec<Tx>, String>;
}

/// How hard the sender tries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SendPolicy {
    /// Time between looks at L1.
    pub(crate) poll: Duration,
    /// Time after which a waiting transaction is replaced by one that pays more.
    pub(crate) bump_after: Duration,
    /// Blocks on top of a receipt's block before it counts.
    pub(crate) confirmations: u64,
    /// Lowest tip, in wei per gas: on an idle chain estimates are 1 wei.
    pub(crate) tip_floor: u128,
    /// Highest fee, in wei per gas; at the cap the last form is sent again and again.
    pub(crate) fee_cap: u128,
}

impl SendPolicy {
    /// For blocks of `block_s` seconds: two blocks of patience, 0.01 gwei of tip at least, 500
    /// gwei at most.
    pub(crate) const fn for_blocks(block_s: u64, confirmations: u64) -> Self {
        Self {
            poll: Duration::from_millis(block_s * 125),
            bump_after: Duration::from_secs(block_s * 2),
            confirmations,
            tip_floor: 10_000_000,
            fee_cap: 500_000_000_000,
        }
    }
}

/// Calls that may wait while one is under way.
const QUEUE: usize = 64;

struct Request {
    call: Call,
    answer: oneshot::Sender<Result<Receipt, L1Error>>,
}

/// The handle of a running sender; clones share it.
#[derive(Clone)]
pub(crate) struct Sender {
    requests: mpsc::Sender<Request>,
    account: Address,
}

impl Sender {
    /// Starts the actor for the account of `secret`, first finishing what an earlier run began.
    ///
    /// # Errors
    /// `L1-012` for a secret that is no key; `L1-006` if the log cannot be read.
    pub(crate) fn start(
        l1: L1,
        secret: &[u8; 32],
        log: Arc<dyn IntentLog>,
        policy: SendPolicy,
    ) -> Result<Self, L1Error> {
        let signer = PrivateKeySigner::from_slice(secret)
            .map_err(|_| L1Error::Key("the operator's secret"))?;
        let account = signer.address();
        let known = log.txs().map_err(L1Error::Journal)?;
        let (requests, queue) = mpsc::channel(QUEUE);
        tokio::spawn(actor::Actor::new(l1, signer, log, policy, known).run(queue));
        Ok(Self { requests, account: Address(account.into_array()) })
    }

    /// Who sends and pays.
    pub(crate) const fn account(&self) -> Address {
        self.account
    }

    /// Sends `call` once and waits until L1 decided. The same call (purpose, slot, contract,
    /// bytes) is never sent twice: its first receipt is the answer while its block stands.
    ///
    /// # Errors
    /// `L1-004` if the contract refuses it, `L1-005` if the account cannot pay, `L1-006` if the
    /// log fails (the actor then stops), `L1-013` afterwards.
    pub(crate) async fn send(&self, call: Call) -> Result<Receipt, L1Error> {
        let (answer, receipt) = oneshot::channel();
        self.requests.send(Request { call, answer }).await.map_err(|_| L1Error::Stopped)?;
        receipt.await.map_err(|_| L1Error::Stopped)?
    }
}

/// Address of a secp256k1 secret.
///
/// # Errors
/// `L1-012` for bytes that are no key.
pub(crate) fn account_of(secret: &[u8; 32]) -> Result<Address, L1Error> {
    let signer =
        PrivateKeySigner::from_slice(secret).map_err(|_| L1Error::Key("the operator's secret"))?;
    Ok(Address(signer.address().into_array()))
}
