//! The state: one sparse Poseidon tree of depth 28, and the witness one tx needs of it.
//!
//! A key stands at the position its low 28 bits name; the leaf is P(6; key, value), an empty
//! position and a value of zero are both the word 0, so that the root is a function of the
//! non-zero values alone. Two keys of one position cannot both stand in the tree: the second is
//! refused ([`WitnessError::PositionTaken`]) and its tx never enters a block.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::poseidon::{Fr, Tag, from_u128, h2, tagged, to_word};
use crate::tx::{Tx, WitnessError};
use crate::vm::Access;

/// Levels of nodes above the leaves.
pub const DEPTH: usize = 28;

/// Roots of empty subtrees, by height: 0 for a leaf.
static EMPTY: LazyLock<[Fr; DEPTH + 1]> = LazyLock::new(|| {
    let mut roots = [Fr::zero(); DEPTH + 1];
    for height in 1..=DEPTH {
        roots[height] = h2(roots[height - 1], roots[height - 1]);
    }
    roots
});

/// The position of a key: its low 28 bits.
#[must_use]
pub fn position(key: Fr) -> u32 {
    let [.., a, b, c, d] = to_word(key);
    u32::from_be_bytes([a, b, c, d]) & ((1 << DEPTH) - 1)
}

/// The leaf of a value: P(6; key, value), 0 for the value 0.
#[must_use]
pub fn leaf(key: Fr, value: Fr) -> Fr {
    if value == Fr::zero() { Fr::zero() } else { tagged(Tag::Leaf, &[key, value]) }
}

/// P(5; program, slot): where a program's slot stands. An account's own word is slot `account` of
/// program 0.
#[must_use]
pub fn storage_key(program: Fr, slot: Fr) -> Fr {
    tagged(Tag::Key, &[program, slot])
}

/// Where an account's word stands.
#[must_use]
pub fn account_key(account: Fr) -> Fr {
    storage_key(Fr::zero(), account)
}

/// An account's word: nonce·2^64 + balance.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Account {
    /// Nonce of the account's next tx.
    pub nonce: u64,
    /// What it can pay fees from.
    pub balance: u64,
}

impl Account {
    /// The value in the state.
    #[must_use]
    pub fn word(self) -> Fr {
        from_u128(u128::from(self.nonce) << 64 | u128::from(self.balance))
    }

    /// The account of a value, `None` when it is wider than 128 bits.
    #[must_use]
    pub fn from_word(value: Fr) -> Option<Self> {
        let bytes = to_word(value);
        let (high, low) = bytes.split_first_chunk::<16>()?;
        let (nonce, balance) = low.split_first_chunk::<8>()?;
        let balance = balance.first_chunk::<8>()?;
        (*high == [0; 16]).then(|| Self {
            nonce: u64::from_be_bytes(*nonce),
            balance: u64::from_be_bytes(*balance),
        })
    }

    /// The account after it paid for `tx`.
    ///
    /// # Errors
    /// [`WitnessError::Nonce`], [`WitnessError::Balance`], [`WitnessError::Overflow`] at the last
    /// nonce.
    pub fn pay(self, tx: &Tx) -> Result<Self, WitnessError> {
        if tx.nonce != self.nonce {
            return Err(WitnessError::Nonce { tx: tx.nonce, account: self.nonce });
        }
        let overflow =
            WitnessError::Overflow { kind: protocol::Kind::Base, what: "the nonce", bits: 64 };
        let short = WitnessError::Balance { fee: tx.fee, balance: self.balance };
        Ok(Self {
            nonce: self.nonce.checked_add(1).ok_or(overflow)?,
            balance: self.balance.checked_sub(tx.fee).ok_or(short)?,
        })
    }
}

/// A value and its path.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Opening {
    /// The key.
    pub key: Fr,
    /// The value that stands there, 0 when nothing does.
    pub value: Fr,
    /// The siblings from the leaf upward, exactly [`DEPTH`].
    pub siblings: Vec<Fr>,
}

