//! The follower over reorgs, rollbacks and outages, compared with the chain itself.

use std::{collections::BTreeSet, time::Duration};

use protocol::{Hash, Input, L1Event};

use super::*;
use crate::l1::{
    calls::ProverEntry,
    follow::{Cursor, Follower, follow},
};

const POLL: Duration = Duration::from_millis(5);

/// What a listener knows after applying inputs in order.
#[derive(Default)]
struct Seen {
    blocks: Vec<(u64, Hash, Vec<L1Event>)>,
    undone: usize,
}

impl Seen {
    fn apply(&mut self, input: Input) {
        if let Input::L1Undo { hash } = input {
            let (_, tip, _) = self.blocks.pop().expect("an undo of something delivered");
            assert_eq!(tip, hash, "only the newest is undone");
            self.undone += 1;
            return;
        }
        let Input::L1Block { number, hash, parent, events, .. } = input else {
            panic!("{input:?}")
        };
        if let Some((last, tip, _)) = self.blocks.last() {
            assert_eq!((number, parent), (last + 1, *tip), "each stands on the last");
        }
        self.blocks.push((number, hash, events));
    }

    async fn catch_up(&mut self, follower: &mut Follower, l1: &L1) {
        let head = l1.head().await.unwrap();
        while self.blocks.last().is_none_or(|(_, hash, _)| *hash != head.hash) {
            let next = tokio::time::timeout(Duration::from_secs(10), follower.events.recv());
            self.apply(next.await.expect("an input in time").expect("a follower").input);
        }
    }

    async fn assert_is_chain(&self, l1: &L1) {
        for (number, hash, _) in &self.blocks {
            assert_eq!(l1.block_hash(*number).await.unwrap(), *hash, "block {number}");
        }
    }

    fn provers(&self) -> BTreeSet<Address> {
        let events = self.blocks.iter().flat_map(|(_, _, events)| events);
        events
            .filter_map(|event| {
                let L1Event::ProverRegistered { operator, .. } = event else { return None };
                Some(*operator)
            })
            .collect()
    }
}

fn start(world: &World, delivered: Vec<(u64, Hash)>) -> Follower {
    let cursor = Cursor { from: world.contracts.from_block, delivered };
    follow(world.l1.clone(), cursor, POLL)
}

async fn register(world: &World, sender: &Sender, name: u8) {
    let entry = ProverEntry {
        operator: Address([name; 20]),
        mesh_key: [name; 32],
        payout: account(1),
        rollup: 1,
        vm: 0,
    };
    sender.send(world.contracts.register(&entry)).await.unwrap();
}

async fn change(world: &World, method: &'static str, depth: u64) {
    let chain = &world.chain;
    let result = match method {
        "anvil_reorg" => chain.ask::<_, serde_json::Value>(method, (depth, [(); 0])).await,
        _ => chain.ask::<_, serde_json::Value>(method, (depth,)).await,
    };
    result.unwrap();
}

#[tokio::test]
async fn reorgs_are_undone_and_replaced() {
    let world = World::start().await;
    let sender = world.sender(1);
    sender.send(world.contracts.approve(10_000 * COIN)).await.unwrap();
    let (mut follower, mut seen) = (start(&world, Vec::new()), Seen::default());
    register(&world, &sender, 21).await;
    world.chain.mine(3, 2).await.unwrap();
    register(&world, &sender, 22).await;
    seen.catch_up(&mut follower, &world.l1).await;
    assert_eq!(seen.provers().len(), 2);

    // The second registration's block and the one before it are replaced by empty ones.
    change(&world, "anvil_reorg", 2).await;
    seen.catch_up(&mut follower, &world.l1).await;
    assert_eq!(seen.undone, 2);
    assert_eq!(seen.provers(), BTreeSet::from([Address([21; 20])]));
    seen.assert_is_chain(&world.l1).await;
}

