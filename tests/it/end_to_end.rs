//! The whole product with real proofs: a network on one machine settles a block, through a
//! reorganisation of L1 and the death of an agent, and pays whoever proved it; then it changes over
//! to the next circuit set and settles another (R13).
//!
//! One run for everything, because one run is ten minutes of proving. What is claimed about it is
//! computed again here from L1 alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use alloy::primitives::{Address, U256};
use wire::control::LaneView;

use chain::{Chain, Reveal, Settlement};
use devnet::Devnet;
use line::Line;

mod chain;
mod devnet;
mod line;
mod processes;
mod replay;

/// Chain id of every devnet.
const CHAIN_ID: u64 = 31337;
/// Blocks that the reorganisation replaces.
const DEPTH: u64 = 3;
/// Slot from which the next circuit set is valid: after the first reveal and its second, which are
/// over by slot 6, and before the first settlement, which takes seven slots on any machine.
const CHANGE: u64 = 12;
/// A proof that began this recently is far from its end: the shortest one that is waited for takes
/// half a minute on any machine.
const YOUNG_MS: u64 = 10_000;
/// Agents that may be killed; the devnet's supervisor and this test ask agent 1.
const MORTAL: [&str; 2] = ["agent-2", "agent-3"];

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_block_settles_and_pays_its_provers_through_a_reorg_and_a_kill() {
    let devnet = Devnet::start(CHANGE);
    let chain = devnet.chain().await;
    reorganise_the_reveal(&devnet, &chain).await;
    let payees = payees(&devnet).await;
    let (killed, node) = kill_a_prover(&devnet).await;

    let look = async || Line::find(&devnet.results());
    let line = devnet.until("settled slot", 25 * MINUTE, look).await;
    let settled = chain.settlement(line.slot).await;
    check_the_line(&chain, &line, &settled, &payees).await;
    assert_ne!(line.prover_of(&node), killed, "what the dead agent worked on is another's proof");

    check_the_words(&chain, &settled).await;
    for payee in &line.payees {
        claim(&devnet, &chain, &settled, (payee.address, payee.amount())).await;
    }
    check_the_payouts(&chain, &line).await;
    change_over(&devnet, &chain, (&line, &settled)).await;
    stop(&devnet, &chain).await;
}

/// Right after the first reveal, a reorganisation takes it off the chain; the sequencer must put a
/// block on it again.
async fn reorganise_the_reveal(devnet: &Devnet, chain: &Chain) {
    let look = async || chain.reveals().await.pop();
    let gone = devnet.until("revealed block", 5 * MINUTE, look).await;
    // The agents shall have something to undo, as long as the reveal is within reach.
    let look = async || {
        let seen = devnet.status("agent-1").await.is_some_and(|it| it.l1.number >= gone.block);
        (seen || chain.head().await > gone.block).then_some(())
    };
    devnet.until("next L1 block", 10 * SECOND, look).await;
    let head = chain.head().await;
    assert!(head < gone.block + DEPTH, "L1 is at {head}, too late to undo the reveal of {gone:?}");
    chain.reorganise(DEPTH).await;
    assert_ne!(chain.block(gone.block).await.0, gone.hash, "the reveal's block was replaced");

    let is_new = |it: &Reveal| it.hash != gone.hash;
    let look = async || chain.reveals().await.into_iter().find(is_new);
    devnet.until("second reveal", 4 * MINUTE, look).await;
    for agent in ["agent-1", "agent-2", "agent-3"] {
        let look = async || (devnet.status(agent).await?.l1.reorged > 0).then_some(());
        devnet.until(&format!("undone block at {agent}"), MINUTE, look).await;
    }
}

/// Who is paid for the proofs of each prover.
async fn payees(devnet: &Devnet) -> BTreeMap<u32, Address> {
    let mut payees = BTreeMap::new();
    for agent in ["agent-1", "agent-2", "agent-3"] {
        let look = async || {
            let status = devnet.status(agent).await?;
            Some((status.stake.prover?, status.earnings.payee.parse().ok()?))
        };
        let (prover, payee) = devnet.until(&format!("registration of {agent}"), MINUTE, look).await;
        payees.insert(prover, payee);
    }
    assert_eq!(payees.len(), 3, "three provers");
    payees
}

