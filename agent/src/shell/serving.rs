//! What peers may have of us: proofs and witnesses by hash, and the witnesses' names by block.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use protocol::{BlobId, BlockId};

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
