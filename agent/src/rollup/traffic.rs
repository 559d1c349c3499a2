//! The devnet's clients: each keeps one tx under way, every second one with a call.
//!
//! A client is what a wallet would be: it holds the secret, signs by proving, sends the tx to a
//! sequencer and follows L1 to see it revealed. It counts on nothing else: after a restart its
//! nonce is what the revealed blocks say, and a tx whose block left L1 is sent again as it is until
//! a block holds it.

use std::collections::BTreeMap;

use circuits::poseidon::{Fr, to_word};
use circuits::tx::{ARGS, Call, Tx, TxInput, account};
use protocol::{Hash, Slot, Word};

use super::data::{self, BlockData, DataError};
use super::execute::Programs;
use super::genesis::{GenesisError, client_secret};
use crate::{
    config,
    l1::follow::{UndoLog, WINDOW_BLOCKS},
};

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
    /// Txs from that nonce on whose block left L1.
    undone: BTreeMap<u64, data::Tx>,
    /// Slot in which they were last sent again.
    sent: Option<Slot>,
}

/// What one L1 block changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Change {
    Revealed(Slot),
    Lapsed(Slot),
}

/// All clients of a devnet.
pub(crate) struct Traffic {
    clients: Vec<Client>,
    domain: Fr,
    transfer: Fr,
    swap: Fr,
    /// The newest revealed blocks, also those that left L1.
    blocks: BTreeMap<Slot, BlockData>,
    log: UndoLog<Vec<Change>>,
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
            let (undone, sent) = (BTreeMap::new(), None);
            Client { secret, account, calls, nonce: 0, under_way: None, undone, sent }
        };
        let clients = (0..table.clients).map(client).collect();
        let (transfer, swap) = (named("transfer")?, named("swap")?);
        let (blocks, log) = (BTreeMap::new(), UndoLog::default());
        Ok(Self { clients, domain, transfer, swap, blocks, log })
    }

    /// A canonical L1 block, mined in `slot`: what was revealed in it, and which slots it gave up.
    pub(crate) fn l1_block(
        &mut self,
        slot: Slot,
        hash: Hash,
        reveals: Vec<(Slot, BlockData)>,
        lapsed: &[Slot],
    ) {
        let mut changes: Vec<Change> = lapsed.iter().map(|slot| Change::Lapsed(*slot)).collect();
        lapsed.iter().rev().for_each(|given_up| self.gone(*given_up, slot));
        for (slot, block) in reveals {
            self.blocks.insert(slot, block);
            self.stands(slot);
            changes.push(Change::Revealed(slot));
        }
        while self.blocks.len() > WINDOW_BLOCKS {
            self.blocks.pop_first();
        }
        self.log.push(hash, changes);
    }

    /// The newest L1 block left the chain, in `slot`.
    pub(crate) fn l1_undo(&mut self, slot: Slot, hash: Hash) {
        for change in self.log.pop(hash).unwrap_or_default().into_iter().rev() {
            match change {
                Change::Revealed(revealed) => self.gone(revealed, slot),
                Change::Lapsed(lapsed) => self.stands(lapsed),
            }
        }
    }

    fn client(clients: &mut [Client], account: Word) -> Option<&mut Client> {
        clients.iter_mut().find(|it| to_word(it.account) == account)
    }

    /// A block is on L1: its txs are no longer under way.
    fn stands(&mut self, slot: Slot) {
        for tx in self.blocks.get(&slot).into_iter().flat_map(|block| &block.txs) {
            let ours = Self::client(&mut self.clients, tx.account);
            let Some(client) = ours.filter(|client| client.nonce <= tx.nonce) else { continue };
            client.nonce = tx.nonce + 1;
            client.undone = client.undone.split_off(&client.nonce);
            if client.undone.is_empty() {
                client.under_way = None;
            }
        }
    }

    /// A block is on L1 no more: a sequencer that has lost its txs must get them again.
    fn gone(&mut self, slot: Slot, now: Slot) {
        for tx in self.blocks.get(&slot).into_iter().flat_map(|block| block.txs.iter().rev()) {
            let ours = Self::client(&mut self.clients, tx.account);
            let Some(client) = ours.filter(|client| client.nonce == tx.nonce + 1) else { continue };
            (client.nonce, client.under_way, client.sent) = (tx.nonce, Some(now), None);
            client.undone.insert(tx.nonce, tx.clone());
        }
    }

    /// What to send again now, as it is: txs whose block left L1, once in each slot. A sequencer
    /// that still has them, or has not seen L1 change yet, says so.
    pub(crate) fn again(&mut self, slot: Slot) -> Vec<data::Tx> {
        let due = self.clients.iter_mut().filter(|it| it.sent != Some(slot));
        due.flat_map(|client| {
            client.sent = Some(slot);
            client.undone.values().cloned()
        })
        .collect()
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
        let ours = Self::client(&mut self.clients, tx.account);
        if let Some(client) = ours.filter(|client| client.nonce == tx.nonce) {
            client.undone.remove(&tx.nonce);
            client.under_way = Some(Slot(tx.expiry.saturating_sub(EXPIRY_SLOTS)));
        }
    }

    /// Another circuit set is in force (R13): what waits for a block must be proved anew.
    pub(crate) fn renew(&mut self) {
        for client in &mut self.clients {
            client.under_way = None;
            client.undone.clear();
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

    fn hash(number: u8) -> Hash {
        Hash([number; 32])
    }

    /// L1 block `number` reveals a block of slot `number`.
    fn reveal(traffic: &mut Traffic, number: u8, block: BlockData) {
        let slot = Slot(number.into());
        traffic.l1_block(slot, hash(number), vec![(slot, block)], &[]);
    }

    fn nonces(txs: &[data::Tx]) -> Vec<u64> {
        txs.iter().map(|tx| tx.nonce).collect()
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
        reveal(&mut traffic, 4, block(&first));
        let second = traffic.due(Slot(4));
        assert!(second.iter().all(|input| input.tx.nonce == 1));
    }

    #[test]
    fn a_client_that_starts_again_reads_its_nonce_from_the_revealed_blocks() {
        let mut before = traffic();
        let mut blocks = Vec::new();
        for _ in 0..3 {
            blocks.push(block(&before.due(Slot(0))));
            let number = u8::try_from(blocks.len()).unwrap();
            reveal(&mut before, number, blocks[blocks.len() - 1].clone());
        }
        let mut again = traffic();
        for (number, block) in (1..).zip(&blocks) {
            reveal(&mut again, number, block.clone());
        }
        let nonces = |it: &Traffic| -> Vec<_> {
            it.due(Slot(9)).iter().map(|input| (input.tx.account, input.tx.nonce)).collect()
        };
        assert_eq!(nonces(&again), nonces(&before));
        assert!(nonces(&again).iter().all(|(_, nonce)| *nonce == 3));
    }

    #[test]
    fn a_tx_whose_block_left_l1_is_sent_again_at_once_until_a_block_holds_it() {
        let mut traffic = traffic();
        let first = block(&traffic.due(Slot(1)));
        reveal(&mut traffic, 1, first.clone());
        assert_eq!(traffic.again(Slot(1)), []);
        traffic.l1_undo(Slot(1), hash(9));
        assert_eq!(traffic.again(Slot(1)), [], "not the newest block");
        traffic.l1_undo(Slot(1), hash(1));
        assert!(traffic.due(Slot(2)).is_empty(), "nothing is proved anew");
        assert_eq!(traffic.again(Slot(1)), first.txs);
        assert_eq!(traffic.again(Slot(1)), [], "once a slot");
        assert_eq!(traffic.again(Slot(2)), first.txs);
        reveal(&mut traffic, 2, first);
        assert_eq!(traffic.again(Slot(3)), []);
        assert!(traffic.due(Slot(3)).iter().all(|input| input.tx.nonce == 1));
    }

    #[test]
    fn what_waits_is_made_anew_when_another_circuit_set_is_in_force() {
        let mut traffic = traffic();
        for number in 1..=2 {
            let due = block(&traffic.due(Slot(0)));
            reveal(&mut traffic, number, due);
        }
        traffic.accepted(&with_proof(&traffic.due(Slot(1))[0], vec![1]));
        assert_eq!(traffic.due(Slot(1)).len(), 1);
        traffic.renew();
        assert_eq!(traffic.due(Slot(1)).len(), 2, "also what the sequencer has taken");
        traffic.l1_undo(Slot(2), hash(2));
        traffic.renew();
        assert_eq!(traffic.again(Slot(2)), [], "the old proofs are worth nothing");
        assert!(traffic.due(Slot(2)).iter().all(|input| input.tx.nonce == 1));
    }

    #[test]
    fn txs_of_two_blocks_that_left_l1_are_sent_in_order_and_made_anew_after_long() {
        let mut traffic = traffic();
        for number in 1..=2 {
            let due = block(&traffic.due(Slot(0)));
            reveal(&mut traffic, number, due);
        }
        traffic.l1_undo(Slot(2), hash(2));
        traffic.l1_undo(Slot(2), hash(1));
        assert_eq!(nonces(&traffic.again(Slot(2))), [0, 1, 0, 1]);
        let anew = traffic.due(Slot(62));
        assert!(anew.len() == 2 && anew.iter().all(|input| input.tx.nonce == 0));
        traffic.accepted(&with_proof(&anew[0], vec![1]));
        assert_eq!(nonces(&traffic.again(Slot(62))), [1, 0, 1], "replaced by the new one");
    }

    #[test]
    fn a_block_that_l1_gives_up_frees_its_txs_and_takes_them_back_with_an_undo() {
        let mut traffic = traffic();
        let first = block(&traffic.due(Slot(1)));
        reveal(&mut traffic, 1, first.clone());
        traffic.l1_block(Slot(9), hash(9), Vec::new(), &[Slot(1)]);
        assert_eq!(traffic.again(Slot(9)), first.txs);
        traffic.l1_undo(Slot(9), hash(9));
        assert_eq!(traffic.again(Slot(10)), []);
    }

    #[test]
    fn the_sent_tx_is_the_proved_one() {
        let mut traffic = traffic();
        for number in 0..4 {
            let due = traffic.due(Slot(0));
            for input in &due {
                let tx = with_proof(input, vec![1]);
                assert_eq!(circuit_tx(&tx), input.tx);
                let bytes = hex::decode(to_hex(&tx, 1).unwrap()).unwrap();
                assert_eq!(data::Tx::decode(&bytes, 1), Ok(tx));
            }
            reveal(&mut traffic, number, block(&due));
        }
    }
}
