//! The shell: performs the machine's actions on real sockets, disks and chains.

pub(crate) mod control;
pub(crate) mod payout;
