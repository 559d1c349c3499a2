//! One slot from registration to payment, with the contracts' own checks of tickets, headers and
//! credit paths.

use std::time::Duration;

use circuits::{credit, credit::Record, poseidon::to_word};
use protocol::{BlockId, Hash, Input, Kind, L1Event, ProverId, SequencerId, Slot, epoch::Epoch};

use super::*;
use crate::l1::{
    calls::{CreditPath, Opening, ProverEntry, RootProof, payout},
    follow::{Cursor, FollowEvent, L1Change, follow},
    vrf::{VrfKey, score},
};
use crate::rollup::{
    data,
    sequencer::{Sequencer, SequencerAction},
    sets::Schedule,
};

const SALT: [u8; 32] = [4; 32];

/// A block of one tx without calls.
fn block(expiry: u64) -> Vec<u8> {
    let mut data = vec![1, 0, 1];
    data.extend([7; 32]);
    data.extend(0_u64.to_be_bytes());
    data.extend(1_u64.to_be_bytes());
    data.extend(expiry.to_be_bytes());
    data.push(0);
    data.extend([9; TX_PROOF_BYTES as usize]);
    data
}

fn opening() -> Opening {
    Opening { data: block(3), txs: [3; 32], parent: Hash::default(), salt: SALT, set: SET }
}

fn commitment(opening: &Opening) -> Hash {
    let Opening { data: bytes, txs, parent, salt, .. } = opening;
    data::commitment(data::block_id(bytes), txs, BlockId(parent.0), salt)
}

async fn registered(world: &World) -> VrfKey {
    let contracts = &world.contracts;
    let (lane, sequencer) = world.l1.bonds_asked().await.unwrap();
    let prover = world.sender(1);
    prover.send(contracts.approve(2 * lane)).await.unwrap();
    let entry = ProverEntry {
        operator: account(1),
        mesh_key: [11; 32],
        payout: account(9),
        rollup: 1,
        vm: 1,
    };
    prover.send(contracts.register(&entry)).await.unwrap();
    let key = VrfKey::from_secret(&[5; 32]).unwrap();
    let possession = key.possession(contracts.chain_id, contracts.registry, account(2));
    let leader = world.sender(2);
    leader.send(contracts.approve(sequencer)).await.unwrap();
    let register = contracts.register_sequencer(key.public(), possession, [12; 32]);
    leader.send(register).await.unwrap();
    key
}

/// Seed, proposal and reveal of slot 0.
async fn revealed(world: &World, key: &VrfKey) {
    revealed_in(world, key, Slot(0), opening()).await;
}

async fn revealed_in(world: &World, key: &VrfKey, slot: Slot, opening: Opening) {
    let (l1, contracts) = (&world.l1, &world.contracts);
    let params = l1.params().await.unwrap();
    let commitment = commitment(&opening);
    world.chain.mine_to(params.slot_start(slot) - 1, 2).await.unwrap();
    let leader = world.sender(2);
    let header = l1.header(params.seed_block(slot)).await.unwrap();
    leader.send(contracts.show_seed(slot, header)).await.unwrap();
    let seed = l1.slot(slot).await.unwrap().seed.unwrap();
    let ticket = key.ticket(contracts.chain_id, contracts.slots, slot, seed);
    leader.send(contracts.propose(slot, commitment, ticket.clone())).await.unwrap();
    let best = l1.slot(slot).await.unwrap().best.unwrap();
    assert_eq!(best, (SequencerId(0), commitment, score(&ticket).unwrap()));
    world.chain.mine_to(params.slot_start(slot) + params.proposal_blocks - 1, 2).await.unwrap();
    leader.send(contracts.reveal(slot, opening)).await.unwrap();
}

fn root_proof(credit_root: [u8; 32], units: u64) -> RootProof {
    let number = |value: u64| {
        let mut word = [0; 32];
        word[24..].copy_from_slice(&value.to_be_bytes());
        word
    };
    let mut payee = [0; 32];
    payee[12..].copy_from_slice(&account(9).0);
    let end = [6; 32];
    let words =
        [[2; 32], end, [3; 32], number(1), credit_root, payee, number(units), number(1), SET];
    RootProof { words, proof: vec![0; ROOT_PROOF_BYTES as usize] }
}

/// A base by one payee under a root by another: the root's record and the path to the base's.
fn credit_tree() -> ([u8; 32], u64, CreditPath) {
    let value = |it: &protocol::Credit| to_word(Record::from_credit(it).unwrap().value());
    let base = credit::combine(Kind::Base, account(8), [None, None]).unwrap();
    let root = credit::combine(Kind::Root, account(9), [Some(&base), None]).unwrap();
    let record = Record::from_credit(&root).unwrap();
    let path = CreditPath {
        position: 2,
        steps: vec![[to_word(record.hash()), root.left, root.right]],
        meta: to_word(Record::from_credit(&base).unwrap().meta()),
        payee: account(8),
        children: [base.left, base.right],
    };
    (value(&root), root.total, path)
}

