//! What can be sent to our contracts, as plain calls: address, bytes, purpose.
//!
//! Building a call is pure, so it can be written to the journal before anything is signed.

use alloy::{
    primitives::{B256, Bytes, U256},
    sol_types::SolCall,
};
use protocol::{Address, Hash, ProverId, Slot, Word};

use super::{
    bindings::{Registry, Rewards, Slots, Token},
    client::{Contracts, evm},
};

/// One call of a contract.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Call {
    /// What for: a word of at most 32 bytes. With the slot it says which calls are the same.
    pub(crate) purpose: String,
    /// The slot it belongs to, 0 if none.
    pub(crate) slot: Slot,
    /// The contract.
    pub(crate) to: Address,
    /// Wei.
    pub(crate) value: u128,
    /// Selector and arguments.
    pub(crate) data: Vec<u8>,
}

/// What a prover registers with (R1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ProverEntry {
    /// Signs protocol messages.
    pub(crate) operator: Address,
    /// Mesh identity (Ed25519).
    pub(crate) mesh_key: [u8; 32],
    /// Who its proofs pay.
    pub(crate) payout: Address,
    /// Lanes of class rollup.
    pub(crate) rollup: u16,
    /// Lanes of class vm.
    pub(crate) vm: u16,
}

/// What a reveal opens (R2.3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Opening {
    /// The block.
    pub(crate) data: Vec<u8>,
    /// Poseidon commitment of its tx list.
    pub(crate) txs: Word,
    /// Id of the block before, zero for the first.
    pub(crate) parent: Hash,
    /// What hid the commitment.
    pub(crate) salt: [u8; 32],
    /// The circuit set that its tx proofs are of (R13).
    pub(crate) set: Word,
}

/// A root proof as L1 takes it (slice section 2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RootProof {
    /// start, end, txs, count, credit, payee, units, fees, set.
    pub(crate) words: [Word; 9],
    /// The 12 accumulator words (384 bytes), then the transcript.
    pub(crate) proof: Vec<u8>,
}

/// The way to one credit record (R8).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CreditPath {
    /// Heap index in the slot's credit tree, root 1.
    pub(crate) position: u64,
    /// (rec, left, right) of the nodes above, from the root down.
    pub(crate) steps: Vec<[Word; 3]>,
    /// kind·2^128 + own·2^64 + total.
    pub(crate) meta: Word,
    /// Who is paid.
    pub(crate) payee: Address,
    /// Values of the record's children.
    pub(crate) children: [Word; 2],
}

/// What a record of `own` of a slot's `units` is paid from its pool, in base units: pool × own /
/// units, rounded down, as the contract does. 0 for a product that L1 would refuse.
pub(crate) fn payout(pool: u128, own: u64, units: u64) -> u128 {
    let product = pool.checked_mul(u128::from(own));
    product.and_then(|it| it.checked_div(u128::from(units))).unwrap_or(0)
}

impl Contracts {
    /// Lets the registry take `amount` of our tokens as a bond.
    pub(crate) fn approve(&self, amount: u128) -> Call {
        let call = Token::approveCall { spender: evm(self.registry), value: U256::from(amount) };
        self.call("approve", Slot(0), self.token, &call)
    }

    /// Bonds lanes.
    pub(crate) fn register(&self, entry: &ProverEntry) -> Call {
        let call = Registry::registerCall {
            operator: evm(entry.operator),
            meshKey: B256::from(entry.mesh_key),
            payout: evm(entry.payout),
            rollup: entry.rollup,
            vm: entry.vm,
        };
        self.call("register", Slot(0), self.registry, &call)
    }

    /// Becomes a sequencer, with a key and a possession from [`super::vrf::VrfKey`].
    pub(crate) fn register_sequencer(
        &self,
        key: Vec<u8>,
        possession: Vec<u8>,
        mesh_key: [u8; 32],
    ) -> Call {
        let call = Registry::registerSequencerCall {
            blsKey: key.into(),
            possession: possession.into(),
            meshKey: B256::from(mesh_key),
        };
        self.call("register_sequencer", Slot(0), self.registry, &call)
    }

    /// Shows the seed of `slot` by the RLP header of its seed block.
    pub(crate) fn show_seed(&self, slot: Slot, header: Vec<u8>) -> Call {
        let call = Slots::showSeedCall { slot: slot.0, header: header.into() };
        self.call("show_seed", slot, self.slots, &call)
    }

    /// Offers a block by its commitment, with a ticket from [`super::vrf::VrfKey`].
    pub(crate) fn propose(&self, slot: Slot, commitment: Hash, ticket: Vec<u8>) -> Call {
        let call = Slots::proposeCall {
            slot: slot.0,
            commitment: B256::from(commitment.0),
            vrf: ticket.into(),
        };
        self.call("propose", slot, self.slots, &call)
    }

    /// Publishes the winner's block.
    pub(crate) fn reveal(&self, slot: Slot, opening: Opening) -> Call {
        let call = Slots::revealCall {
            slot: slot.0,
            data: opening.data.into(),
            txs: word(opening.txs),
            parent: B256::from(opening.parent.0),
            salt: B256::from(opening.salt),
            set: word(opening.set),
        };
        self.call("reveal", slot, self.slots, &call)
    }

    /// Says who coordinates the proving of the winner's block, or that it proves alone.
    pub(crate) fn name(&self, slot: Slot, prover: ProverId, alone: bool) -> Call {
        let call = Slots::nameCall { slot: slot.0, prover: prover.0, alone };
        self.call("name", slot, self.slots, &call)
    }

    /// Settles the oldest revealed slot.
    pub(crate) fn settle(&self, slot: Slot, root: &RootProof) -> Call {
        let call = Slots::settleCall {
            slot: slot.0,
            words: root.words.map(word),
            proof: Bytes::copy_from_slice(&root.proof),
        };
        self.call("settle", slot, self.slots, &call)
    }

    /// Gives up the oldest revealed slot after its window.
    pub(crate) fn lapse(&self, slot: Slot) -> Call {
        self.call("lapse", slot, self.slots, &Slots::lapseCall { slot: slot.0 })
    }

    /// Has a payee paid for one credit record; anybody may send it.
    pub(crate) fn claim(&self, slot: Slot, path: &CreditPath) -> Call {
        let call = Rewards::claimCall {
            slot: slot.0,
            position: U256::from(path.position),
            steps: path.steps.iter().map(|step| step.map(word)).collect(),
            meta: word(path.meta),
            payee: evm(path.payee),
            children: path.children.map(word),
        };
        self.call(&format!("claim-{}", path.position), slot, self.rewards, &call)
    }

    fn call(&self, purpose: &str, slot: Slot, to: Address, call: &impl SolCall) -> Call {
        Call { purpose: purpose.to_owned(), slot, to, value: 0, data: call.abi_encode() }
    }
}

fn word(word: Word) -> U256 {
    U256::from_be_bytes(word)
}
