//! The machine of public calls: programs, what running one leaves behind, and the circuit `vm`.
//!
//! Eight registers of field elements (0 the caller, 1 to 4 the arguments, the rest 0), at most 32
//! instructions, 64 steps, 4 storage entries and 2 hash steps a call. **Every call is provable**:
//! what goes wrong reverts it, and a reverted call is a proof like any other, with every new value
//! equal to the old. A program's hash is its address; one circuit serves all programs.

use protocol::Kind;
use serde::{Deserialize, Serialize};

use crate::credit::Record;
use crate::poseidon::{Fr, Tag, from_u128, tagged, to_word};
use crate::tx::words::payee_word;
use crate::tx::{self, Call, WitnessError, Words};

pub mod asm;
pub mod circuit;
pub mod interpret;
#[cfg(test)]
pub(crate) mod tests;

pub use interpret::{Execution, run};

/// Registers of the machine.
pub const REGISTERS: usize = 8;
/// Instructions of a program; shorter ones are padded with `halt`.
pub const INSTRUCTIONS: usize = 32;
/// Most steps of a call, the `halt` among them.
pub const STEPS: usize = 64;
/// Most storage entries of a call.
pub const ENTRIES: usize = 4;
/// Most hash steps of a call.
pub const HASHES: usize = 2;

/// What an instruction does. `a`, `b`, `c` are registers, `imm` a constant below 2^128.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[repr(u8)]
pub enum Op {
    /// Ends the call.
    Halt = 0,
    /// a = imm.
    Const = 1,
    /// a = b.
    Mov = 2,
    /// a = b + c.
    Add = 3,
    /// a = b − c.
    Sub = 4,
    /// a = b · c.
    Mul = 5,
    /// a = 1 if b < c else 0; reverts unless both are below 2^128.
    Lt = 6,
    /// a = 1 if b = c else 0.
    Eq = 7,
    /// Goes on at instruction imm; reverts unless it is below 32.
    Jmp = 8,
    /// Goes on at instruction imm if a ≠ 0.
    Jnz = 9,
    /// a = storage slot b.
    Load = 10,
    /// Storage slot b = a.
    Store = 11,
    /// a = H2(b, c).
    Hash = 12,
    /// Reverts if a = 0.
    Assert = 13,
}

impl Op {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 14] = [
        Self::Halt,
        Self::Const,
        Self::Mov,
        Self::Add,
        Self::Sub,
        Self::Mul,
        Self::Lt,
        Self::Eq,
        Self::Jmp,
        Self::Jnz,
        Self::Load,
        Self::Store,
        Self::Hash,
        Self::Assert,
    ];
}

/// One instruction: op + 2^4·a + 2^7·b + 2^10·c + 2^16·imm as a field element.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Instruction {
    /// What it does.
    pub op: Op,
    /// Register a, below 8.
    pub a: u8,
    /// Register b, below 8.
    pub b: u8,
    /// Register c, below 8.
    pub c: u8,
    /// Constant or jump target.
    pub imm: u128,
}

impl Instruction {
    /// Ends the call; also the padding of a program.
    pub const HALT: Self = Self { op: Op::Halt, a: 0, b: 0, c: 0, imm: 0 };

    /// The field element that is hashed.
    #[must_use]
    pub fn word(&self) -> Fr {
        let [a, b, c] = [self.a, self.b, self.c].map(u64::from);
        let low = self.op as u64 | a << 4 | b << 7 | c << 10;
        from_u128(self.imm) * Fr::from(1 << 16) + Fr::from(low)
    }
}

/// A program: exactly 32 instructions whose registers exist, and its hash.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "Vec<Instruction>", into = "Vec<Instruction>")]
pub struct Program {
    instructions: [Instruction; INSTRUCTIONS],
    hash: Fr,
}

impl Program {
    /// A program of at most 32 instructions.
    ///
    /// # Errors
    /// [`ProgramError`] when there are more, or one names a register that does not exist.
    pub fn new(instructions: &[Instruction]) -> Result<Self, ProgramError> {
        if instructions.len() > INSTRUCTIONS {
            return Err(ProgramError::TooLong { instructions: instructions.len() });
        }
        let exists = |register: u8| usize::from(register) < REGISTERS;
        let valid = |i: &Instruction| exists(i.a) && exists(i.b) && exists(i.c);
        if let Some(at) = instructions.iter().position(|i| !valid(i)) {
            return Err(ProgramError::Register { at });
        }
        let mut padded = [Instruction::HALT; INSTRUCTIONS];
        padded[..instructions.len()].copy_from_slice(instructions);
        Ok(Self::of(padded))
    }

