//! Whole nodes: who hears what, who serves what, who comes back.

use super::*;

#[tokio::test]
async fn two_nodes_exchange_messages_both_ways() {
    let world = World::new();
    let mut zero = world.node(0, &[]);
    let mut one = world.node(1, &[&zero]);
    assert_eq!(zero.event().await, MeshEvent::PeerUp(one.id()));
    assert_eq!(one.event().await, MeshEvent::PeerUp(zero.id()));

    zero.mesh.broadcast(&world.held(0, 1, 1)).unwrap();
    assert_eq!(one.message().await, world.held(0, 1, 1).message);
    one.mesh.broadcast(&world.held(1, 1, 2)).unwrap();
    assert_eq!(zero.message().await, world.held(1, 1, 2).message);
    let held: Vec<_> = zero.mesh.held(Slot(1)).iter().map(|it| *it.get()).collect();
    assert_eq!(held, [world.held(0, 1, 1).message, world.held(1, 1, 2).message]);

    let info = one.info(0);
    assert_eq!(info.address, Some(zero.address()));
    assert_eq!((info.role, info.l1_head), (Some(Role::Prover(ProverId(0))), Some(400)));
    assert!(info.is_connected() && info.last_ms > 0 && info.refused == 0);
}

#[tokio::test]
async fn a_sequencer_takes_part_without_lanes() {
    let world = World::new();
    let mut sequencer = world.node(SEQUENCER, &[]);
    let mut one = world.node(1, &[&sequencer]);
    one.sees(&[SEQUENCER]).await;
    assert_eq!(one.info(SEQUENCER).role, Some(Role::Sequencer(SequencerId(0))));
    one.mesh.broadcast(&world.held(1, 1, 1)).unwrap();
    assert_eq!(sequencer.message().await, world.held(1, 1, 1).message);
    let refused = sequencer.mesh.broadcast(&world.held(9, 1, 1)).unwrap_err();
    assert_eq!(refused.code(), "MSG-001");
}

#[tokio::test]
async fn nodes_that_know_one_peer_find_the_others_and_hear_each_message_once() {
    let world = World::new();
    let mut nodes = vec![world.node(0, &[])];
    for number in 1..4 {
        nodes.push(world.node(number, &[&nodes[0]]));
    }
    let all: Vec<u8> = (0..4).collect();
    for node in &mut nodes {
        let others: Vec<u8> = all.iter().copied().filter(|it| *it != node.number).collect();
        node.sees(&others).await;
    }
    for number in 0..4 {
        nodes[usize::from(number)].mesh.broadcast(&world.held(number, 1, number)).unwrap();
    }
    for node in &mut nodes {
        let mut heard = Vec::new();
        for _ in 0..3 {
            heard.push(node.message().await);
        }
        let from_others = all.iter().filter(|it| **it != node.number);
        let expected: BTreeSet<_> = from_others.map(|it| world.held(*it, 1, *it).message).collect();
        assert_eq!(heard.into_iter().collect::<BTreeSet<_>>(), expected);
        assert!(node.events.try_recv().is_err(), "a repetition was delivered");
    }
}

#[tokio::test]
async fn two_nodes_that_dial_each_other_at_once_keep_one_connection() {
    let world = World::new();
    // Both must know the other's address before either starts: take two free ports.
    let free = || std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (zero_at, one_at) = (free(), free());
    let place =
        |number, at: SocketAddr| vec![Bootstrap { peer: key(number).id(), host: at.to_string() }];
    let mut zero = world.node_at(0, zero_at, place(1, one_at)).unwrap();
    let mut one = world.node_at(1, one_at, place(0, zero_at)).unwrap();
    zero.sees(&[1]).await;
    one.sees(&[0]).await;
    for n in 1..=20 {
        zero.mesh.broadcast(&world.beat(0, n)).unwrap();
        one.mesh.broadcast(&world.beat(1, n)).unwrap();
    }
    // Even if one connection replaced the other meanwhile, nothing after the first is lost: the
    // newest beat is in the store.
    let newest = world.beat(0, 20).message;
    while one.message().await != newest {}
    let newest = world.beat(1, 20).message;
    while zero.message().await != newest {}
    let side = |node: &Node, other| node.mesh.shared.peers().connection(other).unwrap().side();
    assert_ne!(side(&zero, one.id()), side(&one, zero.id()), "the two ends of one connection");
}

#[tokio::test]
async fn what_was_said_before_a_peer_connects_reaches_it() {
    let world = World::new();
    let zero = world.node(0, &[]);
    for number in 1..=3 {
        zero.mesh.broadcast(&world.held(0, number.into(), number)).unwrap();
    }
    for n in [1, 2, 3] {
        zero.mesh.broadcast(&world.beat(0, n)).unwrap();
    }
    zero.mesh.set_slots(Slot(2)..=Slot(9));
    zero.mesh.broadcast(&world.held(0, 9, 9)).unwrap();
    let mut one = world.node(1, &[&zero]);
    for number in [2, 3, 9] {
        assert_eq!(one.message().await, world.held(0, number, number as u8).message);
    }
    assert_eq!(one.info(0).received, 3, "slot 1 is settled, its beats and proofs are not sent");
}

