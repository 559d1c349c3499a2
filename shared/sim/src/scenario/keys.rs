//! The keys of world files: what each sets, and its limits.

use crate::{Behaviour, Kill, Moment, Sequencer, WorldOptions};

type Set = fn(&mut WorldOptions, [u64; 2]);

/// A key with a number or a range: name, smallest, largest, what it sets.
struct Key {
    name: &'static str,
    limits: [u64; 2],
    range: bool,
    set: Set,
}

const fn one(name: &'static str, low: u64, high: u64, set: Set) -> Key {
    Key { name, limits: [low, high], range: false, set }
}
const fn range(name: &'static str, low: u64, high: u64, set: Set) -> Key {
    Key { name, limits: [low, high], range: true, set }
}

/// An hour in milliseconds.
const HOUR: u64 = 3_600_000;

/// Shares are thousandths, times are milliseconds unless the name says otherwise.
const KEYS: &[Key] = &[
    range("agents", 1, 16_384, |it, v| it.agents = v),
    range("lanes_per_agent", 1, 16, |it, v| it.lanes = v),
    one("vm_share", 1, 1_000, |it, [v, _]| it.vm = v),
    one("slots", 1, 1_000, |it, [v, _]| it.slots = v),
    range("txs", 1, 61_440, |it, v| it.txs = v),
    range("calls", 0, 3, |it, v| it.calls = v),
    one("twins", 0, 1_000, |it, [v, _]| it.twins = v),
    one("sorted_txs", 0, 1, |it, [v, _]| it.sorted = v == 1),
    one("delay_ms", 0, 10_000, |it, [v, _]| it.mesh.delay_ms = v),
    one("jitter_ms", 0, 10_000, |it, [v, _]| it.mesh.jitter_ms = v),
    one("loss", 0, 500, |it, [v, _]| it.mesh.loss = v),
    range("retry_ms", 1, HOUR, |it, v| it.mesh.retry_ms = v),
    one("drop", 0, 500, |it, [v, _]| it.mesh.drop = v),
    one("duplication", 0, 1_000, |it, [v, _]| it.mesh.duplication = v),
    one("fetch_loss", 0, 900, |it, [v, _]| it.mesh.fetch_loss = v),
    one("check_ms", 0, 10_000, |it, [v, _]| it.mesh.check_ms = v),
    one("bandwidth_kbps", 10, 10_000_000, |it, [v, _]| it.mesh.bandwidth_kbps = v),
    one("slow_links", 0, 1_000, |it, [v, _]| it.mesh.slow = v),
    one("slow_factor", 1, 100, |it, [v, _]| it.mesh.slow_factor = v),
    one("nat", 0, 1_000, |it, [v, _]| it.mesh.nat = v),
    one("cut", 0, 1_000, |it, [v, _]| it.mesh.cut = v),
    range("cut_ms", 1, HOUR, |it, v| it.mesh.cut_ms = v),
    one("groups", 1, 64, |it, [v, _]| it.mesh.groups = v),
    one("groups_at_ms", 0, HOUR, |it, [v, _]| it.mesh.groups_at_ms = v),
    one("groups_ms", 0, HOUR, |it, [v, _]| it.mesh.groups_ms = v),
    one("spread", 0, 1_000, |it, [v, _]| it.prover.spread = v),
    one("failure", 0, 900, |it, [v, _]| it.prover.failure = v),
    one("out_of_memory", 0, 900, |it, [v, _]| it.prover.out_of_memory = v),
    range("plan_ms", 0, HOUR, |it, v| it.prover.plan_ms = v),
    one("late_plan", 0, 1_000, |it, [v, _]| it.prover.late_plan = v),
    one("late_plan_ms", 0, HOUR, |it, [v, _]| it.prover.late_plan_ms = v),
    one("crash_every", 0, 1_000_000_000, |it, [v, _]| it.prover.crash_every = v),
    one("torn", 0, 1_000, |it, [v, _]| it.prover.torn = v),
    range("downtime_ms", 1, HOUR, |it, v| it.prover.downtime_ms = v),
    one("no_keys", 0, 1_000, |it, [v, _]| it.prover.no_keys = v),
    range("keys_ms", 0, HOUR, |it, v| it.prover.keys_ms = v),
    one("missed_blocks", 0, 900, |it, [v, _]| it.l1.missed = v),
    one("reorg", 0, 500, |it, [v, _]| it.l1.reorg = v),
    one("reorg_depth", 1, 64, |it, [v, _]| it.l1.reorg_depth = v),
    range("l1_lag_ms", 0, 12_000, |it, v| it.l1.lag_ms = v),
    range("reveal_after", 0, 4, |it, v| it.l1.reveal_after = v),
    range("inclusion", 0, 50, |it, v| it.l1.inclusion = v),
    one("fee_spike", 0, 1_000, |it, [v, _]| it.l1.spike = v),
    one("fee_spike_blocks", 0, 50, |it, [v, _]| it.l1.spike_blocks = v),
    one("censor_first", 0, 1, |it, [v, _]| it.l1.censor_first = v == 1),
    one("proving_blocks", 40, 2_000, |it, [v, _]| it.params.proving_blocks = v),
    one("build_ahead", 0, 64, |it, [v, _]| it.params.build_ahead_max = v),
    one("beat_ms", 500, 60_000, |it, [v, _]| it.params.beat_ms = v),
    one("p50_vm_ms", 100, HOUR, |it, [v, _]| it.params.p50_ms[1] = v),
    one("p50_kernel_ms", 100, HOUR, |it, [v, _]| it.params.p50_ms[2] = v),
    one("p50_base_ms", 100, HOUR, |it, [v, _]| it.params.p50_ms[3] = v),
    one("p50_merge_ms", 100, HOUR, |it, [v, _]| it.params.p50_ms[4] = v),
    one("p50_root_ms", 100, HOUR, |it, [v, _]| it.params.p50_ms[5] = v),
];

