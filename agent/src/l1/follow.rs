//! The chain as one ordered, restartable stream of inputs for the core.
//!
//! Every block comes once, each on top of the last, with our contracts' events; a block that left
//! the chain is undone before its successor comes. The follower asks for the head and walks parent
//! hashes with a window of what it delivered: this survives reorgs of any shape, restarts of the
//! node and endpoints that lag behind. An endpoint whose head is an ancestor of ours is merely
//! late: nothing is undone until another block stands in a delivered one's place.

use std::{collections::VecDeque, time::Duration};

use alloy::{
    eips::BlockNumberOrTag,
    primitives::{Address as EvmAddress, B256, BloomInput},
    providers::Provider as _,
    rpc::types::{Block, Filter},
};
use futures::future::try_join_all;
use protocol::{Hash, Input, L1Event, Slot};
use tokio::{sync::mpsc, task::JoinHandle};

use super::{
    L1, L1Error,
    client::evm,
    decode::{BlockEvents, RevealData, SetNews, decode},
};

/// Delivered blocks that can be undone; the core keeps 64 (slice section 5).
pub(crate) const WINDOW_BLOCKS: usize = 128;
/// Blocks fetched at once while catching up: bounds memory and the endpoint's load.
const FETCH_BLOCKS: u64 = 32;
/// Inputs that may wait for the core; then the follower waits too.
const QUEUE: usize = 256;
/// After errors the pause doubles up to this.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// One input for the core, with what the core does not follow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FollowEvent {
    /// `L1Block` or `L1Undo`.
    pub(crate) input: Input,
    /// Contents of the blocks revealed in it.
    pub(crate) reveals: Vec<RevealData>,
    /// Slots given up in it.
    pub(crate) lapsed: Vec<Slot>,
    /// Circuit sets announced in it (R13).
    pub(crate) sets: Vec<SetNews>,
}

/// What a [`FollowEvent`] says of the chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum L1Change<'a> {
    /// A block on top of the last.
    Block {
        /// Height.
        number: u64,
        /// Its hash.
        hash: Hash,
        /// Unix seconds.
        time: u64,
        /// What our contracts said in it.
        events: &'a [L1Event],
    },
    /// The newest block left the chain.
    Undo {
        /// Its hash.
        hash: Hash,
    },
}

impl FollowEvent {
    /// What happened; `None` of an input that is not L1's, which a follower never makes.
    pub(crate) fn change(&self) -> Option<L1Change<'_>> {
        match &self.input {
            Input::L1Block { number, hash, time, events, .. } => {
                let (number, hash, time) = (*number, *hash, *time);
                Some(L1Change::Block { number, hash, time, events })
            }
            Input::L1Undo { hash } => Some(L1Change::Undo { hash: *hash }),
            Input::Planned { .. }
            | Input::Refused { .. }
            | Input::Peer { .. }
            | Input::Prover(_)
            | Input::Accepted { .. }
            | Input::FetchFailed { .. }
            | Input::Able { .. }
            | Input::Keys { .. }
            | Input::Tick => None,
        }
    }
}

/// What each of the newest blocks changed in something that follows L1, for as many as a follower
/// undoes.
#[derive(Clone, Debug)]
pub(crate) struct UndoLog<T>(VecDeque<(Hash, T)>);

impl<T> Default for UndoLog<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> UndoLog<T> {
    /// A block stands on top of the last and changed this.
    pub(crate) fn push(&mut self, hash: Hash, change: T) {
        self.0.push_back((hash, change));
        if self.0.len() > WINDOW_BLOCKS {
            self.0.pop_front();
        }
    }

    /// What the newest block changed, if that is the one which left the chain.
    pub(crate) fn pop(&mut self, hash: Hash) -> Option<T> {
        self.0.pop_back_if(|(newest, _)| *newest == hash).map(|(_, change)| change)
    }
}

/// Where to begin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Cursor {
    /// First block to deliver if nothing was delivered before.
    pub(crate) from: u64,
    /// Blocks delivered by an earlier run, oldest first: (number, hash). Those that are not
    /// canonical any more are undone first.
    pub(crate) delivered: Vec<(u64, Hash)>,
}

/// A running follower. It stops when the receiver is dropped.
pub(crate) struct Follower {
    /// Inputs in order.
    pub(crate) events: mpsc::Receiver<FollowEvent>,
    /// Ends with the reason: `L1-007` or `L1-008`, or `Ok` after the receiver was dropped.
    pub(crate) task: JoinHandle<Result<(), L1Error>>,
}

/// Starts following `l1` from `cursor`, asking for the head every `poll`.
pub(crate) fn follow(l1: L1, cursor: Cursor, poll: Duration) -> Follower {
    let (sender, events) = mpsc::channel(QUEUE);
    let window: VecDeque<(u64, B256)> =
        cursor.delivered.iter().map(|(number, hash)| (*number, B256::from(hash.0))).collect();
    // What an earlier run delivered before the window can be undone by nobody.
    let forgotten = window.front().is_some_and(|(first, _)| *first > cursor.from);
    let walk = Walk { l1, from: cursor.from, window, forgotten, sender };
    Follower { events, task: tokio::spawn(walk.run(poll)) }
}

/// Why a step did not end in order.
enum Stop {
    /// The receiver is gone.
    Unheard,
    /// Cannot be repaired by trying again.
    Failed(L1Error),
    /// May pass.
    Later(L1Error),
}

