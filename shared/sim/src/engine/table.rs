//! Finds the number of a 32-byte id: open addressing over the id's own bytes, which are a hash.
//! It is never walked, so its order can decide nothing.

/// A map from ids that are hashes to numbers.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    slots: Vec<Option<([u8; 32], u32)>>,
    len: usize,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self { slots: vec![None; 64], len: 0 }
    }

    fn start(&self, id: &[u8; 32]) -> usize {
        let mut first = [0; 8];
        first.copy_from_slice(&id[..8]);
        let mask = self.slots.len() as u64 - 1;
        usize::try_from(u64::from_be_bytes(first) & mask).unwrap_or(0)
    }

    /// The number of this id.
    pub(crate) fn get(&self, id: &[u8; 32]) -> Option<u32> {
        let mut at = self.start(id);
        loop {
            match &self.slots[at] {
                Some((found, number)) if found == id => return Some(*number),
                Some(_) => at = (at + 1) % self.slots.len(),
                None => return None,
            }
        }
    }

    /// Gives an id a number, unless it has one; returns the one that it has.
    pub(crate) fn insert(&mut self, id: [u8; 32], number: u32) -> u32 {
        if self.slots.len() <= 2 * self.len {
            self.grow();
        }
        let mut at = self.start(&id);
        loop {
            match &self.slots[at] {
                Some((found, number)) if *found == id => return *number,
                Some(_) => at = (at + 1) % self.slots.len(),
                None => break,
            }
        }
        self.slots[at] = Some((id, number));
        self.len += 1;
        number
    }

    fn grow(&mut self) {
        let room = vec![None; self.slots.len() * 2];
        let old = core::mem::replace(&mut self.slots, room);
        self.len = 0;
        for (id, number) in old.into_iter().flatten() {
            self.insert(id, number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::assign::keccak::keccak256;

    #[test]
    fn every_id_keeps_its_first_number() {
        let id = |n: u32| keccak256(&[&n.to_be_bytes()]).0;
        let mut table = Table::new();
        for n in 0..5_000 {
            assert_eq!((table.get(&id(n)), table.insert(id(n), n)), (None, n));
        }
        assert!((0..5_000).all(|n| table.get(&id(n)) == Some(n)));
        assert_eq!(table.insert(id(7), 99), 7);
        assert_eq!(table.get(&[0; 32]), None);
    }
}
