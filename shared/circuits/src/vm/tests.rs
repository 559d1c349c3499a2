//! What programs do: the shipped ones, and every way a call reverts.

use std::collections::BTreeMap;

use super::asm::assemble;
use super::*;
use crate::poseidon::h2;
use crate::state::storage_key;

pub(crate) const PROGRAMS: [&str; 3] = [
    include_str!("../../../../assets/programs/counter.asm"),
    include_str!("../../../../assets/programs/transfer.asm"),
    include_str!("../../../../assets/programs/swap.asm"),
];

pub(crate) fn fr(x: u64) -> Fr {
    Fr::from(x)
}

/// Runs a text for caller 77 over `slots`.
fn call(text: &str, args: [u64; 4], slots: &[(Fr, u64)]) -> Execution {
    let program = assemble(text).unwrap();
    let slots: BTreeMap<_, _> = slots.iter().copied().collect();
    let mut read = |slot: Fr| slots.get(&slot).map_or(Fr::zero(), |value| fr(*value));
    run(&program, fr(77), &args.map(fr), &mut read)
}

/// Slots and their new values.
fn changes(execution: &Execution) -> Vec<(Fr, Fr)> {
    let new = execution.log.iter().map(|access| access.new);
    execution.slots.iter().copied().zip(new).collect()
}

#[test]
fn the_counter_counts() {
    let execution = call(PROGRAMS[0], [5, 0, 0, 0], &[(fr(0), 3), (fr(1), 40)]);
    assert!(!execution.reverted);
    assert_eq!(changes(&execution), [(fr(0), fr(4)), (fr(1), fr(45))]);
    assert_eq!(execution.result, fr(45));
    let program = assemble(PROGRAMS[0]).unwrap();
    let key = storage_key(program.hash(), fr(1));
    assert_eq!(execution.log[1], Access { key, old: fr(40), new: fr(45) });
}

#[test]
fn a_transfer_moves_what_there_is_and_no_more() {
    let balances = [(fr(77), 100), (fr(5), 7)];
    let moved = call(PROGRAMS[1], [5, 100, 0, 0], &balances);
    assert_eq!(changes(&moved), [(fr(77), fr(0)), (fr(5), fr(107))]);
    let short = call(PROGRAMS[1], [5, 101, 0, 0], &balances);
    assert!(short.reverted);
    assert_eq!(short.log.len(), 1, "the receiver was not reached");
    assert_eq!(short.log[0].new, fr(100));
    let own = call(PROGRAMS[1], [77, 30, 0, 0], &balances);
    assert_eq!(changes(&own), [(fr(77), fr(100))], "to oneself");
    let program = assemble(PROGRAMS[1]).unwrap();
    let negative = run(&program, fr(77), &[fr(5), -fr(3), fr(0), fr(0)], &mut |_| fr(100));
    assert!(negative.reverted, "a negative amount");
}

#[test]
fn a_swap_keeps_the_product() {
    let (own0, own1) = (h2(fr(77), fr(0)), h2(fr(77), fr(1)));
    let state = [(fr(0), 1_000), (fr(1), 2_000), (own0, 500), (own1, 1)];
    // 100 in: at most floor(2000 − 1000·1000·2000 / (1000·1100 − 300)) = 181 out.
    let swap = |token, amount, out| call(PROGRAMS[2], [token, amount, out, 0], &state);
    let good = swap(0, 100, 181);
    assert!(!good.reverted);
    let expected = [(own0, 400), (own1, 182), (fr(0), 1_100), (fr(1), 1_819)];
    assert_eq!(changes(&good), expected.map(|(slot, value)| (slot, fr(value))));
    assert_eq!(good.result, fr(181));
    assert!(swap(0, 100, 182).reverted, "the product would fall");
    assert!(swap(0, 501, 1).reverted, "more than was deposited");
    assert!(swap(2, 1, 0).reverted, "no such token");
    assert!(swap(0, 500, 2_001).reverted, "more than the reserve");
    assert!(swap(1, 2, 0).reverted, "the other side has one");
    assert!(!swap(1, 1, 0).reverted);
}

#[test]
fn whatever_goes_wrong_reverts() {
    let reverts = |text: &str| call(text, [1, 2, 3, 4], &[]).reverted;
    assert!(!reverts("halt"));
    assert!(!reverts(""), "padding halts");
    assert!(reverts("const r1 0\nassert r1\nhalt"));
    assert!(!reverts("assert r1\nhalt"));
    assert!(reverts("jmp revert"));
    assert!(reverts("loop:\njmp loop"), "a step too many");
    let four = "const r1 1\nload r2 [r1]\nload r2 [r3]\nadd r3 r3 r1\nload r2 [r3]
        add r3 r3 r1\nload r2 [r3]\nadd r3 r3 r1\n";
    assert!(!reverts(&format!("{four}load r2 [r1]\nhalt")), "slots 1, 3, 4, 5, and 1 again");
    assert!(reverts(&format!("{four}load r2 [r3]\nhalt")), "a fifth key");
    let hashes = "hash r1 r1 r2\nhash r1 r1 r2\n";
    assert!(!reverts(&format!("{hashes}halt")));
    assert!(reverts(&format!("{hashes}hash r1 r1 r2\nhalt")));
    assert!(reverts("const r1 0\nconst r2 1\nsub r1 r1 r2\nlt r3 r1 r2"));
    assert!(reverts(&"mov r1 r1\n".repeat(32)), "past the last instruction");
    assert!(!reverts(&"mov r1 r1\n".repeat(31)));
}

#[test]
fn the_halt_may_be_the_sixty_fourth_step_and_no_later() {
    // 2 + 2·n steps of a loop, then what is left.
    let text = |extra: &str| {
        format!("const r1 20\nconst r2 1\nloop:\nsub r1 r1 r2\nmov r3 r3\njnz r1 loop\n{extra}halt")
    };
    let exact = call(&text("mov r3 r3\n"), [0; 4], &[]);
    assert_eq!((exact.steps, exact.reverted), (64, false));
    let late = call(&text("mov r3 r3\nmov r3 r3\n"), [0; 4], &[]);
    assert_eq!((late.steps, late.reverted), (64, true));
}

#[test]
fn the_assembler_names_the_line_that_is_wrong() {
    let cases = [
        ("halt\nfly r1", "line 2: fly with 1 operands is no instruction"),
        ("mov r1 r8", "line 1: r8 is no register; there are r0 to r7"),
        ("const r1 -1", "line 1: -1 is no number below 2^128"),
        ("; only\njmp nowhere", "line 2: there is no label nowhere"),
        ("a:\na:\n", "line 2: the label a is there already"),
        ("load r1 r2", "line 1: r2 is no slot; write [r1]"),
    ];
    for (text, message) in cases {
        assert_eq!(assemble(text).unwrap_err().to_string(), message);
    }
    let long = "mov r1 r1\n".repeat(33);
    assert_eq!(assemble(&long).unwrap_err(), ProgramError::TooLong { instructions: 33 });
    assert!(assemble(&";".repeat(40_000)).is_err());
}

#[test]
fn the_hash_of_a_program_is_its_words_padded_with_halt() {
    let program = assemble("const r3 5 ; five\n\n jmp end\nend: \nhash r1 r2 r3").unwrap();
    let mut words = [Fr::zero(); 32];
    words[0] = fr(1 | 3 << 4 | 5 << 16);
    words[1] = fr(8 | 2 << 16);
    words[2] = fr(12 | 1 << 4 | 2 << 7 | 3 << 10);
    assert_eq!(program.hash(), tagged(Tag::Program, &words));
}
