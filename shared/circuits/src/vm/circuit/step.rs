//! One step of the machine in-circuit: fetch, decode, compute, storage, hash, write back, flow.
//!
//! Every op is computed at every step and one is chosen by the op's one-hot bits; a step that is
//! not live decodes the word 0, which is `halt`. So no gate depends on what the program does.

use std::array::from_fn;

use halo2_base::gates::{GateInstructions, RangeInstructions};
use halo2_base::{AssignedValue, Context, QuantumCell};

use super::{EntryCells, Fixed, State};
use crate::poseidon::{Fr, from_u128, to_word};
use crate::vm::{ENTRIES, Instruction, Op, REGISTERS};

/// Bits of a program counter.
const PC_BITS: usize = 5;
/// Bits of an immediate above those of a jump target.
const HIGH_BITS: usize = 128 - PC_BITS;
/// Bits `lt` compares.
const LT_BITS: usize = 128;

type Cell = AssignedValue<Fr>;

/// A decoded instruction.
struct Decoded {
    /// One-hot, by op number.
    op: [Cell; Op::ALL.len()],
    /// One-hot registers.
    a: [Cell; REGISTERS],
    b: [Cell; REGISTERS],
    c: [Cell; REGISTERS],
    imm: Cell,
    /// The low five bits of `imm`.
    target: Cell,
    /// 1 when `imm` is below 32.
    inside: Cell,
}

impl Decoded {
    fn is(&self, op: Op) -> Cell {
        self.op[op as usize]
    }
}

/// A value and whether making it reverts the call.
struct Outcome {
    value: Cell,
    fails: Cell,
}

