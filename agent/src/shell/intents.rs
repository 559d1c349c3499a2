//! The journal as the sender of transactions sees it.

use protocol::{Address, Hash, Slot};

use crate::{
    l1::{
        calls::Call,
        send::{Intent, IntentLog, Outcome, Receipt, Signed, Tx},
    },
    store::{self, Entry, Store},
};

/// Writes what the sender promises into the store, durably.
pub(crate) struct Journal {
    store: Store,
    /// What an earlier run promised, as the store restored it.
    restored: Vec<store::Tx>,
}

impl Journal {
    /// The log of one account; `restored` is what the store said at its opening.
    pub(crate) const fn new(store: Store, restored: Vec<store::Tx>) -> Self {
        Self { store, restored }
    }

    fn append(&self, entry: Entry) -> Result<(), String> {
        self.store.append(&[entry]).map(drop).map_err(|error| error.to_string())
    }
}

impl IntentLog for Journal {
    fn intent(&self, it: &Intent) -> Result<(), String> {
        let Call { purpose, slot, to, value, data } = it.call.clone();
        self.append(Entry::Intent(store::Intent {
            nonce: it.nonce,
            purpose,
            slot,
            to,
            value,
            data,
        }))
    }

    fn signed(&self, it: &Signed) -> Result<(), String> {
        let Signed { nonce, hash, max_fee, tip, raw } = it.clone();
        self.append(Entry::Signed(store::Signed { nonce, hash, max_fee, tip, raw }))
    }

    fn receipt(&self, it: &Receipt) -> Result<(), String> {
        let Receipt { nonce, hash, block, block_hash, outcome } = *it;
        let outcome = match outcome {
            Outcome::Done => store::Outcome::Done,
            Outcome::Reverted => store::Outcome::Reverted,
            Outcome::Taken => store::Outcome::Taken,
            Outcome::Undone => store::Outcome::Undone,
        };
        self.append(Entry::Receipt(store::Receipt { nonce, hash, block, block_hash, outcome }))
    }

    fn txs(&self) -> Result<Vec<Tx>, String> {
        Ok(self.restored.iter().map(restored).collect())
    }
}

fn restored(it: &store::Tx) -> Tx {
    let store::Intent { nonce, purpose, slot, to, value, data } = it.intent.clone();
    let (slot, to): (Slot, Address) = (slot, to);
    let call = Call { purpose, slot, to, value, data };
    let signed = it.signed.iter().map(|it| {
        let hash: Hash = it.hash;
        let raw = it.raw.clone();
        Signed { nonce: it.nonce, hash, max_fee: it.max_fee, tip: it.tip, raw }
    });
    let receipt = it.receipt.as_ref().map(|it| Receipt {
        nonce: it.nonce,
        hash: it.hash,
        block: it.block,
        block_hash: it.block_hash,
        outcome: match it.outcome {
            store::Outcome::Done => Outcome::Done,
            store::Outcome::Reverted => Outcome::Reverted,
            store::Outcome::Taken => Outcome::Taken,
            store::Outcome::Undone => Outcome::Undone,
        },
    });
    Tx { intent: Intent { nonce, call }, signed: signed.collect(), receipt }
}
