//! A client's proof from its key to its acceptance, and what is refused before a proof is made.

use super::*;
use crate::setup::srs::{DEVNET_CHAIN_ID, SetupConstants};
use crate::tx::account;
use std::sync::LazyLock;

struct Fixture {
    _cache: tempfile::TempDir,
    folder: KeyFolder,
    keys: VerifyingKeys,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let cache = tempfile::tempdir().unwrap();
    let setup = SetupConstants::insecure(DEVNET_CHAIN_ID).unwrap();
    let folder = KeyFolder::open(cache.path(), setup).unwrap();
    folder.generate_next(&mut |_| ()).unwrap();
    Fixture { _cache: cache, folder, keys: VerifyingKeys::pinned(DEVNET_CHAIN_ID).unwrap() }
});

fn input() -> TxInput {
    let (secret, domain) = (Fr::from(7), Fr::from(31_337));
    let account = account(secret, domain);
    let call = Call { caller: account, program: Fr::from(5), args: [Fr::from(1); tx::ARGS] };
    let tx = Tx { account, nonce: 3, fee: 2, expiry: 9, calls: vec![call, call] };
    TxInput { secret, domain, tx }
}

fn prove_tx(work: &Work, phases: &mut Vec<ProvePhase>) -> Result<Made, ProveError> {
    let material = || FIXTURE.folder.proving_material(work.kind());
    let payee = Address([1; 20]);
    prove_with((&FIXTURE.keys, &material), work, payee, &mut |phase| phases.push(phase))
}

/// The key is generated here and the keys that accept are the pinned ones.
#[test]
fn a_client_proves_a_tx_and_the_pinned_keys_accept_it() {
    let mut phases = Vec::new();
    let made = prove_tx(&Work::Tx(input()), &mut phases).unwrap();
    use ProvePhase::{Accepting, Checking, Loading, Proving};
    assert_eq!(phases, [Checking, Loading, Proving, Accepting]);
    let accepted = made.proof.accept(&FIXTURE.keys).unwrap();
    let said: Vec<Word> = input().tx.words().to_array().map(to_word).to_vec();
    assert_eq!(accepted.words(), said);
    assert_eq!(made.proof.credit, None);
    // Any other statement, and any record, is refused.
    let mut other = made.proof.clone();
    other.instances[crate::recursion::family::WORDS + 1] = to_word(Fr::from(1));
    assert_eq!(other.accept(&FIXTURE.keys), Err(Refusal::Proof));
    let mut paid = made.proof.clone();
    let payee = tx::words::payee_word(Address([1; 20]));
    paid.credit = Some(Record::over(Kind::Vm, payee, [None, None]).unwrap());
    assert_eq!(paid.accept(&FIXTURE.keys), Err(Refusal::Record));
    // As a child of another kind it is refused before anything is built.
    let mislabelled = Proof { kind: Kind::Vm, ..made.proof.clone() };
    let work = Work::Merge { left: mislabelled, right: made.proof };
    let refused = prove_tx(&work, &mut Vec::new()).unwrap_err();
    assert_eq!((refused.code(), refused.exit_code()), ("PRV-002", 65));
}

#[test]
fn a_false_witness_is_refused_before_the_key_is_loaded() {
    let mut wrong = input();
    wrong.secret = Fr::from(8);
    let mut phases = Vec::new();
    let refused = prove_tx(&Work::Tx(wrong), &mut phases).unwrap_err();
    assert_eq!((refused.code(), refused.exit_code()), ("WIT-003", 65));
    assert_eq!(phases, [ProvePhase::Checking]);
}

/// The circuit alone refuses it too: the native check is not what makes it sound.
#[test]
fn a_false_witness_does_not_satisfy_its_circuit() {
    let mut wrong = input();
    wrong.secret = Fr::from(8);
    for (tx, holds) in [(input(), true), (wrong, false)] {
        let input = Input::Tx(tx);
        let builder = Builder { keys: &FIXTURE.keys, children: &[], input: &input };
        assert_eq!(builder.build().unwrap().check().is_ok(), holds);
    }
}

#[test]
fn without_keys_nothing_is_proved() {
    let cache = tempfile::tempdir().unwrap();
    let setup = SetupConstants::insecure(DEVNET_CHAIN_ID).unwrap();
    let folder = KeyFolder::open(cache.path(), setup).unwrap();
    let refused = prove(&folder, &Work::Tx(input()), Address([1; 20]), &mut |_| ()).unwrap_err();
    assert_eq!((refused.code(), refused.exit_code()), ("KEY-001", 66));
}
