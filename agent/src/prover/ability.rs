//! What this machine is able to, as measured (R5.6): a lane claims only what it can finish.
//!
//! Three things are looked at: for each circuit set, whether the proving keys of the lane's class
//! are there (R13.1); whether a proof would find enough memory; and how long the last proofs took
//! beside their usual times. The core is told when an answer changes, and the operator why a lane
//! stands by.

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::Arc,
};

use protocol::{Class, Input, Kind, LaneId, Millis, Params, TaskId, Word};

use sysinfo::System;

use super::{limits, machine, sets::KeySets};

/// How often the machine is looked at.
const LOOK_EVERY_MS: u64 = 10_000;
/// Proofs that the speed is the median of: one that met a busy moment does not count for much.
const PROOFS_MAX: usize = 7;
/// A measurement older than an hour counts no longer: the machine may have become free, and a lane
/// that claims nothing would never measure it.
const PROOF_AGE_MS: u64 = 3_600_000;
/// The speed is told in steps of this many thousandths: smaller changes decide nothing.
const STEP_PERMILLE: u64 = 50;
/// A lane that lacked memory is back when this many percent of what it needs are free.
const BACK_PERCENT: u64 = 110;

/// What the machine has at one moment.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Reading {
    /// Keys of the circuit sets in use.
    pub(crate) keys: Vec<SetKeys>,
    /// Memory in MB that a proof could take; `None` while others make proofs here, or if the system
    /// does not say.
    pub(crate) free_mb: Option<u64>,
}

/// What there is of a circuit set's keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SetKeys {
    pub(crate) set: Word,
    /// Its number, for the command that makes them.
    pub(crate) revision: u32,
    /// Kinds without a proving key.
    pub(crate) missing: Vec<Kind>,
    /// Whether a block needs them now.
    pub(crate) wanted: bool,
}

/// Reads the machine.
pub(crate) struct Meter {
    keys: Arc<KeySets>,
    /// Folder of the machine's lock.
    cache: PathBuf,
    proofs_at_once: u16,
    /// `None` where the system does not say.
    system: Option<System>,
}

impl Meter {
    /// A meter for the keys in `keys` and the lock in `cache`.
    pub(crate) fn new(keys: Arc<KeySets>, cache: PathBuf, proofs_at_once: u16) -> Self {
        Self { keys, cache, proofs_at_once, system: System::new().ok() }
    }

    /// What there is now, for proofs of these circuit sets; `true` if a block needs them now.
    pub(crate) fn read(&mut self, sets: &[(Word, bool)]) -> Reading {
        let keys = sets.iter().map(|&(set, wanted)| {
            let (missing, revision) = (self.keys.missing(&set), self.keys.revision(&set));
            SetKeys { set, revision, missing, wanted }
        });
        let keys = keys.collect();
        let is_free = machine::is_free(&self.cache, self.proofs_at_once).unwrap_or(false);
        let system = self.system.as_mut().filter(|_| is_free);
        let free_mb = system.map(|system| {
            system.refresh_memory();
            let limit = system.cgroup_limits().map_or(u64::MAX, |it| it.total_memory);
            system.available_memory().min(limit) / (1024 * 1024)
        });
        Reading { keys, free_mb }
    }
}

