//! What needs the operator: the agent's alerts, and small judges over what the screen shows.
//!
//! The agent knows what goes wrong inside it. The console adds what only a reader of the whole
//! picture sees: silence of L1, a bond below what its lanes need, gas that will run out.

use wire::control::{Alert, Snapshot};

use crate::{
    model::{L1_OLD_MS, current_slot},
    text,
};

/// A settlement costs up to 700,000 gas: this pays for it at 14 gwei.
const GAS_LOW_WEI: u128 = 10_000_000_000_000_000;
/// A journal, a block's proofs and the logs of a day fit well below this.
const DISK_LOW_MB: u64 = 2_048;

/// How much it matters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// Money or work is being lost.
    Critical,
    /// It will be, if nobody acts.
    Warning,
    /// Worth knowing.
    Notice,
}

/// One thing that needs the operator.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Need {
    /// How much it matters.
    pub level: Level,
    /// Since when, in the agent's Unix milliseconds, if known.
    pub since_ms: Option<u64>,
    /// Stable code.
    pub code: String,
    /// One sentence with the remedy.
    pub text: String,
}

/// A small check over the agent's state.
struct Judge {
    code: &'static str,
    level: Level,
    about: fn(u64, &Snapshot) -> Option<String>,
}

const JUDGES: [Judge; 6] = [
    Judge { code: "SEE-SLACK", level: Level::Warning, about: slack },
    Judge { code: "SEE-L1-OLD", level: Level::Warning, about: l1_old },
    Judge { code: "SEE-BOND", level: Level::Warning, about: bond },
    Judge { code: "SEE-GAS", level: Level::Warning, about: gas },
    Judge { code: "SEE-DISK", level: Level::Warning, about: disk },
    Judge { code: "SEE-ALONE", level: Level::Notice, about: alone },
];

/// Everything that needs the operator, worst first, the newest of equals first.
/// A judge whose code the agent also reports stays silent.
pub fn needs(now_ms: u64, snapshot: &Snapshot) -> Vec<Need> {
    let mut needs: Vec<Need> = snapshot.alerts.iter().map(of_agent).collect();
    for judge in &JUDGES {
        let known = snapshot.alerts.iter().any(|alert| alert.code == judge.code);
        let text = if known { None } else { (judge.about)(now_ms, snapshot) };
        needs.extend(text.map(|text| Need {
            level: judge.level,
            since_ms: None,
            code: judge.code.to_owned(),
            text,
        }));
    }
    needs.sort_by_key(|need| (need.level, std::cmp::Reverse(need.since_ms)));
    needs
}

fn of_agent(alert: &Alert) -> Need {
    let level = match alert.level.as_str() {
        "critical" => Level::Critical,
        "info" => Level::Notice,
        // An unknown word is rather shown too loud than too quiet.
        _ => Level::Warning,
    };
    Need {
        level,
        since_ms: Some(alert.since_ms),
        code: alert.code.clone(),
        text: alert.text.clone(),
    }
}

/// Time to spare: the least of this agent's subtrees and of the whole block, in milliseconds.
pub fn worst_slack_ms(snapshot: &Snapshot) -> Option<i64> {
    let slot = current_slot(snapshot)?;
    if slot.settled_ms.is_some() {
        return None;
    }
    let mine = slot.subtrees.iter().filter(|subtree| subtree.mine);
    let mine = mine.filter_map(|subtree| subtree.slack_ms);
    mine.chain(block_slack_ms(snapshot)).min()
}

/// Time between the expected root and the end of the proving phase.
pub fn block_slack_ms(snapshot: &Snapshot) -> Option<i64> {
    let slot = current_slot(snapshot)?;
    let (deadline, eta) = (slot.deadline_ms?, slot.eta_ms?);
    i64::try_from(i128::from(deadline) - i128::from(eta)).ok()
}

/// Bond that all lanes need, in base units.
pub fn bond_needed(snapshot: &Snapshot) -> Option<u128> {
    let stake = &snapshot.stake;
    let lanes = u128::from(stake.rollup_lanes) + u128::from(stake.vm_lanes);
    text::base_units(&stake.bond_per_lane)?.checked_mul(lanes)
}

fn slack(_now_ms: u64, snapshot: &Snapshot) -> Option<String> {
    let slack_ms = worst_slack_ms(snapshot)?;
    (slack_ms < 0).then(|| {
        format!(
            "slack {}: the block will not be proved in time as things go",
            text::signed(slack_ms)
        )
    })
}

fn l1_old(now_ms: u64, snapshot: &Snapshot) -> Option<String> {
    let age_ms = now_ms.checked_sub(snapshot.l1.seen_ms)?;
    (snapshot.l1.seen_ms > 0 && age_ms > L1_OLD_MS).then(|| {
        format!("L1 silent for {}: check {}", text::duration(age_ms), snapshot.l1.endpoint)
    })
}

