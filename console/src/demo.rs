//! A simulated world in place of an agent: `--demo` shows the console without any network.
//!
//! The states are views of the simulator's first agent, of the product's own machine. What that
//! machine does not know (money, peers, the computer) stays unknown here too; every screen says
//! SIMULATED. Blocks of more than 64 txs are the simulator's schedule of the lanes instead of a
//! machine for each agent.

use std::{
    thread,
    time::{Duration, Instant},
};

use console_core::LinkMsg;
use protocol::{Class, view};
use sim::feed::Feed;
use tokio::sync::mpsc;
use wire::control::{Event, L1View, LaneView, SCHEMA, SlotView, Snapshot, Stake, TaskView};

/// Pretended seconds in one of ours: a proof of half a minute takes four seconds.
const SPEED: u32 = 8;
/// States a second: four, as from an agent.
const STATES_HZ: u32 = 4;
/// States a second of a block of more than [`LARGE_TXS`] txs, each of which is megabytes.
const LARGE_STATES_HZ: u32 = 2;
const LARGE_TXS: u16 = 4_096;
/// The world that is shown; any other would do.
const SEED: u64 = 1;
/// Events kept.
const EVENTS_MAX: usize = 64;
/// Txs of a block if nobody says how many.
pub(crate) const TXS: u16 = 32;

/// What is connected to, for a person.
pub(crate) const NAME: &str = "a simulated world";
/// Pretended seconds after the first reveal at which a single state is taken.
const STILL_S: u64 = 300;
/// Latest reveal: a world's first slots may be empty.
const REVEAL_S: usize = 3_600;

/// One state: five pretended minutes after the first block of so many txs was revealed.
pub(crate) fn still(txs: u16) -> Snapshot {
    let mut feed = Feed::with_blocks(SEED, txs);
    let is_revealed = |view: &view::View| view.slots.iter().any(|it| !it.nodes.is_empty());
    let _revealed = (0..REVEAL_S).any(|_| is_revealed(feed.step()));
    feed.skip(STILL_S - 1);
    snapshot(feed.step(), 1)
}

/// Sends states of blocks of so many txs until nobody takes them any more. A world that is slower
/// than its pace goes as fast as it can.
pub(crate) fn play(sender: &mpsc::Sender<LinkMsg>, txs: u16) {
    let hz = if LARGE_TXS < txs { LARGE_STATES_HZ } else { STATES_HZ };
    let pause = Duration::from_secs(1) / hz;
    let mut feed = Feed::with_blocks(SEED, txs);
    let mut events = Vec::new();
    for seq in 1.. {
        let began = Instant::now();
        let skipped = u64::from(SPEED / hz) - 1;
        feed.skip(skipped);
        let mut snapshot = snapshot(feed.step(), seq);
        note(&snapshot, &mut events);
        snapshot.events.clone_from(&events);
        if sender.blocking_send(LinkMsg::Snapshot(Box::new(snapshot))).is_err() {
            return;
        }
        thread::sleep(pause.saturating_sub(began.elapsed()));
    }
}

/// Phases of slots as events, when they are new.
fn note(snapshot: &Snapshot, events: &mut Vec<Event>) {
    let event = |text| Event { at_ms: snapshot.at_ms, source: "chain".into(), text };
    if events.first().is_some_and(|newest| snapshot.at_ms < newest.at_ms) {
        events.clear();
        events.push(event("another simulated world begins".to_owned()));
    }
    for slot in &snapshot.slots {
        let text = format!("slot {} {}", slot.slot, slot.phase);
        if events.iter().all(|event| event.text != text) {
            events.insert(0, event(text));
        }
    }
    events.truncate(EVENTS_MAX);
}

