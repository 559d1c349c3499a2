//! One seed's story, line by line, in words: what happened to whom, and when.

use protocol::{Action, L1Event, Message, Millis, Node, Previous, Record, Slot, TaskId};

use super::truth::Truth;
use crate::world::content::Content;

/// Lines kept: a standard world has some hundreds.
const LINES_MAX: usize = 20_000;

/// What is told of a world; nothing unless somebody listens.
#[derive(Default)]
pub(crate) struct Story {
    pub(crate) lines: Vec<String>,
    pub(crate) told: bool,
    start: Millis,
}

/// mm:ss.s since the world began.
fn clock(ms: u64) -> String {
    format!("{:02}:{:02}.{}", ms / 60_000, ms / 1000 % 60, ms / 100 % 10)
}

impl Story {
    pub(crate) fn begin(&mut self, now: Millis) {
        self.start = now;
    }

    /// Adds a line.
    pub(crate) fn tell(&mut self, now: Millis, line: impl FnOnce() -> String) {
        if self.told && self.lines.len() < LINES_MAX {
            self.lines.push(format!("{}  {}", clock(now.since(self.start)), line()));
        }
    }

    /// Tells an action, if it is worth a line.
    pub(crate) fn action(
        &mut self,
        now: Millis,
        action: &Action,
        truth: &Truth,
        contents: &[Content],
    ) {
        if !self.told {
            return;
        }
        let node = |task: TaskId| name(task, truth, contents);
        let line = match action {
            Action::Send { message: Message::Claim { task, lane, slot, attempt, .. }, .. } => {
                let again = if 0 < *attempt {
                    format!(" (attempt {})", attempt + 1)
                } else {
                    String::new()
                };
                format!("lane {lane} claims {} of slot {slot}{again}", node(*task))
            }
            Action::Send { message: Message::Release { task, lane, failed, .. }, .. } => {
                let why = if *failed { " after a failure" } else { "" };
                format!("lane {lane} gives {} back{why}", node(*task))
            }
            Action::Send { message: Message::Loss { lane, slot, watcher, .. }, .. } => {
                format!("lane {watcher} misses the beats of lane {lane} in slot {slot}")
            }
            Action::Send { message: Message::Advert { lane, slot, able, .. }, .. } => {
                let what = if *able { "has the keys" } else { "lacks the keys" };
                format!("lane {lane} says that it {what} for slot {slot}")
            }
            Action::Send { message: Message::Made { task, lane, .. }, .. } => {
                format!("lane {lane} made {}", node(*task))
            }
            Action::Persist(Record::Ended { lane, how, .. }) => match how {
                Previous::Capped => format!("the claim of lane {lane} ran into its cap"),
                Previous::Lost => format!("the claim of lane {lane} ended: others lost it"),
                Previous::Reverted => {
                    format!("the claim of lane {lane} ended: its block left the chain")
                }
                Previous::None | Previous::Delivered | Previous::Released => return,
            },
            Action::SubmitRoot { slot, .. } => format!("the root of slot {slot} is sent to L1"),
            Action::Note { code, text } if !code.starts_with("LOS") => format!("{code} {text}"),
            Action::Persist(_)
            | Action::Send { .. }
            | Action::Relay { .. }
            | Action::Fetch { .. }
            | Action::Prove { .. }
            | Action::Abandon { .. }
            | Action::Note { .. } => return,
        };
        self.tell(now, || line);
    }

    /// Tells what a new L1 block holds.
    pub(crate) fn block(&mut self, now: Millis, events: &[L1Event]) {
        for line in events.iter().filter_map(words) {
            self.tell(now, || line);
        }
    }

    /// Tells that a task of the dead is taken over.
    pub(crate) fn takeover(&mut self, now: Millis, what: &str, waited_ms: u64) {
        let seconds = format!("{}.{}", waited_ms / 1000, waited_ms / 100 % 10);
        self.tell(now, || format!("{what} is taken over after {seconds} s"));
    }

    /// Tells that a task is poison.
    pub(crate) fn poison(&mut self, now: Millis, slot: Slot, what: &str) {
        self.tell(now, || format!("{what} of slot {slot} failed for three provers: quarantined"));
    }
}

/// An event of L1 in words, if it is worth a line.
fn words(event: &L1Event) -> Option<String> {
    match event {
        L1Event::Proposed { slot, .. } => Some(format!("a sequencer proposes slot {slot}")),
        L1Event::Revealed { slot, count, .. } => {
            Some(format!("slot {slot} is revealed with {count} txs"))
        }
        L1Event::Settled { slot, .. } => Some(format!("slot {slot} is settled")),
        L1Event::Named { slot, prover, alone: true } => {
            Some(format!("prover {prover} proves alone in slot {slot}"))
        }
        L1Event::Named { slot, prover, alone: false } => {
            Some(format!("prover {prover} coordinates slot {slot}"))
        }
        L1Event::ProverRegistered { .. }
        | L1Event::ProverLeft { .. }
        | L1Event::SequencerRegistered { .. }
        | L1Event::Seed { .. }
        | L1Event::Paid { .. } => None,
    }
}

/// The place of a task in words.
pub(crate) fn name(task: TaskId, truth: &Truth, contents: &[Content]) -> String {
    let place = truth.task(task).map(|it| truth.places[it as usize]);
    let node = place.map(|it| contents[it.content as usize].tree.nodes()[it.place as usize]);
    node.map_or_else(|| "an unknown task".to_owned(), |it: Node| it.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_begins_with_minutes_seconds_and_tenths() {
        let mut story = Story { told: true, ..Story::default() };
        story.begin(Millis(1_000));
        story.tell(Millis(62_250), || "hello".into());
        assert_eq!(story.lines, ["01:01.2  hello"]);
    }

    #[test]
    fn nobody_listens_nothing_is_told() {
        let mut story = Story::default();
        story.tell(Millis(1), || panic!("not asked"));
        assert!(story.lines.is_empty());
    }
}
