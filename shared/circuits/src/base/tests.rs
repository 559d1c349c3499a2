//! What `base` proves and what it refuses.

use crate::gates::Gates;
use halo2_base::{AssignedValue, Context};

use super::circuit::{ACCESSES, Free, constrain, transition};
use super::world::{Proved, World, fr, load, load_made, words};
use super::*;
use crate::poseidon::mock::{Built, Shape, build};
use crate::poseidon::{Chips, to_word};
use crate::state::{DEPTH, Tree, account_key, position};
use crate::{kernel, merge, root, tx, vm};

/// Lookup bits of `base` at k = 17.
const LOOKUP_BITS: u32 = 16;
/// Rows beside the verification of one child at k = 17.
const FREE_ROWS: usize = 60_000;

/// A tx of three calls, each of another program, the last one of four entries.
fn three_calls(world: &World) -> Tx {
    world.tx(vec![
        world.call(&world.counter, [5, 0, 0, 0]),
        world.call(&world.transfer, [9, 100, 0, 0]),
        world.call(&world.swap, [0, 100, 150, 0]),
    ])
}

fn three() -> Proved {
    let mut world = World::new();
    let tx = three_calls(&world);
    world.prove(&tx, &[1])
}

fn prove(input: &BaseInput) -> (Built, Words) {
    build(LOOKUP_BITS, |ctx, range| {
        let child = load(ctx, range, &input.child);
        words(constrain(ctx, &Chips::new(range), &child, input))
    })
}

/// Whether the circuit accepts this child with changed free cells.
fn accepts(input: &BaseInput, change: impl FnOnce(&mut Child, &mut Free)) -> bool {
    let (mut free, mut child) = (Free::of(input), input.child.clone());
    change(&mut child, &mut free);
    let (built, _) = build(LOOKUP_BITS, |ctx, range| {
        let child = load(ctx, range, &child);
        transition(ctx, &Chips::new(range), &child, &free)
    });
    built.satisfied()
}

#[test]
fn base_says_what_the_native_check_says_and_fits() {
    let mut world = World::new();
    let shape = |built: &mut Built| -> Shape {
        assert!(built.satisfied());
        built.shape()
    };
    let (built, _) = prove(&BaseInput::placeholder());
    let expected = built.shape();
    assert!(expected.rows < FREE_ROWS, "{} rows", expected.rows);
    let call = world.call(&world.transfer, [9, 501, 0, 0]);
    for calls in [three_calls(&world).calls, vec![], vec![call, call]] {
        let tx = world.tx(calls);
        let proved = world.prove(&tx, &[1, 2]);
        let (mut built, words) = prove(&proved.base);
        assert_eq!(shape(&mut built), expected);
        assert_eq!(words, proved.base.check().unwrap());
        assert_eq!(words.aux, fr(10));
    }
}

/// The words of a circuit that must be satisfied.
fn said(circuit: impl FnOnce(&mut Context<Fr>, &Gates) -> [AssignedValue<Fr>; 7]) -> Words {
    let (built, words) = build(LOOKUP_BITS, |ctx, range| words(circuit(ctx, range)));
    assert!(built.satisfied());
    words
}

/// What a parent is told of its child is what the child's circuit says.
#[test]
fn the_words_of_a_tx_chain_through_all_its_proofs() {
    let proved = three();
    let tx = said(|ctx, range| tx::constrain(ctx, &Chips::new(range), &proved.tx));
    let mut first = Child::tx(tx);
    for (vm, kernel) in proved.vms.iter().zip(&proved.kernels) {
        assert_eq!(kernel.first, first);
        let call = said(|ctx, range| vm::circuit::constrain(ctx, &Chips::new(range), vm));
        assert_eq!(kernel.vm.words, call);
        let next = said(|ctx, range| {
            let cells = [load(ctx, range, &kernel.first), load_made(ctx, &kernel.vm)];
            kernel::constrain(ctx, &Chips::new(range), [&cells[0], &cells[1]], kernel)
        });
        let children = [Some(&kernel.first), Some(&kernel.vm)];
        let record = Record::over_children(Kind::Kernel, next.payee, children);
        first = Child { words: next, credit: record.ok() };
    }
    assert_eq!(proved.base.child, first);
    assert_eq!(proved.child.words, prove(&proved.base).1);
}

