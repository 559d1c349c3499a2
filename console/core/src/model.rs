//! What the console knows: the agent's last snapshot, how old it is, and where the operator looks.

use wire::control::{SCHEMA, SlotView, Snapshot};

use crate::tree::{NodeKey, ProofTree, TreeIndex};

/// A message younger than this is live: an agent with nothing to do reports every five seconds.
pub const LAG_MS: u64 = 6_000;
/// Older than this, nothing on the screen counts as true any more.
pub const STALE_MS: u64 = 10_000;
/// How long a message at the bottom stays.
pub const TOAST_MS: u64 = 5_000;
/// The second Ctrl-C within this time leaves.
pub const INTERRUPT_MS: u64 = 2_000;
/// Keys typed before a question stood on the screen for this long were not meant for it.
pub const DIALOG_GUARD_MS: u64 = 300;
/// How often countdowns move while nobody looks.
pub const UNFOCUSED_MS: u64 = 5_000;
/// L1 counts as silent after five blocks of twelve seconds.
pub const L1_OLD_MS: u64 = 60_000;

/// A screen, in the order of its key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Screen {
    /// `1`: everything at a glance.
    #[default]
    Overview,
    /// `2`: the proof tree.
    Tree,
    /// `4`: money earned.
    Earnings,
    /// `5`: bond and registration.
    Stake,
}

impl Screen {
    /// All screens in the order of the tabs.
    pub const ALL: [Self; 4] = [Self::Overview, Self::Tree, Self::Earnings, Self::Stake];

    /// Name in the tabs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Tree => "Tree",
            Self::Earnings => "Earnings",
            Self::Stake => "Stake",
        }
    }

    /// Key in the tabs.
    pub const fn key(self) -> char {
        match self {
            Self::Overview => '1',
            Self::Tree => '2',
            Self::Earnings => '4',
            Self::Stake => '5',
        }
    }
}

/// What lies over the screen.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Overlay {
    /// Nothing.
    #[default]
    None,
    /// The commands; `all` of them or this screen's, from this row on.
    Help {
        /// Every screen's commands.
        all: bool,
        /// First row shown.
        top: usize,
    },
    /// The question before a claim.
    Claim(ClaimQuestion),
}

/// The question before a claim. Its numbers do not move while it is asked.
#[derive(Clone, PartialEq, Debug)]
pub struct ClaimQuestion {
    /// When it was asked.
    pub asked_ms: u64,
    /// Base units that can be claimed.
    pub claimable: String,
    /// Who is paid.
    pub payee: String,
    /// Settled slots with something to claim.
    pub slots: Vec<u64>,
    /// What Enter does.
    pub focus: Choice,
}

/// A button of a question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    /// Do nothing.
    Cancel,
    /// Do it.
    Go,
}

/// The connection to the agent.
#[derive(Clone, PartialEq, Debug)]
pub enum Link {
    /// No answer yet.
    Connecting,
    /// Open.
    Up,
    /// Closed.
    Down {
        /// Since when.
        since_ms: u64,
        /// Why.
        reason: String,
        /// Tries so far.
        attempt: u32,
        /// When the next one is.
        retry_ms: u64,
    },
}

/// How far the snapshot can be trusted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Freshness {
    /// There is none yet.
    Never,
    /// The agent spoke just now.
    Live,
    /// It has been quiet for this many milliseconds.
    Lagging(u64),
    /// It has been quiet for so long that nothing counts as true.
    Stale(u64),
    /// The connection is closed since this many milliseconds.
    Lost(u64),
}

/// What is said at the bottom for a while.
#[derive(Clone, PartialEq, Debug)]
pub struct Toast {
    /// The sentence.
    pub text: String,
    /// Whether something went wrong.
    pub tone: Tone,
    /// When it disappears.
    pub until_ms: u64,
}

/// Whether a message is good or bad news.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tone {
    /// As asked.
    Plain,
    /// Not as asked.
    Bad,
}

/// Updates that wait while the screen is paused.
#[derive(Clone, PartialEq, Debug)]
pub struct Paused {
    /// Since when.
    pub since_ms: u64,
    /// The newest state.
    pub waiting: Option<Box<Snapshot>>,
    /// How many states came.
    pub count: u64,
}

