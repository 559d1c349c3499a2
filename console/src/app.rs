//! The loop: one message after another into the model, and a frame when something visible changed.

use std::{io, time::Duration};

use console_core::{Effect, LinkMsg, Model, Msg, update};
use crossterm::event::Event;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc::{self, error::TryRecvError},
    time::sleep_until,
};

use crate::{
    clock::Clock,
    link::Link,
    term::{
        input,
        output::{self, Output},
        restore,
    },
};

/// New data is drawn at most ten times a second; keys at once.
const DRAW_EVERY_MS: u64 = 100;
/// And once a second while nobody looks.
const DRAW_UNSEEN_MS: u64 = 1_000;
/// Messages taken in before a frame: more come with the next.
const MESSAGES_MAX: usize = 256;
/// With nothing to wait for, the loop sleeps this long.
const IDLE: Duration = Duration::from_secs(3_600);

/// How the console ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// The operator left.
    Left,
    /// The operator left and wants to keep the last frame.
    LeftWithFrame,
    /// A signal with this number.
    Signal(u8),
    /// The terminal is gone.
    NoTerminal,
}

/// Signals that end the console, and the one that wakes it.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    resume: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            resume: signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?,
        })
    }

    async fn next(&mut self) -> Occasion {
        tokio::select! {
            _ = self.hangup.recv() => Occasion::End(End::Signal(1)),
            _ = self.interrupt.recv() => Occasion::End(End::Signal(2)),
            _ = self.quit.recv() => Occasion::End(End::Signal(3)),
            _ = self.terminate.recv() => Occasion::End(End::Signal(15)),
            _ = self.resume.recv() => Occasion::Continued,
        }
    }
}

/// What woke the loop.
enum Occasion {
    End(End),
    Continued,
    Input(Event),
    Link(LinkMsg),
    Time,
}

/// The console at its terminal.
pub(crate) struct App {
    model: Model,
    link: Link,
    output: Output,
    clock: Clock,
    events: mpsc::Receiver<Event>,
    signals: Signals,
    drawn_ms: u64,
    urgent: bool,
    resumed_ms: u64,
}

impl App {
    /// Needs a terminal that was entered.
    ///
    /// # Errors
    /// If signals cannot be watched.
    pub(crate) fn new(model: Model, link: Link, output: Output, clock: Clock) -> io::Result<Self> {
        Ok(Self {
            model,
            link,
            output,
            clock,
            events: input::start(),
            signals: Signals::new()?,
            drawn_ms: 0,
            urgent: true,
            resumed_ms: 0,
        })
    }

    /// Runs until the end; the last model is for the words after it.
    ///
    /// # Errors
    /// If the terminal cannot be drawn on or entered again.
    pub(crate) async fn run(mut self) -> io::Result<(End, Model)> {
        let end = loop {
            self.draw_if_due()?;
            let occasion = self.next().await;
            if let Some(end) = self.take_in(occasion)? {
                break end;
            }
            if let Some(end) = self.take_in_waiting()? {
                break end;
            }
        };
        self.output.finish();
        Ok((end, self.model))
    }

    fn draw_if_due(&mut self) -> io::Result<()> {
        let due = self.urgent || self.draw_at_ms() <= self.clock.now_ms();
        if self.model.dirty && due && !self.output.is_busy() {
            self.measure();
            self.output.draw(&self.model)?;
            self.model.dirty = false;
            self.urgent = false;
            self.drawn_ms = self.clock.now_ms();
        }
        Ok(())
    }

    /// A change of size before its signal was watched for is noticed with the next frame.
    fn measure(&mut self) {
        let size = crossterm::terminal::size().ok().filter(|size| *size != self.model.size);
        if let Some((columns, rows)) = size {
            update(&mut self.model, Msg::Resize(columns, rows));
        }
    }

    const fn draw_at_ms(&self) -> u64 {
        let every = if self.model.focused { DRAW_EVERY_MS } else { DRAW_UNSEEN_MS };
        self.drawn_ms + every
    }

    async fn next(&mut self) -> Occasion {
        let draw_ms = (self.model.dirty && !self.output.is_busy()).then(|| self.draw_at_ms());
        let wake_ms = [draw_ms, self.model.next_wake_ms()].into_iter().flatten().min();
        let wake =
            wake_ms.map_or_else(|| tokio::time::Instant::now() + IDLE, |at| self.clock.instant(at));
        tokio::select! {
            biased;
            occasion = self.signals.next() => occasion,
            event = self.events.recv() => {
                event.map_or(Occasion::End(End::NoTerminal), Occasion::Input)
            }
            message = self.link.messages.recv() => {
                message.map_or(Occasion::Time, Occasion::Link)
            }
            () = self.output.free.notified() => Occasion::Time,
            () = sleep_until(wake) => Occasion::Time,
        }
    }

    /// What is waiting already comes into the same frame.
    fn take_in_waiting(&mut self) -> io::Result<Option<End>> {
        for _ in 0..MESSAGES_MAX {
            let occasion = match (self.events.try_recv(), self.link.messages.is_empty()) {
                (Ok(event), _) => Occasion::Input(event),
                (Err(TryRecvError::Disconnected), _) => Occasion::End(End::NoTerminal),
                (Err(TryRecvError::Empty), true) => return Ok(None),
                (Err(TryRecvError::Empty), false) => match self.link.messages.try_recv() {
                    Ok(message) => Occasion::Link(message),
                    Err(_) => return Ok(None),
                },
            };
            if let Some(end) = self.take_in(occasion)? {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    fn take_in(&mut self, occasion: Occasion) -> io::Result<Option<End>> {
        update(&mut self.model, Msg::Clock(self.clock.now_ms()));
        let message = match occasion {
            Occasion::End(end) => return Ok(Some(end)),
            Occasion::Time => return Ok(None),
            Occasion::Continued => return self.continued(),
            Occasion::Link(message) => Msg::Link(message),
            Occasion::Input(event) => match input::message(&event) {
                Some(message) => {
                    self.urgent = true;
                    message
                }
                None => return Ok(None),
            },
        };
        for effect in update(&mut self.model, message) {
            if let Some(end) = self.perform(effect)? {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    fn perform(&mut self, effect: Effect) -> io::Result<Option<End>> {
        match effect {
            Effect::Quit => return Ok(Some(End::Left)),
            Effect::QuitKeepFrame => return Ok(Some(End::LeftWithFrame)),
            Effect::Suspend => self.suspend()?,
            Effect::Redraw => self.output.redraw(),
            Effect::Reconnect => self.link.retry_now(),
            Effect::Send(request) => self.link.ask(request),
            Effect::Copy(text) => {
                self.output.finish();
                output::copy(&text)?;
            }
        }
        Ok(None)
    }

    fn suspend(&mut self) -> io::Result<()> {
        self.output.finish();
        restore::suspend()?;
        self.back();
        Ok(())
    }

    /// Continued by somebody else's signal: the shell has set the terminal as it likes it.
    fn continued(&mut self) -> io::Result<Option<End>> {
        // The end of our own suspension also arrives as a signal.
        if self.clock.now_ms().saturating_sub(self.resumed_ms) > 1_000 {
            restore::leave();
            restore::enter()?;
            self.back();
        }
        Ok(None)
    }

    /// After a stop everything may be old: the agent is asked, the screen drawn anew.
    fn back(&mut self) {
        self.resumed_ms = self.clock.now_ms();
        update(&mut self.model, Msg::Clock(self.resumed_ms));
        update(&mut self.model, Msg::Resumed);
        self.output.redraw();
        self.link.ask(wire::control::Request::Status);
        self.urgent = true;
    }
}
