//! What machines of a world were given, step by step, so that somebody with a clock can give it to
//! fresh ones and see how long they take.

use protocol::{Coordinator, Input, Millis, Params, ProverId};

use crate::{World, WorldOptions};

/// All inputs of one agent that never crashed.
#[derive(Clone, Debug)]
pub struct Recording {
    prover: ProverId,
    params: Params,
    /// The inputs with their instants, in order.
    pub inputs: Vec<(Millis, Input)>,
}

impl Recording {
    /// The agent's machine before the first of its inputs.
    #[must_use]
    pub fn machine(&self) -> Coordinator {
        Coordinator::new(Some(self.prover), self.params.clone())
    }
}

/// Runs a world to its end and gives what its first agents were told.
#[must_use]
pub fn record(seed: u64, options: &WorldOptions, agents: usize) -> Vec<Recording> {
    let recorded = World::new(seed, options.clone()).run_and_record(agents);
    let params = || options.params.clone();
    recorded
        .into_iter()
        .map(|(prover, inputs)| Recording { prover, params: params(), inputs })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Action;

    #[test]
    fn fresh_machines_do_again_what_was_recorded() {
        let options = WorldOptions { txs: [4, 4], calls: [3, 3], slots: 1, ..WorldOptions::calm() };
        let recorded = record(3, &options, 100);
        assert_eq!(recorded.len(), 24);
        let mut actions = Vec::new();
        for recording in recorded {
            let mut machine = recording.machine();
            for (now, input) in recording.inputs {
                machine.step(now, input, &mut actions);
            }
        }
        let proves = actions.iter().filter(|it| matches!(it, Action::Prove { .. })).count();
        assert!(32 <= proves, "{proves} proofs were begun");
    }
}