/// How the proof tree is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TreeForm {
    /// A list up to sixteen txs, a ladder above.
    #[default]
    Auto,
    /// Every node a row.
    List,
    /// Every level a row.
    Ladder,
    /// Every level a row of numbers.
    Levels,
}

/// Where the operator looks. Rows are remembered by what they show, never by their place.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Cursor {
    /// Slot of the tree, the newest if none.
    pub tree_slot: Option<u64>,
    /// Node of the tree's list.
    pub node: Option<NodeKey>,
    /// Tx under the ladder's cursor.
    pub leaf: u32,
    /// Slot of the earnings.
    pub earning: Option<u64>,
    /// First event of the overview.
    pub event: usize,
}

/// What the start decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Access {
    /// Commands are sent.
    #[default]
    Operate,
    /// The console only looks.
    ReadOnly,
}

/// Everything the screens are drawn from.
#[derive(Clone, PartialEq, Debug)]
pub struct Model {
    /// The console's Unix milliseconds.
    pub now_ms: u64,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// What is connected to, for a person.
    pub target: String,
    /// Whether commands may be sent.
    pub access: Access,
    /// The connection.
    pub link: Link,
    /// The agent's last state, cleaned.
    pub snapshot: Option<Box<Snapshot>>,
    /// Indices of its slots' trees, in the order of its slots.
    pub trees: Vec<TreeIndex>,
    /// When that state arrived.
    pub received_ms: u64,
    /// When the agent last said anything.
    pub heard_ms: u64,
    /// Since when this console has been waiting for a first word.
    pub started_ms: u64,
    /// Set while updates are held back.
    pub paused: Option<Paused>,
    /// The screen.
    pub screen: Screen,
    /// What lies over it.
    pub overlay: Overlay,
    /// The message at the bottom.
    pub toast: Option<Toast>,
    /// Where the operator looks.
    pub cursor: Cursor,
    /// How the tree is drawn.
    pub tree_form: TreeForm,
    /// Whether amounts and addresses are hidden.
    pub privacy: bool,
    /// Whether the terminal's window has the keyboard.
    pub focused: bool,
    /// When Ctrl-C was pressed, if it was.
    pub interrupted_ms: Option<u64>,
    /// Whether the screen no longer shows the model.
    pub dirty: bool,
}

impl Model {
    /// A console that has heard nothing yet.
    pub fn new(now_ms: u64, target: &str, access: Access) -> Self {
        Self {
            now_ms,
            size: (80, 24),
            target: target.to_owned(),
            access,
            link: Link::Connecting,
            snapshot: None,
            trees: Vec::new(),
            received_ms: now_ms,
            heard_ms: now_ms,
            started_ms: now_ms,
            paused: None,
            screen: Screen::default(),
            overlay: Overlay::None,
            toast: None,
            cursor: Cursor::default(),
            tree_form: TreeForm::default(),
            privacy: false,
            focused: true,
            interrupted_ms: None,
            dirty: true,
        }
    }

    /// How far the snapshot can be trusted now.
    pub fn freshness(&self) -> Freshness {
        if self.snapshot.is_none() {
            return Freshness::Never;
        }
        if let Link::Down { since_ms, .. } = &self.link {
            return Freshness::Lost(self.now_ms.saturating_sub(*since_ms));
        }
        match self.now_ms.saturating_sub(self.heard_ms) {
            age if age < LAG_MS => Freshness::Live,
            age if age < STALE_MS => Freshness::Lagging(age),
            age => Freshness::Stale(age),
        }
    }

    /// The agent's clock: it stands still while the screen shows the past.
    pub fn agent_now_ms(&self) -> u64 {
        let Some(snapshot) = &self.snapshot else { return self.now_ms };
        let running = matches!(self.freshness(), Freshness::Live | Freshness::Lagging(_));
        if running && self.paused.is_none() {
            snapshot.at_ms.saturating_add(self.now_ms.saturating_sub(self.received_ms))
        } else {
            snapshot.at_ms
        }
    }

    /// When the shown state was true, if it may no longer be.
    pub fn as_of_ms(&self) -> Option<u64> {
        let snapshot = self.snapshot.as_ref()?;
        let past = matches!(self.freshness(), Freshness::Stale(_) | Freshness::Lost(_));
        (past || self.paused.is_some()).then_some(snapshot.at_ms)
    }

