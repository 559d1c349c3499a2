//! The devnet's clients: each keeps one tx under way, every second one with a call.
//!
//! A client is what a wallet would be: it holds the secret, signs by proving, sends the tx to a
//! sequencer and follows L1 to see it revealed. It counts on nothing else: after a restart its
//! nonce is what the revealed blocks say.

use circuits::poseidon::{Fr, to_word};
use circuits::tx::{ARGS, Call, Tx, TxInput, account};
use protocol::Slot;

use super::data::{self, BlockData, DataError};
use super::execute::Programs;
use super::genesis::{GenesisError, client_secret};
use crate::config;

/// Fee of every tx.
const FEE: u64 = 10;
/// Slots that a tx may wait for its block: a day of 20 s slots.
const EXPIRY_SLOTS: u64 = 4_320;
/// A tx that is not revealed after this many slots (20 minutes of the devnet, twice a block's usual
/// time) is made again: a sequencer keeps its pool in memory only.
const RESEND_SLOTS: u64 = 60;
/// Tokens of one transfer.
const TRANSFER: u64 = 5;
/// Tokens paid into the market by one swap, and what is asked for them: as clients trade in both
/// directions the price stays near one, so a tenth is enough for the fee and the slip.
const SWAP_IN: u64 = 1_000;
const SWAP_OUT: u64 = 900;

struct Client {
    secret: Fr,
    account: Fr,
    calls: bool,
    /// Nonce of the next tx, the first that no revealed block holds.
    nonce: u64,
    /// Slot in which that tx was made, once the sequencer took it.
    under_way: Option<Slot>,
}

/// All clients of a devnet.
pub(crate) struct Traffic {
    clients: Vec<Client>,
    domain: Fr,
    transfer: Fr,
    swap: Fr,
}

impl Traffic {
    /// Clients that have sent nothing yet.
    ///
    /// # Errors
    /// [`GenesisError::Program`] when the release lacks a program that they call.
    pub(crate) fn new(
        table: &config::Genesis,
        domain: Fr,
        programs: &Programs,
    ) -> Result<Self, GenesisError> {
        let named = |name| programs.named(name).ok_or(GenesisError::Program(name));
        let client = |number: u16| {
            let secret = client_secret(number);
            let account = account(secret, domain);
            let calls = number.is_multiple_of(2);
            Client { secret, account, calls, nonce: 0, under_way: None }
        };
        let clients = (0..table.clients).map(client).collect();
        Ok(Self { clients, domain, transfer: named("transfer")?, swap: named("swap")? })
    }

    /// A block was revealed: its txs are no longer under way.
    pub(crate) fn revealed(&mut self, block: &BlockData) {
        for tx in &block.txs {
            let ours = self.clients.iter_mut().find(|it| to_word(it.account) == tx.account);
            if let Some(client) = ours.filter(|client| client.nonce <= tx.nonce) {
                client.nonce = tx.nonce + 1;
                client.under_way = None;
            }
        }
    }

    /// What to prove now (`Work::Tx`): one tx of each client that has none under way, or has waited
    /// so long that the sequencer must have lost it.
    pub(crate) fn due(&self, slot: Slot) -> Vec<TxInput> {
        let waits = |made: Slot| slot.0 < made.0.saturating_add(RESEND_SLOTS);
        let idle = self.clients.iter().filter(|client| !client.under_way.is_some_and(waits));
        idle.map(|client| self.make(client, slot)).collect()
    }

    /// The sequencer took this tx, or has it already: its client waits for the reveal.
    pub(crate) fn accepted(&mut self, tx: &data::Tx) {
        let ours = self.clients.iter_mut().find(|it| to_word(it.account) == tx.account);
        if let Some(client) = ours.filter(|client| client.nonce == tx.nonce) {
            client.under_way = Some(Slot(tx.expiry.saturating_sub(EXPIRY_SLOTS)));
        }
    }

    fn make(&self, client: &Client, slot: Slot) -> TxInput {
        let nonce = client.nonce;
        let calls = if client.calls { vec![self.call(client, nonce)] } else { Vec::new() };
        let expiry = slot.0 + EXPIRY_SLOTS;
        let tx = Tx { account: client.account, nonce, fee: FEE, expiry, calls };
        TxInput { secret: client.secret, domain: self.domain, tx }
    }

