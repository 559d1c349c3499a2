//! Credit: values, collapse, and every way to open or make a record wrongly.

use protocol::Kind;

use super::circuit::{Earner, constrain, free};
use super::*;
use crate::base::world::{credit, fr, load, load_made, payee};
use crate::poseidon::Chips;
use crate::poseidon::mock::build;
use crate::tx::Words;

/// A child with this record.
fn child(credit: &Credit) -> Child {
    let record = Record::from_credit(credit).unwrap();
    let words = Words { credit: record.value(), payee: record.payee, ..Words::default() };
    Child::made(words, credit).unwrap()
}

/// What the circuit makes of two children and their claimed records: value and units.
fn made(by: u8, children: [(&Child, [Fr; 6]); 2]) -> Option<[Fr; 2]> {
    let payee = payee_word(Address(payee(by)));
    let (built, out) = build(15, |ctx, range| {
        let payee = ctx.load_witness(payee);
        let cells = [load_made(ctx, children[0].0), load_made(ctx, children[1].0)];
        let earners: [Earner<'_>; 2] = [(&cells[0], children[0].1), (&cells[1], children[1].1)];
        let own = (Kind::Merge, payee);
        let credit = constrain(ctx, &Chips::new(range), own, earners.map(Some));
        [*credit.value.value(), *credit.total.value()]
    });
    built.satisfied().then_some(out)
}

fn open(child: &Child) -> [Fr; 6] {
    free(child.credit.as_ref())
}

fn leaf(by: u8) -> Credit {
    credit(Kind::Base, payee(by), [&None, &None])
}

/// A record that is not uniform: a merge by `by` over bases of 1 and 2.
fn mixed(by: u8) -> Credit {
    credit(Kind::Merge, payee(by), [&Some(leaf(1)), &Some(leaf(2))])
}

#[test]
fn a_value_is_the_stated_hash() {
    let record = Credit { left: to_word(fr(5)), right: to_word(fr(6)), ..mixed(3) };
    let meta = fr(4) * fr(1 << 32) * fr(1 << 32) * fr(1 << 32) * fr(1 << 32)
        + fr(173) * fr(1 << 32) * fr(1 << 32)
        + fr(523);
    let payee = payee_word(Address(payee(3)));
    let expected = h2(tagged(Tag::Credit, &[meta, payee]), h2(fr(5), fr(6)));
    assert_eq!(value(&record).unwrap(), expected);
    let foreign = Credit { left: [0xff; 32], ..record };
    assert_eq!(value(&foreign), Err(WitnessError::NotAField));
}

#[test]
fn an_address_is_its_160_bits() {
    let mut address = [0; 20];
    address[19] = 1;
    address[18] = 2;
    assert_eq!(payee_word(Address(address)), fr(513));
    assert_eq!(to_word(payee_word(Address([0xff; 20])))[..12], [0; 12]);
}

#[test]
fn work_of_one_payee_collapses_and_other_work_does_not() {
    // (children's payees, own payee, kind of the record)
    let cases = [(1, 1, 1, 6), (1, 1, 2, 4), (1, 2, 1, 4), (2, 1, 1, 4), (2, 2, 1, 4)];
    for (left, right, own, kind) in cases {
        let children = [leaf(left), leaf(right)];
        let record = credit(Kind::Merge, payee(own), [&Some(children[0]), &Some(children[1])]);
        assert_eq!(record.kind, kind, "{left} {right} under {own}");
        assert_eq!(record.total, 2 * 175 + 173);
        assert_eq!(record.own, if kind == 6 { record.total } else { 173 });
        let none = (record.left, record.right) == ([0; 32], [0; 32]);
        assert_eq!(none, kind == 6);
        let [a, b] = children.map(|record| child(&record));
        let made = made(own, [(&a, open(&a)), (&b, open(&b))]).unwrap();
        assert_eq!(made, [value(&record).unwrap(), fr(record.total)]);
    }
    let over = credit(Kind::Merge, payee(1), [&Some(mixed(1)), &Some(leaf(1))]);
    assert_eq!(over.kind, 4, "a child that is not uniform is enough");
}

#[test]
fn the_record_that_was_not_collapsed_is_not_what_a_proof_says() {
    let children = [leaf(1), leaf(1)];
    let [a, b] = children.map(|record| child(&record));
    let [said, _] = made(1, [(&a, open(&a)), (&b, open(&b))]).unwrap();
    let [left, right] = children.map(|record| to_word(value(&record).unwrap()));
    let deep = Credit { kind: 4, own: 173, total: 523, payee: Address(payee(1)), left, right };
    assert_ne!(said, value(&deep).unwrap());
}

#[test]
fn a_record_that_does_not_open_the_child_is_refused() {
    let (good, other) = (child(&leaf(1)), child(&mixed(1)));
    let accepted = |claimed: [Fr; 6]| made(1, [(&good, claimed), (&other, open(&other))]).is_some();
    let honest = open(&good);
    assert!(accepted(honest));
    let change = |index: usize, to: Fr| {
        let mut claimed = honest;
        claimed[index] = to;
        accepted(claimed)
    };
    assert!(!change(0, fr(3)), "another kind");
    assert!(!change(1, -fr(1)), "own units of r − 1");
    assert!(!change(2, -fr(1)), "total units of r − 1");
    assert!(!change(2, fr(176)), "a unit more");
    assert!(!change(3, payee_word(Address(payee(2)))), "another payee");
    assert!(!change(4, fr(1)), "a left child where there is none");
    assert!(!accepted(open(&other)), "the record of another child");
}

/// Units are summed in the field: r − 1 in a record whose child's value is made from it must
/// fail by its width alone.
#[test]
fn units_wider_than_64_bits_are_refused_even_when_they_open() {
    let total = -fr(1);
    let words = |total: Fr| {
        let record = Record::from_credit(&leaf(1)).unwrap();
        let two = fr(1 << 32) * fr(1 << 32);
        let meta = fr(6) * two * two + fr(175) * two + total;
        let value = h2(tagged(Tag::Credit, &[meta, record.payee]), h2(fr(0), fr(0)));
        Words { credit: value, payee: record.payee, ..Words::default() }
    };
    let claimed = |total: Fr| {
        let mut claimed = free(Some(&Record::from_credit(&leaf(1)).unwrap()));
        claimed[2] = total;
        claimed
    };
    let accepted = |total: Fr| {
        let child = Child { words: words(total), credit: None };
        let other = self::child(&leaf(1));
        made(1, [(&child, claimed(total)), (&other, open(&other))])
    };
    assert_eq!(accepted(fr(175)).unwrap()[1], fr(523));
    assert!(accepted(total).is_none());
    assert!(accepted(fr(u64::MAX)).is_none(), "the sum leaves 64 bits");
    let most = Credit { total: u64::MAX, ..leaf(1) };
    let sum = combine(Kind::Merge, Address(payee(1)), [Some(&most), Some(&leaf(1))]);
    assert_eq!(sum.unwrap_err().code(), "WIT-009");
}

#[test]
fn an_inner_node_does_not_open_as_a_leaf() {
    let inner = child(&mixed(1));
    let other = child(&leaf(1));
    let record = inner.credit.unwrap();
    // As a uniform record of the same units and payee, and as a base.
    for kind in [Credit::UNIFORM, Kind::Base as u8] {
        let as_leaf = Record { kind, left: Fr::zero(), right: Fr::zero(), ..record };
        assert!(made(1, [(&inner, free(Some(&as_leaf))), (&other, open(&other))]).is_none());
        let kept = Record { kind, ..record };
        assert!(made(1, [(&inner, free(Some(&kept))), (&other, open(&other))]).is_none());
    }
}

#[test]
fn the_payee_word_of_a_child_must_be_its_records() {
    let mut stolen = child(&leaf(1));
    stolen.words.payee = payee_word(Address(payee(2)));
    let other = child(&leaf(1));
    assert!(made(1, [(&stolen, open(&stolen)), (&other, open(&other))]).is_none());
    let claimed = child(&leaf(2)).credit;
    assert!(made(2, [(&stolen, free(claimed.as_ref())), (&other, open(&other))]).is_none());
    let children = [Some(&stolen), Some(&other)];
    let native = Record::over_children(Kind::Merge, fr(1), children);
    assert_eq!(native, Err(WitnessError::Record { kind: Kind::Merge }));
}

#[test]
fn a_child_made_by_nobody_has_no_record_and_one_by_a_prover_must_open() {
    let made = |child: &Child, flag: bool, claimed: [Fr; 6]| {
        let (built, value) = build(15, |ctx, range| {
            let payee = ctx.load_witness(payee_word(Address(payee(1))));
            let mut cells = load(ctx, range, child);
            let chips = Chips::new(range);
            cells.made = Made::If(chips.bit(ctx, flag));
            let own = (Kind::Base, payee);
            let credit = constrain(ctx, &chips, own, [Some((&cells, claimed)), None]);
            *credit.value.value()
        });
        built.satisfied().then_some(value)
    };
    let tx = Child::tx(Words::default());
    let kernel = child(&credit(Kind::Kernel, payee(1), [&None, &None]));
    let kernel2 = child(&credit(Kind::Kernel, payee(2), [&None, &None]));
    let over = |below: &Child| {
        let own =
            Record::over(Kind::Base, payee_word(Address(payee(1))), [below.credit.as_ref(), None]);
        Some(own.unwrap().value())
    };
    assert_eq!(made(&tx, false, [fr(0); 6]), over(&tx));
    assert_eq!(made(&kernel, true, open(&kernel)), over(&kernel));
    assert_eq!(made(&kernel2, true, open(&kernel2)), over(&kernel2));
    assert_eq!(made(&tx, false, open(&kernel)), over(&tx), "a record nobody asked for counts not");
    assert_eq!(made(&kernel, false, open(&kernel)), None, "a kernel passed off as a tx");
    assert_eq!(made(&tx, true, [fr(0); 6]), None, "a tx passed off as a kernel");
    assert_eq!(made(&tx, true, open(&kernel)), None);
}