/// Kills an agent in the middle of a long proof; gives its prover index and the node.
async fn kill_a_prover(devnet: &Devnet) -> (u32, String) {
    let look = async || {
        for agent in MORTAL {
            let Some(status) = devnet.status(agent).await else { continue };
            let node = status.lanes.iter().find_map(|lane| young_proof(lane, status.at_ms));
            if let (Some(prover), Some(node)) = (status.stake.prover, node) {
                return Some((agent, prover, node));
            }
        }
        None
    };
    let what = "proof of agent-2 or agent-3 under way";
    let (agent, prover, node) = devnet.until(what, 12 * MINUTE, look).await;
    let config = devnet.config(agent).unwrap();
    let found = processes::naming(&config);
    let [pid] = found[..] else { panic!("{} is named by {found:?}", config.display()) };
    let children = processes::children(pid);
    assert!(!children.is_empty(), "{agent} proves {node} in a process of its own");
    processes::kill_group(pid);
    let look = async || {
        let left = children.iter().chain([&pid]).any(|it| processes::runs(*it));
        (!left).then_some(())
    };
    devnet.until("end of the killed agent and its prover", 20 * SECOND, look).await;
    assert!(devnet.status(agent).await.is_none(), "{agent} is gone");
    (prover, node)
}

/// The node of a proof that has the machine and began a moment ago.
fn young_proof(lane: &LaneView, now_ms: u64) -> Option<String> {
    let works = matches!(lane.step.as_deref(), Some("loading key" | "witness" | "proving"));
    let young = now_ms.saturating_sub(lane.since_ms) < YOUNG_MS;
    // A `vm` proof may end between the look and the kill.
    let node = lane.node.clone().filter(|node| !node.starts_with("vm/"));
    node.filter(|_| lane.state == "proving" && works && young)
}

/// What the devnet reports is what L1 and the block say.
async fn check_the_line(
    chain: &Chain,
    line: &Line,
    settled: &Settlement,
    payees: &BTreeMap<u32, Address>,
) {
    let reveals = chain.reveals().await;
    let reveal = reveals.iter().find(|it| it.slot == settled.slot).expect("it was revealed");
    line.assert_is(settled, chain.block(reveal.block).await.1);
    line.assert_pays(settled, payees);

    let (data, proof_bytes) = chain.opened(settled.slot).await;
    let replayed = replay::replay(CHAIN_ID, chain.slots, &data, proof_bytes);
    let calls = &replayed.calls;
    assert!(calls.len() >= 2, "{} txs; each of the two clients has sent one", calls.len());
    assert!(calls.contains(&1), "one tx has a public call: {calls:?}");
    assert_eq!(replayed.reverted, 0, "the devnet's clients ask for what they can pay");
    line.assert_proves(calls);

    let [start, end, txs, count, .., fees, _] = settled.words;
    assert_eq!(start, replayed.start, "the chain begins at genesis");
    assert_eq!(end, replayed.end, "the root proof ends where the interpreter does");
    assert_eq!(settled.end, replayed.end);
    assert_eq!(chain.state_root().await, replayed.end, "L1 has the interpreter's state root");
    assert_eq!(txs, replayed.txs);
    assert_eq!(count, U256::from(calls.len()));
    assert_eq!(fees, U256::from(replayed.fees));
}

/// The root proof holds for its own words and for no others.
async fn check_the_words(chain: &Chain, settled: &Settlement) {
    let (words, verifier) = (settled.words, chain.set_of(settled.slot).await.verifier);
    assert!(
        chain.verifies(verifier, settled, &words).await,
        "the verifier takes the settled words"
    );
    assert!(chain.would_settle(settled, words).await, "and so does the contract, before they were");
    let another = |index: usize, word: U256| {
        let mut words = settled.words;
        assert_ne!(words[index], word);
        words[index] = word;
        words
    };
    for (what, words) in [
        ("payee", another(5, words[5] ^ U256::from(1))),
        ("end root", another(1, words[0])),
        ("credit", another(4, words[0])),
    ] {
        assert!(
            !chain.verifies(verifier, settled, &words).await,
            "the verifier takes another {what}"
        );
        assert!(!chain.would_settle(settled, words).await, "`settle` takes another {what}");
    }
}

