//! From logs to the core's events, strictly: an event of our contracts that this version does not
//! know means that it is not the network's version.

use alloy::{
    primitives::{Address as EvmAddress, B256},
    rpc::types::Log,
    sol_types::SolEventInterface as _,
};
use protocol::{
    Address, BlockId, Hash, L1Event, ProverId, SequencerId, Slot, Word,
    epoch::{Epoch, sets::CircuitSet},
};

use super::{
    L1Error,
    bindings::{
        Registry::{self, RegistryEvents},
        Rewards::{self, RewardsEvents},
        Slots::{self, SlotsEvents},
    },
    client::Contracts,
};
use crate::rollup::data;

/// What the winner revealed, beyond what the core follows: needed to execute the block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RevealData {
    /// Which slot.
    pub(crate) slot: Slot,
    /// keccak of `data`.
    pub(crate) block: BlockId,
    /// The block before, zero for the first.
    pub(crate) parent: BlockId,
    /// What hid the commitment.
    pub(crate) salt: [u8; 32],
    /// Claimed Poseidon commitment of the tx list.
    pub(crate) txs: Word,
    /// The block's bytes (slice section 3).
    pub(crate) data: Vec<u8>,
    /// The circuit set it is proved by (R13).
    pub(crate) set: Word,
}

/// A circuit set was announced (R13).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SetNews {
    /// The set; its version counts from 0.
    pub(crate) set: CircuitSet,
    /// First epoch in which a reveal may name it.
    pub(crate) from: Epoch,
}

/// Everything our contracts said in one L1 block, in log order.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct BlockEvents {
    /// For the core.
    pub(crate) events: Vec<L1Event>,
    /// Contents of revealed blocks.
    pub(crate) reveals: Vec<RevealData>,
    /// Slots that were given up: their txs are free again.
    pub(crate) lapsed: Vec<Slot>,
    /// Circuit sets that were announced.
    pub(crate) sets: Vec<SetNews>,
}

/// Decodes the logs of L1 block `number`.
///
/// # Errors
/// `L1-008` for an event that is not in the ABI.
pub(super) fn decode(
    contracts: &Contracts,
    number: u64,
    logs: &[Log],
) -> Result<BlockEvents, L1Error> {
    let mut found = BlockEvents::default();
    for log in logs {
        let unknown =
            |_| L1Error::UnknownEvent { block: number, index: log.log_index.unwrap_or(0) };
        let (topics, data) = (log.inner.topics(), &log.inner.data.data);
        let from = Address(log.inner.address.into_array());
        if from == contracts.registry {
            let event = RegistryEvents::decode_raw_log(topics, data).map_err(unknown)?;
            found.events.extend(registry_event(event));
        } else if from == contracts.slots {
            let event = SlotsEvents::decode_raw_log(topics, data).map_err(unknown)?;
            slots_event(event, &mut found);
        } else if from == contracts.rewards {
            let RewardsEvents::Paid(paid) =
                RewardsEvents::decode_raw_log(topics, data).map_err(unknown)?;
            found.events.push(paid_event(&paid));
        }
    }
    Ok(found)
}

fn registry_event(event: RegistryEvents) -> Option<L1Event> {
    match event {
        RegistryEvents::ProverRegistered(e) => Some(prover_event(&e)),
        RegistryEvents::SequencerRegistered(e) => Some(L1Event::SequencerRegistered {
            sequencer: SequencerId(e.sequencer),
            owner: address(e.owner),
            mesh_key: e.meshKey.0,
        }),
        // An epoch's set does not shrink: its lanes that stop are lost by their missing beats.
        RegistryEvents::ProverLeft(e) => Some(L1Event::ProverLeft { prover: ProverId(e.prover) }),
        RegistryEvents::SequencerLeft(_)
        | RegistryEvents::ProverWithdrew(_)
        | RegistryEvents::SequencerWithdrew(_) => None,
    }
}

fn prover_event(e: &Registry::ProverRegistered) -> L1Event {
    L1Event::ProverRegistered {
        prover: ProverId(e.prover),
        operator: address(e.operator),
        mesh_key: e.meshKey.0,
        payout: address(e.payout),
        rollup: e.rollup,
        vm: e.vm,
    }
}

fn slots_event(event: SlotsEvents, found: &mut BlockEvents) {
    match event {
        SlotsEvents::Seed(e) => {
            found.events.push(L1Event::Seed { slot: Slot(e.slot), seed: hash(e.seed) });
        }
        SlotsEvents::Proposed(e) => found.events.push(L1Event::Proposed {
            slot: Slot(e.slot),
            sequencer: SequencerId(e.sequencer),
            commitment: hash(e.commitment),
            score: hash(e.score),
        }),
        SlotsEvents::Named(e) => found.events.push(L1Event::Named {
            slot: Slot(e.slot),
            prover: ProverId(e.prover),
            alone: e.alone,
        }),
        SlotsEvents::Revealed(e) => {
            found.events.push(L1Event::Revealed {
                slot: Slot(e.slot),
                block: BlockId(e.blockId.0),
                // Set by the BlockOpened event, which always follows.
                commitment: Hash::default(),
                txs: e.txs.to_be_bytes(),
                count: e.n,
                set: e.set.to_be_bytes(),
            });
        }
        SlotsEvents::SetAnnounced(e) => found.sets.push(SetNews {
            set: CircuitSet { id: e.id.to_be_bytes(), version: e.version },
            from: Epoch(e.epoch),
        }),
        SlotsEvents::BlockOpened(e) => opened(e, found),
        SlotsEvents::Settled(e) => found.events.push(settled_event(&e)),
        SlotsEvents::Lapsed(e) => found.lapsed.push(Slot(e.slot)),
    }
}

/// Completes the `Revealed` event before it: the commitment follows from what was opened.
fn opened(e: Slots::BlockOpened, found: &mut BlockEvents) {
    let Some(revealed) = found.events.last_mut() else { return };
    let L1Event::Revealed { slot, block, commitment, txs, set, .. } = revealed else { return };
    *commitment = data::commitment(*block, txs, BlockId(e.parent.0), &e.salt.0);
    found.reveals.push(RevealData {
        slot: *slot,
        block: *block,
        parent: BlockId(e.parent.0),
        salt: e.salt.0,
        txs: *txs,
        data: e.data.to_vec(),
        set: *set,
    });
}

fn settled_event(e: &Slots::Settled) -> L1Event {
    L1Event::Settled {
        slot: Slot(e.slot),
        end: e.end.to_be_bytes(),
        credit: e.credit.to_be_bytes(),
        payee: address(e.payee),
        units: e.units,
        pool: e.pool,
    }
}

fn paid_event(e: &Rewards::Paid) -> L1Event {
    L1Event::Paid {
        slot: Slot(e.slot),
        // The contract accepts positions of at most 64 bits.
        position: e.position.saturating_to(),
        payee: address(e.payee),
        amount: e.amount,
    }
}

fn address(address: EvmAddress) -> Address {
    Address(address.into_array())
}

fn hash(hash: B256) -> Hash {
    Hash(hash.0)
}
