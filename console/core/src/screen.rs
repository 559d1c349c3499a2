//! How the model looks: a frame around one of the screens, for every size of terminal.

use ratatui_core::{buffer::Buffer, layout::Rect, text::Line};
use wire::control::{NodeView, SlotView, Snapshot};

pub use plain::{exit_code, frame, summary};

use crate::{
    glyphs::Glyphs,
    model::{Model, Overlay, Screen, TreeForm},
    text,
    theme::{Role, Theme},
    tree::RowForm,
    widget::{Strip, rule},
};

mod claim;
mod earnings;
mod frame;
mod help;
mod one_line;
mod overview;
mod plain;
mod stake;
mod tree;

/// Columns beside the ladder, which its cursor has to know.
pub(crate) const LADDER_LABEL: u16 = 20;
/// Txs up to which a tree is a list and not a ladder.
const LIST_TXS_MAX: u16 = 16;
/// Nodes of a tree that can be a list: with more, a frame and a key take longer than an eye blinks.
const LIST_NODES_MAX: usize = 8_192;

/// What a terminal can show.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Look {
    /// Colours.
    pub theme: Theme,
    /// Marks.
    pub glyphs: Glyphs,
}

/// How much room there is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Size {
    /// Below 40 x 8: the most important line.
    Line,
    /// From 40 x 8: what needs the operator.
    Tiny,
    /// From 80 x 24: one column.
    Small,
    /// From 100 x 30: two columns.
    Medium,
    /// From 120 x 36: everything.
    Large,
}

impl Size {
    pub(crate) const fn of(area: Rect) -> Self {
        match (area.width, area.height) {
            (120.., 36..) => Self::Large,
            (100.., 30..) => Self::Medium,
            (80.., 24..) => Self::Small,
            (40.., 8..) => Self::Tiny,
            (_, _) => Self::Line,
        }
    }
}

/// How the tree of a slot is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TreeShape {
    /// A row per node.
    List(RowForm),
    /// A row per level.
    Ladder,
    /// A row of numbers per level.
    Levels,
}

/// Whether the slot's tree has too many nodes for a list.
pub(crate) const fn is_large(slot: &SlotView) -> bool {
    slot.nodes.len() > LIST_NODES_MAX
}

/// The form of the tree, which decides what its keys move.
pub(crate) fn tree_shape(model: &Model, slot: &SlotView) -> TreeShape {
    let ladder = match model.tree_form {
        TreeForm::Auto => slot.txs > LIST_TXS_MAX,
        TreeForm::List => is_large(slot),
        TreeForm::Ladder => true,
        TreeForm::Levels => return TreeShape::Levels,
    };
    if ladder {
        return TreeShape::Ladder;
    }
    let room = usize::from(model.size.1).saturating_sub(tree::ROWS_AROUND);
    TreeShape::List(if slot.nodes.len() <= room { RowForm::Full } else { RowForm::Folded })
}

/// Rows of a screen's help.
pub(crate) fn help_rows(screen: Screen) -> usize {
    help::entries(screen, help::Scope::Screen).count()
}

/// What a screen is drawn from.
pub(crate) struct View<'a> {
    pub(crate) model: &'a Model,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) theme: Theme,
    /// The agent's clock.
    pub(crate) now_ms: u64,
}

impl View<'_> {
    /// A row to fill.
    pub(crate) const fn strip(&self) -> Strip {
        Strip::new(self.theme)
    }

    /// Base units of the token as an amount; what is unknown or hidden says so.
    pub(crate) fn amount(&self, units: &str) -> String {
        self.money(units, self.snapshot.earnings.decimals)
    }

    /// Wei as ether.
    pub(crate) fn ether(&self, wei: &str) -> String {
        self.money(wei, 18)
    }

    fn money(&self, units: &str, decimals: u8) -> String {
        if self.model.privacy {
            return "***".to_owned();
        }
        text::base_units(units)
            .map_or_else(|| "?".to_owned(), |units| text::amount(units, decimals))
    }

    /// An address, shortened, or hidden.
    pub(crate) fn address(&self, address: &str) -> String {
        match (self.model.privacy, address.is_empty()) {
            (true, _) => "***".to_owned(),
            (false, true) => "?".to_owned(),
            (false, false) => text::shorten(address),
        }
    }

    /// Name of the token.
    pub(crate) fn token(&self) -> &str {
        if self.snapshot.earnings.token.is_empty() {
            "units"
        } else {
            &self.snapshot.earnings.token
        }
    }

    /// Who makes a proof: `you`, `prover 2`, the tx's `client` or nobody.
    pub(crate) fn maker(&self, node: &NodeView) -> (Role, String) {
        match (node.mine, node.prover) {
            (true, _) => (Role::Mine, "you".to_owned()),
            (false, Some(prover)) => (Role::Text, format!("prover {prover}")),
            (false, None) if !node.is_task() => (Role::Muted, "client".to_owned()),
            (false, None) => (Role::Muted, "-".to_owned()),
        }
    }
}

/// Draws one frame into the area.
pub fn draw(model: &Model, look: Look, area: Rect, buffer: &mut Buffer) {
    let area = area.intersection(buffer.area);
    let empty = Snapshot::default();
    let snapshot = model.snapshot.as_deref().unwrap_or(&empty);
    let view = View { model, snapshot, theme: look.theme, now_ms: model.agent_now_ms() };
    match Size::of(area) {
        Size::Line => one_line::draw(&view, area, buffer),
        size @ (Size::Tiny | Size::Small | Size::Medium | Size::Large) => {
            framed(&view, size, area, buffer);
        }
    }
    look.glyphs.apply(buffer);
}

fn framed(view: &View<'_>, size: Size, area: Rect, buffer: &mut Buffer) {
    let body = frame::draw(view, size, area, buffer);
    match &view.model.overlay {
        Overlay::Help { all, top } => help::draw(view, (*all, *top), body, buffer),
        Overlay::None | Overlay::Claim(_) if view.model.snapshot.is_none() => {
            rule::rows(buffer, body, &waiting(view));
        }
        Overlay::None | Overlay::Claim(_) => screen(view, size, body, buffer),
    }
    if let Overlay::Claim(question) = &view.model.overlay {
        claim::draw(view, question, body, buffer);
    }
}

fn screen(view: &View<'_>, size: Size, body: Rect, buffer: &mut Buffer) {
    match view.model.screen {
        Screen::Overview => overview::draw(view, size, body, buffer),
        Screen::Tree => tree::draw(view, size, body, buffer),
        Screen::Earnings => earnings::draw(view, size, body, buffer),
        Screen::Stake => stake::draw(view, size, body, buffer),
    }
}

/// Before the agent's first word.
fn waiting(view: &View<'_>) -> Vec<Line<'static>> {
    vec![
        Line::default(),
        view.strip().text(" Nothing is known yet: the agent has not answered.").line(),
        Line::default(),
        view.strip().muted(" start one:  ").put(Role::Key, "coppice-agent run").line(),
        view.strip().muted(" or a whole devnet:  ").put(Role::Key, "coppice-agent devnet").line(),
    ]
}