/// A lane's answer: its time for a proof in thousandths of the usual one, and what blocks it.
type Answer = (u64, Option<&'static str>);

/// News of one look.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct News {
    /// For the core.
    pub(crate) inputs: Vec<Input>,
    /// For the operator: a code and a sentence.
    pub(crate) notes: Vec<(&'static str, String)>,
    /// Lanes that may claim again.
    pub(crate) back: Vec<LaneId>,
}

/// What was measured, and what the core was told of it.
#[derive(Default, Debug)]
pub(crate) struct Ability {
    /// When proofs that run now got the machine.
    running: BTreeMap<TaskId, Millis>,
    /// When proofs ended, and their time in thousandths of the usual one.
    speeds: VecDeque<(Millis, u64)>,
    told: BTreeMap<LaneId, Answer>,
    /// Sets without keys, by lane, and whether the operator was told.
    lacked: BTreeMap<(LaneId, Word), bool>,
    looked: Option<Millis>,
}

impl Ability {
    /// A proof got the machine.
    pub(crate) fn started(&mut self, task: TaskId, at: Millis) {
        self.running.insert(task, at);
    }

    /// A proof's process ended. One that was stopped counts if it had taken longer than usual.
    pub(crate) fn ended(&mut self, task: TaskId, usual_ms: u64, made: bool, at: Millis) {
        let Some(since) = self.running.remove(&task) else { return };
        let permille = at.since(since).saturating_mul(1_000) / usual_ms.max(1);
        if made || 1_000 < permille {
            self.speeds.push_back((at, permille));
            if PROOFS_MAX < self.speeds.len() {
                self.speeds.pop_front();
            }
        }
    }

    /// Whether the machine should be looked at.
    pub(crate) fn is_due(&self, now: Millis) -> bool {
        self.looked.is_none_or(|it| LOOK_EVERY_MS <= now.since(it))
    }

    /// Judges a reading for these lanes; what changed is news.
    pub(crate) fn look(
        &mut self,
        now: Millis,
        lanes: impl Iterator<Item = (LaneId, Class)>,
        reading: &Reading,
        params: &Params,
    ) -> News {
        self.looked = Some(now);
        let permille = self.permille(now);
        let mut news = News::default();
        for (lane, class) in lanes {
            self.look_for_keys((lane, class), reading, &mut news);
            let before = self.told.get(&lane).copied().unwrap_or((1_000, None));
            let why = why_not(class, permille, before.1, reading, params);
            let blocked = why.as_ref().map(|it| it.0);
            if self.told.get(&lane) == Some(&(permille, blocked)) {
                continue;
            }
            self.told.insert(lane, (permille, blocked));
            news.inputs.push(Input::Able { lane, permille, blocked });
            if blocked != before.1 {
                match why {
                    Some((code, text)) => news.notes.push((code, format!("lane {lane}: {text}"))),
                    None => news.back.push(lane),
                }
            }
        }
        news
    }

    /// Which sets' keys the lane has: everything of its class, or the set counts as lacked.
    fn look_for_keys(
        &mut self,
        (lane, class): (LaneId, Class),
        reading: &Reading,
        news: &mut News,
    ) {
        for SetKeys { set, revision, missing, wanted } in &reading.keys {
            let missing: Vec<&str> =
                missing.iter().filter(|it| proves(class, it)).map(|it| it.name()).collect();
            let (set, able, key) = (*set, missing.is_empty(), (lane, *set));
            if able == self.lacked.contains_key(&key) {
                news.inputs.push(Input::Keys { lane, set, able });
            }
            if able {
                news.back.extend(self.lacked.remove(&key).filter(|told| *told).map(|_| lane));
                continue;
            }
            let told = self.lacked.entry(key).or_insert(false);
            if *wanted && !core::mem::replace(told, true) {
                let text = format!(
                    "lane {lane}: no proving key for {} of circuit set {}; run `coppice-agent setup \
                     keys --revision {revision}`, then it goes on by itself",
                    missing.join(", "),
                    hex::encode(set),
                );
                news.notes.push(("IDLE-NO-KEYS", text));
            }
        }
    }

    /// The median of the last proofs, in steps.
    fn permille(&mut self, now: Millis) -> u64 {
        self.speeds.retain(|(at, _)| now.since(*at) < PROOF_AGE_MS);
        let mut speeds: Vec<u64> = self.speeds.iter().map(|(_, it)| *it).collect();
        speeds.sort_unstable();
        let median = speeds.get(speeds.len() / 2).copied().unwrap_or(1_000);
        (median.div_ceil(STEP_PERMILLE) * STEP_PERMILLE).max(STEP_PERMILLE)
    }
}

/// Whether a lane of this class makes proofs of this kind.
fn proves(class: Class, kind: &Kind) -> bool {
    kind.class().is_some_and(|it| Params::can_prove(class, it))
}

/// Why a lane of this class should claim nothing; `before` is what blocked it at the last look.
fn why_not(
    class: Class,
    permille: u64,
    before: Option<&'static str>,
    reading: &Reading,
    params: &Params,
) -> Option<(&'static str, String)> {
    let kinds = Kind::ALL.into_iter().filter(|it| proves(class, it));
    let need_mb = kinds.map(limits::peak_mb).max().unwrap_or(0);
    let lacked = before == Some("IDLE-NO-MEMORY");
    let enough_mb = if lacked { need_mb * BACK_PERCENT / 100 } else { need_mb };
    match reading.free_mb {
        Some(free_mb) if free_mb < enough_mb => {
            let text = format!(
                "{free_mb} MB of memory are free and a proof takes up to {need_mb} MB; stop other \
                 programs or add memory"
            );
            return Some(("IDLE-NO-MEMORY", text));
        }
        // Not known at this moment: what was said stands.
        None if lacked => {
            let text = "memory was too small when it was last looked at".to_owned();
            return Some(("IDLE-NO-MEMORY", text));
        }
        Some(_) | None => {}
    }
    if params.claim_cap_p50s * 1_000 <= permille {
        let text = format!(
            "the last proofs took {permille} thousandths of the usual time, a claim ends at {}; \
             end other loads or give `prover.threads` more cores",
            params.claim_cap_p50s * 1_000
        );
        return Some(("IDLE-TOO-SLOW", text));
    }
    None
}

#[cfg(test)]
mod tests {
    use protocol::ProverId;

    use super::*;

    const HOUR: u64 = 3_600_000;
    const LANES: [(LaneId, Class); 2] =
        [(LaneId::new(ProverId(3), 0), Class::Rollup), (LaneId::new(ProverId(3), 1), Class::Vm)];

    const fn free(free_mb: u64) -> Reading {
        Reading { keys: Vec::new(), free_mb: Some(free_mb) }
    }

    fn look(ability: &mut Ability, at: u64, reading: &Reading) -> Vec<Answer> {
        let news = ability.look(Millis(at), LANES.into_iter(), reading, &Params::devnet());
        let answer = |input: &Input| {
            let Input::Able { permille, blocked, .. } = *input else { panic!("{input:?}") };
            (permille, blocked)
        };
        news.inputs.iter().map(answer).collect()
    }

    #[test]
    fn an_answer_is_told_once_and_again_when_it_changes() {
        let mut ability = Ability::default();
        assert!(ability.is_due(Millis(0)));
        assert_eq!(look(&mut ability, 0, &free(16_000)), [(1_000, None); 2]);
        assert!(
            !ability.is_due(Millis(LOOK_EVERY_MS - 1)) && ability.is_due(Millis(LOOK_EVERY_MS))
        );
        assert_eq!(look(&mut ability, 1, &free(16_000)), []);
        assert_eq!(look(&mut ability, 2, &free(100)), [(1_000, Some("IDLE-NO-MEMORY")); 2]);
        assert_eq!(look(&mut ability, 3, &free(100)), []);
        assert_eq!(look(&mut ability, 4, &free(16_000)), [(1_000, None); 2]);
    }

    #[test]
    fn memory_has_a_margin_and_is_not_judged_while_others_prove() {
        let need = Kind::ALL.map(limits::peak_mb).into_iter().max().unwrap();
        let mut ability = Ability::default();
        look(&mut ability, 0, &free(need - 1));
        assert_eq!(look(&mut ability, 1, &free(need)), [], "not yet back");
        assert_eq!(look(&mut ability, 2, &Reading::default()), [], "nobody can say");
        assert_eq!(look(&mut ability, 3, &free(need * 2)).len(), 2);
        assert_eq!(look(&mut ability, 4, &Reading::default()), [], "others prove: as before");
        assert_eq!(look(&mut ability, 5, &free(need)), [], "enough for one that was not blocked");
    }

    #[test]
    fn a_lane_lacks_a_set_while_a_key_of_its_class_is_missing() {
        let mut ability = Ability::default();
        look(&mut ability, 0, &free(16_000));
        let mut look = |at, missing: &[Kind], wanted| {
            let keys = |set, missing: &[Kind], wanted| SetKeys {
                set: [set; 32],
                revision: set.into(),
                missing: missing.to_vec(),
                wanted,
            };
            let keys = vec![keys(1, &[], true), keys(2, missing, wanted)];
            let reading = Reading { keys, free_mb: Some(16_000) };
            ability.look(Millis(at), LANES.into_iter(), &reading, &Params::devnet())
        };
        let [rollup, vm] = LANES.map(|it| it.0);
        let said = |lane, able| Input::Keys { lane, set: [2; 32], able };
        // A set that is announced: the core is told, the operator was when it was announced.
        let news = look(1, &[Kind::Vm, Kind::Tx], false);
        assert_eq!((news.inputs, news.notes), (vec![said(vm, false)], vec![]));
        let news = look(2, &[Kind::Vm, Kind::Tx], true);
        assert_eq!((news.inputs, news.notes.len()), (vec![], 1));
        assert!(news.notes[0].1.contains("for vm of circuit set 0202"), "{:?}", news.notes);
        assert!(news.notes[0].1.contains("--revision 2"), "{:?}", news.notes);
        assert_eq!(look(3, &[Kind::Vm], true), News::default(), "said once");
        let news = look(4, &[Kind::Root], true);
        assert_eq!(news.inputs, [said(rollup, false)], "the other one lacks the set as before");
        let news = look(5, &[], true);
        assert_eq!(
            (news.inputs, news.back),
            (vec![said(rollup, true), said(vm, true)], LANES.map(|it| it.0).to_vec())
        );
        assert_eq!(look(6, &[], true), News::default());
    }

    fn prove(ability: &mut Ability, at: u64, took: u64, made: bool) {
        let task = TaskId([9; 32]);
        ability.started(task, Millis(at - took));
        ability.ended(task, 100_000, made, Millis(at));
    }

    #[test]
    fn the_speed_is_the_median_of_the_last_proofs_and_is_forgotten_after_an_hour() {
        let mut ability = Ability::default();
        prove(&mut ability, HOUR, 120_000, true);
        assert_eq!(look(&mut ability, HOUR, &free(16_000))[0], (1_200, None));
        prove(&mut ability, HOUR + 1, 900_000, false);
        prove(&mut ability, HOUR + 2, 130_000, true);
        assert_eq!(look(&mut ability, HOUR + 3, &free(16_000))[0], (1_300, None));
        prove(&mut ability, HOUR + 4, 5_000, false);
        assert_eq!(look(&mut ability, HOUR + 5, &free(16_000)), [], "stopped early says nothing");
        for n in 0..PROOFS_MAX as u64 {
            prove(&mut ability, HOUR + 10 + n, 700_000, false);
        }
        let slow = look(&mut ability, HOUR + 20, &free(16_000));
        assert_eq!(slow, [(7_000, Some("IDLE-TOO-SLOW")); 2]);
        assert_eq!(look(&mut ability, 3 * HOUR, &free(16_000)), [(1_000, None); 2]);
    }

    #[test]
    fn a_note_names_the_value_the_limit_and_the_remedy() {
        let mut ability = Ability::default();
        let news = ability.look(Millis(0), LANES.into_iter(), &free(100), &Params::devnet());
        let (code, text) = &news.notes[1];
        assert_eq!(*code, "IDLE-NO-MEMORY");
        assert!(text.starts_with("lane 3.1: 100 MB of memory are free"), "{text}");
        assert!(text.contains("stop other programs"), "{text}");
    }
}
