//! What the rules say about one epoch: its set of lanes, their duty and pay, faults, changes.
//!
//! Pure functions and small state beside the machine: [`members`] (R1), [`rolling`] (R4.2),
//! [`pay`] (R9), [`fault`] (R10), [`sets`] (R13), [`tuning`] (R16).

use core::fmt;

use crate::{domain::Slot, params::Params};

#[cfg(test)]
pub(crate) mod draws;
pub mod fault;
pub mod members;
pub mod pay;
pub mod rolling;
pub mod sets;
pub mod tuning;

/// The slots that settle accounts together, counted from 0 (R1.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch of a slot.
    #[must_use]
    pub const fn of(slot: Slot, params: &Params) -> Self {
        Self(slot.0 / params.epoch_slots)
    }
    /// Its first slot.
    #[must_use]
    pub const fn first_slot(self, params: &Params) -> Slot {
        Slot(self.0 * params.epoch_slots)
    }
    /// The L1 block whose registry is its set: older than any randomness it is used with (R1.3).
    #[must_use]
    pub fn snapshot_block(self, params: &Params) -> u64 {
        params.snapshot_block(self.first_slot(params))
    }
    /// This many epochs later.
    #[must_use]
    pub const fn after(self, epochs: u64) -> Self {
        Self(self.0.saturating_add(epochs))
    }
    /// The one before; epoch 0 has none.
    #[must_use]
    pub const fn before(self) -> Option<Self> {
        match self.0.checked_sub(1) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_and_epochs_name_each_other() {
        let params = Params::devnet();
        for (slot, epoch) in [(0, 0), (31, 0), (32, 1), (63, 1), (64, 2)] {
            assert_eq!(Epoch::of(Slot(slot), &params), Epoch(epoch), "slot {slot}");
        }
        for epoch in 0..5 {
            let first = Epoch(epoch).first_slot(&params);
            assert_eq!(Epoch::of(first, &params), Epoch(epoch));
            assert_eq!(Epoch(epoch).snapshot_block(&params), params.snapshot_block(first));
        }
    }

    #[test]
    fn a_networks_first_epochs_may_be_younger_than_the_lag() {
        // genesis block, snapshots of epochs 0, 1, 2
        let rows =
            [(0, [0, 256, 576]), (10, [0, 266, 586]), (64, [0, 320, 640]), (65, [1, 321, 641])];
        for (genesis_block, expected) in rows {
            let params = Params { genesis_block, ..Params::devnet() };
            let found = [0, 1, 2].map(|epoch| Epoch(epoch).snapshot_block(&params));
            assert_eq!(found, expected, "genesis {genesis_block}");
        }
    }

    #[test]
    fn short_epochs_are_counted_too() {
        let params = Params { epoch_slots: 1, ..Params::devnet() };
        for slot in 0..4 {
            assert_eq!(Epoch::of(Slot(slot), &params), Epoch(slot));
            assert_eq!(Epoch(slot).first_slot(&params), Slot(slot));
        }
    }

    #[test]
    fn epochs_are_counted_without_wrapping() {
        assert_eq!((Epoch(3).before(), Epoch(0).before()), (Some(Epoch(2)), None));
        assert_eq!((Epoch(3).after(4), Epoch(3).after(u64::MAX)), (Epoch(7), Epoch(u64::MAX)));
        assert_eq!(Epoch(12).to_string(), "12");
    }
}
