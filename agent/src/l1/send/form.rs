//! The signed form of an intent: its gas, its price, its signature, and what refusals mean.

use alloy::{
    eips::eip2718::Encodable2718 as _,
    network::{NetworkTransactionBuilder as _, TransactionBuilder as _},
    primitives::{U256, keccak256},
    providers::Provider as _,
    rpc::types::TransactionRequest,
    transports::TransportError,
};
use protocol::{Address, Hash};

use super::{Intent, Signed, actor::Actor};
use crate::l1::{
    L1Error,
    bindings::{
        Registry::RegistryErrors, Rewards::RewardsErrors, Slots::SlotsErrors, Token::TokenErrors,
    },
    calls::Call,
    client::evm,
};

/// Signed forms of one nonce: 1.125^32 is 43 times the first fee; then the last one is repeated.
const FORMS_MAX: usize = 32;
/// Gas above the estimate, in percent: storage may change before inclusion.
const GAS_MARGIN_PERCENT: u64 = 25;
/// Estimates tried before the caller is told that L1 does not answer.
const ESTIMATES_MAX: u32 = 5;

impl Actor {
    /// Fee and tip of the next form: at least 1/8 above the last on both (nodes ask for 10 %);
    /// `None` if the last form stays the last.
    pub(super) async fn fees(&self, nonce: u64) -> Option<(u128, u128)> {
        let policy = self.policy;
        let estimate = loop {
            match self.l1.provider.estimate_eip1559_fees().await {
                Ok(fees) => break fees,
                Err(error) => tracing::debug!(%error, "no fee estimate"),
            }
            tokio::time::sleep(policy.poll).await;
        };
        let mut tip = estimate.max_priority_fee_per_gas.max(policy.tip_floor);
        let mut fee = estimate.max_fee_per_gas.max(tip);
        let known = self.known.get(&nonce)?;
        let forms = &known.tx.signed;
        if let Some(last) = forms.last() {
            tip = tip.max(last.tip + last.tip / 8 + 1);
            fee = fee.max(last.max_fee + last.max_fee / 8 + 1).max(tip);
            let exhausted = forms.len() >= FORMS_MAX || fee > policy.fee_cap;
            if exhausted && known.is_spoken() {
                return None;
            }
        }
        Some((fee.min(policy.fee_cap), tip.min(policy.fee_cap)))
    }

    pub(super) async fn sign(
        &self,
        intent: &Intent,
        gas: u64,
        max_fee: u128,
        tip: u128,
    ) -> Result<Signed, L1Error> {
        let request = self
            .request(&intent.call)
            .with_nonce(intent.nonce)
            .with_chain_id(self.l1.contracts.chain_id)
            .with_gas_limit(gas)
            .with_max_fee_per_gas(max_fee)
            .with_max_priority_fee_per_gas(tip);
        let envelope =
            request.build(&self.wallet).await.map_err(|_| L1Error::Key("the operator's secret"))?;
        let raw = envelope.encoded_2718();
        let hash = Hash(keccak256(&raw).0);
        Ok(Signed { nonce: intent.nonce, hash, max_fee, tip, raw })
    }

    /// Gas limit of `call`, if the contract would take it now.
    pub(super) async fn estimate(&self, call: &Call) -> Result<u64, L1Error> {
        let mut tried = 0;
        loop {
            let error = match self.l1.provider.estimate_gas(self.request(call)).await {
                Ok(gas) => return Ok(gas + gas * GAS_MARGIN_PERCENT / 100),
                Err(error) => error,
            };
            if is_unfunded(&error) {
                let account = Address(self.account.into_array());
                return Err(L1Error::Unfunded { account, why: error.to_string() });
            }
            if error.is_error_resp() {
                return Err(L1Error::Reverted { purpose: call.purpose.clone(), why: why(&error) });
            }
            tried += 1;
            if tried == ESTIMATES_MAX {
                return Err(L1Error::rpc("a gas estimate", error));
            }
            tokio::time::sleep(self.policy.poll).await;
        }
    }

    /// Why a call that was mined did not have its effect: what the contract says to it now.
    pub(super) async fn reverted(&self, call: &Call) -> L1Error {
        match self.estimate(call).await {
            Err(error @ L1Error::Reverted { .. }) => error,
            _ => L1Error::Reverted {
                purpose: call.purpose.clone(),
                why: "it was mined too early or too late".into(),
            },
        }
    }

    fn request(&self, call: &Call) -> TransactionRequest {
        TransactionRequest::default()
            .with_from(self.account)
            .with_to(evm(call.to))
            .with_value(U256::from(call.value))
            .with_input(call.data.clone())
    }
}

pub(super) fn is_unfunded(error: &TransportError) -> bool {
    error.is_error_resp() && error.to_string().to_lowercase().contains("insufficient funds")
}

/// The contract's error by its name, or the node's words.
fn why(error: &TransportError) -> String {
    let Some(answer) = error.as_error_resp() else { return error.to_string() };
    let slots = answer.as_decoded_interface_error::<SlotsErrors>().map(|it| format!("{it:?}"));
    slots
        .or_else(|| Some(format!("{:?}", answer.as_decoded_interface_error::<RegistryErrors>()?)))
        .or_else(|| Some(format!("{:?}", answer.as_decoded_interface_error::<RewardsErrors>()?)))
        .or_else(|| Some(format!("{:?}", answer.as_decoded_interface_error::<TokenErrors>()?)))
        .unwrap_or_else(|| answer.message.to_string())
}