async fn everything(world: &World) -> Vec<FollowEvent> {
    let cursor = Cursor { from: world.contracts.from_block, delivered: Vec::new() };
    let mut follower = follow(world.l1.clone(), cursor, Duration::from_millis(5));
    let head = world.l1.head().await.unwrap();
    let mut found = Vec::new();
    loop {
        let event = follower.events.recv().await.unwrap();
        let done = matches!(event.input, Input::L1Block { number, .. } if number == head.number);
        found.push(event);
        if done {
            return found;
        }
    }
}

#[tokio::test]
async fn a_slot_lives_from_registration_to_payment() {
    let world = World::start().await;
    let key = registered(&world).await;
    assert_eq!(world.l1.bond(ProverId(0)).await.unwrap(), 200 * COIN);
    assert!(world.l1.is_operator(account(1)).await.unwrap());
    revealed(&world, &key).await;
    assert_eq!(world.l1.unsettled().await.unwrap(), (1, Some(Slot(0))));
    let named = world.contracts.name(Slot(0), ProverId(0), false);
    world.sender(2).send(named).await.unwrap();

    let (root, units, path) = credit_tree();
    let anyone = world.sender(3);
    anyone.send(world.contracts.settle(Slot(0), &root_proof(root, units))).await.unwrap();
    let pool = world.l1.pool(Slot(0)).await.unwrap().unwrap();
    assert_eq!((pool.credit, pool.units, pool.amount), (root, units, 100 * COIN));
    assert_eq!(world.l1.state_root().await.unwrap(), [6; 32]);

    anyone.send(world.contracts.claim(Slot(0), &path)).await.unwrap();
    let share = payout(pool.amount, 175, pool.units);
    assert_eq!(world.l1.tokens(account(8)).await.unwrap(), share);
    assert!(world.l1.is_claimed(Slot(0), 2).await.unwrap());

    let found = everything(&world).await;
    let reveals: Vec<_> = found.iter().flat_map(|it| &it.reveals).collect();
    assert_eq!(reveals.len(), 1);
    assert_eq!((&reveals[0].data, reveals[0].salt), (&block(3), SALT));
    let events: Vec<&L1Event> = found.iter().flat_map(|it| events_of(&it.input)).collect();
    check_events(&world, &events, share).await;
}

fn events_of(input: &Input) -> &[L1Event] {
    if let Input::L1Block { events, .. } = input { events } else { &[] }
}

async fn check_events(world: &World, events: &[&L1Event], share: u128) {
    let seed = world.l1.slot(Slot(0)).await.unwrap().seed.unwrap();
    let [prover, sequencer, shown, proposed, revealed, named, settled, paid] = events else {
        panic!("{events:?}");
    };
    assert!(matches!(prover, L1Event::ProverRegistered { rollup: 1, vm: 1, payout, .. }
        if *payout == account(9)));
    assert!(matches!(sequencer, L1Event::SequencerRegistered { owner, mesh_key, .. }
        if *owner == account(2) && *mesh_key == [12; 32]));
    assert_eq!(**shown, L1Event::Seed { slot: Slot(0), seed });
    assert!(
        matches!(proposed, L1Event::Proposed { commitment: it, .. } if *it == commitment(&opening()))
    );
    assert!(matches!(revealed, L1Event::Revealed { count: 1, commitment: it, txs, .. }
        if *it == commitment(&opening()) && *txs == [3; 32]));
    let word = L1Event::Named { slot: Slot(0), prover: ProverId(0), alone: false };
    assert_eq!(**named, word);
    assert!(matches!(settled, L1Event::Settled { pool, end, .. }
        if *pool == 100 * COIN && *end == [6; 32]));
    let expected = L1Event::Paid { slot: Slot(0), position: 2, payee: account(8), amount: share };
    assert_eq!(**paid, expected);
}

/// A set announced at the start is valid two epochs later, and each slot is settled by the set that
/// its reveal named (R13).
#[tokio::test]
async fn the_next_circuit_set_takes_over_in_its_epoch() {
    let next = [2; 32];
    let params = Params { epoch_slots: 1, ..params() };
    let schedule = Schedule::new(params.clone());
    let world = World::start_with(&Plan { params, next_set: Some(set_plan(next)), ..plan() }).await;
    let key = registered(&world).await;
    let (contracts, anyone) = (&world.contracts, world.sender(3));
    revealed(&world, &key).await;
    let (root, units, _) = credit_tree();
    let first = root_proof(root, units);
    anyone.send(contracts.settle(Slot(0), &first)).await.unwrap();

    let parent = Hash(data::block_id(&opening().data).0);
    let later = Opening { data: block(9), parent, set: next, ..opening() };
    revealed_in(&world, &key, Slot(2), later).await;
    let mut second = root_proof(root, units);
    second.words[0] = [6; 32];
    let refused = anyone.send(contracts.settle(Slot(2), &second)).await.unwrap_err();
    assert!(refused.to_string().contains("WrongWord { index: 8"), "{refused}");
    second.words[8] = next;
    anyone.send(contracts.settle(Slot(2), &second)).await.unwrap();
    let sets = [0, 2].map(|slot| world.l1.slot(Slot(slot)));
    let sets = futures::future::try_join_all(sets).await.unwrap();
    assert_eq!(sets.iter().map(|it| it.set).collect::<Vec<_>>(), [0, 1]);
    check_schedule(&world, schedule, next).await;
}