#[tokio::test]
async fn a_node_that_restarts_at_its_place_is_connected_again_and_told_what_it_missed() {
    let world = World::new();
    let mut zero = world.node(0, &[]);
    let mut one = world.node(1, &[&zero]);
    zero.sees(&[1]).await;
    one.sees(&[0]).await;
    let (place, address) = (zero.place(), one.address());

    one.mesh.shutdown().await;
    zero.sees(&[]).await;
    zero.mesh.broadcast(&world.held(0, 1, 1)).unwrap();
    drop(one);
    let mut one = again(&world, 1, address, &[place]).await;
    assert_eq!(one.message().await, world.held(0, 1, 1).message);
    zero.sees(&[1]).await;
}

#[tokio::test]
async fn a_node_that_died_without_a_word_is_connected_again_before_it_is_missed() {
    let world = World::new();
    let mut zero = world.node(0, &[]);
    let process = tokio::runtime::Runtime::new().unwrap();
    let mut one = {
        let _inside = process.enter();
        world.node(1, &[&zero])
    };
    zero.sees(&[1]).await;
    one.sees(&[0]).await;
    let address = one.address();

    // As after a kill: its tasks are gone in the middle of whatever they did.
    process.shutdown_background();
    drop(one);
    let died = Instant::now();
    // The new process knows nobody: it is found by the reset it answers with, and dialled.
    let mut next = again(&world, 1, address, &[]).await;
    next.sees(&[0]).await;
    assert!(died.elapsed() < limits::IDLE, "it took {:?}", died.elapsed());
    zero.mesh.broadcast(&world.held(0, 1, 1)).unwrap();
    assert_eq!(next.message().await, world.held(0, 1, 1).message);
}

