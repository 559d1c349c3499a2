//! The nouns: identities, places in the proof tree, credit records.
//!
//! Every id is a newtype, so that a slot is never passed where an epoch is meant. Ids of content
//! (`BlockId`, `TaskId`, `StatementId`, `BlobId`) survive reorgs and restarts because they name
//! what is said, not when or by whom.

use core::fmt;

/// A field word: 32 bytes big-endian, below the order of BN254's scalar field (checked where it
/// enters the program, not here).
pub type Word = [u8; 32];

macro_rules! bytes_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; $len]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("0x")?;
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident, $int:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

bytes_id!(
    /// A keccak-256 hash that L1 or a signature sees.
    Hash, 32
);
bytes_id!(
    /// keccak-256 of a block's revealed data (R3.1).
    BlockId, 32
);
bytes_id!(
    /// Names a task: what is to be proved, without payee and credit (R3.2).
    TaskId, 32
);
bytes_id!(
    /// Names what one proof says: task, payee, credit (R3.2).
    StatementId, 32
);
bytes_id!(
    /// BLAKE3 of a blob's bytes (a witness or a proof blob).
    BlobId, 32
);
bytes_id!(
    /// A 20-byte L1 address: a payee, an operator, a contract.
    Address, 20
);
number_id!(
    /// The L1-timed position of one proposal.
    Slot, u64
);
number_id!(
    /// Milliseconds of Unix time, as the caller reads them.
    Millis, u64
);
number_id!(
    /// Index of a prover in the L1 registry.
    ProverId, u32
);
number_id!(
    /// Index of a sequencer in the L1 registry.
    SequencerId, u32
);

impl Millis {
    /// This much later; far beyond the end of time stays there.
    #[must_use]
    pub const fn after(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
    /// Milliseconds since `earlier`; 0 if that is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A bonded unit of capacity that makes one proof at a time (R1.2): prover index << 16 | number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct LaneId(pub u64);

impl LaneId {
    /// The lane `number` of `prover`.
    #[must_use]
    pub const fn new(prover: ProverId, number: u16) -> Self {
        Self((prover.0 as u64) << 16 | number as u64)
    }
    /// The prover that bonded this lane.
    #[must_use]
    pub const fn prover(self) -> ProverId {
        ProverId((self.0 >> 16) as u32)
    }
    /// The lane's number within its prover, from 0.
    #[must_use]
    pub const fn number(self) -> u16 {
        (self.0 & 0xffff) as u16
    }
}

impl fmt::Display for LaneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.prover(), self.number())
    }
}

/// Which kinds a lane can prove (R1.1). A `Vm` lane may also do rollup work.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Class {
    /// Kernels, bases, merges, root.
    Rollup,
    /// Everything a rollup lane does, and `vm`.
    Vm,
}

/// The six circuits. The number is part of every hashed node and statement.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Kind {
    /// Made by the client: knows the account's secret, binds the calls.
    Tx = 0,
    /// One public call.
    Vm = 1,
    /// The next call of a tx was run.
    Kernel = 2,
    /// A whole tx applied to the state tree.
    Base = 3,
    /// Two neighbours joined.
    Merge = 4,
    /// Final, for L1.
    Root = 5,
}

impl Kind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Tx, Self::Vm, Self::Kernel, Self::Base, Self::Merge, Self::Root];

    /// The kind with this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Tx),
            1 => Some(Self::Vm),
            2 => Some(Self::Kernel),
            3 => Some(Self::Base),
            4 => Some(Self::Merge),
            5 => Some(Self::Root),
            _ => None,
        }
    }
    /// The class that may prove this kind; `None` for `Tx`, which clients make.
    #[must_use]
    pub const fn class(self) -> Option<Class> {
        match self {
            Self::Tx => None,
            Self::Vm => Some(Class::Vm),
            Self::Kernel | Self::Base | Self::Merge | Self::Root => Some(Class::Rollup),
        }
    }
    /// Lower-case name, as in commands, logs and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tx => "tx",
            Self::Vm => "vm",
            Self::Kernel => "kernel",
            Self::Base => "base",
            Self::Merge => "merge",
            Self::Root => "root",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A place in the proof tree of one block (R3.1). Bases are level 0; merge (l, i) joins what
/// stands at 2i and 2i+1 of level l-1; an odd last one passes up unchanged. `tx`, `vm`, `kernel`
/// and `base` carry the tx's index; `vm` and `kernel` also the call's (from 0).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Node {
    /// Which circuit.
    pub kind: Kind,
    /// Merge level, from 1; 0 for everything else.
    pub level: u8,
    /// Position within the level, or the tx's index.
    pub index: u32,
    /// The call's index within its tx.
    pub call: u16,
}