    fn of(instructions: [Instruction; INSTRUCTIONS]) -> Self {
        let words = instructions.map(|instruction| instruction.word());
        Self { instructions, hash: tagged(Tag::Program, &words) }
    }

    /// P(4; 32 instructions): the program's address.
    #[must_use]
    pub const fn hash(&self) -> Fr {
        self.hash
    }

    /// The instructions with their padding.
    #[must_use]
    pub const fn instructions(&self) -> &[Instruction; INSTRUCTIONS] {
        &self.instructions
    }
}

impl Default for Program {
    /// The program that halts.
    fn default() -> Self {
        Self::of([Instruction::HALT; INSTRUCTIONS])
    }
}

impl TryFrom<Vec<Instruction>> for Program {
    type Error = ProgramError;

    fn try_from(instructions: Vec<Instruction>) -> Result<Self, ProgramError> {
        Self::new(&instructions)
    }
}

impl From<Program> for Vec<Instruction> {
    fn from(program: Program) -> Self {
        program.instructions.to_vec()
    }
}

/// Why a text or a list of instructions is no program.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProgramError {
    /// More than 32 instructions.
    #[error("a program has {instructions} instructions, at most {INSTRUCTIONS} are allowed")]
    TooLong {
        /// How many there are.
        instructions: usize,
    },
    /// A register above 7.
    #[error("instruction {at} names a register that does not exist; there are r0 to r7")]
    Register {
        /// Index of the instruction.
        at: usize,
    },
    /// A line that is no instruction.
    #[error("line {line}: {why}")]
    Line {
        /// Line number from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
}

impl ProgramError {
    /// Stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "ASM-001",
            Self::Register { .. } => "ASM-002",
            Self::Line { .. } => "ASM-003",
        }
    }
}

/// One entry of a call's log: a storage key, the value before the call and the value after.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Access {
    /// P(5; program, slot).
    pub key: Fr,
    /// What stood there.
    pub old: Fr,
    /// What stands there now; `old` when the call only read, or reverted.
    pub new: Fr,
}

/// P(7; 4 × (key, old, new)), unused entries zero.
///
/// # Panics
/// With more than four entries: no call has them.
#[must_use]
pub fn log_hash(log: &[Access]) -> Fr {
    assert!(log.len() <= ENTRIES, "a call has at most {ENTRIES} entries");
    let mut words = [Fr::zero(); 3 * ENTRIES];
    for (place, access) in words.chunks_exact_mut(3).zip(log) {
        place.copy_from_slice(&[access.key, access.old, access.new]);
    }
    tagged(Tag::Log, &words)
}

/// The witness of a `vm` proof.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VmInput {
    /// The program the call names.
    pub program: Program,
    /// The call.
    pub call: Call,
    /// Value before the call of every slot the call touches: (slot, value).
    pub slots: Vec<(Fr, Fr)>,
    /// Who is paid.
    pub payee: [u8; 20],
}

impl VmInput {
    /// A witness of the right shape, for key generation: the empty program.
    #[must_use]
    pub fn placeholder() -> Self {
        let program = Program::default();
        let args = [Fr::zero(); tx::ARGS];
        let call = Call { caller: Fr::zero(), program: program.hash(), args };
        Self { program, call, slots: Vec::new(), payee: [0; 20] }
    }

    /// The value of a slot before the call, 0 where the witness does not say.
    pub(crate) fn value(&self, slot: Fr) -> Fr {
        let known = self.slots.iter().find(|(known, _)| *known == slot);
        known.map_or(Fr::zero(), |(_, value)| *value)
    }

    /// The words the proof will have.
    ///
    /// # Errors
    /// [`WitnessError::Program`] when the call names another program,
    /// [`WitnessError::SlotMissing`] when it touches a slot the witness does not give.
    pub fn check(&self) -> Result<Words, WitnessError> {
        if self.program.hash() != self.call.program {
            let [found, named] = [self.program.hash(), self.call.program].map(to_word);
            return Err(WitnessError::Program { found, named });
        }
        let mut read = |slot: Fr| self.value(slot);
        let execution = run(&self.program, self.call.caller, &self.call.args, &mut read);
        let given = |slot: &Fr| self.slots.iter().any(|(known, _)| known == slot);
        if let Some(slot) = execution.slots.iter().find(|slot| !given(slot)) {
            return Err(WitnessError::SlotMissing { slot: to_word(*slot) });
        }
        let payee = payee_word(protocol::Address(self.payee));
        let record = Record::over(Kind::Vm, payee, [None, None])?;
        Ok(Words {
            start: self.call.hash(),
            end: log_hash(&execution.log),
            credit: record.value(),
            payee,
            ..Words::default()
        })
    }
}