/// Starts a node at an address that its predecessor may still hold for a moment.
async fn again(world: &World, number: u8, address: SocketAddr, bootstrap: &[Bootstrap]) -> Node {
    within(async {
        loop {
            match world.node_at(number, address, bootstrap.to_vec()) {
                Ok(node) => return node,
                Err(error) => assert_eq!(error.code(), "MSH-001"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_peer_whose_key_leaves_the_registry_is_closed_and_one_that_enters_is_dialled() {
    let world = World::new();
    world.members.send_replace(members([0, 1]));
    let mut zero = world.node(0, &[]);
    let mut one = world.node(1, &[&zero]);
    let mut two = world.node(2, &[&zero]);
    zero.sees(&[1]).await;
    one.sees(&[0]).await;
    world.members.send_replace(members([0, 2]));
    zero.sees(&[2]).await;
    one.sees(&[]).await;
    two.sees(&[0]).await;
}

#[tokio::test]
async fn a_blob_is_fetched_from_the_first_that_has_it() {
    let world = World::new();
    let zero = world.node(0, &[]);
    let one = world.node(1, &[&zero]);
    let mut two = world.node(2, &[&zero, &one]);
    two.sees(&[0, 1]).await;
    let bytes: Vec<u8> = (0..=250).cycle().take(300_000).collect();
    let name = wire::blob_id(&bytes);
    let provers = [ProverId(5), ProverId(0), ProverId(1)];
    let source = Source::Provers(&provers);

    let missing = two.mesh.fetch_blob(name, 1 << 20, source).await.unwrap_err();
    let absent = [0, 1].map(|it| (key(it).id(), Miss::Absent));
    assert_eq!(missing, FetchError::NotServed(absent.to_vec()));

    one.blobs.put(name, &bytes);
    assert_eq!(within(two.mesh.fetch_blob(name, 1 << 20, source)).await.unwrap(), bytes);
    assert_eq!((two.info(0).refused, two.info(1).refused), (0, 0), "absent is no fault");

    let nobody = two.mesh.fetch_blob(name, 1 << 20, Source::Provers(&[ProverId(5)])).await;
    assert_eq!(nobody.unwrap_err(), FetchError::NobodyConnected);
}

#[tokio::test]
async fn a_corrupt_or_too_long_blob_is_refused_blamed_and_asked_of_the_next() {
    let world = World::new();
    let zero = world.node(0, &[]);
    let one = world.node(1, &[&zero]);
    let mut two = world.node(2, &[&zero, &one]);
    two.sees(&[0, 1]).await;
    let name = wire::blob_id(b"a proof");
    zero.blobs.put(name, b"a prooF");
    one.blobs.put(name, b"a proof");
    let provers = [ProverId(0), ProverId(1)];
    let source = Source::Provers(&provers);
    assert_eq!(two.mesh.fetch_blob(name, 7, source).await.unwrap(), b"a proof");
    assert_eq!((two.info(0).refused, two.info(1).refused), (1, 0));

    let short = two.mesh.fetch_blob(name, 6, source).await.unwrap_err();
    let corrupt = [0, 1].map(|it| (key(it).id(), Miss::Corrupt));
    assert_eq!(short, FetchError::NotServed(corrupt.to_vec()));
}

#[tokio::test]
async fn witness_names_come_from_anyone_and_whoever_lies_is_cut_off() {
    let world = World::new();
    let zero = world.node(0, &[]);
    let one = world.node(1, &[&zero]);
    let mut two = world.node(2, &[&zero, &one]);
    two.sees(&[0, 1]).await;
    let block = BlockId([4; 32]);
    let names = vec![BlobId([1; 32]), BlobId([2; 32])];
    for node in [&zero, &one] {
        node.blobs.names.lock().unwrap().insert(block, names.clone());
    }
    let (first, found) = two.mesh.fetch_witness_names(block, Source::AnyoneBut(&[])).await.unwrap();
    assert_eq!(found, names);
    let (second, found) =
        two.mesh.fetch_witness_names(block, Source::AnyoneBut(&[first])).await.unwrap();
    assert_eq!(found, names);
    assert_ne!(first, second);

    two.mesh.cut_off(first);
    let left = if first == zero.id() { 1 } else { 0 };
    two.sees(&[left]).await;
    let again = two.mesh.fetch_witness_names(block, Source::AnyoneBut(&[])).await.unwrap();
    assert_eq!(again.0, second);
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let world = World::new();
    let zero = world.node(0, &[]);
    let error = world.node_at(1, zero.address(), Vec::new()).err().expect("the port is taken");
    assert_eq!(error.code(), "MSH-001");
    assert!(error.to_string().contains(&zero.address().to_string()), "{error}");
}

#[tokio::test]
async fn peers_without_the_blob_cost_no_try_but_peers_that_lie_do() {
    let world = World::new();
    let peers = [0, 1, 2, 3, 4].map(|number| world.node(number, &[]));
    let mut five = world.node(5, &peers.each_ref());
    five.sees(&[0, 1, 2, 3, 4]).await;
    let name = wire::blob_id(b"a proof");
    let provers = [0, 1, 2, 3, 4].map(ProverId);
    peers[4].blobs.put(name, b"a proof");
    let found = five.mesh.fetch_blob(name, 100, Source::Provers(&provers)).await;
    assert_eq!(found.unwrap(), b"a proof");
    for liar in &peers[..4] {
        liar.blobs.put(name, b"a lie");
    }
    let error = five.mesh.fetch_blob(name, 100, Source::Provers(&provers)).await.unwrap_err();
    let lies = [0, 1, 2, 3].map(|it| (key(it).id(), Miss::Corrupt));
    assert_eq!(error, FetchError::NotServed(lies.to_vec()));
}

#[tokio::test]
async fn a_delay_is_below_everything_and_ends_when_it_is_told_to() {
    let world = World::new();
    let mut zero = world.node(0, &[]);
    let mut one = world.node(1, &[&zero]);
    zero.sees(&[1]).await;
    one.sees(&[0]).await;
    let delay = Duration::from_millis(300);
    assert!(zero.mesh.disturb(Disturbance { delay, ..Disturbance::default() }));
    let before = Instant::now();
    zero.mesh.broadcast(&world.held(0, 1, 1)).unwrap();
    one.message().await;
    assert!(before.elapsed() >= delay, "{:?}", before.elapsed());

    assert!(zero.mesh.disturb(Disturbance::default()));
    // The first may wait behind acknowledgements that are still late.
    for number in 2..=3 {
        let before = Instant::now();
        zero.mesh.broadcast(&world.held(0, 1, number)).unwrap();
        one.message().await;
        assert!(number == 2 || before.elapsed() < delay, "{:?}", before.elapsed());
    }
}

#[tokio::test]
async fn a_cut_ends_the_connection_by_silence_and_heals() {
    let world = World::new();
    let mut zero = world.node(0, &[]);
    let mut one = world.node(1, &[&zero]);
    let mut two = world.node(2, &[&zero]);
    for (node, others) in [(&mut zero, [1, 2]), (&mut one, [0, 2]), (&mut two, [0, 1])] {
        node.sees(&others).await;
    }
    let cut = |from: &Node, to: &[&Node]| {
        let cut = to.iter().map(|it| it.address()).collect();
        assert!(from.mesh.disturb(Disturbance { cut, ..Disturbance::default() }));
    };
    cut(&two, &[&zero, &one]);
    cut(&zero, &[&two]);
    cut(&one, &[&two]);
    two.sees(&[]).await;
    zero.sees(&[1]).await;
    one.sees(&[0]).await;
    zero.mesh.broadcast(&world.held(0, 1, 1)).unwrap();
    assert_eq!(one.message().await, world.held(0, 1, 1).message, "the others go on");

    for node in [&zero, &one, &two] {
        cut(node, &[]);
    }
    assert_eq!(two.message().await, world.held(0, 1, 1).message, "it is told what it missed");
}

#[tokio::test]
async fn a_mesh_that_is_no_devnets_cannot_be_disturbed() {
    let world = World::new();
    let node = world.node(SEQUENCER, &[]);
    let delay = Duration::from_secs(1);
    assert!(!node.mesh.disturb(Disturbance { delay, ..Disturbance::default() }));
}