impl From<L1Error> for Stop {
    fn from(error: L1Error) -> Self {
        if matches!(error, L1Error::Rpc { .. }) { Self::Later(error) } else { Self::Failed(error) }
    }
}

struct Walk {
    l1: L1,
    from: u64,
    /// Delivered blocks, newest last.
    window: VecDeque<(u64, B256)>,
    /// Whether blocks fell out of the window: then an empty window is not the beginning.
    forgotten: bool,
    sender: mpsc::Sender<FollowEvent>,
}

impl Walk {
    async fn run(mut self, poll: Duration) -> Result<(), L1Error> {
        let mut pause = poll;
        loop {
            match self.step().await {
                Ok(()) => pause = poll,
                Err(Stop::Unheard) => return Ok(()),
                Err(Stop::Failed(error)) => return Err(error),
                Err(Stop::Later(error)) => {
                    pause = (pause * 2).min(PAUSE_MAX.max(poll));
                    tracing::warn!(%error, ?pause, "following L1 is interrupted");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.sender.closed() => return Ok(()),
            }
        }
    }

    /// Undoes what left the chain and delivers what is new, up to the head.
    async fn step(&mut self) -> Result<(), Stop> {
        let head = self.l1.head().await?.number;
        self.rewind(head).await?;
        loop {
            let next = self.window.back().map_or(self.from, |(number, _)| number + 1);
            if next > head {
                return Ok(());
            }
            let last = head.min(next + FETCH_BLOCKS - 1);
            let blocks = try_join_all((next..=last).map(|number| self.fetch(number))).await?;
            self.advance(blocks).await?;
            // What is missing, or does not fit, is asked for again later.
            if self.window.back().is_none_or(|(number, _)| *number < last) {
                return Ok(());
            }
        }
    }

    /// Delivers `blocks` as far as each stands on the one before.
    async fn advance(&mut self, blocks: Vec<Option<(Block, BlockEvents)>>) -> Result<(), Stop> {
        for (block, events) in blocks.into_iter().map_while(|found| found) {
            if self.window.back().is_some_and(|(_, tip)| *tip != block.header.parent_hash) {
                // The chain changed while we read it: the next step undoes what left it.
                return Ok(());
            }
            self.deliver(&block, events).await?;
        }
        Ok(())
    }

    async fn rewind(&mut self, head: u64) -> Result<(), Stop> {
        while let Some(&(number, hash)) = self.window.back() {
            if self.is_canonical(number.min(head)).await? {
                return Ok(());
            }
            self.window.pop_back();
            let input = Input::L1Undo { hash: Hash(hash.0) };
            let (reveals, lapsed, sets) = (Vec::new(), Vec::new(), Vec::new());
            self.send(FollowEvent { input, reveals, lapsed, sets }).await?;
            if self.window.is_empty() && self.forgotten {
                return Err(Stop::Failed(L1Error::DeepReorg { blocks: WINDOW_BLOCKS }));
            }
        }
        Ok(())
    }

    /// Whether the delivered block at `number` is still the chain's. Blocks above a lagging head
    /// are judged by the newest block that both sides have.
    async fn is_canonical(&self, number: u64) -> Result<bool, L1Error> {
        let Some((_, ours)) = self.window.iter().find(|(it, _)| *it == number) else {
            // The head lies before everything we remember: it is late, or all of it is gone.
            return Ok(self.window.front().is_some_and(|(first, _)| number < *first));
        };
        let found = self.l1.block(BlockNumberOrTag::Number(number)).await?;
        Ok(found.is_none_or(|block| block.header.hash == *ours))
    }

    /// Block `number` with our events; `None` if the endpoint does not have it.
    async fn fetch(&self, number: u64) -> Result<Option<(Block, BlockEvents)>, L1Error> {
        let Some(block) = self.l1.block(BlockNumberOrTag::Number(number)).await? else {
            return Ok(None);
        };
        let contracts = &self.l1.contracts;
        let addresses: [EvmAddress; 3] =
            [contracts.registry, contracts.slots, contracts.rewards].map(evm);
        let bloom = block.header.logs_bloom;
        if !addresses.iter().any(|it| bloom.contains_input(BloomInput::Raw(it.as_slice()))) {
            return Ok(Some((block, BlockEvents::default())));
        }
        let filter = Filter::new().at_block_hash(block.header.hash).address(addresses.to_vec());
        let logs = self.l1.provider.get_logs(&filter).await;
        let logs = logs.map_err(|e| L1Error::rpc("the logs of a block", e))?;
        let events = decode(contracts, number, &logs)?;
        Ok(Some((block, events)))
    }

    async fn deliver(&mut self, block: &Block, found: BlockEvents) -> Result<(), Stop> {
        let BlockEvents { events, reveals, lapsed, sets, .. } = found;
        let header = &block.header;
        let input = Input::L1Block {
            number: header.number,
            hash: Hash(header.hash.0),
            parent: Hash(header.parent_hash.0),
            time: header.timestamp,
            randao: Hash(header.mix_hash.0),
            events,
        };
        self.send(FollowEvent { input, reveals, lapsed, sets }).await?;
        self.window.push_back((header.number, header.hash));
        if self.window.len() > WINDOW_BLOCKS {
            self.window.pop_front();
            self.forgotten = true;
        }
        Ok(())
    }

    async fn send(&self, event: FollowEvent) -> Result<(), Stop> {
        self.sender.send(event).await.map_err(|_| Stop::Unheard)
    }
}