/// The payee gets exactly its amount, once.
async fn claim(devnet: &Devnet, chain: &Chain, settled: &Settlement, due: (Address, u128)) {
    let (payee, amount) = due;
    let before = chain.balance(payee).await;
    let made = devnet.claim(settled.slot, payee).await;
    assert!(made > 0, "nothing was claimed for {payee}");
    let after = chain.balance(payee).await;
    assert_eq!(after - before, U256::from(amount), "{payee} in {made} claims");

    devnet.follows(chain.head().await).await;
    assert_eq!(devnet.claim(settled.slot, payee).await, 0, "{payee} is paid already");
    assert_eq!(chain.balance(payee).await, after);
}

/// L1's own list of payouts is that of the line, and none can be had twice.
async fn check_the_payouts(chain: &Chain, line: &Line) {
    let payouts = chain.payouts(line.slot).await;
    let mut paid: BTreeMap<Address, u128> = BTreeMap::new();
    for payout in &payouts {
        *paid.entry(payout.payee).or_default() += payout.amount;
        assert!(chain.is_paid_once(payout).await, "{payout:?} can be claimed again");
    }
    let wanted = line.payees.iter().map(|it| (it.address, it.amount())).collect();
    assert_eq!(paid, wanted);
}

/// A later slot is proved and settled by the next circuit set (R13), and neither set's proofs hold
/// under the other.
async fn change_over(devnet: &Devnet, chain: &Chain, (line, settled): (&Line, &Settlement)) {
    let look = async || Line::all(&devnet.results()).into_iter().find(|it| it.set_version == 1);
    let later = devnet.until("slot settled by the next circuit set", 25 * MINUTE, look).await;
    let after = chain.settlement(later.slot).await;
    let reveals = chain.reveals().await;
    let reveal = reveals.iter().find(|it| it.slot == later.slot).expect("it was revealed");
    later.assert_is(&after, chain.block(reveal.block).await.1);
    assert!(line.slot < CHANGE && CHANGE <= later.slot, "{} and {}", line.slot, later.slot);

    let (old, new) = (chain.set_of(line.slot).await, chain.set_of(later.slot).await);
    assert_eq!((old.version, new.version), (0, 1), "each slot keeps what its reveal named");
    assert!(old.id != new.id && old.verifier != new.verifier, "{old:?} and {new:?}");
    for (line, settled, set) in [(line, settled, &old), (&later, &after, &new)] {
        assert_eq!(settled.words[8], set.id, "the root shows its set");
        assert_eq!((line.set_version, line.circuit_set), (set.version, set.id.into()));
    }
    for (settled, own, other) in [(settled, old, new), (&after, new, old)] {
        assert!(chain.verifies(own.verifier, settled, &settled.words).await);
        let taken = chain.verifies(other.verifier, settled, &settled.words).await;
        assert!(!taken, "set {}'s verifier takes a proof of set {}", other.version, own.version);
    }
    // The old set's proof settles the new set's slot neither as it is nor under the new one's id.
    let mut words = after.words;
    assert_eq!(chain.why_not(&after, words, settled).await.as_deref(), Some("proof"));
    words[8] = old.id;
    assert_eq!(chain.why_not(&after, words, settled).await.as_deref(), Some("word 8"));
    assert_eq!(chain.why_not(&after, after.words, &after).await, None, "its own proof does");
}

/// Ctrl-C ends everything in order.
async fn stop(devnet: &Devnet, chain: &Chain) {
    let status = devnet.stop().await;
    assert_eq!(status.code(), Some(0), "{status}");
    assert!(devnet.results().len() >= 2, "two slots were waited for");
    let deadline = std::time::Instant::now() + 20 * SECOND;
    loop {
        let left: BTreeSet<String> =
            processes::naming(devnet.home()).iter().map(ToString::to_string).collect();
        let node = chain.answers().await;
        if left.is_empty() && !node {
            return;
        }
        let now = std::time::Instant::now();
        assert!(now < deadline, "left behind: processes {left:?}, L1 node: {node}");
        tokio::time::sleep(SECOND / 5).await;
    }
}
