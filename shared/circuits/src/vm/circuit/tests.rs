//! The circuit against the interpreter, and what it refuses.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::poseidon::h2;
use crate::poseidon::mock::{Built, Shape, build};
use crate::tx::Words;
use crate::vm::asm::assemble;
use crate::vm::tests::{PROGRAMS, fr};
use crate::vm::{Execution, Instruction, Op, log_hash, run as interpret};

/// Lookup bits of `vm` at k = 14.
const LOOKUP_BITS: u32 = 13;
/// Rows at k = 14, less those a circuit cannot use.
const CAPACITY: usize = 16_384 - 40;

fn prove(input: &VmInput) -> (Built, Words) {
    build(LOOKUP_BITS, |ctx, range| {
        Words::from_array(constrain(ctx, &Chips::new(range), input).map(|cell| *cell.value()))
    })
}

/// The witness of a call over a storage that reads `read`.
fn witness(program: Program, args: [Fr; 4], read: impl Fn(Fr) -> Fr) -> (VmInput, Execution) {
    let call = Call { caller: fr(77), program: program.hash(), args };
    let mut slots = Vec::new();
    let execution = interpret(&program, call.caller, &call.args, &mut |slot| {
        slots.push((slot, read(slot)));
        read(slot)
    });
    (VmInput { program, call, slots, payee: [3; 20] }, execution)
}

/// Calls of the shipped programs, one that succeeds and one that reverts of each.
fn shipped() -> Vec<VmInput> {
    let (own0, own1) = (h2(fr(77), fr(0)), h2(fr(77), fr(1)));
    let state = BTreeMap::from([
        (fr(0), fr(1_000)),
        (fr(1), fr(2_000)),
        (own0, fr(500)),
        (own1, fr(0)),
        (fr(77), fr(50)),
    ]);
    let calls = [
        (0, [5, 0, 0, 0]),
        (1, [4, 50, 0, 0]),
        (1, [4, 51, 0, 0]),
        (2, [0, 100, 181, 0]),
        (2, [0, 100, 182, 0]),
    ];
    let read = |slot: Fr| state.get(&slot).copied().unwrap_or_default();
    let call = |(program, args): (usize, [u64; 4])| {
        witness(assemble(PROGRAMS[program]).unwrap(), args.map(fr), read).0
    };
    calls.into_iter().map(call).collect()
}

#[test]
fn the_shipped_programs_are_provable_whether_they_revert_or_not() {
    for input in shipped() {
        let (built, words) = prove(&input);
        assert!(built.satisfied());
        assert_eq!(words, input.check().unwrap());
    }
}

#[test]
fn the_layout_fits_and_never_depends_on_the_witness() {
    let shape = |input: &VmInput| -> Shape { prove(input).0.shape() };
    let expected = shape(&VmInput::placeholder());
    assert!(expected.rows <= CAPACITY, "{} rows", expected.rows);
    for input in shipped() {
        assert_eq!(shape(&input), expected);
    }
}

#[test]
fn the_mock_prover_accepts_a_swap_at_k_14() {
    let (built, _) = prove(&shipped()[3]);
    assert!(built.satisfied_by_mock_prover());
}

/// A program of random instructions: mostly forward jumps and few registers, so that many run for
/// a while and touch storage more than once.
fn random_program(rng: &mut ChaCha8Rng) -> Program {
    let length = rng.gen_range(4..=INSTRUCTIONS);
    let instruction = |rng: &mut ChaCha8Rng, at: usize| {
        let op = Op::ALL[rng.gen_range(0..Op::ALL.len() + 6).min(13)];
        // Rare and common ops: halt seldom, storage and hash often.
        let op = if op == Op::Halt && rng.gen_bool(0.7) {
            Op::Add
        } else if op == Op::Assert && rng.gen_bool(0.6) {
            [Op::Load, Op::Store, Op::Hash, Op::Lt][rng.gen_range(0..4)]
        } else {
            op
        };
        let jumps = matches!(op, Op::Jmp | Op::Jnz);
        let imm = match rng.gen_range(0..10) {
            0 => rng.r#gen(),
            1 => u128::MAX,
            _ if jumps => rng.gen_range(at as u128 / 2..(at as u128 + 6).min(34)),
            _ => rng.gen_range(0..4),
        };
        let [a, b, c] = [0; 3].map(|_| rng.gen_range(0..8) / rng.gen_range(1..3));
        Instruction { op, a, b, c, imm }
    };
    let instructions: Vec<_> = (0..length).map(|at| instruction(rng, at)).collect();
    Program::new(&instructions).unwrap()
}

