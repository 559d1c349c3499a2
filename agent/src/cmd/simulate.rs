//! `coppice-agent simulate`: whole networks in one thread, on the same core that agents run.

mod explain;

use std::{io::IsTerminal as _, path::PathBuf, sync::mpsc, thread};

use sim::{Income, Kill, Moment, Outcome, Scenario, WorldOptions};

use super::print_line;
use crate::error::Coded;

/// Worlds run side by side.
const THREADS: usize = 2;
/// Outcomes that a thread may be ahead of the printing.
const AHEAD: usize = 64;
/// Lanes of the bar world when only `--txs` is given, and txs when only `--lanes` is.
const LANES: u64 = 1_024;
const TXS: u64 = 1_024;
/// Worlds when nothing is said.
const SEEDS: u64 = 10;
/// Characters of the progress bar.
const BAR: usize = 40;

/// Options of `simulate`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Txs of the block: the bar world (30 s proofs, 10 % spread, 1 % loss, 50 ms, one block).
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=61_440))]
    txs: Option<u64>,
    /// Calls of each tx of the bar world.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(0..=3))]
    calls: u64,
    /// Lanes of the bar world, one per prover.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    lanes: Option<u64>,
    /// How many of them are of class vm; all of them if not said.
    #[arg(long)]
    vm_lanes: Option<u64>,
    /// Spread of proof times: deviation of the logarithm, such as 0.1.
    #[arg(long)]
    spread: Option<f64>,
    /// Share of provers that stop for good, such as 0.3.
    #[arg(long)]
    kill: Option<f64>,
    /// When they do: seconds after the reveal, such as 250s, or `worst`.
    #[arg(long, default_value = "250s", value_parser = moment)]
    at: Moment,
    /// Number of worlds: seeds 1 to N.
    #[arg(long, conflicts_with = "seed")]
    seeds: Option<u64>,
    /// One seed alone.
    #[arg(long)]
    seed: Option<u64>,
    /// A world file, or the name of a built-in one.
    #[arg(long, conflicts_with_all = ["txs", "lanes"])]
    world: Option<PathBuf>,
    /// One line of JSON per world.
    #[arg(long)]
    json: bool,
    /// Tell the story of one seed.
    #[arg(long, value_name = "SEED")]
    replay: Option<u64>,
    /// Print a rule of the protocol and the worlds that show it.
    #[arg(long, value_name = "RULE")]
    explain: Option<String>,
    /// An epoch for every dishonest kind: what a lane earns.
    #[arg(long)]
    income: bool,
}

/// `250s` or `250`: seconds after the reveal. `worst`: just before subtree tops are delivered.
fn moment(text: &str) -> Result<Moment, String> {
    if text == "worst" {
        return Ok(Moment::Worst);
    }
    let seconds = text.strip_suffix('s').unwrap_or(text).parse::<u64>();
    seconds
        .map(|it| Moment::After(it * 1000))
        .map_err(|_| format!("`{text}` is neither seconds such as 250s nor `worst`"))
}

/// A share or a spread such as 0.3 in thousandths.
fn thousandths(share: f64) -> u64 {
    // Shares are below 1 and written by people: rounding is all that is needed.
    format!("{:.0}", share.clamp(0.0, 1.0) * 1000.0).parse().unwrap_or(0)
}

impl Arguments {
    fn options(&self) -> Result<WorldOptions, Coded> {
        let mut options = match (&self.world, self.txs, self.lanes) {
            (Some(world), ..) => scenario(world)?.options,
            (None, None, None) => WorldOptions::default(),
            (None, txs, lanes) => {
                let (txs, lanes) = (txs.unwrap_or(TXS), lanes.unwrap_or(LANES));
                let vm = self.vm_lanes.unwrap_or(lanes).min(lanes);
                WorldOptions::bar(txs, self.calls, lanes, vm)
            }
        };
        if let Some(spread) = self.spread {
            options.prover.spread = thousandths(spread);
        }
        if let Some(share) = self.kill {
            options.kills = vec![Kill { share: thousandths(share), at: self.at }];
        }
        Ok(options)
    }

    fn seeds(&self) -> Vec<u64> {
        match self.seed {
            Some(seed) => vec![seed],
            None => (1..=self.seeds.unwrap_or(SEEDS)).collect(),
        }
    }
}

/// The built-in world of this name, or the file at this path.
fn scenario(world: &std::path::Path) -> Result<Scenario, Coded> {
    let name = world.file_stem().map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
    if let Some(found) = world.to_str().and_then(Scenario::named) {
        return Ok(found);
    }
    let text = std::fs::read_to_string(world).map_err(|error| {
        let names: Vec<&str> = sim::LIBRARY.iter().map(|it| it.0).collect();
        let path = world.display();
        let text =
            format!("cannot read the world {path}: {error}; built in are {}", names.join(", "));
        Coded::new("SIM-001", text)
    })?;
    Scenario::parse(&name, &text)
        .map_err(|error| Coded::new("SIM-002", format!("{}, {error}", world.display())))
}