impl Fixed<'_> {
    /// The state after one more step.
    pub(super) fn step(&self, ctx: &mut Context<Fr>, state: &State) -> State {
        let gate = self.chips.gate();
        let (word, last) = self.fetch(ctx, state);
        let decoded = self.decode(ctx, word, self.instruction(state));
        let [va, vb, vc] = [&decoded.a, &decoded.b, &decoded.c].map(|register| {
            gate.select_by_indicator(ctx, state.registers, register.iter().copied())
        });
        let (entries, loaded) = self.storage(ctx, state, &decoded, [va, vb]);
        let (hashed, hash) = self.hash(ctx, state, &decoded, [vb, vc]);
        let less = self.less(ctx, &decoded, [vb, vc]);
        let values = [
            (Op::Const, decoded.imm),
            (Op::Mov, vb),
            (Op::Add, gate.add(ctx, vb, vc)),
            (Op::Sub, gate.sub(ctx, vb, vc)),
            (Op::Mul, gate.mul(ctx, vb, vc)),
            (Op::Lt, less.value),
            (Op::Eq, gate.is_equal(ctx, vb, vc)),
            (Op::Load, loaded.value),
            (Op::Hash, hash.value),
        ];
        let registers = self.write(ctx, state, &decoded, (va, values));
        let fails = [loaded.fails, hash.fails, less.fails];
        let (pc, live) = self.flow(ctx, (state, last), (&decoded, va), fails);
        State { pc, live, halted: decoded.is(Op::Halt), registers, entries, hashed }
    }

    /// The instruction this step decodes, for the prover.
    fn instruction(&self, state: &State) -> Instruction {
        let pc = usize::from(to_word(*state.pc.value())[31]) % self.words.len();
        if *state.live.value() == Fr::zero() {
            Instruction::HALT
        } else {
            self.program.instructions()[pc]
        }
    }

    /// The word at `pc`, 0 when the call is not live; and whether `pc` is 31. The words stand in
    /// rows of 8: the three low bits of `pc` choose in every row, the two high ones the row.
    fn fetch(&self, ctx: &mut Context<Fr>, state: &State) -> (Cell, Cell) {
        let gate = self.chips.gate();
        let bits = gate.num_to_bits(ctx, state.pc, PC_BITS);
        let columns = gate.bits_to_indicator(ctx, &bits[..3]);
        let rows = gate.bits_to_indicator(ctx, &bits[3..]);
        let row = |row: &[Cell]| {
            gate.select_by_indicator(ctx, row.iter().copied(), columns.iter().copied())
        };
        let chosen: Vec<_> = self.words.chunks(columns.len()).map(row).collect();
        let word = gate.select_by_indicator(ctx, chosen, rows.iter().copied());
        let last = gate.and(ctx, columns[columns.len() - 1], rows[rows.len() - 1]);
        (gate.mul(ctx, word, state.live), last)
    }

    /// word = op + 2^4·a + 2^7·b + 2^10·c + 2^16·imm, all within their widths: one decoding.
    fn decode(&self, ctx: &mut Context<Fr>, word: Cell, instruction: Instruction) -> Decoded {
        let gate = self.chips.gate();
        let op = self.one_hot(ctx, instruction.op as u8);
        let [a, b, c] = [instruction.a, instruction.b, instruction.c].map(|r| self.one_hot(ctx, r));
        let target = from_u128(instruction.imm % (1 << PC_BITS));
        let target = self.chips.load(ctx, target, PC_BITS);
        let high = self.chips.load(ctx, from_u128(instruction.imm >> PC_BITS), HIGH_BITS);
        let power = |bits: usize| QuantumCell::Constant(gate.pow_of_two()[bits]);
        let imm = gate.mul_add(ctx, high, power(PC_BITS), target);
        let mut terms = vec![(imm, *power(16).value())];
        for (indicator, bits) in [(&op[..], 0), (&a[..], 4), (&b[..], 7), (&c[..], 10)] {
            let weigh = |(i, cell): (usize, &Cell)| (*cell, Fr::from((i as u64) << bits));
            terms.extend(indicator.iter().enumerate().skip(1).map(weigh));
        }
        let (cells, weights): (Vec<_>, Vec<_>) = terms.into_iter().unzip();
        let sum = gate.inner_product(ctx, cells, weights.into_iter().map(QuantumCell::Constant));
        ctx.constrain_equal(&sum, &word);
        let inside = gate.is_zero(ctx, high);
        Decoded { op, a, b, c, imm, target, inside }
    }

    /// N bits of which exactly number `hot` is 1.
    fn one_hot<const N: usize>(&self, ctx: &mut Context<Fr>, hot: u8) -> [Cell; N] {
        let gate = self.chips.gate();
        let bits = (0..N).map(|i| Fr::from(u64::from(i == usize::from(hot))));
        let offset = ctx.advice.len() as isize;
        // The cells of a sum: x0, then (x, 1, running sum) for each further one.
        let sum = gate.sum(ctx, bits.map(QuantumCell::Witness));
        gate.assert_is_const(ctx, &sum, &Fr::one());
        let place = |i: usize| if i == 0 { 0 } else { 3 * i as isize - 2 };
        let cells = from_fn(|i| ctx.get(offset + place(i)));
        for cell in &cells {
            gate.assert_bit(ctx, *cell);
        }
        cells
    }

    /// `load` and `store` of slot vb: the entries after it, and the slot's value before it. Fails
    /// for a fifth slot.
    fn storage(
        &self,
        ctx: &mut Context<Fr>,
        state: &State,
        decoded: &Decoded,
        [va, slot]: [Cell; 2],
    ) -> ([EntryCells; ENTRIES], Outcome) {
        let gate = self.chips.gate();
        let access = gate.add(ctx, decoded.is(Op::Load), decoded.is(Op::Store));
        let matches = state.entries.map(|entry| {
            let same = gate.is_equal(ctx, entry.slot, slot);
            gate.and(ctx, same, entry.used)
        });
        let found = gate.sum(ctx, matches);
        let fresh = gate.mul_not(ctx, found, access);
        // The first unused entry takes a fresh slot; what is left of `fresh` has found none.
        let mut left = fresh;
        let taken = state.entries.map(|entry| {
            let next = gate.mul(ctx, left, entry.used);
            let taken = gate.sub(ctx, left, next);
            left = next;
            taken
        });
        let current = state.entries.map(|entry| entry.current);
        let values = current.into_iter().chain(self.olds);
        let chosen = matches.into_iter().chain(taken).map(QuantumCell::Existing);
        let value = gate.inner_product(ctx, values.collect::<Vec<_>>(), chosen.collect::<Vec<_>>());
        let change = gate.sub(ctx, va, value);
        let written = gate.mul_add(ctx, change, decoded.is(Op::Store), value);
        let entries = from_fn(|i| {
            let (entry, taken) = (state.entries[i], taken[i]);
            let touched = gate.mul_add(ctx, matches[i], access, taken);
            let change = gate.sub(ctx, written, entry.current);
            EntryCells {
                used: gate.add(ctx, entry.used, taken),
                slot: gate.mul_add(ctx, taken, slot, entry.slot),
                current: gate.mul_add(ctx, touched, change, entry.current),
            }
        });
        (entries, Outcome { value, fails: left })
    }

    /// `hash`: the next of the two hashes must have these inputs. Fails for a third.
    fn hash(
        &self,
        ctx: &mut Context<Fr>,
        state: &State,
        decoded: &Decoded,
        inputs: [Cell; 2],
    ) -> ([Cell; 2], Outcome) {
        let gate = self.chips.gate();
        let mut left = decoded.is(Op::Hash);
        let taken = state.hashed.map(|used| {
            let next = gate.mul(ctx, left, used);
            let taken = gate.sub(ctx, left, next);
            left = next;
            taken
        });
        let any = gate.add(ctx, taken[0], taken[1]);
        let chosen = |ctx: &mut Context<Fr>, cells: [Cell; 2]| {
            gate.inner_product(ctx, cells, taken.map(QuantumCell::Existing))
        };
        for (side, input) in inputs.into_iter().enumerate() {
            let claimed = chosen(ctx, [0, 1].map(|i| self.hashes[i].inputs[side]));
            let needed = gate.mul(ctx, input, any);
            ctx.constrain_equal(&claimed, &needed);
        }
        let value = chosen(ctx, [0, 1].map(|i| self.hashes[i].output));
        let hashed = from_fn(|i| gate.add(ctx, state.hashed[i], taken[i]));
        (hashed, Outcome { value, fails: left })
    }

    /// `lt`: vb < vc; fails unless both are below 2^128.
    fn less(&self, ctx: &mut Context<Fr>, decoded: &Decoded, operands: [Cell; 2]) -> Outcome {
        let gate = self.chips.gate();
        let parts = operands.map(|operand| self.chips.split(ctx, operand, LT_BITS));
        let [[low_b, high_b], [low_c, high_c]] = parts;
        let value = self.chips.gates.is_less_than(ctx, low_b, low_c, LT_BITS);
        // Two numbers below 2^126: their sum is 0 only when both are.
        let high = gate.add(ctx, high_b, high_c);
        let small = gate.is_zero(ctx, high);
        Outcome { value, fails: gate.mul_not(ctx, small, decoded.is(Op::Lt)) }
    }

    /// Register a takes the op's value; an op without one writes back what stands there.
    fn write(
        &self,
        ctx: &mut Context<Fr>,
        state: &State,
        decoded: &Decoded,
        (va, values): (Cell, [(Op, Cell); 9]),
    ) -> [Cell; REGISTERS] {
        let gate = self.chips.gate();
        let kept = [Op::Halt, Op::Jmp, Op::Jnz, Op::Store, Op::Assert].map(|op| decoded.is(op));
        let kept = gate.sum(ctx, kept);
        // A hash that fails has value 0 and reverts: its write is never seen.
        let ops = values.map(|(op, _)| QuantumCell::Existing(decoded.is(op)));
        let weights = [QuantumCell::Constant(-Fr::one()), QuantumCell::Existing(kept)];
        let cells = [va, va].into_iter().chain(values.map(|(_, value)| value));
        let change =
            gate.inner_product(ctx, cells.collect::<Vec<_>>(), weights.into_iter().chain(ops));
        from_fn(|i| gate.mul_add(ctx, decoded.a[i], change, state.registers[i]))
    }

    /// Where the call goes on, and whether it is still live.
    fn flow(
        &self,
        ctx: &mut Context<Fr>,
        (state, last): (&State, Cell),
        (decoded, va): (&Decoded, Cell),
        fails: [Cell; 3],
    ) -> (Cell, Cell) {
        let gate = self.chips.gate();
        let zero = gate.is_zero(ctx, va);
        let taken = gate.mul_not(ctx, zero, decoded.is(Op::Jnz));
        let jump = gate.add(ctx, taken, decoded.is(Op::Jmp));
        let outside = gate.mul_not(ctx, decoded.inside, jump);
        let asserted = gate.mul(ctx, zero, decoded.is(Op::Assert));
        // At most one of these is 1: each belongs to another op.
        let [a, b, c] = fails;
        let failed = gate.sum(ctx, [outside, asserted, a, b, c]);
        let stays = gate.add(ctx, jump, decoded.is(Op::Halt));
        let past = gate.mul_not(ctx, stays, last);
        let live = gate.sub(ctx, state.live, failed);
        let live = gate.mul_not(ctx, past, live);
        // pc + 1 unless it stays, the target of a jump, and 0 behind the last instruction.
        let far = gate.sub(ctx, decoded.target, state.pc);
        let number = |x: Fr| QuantumCell::Constant(x);
        let one = Fr::one();
        let weights = [
            number(one),
            number(one),
            number(-one),
            QuantumCell::Existing(jump),
            number(-Fr::from(1 << PC_BITS)),
        ];
        let cells = [state.pc.into(), number(one), stays.into(), far.into(), past.into()];
        (gate.inner_product::<QuantumCell<Fr>>(ctx, cells, weights), live)
    }
}
