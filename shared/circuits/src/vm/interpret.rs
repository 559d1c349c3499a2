//! The machine, natively: what the circuit `vm` proves, step by step in the same order.

use serde::{Deserialize, Serialize};

use super::{Access, ENTRIES, HASHES, INSTRUCTIONS, Instruction, Op, Program, REGISTERS, STEPS};
use crate::poseidon::{Fr, from_u128, h2, to_word};
use crate::state::storage_key;
use crate::tx::ARGS;

/// What running a call leaves behind.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Execution {
    /// One entry per slot touched, in the order of the first touch.
    pub log: Vec<Access>,
    /// The slots of `log`.
    pub slots: Vec<Fr>,
    /// Whether the call reverted; then every `new` of `log` is its `old`.
    pub reverted: bool,
    /// Register 0 when the call ended: for display, no proof speaks of it.
    pub result: Fr,
    /// Steps taken, the last one included.
    pub steps: usize,
}

/// A storage entry while the call runs.
struct Entry {
    slot: Fr,
    old: Fr,
    current: Fr,
}

/// The state between two steps.
struct Machine<'a> {
    registers: [Fr; REGISTERS],
    pc: usize,
    entries: Vec<Entry>,
    hashes: Vec<[Fr; 2]>,
    read: &'a mut dyn FnMut(Fr) -> Fr,
}

/// What a step does to the flow of control.
enum Flow {
    Next,
    Jump(u128),
    Halt,
    Revert,
}

/// An execution with what the circuit's free cells need beside it.
pub(crate) struct Trace {
    pub(crate) execution: Execution,
    /// Inputs of the hash steps.
    pub(crate) hashes: Vec<[Fr; 2]>,
}

/// Runs `program`. `read` gives the value of a slot before the call and is asked once per slot.
pub fn run(
    program: &Program,
    caller: Fr,
    args: &[Fr; ARGS],
    read: &mut impl FnMut(Fr) -> Fr,
) -> Execution {
    trace(program, caller, args, read).execution
}

/// [`run`] with the inputs of its hash steps.
pub(crate) fn trace(
    program: &Program,
    caller: Fr,
    args: &[Fr; ARGS],
    read: &mut impl FnMut(Fr) -> Fr,
) -> Trace {
    let mut registers = [Fr::zero(); REGISTERS];
    registers[0] = caller;
    registers[1..=ARGS].copy_from_slice(args);
    let mut machine = Machine { registers, pc: 0, entries: Vec::new(), hashes: Vec::new(), read };
    let (mut steps, mut halted) = (0, false);
    while steps < STEPS {
        steps += 1;
        match machine.step(&program.instructions()[machine.pc]) {
            Flow::Halt => {
                halted = true;
                break;
            }
            Flow::Next if machine.pc + 1 < INSTRUCTIONS => machine.pc += 1,
            Flow::Jump(to) if to < INSTRUCTIONS as u128 => machine.pc = to as usize,
            Flow::Next | Flow::Jump(_) | Flow::Revert => break,
        }
    }
    machine.finish(program, halted, steps)
}

impl Machine<'_> {
    fn step(&mut self, instruction: &Instruction) -> Flow {
        let Instruction { op, a, b, c, imm } = *instruction;
        let [va, vb, vc] = [a, b, c].map(|register| self.registers[usize::from(register)]);
        let result = match op {
            Op::Halt => return Flow::Halt,
            Op::Jmp => return Flow::Jump(imm),
            Op::Jnz if va == Fr::zero() => return Flow::Next,
            Op::Jnz => return Flow::Jump(imm),
            Op::Assert if va == Fr::zero() => return Flow::Revert,
            Op::Assert => return Flow::Next,
            Op::Store => return self.store(vb, va),
            Op::Const => Some(from_u128(imm)),
            Op::Mov => Some(vb),
            Op::Add => Some(vb + vc),
            Op::Sub => Some(vb - vc),
            Op::Mul => Some(vb * vc),
            Op::Lt => less(vb, vc).map(flag),
            Op::Eq => Some(flag(vb == vc)),
            Op::Load => self.entry(vb).map(|entry| entry.current),
            Op::Hash => self.hash(vb, vc),
        };
        match result {
            Some(value) => {
                self.registers[usize::from(a)] = value;
                Flow::Next
            }
            None => Flow::Revert,
        }
    }

    fn store(&mut self, slot: Fr, value: Fr) -> Flow {
        match self.entry(slot) {
            Some(entry) => {
                entry.current = value;
                Flow::Next
            }
            None => Flow::Revert,
        }
    }

    fn hash(&mut self, left: Fr, right: Fr) -> Option<Fr> {
        if self.hashes.len() == HASHES {
            return None;
        }
        self.hashes.push([left, right]);
        Some(h2(left, right))
    }

    /// The entry of a slot, a new one at its first touch; `None` for a fifth.
    fn entry(&mut self, slot: Fr) -> Option<&mut Entry> {
        let index = match self.entries.iter().position(|entry| entry.slot == slot) {
            Some(index) => index,
            None if self.entries.len() == ENTRIES => return None,
            None => {
                let old = (self.read)(slot);
                self.entries.push(Entry { slot, old, current: old });
                self.entries.len() - 1
            }
        };
        self.entries.get_mut(index)
    }

    fn finish(self, program: &Program, halted: bool, steps: usize) -> Trace {
        let access = |entry: &Entry| Access {
            key: storage_key(program.hash(), entry.slot),
            old: entry.old,
            new: if halted { entry.current } else { entry.old },
        };
        let execution = Execution {
            log: self.entries.iter().map(access).collect(),
            slots: self.entries.iter().map(|entry| entry.slot).collect(),
            reverted: !halted,
            result: self.registers[0],
            steps,
        };
        Trace { execution, hashes: self.hashes }
    }
}

fn flag(truth: bool) -> Fr {
    Fr::from(u64::from(truth))
}

/// b < c, `None` unless both are below 2^128.
fn less(b: Fr, c: Fr) -> Option<bool> {
    let [b, c] = [b, c].map(to_word);
    let small = |word: &[u8; 32]| word[..16] == [0; 16];
    (small(&b) && small(&c)).then_some(b < c)
}