/// Runs worlds on a few threads and hands their outcomes over in the order of their seeds.
fn run_all(
    seeds: &[u64],
    options: &WorldOptions,
    mut each: impl FnMut(Outcome) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    thread::scope(|scope| {
        let (mut receivers, threads) = (Vec::new(), THREADS.min(seeds.len()));
        for first in 0..threads {
            let (sender, receiver) = mpsc::sync_channel(AHEAD);
            receivers.push(receiver);
            let mut own = seeds.iter().skip(first).step_by(threads);
            // A receiver that is gone ends the thread.
            scope.spawn(move || own.all(|&it| sender.send(sim::run(it, options)).is_ok()));
        }
        for at in 0..seeds.len() {
            let outcome = receivers[at % threads].recv()?;
            each(outcome)?;
        }
        Ok(())
    })
}

/// A bar on stderr, where somebody looks at it.
fn progress(done: usize, all: usize) {
    use std::io::Write as _;
    let mut screen = std::io::stderr().lock();
    if !std::io::stderr().is_terminal() {
        return;
    }
    let filled = (done * BAR).checked_div(all).unwrap_or(BAR);
    let (full, rest) = ("█".repeat(filled), "░".repeat(BAR - filled));
    let end = if done == all { "\r\x1b[K" } else { "" };
    let _ = write!(screen, "\r{full}{rest} {done} of {all} worlds{end}");
    let _ = screen.flush();
}

/// Runs the worlds; exit code 1 if one did not settle or broke an invariant.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    if let Some(rule) = &arguments.explain {
        print_line(explain::explain(rule)?.trim_end())?;
        return Ok(0);
    }
    if arguments.income {
        return income(arguments);
    }
    let options = arguments.options()?;
    if let Some(seed) = arguments.replay {
        return replay(seed, &options);
    }
    let seeds = arguments.seeds();
    let mut outcomes = Vec::new();
    let mut good = 0;
    run_all(&seeds, &options, |outcome| {
        good += usize::from(outcome.is_good());
        if arguments.json {
            return print_line(&outcome.to_json());
        }
        outcomes.push(outcome);
        progress(outcomes.len(), seeds.len());
        Ok(())
    })?;
    if !arguments.json {
        for outcome in outcomes.iter().filter(|it| !it.is_good()) {
            let why = outcome.violation.as_deref().unwrap_or("a block is not settled");
            print_line(&format!("seed {}: {why}", outcome.seed))?;
        }
        print_line(sim::chart(&outcomes).trim_end())?;
    }
    Ok(u8::from(good != seeds.len()))
}

/// One seed's story.
fn replay(seed: u64, options: &WorldOptions) -> anyhow::Result<u8> {
    let (outcome, lines) = sim::story(seed, options);
    for line in lines {
        print_line(&line)?;
    }
    let end = if outcome.is_good() { "every block is settled" } else { "NOT as it should be" };
    let why = outcome.violation.as_deref().unwrap_or("");
    print_line(format!("seed {seed}: {end} {why}").trim_end())?;
    Ok(u8::from(!outcome.is_good()))
}

/// The income table; exit code 1 if a dishonest kind earns as much as honest lanes beside it. As
/// JSON one line per kind: the honest one is the poorest of all these worlds.
fn income(arguments: &Arguments) -> anyhow::Result<u8> {
    let seed = arguments.seed.unwrap_or(1);
    let pairs: Vec<[Income; 2]> =
        sim::dishonest().into_iter().map(|kind| sim::income(kind, seed)).collect();
    let honest = pairs.iter().map(|[it, _]| it);
    let poorest = honest.min_by_key(|it| (it.income_per_lane_epoch, it.settled_thousandths));
    if arguments.json {
        let others = pairs.iter().map(|[_, it]| it);
        for it in poorest.into_iter().chain(others) {
            print_line(&it.to_json())?;
        }
    } else {
        let head = ["kind", "lanes", "income per lane", "slashed", "settled"];
        let [kind, lanes, income, slashed, settled] = head;
        print_line(&format!("{kind:<16}{lanes:>6}{income:>16}{slashed:>10}{settled:>10}"))?;
        for it in pairs.iter().flatten() {
            print_line(&row(it))?;
        }
    }
    let pays = |[honest, other]: &[Income; 2]| {
        other.lanes == 0 || other.income_per_lane_epoch < honest.income_per_lane_epoch
    };
    Ok(u8::from(!pairs.iter().all(pays)))
}

fn row(it: &Income) -> String {
    let share = it.settled_thousandths;
    let settled = format!("{}.{} %", share / 10, share % 10);
    let name = if it.kind == it.against { it.kind } else { "honest beside" };
    format!(
        "{name:<16}{:>6}{:>16}{:>10}{settled:>10}",
        it.lanes, it.income_per_lane_epoch, it.slashed
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_shares_are_read() {
        assert_eq!(moment("250s"), Ok(Moment::After(250_000)));
        assert_eq!(moment("60"), Ok(Moment::After(60_000)));
        assert_eq!(moment("worst"), Ok(Moment::Worst));
        assert!(moment("soon").unwrap_err().contains("250s"));
        assert_eq!([thousandths(0.3), thousandths(2.0), thousandths(0.1005)], [300, 1_000, 100]);
    }

    #[test]
    fn worlds_are_found_by_name_or_refused_with_a_code() {
        assert_eq!(scenario(std::path::Path::new("standard")).unwrap().name, "standard");
        let error = scenario(std::path::Path::new("/no/such.world")).unwrap_err();
        assert_eq!(error.code(), "SIM-001");
        assert!(error.to_string().contains("killed-half"), "{error}");
    }
}
