//! From the bytes of a proof blob to something the machine may count on.
//!
//! A blob is only bytes until every acceptance rule passed. What the machine is told (task,
//! statement, credit) is computed from the accepted public words, never taken from the sender.

use std::sync::Arc;

use circuits::{credit::Record, setup::prove::Proof};
use protocol::{
    Input, Kind, StatementId, TaskId, Word,
    assign::{TaskWords, statement_id, task_id},
};
use wire::ProofBlob;

use crate::{error::Coded, prover::sets::KeySets, store::Store};

/// A proof blob that passed every rule, and what its words say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Checked {
    /// The blob.
    pub(crate) blob: ProofBlob,
    /// What it is a proof of.
    pub(crate) task: TaskId,
    /// What it says.
    pub(crate) statement: StatementId,
}

/// Decodes a blob and accepts its proof under the circuit set that it names (R13).
///
/// # Errors
/// `PRF-001` if the bytes are no proof blob, `PRF-002` if the keys of its circuit set are not here,
/// `PRF-003` if an acceptance rule refuses it.
pub(crate) fn check(sets: &KeySets, bytes: &[u8]) -> Result<Checked, Coded> {
    let blob =
        ProofBlob::decode(bytes).map_err(|error| Coded::new("PRF-001", error.to_string()))?;
    let Some(keys) = sets.get(&blob.set) else {
        let set = hex::encode(blob.set);
        let text = format!("the proof is of circuit set {set}, whose keys are not here");
        return Err(Coded::new("PRF-002", text));
    };
    let refused = |why: String| Coded::new("PRF-003", format!("{} is refused: {why}", blob.node));
    let proof = proof_of(&blob).map_err(|error| refused(error.to_string()))?;
    let accepted = proof.accept(&keys).map_err(|refusal| refused(refusal.to_string()))?;
    let task = task_of(blob.node.kind, accepted.words(), blob.set);
    let task = task.ok_or_else(|| refused("its words are too few".into()))?;
    let credit = accepted.words().get(4).copied().unwrap_or_default();
    let statement = statement_id(task, blob.credit.payee, &credit);
    Ok(Checked { blob, task, statement })
}

/// Checks a fetched blob off the loop and stores it; it must be a proof of `task`.
///
/// # Errors
/// Those of [`check`]; `PRF-005` if it proves another task, `PRF-006` if it cannot be stored.
pub(crate) async fn take(
    sets: Arc<KeySets>,
    store: Store,
    bytes: Vec<u8>,
    task: TaskId,
) -> Result<Input, Coded> {
    let work = move || {
        let checked = check(&sets, &bytes)?;
        if checked.task != task {
            let text = format!("it proves task {}, not {task}", checked.task);
            return Err(Coded::new("PRF-005", text));
        }
        let stored = store.blobs().put(&bytes);
        let blob = stored.map_err(|error| Coded::new("PRF-006", error.to_string()))?;
        let (statement, credit) = (checked.statement, checked.blob.credit);
        Ok(Input::Accepted { task, statement, blob, credit })
    };
    let joined = tokio::task::spawn_blocking(work).await;
    joined.unwrap_or_else(|error| Err(Coded::new("PRF-007", error.to_string())))
}

/// Whether a proof came and did not pass: no other copy of its blob will. Another circuit set, a
/// full disk or a fetch without an answer say nothing about it.
pub(crate) fn is_refusal(error: &Coded) -> bool {
    matches!(error.code(), "PRF-001" | "PRF-003" | "PRF-005")
}

/// The proof in a blob, as the circuits take it; not accepted yet.
pub(crate) fn proof_of(blob: &ProofBlob) -> Result<Proof, circuits::tx::WitnessError> {
    Ok(Proof {
        kind: blob.node.kind,
        instances: blob.instances.clone(),
        proof: blob.proof.clone(),
        credit: Some(Record::from_credit(&blob.credit)?),
    })
}

/// Names the task that these words (start, end, txs, count, credit, payee, aux; or `root`'s nine)
/// are of.
fn task_of(kind: Kind, words: &[Word], set: Word) -> Option<TaskId> {
    // `root` shows units before the fees, which are its aux.
    let aux = if kind == Kind::Root { 7 } else { 6 };
    let word = |index: usize| words.get(index).copied();
    let words = TaskWords {
        set,
        start: word(0)?,
        end: word(1)?,
        txs: word(2)?,
        count: word(3)?,
        aux: word(aux)?,
    };
    Some(task_id(kind, &words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_and_its_child_name_different_tasks_with_the_same_words() {
        let word = |byte| [byte; 32];
        let child: Vec<Word> = (1..=7).map(word).collect();
        // start, end, txs, count, credit, payee, units, fees, set
        let root: Vec<Word> = [1, 2, 3, 4, 5, 6, 40, 7, 50].into_iter().map(word).collect();
        let set = word(9);
        let words = TaskWords {
            set,
            start: word(1),
            end: word(2),
            txs: word(3),
            count: word(4),
            aux: word(7),
        };
        assert_eq!(task_of(Kind::Merge, &child, set), Some(task_id(Kind::Merge, &words)));
        assert_eq!(task_of(Kind::Root, &root, set), Some(task_id(Kind::Root, &words)));
        assert_eq!(task_of(Kind::Merge, &child[..6], set), None);
    }
}