fn bond(_now_ms: u64, snapshot: &Snapshot) -> Option<String> {
    let (bond, needed) = (text::base_units(&snapshot.stake.bond)?, bond_needed(snapshot)?);
    let decimals = snapshot.earnings.decimals;
    (snapshot.stake.state != "none" && bond < needed).then(|| {
        format!(
            "bond {} is below the {} that the lanes need: they are dealt no work",
            text::amount(bond, decimals),
            text::amount(needed, decimals)
        )
    })
}

fn gas(_now_ms: u64, snapshot: &Snapshot) -> Option<String> {
    let wei = text::base_units(&snapshot.stake.gas_wei)?;
    let operator = text::shorten(&snapshot.stake.operator);
    (snapshot.stake.state != "none" && wei < GAS_LOW_WEI).then(|| {
        format!("{} ETH left for gas: send some to the operator {operator}", text::amount(wei, 18))
    })
}

fn disk(_now_ms: u64, snapshot: &Snapshot) -> Option<String> {
    let free = snapshot.machine.disk_free_mb;
    (snapshot.machine.ram_mb > 0 && free < DISK_LOW_MB)
        .then(|| format!("{} free for the data folder: make room", text::memory(free)))
}

fn alone(_now_ms: u64, snapshot: &Snapshot) -> Option<String> {
    let peers = &snapshot.peers;
    (!peers.is_empty() && peers.iter().all(|peer| !peer.connected))
        .then(|| format!("none of {} peers is connected: check the mesh port", peers.len()))
}

#[cfg(test)]
mod tests {
    use wire::control::{PeerView, SlotView, SubtreeView};

    use super::*;

    fn check(change: impl FnOnce(&mut Snapshot), expected: &[&str]) {
        let mut snapshot = Snapshot::default();
        change(&mut snapshot);
        let shown: Vec<String> = needs(100_000, &snapshot)
            .into_iter()
            .map(|need| format!("{:?} {}: {}", need.level, need.code, need.text))
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn nothing_known_means_nothing_needed() {
        check(|_| (), &[]);
    }

    #[test]
    fn each_judge_speaks_for_what_it_sees() {
        check(
            |snapshot| {
                snapshot.l1.seen_ms = 39_000;
                snapshot.l1.endpoint = "127.0.0.1:8545".into();
            },
            &["Warning SEE-L1-OLD: L1 silent for 01:01: check 127.0.0.1:8545"],
        );
        check(
            |snapshot| {
                snapshot.stake.state = "active".into();
                snapshot.stake.bond = "1500".into();
                snapshot.stake.bond_per_lane = "1000".into();
                snapshot.stake.rollup_lanes = 2;
                snapshot.earnings.decimals = 3;
            },
            &["Warning SEE-BOND: bond 1.500 is below the 2.000 that the lanes need: \
               they are dealt no work"],
        );
        check(
            |snapshot| {
                snapshot.stake.state = "active".into();
                snapshot.stake.gas_wei = "9999999999999999".into();
                snapshot.stake.operator = "0x1234".into();
            },
            &["Warning SEE-GAS: 0.009 ETH left for gas: send some to the operator 0x1234"],
        );
        check(
            |snapshot| snapshot.machine.ram_mb = 8_000,
            &["Warning SEE-DISK: 0.0G free for the data folder: make room"],
        );
        check(
            |snapshot| snapshot.peers = vec![PeerView::default(); 3],
            &["Notice SEE-ALONE: none of 3 peers is connected: check the mesh port"],
        );
    }

    #[test]
    fn slack_is_the_least_of_mine_and_of_the_block() {
        let subtree =
            |mine, slack| SubtreeView { mine, slack_ms: Some(slack), ..SubtreeView::default() };
        let mut slot =
            SlotView { deadline_ms: Some(50_000), eta_ms: Some(40_000), ..SlotView::default() };
        slot.subtrees = vec![subtree(true, -3_000), subtree(false, -9_000)];
        check(
            |snapshot| snapshot.slots = vec![slot],
            &["Warning SEE-SLACK: slack -00:03: the block will not be proved in time as things go"],
        );
    }

    #[test]
    fn the_agents_alerts_come_worst_first_and_silence_their_twins() {
        let alert = |level: &str, code: &str, since_ms| Alert {
            level: level.into(),
            code: code.into(),
            text: "do it".into(),
            since_ms,
        };
        check(
            |snapshot| {
                snapshot.machine.ram_mb = 8_000;
                snapshot.alerts = vec![
                    alert("info", "A", 1),
                    alert("warning", "SEE-DISK", 2),
                    alert("critical", "B", 3),
                    alert("??", "C", 4),
                ];
            },
            &[
                "Critical B: do it",
                "Warning C: do it",
                "Warning SEE-DISK: do it",
                "Notice A: do it",
            ],
        );
    }
}