#[tokio::test]
async fn a_shorter_chain_is_followed_once_it_differs() {
    let world = World::start().await;
    let (mut follower, mut seen) = (start(&world, Vec::new()), Seen::default());
    world.chain.mine(20, 2).await.unwrap();
    seen.catch_up(&mut follower, &world.l1).await;
    change(&world, "anvil_rollback", 15).await;
    // Another clock, so that the new blocks are not the old ones again.
    world.chain.mine(4, 7).await.unwrap();
    seen.catch_up(&mut follower, &world.l1).await;
    assert_eq!(seen.undone, 15, "the new head is below the old one");
    seen.assert_is_chain(&world.l1).await;
}

#[tokio::test]
async fn any_sequence_of_changes_ends_at_the_chain() {
    let world = World::start().await;
    let sender = world.sender(1);
    sender.send(world.contracts.approve(10_000 * COIN)).await.unwrap();
    // Nothing below reaches back to the deployment.
    world.chain.mine(64, 1).await.unwrap();
    let (mut follower, mut seen) = (start(&world, Vec::new()), Seen::default());
    // A fixed sequence that looks random: x -> 5x + 3 mod 64 has full period.
    let mut x = 1_u64;
    for round in 0..40_u8 {
        x = (5 * x + 3) % 64;
        match x % 4 {
            0 => change(&world, "anvil_reorg", 1 + x % 7).await,
            1 => {
                change(&world, "anvil_rollback", 1 + x % 5).await;
                world.chain.mine(1 + x % 3, 3 + x).await.unwrap();
            }
            2 => world.chain.mine(1 + x, 1).await.unwrap(),
            _ => register(&world, &sender, 100 + round).await,
        }
        if x.is_multiple_of(3) {
            seen.catch_up(&mut follower, &world.l1).await;
        }
    }
    world.chain.mine(1, 1).await.unwrap();
    seen.catch_up(&mut follower, &world.l1).await;
    seen.assert_is_chain(&world.l1).await;
    let (mut fresh, mut anew) = (start(&world, Vec::new()), Seen::default());
    anew.catch_up(&mut fresh, &world.l1).await;
    assert_eq!(anew.blocks, seen.blocks, "a listener from the start knows the same");
    assert!(seen.undone > 10, "{} undone", seen.undone);
}

#[tokio::test]
async fn a_restart_undoes_what_left_the_chain_meanwhile() {
    let world = World::start().await;
    world.chain.mine(30, 2).await.unwrap();
    let mut seen = Seen::default();
    {
        let mut follower = start(&world, Vec::new());
        seen.catch_up(&mut follower, &world.l1).await;
    }
    change(&world, "anvil_reorg", 9).await;
    world.chain.mine(2, 2).await.unwrap();
    let last = seen.blocks.len() - 20;
    let delivered = seen.blocks[last..].iter().map(|(number, hash, _)| (*number, *hash)).collect();
    let mut follower = start(&world, delivered);
    seen.catch_up(&mut follower, &world.l1).await;
    assert_eq!(seen.undone, 9);
    seen.assert_is_chain(&world.l1).await;
}

#[tokio::test]
async fn a_change_behind_the_window_ends_the_follower() {
    let world = World::start().await;
    world.chain.mine(200, 2).await.unwrap();
    let (mut follower, mut seen) = (start(&world, Vec::new()), Seen::default());
    seen.catch_up(&mut follower, &world.l1).await;
    change(&world, "anvil_rollback", 150).await;
    world.chain.mine(160, 5).await.unwrap();
    while let Some(event) = follower.events.recv().await {
        seen.apply(event.input);
    }
    let error = follower.task.await.unwrap().unwrap_err();
    assert_eq!(error.code(), "L1-007");
}

#[tokio::test]
async fn a_lagging_endpoint_undoes_nothing() {
    let world = World::start().await;
    world.chain.mine(30, 2).await.unwrap();
    let (mut follower, mut seen) = (start(&world, Vec::new()), Seen::default());
    seen.catch_up(&mut follower, &world.l1).await;
    // A shorter chain that agrees so far as it goes is what a late endpoint looks like.
    change(&world, "anvil_rollback", 10).await;
    let quiet = tokio::time::timeout(POLL * 40, follower.events.recv()).await;
    assert!(quiet.is_err(), "{quiet:?}");
}
