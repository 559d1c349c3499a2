//! What happened, for people: the log, and the newest lines for the screens. (The promises that
//! must survive are in the store's journal.)

use std::collections::VecDeque;

use protocol::{Message, Millis};
use wire::control::{Alert, Event};

/// Lines kept for the screens.
const EVENTS_MAX: usize = 64;
/// Alerts kept; the oldest goes first.
const ALERTS_MAX: usize = 16;
/// An alert that was not repeated for this long is over.
const ALERT_MS: u64 = 10 * 60 * 1000;

/// Newest first.
#[derive(Clone, Default, Debug)]
pub(crate) struct Journal {
    events: VecDeque<Event>,
    alerts: VecDeque<Alert>,
}

impl Journal {
    /// A coded fact; the code says how loud it is.
    pub(crate) fn note(&mut self, at: Millis, code: &'static str, text: String) {
        match level(code) {
            Some(level) => {
                tracing::warn!(code, "{text}");
                self.alert(at, level, code, text.clone());
            }
            None => tracing::info!(code, "{text}"),
        }
        self.event(at, source(code), text);
    }

    /// A line without a code.
    pub(crate) fn event(&mut self, at: Millis, source: &str, text: String) {
        tracing::debug!(source, "{text}");
        self.events.push_front(Event { at_ms: at.0, source: source.to_owned(), text });
        self.events.truncate(EVENTS_MAX);
    }

    /// Something this agent says to the network; beats are too many to show, and what is said again
    /// until it was heard is shown once.
    pub(crate) fn said(&mut self, at: Millis, message: &Message) {
        let (source, text) = match message {
            Message::Claim { task, lane, seq, .. } => {
                ("claim", format!("lane {lane} claims {} ({seq})", short(&task.to_string())))
            }
            Message::Release { task, lane, .. } => {
                ("claim", format!("lane {lane} gives {} back", short(&task.to_string())))
            }
            Message::Loss { lane, watcher, .. } => {
                ("mesh", format!("lane {watcher} says that lane {lane} fell silent"))
            }
            Message::Made { task, cpu_ms, .. } => {
                let cpu_s = cpu_ms / 1000;
                ("proof", format!("proved {} in {cpu_s} CPU-s", short(&task.to_string())))
            }
            Message::Advert { lane, slot, able, .. } => {
                let what = if *able { "can" } else { "cannot" };
                ("proof", format!("lane {lane} says that it {what} prove slot {slot}"))
            }
            Message::Beat { .. } | Message::Held { .. } => return,
        };
        if self.events.iter().any(|it| it.source == source && it.text == text) {
            return;
        }
        tracing::info!("{text}");
        self.event(at, source, text);
    }

    /// The newest lines, newest first.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.events.iter().cloned().collect()
    }

    /// What still needs the operator, worst first.
    pub(crate) fn alerts(&self, now: Millis) -> Vec<Alert> {
        let fresh = |it: &&Alert| now.since(Millis(it.since_ms)) < ALERT_MS;
        let mut alerts: Vec<Alert> = self.alerts.iter().filter(fresh).cloned().collect();
        alerts.sort_by_key(|it| it.level != "critical");
        alerts
    }

    fn alert(&mut self, at: Millis, level: &str, code: &str, text: String) {
        self.alerts.retain(|it| it.code != code);
        let (level, code) = (level.to_owned(), code.to_owned());
        self.alerts.push_front(Alert { level, code, text, since_ms: at.0 });
        self.alerts.truncate(ALERTS_MAX);
    }
}

/// How loud a code is: `None` is only a line.
fn level(code: &str) -> Option<&'static str> {
    match code {
        "CLM-001" | "LOS-002" | "PRV-070" | "PRV-074" | "SUB-001" | "CHN-002" => Some("critical"),
        // Witnesses are served a moment after the reveal; waiting for them is usual.
        "SUB-000" | "LOS-001" | "BLK-003" => None,
        _ => Some("warning"),
    }
}

fn source(code: &str) -> &'static str {
    match code.split('-').next() {
        Some("CLM" | "FLT") => "claim",
        Some("PRF" | "PRV") => "proof",
        Some("LOS" | "MSH") => "mesh",
        Some("SUB" | "PAY") => "money",
        _ => "chain",
    }
}

/// The first bytes of an id, enough to tell two apart on a screen.
pub(crate) fn short(id: &str) -> String {
    id.chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_comes_first_and_a_repeated_alert_stands_once() {
        let mut journal = Journal::default();
        journal.note(Millis(1), "BLK-002", "bad".into());
        journal.note(Millis(2), "CLM-001", "doubt".into());
        journal.note(Millis(3), "BLK-002", "bad still".into());
        journal.note(Millis(3), "BLK-003", "only a line".into());
        let alerts = journal.alerts(Millis(4));
        let codes: Vec<&str> = alerts.iter().map(|it| it.code.as_str()).collect();
        assert_eq!(codes, ["CLM-001", "BLK-002"]);
        assert_eq!(alerts[1].text, "bad still");
        assert!(journal.alerts(Millis(4 + ALERT_MS)).is_empty());
    }

    #[test]
    fn what_is_said_again_is_shown_once() {
        let mut journal = Journal::default();
        let lane = protocol::LaneId::new(protocol::ProverId(1), 0);
        let claim = |seq| Message::Claim {
            task: protocol::TaskId([7; 32]),
            lane,
            slot: protocol::Slot(3),
            seq,
            attempt: 0,
            previous: protocol::Previous::None,
        };
        for seq in [1, 1, 2, 1] {
            journal.said(Millis(seq), &claim(seq));
        }
        assert_eq!(journal.events().len(), 2);
    }

    #[test]
    fn only_the_newest_lines_are_kept() {
        let mut journal = Journal::default();
        for n in 0..100 {
            journal.event(Millis(n), "chain", n.to_string());
        }
        assert_eq!(journal.events().len(), EVENTS_MAX);
        assert_eq!(journal.events()[0].text, "99");
    }
}
