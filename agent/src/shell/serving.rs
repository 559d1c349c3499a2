//! What peers may have of us: proofs and witnesses by hash, and the witnesses' names by block; and
//! when it goes, since nobody asks for a block that is settled for good.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Mutex, PoisonError},
};

use protocol::{BlobId, BlockId, Coordinator, Slot};

use super::Shell;
use crate::{mesh::BlobSource, store::Store};

/// Blocks whose witness names are remembered; older ones are settled.
const BLOCKS_MAX: usize = 128;

/// Serves the store's blobs.
pub(crate) struct Serving {
    store: Store,
    names: Mutex<VecDeque<(BlockId, Vec<BlobId>)>>,
}

impl Serving {
    /// Serves what `store` holds.
    pub(crate) const fn new(store: Store) -> Self {
        Self { store, names: Mutex::new(VecDeque::new()) }
    }

    /// The witnesses of a block are stored under these names, in the order of its txs.
    pub(crate) fn set(&self, block: BlockId, names: Vec<BlobId>) {
        let mut known = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(it, _)| *it != block);
        known.push_back((block, names));
        if known.len() > BLOCKS_MAX {
            known.pop_front();
        }
    }

    /// Serves a block's witnesses no more. Gives the names that no other block has.
    fn forget(&self, block: BlockId) -> Vec<BlobId> {
        let mut known = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(at) = known.iter().position(|(it, _)| *it == block) else { return Vec::new() };
        let mut names = known.remove(at).map(|(_, names)| names).unwrap_or_default();
        names.retain(|name| !known.iter().any(|(_, others)| others.contains(name)));
        names
    }
}

/// Proofs of settled slots, until no reorg can bring the slots back. A slot that lapsed keeps its
/// proofs: the same txs on the same state make the same tasks again.
#[derive(Default, Debug)]
pub(crate) struct Remains(BTreeMap<Slot, (BlockId, BTreeSet<BlobId>)>);

impl Remains {
    /// Looks at the machine after an L1 block. Gives the blocks that are settled for good, and the
    /// proofs of them that no other block uses.
    fn sweep(&mut self, machine: &Coordinator) -> (Vec<BlockId>, BTreeSet<BlobId>) {
        for (slot, facts) in machine.chain().slots() {
            let (Some(_), Some(reveal)) = (facts.settled, facts.reveal) else {
                self.0.remove(&slot);
                continue;
            };
            let round = machine.round(slot);
            let tasks = round.into_iter().flat_map(protocol::round::Round::followed);
            let proofs = tasks.flat_map(|(task, _)| {
                let id = round.map(|it| it.spot(task).id);
                id.map(|id| machine.ledger().of(id)).unwrap_or_default()
            });
            let kept = self.0.entry(slot).or_insert_with(|| (reveal.block, BTreeSet::new()));
            kept.1.extend(proofs.map(|proof| proof.blob));
        }
        // The machine forgets slots from the oldest on, each only when no undo can reach it.
        let oldest = machine.chain().slots().next().map_or(Slot(0), |(slot, _)| slot);
        let kept = self.0.split_off(&oldest);
        let over = std::mem::replace(&mut self.0, kept);
        if over.is_empty() {
            return Default::default();
        }
        let mut used = machine.blobs_in_use();
        used.extend(self.0.values().flat_map(|(_, proofs)| proofs));
        let (blocks, proofs): (Vec<BlockId>, Vec<BTreeSet<BlobId>>) = over.into_values().unzip();
        (blocks, proofs.into_iter().flatten().filter(|blob| !used.contains(blob)).collect())
    }
}

impl Shell {
    /// Removes what is left of slots that are settled for good; files go off the loop.
    pub(crate) fn clean(&mut self, machine: &Coordinator) {
        let (blocks, mut blobs) = self.remains.sweep(machine);
        let serving = &self.parts.serving;
        blobs.extend(blocks.into_iter().flat_map(|block| serving.forget(block)));
        if !blobs.is_empty() {
            let store = self.parts.store.clone();
            tokio::task::spawn_blocking(move || remove(&store, &blobs));
        }
    }
}

fn remove(store: &Store, blobs: &BTreeSet<BlobId>) {
    tracing::debug!(count = blobs.len(), "blobs of settled blocks are removed");
    for blob in blobs {
        if let Err(error) = store.blobs().remove(*blob) {
            tracing::warn!(%error, %blob, "a blob that nobody needs stays");
        }
    }
}

impl BlobSource for Serving {
    fn get(&self, blob: BlobId) -> Option<Vec<u8>> {
        match self.store.blobs().get(blob) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, %blob, "a blob cannot be served");
                None
            }
        }
    }

    fn witnesses(&self, block: BlockId) -> Option<Vec<BlobId>> {
        let known = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|(it, _)| *it == block).map(|(_, names)| names.clone())
    }
}

#[cfg(test)]
mod tests {
    use protocol::{
        Address, BlockPlan, Credit, Hash, Input, Kind, L1Event, Millis, Node, Params, PlannedTask,
        ProverId, SequencerId, StatementId, TaskId,
    };

    use super::*;
    use crate::store::Options;

    const GENESIS: u64 = 100;
    const BLOCK: BlockId = BlockId([9; 32]);
    const PROOFS: [BlobId; 2] = [BlobId([1; 32]), BlobId([2; 32])];

    fn hash(number: u64) -> Hash {
        let mut hash = Hash::default();
        hash.0[24..].copy_from_slice(&number.to_be_bytes());
        hash
    }

    /// A machine, the chain it is fed, and what was swept after each block.
    struct World {
        machine: Coordinator,
        remains: Remains,
        head: u64,
        swept: Vec<(u64, Vec<BlockId>, BTreeSet<BlobId>)>,
    }

