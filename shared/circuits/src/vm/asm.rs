//! The assembler: one instruction a line, as the programs in `assets/programs` are written.
//!
//! `; comment`, `label:` on a line of its own, then mnemonics: `halt`, `const r1 42`, `mov r1 r2`,
//! `add|sub|mul|lt|eq|hash r1 r2 r3`, `jmp label`, `jnz r1 label`, `load r1 [r2]`,
//! `store [r2] r1`, `assert r1`. The target `revert` is the instruction behind the last one:
//! jumping there reverts the call.

use std::collections::BTreeMap;

use super::{INSTRUCTIONS, Instruction, Op, Program, ProgramError, REGISTERS};

/// Longest text, bytes: 32 instructions with a kilobyte of comment each.
const MAX_TEXT: usize = 32 * 1024;

/// The program of a text.
///
/// # Errors
/// [`ProgramError`] with the line that is wrong.
pub fn assemble(text: &str) -> Result<Program, ProgramError> {
    if text.len() > MAX_TEXT {
        let why = format!("the text has {} bytes, at most {MAX_TEXT} are read", text.len());
        return Err(ProgramError::Line { line: 1, why });
    }
    let lines = text.lines().enumerate().map(|(i, line)| (i + 1, code(line)));
    let lines: Vec<_> = lines.filter(|(_, code)| !code.is_empty()).collect();
    let labels = labels(&lines)?;
    let instructions = lines.iter().filter(|(_, code)| label(code).is_none());
    let parse = |(line, code): &(usize, &str)| {
        instruction(code, &labels).map_err(|why| ProgramError::Line { line: *line, why })
    };
    Program::new(&instructions.map(parse).collect::<Result<Vec<_>, _>>()?)
}

/// A line without its comment.
fn code(line: &str) -> &str {
    line.split(';').next().unwrap_or_default().trim()
}

fn label(code: &str) -> Option<&str> {
    code.strip_suffix(':').map(str::trim)
}

type Labels<'a> = BTreeMap<&'a str, u128>;

/// The instruction each label names.
fn labels<'a>(lines: &[(usize, &'a str)]) -> Result<Labels<'a>, ProgramError> {
    let mut labels = Labels::from([("revert", INSTRUCTIONS as u128)]);
    let mut at = 0;
    for (line, code) in lines {
        match label(code) {
            None => at += 1,
            Some(name) => {
                if labels.insert(name, at).is_some() {
                    let why = format!("the label {name} is there already");
                    return Err(ProgramError::Line { line: *line, why });
                }
            }
        }
    }
    Ok(labels)
}

fn instruction(code: &str, labels: &Labels<'_>) -> Result<Instruction, String> {
    let mut words = code.split_whitespace();
    let name = words.next().unwrap_or_default();
    let operands: Vec<_> = words.collect();
    let target =
        |name: &str| labels.get(name).copied().ok_or_else(|| format!("there is no label {name}"));
    let base = Instruction::HALT;
    let three = |op, a, b, c| {
        Ok(Instruction { op, a: register(a)?, b: register(b)?, c: register(c)?, ..base })
    };
    match (name, operands.as_slice()) {
        ("halt", []) => Ok(base),
        ("const", [a, imm]) => {
            Ok(Instruction { op: Op::Const, a: register(a)?, imm: number(imm)?, ..base })
        }
        ("mov", [a, b]) => {
            Ok(Instruction { op: Op::Mov, a: register(a)?, b: register(b)?, ..base })
        }
        ("add", [a, b, c]) => three(Op::Add, a, b, c),
        ("sub", [a, b, c]) => three(Op::Sub, a, b, c),
        ("mul", [a, b, c]) => three(Op::Mul, a, b, c),
        ("lt", [a, b, c]) => three(Op::Lt, a, b, c),
        ("eq", [a, b, c]) => three(Op::Eq, a, b, c),
        ("hash", [a, b, c]) => three(Op::Hash, a, b, c),
        ("jmp", [to]) => Ok(Instruction { op: Op::Jmp, imm: target(to)?, ..base }),
        ("jnz", [a, to]) => {
            Ok(Instruction { op: Op::Jnz, a: register(a)?, imm: target(to)?, ..base })
        }
        ("load", [a, slot]) => {
            Ok(Instruction { op: Op::Load, a: register(a)?, b: slot_register(slot)?, ..base })
        }
        ("store", [slot, a]) => {
            Ok(Instruction { op: Op::Store, a: register(a)?, b: slot_register(slot)?, ..base })
        }
        ("assert", [a]) => Ok(Instruction { op: Op::Assert, a: register(a)?, ..base }),
        (name, operands) => {
            Err(format!("{name} with {} operands is no instruction", operands.len()))
        }
    }
}

fn register(text: &str) -> Result<u8, String> {
    let number = text.strip_prefix('r').and_then(|digits| digits.parse().ok());
    number
        .filter(|number| usize::from(*number) < REGISTERS)
        .ok_or_else(|| format!("{text} is no register; there are r0 to r7"))
}

fn slot_register(text: &str) -> Result<u8, String> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    register(inner.ok_or_else(|| format!("{text} is no slot; write [r1]"))?)
}

fn number(text: &str) -> Result<u128, String> {
    text.parse().map_err(|_| format!("{text} is no number below 2^128"))
}
