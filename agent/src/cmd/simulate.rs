//! `coppice-agent simulate`: whole networks in one thread, on the same core that agents run.

use super::print_line;

/// Options of `simulate`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Number of worlds: seeds 1 to N.
    #[arg(long, default_value_t = 10)]
    seeds: u64,
    /// One seed alone.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// One line of JSON per world.
    #[arg(long)]
    json: bool,
}

/// Runs the worlds; exit code 1 if one did not settle.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let options = sim::WorldOptions::default();
    let seeds = match arguments.seed {
        Some(seed) => seed..=seed,
        None => 1..=arguments.seeds,
    };
    let (mut worlds, mut settled) = (0_u64, 0_u64);
    for seed in seeds {
        let outcome = sim::run(seed, &options);
        worlds += 1;
        settled += u64::from(outcome.settled);
        if arguments.json || !outcome.settled {
            print_line(&outcome.to_json())?;
        }
    }
    if !arguments.json {
        print_line(&format!("{settled} of {worlds} simulated worlds settled every block"))?;
    }
    Ok(u8::from(settled != worlds))
}