/// The application's rows by kind, children's words included: a change is a change of every key.
#[test]
fn the_rows_of_every_kind_are_as_measured() {
    let rows = |bits, circuit: &dyn Fn(&mut Context<Fr>, &Gates)| {
        build(bits, |ctx, range| circuit(ctx, range)).0.shape().rows
    };
    let child = Child::placeholder();
    let tx = rows(11, &|ctx, range| {
        tx::constrain(ctx, &Chips::new(range), &tx::TxInput::placeholder());
    });
    let vm = rows(13, &|ctx, range| {
        vm::circuit::constrain(ctx, &Chips::new(range), &vm::VmInput::placeholder());
    });
    let kernel = rows(16, &|ctx, range| {
        let cells = [load(ctx, range, &child), load_made(ctx, &child)];
        let input = kernel::KernelInput::placeholder();
        kernel::constrain(ctx, &Chips::new(range), [&cells[0], &cells[1]], &input);
    });
    let merge = rows(16, &|ctx, range| {
        let cells = [load_made(ctx, &child), load_made(ctx, &child)];
        let input = merge::MergeInput::placeholder();
        merge::constrain(ctx, &Chips::new(range), [&cells[0], &cells[1]], &input);
    });
    let root = rows(16, &|ctx, range| {
        let cells = load_made(ctx, &child);
        root::constrain(ctx, &Chips::new(range), &cells, &root::RootInput::placeholder(fr(1)));
    });
    let base = prove(&BaseInput::placeholder()).0.shape().rows;
    assert_eq!([tx, vm, kernel, base, merge, root], [837, 14_574, 429, 25_504, 401, 250]);
}

#[test]
fn a_wrong_tx_is_refused() {
    let base = three().base;
    assert!(accepts(&base, |_, _| ()));
    assert!(!accepts(&base, |_, free| free.tx[2] = fr(9)), "a smaller fee than was signed");
    assert!(!accepts(&base, |_, free| free.tx[1] += fr(1)), "another nonce than was signed");
    assert!(!accepts(&base, |child, _| child.words.end = fr(1)), "a call is left");
    assert!(!accepts(&base, |child, _| child.words.count = fr(2)), "fewer calls done");
    assert!(!accepts(&base, |child, _| child.words.aux += fr(1)), "another log");
    assert!(!accepts(&base, |child, free| {
        free.tx[4] = fr(2);
        child.words.start = tagged(Tag::Tx, &free.tx);
    }));
}

/// A base over a tx that does not fit the account, with everything else consistent.
fn paying(nonce: u64, fee: u64) -> (BaseInput, bool) {
    let world = World::new();
    let tx = Tx { nonce, fee, ..world.tx(vec![]) };
    let base = BaseInput {
        child: Child::tx(tx.words()),
        start: world.tree.root(),
        witness: world.tree.witness(&[account_key(tx.account)]).unwrap(),
        tx,
        logs: vec![],
        payee: [1; 20],
    };
    let honest = BaseInput { tx: world.tx(vec![]), ..base.clone() };
    let accepted = accepts(&base, |_, free| {
        let known = Free::of(&honest);
        (free.balance, free.siblings) = (known.balance, known.siblings);
    });
    (base, accepted)
}

#[test]
fn a_tx_that_does_not_fit_the_account_is_refused() {
    assert!(paying(7, 1_000).1, "the whole balance");
    let (base, accepted) = paying(8, 10);
    assert!(!accepted);
    assert_eq!(base.check(), Err(WitnessError::Nonce { tx: 8, account: 7 }));
    let (base, accepted) = paying(7, 1_001);
    assert!(!accepted, "a balance must not wrap");
    assert_eq!(base.check(), Err(WitnessError::Balance { fee: 1_001, balance: 1_000 }));
}

#[test]
fn a_balance_wrapped_in_the_field_is_refused() {
    let base = three().base;
    // nonce·2^64 + balance with a balance of −1 and one nonce more is the same word.
    assert!(!accepts(&base, |child, free| {
        free.tx[1] += fr(1);
        free.balance -= fr(1 << 32) * fr(1 << 32);
        child.words.start = tagged(Tag::Tx, &free.tx);
    }));
}

