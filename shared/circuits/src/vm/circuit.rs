//! The circuit `vm`: one call of any program, 64 steps of which those behind the end do nothing.
//!
//! The program's 32 words are free cells bound by its hash; each step picks one of them, decodes it
//! and applies it, always with the same gates. A call that reverted goes on as `halt`, so what it
//! touched before stands in its log. The values before the call are free: `base` compares them
//! with the tree.
//!
//! Cells at k = 16 (4 × 65,536): 65 permutations 0.146M, of which the program's hash 32; 64 steps
//! about 0.1M.

use std::array::from_fn;

use halo2_base::gates::GateInstructions;
use halo2_base::{AssignedValue, Context};
use protocol::Kind;

use super::interpret::trace;
use super::{ENTRIES, HASHES, INSTRUCTIONS, Program, REGISTERS, STEPS, VmInput};
use crate::credit::circuit;
use crate::poseidon::{Chips, Fr, Tag};
use crate::tx::{ARGS, Call};

mod step;
#[cfg(test)]
mod tests;

/// The free cells of `vm`, as its builder is given them: no rule is checked here.
pub(crate) struct Free<'a> {
    /// What each step is decoded from.
    pub(crate) program: &'a Program,
    /// The words that are hashed and fetched.
    pub(crate) words: [Fr; INSTRUCTIONS],
    /// Value before the call, by entry.
    pub(crate) olds: [Fr; ENTRIES],
    /// Inputs of the hash steps.
    pub(crate) hashes: [[Fr; 2]; HASHES],
    /// The call.
    pub(crate) call: Call,
}

impl<'a> Free<'a> {
    /// The cells of a witness.
    pub(crate) fn of(input: &'a VmInput) -> Self {
        let mut read = |slot| input.value(slot);
        let trace = trace(&input.program, input.call.caller, &input.call.args, &mut read);
        let log = &trace.execution.log;
        Self {
            program: &input.program,
            words: input.program.instructions().map(|instruction| instruction.word()),
            olds: from_fn(|i| log.get(i).map_or(Fr::zero(), |access| access.old)),
            hashes: from_fn(|i| trace.hashes.get(i).copied().unwrap_or_default()),
            call: input.call,
        }
    }
}

/// A storage entry between two steps.
#[derive(Clone, Copy)]
struct EntryCells {
    /// 1 from its first touch on.
    used: AssignedValue<Fr>,
    slot: AssignedValue<Fr>,
    current: AssignedValue<Fr>,
}

/// One of the call's hashes: two inputs and H2 of them.
struct HashCells {
    inputs: [AssignedValue<Fr>; 2],
    output: AssignedValue<Fr>,
}

/// What does not change from step to step.
struct Fixed<'a> {
    chips: &'a Chips<'a>,
    program: &'a Program,
    words: [AssignedValue<Fr>; INSTRUCTIONS],
    /// Value before the call, by entry.
    olds: [AssignedValue<Fr>; ENTRIES],
    hashes: [HashCells; HASHES],
}

/// What does.
struct State {
    /// Index of the next instruction, below 32.
    pc: AssignedValue<Fr>,
    /// 1 until the call reverts.
    live: AssignedValue<Fr>,
    /// 1 when the last step was `halt`.
    halted: AssignedValue<Fr>,
    registers: [AssignedValue<Fr>; REGISTERS],
    entries: [EntryCells; ENTRIES],
    /// Which of the hashes are used up.
    hashed: [AssignedValue<Fr>; HASHES],
}

/// The circuit `vm`: words 1 to 7.
pub fn constrain(
    ctx: &mut Context<Fr>,
    chips: &Chips<'_>,
    input: &VmInput,
) -> [AssignedValue<Fr>; 7] {
    let [call, log] = run(ctx, chips, &Free::of(input));
    let payee = chips.payee(ctx, input.payee);
    let credit = circuit::constrain(ctx, chips, (Kind::Vm, payee), [None, None]);
    let zero = ctx.load_zero();
    [call, log, zero, zero, credit.value, payee, zero]
}

/// The hash of the call and of its log.
pub(crate) fn run(
    ctx: &mut Context<Fr>,
    chips: &Chips<'_>,
    free: &Free<'_>,
) -> [AssignedValue<Fr>; 2] {
    let fixed = Fixed::load(ctx, chips, free);
    let program = chips.tagged(ctx, Tag::Program, &fixed.words);
    let caller = ctx.load_witness(free.call.caller);
    let args = free.call.args.map(|arg| ctx.load_witness(arg));
    let [a, b, c, d] = args;
    let call = chips.tagged(ctx, Tag::Call, &[caller, program, a, b, c, d]);
    let mut state = State::start(ctx, caller, args);
    for _ in 0..STEPS {
        state = fixed.step(ctx, &state);
    }
    [call, fixed.log(ctx, &state, program)]
}

impl<'a> Fixed<'a> {
    fn load(ctx: &mut Context<Fr>, chips: &'a Chips<'a>, free: &Free<'a>) -> Self {
        Self {
            chips,
            program: free.program,
            words: free.words.map(|word| ctx.load_witness(word)),
            olds: free.olds.map(|word| ctx.load_witness(word)),
            hashes: free.hashes.map(|inputs| {
                let inputs = inputs.map(|word| ctx.load_witness(word));
                HashCells { inputs, output: chips.h2(ctx, inputs[0], inputs[1]) }
            }),
        }
    }

    /// P(7; entries): new values only of a call that ended by `halt`.
    fn log(
        &self,
        ctx: &mut Context<Fr>,
        state: &State,
        program: AssignedValue<Fr>,
    ) -> AssignedValue<Fr> {
        let (chips, gate) = (self.chips, self.chips.gate());
        let done = gate.and(ctx, state.live, state.halted);
        let mut words = Vec::with_capacity(3 * ENTRIES);
        for (entry, old) in state.entries.iter().zip(&self.olds) {
            let key = chips.tagged(ctx, Tag::Key, &[program, entry.slot]);
            let new = gate.select(ctx, entry.current, *old, done);
            words.extend([key, *old, new].map(|word| gate.mul(ctx, word, entry.used)));
        }
        chips.tagged(ctx, Tag::Log, &words)
    }
}

impl State {
    fn start(
        ctx: &mut Context<Fr>,
        caller: AssignedValue<Fr>,
        args: [AssignedValue<Fr>; ARGS],
    ) -> Self {
        let (zero, one) = (ctx.load_zero(), ctx.load_constant(Fr::one()));
        let mut registers = [zero; REGISTERS];
        registers[0] = caller;
        registers[1..=ARGS].copy_from_slice(&args);
        Self {
            pc: zero,
            live: one,
            halted: zero,
            registers,
            entries: [EntryCells { used: zero, slot: zero, current: zero }; ENTRIES],
            hashed: [zero; HASHES],
        }
    }
}