impl Node {
    /// The eight bytes that are hashed: kind ‖ level ‖ index ‖ call, big-endian.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 8] {
        let i = self.index.to_be_bytes();
        let c = self.call.to_be_bytes();
        [self.kind as u8, self.level, i[0], i[1], i[2], i[3], c[0], c[1]]
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Tx | Kind::Base => write!(f, "{}/{}", self.kind, self.index),
            Kind::Vm | Kind::Kernel => write!(f, "{}/{}.{}", self.kind, self.index, self.call),
            Kind::Merge => write!(f, "merge/{}.{}", self.level, self.index),
            Kind::Root => f.write_str("root"),
        }
    }
}

/// A credit record (R8): who made a proof and what is below it. Its value as a public word is
/// Poseidon H2(P(9; meta, payee), H2(left, right)), computed outside the core.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Credit {
    /// The circuit's number, or 6 for a collapsed, uniform record.
    pub kind: u8,
    /// Units of this proof alone (of everything below when collapsed).
    pub own: u64,
    /// Units of this proof and everything below.
    pub total: u64,
    /// Who is paid.
    pub payee: Address,
    /// Credit value of the tree child, 0 if none.
    pub left: Word,
    /// Credit value of the vm or right child, 0 if none.
    pub right: Word,
}

impl Credit {
    /// The `kind` of a record that stands for a whole subtree by one payee.
    pub const UNIFORM: u8 = 6;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_its_provers_index_and_a_number() {
        for (prover, number) in [(0, 0), (1, 0), (7, 3), (u32::MAX, u16::MAX)] {
            let lane = LaneId::new(ProverId(prover), number);
            assert_eq!((lane.prover(), lane.number()), (ProverId(prover), number));
        }
        assert_eq!(LaneId::new(ProverId(2), 5).0, 2 << 16 | 5);
        assert_eq!(LaneId::new(ProverId(2), 5).to_string(), "2.5");
    }

    #[test]
    fn kinds_keep_their_numbers_names_and_classes() {
        for (number, kind) in (0u8..).zip(Kind::ALL) {
            assert_eq!((kind as u8, Kind::from_number(number)), (number, Some(kind)));
        }
        assert_eq!(Kind::from_number(6), None);
        let names: Vec<&str> = Kind::ALL.iter().map(|it| it.name()).collect();
        assert_eq!(names, ["tx", "vm", "kernel", "base", "merge", "root"]);
        assert_eq!(Kind::Tx.class(), None, "clients make it");
        assert_eq!(Kind::Vm.class(), Some(Class::Vm));
        assert_eq!(Kind::Root.class(), Some(Class::Rollup));
    }

    #[test]
    fn a_nodes_bytes_are_kind_level_index_call() {
        let node = Node { kind: Kind::Merge, level: 2, index: 0x0102_0304, call: 0x0506 };
        assert_eq!(node.to_bytes(), [4, 2, 1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn nodes_read_as_on_the_screen() {
        let name = |kind, level, index, call| Node { kind, level, index, call }.to_string();
        assert_eq!(name(Kind::Tx, 0, 3, 0), "tx/3");
        assert_eq!(name(Kind::Vm, 0, 3, 1), "vm/3.1");
        assert_eq!(name(Kind::Kernel, 0, 0, 2), "kernel/0.2");
        assert_eq!(name(Kind::Base, 0, 1, 0), "base/1");
        assert_eq!(name(Kind::Merge, 1, 0, 0), "merge/1.0");
        assert_eq!(name(Kind::Root, 0, 0, 0), "root");
    }

    #[test]
    fn ids_read_as_hex_with_a_prefix() {
        let mut id = [0; 32];
        id[0] = 0xab;
        id[31] = 1;
        let text = TaskId(id).to_string();
        assert!(text.starts_with("0xab00") && text.ends_with("0001") && text.len() == 66, "{text}");
        assert_eq!(Address([0x11; 20]).to_string().len(), 42);
        assert_eq!(format!("{:?}", Slot(7)), "Slot(7)");
    }

    #[test]
    fn instants_do_not_wrap() {
        assert_eq!(Millis(5).after(u64::MAX), Millis(u64::MAX));
        assert_eq!((Millis(5).since(Millis(9)), Millis(9).since(Millis(5))), (0, 4));
    }
}
