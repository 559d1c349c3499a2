//! The sender's actor: one nonce after the other, from intent to receipt.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use alloy::{
    consensus::{Transaction as _, TxEnvelope},
    eips::eip2718::Decodable2718 as _,
    network::EthereumWallet,
    primitives::{Address as EvmAddress, B256, U256},
    providers::Provider as _,
    rpc::types::TransactionReceipt,
    signers::local::PrivateKeySigner,
};
use futures::future::join_all;
use protocol::{Address, Hash};
use tokio::sync::mpsc;

use super::{
    Intent, IntentLog, Outcome, Receipt, Request, SendPolicy, Signed, Tx, form::is_unfunded,
};
use crate::l1::{L1, L1Error, calls::Call, client::evm};

/// Ended nonces that are remembered: the same call again within that many gets the same answer.
const KNOWN_MAX: usize = 1_024;
/// Looks at L1 that must agree before a nonce counts as used by somebody else: an endpoint may
/// know the nonce before it serves the receipt.
const TAKEN_LOOKS: u32 = 8;

/// Owner of one account's nonce.
pub(super) struct Actor {
    pub(super) l1: L1,
    pub(super) wallet: EthereumWallet,
    pub(super) account: EvmAddress,
    log: Arc<dyn IntentLog>,
    pub(super) policy: SendPolicy,
    pub(super) known: BTreeMap<u64, Known>,
}

/// A nonce of ours.
pub(super) struct Known {
    pub(super) tx: Tx,
    /// Every endpoint refused every form for lack of funds: it is in no pool.
    unfunded: bool,
}

impl Known {
    /// Whether a form of the newest intent was signed; others are of an older purpose.
    pub(super) fn is_spoken(&self) -> bool {
        self.tx.signed.iter().any(|form| is_form_of(form, &self.tx.intent.call))
    }
}

/// How waiting for a nonce ended.
enum Waited {
    /// A form of ours was mined.
    Mined(Box<TransactionReceipt>),
    /// Somebody else used the nonce.
    Taken,
    /// Time to pay more.
    Due,
}

impl Actor {
    pub(super) fn new(
        l1: L1,
        signer: PrivateKeySigner,
        log: Arc<dyn IntentLog>,
        policy: SendPolicy,
        txs: Vec<Tx>,
    ) -> Self {
        let known =
            txs.into_iter().map(|tx| (tx.intent.nonce, Known { tx, unfunded: false })).collect();
        let account = signer.address();
        Self { l1, wallet: EthereumWallet::from(signer), account, log, policy, known }
    }