/// The log with a change, and the child's word to match: the tree alone must refuse it.
fn with_log(change: impl FnOnce(&mut [[Access; ENTRIES]; MAX_CALLS])) -> (BaseInput, bool) {
    let mut base = three().base;
    let mut logs = Free::of(&base).logs;
    change(&mut logs);
    let lengths: Vec<_> = base.logs.iter().map(Vec::len).collect();
    base.logs = logs.iter().zip(lengths).map(|(log, n)| log[..n].to_vec()).collect();
    let honest = three().base;
    base.child.words.aux = chain_logs(&base.logs);
    let accepted = accepts(&base, |_, free| {
        let known = Free::of(&honest);
        (free.balance, free.siblings) = (known.balance, known.siblings);
    });
    (base, accepted)
}

#[test]
fn a_log_the_tree_does_not_bear_out_is_refused() {
    assert!(with_log(|_| ()).1);
    let (base, accepted) = with_log(|logs| logs[1][0].old = fr(600));
    assert!(!accepted, "a stale old value");
    assert_eq!(base.check(), Err(WitnessError::stale(base.logs[1][0].key)));
    let (base, accepted) = with_log(|logs| logs[2][1] = logs[2][0]);
    assert!(!accepted, "one key twice in a call");
    assert_eq!(base.check(), Err(WitnessError::stale(base.logs[2][0].key)));
    let (base, accepted) = with_log(|logs| logs.swap(0, 1));
    assert!(!accepted, "siblings of another access");
    assert_ne!(base.child.words.aux, three().base.child.words.aux);
    let (base, accepted) = with_log(|logs| logs[1][0].key += fr(1 << DEPTH));
    assert!(!accepted, "another key of the same position");
    let key = base.logs[1][0].key;
    assert_eq!(base.check(), Err(WitnessError::PathMissing { key: to_word(key) }));
}

#[test]
fn logs_in_another_order_than_the_calls_are_refused() {
    let mut base = three().base;
    base.logs.swap(0, 1);
    assert_eq!(base.check(), Err(WitnessError::Opening { what: "log" }));
    let honest = three().base;
    assert!(!accepts(&honest, |_, free| {
        free.logs.swap(0, 1);
        let (first, second) = free.siblings[1..=2 * ENTRIES].split_at_mut(ENTRIES);
        first.swap_with_slice(second);
    }));
}

#[test]
fn a_path_of_another_key_is_refused() {
    let base = three().base;
    assert!(!accepts(&base, |_, free| free.siblings[1] = free.siblings[5]));
    assert!(!accepts(&base, |_, free| free.siblings[0][27] += fr(1)));
    let mut wrong = base.clone();
    wrong.witness.openings[2].siblings = wrong.witness.openings[1].siblings.clone();
    assert_eq!(wrong.check().unwrap_err().code(), "WIT-014");
    let mut missing = base;
    missing.witness.openings.remove(1);
    assert_eq!(missing.check().unwrap_err().code(), "WIT-013");
    assert_eq!(ACCESSES, 13);
}

#[test]
fn a_write_to_a_position_held_by_another_key_is_refused() {
    let mut world = World::new();
    let tx = world.tx(vec![world.call(&world.counter, [5, 0, 0, 0])]);
    let base = world.prove(&tx, &[1]).base;
    let key = base.logs[0][0].key;
    // Another key takes the position first; its siblings are as before, the leaf is not.
    let mut held = Tree::new();
    let fresh = World::new();
    let owner = account_key(fresh.account());
    held.set(owner, fresh.tree.get(owner).unwrap()).unwrap();
    held.set(key + fr(1 << DEPTH), fr(1)).unwrap();
    let place = position(key);
    let taken = WitnessError::PositionTaken { position: place, key: to_word(key) };
    assert_eq!(held.witness(&[owner, key]), Err(taken));
    let start = held.root();
    let siblings = |key| -> [Fr; DEPTH] { held.open(key).unwrap().siblings.try_into().unwrap() };
    let account = siblings(owner);
    let path = siblings(key + fr(1 << DEPTH));
    let accepted = |value: Fr| {
        accepts(&base, |child, free| {
            free.start = start;
            free.siblings = [[fr(0); DEPTH]; ACCESSES];
            free.siblings[0] = account;
            free.siblings[1] = path;
            free.logs[0] = Default::default();
            free.logs[0][0] = Access { key, old: value, new: fr(9) };
            child.words.aux = h2(fr(0), log_hash(&free.logs[0]));
        })
    };
    assert!(!accepted(fr(0)), "as if nothing stood there");
    assert!(!accepted(fr(1)), "as if the value were this key's");
}
