//! Without a terminal: the state in a few lines, or one frame of the very same screens as text.

use std::{io::Write, str::FromStr};

use anyhow::Context;
use clap::ValueEnum;
use console_core::{Access, LinkMsg, Look, Model, Msg, Screen, exit_code, frame, summary, update};

use crate::{
    clock::Clock,
    demo,
    link::{self, socket::Target},
};

/// A screen by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Name {
    Overview,
    Tree,
    Earnings,
    Stake,
}

impl Name {
    const fn screen(self) -> Screen {
        match self {
            Self::Overview => Screen::Overview,
            Self::Tree => Screen::Tree,
            Self::Earnings => Screen::Earnings,
            Self::Stake => Screen::Stake,
        }
    }
}

/// Columns and rows: `120x40`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Size {
    columns: u16,
    rows: u16,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers = text.split_once('x').and_then(|(columns, rows)| {
            let side = |text: &str| text.parse().ok().filter(|side| (1..=1000).contains(side));
            Some(Self { columns: side(columns)?, rows: side(rows)? })
        });
        numbers.ok_or_else(|| "columns x rows, 1x1 to 1000x1000, such as 120x40".to_owned())
    }
}

/// Where the state comes from.
pub(crate) enum Origin {
    /// An agent.
    Agent(Target),
    /// A simulated world with blocks of so many txs.
    World(u16),
}

async fn heard(origin: &Origin, access: Access) -> Model {
    let clock = Clock::start();
    let (name, answer) = match origin {
        Origin::Agent(target) => (target.to_string(), link::snapshot(target).await),
        Origin::World(txs) => (demo::NAME.to_owned(), Ok(Box::new(demo::still(*txs)))),
    };
    let mut model = Model::new(clock.now_ms(), &name, access);
    update(&mut model, Msg::Clock(clock.now_ms()));
    let message = match answer {
        Ok(snapshot) => LinkMsg::Snapshot(snapshot),
        Err(error) => {
            LinkMsg::Lost { reason: error.to_string(), attempt: 1, retry_ms: clock.now_ms() }
        }
    };
    update(&mut model, Msg::Link(message));
    model
}

/// Prints the state and returns its exit code.
///
/// # Errors
/// If the output is closed.
pub(crate) async fn status(origin: &Origin) -> anyhow::Result<u8> {
    let model = heard(origin, Access::ReadOnly).await;
    let mut out = std::io::stdout().lock();
    for line in summary(&model) {
        writeln!(out, "{line}").context("cannot write the status")?;
    }
    Ok(exit_code(&model))
}

/// Prints one frame and returns the exit code of the state.
///
/// # Errors
/// If the output is closed.
pub(crate) async fn screen(
    origin: &Origin,
    name: Name,
    size: Size,
    look: Look,
) -> anyhow::Result<u8> {
    let mut model = heard(origin, Access::Operate).await;
    model.screen = name.screen();
    model.size = (size.columns, size.rows);
    let mut out = std::io::stdout().lock();
    write!(out, "{}", frame(&model, look)).context("cannot write the frame")?;
    Ok(exit_code(&model))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_columns_and_rows() {
        assert_eq!("120x40".parse(), Ok(Size { columns: 120, rows: 40 }));
        assert_eq!("1x1".parse(), Ok(Size { columns: 1, rows: 1 }));
        for bad in ["", "120", "120x", "x40", "0x40", "120x4000", "-1x5", "120X40", "65537x1"] {
            assert!(bad.parse::<Size>().is_err(), "{bad:?}");
        }
    }
}