/// What follows from L1's events alone is what the contract says.
async fn check_schedule(world: &World, mut schedule: Schedule, next: protocol::Word) {
    let mut named = Vec::new();
    for event in everything(world).await {
        let Some(L1Change::Block { number, hash, .. }) = event.change() else { continue };
        assert_eq!(schedule.l1_block(number, hash, &event.sets), Vec::<String>::new());
        named.extend(event.reveals.iter().map(|it| it.set));
    }
    assert_eq!(named, [SET, next]);
    let valid = [1, 2, 3].map(|slot| schedule.valid(Slot(slot)));
    assert_eq!(valid, [vec![SET], vec![next, SET], vec![next]]);
    let (first, second) = (world.l1.circuit_set(0).await, world.l1.circuit_set(1).await);
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!((first.id, second.id, second.from), (SET, next, Epoch(2)));
    assert_ne!(first.verifier, second.verifier);
}

/// What a sequencer without txs does after everything that L1 has said, and the slots L1 gave up.
async fn sequencer_does(world: &World) -> (Vec<SequencerAction>, Vec<Slot>) {
    let mut sequencer = Sequencer::new(SequencerId(0), params(), Vec::new());
    let mut lapsed = Vec::new();
    for event in everything(world).await {
        let Some(L1Change::Block { number, hash, time, events }) = event.change() else { continue };
        sequencer.l1_block((number, time), hash, events, &event.lapsed);
        lapsed.extend(event.lapsed);
    }
    (sequencer.act(0), lapsed)
}

#[tokio::test]
async fn a_block_that_nobody_proves_is_given_up_when_its_window_has_passed() {
    let world = World::start().await;
    let key = registered(&world).await;
    revealed(&world, &key).await;
    let window_s = world.l1.params().await.unwrap().window_s;
    let leader = world.sender(2);
    let lapse = world.contracts.lapse(Slot(0));
    // The chain's clock goes on by itself too.
    world.chain.mine(1, window_s - 60).await.unwrap();
    assert_eq!(sequencer_does(&world).await, (vec![], vec![]));
    let refused = leader.send(lapse.clone()).await.unwrap_err();
    assert!(refused.to_string().contains("WindowOpen"), "{refused}");

    world.chain.mine(1, 61).await.unwrap();
    let wanted = vec![SequencerAction::Lapse { slot: Slot(0) }];
    assert_eq!(sequencer_does(&world).await, (wanted, vec![]));
    leader.send(lapse).await.unwrap();
    assert_eq!(world.l1.unsettled().await.unwrap(), (0, None));
    assert_eq!(world.l1.last_block().await.unwrap(), Hash::default());
    assert_eq!(sequencer_does(&world).await, (vec![], vec![Slot(0)]));
}

#[tokio::test]
async fn the_seed_of_a_block_is_its_randao() {
    let world = World::start().await;
    let key = registered(&world).await;
    revealed(&world, &key).await;
    let params = world.l1.params().await.unwrap();
    let wanted = params.seed_block(Slot(0));
    let found = everything(&world).await;
    let randao = found.iter().find_map(|it| {
        let Input::L1Block { number, randao, .. } = &it.input else { return None };
        (*number == wanted).then_some(*randao)
    });
    assert_eq!(world.l1.slot(Slot(0)).await.unwrap().seed, randao);
}

#[tokio::test]
async fn a_refusal_names_the_contracts_error() {
    let world = World::start().await;
    let call = world.contracts.reveal(Slot(0), opening());
    let error = world.sender(3).send(call).await.unwrap_err();
    assert_eq!(error.code(), "L1-004");
    assert!(error.to_string().contains("WrongPhase"), "{error}");
}

#[tokio::test]
async fn what_was_deployed_is_what_was_planned() {
    let world = World::start().await;
    let found = world.l1.params().await.unwrap();
    let p = params();
    assert_eq!(found.genesis_block, p.genesis_block);
    assert_eq!((found.proposal_blocks, found.reveal_blocks), (p.proposal_blocks, p.reveal_blocks));
    assert_eq!(
        found.window_s,
        (p.proving_blocks + p.halting_blocks + p.backup_blocks) * p.l1_block_s
    );
    assert_eq!(found.build_ahead_max, p.build_ahead_max);
    assert_eq!(found.slot_reward, 100 * COIN);
    assert_eq!(found.slot_start(Slot(3)), p.slot_start(Slot(3)));
    let set = world.l1.circuit_set(0).await.unwrap();
    assert_eq!((set.id, set.from), (SET, Epoch(0)));
    assert_eq!(set.root_proof_bytes, u64::from(ROOT_PROOF_BYTES));
}