    /// Whether the agent speaks a newer language, of which this console knows only a part.
    pub fn is_newer_agent(&self) -> bool {
        self.snapshot.as_ref().is_some_and(|snapshot| snapshot.schema > SCHEMA)
    }

    /// The slot that the tree shows.
    pub fn tree_slot(&self) -> Option<&SlotView> {
        let snapshot = self.snapshot.as_ref()?;
        let chosen = self.cursor.tree_slot;
        let has_tree = |slot: &&SlotView| !slot.nodes.is_empty();
        let slots = &snapshot.slots;
        slots
            .iter()
            .find(|slot| Some(slot.slot) == chosen)
            .or_else(|| current_slot(snapshot).filter(has_tree))
            .or_else(|| slots.iter().rev().find(has_tree))
            .or_else(|| current_slot(snapshot))
    }

    /// The tree of one of the snapshot's slots.
    pub fn tree_of<'a>(&'a self, slot: &'a SlotView) -> ProofTree<'a> {
        /// Of a slot that is not of the snapshot.
        static NONE: TreeIndex = TreeIndex::EMPTY;
        let slots = self.snapshot.iter().flat_map(|snapshot| &snapshot.slots);
        let of_slot = slots.zip(&self.trees).find(|(it, _)| it.slot == slot.slot);
        ProofTree::new(of_slot.map_or(&NONE, |(_, tree)| tree), &slot.nodes)
    }

    /// The instant at which a visible text changes by itself, if one does.
    pub fn next_wake_ms(&self) -> Option<u64> {
        let exact = [self.toast.as_ref().map(|toast| toast.until_ms), self.threshold_ms()];
        let tick = self.next_tick_ms();
        let tick = if self.focused { tick } else { tick.map(|_| self.now_ms + UNFOCUSED_MS) };
        exact.into_iter().chain([tick]).flatten().filter(|at| *at > self.now_ms).min()
    }

    /// When silence next gets another name.
    fn threshold_ms(&self) -> Option<u64> {
        match self.freshness() {
            Freshness::Live => Some(self.heard_ms + LAG_MS),
            Freshness::Lagging(_) => Some(self.heard_ms + STALE_MS),
            Freshness::Never | Freshness::Stale(_) | Freshness::Lost(_) => None,
        }
    }

    /// The next full second of what counts seconds on the screen.
    fn next_tick_ms(&self) -> Option<u64> {
        let after = |start: u64| self.now_ms + 1_000 - self.now_ms.saturating_sub(start) % 1_000;
        let link = match (&self.link, self.freshness()) {
            (Link::Down { since_ms, .. }, _) => Some(after(*since_ms)),
            (Link::Connecting, _) => Some(after(self.started_ms)),
            (Link::Up, Freshness::Lagging(_) | Freshness::Stale(_)) => Some(after(self.heard_ms)),
            (Link::Up, _) => None,
        };
        let paused = self.paused.as_ref().map(|paused| after(paused.since_ms));
        let agent_now = self.agent_now_ms();
        let counting = self.counts_seconds().then(|| self.now_ms + 1_000 - agent_now % 1_000);
        [link, paused, counting].into_iter().flatten().min()
    }

    fn counts_seconds(&self) -> bool {
        let Some(snapshot) = &self.snapshot else { return false };
        if self.as_of_ms().is_some() {
            return false;
        }
        let phase = current_slot(snapshot)
            .is_some_and(|slot| slot.phases.iter().any(|phase| phase.state == "now"));
        let lane = snapshot.lanes.iter().any(|lane| lane.state == "proving");
        phase || lane
    }
}

/// The slot in work. Slots overlap: the oldest one that is being proved has the nearest deadline;
/// without one it is the newest that has not ended, else the newest.
pub fn current_slot(snapshot: &Snapshot) -> Option<&SlotView> {
    let proved = |slot: &&SlotView| matches!(slot.phase.as_str(), "proving" | "settling");
    let open = |slot: &&SlotView| !matches!(slot.phase.as_str(), "settled" | "lapsed" | "refused");
    let slots = &snapshot.slots;
    let current = slots.iter().find(proved).or_else(|| slots.iter().rev().find(open));
    current.or_else(|| slots.last())
}