#[test]
fn circuit_and_interpreter_agree_on_random_programs() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let pool =
        [fr(0), fr(1), fr(2), fr(31), -fr(1), -fr(2), fr(u64::MAX), fr(1 << 40) * fr(1 << 50)];
    let (mut reverted, mut entries, mut long, mut hashes) = (0, 0, 0, 0);
    for round in 0..140 {
        let args = [0; 4].map(|_| pool[rng.gen_range(0..pool.len())]);
        let program = random_program(&mut rng);
        let read = |slot: Fr| if slot == fr(2) { fr(0) } else { slot + fr(3) };
        let (input, execution) = witness(program, args, read);
        let (built, words) = prove(&input);
        assert!(built.satisfied(), "round {round}: {:?}", input.program.instructions());
        assert_eq!(words, input.check().unwrap(), "round {round}: {execution:?}");
        assert_eq!(words.end, log_hash(&execution.log));
        reverted += usize::from(execution.reverted);
        entries += execution.log.len();
        long += usize::from(execution.steps > 20);
        hashes += usize::from(Free::of(&input).hashes[0] != [fr(0); 2]);
    }
    // The programs are worth running only if they do something.
    assert!((20..120).contains(&reverted), "{reverted} of 140 reverted");
    assert!(entries > 60, "{entries} entries");
    assert!(long > 5, "{long} ran for more than 20 steps");
    assert!(hashes > 20, "{hashes} hashed");
}

#[test]
fn every_cause_of_a_revert_is_provable() {
    let long = "mov r1 r1\n".repeat(32);
    let five = "const r1 1\nload r2 [r1]\nload r2 [r3]\nadd r3 r3 r1\nload r2 [r3]
        add r3 r3 r1\nstore [r3] r2\nadd r3 r3 r1\nstore [r3] r1\nhalt";
    let texts = [
        "const r1 9\nconst r2 8\nstore [r2] r1\nassert r7\nhalt",
        "const r1 9\nstore [r1] r1\njmp revert",
        "store [r1] r1\nloop:\njmp loop",
        five,
        "load r6 [r1]\nhash r1 r1 r2\nhash r1 r1 r2\nhash r1 r1 r2\nhalt",
        "store [r2] r2\nconst r1 0\nconst r2 1\nsub r1 r1 r2\nlt r3 r1 r2\nhalt",
        "store [r2] r2\nconst r1 0\nconst r2 1\nsub r1 r1 r2\nlt r3 r2 r1\nhalt",
        &long,
    ];
    for text in texts {
        let args = [1, 2, 3, 4].map(fr);
        let (input, execution) = witness(assemble(text).unwrap(), args, |slot| slot + fr(1));
        assert!(execution.reverted, "{text}");
        assert!(execution.log.iter().all(|access| access.new == access.old));
        let (built, words) = prove(&input);
        assert!(built.satisfied(), "{text}");
        assert_eq!(words, input.check().unwrap(), "{text}");
    }
}

/// Whether the circuit accepts changed free cells.
fn accepts(input: &VmInput, change: impl FnOnce(&mut Free<'_>)) -> bool {
    let mut free = Free::of(input);
    change(&mut free);
    let (built, _) = build(LOOKUP_BITS, |ctx, range| run(ctx, &Chips::new(range), &free));
    built.satisfied()
}

#[test]
fn wrong_free_cells_are_refused() {
    let swap = &shipped()[3];
    assert!(accepts(swap, |_| ()));
    assert!(!accepts(swap, |free| free.hashes[0][1] += fr(1)), "input of another hash");
    assert!(!accepts(swap, |free| free.hashes.swap(0, 1)), "hashes in another order");
    assert!(!accepts(swap, |free| free.words[3] += fr(1)), "a step decoded from another word");
    assert!(!accepts(swap, |free| free.words[0] = fr(14)), "an op that does not exist");
    assert!(!accepts(swap, |free| free.words[0] += fr(1 << 13)), "a bit between the fields");
    let other = assemble(PROGRAMS[1]).unwrap();
    assert!(!accepts(swap, |free| {
        free.words = other.instructions().map(|instruction| instruction.word());
    }));
}

#[test]
fn a_proof_of_another_program_says_another_call() {
    let mut input = shipped().swap_remove(1);
    let named = input.call;
    input.program = assemble(PROGRAMS[0]).unwrap();
    assert_eq!(input.check().unwrap_err().code(), "WIT-004");
    let (built, words) = prove(&input);
    assert!(built.satisfied(), "it is a proof of some call");
    assert_ne!(words.start, named.hash(), "but not of this one");
}

#[test]
fn a_slot_the_witness_does_not_give_is_named() {
    let mut input = shipped().swap_remove(0);
    input.slots.truncate(1);
    assert_eq!(input.check().unwrap_err().code(), "WIT-005");
}

#[test]
fn a_slot_touched_twice_stands_once_in_the_log() {
    let text = "load r2 [r1]\nstore [r1] r3\nload r4 [r1]\nstore [r2] r4\nhalt";
    let (input, execution) = witness(assemble(text).unwrap(), [1, 2, 3, 4].map(fr), |_| fr(5));
    assert_eq!(execution.slots, [fr(1), fr(5)]);
    assert_eq!(execution.log[1].new, fr(3));
    let (built, words) = prove(&input);
    assert!(built.satisfied());
    assert_eq!(words.end, log_hash(&execution.log));
}

/// The old values are free here and bound by `base`: they must be what the log says.
#[test]
fn another_old_value_is_another_log() {
    let input = &shipped()[0];
    let log = |old: Fr| {
        let mut free = Free::of(input);
        free.olds[0] = old;
        let (built, [_, log]) = build(LOOKUP_BITS, |ctx, range| {
            run(ctx, &Chips::new(range), &free).map(|cell| *cell.value())
        });
        assert!(built.satisfied());
        log
    };
    assert_ne!(log(fr(1)), log(fr(2)));
}
