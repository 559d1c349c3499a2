//! Credit (R8): who made which proofs, as one word a parent proof carries and L1 can open.
//!
//! Value = H2(rec, H2(left, right)), rec = P(9; meta, payee), meta = kind·2^128 + own·2^64 + total.
//! A parent opens the record of each child that a prover made. When all of them stand for work of
//! one payee alone (*uniform*) and it is the parent's payee, the parent's record **must** be
//! uniform too: one entry for the whole subtree, so that a lane that did it claims it with a path
//! of the crown's length. The kind is part of the record, so that an inner node never opens as a
//! leaf (S16); units are 64-bit numbers, so that no sum wraps in the field.

use protocol::domain::{Address, Credit, Kind};
use serde::{Deserialize, Serialize};

use crate::poseidon::{Fr, Tag, from_u128, from_word, h2, tagged, to_word};
use crate::tx::WitnessError;
use crate::tx::words::{Child, payee_word};

pub mod circuit;
#[cfg(test)]
mod tests;

pub use circuit::{ChildCells, Made};

/// Units of one proof by kind number: CPU-seconds, measured once. Constants of the circuit set.
pub const UNITS: [u64; 6] = [0, 10, 173, 175, 173, 209];

/// Units of one proof of this kind.
#[must_use]
pub const fn units_of(kind: Kind) -> u64 {
    UNITS[kind as usize]
}

/// A credit record in the form the circuits hash: [`Credit`] with field elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The circuit's number, or [`Credit::UNIFORM`].
    pub kind: u8,
    /// Units of this proof alone; of everything below when uniform.
    pub own: u64,
    /// Units of this proof and everything below.
    pub total: u64,
    /// Who is paid, below 2^160.
    pub payee: Fr,
    /// Credit value of the tree child.
    pub left: Fr,
    /// Credit value of the vm or right child.
    pub right: Fr,
}

impl Record {
    /// The record of a `Credit`.
    ///
    /// # Errors
    /// [`WitnessError::NotAField`] when `left` or `right` is not below the field's order.
    pub fn from_credit(credit: &Credit) -> Result<Self, WitnessError> {
        let word = |word| from_word(word).ok_or(WitnessError::NotAField);
        Ok(Self {
            kind: credit.kind,
            own: credit.own,
            total: credit.total,
            payee: payee_word(credit.payee),
            left: word(&credit.left)?,
            right: word(&credit.right)?,
        })
    }

    /// kind·2^128 + own·2^64 + total.
    #[must_use]
    pub fn meta(&self) -> Fr {
        let low = u128::from(self.own) << 64 | u128::from(self.total);
        Fr::from(u64::from(self.kind)) * two_to_128() + from_u128(low)
    }

    /// P(9; meta, payee).
    #[must_use]
    pub fn hash(&self) -> Fr {
        tagged(Tag::Credit, &[self.meta(), self.payee])
    }

    /// H2(rec, H2(left, right)).
    #[must_use]
    pub fn value(&self) -> Fr {
        h2(self.hash(), h2(self.left, self.right))
    }

    /// Whether everything below is this payee's work.
    #[must_use]
    pub const fn is_uniform(&self) -> bool {
        self.kind == Credit::UNIFORM
    }

    /// The record a proof of `kind` by `payee` must have over these children; `None` is a child no
    /// prover made, or no child.
    ///
    /// # Errors
    /// [`WitnessError::Overflow`] when the units leave 64 bits.
    pub fn over(kind: Kind, payee: Fr, children: [Option<&Self>; 2]) -> Result<Self, WitnessError> {
        let own = units_of(kind);
        let below = children.iter().flatten();
        let total = below.clone().try_fold(own, |sum, child| sum.checked_add(child.total));
        let overflow = WitnessError::Overflow { kind, what: "the sum of units", bits: 64 };
        let total = total.ok_or(overflow)?;
        let uniform = below.clone().all(|child| child.is_uniform() && child.payee == payee);
        let value = |child: Option<&Self>| child.map_or(Fr::zero(), Self::value);
        Ok(if uniform {
            let (left, right) = (Fr::zero(), Fr::zero());
            Self { kind: Credit::UNIFORM, own: total, total, payee, left, right }
        } else {
            let [left, right] = children.map(value);
            Self { kind: kind as u8, own, total, payee, left, right }
        })
    }

    /// [`Self::over`] for children as a parent's witness knows them: each record must open its
    /// child's credit word and name its payee.
    ///
    /// # Errors
    /// [`WitnessError::Record`] when one does not, [`WitnessError::Overflow`].
    pub fn over_children(
        kind: Kind,
        payee: Fr,
        children: [Option<&Child>; 2],
    ) -> Result<Self, WitnessError> {
        for child in children.into_iter().flatten() {
            let none = (Fr::zero(), Fr::zero());
            let opened = child.credit.map_or(none, |record| (record.value(), record.payee));
            if opened != (child.words.credit, child.words.payee) {
                return Err(WitnessError::Record { kind });
            }
        }
        Self::over(kind, payee, children.map(|child| child?.credit.as_ref()))
    }

    fn to_credit(self, payee: Address) -> Credit {
        let (left, right) = (to_word(self.left), to_word(self.right));
        Credit { kind: self.kind, own: self.own, total: self.total, payee, left, right }
    }
}

fn two_to_128() -> Fr {
    from_u128(1 << 127).double()
}

/// The credit value of a record: public word 5 of its proof.
///
/// # Errors
/// [`WitnessError::NotAField`] when `left` or `right` is not below the field's order.
pub fn value(credit: &Credit) -> Result<Fr, WitnessError> {
    Ok(Record::from_credit(credit)?.value())
}

/// The record a proof of `kind` by `payee` must have over these children, first the tree (or left)
/// child, then the vm (or right) child; `None` is a `tx`, or no child.
///
/// # Errors
/// [`WitnessError::Overflow`], [`WitnessError::NotAField`].
pub fn combine(
    kind: Kind,
    payee: Address,
    children: [Option<&Credit>; 2],
) -> Result<Credit, WitnessError> {
    let record = |credit: Option<&Credit>| credit.map(Record::from_credit).transpose();
    let [left, right] = children;
    let (left, right) = (record(left)?, record(right)?);
    let record = Record::over(kind, payee_word(payee), [left.as_ref(), right.as_ref()])?;
    Ok(record.to_credit(payee))
}