    /// A swap, then a transfer to the next client, then a swap back, and so on.
    fn call(&self, client: &Client, nonce: u64) -> Call {
        let caller = client.account;
        let mut args = [Fr::zero(); ARGS];
        if nonce.is_multiple_of(2) {
            let token_in = nonce / 2 % 2;
            args[..3].copy_from_slice(&[token_in, SWAP_IN, SWAP_OUT].map(Fr::from));
            return Call { caller, program: self.swap, args };
        }
        let after = self.clients.iter().skip_while(|it| it.account != caller).nth(1);
        let receiver = after.or(self.clients.first()).map_or(caller, |it| it.account);
        args[..2].copy_from_slice(&[receiver, Fr::from(TRANSFER)]);
        Call { caller, program: self.transfer, args }
    }
}

/// The tx as it is sent, with the proof that `Work::Tx` of its input gave.
pub(crate) fn with_proof(input: &TxInput, proof: Vec<u8>) -> data::Tx {
    let Tx { account, nonce, fee, expiry, calls } = &input.tx;
    let call = |call: &Call| {
        let used = call.args.iter().rposition(|arg| *arg != Fr::zero()).map_or(0, |last| last + 1);
        let args = call.args[..used].iter().map(|arg| to_word(*arg)).collect();
        data::Call { program: to_word(call.program), args }
    };
    data::Tx {
        account: to_word(*account),
        nonce: *nonce,
        fee: *fee,
        expiry: *expiry,
        calls: calls.iter().map(call).collect(),
        proof,
    }
}

/// The tx as `Request::SubmitTx` carries it.
///
/// # Errors
/// [`DataError::Proof`] when the proof has another length.
pub(crate) fn to_hex(tx: &data::Tx, proof_bytes: usize) -> Result<String, DataError> {
    tx.encode(proof_bytes).map(hex::encode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::execute::circuit_tx;
    use crate::rollup::genesis::tests::table;

    fn traffic() -> Traffic {
        Traffic::new(&table(), Fr::one(), &Programs::release().unwrap()).unwrap()
    }

    fn block(inputs: &[TxInput]) -> BlockData {
        BlockData { txs: inputs.iter().map(|input| with_proof(input, vec![1])).collect() }
    }

    #[test]
    fn each_client_sends_one_tx_and_waits_for_its_reveal() {
        let mut traffic = traffic();
        let first = traffic.due(Slot(3));
        let calls: Vec<_> = first.iter().map(|input| input.tx.calls.len()).collect();
        assert_eq!(calls, [1, 0]);
        assert!(first.iter().all(|input| input.check().is_ok()));
        assert_eq!(traffic.due(Slot(3)).len(), 2, "what nobody took is due again");
        traffic.accepted(&with_proof(&first[0], vec![1]));
        let due = traffic.due(Slot(3));
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].tx.account, first[1].tx.account);
        traffic.accepted(&with_proof(&first[1], vec![1]));
        assert!(traffic.due(Slot(62)).is_empty());
        let again = traffic.due(Slot(63));
        assert!(again.iter().all(|input| input.tx.nonce == 0), "the sequencer lost them");
        traffic.revealed(&block(&first));
        let second = traffic.due(Slot(4));
        assert!(second.iter().all(|input| input.tx.nonce == 1));
    }

    #[test]
    fn a_client_that_starts_again_reads_its_nonce_from_the_revealed_blocks() {
        let mut before = traffic();
        let mut blocks = Vec::new();
        for _ in 0..3 {
            blocks.push(block(&before.due(Slot(0))));
            before.revealed(&blocks[blocks.len() - 1]);
        }
        let mut again = traffic();
        blocks.iter().for_each(|block| again.revealed(block));
        let nonces = |it: &Traffic| -> Vec<_> {
            it.due(Slot(9)).iter().map(|input| (input.tx.account, input.tx.nonce)).collect()
        };
        assert_eq!(nonces(&again), nonces(&before));
        assert!(nonces(&again).iter().all(|(_, nonce)| *nonce == 3));
    }

    #[test]
    fn the_sent_tx_is_the_proved_one() {
        let mut traffic = traffic();
        for _ in 0..4 {
            let due = traffic.due(Slot(0));
            for input in &due {
                let tx = with_proof(input, vec![1]);
                assert_eq!(circuit_tx(&tx), input.tx);
                let bytes = hex::decode(to_hex(&tx, 1).unwrap()).unwrap();
                assert_eq!(data::Tx::decode(&bytes, 1), Ok(tx));
            }
            traffic.revealed(&block(&due));
        }
    }
}