impl Opening {
    /// The root this path leads to.
    #[must_use]
    pub fn root(&self) -> Fr {
        let position = position(self.key);
        let levels = self.siblings.iter().enumerate();
        levels.fold(leaf(self.key, self.value), |node, (level, sibling)| {
            if position >> level & 1 == 0 { h2(node, *sibling) } else { h2(*sibling, node) }
        })
    }

    /// Whether this value stands under `root`.
    #[must_use]
    pub fn verify(&self, root: Fr) -> bool {
        self.siblings.len() == DEPTH && self.root() == root
    }
}

/// Old values and paths of the leaves one tx touches, under that tx's start root: at most 13
/// openings of 960 bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TxWitness {
    /// One per key, in any order.
    pub openings: Vec<Opening>,
}

/// The tree. A full node replays it from L1; with a witness alone see [`View`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tree {
    /// (height, index) of every node that is not the root of an empty subtree.
    nodes: BTreeMap<(u8, u32), Fr>,
    /// Key and value of every non-empty position.
    values: BTreeMap<u32, (Fr, Fr)>,
}

impl Tree {
    /// An empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Fr {
        self.node(DEPTH, 0)
    }

    /// The value at a key, 0 when nothing stands there.
    ///
    /// # Errors
    /// [`WitnessError::PositionTaken`] when another key holds the position.
    pub fn get(&self, key: Fr) -> Result<Fr, WitnessError> {
        let position = position(key);
        match self.values.get(&position) {
            None => Ok(Fr::zero()),
            Some((holder, value)) if *holder == key => Ok(*value),
            Some(_) => Err(WitnessError::PositionTaken { position, key: to_word(key) }),
        }
    }

    /// Writes a value; 0 empties the position.
    ///
    /// # Errors
    /// [`WitnessError::PositionTaken`] when another key holds the position; nothing is written.
    pub fn set(&mut self, key: Fr, value: Fr) -> Result<(), WitnessError> {
        self.get(key)?;
        let position = position(key);
        if value == Fr::zero() {
            self.values.remove(&position);
        } else {
            self.values.insert(position, (key, value));
        }
        let mut node = leaf(key, value);
        self.put(0, position, node);
        for height in 0..DEPTH {
            let index = position >> height;
            let sibling = self.node(height, index ^ 1);
            node = if index & 1 == 0 { h2(node, sibling) } else { h2(sibling, node) };
            self.put(height + 1, index >> 1, node);
        }
        Ok(())
    }

    /// The value at a key with its path.
    ///
    /// # Errors
    /// [`WitnessError::PositionTaken`] when another key holds the position.
    pub fn open(&self, key: Fr) -> Result<Opening, WitnessError> {
        Ok(Opening { key, value: self.get(key)?, siblings: self.siblings(key) })
    }

    /// The witness of a tx that touches `keys`; a key named twice is opened once.
    ///
    /// # Errors
    /// [`WitnessError::PositionTaken`] when another key holds the position of one of them.
    pub fn witness(&self, keys: &[Fr]) -> Result<TxWitness, WitnessError> {
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        keys.dedup();
        let openings = keys.iter().map(|key| self.open(*key)).collect::<Result<_, _>>()?;
        Ok(TxWitness { openings })
    }

    fn siblings(&self, key: Fr) -> Vec<Fr> {
        let position = position(key);
        (0..DEPTH).map(|height| self.node(height, (position >> height) ^ 1)).collect()
    }

    fn node(&self, height: usize, index: u32) -> Fr {
        self.nodes.get(&(height as u8, index)).copied().unwrap_or(EMPTY[height])
    }

    fn put(&mut self, height: usize, index: u32, node: Fr) {
        let place = (height as u8, index);
        if node == EMPTY[height] {
            self.nodes.remove(&place);
        } else {
            self.nodes.insert(place, node);
        }
    }
}

/// The part of a tree that one tx's witness opens: it can be read, written and hashed at the
/// witnessed keys and nowhere else, so an agent needs no tree of its own.
#[derive(Clone, Debug)]
pub struct View {
    tree: Tree,
    keys: Vec<Fr>,
}