    /// Brings what was spoken before to its end, then serves `queue`.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let is_open = |known: &Known| known.tx.receipt.is_none() && known.is_spoken();
        let open: Vec<u64> =
            self.known.iter().filter(|(_, it)| is_open(it)).map(|(nonce, _)| *nonce).collect();
        for nonce in open {
            match self.finish(nonce).await {
                Ok(receipt) => tracing::info!(?receipt, "an earlier transaction ended"),
                Err(L1Error::Journal(why)) => return tracing::error!(why, "the sender stops"),
                Err(error) => tracing::warn!(%error, nonce, "an earlier transaction failed"),
            }
        }
        while let Some(Request { call, answer }) = queue.recv().await {
            let result = self.perform(call).await;
            let stop = matches!(result, Err(L1Error::Journal(_)));
            // Whoever asked may be gone; the effect and the log are the same.
            let _ = answer.send(result);
            if stop {
                return;
            }
        }
    }

    async fn perform(&mut self, call: Call) -> Result<Receipt, L1Error> {
        let same = self.known.iter().rfind(|(_, it)| it.tx.intent.call == call);
        if let Some(nonce) = same.map(|(nonce, _)| *nonce)
            && let Some(answer) = self.repeat(nonce).await?
        {
            return Ok(answer);
        }
        let gas = self.estimate(&call).await?;
        loop {
            let nonce = self.next_nonce().await?;
            self.intend(Intent { nonce, call: call.clone() }).await?;
            let receipt = self.drive(nonce, gas).await?;
            match receipt.outcome {
                Outcome::Done => return Ok(receipt),
                Outcome::Reverted => return Err(self.reverted(&call).await),
                // The nonce went to somebody else, or to an older purpose: take the next.
                Outcome::Taken | Outcome::Undone => {}
            }
        }
    }

    /// The answer that a call known from before has, if it has one.
    async fn repeat(&mut self, nonce: u64) -> Result<Option<Receipt>, L1Error> {
        let Some(known) = self.known.get(&nonce) else { return Ok(None) };
        let answer = match known.tx.receipt {
            None if !known.is_spoken() => return Ok(None),
            None => self.finish(nonce).await?,
            Some(receipt) if receipt.outcome == Outcome::Done => {
                if self.stands(&receipt).await {
                    return Ok(Some(receipt));
                }
                self.conclude(Receipt { outcome: Outcome::Undone, ..receipt }).await?;
                self.finish(nonce).await?
            }
            Some(_) => return Ok(None),
        };
        match answer.outcome {
            Outcome::Done => Ok(Some(answer)),
            Outcome::Reverted | Outcome::Taken | Outcome::Undone => Ok(None),
        }
    }

    /// Brings a nonce with signed forms to its end.
    async fn finish(&mut self, nonce: u64) -> Result<Receipt, L1Error> {
        let forms = self.known.get(&nonce).map_or(&[][..], |it| &it.tx.signed);
        let gas = forms.last().and_then(|form| decoded(&form.raw)).map(|it| it.gas_limit());
        // A form that cannot be read is never replaced, only waited for: its gas does not matter.
        self.drive(nonce, gas.unwrap_or_default()).await
    }

    /// Sends, waits and replaces until L1 decided about `nonce`.
    async fn drive(&mut self, nonce: u64, gas: u64) -> Result<Receipt, L1Error> {
        if self.known.get(&nonce).is_some_and(Known::is_spoken) {
            self.say_again(nonce).await?;
        } else {
            self.say(nonce, gas).await?;
        }
        loop {
            match self.wait(nonce).await {
                Waited::Mined(receipt) => return self.mined(nonce, &receipt).await,
                Waited::Taken => {
                    let receipt = Receipt {
                        nonce,
                        hash: Hash::default(),
                        block: 0,
                        block_hash: Hash::default(),
                        outcome: Outcome::Taken,
                    };
                    self.conclude(receipt).await?;
                    return Ok(receipt);
                }
                Waited::Due => {
                    self.fill_gap(nonce).await;
                    self.say(nonce, gas).await?;
                }
            }
        }
    }

    /// Signs the next form and broadcasts it; repeats the last one when there is no next.
    async fn say(&mut self, nonce: u64, gas: u64) -> Result<(), L1Error> {
        let fees = self.fees(nonce).await;
        let Some(known) = self.known.get(&nonce) else { return Ok(()) };
        let Some((max_fee, tip)) = fees else { return self.say_again(nonce).await };
        let first = !known.is_spoken();
        let signed = self.sign(&known.tx.intent, gas, max_fee, tip).await?;
        let form = signed.clone();
        self.write(move |log| log.signed(&form)).await?;
        if let Some(known) = self.known.get_mut(&nonce) {
            known.tx.signed.push(signed);
            known.unfunded = first;
        }
        self.say_again(nonce).await
    }

    /// Broadcasts the last form. Only if every form so far was refused is a lack of funds final.
    async fn say_again(&mut self, nonce: u64) -> Result<(), L1Error> {
        let Some(form) = self.known.get(&nonce).and_then(|it| it.tx.signed.last()) else {
            return Ok(());
        };
        let refused = self.broadcast(&form.raw).await;
        let Some(known) = self.known.get_mut(&nonce) else { return Ok(()) };
        known.unfunded &= refused.is_some();
        match refused {
            Some(why) if known.unfunded => {
                Err(L1Error::Unfunded { account: Address(self.account.into_array()), why })
            }
            Some(why) => {
                tracing::warn!(why, nonce, "a replacement cannot be paid; an earlier form waits");
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Sends to every endpoint. The only error that says something is a lack of funds that all of
    /// them report.
    async fn broadcast(&self, raw: &[u8]) -> Option<String> {
        let sends = self.l1.endpoints.iter().map(|it| it.send_raw_transaction(raw));
        let mut refusals = Vec::new();
        for result in join_all(sends).await {
            match result {
                Ok(_) => {}
                Err(error) if is_unfunded(&error) => refusals.push(error.to_string()),
                Err(error) => tracing::debug!(%error, "a send failed; the receipt decides"),
            }
        }
        if refusals.len() == self.l1.endpoints.len() { refusals.pop() } else { None }
    }

    /// Waits for a receipt of any form of `nonce`, for at most `bump_after`.
    async fn wait(&self, nonce: u64) -> Waited {
        let until = Instant::now() + self.policy.bump_after;
        let mut used = 0;
        loop {
            match self.receipt(nonce).await {
                Some(receipt) if self.is_deep(&receipt).await => {
                    return Waited::Mined(Box::new(receipt));
                }
                Some(_) => used = 1,
                None if self.is_used(nonce).await => used += 1,
                None => used = 0,
            }
            if used >= TAKEN_LOOKS {
                return Waited::Taken;
            }
            if used == 0 && Instant::now() >= until {
                return Waited::Due;
            }
            tokio::time::sleep(self.policy.poll).await;
        }
    }

    /// Whether L1 counts `nonce` as used, by whomever.
    async fn is_used(&self, nonce: u64) -> bool {
        let count = self.l1.provider.get_transaction_count(self.account).await;
        count.is_ok_and(|count| count > nonce)
    }

    /// The receipt of a form of `nonce`, newest form first.
    async fn receipt(&self, nonce: u64) -> Option<TransactionReceipt> {
        for form in self.known.get(&nonce)?.tx.signed.iter().rev() {
            let hash = B256::from(form.hash.0);
            if let Ok(Some(receipt)) = self.l1.provider.get_transaction_receipt(hash).await {
                return Some(receipt);
            }
        }
        None
    }

    async fn is_deep(&self, receipt: &TransactionReceipt) -> bool {
        let confirmed = receipt.block_number.unwrap_or(u64::MAX);
        self.policy.confirmations == 0
            || self.l1.head().await.is_ok_and(|head| {
                head.number >= confirmed.saturating_add(self.policy.confirmations)
            })
    }

    /// Whether a receipt's transaction is still on the chain.
    async fn stands(&self, receipt: &Receipt) -> bool {
        loop {
            let hash = B256::from(receipt.hash.0);
            match self.l1.provider.get_transaction_receipt(hash).await {
                Ok(found) => return found.is_some(),
                Err(error) => tracing::debug!(%error, "no answer about a receipt"),
            }
            tokio::time::sleep(self.policy.poll).await;
        }
    }

    async fn mined(&mut self, nonce: u64, mined: &TransactionReceipt) -> Result<Receipt, L1Error> {
        let hash = Hash(mined.transaction_hash.0);
        let receipt = Receipt {
            nonce,
            hash,
            block: mined.block_number.unwrap_or_default(),
            block_hash: Hash(mined.block_hash.unwrap_or_default().0),
            outcome: if mined.status() { Outcome::Done } else { Outcome::Reverted },
        };
        self.conclude(receipt).await?;
        let Some(known) = self.known.get(&nonce) else { return Ok(receipt) };
        let own = known.tx.signed.iter().find(|form| form.hash == hash);
        if own.is_some_and(|form| is_form_of(form, &known.tx.intent.call)) {
            Ok(receipt)
        } else {
            // A form of an older purpose took the nonce after all.
            Ok(Receipt { outcome: Outcome::Taken, ..receipt })
        }
    }

    /// The lowest nonce that is neither used on L1 nor ended in our log. What a reorg undid comes
    /// first: it would hold back everything after it.
    async fn next_nonce(&mut self) -> Result<u64, L1Error> {
        loop {
            let count = self.count().await;
            let ended = self.known.iter().rfind(|(_, it)| it.tx.receipt.is_some());
            if ended.is_none_or(|(nonce, _)| *nonce < count) {
                return Ok(count);
            }
            match self.known.get(&count).and_then(|it| it.tx.receipt) {
                None => return Ok(count),
                // It was somebody else's, in a block that left the chain.
                Some(receipt) if receipt.outcome == Outcome::Taken => return Ok(count),
                // The endpoint that counted is late.
                Some(receipt) if self.stands(&receipt).await => {}
                Some(receipt) => {
                    self.conclude(Receipt { outcome: Outcome::Undone, ..receipt }).await?;
                    self.finish(count).await?;
                }
            }
            tokio::time::sleep(self.policy.poll).await;
        }
    }

    /// How many nonces of ours L1 counts as used.
    async fn count(&self) -> u64 {
        loop {
            match self.l1.provider.get_transaction_count(self.account).await {
                Ok(count) => return count,
                Err(error) => tracing::debug!(%error, "no answer about the nonce"),
            }
            tokio::time::sleep(self.policy.poll).await;
        }
    }

    /// Sends the forms below `nonce` that L1 does not count again: a reorg undid them, and nothing
    /// after them can be mined.
    async fn fill_gap(&self, nonce: u64) {
        let first = self.count().await.min(nonce);
        for (_, known) in self.known.range(first..nonce) {
            if let Some(form) = known.tx.signed.last() {
                self.broadcast(&form.raw).await;
            }
        }
    }

    async fn intend(&mut self, intent: Intent) -> Result<(), L1Error> {
        let written = intent.clone();
        self.write(move |log| log.intent(&written)).await?;
        let signed = self.known.remove(&intent.nonce).map_or_else(Vec::new, |it| it.tx.signed);
        let oldest = self.known.first_key_value().filter(|(_, it)| it.tx.receipt.is_some());
        if let Some(nonce) = oldest.map(|(nonce, _)| *nonce)
            && self.known.len() >= KNOWN_MAX
        {
            self.known.remove(&nonce);
        }
        let tx = Tx { intent, signed, receipt: None };
        self.known.insert(tx.intent.nonce, Known { tx, unfunded: false });
        Ok(())
    }

    async fn conclude(&mut self, receipt: Receipt) -> Result<(), L1Error> {
        self.write(move |log| log.receipt(&receipt)).await?;
        if let Some(known) = self.known.get_mut(&receipt.nonce) {
            known.tx.receipt = (receipt.outcome != Outcome::Undone).then_some(receipt);
        }
        Ok(())
    }

    /// Writes to the log off the runtime's threads: it returns when it is durable.
    async fn write(
        &self,
        entry: impl FnOnce(&dyn IntentLog) -> Result<(), String> + Send + 'static,
    ) -> Result<(), L1Error> {
        let log = Arc::clone(&self.log);
        let written = tokio::task::spawn_blocking(move || entry(log.as_ref())).await;
        written.map_err(|error| L1Error::Journal(error.to_string()))?.map_err(L1Error::Journal)
    }
}

fn decoded(raw: &[u8]) -> Option<TxEnvelope> {
    TxEnvelope::decode_2718_exact(raw).ok()
}

fn is_form_of(form: &Signed, call: &Call) -> bool {
    decoded(&form.raw).is_some_and(|it| {
        it.to() == Some(evm(call.to))
            && it.input().as_ref() == call.data
            && it.value() == U256::from(call.value)
    })
}