fn snapshot(view: &view::View, seq: u64) -> Snapshot {
    let lanes = |class| view.lanes.iter().filter(|lane| lane.class == class).count();
    let count = |class| u16::try_from(lanes(class)).unwrap_or(u16::MAX);
    Snapshot {
        schema: SCHEMA,
        seq,
        at_ms: view.now.0,
        version: env!("CARGO_PKG_VERSION").into(),
        name: "demo".into(),
        network: "simulated world".into(),
        simulated: true,
        phase: if view.idle.is_some() { "idle".into() } else { "proving".into() },
        idle_code: view.idle.map(str::to_owned),
        idle_text: view.idle.map(|_| "see assets/docs/operating.md".to_owned()),
        health: "ok".into(),
        slots: view.slots.iter().map(SlotView::from).collect(),
        lanes: view.lanes.iter().map(LaneView::from).collect(),
        tasks: view.tasks.iter().map(TaskView::from).collect(),
        stake: Stake {
            state: "active".into(),
            prover: view.lanes.first().map(|lane| lane.lane.prover().0),
            rollup_lanes: count(Class::Rollup),
            vm_lanes: count(Class::Vm),
            ..Stake::default()
        },
        l1: L1View {
            number: view.l1_number,
            time_s: view.l1_time_s,
            seen_ms: view.l1_time_s.saturating_mul(1000),
            endpoint: "simulated".into(),
            reorged: view.l1_undone,
        },
        ..Snapshot::default()
    }
}

#[cfg(test)]
mod tests {
    use console_core::{Access, Model, Msg, frame, update};

    use super::*;

    #[test]
    fn the_world_shows_a_tree_within_ten_pretended_minutes_and_says_simulated() {
        let proving = |slot: &view::SlotView| slot.nodes.iter().any(|it| it.state == "proving");
        let mut feed = Feed::with_blocks(SEED, TXS);
        let view = (0..600).find_map(|_| {
            let view = feed.step();
            view.slots.iter().any(proving).then(|| view.clone())
        });
        let snapshot = snapshot(&view.unwrap(), 1);
        let mut model = Model::new(snapshot.at_ms, "a simulated world", Access::ReadOnly);
        model.screen = console_core::Screen::Tree;
        model.size = (120, 60);
        update(&mut model, Msg::Link(LinkMsg::Snapshot(Box::new(snapshot))));
        let shown = frame(&model, console_core::Look::default());
        assert!(shown.contains("SIMULATED") && shown.contains("▒▒"), "{shown}");
    }

    #[test]
    fn the_largest_block_fits_every_screen() {
        let snapshot = still(sim::feed::TXS_MAX);
        assert!(300_000 < snapshot.slots[0].nodes.len());
        let mut model = Model::new(snapshot.at_ms, "a simulated world", Access::ReadOnly);
        model.screen = console_core::Screen::Tree;
        update(&mut model, Msg::Link(LinkMsg::Snapshot(Box::new(snapshot))));
        for size in [(80, 24), (140, 40)] {
            model.size = size;
            let shown = frame(&model, console_core::Look::default());
            assert!(shown.contains("SIMULATED") && shown.contains("61440 txs"), "{shown}");
            assert!(shown.contains("vm") && shown.contains("mine"), "{shown}");
        }
    }

    #[test]
    fn a_phase_is_an_event_once() {
        let slot = SlotView { slot: 3, phase: "proving".into(), ..SlotView::default() };
        let mut state = Snapshot { at_ms: 1, slots: vec![slot], ..Snapshot::default() };
        let mut events = Vec::new();
        note(&state, &mut events);
        state.at_ms = 2;
        note(&state, &mut events);
        state.slots[0].phase = "settled".into();
        note(&state, &mut events);
        let shown: Vec<(u64, &str)> =
            events.iter().map(|event| (event.at_ms, event.text.as_str())).collect();
        assert_eq!(shown, [(2, "slot 3 settled"), (1, "slot 3 proving")]);
        (state.at_ms, state.slots[0].slot) = (1, 0);
        note(&state, &mut events);
        let shown: Vec<&str> = events.iter().map(|event| event.text.as_str()).collect();
        assert_eq!(shown, ["slot 0 settled", "another simulated world begins"]);
    }
}