impl View {
    /// Checks every path of `witness` against `root`.
    ///
    /// # Errors
    /// [`WitnessError::Path`] for the first opening that does not lead to `root`.
    pub fn new(root: Fr, witness: &TxWitness) -> Result<Self, WitnessError> {
        let mut tree = Tree::new();
        let mut keys = Vec::with_capacity(witness.openings.len());
        for opening in &witness.openings {
            if !opening.verify(root) {
                return Err(WitnessError::Path { key: to_word(opening.key) });
            }
            tree.learn(opening);
            keys.push(opening.key);
        }
        if witness.openings.is_empty() {
            tree.put(DEPTH, 0, root);
        }
        Ok(Self { tree, keys })
    }

    /// The root as it stands after the writes made so far.
    #[must_use]
    pub fn root(&self) -> Fr {
        self.tree.root()
    }

    /// The value at a witnessed key.
    ///
    /// # Errors
    /// [`WitnessError::PathMissing`] for a key the witness does not open.
    pub fn get(&self, key: Fr) -> Result<Fr, WitnessError> {
        self.known(key)?;
        self.tree.get(key)
    }

    /// Writes the value of a witnessed key.
    ///
    /// # Errors
    /// [`WitnessError::PathMissing`] for a key the witness does not open,
    /// [`WitnessError::PositionTaken`] when two witnessed keys share a position.
    pub fn set(&mut self, key: Fr, value: Fr) -> Result<(), WitnessError> {
        self.known(key)?;
        self.tree.set(key, value)
    }

    /// The opening of a witnessed key as it stands now.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn open(&self, key: Fr) -> Result<Opening, WitnessError> {
        self.known(key)?;
        self.tree.open(key)
    }

    /// Applies one tx: nonce and fee, then the logs of its calls in order. Gives the openings of
    /// the account and of every access as they stood before each write, which is what `base`
    /// replays.
    ///
    /// # Errors
    /// [`WitnessError::Nonce`], [`WitnessError::Balance`], [`WitnessError::Stale`] when a log
    /// claims a value that does not stand, and those of [`Self::get`]. The view is then half
    /// applied and must be dropped.
    pub fn apply(&mut self, tx: &Tx, logs: &[Vec<Access>]) -> Result<Vec<Opening>, WitnessError> {
        let key = account_key(tx.account);
        let opening = self.open(key)?;
        let account = Account::from_word(opening.value).ok_or(WitnessError::stale(key))?;
        self.set(key, account.pay(tx)?.word())?;
        let mut openings = vec![opening];
        for access in logs.iter().flatten() {
            let opening = self.open(access.key)?;
            if opening.value != access.old {
                return Err(WitnessError::stale(access.key));
            }
            self.set(access.key, access.new)?;
            openings.push(opening);
        }
        Ok(openings)
    }

    fn known(&self, key: Fr) -> Result<(), WitnessError> {
        let missing = WitnessError::PathMissing { key: to_word(key) };
        if self.keys.contains(&key) { Ok(()) } else { Err(missing) }
    }
}

