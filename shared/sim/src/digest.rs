//! A fingerprint of everything that happened: two runs that differ anywhere differ here.

use protocol::{Action, BlobId, Message, Millis, Record};

/// FNV-1a over eight bytes at a time, twice with different starts: 128 bits against accidents.
/// Nobody attacks it: the seed decides everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Digest([u64; 2]);

impl Digest {
    pub(crate) const fn new(seed: u64) -> Self {
        Self([0xcbf2_9ce4_8422_2325 ^ seed, 0x8422_2325_cbf2_9ce4])
    }

    /// Folds a number.
    pub(crate) const fn number(&mut self, number: u64) {
        self.0[0] = (self.0[0] ^ number).wrapping_mul(0x0100_0000_01b3).rotate_left(29);
        self.0[1] = (self.0[1] ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
    }

    /// Folds bytes, with their length.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            self.number(chunk.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)));
        }
    }

    /// Folds what an agent did at an instant.
    pub(crate) fn action(&mut self, now: Millis, agent: usize, action: &Action) {
        self.number(now.0);
        self.number(agent as u64);
        match action {
            Action::Persist(record) => self.record(record),
            Action::Send { message, .. } | Action::Relay { message, .. } => self.message(message),
            Action::Fetch { blob, from, .. } => {
                self.blobs(20, core::slice::from_ref(blob));
                from.iter().for_each(|it| self.number(u64::from(it.0)));
            }
            Action::Prove { task, lane, children, .. } => {
                self.bytes(&task.0);
                self.number(lane.0);
                self.blobs(21, children);
            }
            Action::Abandon { task } => self.tagged(22, &task.0),
            Action::SubmitRoot { slot, blob, .. } => {
                self.number(slot.0);
                self.tagged(23, &blob.0);
            }
            Action::Note { code, .. } => self.tagged(24, code.as_bytes()),
        }
    }

    fn tagged(&mut self, tag: u64, bytes: &[u8]) {
        self.number(tag);
        self.bytes(bytes);
    }

    fn blobs(&mut self, tag: u64, blobs: &[BlobId]) {
        self.number(tag);
        blobs.iter().for_each(|it| self.bytes(&it.0));
    }

    fn record(&mut self, record: &Record) {
        match record {
            Record::Claimed { task, lane, seq, .. } => {
                self.tagged(1, &task.0);
                self.number(lane.0);
                self.number(*seq);
            }
            Record::Ended { lane, seq, how } => {
                self.number(lane.0);
                self.number(*seq);
                self.number(*how as u64 + 100);
            }
            Record::Made { statement, .. } => self.tagged(3, &statement.0),
            Record::Held { statement, .. } => self.tagged(4, &statement.0),
            Record::Settled { slot } => self.number(slot.0),
        }
    }

    fn message(&mut self, message: &Message) {
        self.number(message.speaker().0);
        self.number(message.slot().0);
        match message {
            Message::Claim { task, seq, attempt, .. } => {
                self.tagged(10, &task.0);
                self.number(*seq);
                self.number(u64::from(*attempt));
            }
            Message::Release { task, seq, .. } => {
                self.tagged(11, &task.0);
                self.number(*seq);
            }
            Message::Beat { n, task, .. } => {
                self.tagged(12, &task.0);
                self.number(*n);
            }
            Message::Loss { lane, last_beat, .. } => {
                self.number(lane.0);
                self.number(*last_beat);
            }
            Message::Made { blob, seq, .. } => {
                self.tagged(13, &blob.0);
                self.number(*seq);
            }
            Message::Held { statement, .. } => self.tagged(14, &statement.0),
        }
    }

    /// 32 hex digits.
    pub(crate) fn hex(&self) -> String {
        format!("{:016x}{:016x}", self.0[0], self.0[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_length_and_content_all_count() {
        let of = |parts: &[&[u8]]| {
            let mut digest = Digest::new(1);
            parts.iter().for_each(|it| digest.bytes(it));
            digest.hex()
        };
        let all = [
            of(&[]),
            of(&[b""]),
            of(&[b"a"]),
            of(&[b"a", b""]),
            of(&[b"", b"a"]),
            of(&[b"ab"]),
            of(&[b"ba"]),
            of(&[b"12345678", b"9"]),
            of(&[b"123456789"]),
        ];
        let distinct: std::collections::BTreeSet<&String> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert!(all.iter().all(|it| it.len() == 32));
    }
}
