//! Who is taken, what every process is told, and how it is reported.

use super::*;

fn specs(texts: &[&str]) -> Vec<Spec> {
    texts.iter().map(|it| it.parse().unwrap()).collect()
}

fn plan(texts: &[&str], seed: u64, agents: u16) -> Plan {
    Plan::new(&specs(texts), seed, agents).unwrap()
}

fn taken(texts: &[&str], seed: u64, agents: u16) -> Vec<Vec<u16>> {
    plan(texts, seed, agents).events.into_iter().map(|it| it.agents).collect()
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn the_same_seed_takes_the_same_agents_and_never_the_first() {
    let mut found = BTreeSet::new();
    for seed in 0..50 {
        let once = taken(&["kill=0.3@60s"], seed, 10);
        assert_eq!(once, taken(&["kill=0.3@60s"], seed, 10));
        assert_eq!(once[0].len(), 3);
        assert!(!once[0].contains(&1) && once[0].iter().all(|it| *it <= 10));
        found.extend(once.concat());
    }
    assert_eq!(found.len(), 9, "over many seeds everybody else is taken: {found:?}");
}

#[test]
fn a_share_is_rounded_and_at_least_one() {
    for (share, agents, count) in [("0.3", 3, 1), ("0.5", 3, 2), ("0.01", 3, 1), ("0.8", 10, 8)] {
        let kill = format!("kill={share}@1s");
        assert_eq!(taken(&[&kill], 1, agents)[0].len(), count, "{share} of {agents}");
    }
}

#[test]
fn whom_an_earlier_kill_took_is_not_taken_again() {
    let found = taken(&["kill=0.5@90s", "partition=0.1@100s..110s", "kill=0.3@60s"], 7, 10);
    // In the order of time: the kill of 60 s first, and one is left for the partition.
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [3, 5, 1]);
    let all: BTreeSet<u16> = found.into_iter().flatten().collect();
    assert_eq!(all, (2..=10).collect());
}

#[test]
fn more_than_there_are_is_refused_with_the_remedy() {
    for texts in [&["kill=1@60s"][..], &["kill=0.5@1s", "kill=0.5@2s"], &["partition=1@1s.."]] {
        let error = Plan::new(&specs(texts), 1, 3).unwrap_err();
        assert_eq!(error.code(), "DEV-003");
        assert!(error.to_string().contains("agent-1 is spared"), "{error}");
    }
    let many = vec!["delay=1ms@1s.."; EVENTS_MAX + 1];
    assert!(Plan::new(&specs(&many), 1, 3).unwrap_err().to_string().contains("at most 32"));
}

#[test]
fn steps_are_due_in_the_order_of_time() {
    let mut plan = plan(&["delay=5ms@3s..9s", "kill=0.3@4s", "partition=0.3@1s..3s"], 1, 3);
    let mut order = Vec::new();
    for second in 0..20 {
        while let Some(step) = plan.due(seconds(second)) {
            order.push((second, plan.events[step.event].spec.what.word(), step.ends));
        }
    }
    assert_eq!(
        order,
        [
            (1, "partition", false),
            (3, "partition", true),
            (3, "delay", false),
            (4, "kill", false),
            (9, "delay", true)
        ]
    );
}

fn chaos(texts: &[&str], agents: u16) -> Chaos {
    let target = |agent: u16| Target {
        name: if agent == 0 { "sequencer-1".into() } else { format!("agent-{agent}") },
        agent,
        listen: SocketAddr::from(([127, 0, 0, 1], 4_000 + agent)),
        socket: PathBuf::from("/nowhere"),
        told: Weather::default(),
        alive: true,
    };
    let targets = (0..=agents).map(target).collect();
    Chaos { plan: plan(texts, 1, agents), targets, active: BTreeSet::new() }
}

#[test]
fn both_sides_of_a_partition_are_cut_from_each_other_and_the_longest_delay_counts() {
    let mut chaos = chaos(&["partition=0.5@1s..2s", "delay=5ms@1s..2s", "delay=9ms@1s..2s"], 4);
    chaos.active.extend([0, 1, 2]);
    let small = chaos.plan.events[0].agents.clone();
    assert_eq!(small.len(), 2);
    for target in &chaos.targets {
        let (delay, cut) = chaos.weather(target);
        assert_eq!(delay, Duration::from_millis(9));
        let expected = chaos
            .targets
            .iter()
            .filter(|it| small.contains(&it.agent) != small.contains(&target.agent));
        assert_eq!(cut, expected.map(|it| it.listen).collect());
    }
    chaos.active.clear();
    assert_eq!(chaos.weather(&chaos.targets[0]), Weather::default());
}

#[tokio::test]
async fn what_cannot_be_told_is_reported_and_a_killed_process_is_not_asked() {
    let mut chaos = chaos(&["delay=5ms@1s..3s"], 2);
    chaos.targets[2].alive = false;
    let done = chaos.strike(seconds(2), &mut []).await.unwrap();
    assert_eq!(done[0].unreached, ["sequencer-1", "agent-1"]);
    assert_eq!(
        done[0].line(false),
        "chaos 2.0 s after the reveal: delay=5ms@1s..3s begins for everybody; could not be told: \
         sequencer-1 agent-1"
    );
    let line: serde_json::Value = serde_json::from_str(&done[0].line(true)).unwrap();
    assert_eq!((&line["event"], &line["what"]), (&json!("chaos"), &json!("delay")));
    assert_eq!((&line["step"], &line["at_s"]), (&json!("begins"), &json!(2.0)));
    // Nobody was told of the beginning, so nobody need be told of the end.
    let done = chaos.strike(seconds(3), &mut []).await.unwrap();
    assert!(done[0].unreached.is_empty() && done[0].ends);
}

#[tokio::test]
async fn a_kill_ends_the_process_that_was_chosen() {
    let mut chaos = chaos(&["kill=0.5@1s"], 2);
    let folder = tempfile::tempdir().unwrap();
    let sleeper = |name: &str| {
        let test = concat!(module_path!(), "::a_process_that_waits_for_its_end");
        let test = test.split_once("::").unwrap().1;
        let arguments = ["--exact", "--ignored", test].map(std::ffi::OsStr::new);
        Process::start(name, &arguments, &folder.path().join(name)).unwrap()
    };
    let mut processes = vec![sleeper("agent-1"), sleeper("agent-2")];
    assert!(chaos.strike(seconds(0), &mut processes).await.unwrap().is_empty());
    assert_eq!(chaos.open().map(ToString::to_string).collect::<Vec<_>>(), ["kill=0.5@1s"]);
    let done = chaos.strike(seconds(1), &mut processes).await.unwrap();
    assert_eq!(done[0].event.agents, [2]);
    assert_eq!(done[0].line(false), "chaos 1.0 s after the reveal: kill=0.5@1s done for agent-2");
    assert_eq!(chaos.open().count(), 0);
    let ended = async {
        let mut status = None;
        while status.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
            status = processes[1].take_end();
        }
        status
    };
    let status = tokio::time::timeout(seconds(10), ended).await.unwrap().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    assert!(processes[0].take_end().is_none(), "agent-1 lives");
}

#[test]
#[ignore = "it is the process that another test kills"]
fn a_process_that_waits_for_its_end() {
    std::thread::sleep(seconds(30));
}