impl Tree {
    /// Takes the nodes of a path that was checked.
    fn learn(&mut self, opening: &Opening) {
        let position = position(opening.key);
        if opening.value != Fr::zero() {
            self.values.insert(position, (opening.key, opening.value));
        }
        let mut node = leaf(opening.key, opening.value);
        self.put(0, position, node);
        for (height, sibling) in opening.siblings.iter().enumerate() {
            let index = position >> height;
            self.put(height, index ^ 1, *sibling);
            node = if index & 1 == 0 { h2(node, *sibling) } else { h2(*sibling, node) };
            self.put(height + 1, index >> 1, node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fr(x: u64) -> Fr {
        Fr::from(x)
    }

    /// A key at `position` that differs from others by `salt`.
    fn key(position: u32, salt: u64) -> Fr {
        fr(u64::from(position)) + fr(salt) * fr(1 << DEPTH)
    }

    fn tree(values: &[(Fr, Fr)]) -> Tree {
        let mut tree = Tree::new();
        for (key, value) in values {
            tree.set(*key, *value).unwrap();
        }
        tree
    }

    #[test]
    fn the_root_is_a_function_of_the_non_zero_values_alone() {
        let (a, b, c) = ((key(5, 1), fr(7)), (key(4, 9), fr(8)), (key(1 << 27, 3), fr(9)));
        let root = tree(&[a, b, c]).root();
        assert_eq!(tree(&[c, (a.0, fr(1)), b, a]).root(), root);
        let mut more = tree(&[a, b, c]);
        more.set(key(77, 1), fr(1)).unwrap();
        assert_ne!(more.root(), root);
        more.set(key(77, 1), fr(0)).unwrap();
        assert_eq!(more, tree(&[a, b, c]), "emptying leaves nothing behind");
        assert_eq!(Tree::new().root(), EMPTY[DEPTH]);
    }

    #[test]
    fn an_opening_verifies_under_its_root_only() {
        let tree = tree(&[(key(5, 1), fr(7)), (key(4, 9), fr(8))]);
        let opening = tree.open(key(5, 1)).unwrap();
        assert!(opening.verify(tree.root()));
        assert!(tree.open(key(6, 0)).unwrap().verify(tree.root()), "an empty place");
        let wrong = |change: &dyn Fn(&mut Opening)| {
            let mut opening = opening.clone();
            change(&mut opening);
            opening.verify(tree.root())
        };
        assert!(!wrong(&|o| o.value = fr(8)), "another value");
        assert!(!wrong(&|o| o.key = key(5, 2)), "another key of this position");
        assert!(!wrong(&|o| o.key = key(4, 1)), "another position");
        assert!(!wrong(&|o| o.siblings[3] = fr(1)), "another sibling");
        assert!(!wrong(&|o| o.siblings.push(fr(0))), "a longer path");
    }

    #[test]
    fn a_position_held_by_another_key_is_refused_and_unchanged() {
        let mut tree = tree(&[(key(5, 1), fr(7))]);
        let before = tree.clone();
        let taken = WitnessError::PositionTaken { position: 5, key: to_word(key(5, 2)) };
        assert_eq!(tree.set(key(5, 2), fr(1)), Err(taken.clone()));
        assert_eq!(tree.get(key(5, 2)), Err(taken));
        assert_eq!(tree, before);
    }

    #[test]
    fn a_view_follows_the_tree_it_was_taken_from() {
        let (a, b, c) = (key(5, 1), key(4, 9), key(1 << 27, 3));
        let mut tree = tree(&[(a, fr(7)), (key(6, 0), fr(2)), (c, fr(3))]);
        let mut view = View::new(tree.root(), &tree.witness(&[a, b, c, a]).unwrap()).unwrap();
        for (key, value) in [(a, 1), (b, 2), (c, 0), (b, 0), (a, 9), (c, 4)] {
            tree.set(key, fr(value)).unwrap();
            view.set(key, fr(value)).unwrap();
            assert_eq!(view.root(), tree.root());
            assert_eq!(view.open(b).unwrap(), tree.open(b).unwrap());
        }
        assert!(matches!(view.get(key(6, 0)), Err(WitnessError::PathMissing { .. })));
    }

    #[test]
    fn a_view_refuses_a_path_to_another_root() {
        let tree = tree(&[(key(5, 1), fr(7))]);
        let mut witness = tree.witness(&[key(5, 1)]).unwrap();
        assert!(View::new(tree.root(), &witness).is_ok());
        assert!(View::new(fr(1), &witness).is_err());
        witness.openings[0].value = fr(8);
        assert!(matches!(View::new(tree.root(), &witness), Err(WitnessError::Path { .. })));
        let none = View::new(fr(9), &TxWitness::default()).unwrap();
        assert_eq!(none.root(), fr(9));
    }

    #[test]
    fn an_account_word_holds_nonce_and_balance() {
        let account = Account { nonce: 3, balance: u64::MAX };
        assert_eq!(account.word(), fr(4 << 32) * fr(1 << 32) - fr(1));
        assert_eq!(Account::from_word(account.word()), Some(account));
        assert_eq!(Account::from_word(from_u128(u128::MAX) + fr(1)), None);
    }
}
