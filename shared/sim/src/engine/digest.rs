//! A fingerprint of everything that happened: two runs that differ anywhere differ here.
//!
//! 64 bits against accidents, a few multiplications per action: ids are hashes already, so their
//! first eight bytes stand for them. Nobody attacks it: the seed decides everything.

use protocol::{Action, BlobId, Message, Millis, Record};

/// Folded actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Digest(u64);

fn first(id: &[u8; 32]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&id[..8]);
    u64::from_be_bytes(first)
}

impl Digest {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(0xcbf2_9ce4_8422_2325 ^ seed)
    }

    /// Folds a number.
    pub(crate) const fn number(&mut self, number: u64) {
        let mixed = (self.0.rotate_left(23) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 29);
    }

    fn id(&mut self, tag: u64, id: &[u8; 32]) {
        self.number(first(id) ^ tag << 56);
    }

    /// Folds what an agent did at an instant.
    pub(crate) fn action(&mut self, now: Millis, agent: usize, action: &Action) {
        self.number(now.0 << 20 ^ agent as u64);
        match action {
            Action::Persist(record) => self.record(record),
            Action::Send { message, .. } => self.message(message),
            Action::Relay { message, .. } => {
                self.number(9);
                self.message(message);
            }
            Action::Fetch { blob, from, .. } => {
                self.id(20, &blob.0);
                self.number(from.iter().fold(1, |sum, it| (sum * 31) ^ u64::from(it.0)));
            }
            Action::Prove { task, lane, children, .. } => {
                self.id(21, &task.0);
                self.number(lane.0);
                children.iter().for_each(|BlobId(it)| self.id(25, it));
            }
            Action::Abandon { task } => self.id(22, &task.0),
            Action::SubmitRoot { slot, blob, .. } => {
                self.number(slot.0);
                self.id(23, &blob.0);
            }
            Action::Note { code, .. } => {
                self.number(code.bytes().fold(24, |sum, it| sum << 7 ^ u64::from(it)));
            }
        }
    }

    fn record(&mut self, record: &Record) {
        match record {
            Record::Claimed { task, lane, seq, .. } => {
                self.id(1, &task.0);
                self.number(lane.0 << 24 ^ seq);
            }
            Record::Ended { lane, seq, how } => {
                self.number(lane.0 << 24 ^ seq);
                self.number(*how as u64 + 100);
            }
            Record::Made { statement, .. } => self.id(3, &statement.0),
            Record::Held { statement, .. } => self.id(4, &statement.0),
            Record::Settled { slot } => self.number(slot.0 << 8 | 5),
        }
    }

    fn message(&mut self, message: &Message) {
        self.number(message.speaker().0 << 16 ^ message.slot().0);
        match message {
            Message::Claim { task, seq, attempt, .. } => {
                self.id(10, &task.0);
                self.number(seq << 16 ^ u64::from(*attempt));
            }
            Message::Release { task, seq, failed, .. } => {
                self.id(11, &task.0);
                self.number(seq << 1 | u64::from(*failed));
            }
            Message::Beat { n, task, .. } => {
                self.id(12, &task.0);
                self.number(*n);
            }
            Message::Loss { lane, last_beat, .. } => {
                self.number(lane.0);
                self.number(*last_beat);
            }
            Message::Made { blob, seq, .. } => {
                self.id(13, &blob.0);
                self.number(*seq);
            }
            Message::Held { statement, .. } => self.id(14, &statement.0),
            Message::Advert { n, able, .. } => self.number(n << 1 | u64::from(*able)),
        }
    }

    /// 16 hex digits.
    pub(crate) fn hex(&self) -> String {
        format!("{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{LaneId, ProverId, Slot, TaskId};

    #[test]
    fn order_time_agent_and_content_all_count() {
        let lane = |it| LaneId::new(ProverId(it), 0);
        let beat = |it, n| {
            Action::to_all(Message::Beat {
                lane: lane(it),
                slot: Slot(0),
                n,
                task: TaskId::default(),
            })
        };
        let of = |parts: &[(u64, usize, Action)]| {
            let mut digest = Digest::new(1);
            parts.iter().for_each(|(now, agent, it)| digest.action(Millis(*now), *agent, it));
            digest.hex()
        };
        let all = [
            of(&[]),
            of(&[(1, 0, beat(1, 1))]),
            of(&[(2, 0, beat(1, 1))]),
            of(&[(1, 1, beat(1, 1))]),
            of(&[(1, 0, beat(2, 1))]),
            of(&[(1, 0, beat(1, 2))]),
            of(&[(1, 0, beat(1, 1)), (1, 0, beat(1, 2))]),
            of(&[(1, 0, beat(1, 2)), (1, 0, beat(1, 1))]),
        ];
        let distinct: std::collections::BTreeSet<&String> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert!(all.iter().all(|it| it.len() == 16));
    }
}