    impl World {
        /// Slot 0 has a block of one tx, whose two proofs are accepted.
        fn proved() -> Self {
            let params = Params { genesis_block: GENESIS, ..Params::devnet() };
            let machine = Coordinator::new(Some(ProverId(0)), params);
            let (remains, swept) = (Remains::default(), Vec::new());
            let mut world = Self { machine, remains, head: 0, swept };
            world.block(vec![L1Event::ProverRegistered {
                prover: ProverId(0),
                operator: Address([1; 20]),
                mesh_key: [1; 32],
                payout: Address([1; 20]),
                rollup: 1,
                vm: 1,
            }]);
            world.until(GENESIS - 1);
            let (slot, commitment, score) = (Slot(0), hash(5), hash(6));
            let sequencer = SequencerId(0);
            let proposed = L1Event::Proposed { slot, sequencer, commitment, score };
            world.block(vec![L1Event::Seed { slot, seed: hash(4) }, proposed]);
            world.until(GENESIS + 4);
            let (block, txs) = (BLOCK, [3; 32]);
            let (count, set) = (1, [0; 32]);
            world.block(vec![L1Event::Revealed { slot, block, commitment, txs, count, set }]);
            world.until(GENESIS + 9);
            let node = |kind| Node { kind, level: 0, index: 0, call: 0 };
            let places = [node(Kind::Base), node(Kind::Root)].into_iter().zip([11, 12]);
            let tasks = places.map(|(node, id)| PlannedTask { node, task: TaskId([id; 32]) });
            let plan = BlockPlan { calls: [0].into(), tasks: tasks.collect() };
            world.step(Input::Planned { block, plan });
            for (blob, id) in PROOFS.into_iter().zip([11, 12]) {
                let (task, statement) = (TaskId([id; 32]), StatementId([id; 32]));
                world.step(Input::Accepted { task, statement, blob, credit: credit() });
            }
            assert_eq!(world.machine.blobs_in_use(), PROOFS.into());
            world
        }

        fn step(&mut self, input: Input) {
            self.machine.step(Millis(self.head * 2_000), input, &mut Vec::new());
        }

        fn block(&mut self, events: Vec<L1Event>) {
            self.head += 1;
            let (number, randao) = (self.head, hash(self.head));
            let (hash, parent) = (hash(number), hash(number - 1));
            self.step(Input::L1Block { number, hash, parent, time: number * 2, randao, events });
            self.sweep();
        }

        fn sweep(&mut self) {
            let (blocks, blobs) = self.remains.sweep(&self.machine);
            if !blocks.is_empty() {
                self.swept.push((self.head, blocks, blobs));
            }
        }

        fn until(&mut self, head: u64) {
            while self.head < head {
                self.block(Vec::new());
            }
        }

        fn settle(&mut self) {
            let (end, credit, payee) = ([7; 32], [8; 32], Address([1; 20]));
            let slot = Slot(0);
            self.block(vec![L1Event::Settled { slot, end, credit, payee, units: 1, pool: 1 }]);
        }
    }

    fn credit() -> Credit {
        let payee = Address([1; 20]);
        Credit { kind: 3, own: 1, total: 1, payee, left: [0; 32], right: [0; 32] }
    }

    #[test]
    fn proofs_of_a_settled_block_go_once_when_no_undo_can_bring_it_back() {
        let mut world = World::proved();
        world.settle();
        let settled = world.head;
        let kept_blocks = world.machine.params().undo_blocks_max as u64;
        world.until(settled + kept_blocks);
        assert_eq!(world.swept, []);
        // The machine forgets whole epochs, two of them later at most.
        world.until(settled + 2 * 32 * 10 + kept_blocks);
        let [(head, blocks, blobs)] = &world.swept[..] else { panic!("{:?}", world.swept) };
        assert!(*head > settled + kept_blocks);
        assert_eq!((&blocks[..], blobs), (&[BLOCK][..], &PROOFS.into()));
        assert!(world.machine.blobs_in_use().is_empty());
    }

    #[test]
    fn proofs_stay_while_their_block_is_not_settled() {
        let mut world = World::proved();
        world.settle();
        world.step(Input::L1Undo { hash: hash(world.head) });
        world.head -= 1;
        world.sweep();
        world.until(GENESIS + 400);
        assert_eq!(world.swept, []);
        assert_eq!(world.machine.blobs_in_use(), PROOFS.into());
    }

    fn store(dir: &std::path::Path) -> Store {
        Store::open(&dir.join("data"), &dir.join("anchor"), Options::default()).unwrap().0
    }

    #[test]
    fn a_forgotten_block_leaves_witnesses_that_another_shares() {
        let dir = tempfile::tempdir().unwrap();
        let serving = Serving::new(store(dir.path()));
        let names = [1, 2, 3].map(|it| BlobId([it; 32]));
        let other = BlockId([8; 32]);
        serving.set(BLOCK, names[..2].to_vec());
        serving.set(other, names[1..].to_vec());
        assert_eq!(serving.forget(BLOCK), [names[0]]);
        assert_eq!(serving.witnesses(BLOCK), None);
        assert_eq!(serving.forget(BLOCK), []);
        assert_eq!(serving.forget(other), names[1..]);
    }

    #[test]
    fn removed_blobs_are_gone_from_the_disk_and_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        let [old, kept] = [b"old", b"new"].map(|bytes| store.blobs().put(bytes).unwrap());
        remove(&store, &[old, BlobId([1; 32])].into());
        assert!(!store.blobs().has(old) && store.blobs().has(kept));
    }
}