/// Keys that add something each time.
const WORDS: [&str; 5] = ["base", "sequencer", "behaviour", "kill", "speed"];

pub(super) fn may_repeat(key: &str) -> bool {
    matches!(key, "behaviour" | "kill" | "speed")
}

/// Sets one key, or says what is wrong with its value.
pub(super) fn set(options: &mut WorldOptions, key: &str, value: &str) -> Result<(), String> {
    match key {
        "base" => base(options, value),
        "sequencer" => {
            let all = Sequencer::ALL;
            let found = all.iter().find(|(_, name)| *name == value);
            let names = || all.map(|(_, name)| name).join(", ");
            options.sequencer = found
                .ok_or_else(|| format!("`{value}` is no sequencer: use one of {}", names()))?
                .0;
            Ok(())
        }
        "behaviour" => behaviour(options, value),
        "kill" => kill(options, value),
        "speed" => {
            let words: Vec<&str> = value.split_whitespace().collect();
            let [share, speed] = *words else {
                return Err(format!(
                    "`speed = {value}` must be a share and a time, such as 200 1300"
                ));
            };
            let speed =
                [number("speed", share, [1, 1_000])?, number("speed", speed, [10, 40_000])?];
            options.prover.speeds.push(speed);
            Ok(())
        }
        _ => set_number(options, key, value),
    }
}

fn set_number(options: &mut WorldOptions, key: &str, value: &str) -> Result<(), String> {
    let Some(found) = KEYS.iter().find(|it| it.name == key) else {
        let names: Vec<&str> = KEYS.iter().map(|it| it.name).chain(WORDS).collect();
        return Err(format!("there is no key `{key}`: use one of {}", names.join(", ")));
    };
    let (low, high) = match value.split_once('-') {
        Some((low, high)) if found.range => (low.trim(), high.trim()),
        Some(_) => return Err(format!("`{key} = {value}` must be one number, not a range")),
        None => (value, value),
    };
    let pair = [number(key, low, found.limits)?, number(key, high, found.limits)?];
    if pair[1] < pair[0] {
        return Err(format!("`{key} = {value}` is empty: write the smaller number first"));
    }
    (found.set)(options, pair);
    Ok(())
}

fn number(key: &str, text: &str, [low, high]: [u64; 2]) -> Result<u64, String> {
    let digits = text.replace('_', "");
    let value: u64 = digits
        .parse()
        .map_err(|_| format!("`{key} = {text}` must be a number in {low} to {high}"))?;
    if value < low || high < value {
        return Err(format!("`{key} = {value}` is out of its limits: use {low} to {high}"));
    }
    Ok(value)
}

fn base(options: &mut WorldOptions, value: &str) -> Result<(), String> {
    *options = match value {
        "standard" => WorldOptions::default(),
        "calm" => WorldOptions::calm(),
        _ => return Err(format!("`base = {value}` is unknown: use standard or calm")),
    };
    Ok(())
}

fn behaviour(options: &mut WorldOptions, value: &str) -> Result<(), String> {
    let (name, share) = value.split_once(char::is_whitespace).ok_or_else(|| {
        format!("`behaviour = {value}` must be a kind and a share, such as lazy 200")
    })?;
    let found = Behaviour::named(name).ok_or_else(|| {
        let names: Vec<&str> = Behaviour::ALL.iter().map(|it| it.1).collect();
        format!("`{name}` is no behaviour: use one of {}", names.join(", "))
    })?;
    options.behaviours.retain(|it| it.0 != found);
    options.behaviours.push((found, number("behaviour", share.trim(), [0, 900])?));
    Ok(())
}

fn kill(options: &mut WorldOptions, value: &str) -> Result<(), String> {
    let wrong = || {
        format!(
            "`kill = {value}` must be like `300 at 250s`, `300 at worst`, `300 scattered` or `none`"
        )
    };
    if value == "none" {
        options.kills.clear();
        return Ok(());
    }
    let words: Vec<&str> = value.split_whitespace().collect();
    let at = match *words {
        [_, "scattered"] => Moment::Scattered,
        [_, "at", "worst"] => Moment::Worst,
        [_, "at", time] => {
            let seconds = time.strip_suffix('s').ok_or_else(wrong)?;
            Moment::After(number("kill", seconds, [0, 100_000])? * 1000)
        }
        _ => return Err(wrong()),
    };
    let share = number("kill", words[0], [0, 900])?;
    options.kills.push(Kill { share, at });
    Ok(())
}
