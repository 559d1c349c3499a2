//! Variants of the addition and of the doubling without one of their constraints.

use super::*;

/// 5·G, then plus entry 1 of a table of two.
fn running() -> Running {
    Running::from(&constant(g(5)))
}

fn table(gates: &Gates) -> Table {
    gates.table(vec![constant(g(2)), constant(g(6))])
}

fn step(table: &Table) -> Step {
    let entry = &table.entries[1];
    Step {
        tag: table.tag,
        digit: Digit::Bits(2),
        index: 1,
        entry: [&entry.x, &entry.y].map(|number| integer(&number.coordinate())),
        sign: None,
        negative: false,
        scalar: Operand::constant(Fr::from(9)),
    }
}

#[test]
fn every_input_of_an_addition_is_a_copy() {
    // The sum before, so that slope and line are there.
    let before = |gates: &Gates| {
        let table = table(gates);
        gates.add(&running(), &step(&table)).0
    };
    type Change = fn(&mut Running, &mut Step);
    fn swap(it: &mut Number) {
        *it = mislabelled(it, &number(78));
    }
    let changes: [(&str, Change); 7] = [
        ("x of the sum", |sum, _| swap(&mut sum.x)),
        ("slope before", |sum, _| swap(&mut sum.slope)),
        ("x before", |sum, _| swap(&mut sum.through.x)),
        ("y before", |sum, _| swap(&mut sum.through.y)),
        ("sign before", |sum, _| sum.sign.value = -sum.sign.value),
        ("scalar before", |_, step| step.scalar.value += Fr::ONE),
        ("required sign", |_, step| {
            let source = Source::Constant(Fr::ONE);
            step.sign = Some(Operand { source, value: -Fr::ONE });
        }),
    ];
    for (name, change) in changes {
        breaks(name, Only::Copies, |gates, _| {
            let mut sum = before(gates);
            let mut step = step(&table(gates));
            change(&mut sum, &mut step);
            gates.add(&sum, &step);
        });
    }
}

/// A step whose index lies beyond its table, with the entry of the next one.
fn step_beyond(gates: &Gates) -> Step {
    let first = table(gates);
    let other = gates.table(vec![constant(g(98)), constant(g(99))]);
    let mut step = step(&first);
    step.index = 2;
    step.entry =
        [&other.entries[0].x, &other.entries[0].y].map(|number| integer(&number.coordinate()));
    step
}

#[test]
fn an_addition_reads_its_table_and_its_scalar() {
    breaks("entry", Only::Pick, |gates, _| {
        let mut step = step(&table(gates));
        step.entry = [g(99).x, g(99).y].map(|value| integer(&value));
        gates.add(&running(), &step);
    });
    breaks("index beyond the table", Only::Gate(ADDITION, &[16]), |gates, _| {
        let step = step_beyond(gates);
        let (mut block, ..) = addition(gates.next(), &running(), &step);
        // Shifted, the index is no chunk; so another chunk is shown in its place.
        block.sum(addition_at::INDEX, 2, 2);
        gates.push(block);
    });
    breaks("index as a shifted chunk", Only::Chunks, |gates, _| {
        let step = step_beyond(gates);
        gates.add(&running(), &step);
    });
    breaks("sign", Only::Gate(ADDITION, &[17]), |gates, _| {
        let mut step = step(&table(gates));
        step.sign = Some(Operand::constant(Fr::from(2)));
        gates.add(&running(), &step);
    });
    breaks("scalar after", Only::Gate(ADDITION, &[18]), |gates, _| {
        let (mut block, ..) = addition(gates.next() + 2, &running(), &step(&table(gates)));
        block.put(addition_at::SCALAR_AFTER, Fr::from(1234));
        gates.push(block);
    });
    breaks("scalar read", Only::Copies, |gates, ctx| {
        let (_, read) = gates.add(&running(), &step(&table(gates)));
        let scalar = ctx.load_witness(read.value + Fr::ONE);
        gates.link(&scalar, read.source);
    });
    for (name, entry) in [("x of an entry", 0), ("y of an entry", 1)] {
        breaks(name, Only::Copies, |gates, _| {
            let mut wrong = constant(g(6));
            let other = constant(g(7));
            let number = if entry == 0 { &mut wrong.x } else { &mut wrong.y };
            let with = if entry == 0 { &other.x } else { &other.y };
            *number = mislabelled(number, with);
            let table = gates.table(vec![constant(g(2)), wrong]);
            gates.add(&running(), &step(&table));
        });
    }
}

/// An addition or doubling on a line that need not be the right one, and E of its slope.
struct Lined {
    block: Block,
    line: Line,
    slope: (BigInt, Coefficients),
    /// x₁, x₂.
    xs: [BigInt; 2],
    offset: u64,
}

fn added(gates: &Gates, line: impl FnOnce(Line) -> Line) -> Lined {
    let (running, step) = (running(), step(&table(gates)));
    let line = line(chord(&running, &step));
    let (block, ..) = addition_on(gates.next(), &running, &step, &line);
    let slope = slope_of_sum(&Number::constant(&line.slope), &running, &step);
    let xs = [running.x.value(), BigInt::from(step.entry[0].clone())];
    Lined { block, line, slope, xs, offset: QUOTIENT_OFFSET }
}

fn doubled(_: &Gates, line: impl FnOnce(Line) -> Line) -> Lined {
    let Point { x, y } = constant(g(5));
    let line = line(tangent(&x, &y));
    let (block, _) = doubling_on(0, &x, &y, &line);
    let slope = slope_of_double(&Number::constant(&line.slope), &x, &y);
    Lined { block, line, slope, xs: [x.value(), x.value()], offset: TANGENT_OFFSET }
}

impl Lined {
    /// Shows a quotient (its offset added) of the slope's equation, with carries that fit.
    fn show_slope(&mut self, quotient: &BigInt) {
        let quotient = limbs(quotient);
        let carries = carries(&self.slope.1, &quotient, self.offset);
        for (i, limb) in quotient.iter().enumerate() {
            put_limb(&mut self.block, addition_at::QUOTIENTS[0], i, limb);
        }
        for (i, (low, top)) in carries.into_iter().enumerate() {
            put_limb(&mut self.block, addition_at::CARRY, i, &low.into());
            self.put_top(i, top);
        }
    }

    fn put_top(&mut self, i: usize, top: u64) {
        let (column, row) = addition_at::TOPS;
        self.block.put((column, row + i), Fr::from(top >> 2));
        self.block.put((column + 1, row + i), Fr::from(top % 4));
    }

    fn show_x(&mut self, quotient: &BigInt) {
        let quotient = limbs(quotient);
        let (slope, x3) = (BigInt::from(self.line.slope.clone()), self.line.x.clone().into());
        let square = times(&limbs(&slope), &limbs(&slope));
        let sum = minus(&minus(&square, &limbs(&self.xs[0])), &limbs(&self.xs[1]));
        let carries = carries(&minus(&sum, &limbs(&x3)), &quotient, QUOTIENT_OFFSET);
        for (i, limb) in quotient.iter().enumerate() {
            put_limb(&mut self.block, addition_at::QUOTIENTS[1], i, limb);
        }
        for (i, (low, top)) in carries.into_iter().enumerate() {
            let (column, row) = addition_at::SPLIT_CARRIES[i];
            self.block.sum((column, row), 2, low % (1 << 32));
            self.block.sum((column + 1, row), 2, low >> 32);
            self.put_top(i + 2, top);
        }
    }

    fn x_value(&self) -> BigInt {
        let (slope, x3) = (BigInt::from(self.line.slope.clone()), self.line.x.clone());
        &slope * &slope - &self.xs[0] - &self.xs[1] - BigInt::from(x3)
    }

    /// A slope λ' for which E(λ') = −2^256·r modulo p: E is linear in λ, with this factor.
    fn wrapping(self, factor: Fq) -> Line {
        let slope = BigInt::from(self.line.slope.clone());
        let wrong = fq(&slope) - fq(&(&self.slope.0 + wrap())) * factor.invert().unwrap();
        let xs = self.xs.each_ref().map(fq);
        Line { slope: integer(&wrong), x: integer(&(wrong.square() - xs[0] - xs[1])) }
    }
}

type Lines = fn(&Gates, fn(Line) -> Line) -> Lined;

fn same(line: Line) -> Line {
    line
}

const SHIFT: usize = 255;

#[test]
fn slope_and_x_of_an_addition_are_numbers() {
    let lines: [(&str, Lines); 2] = [
        ("added", |gates, line| added(gates, line)),
        ("doubled", |gates, line| doubled(gates, line)),
    ];
    for (name, lined) in lines {
        breaks(&format!("{name}: top of x"), Only::Gate(ADDITION, &[15]), |gates, _| {
            let mut wrong = lined(gates, |line| Line { x: line.x + modulus::<Fq>(), ..line });
            let quotient = wrong.x_value() / p() + (BigInt::from(1) << SHIFT);
            wrong.show_x(&quotient);
            gates.push(wrong.block);
        });
        breaks(&format!("{name}: chunks of x"), Only::Chunks, |gates, _| {
            let mut wrong = lined(gates, same);
            let mut x = limbs(&wrong.line.x.clone().into());
            x[0] += BigInt::from(1) << LIMB_BITS;
            x[1] -= 1;
            for (i, limb) in x.iter().enumerate() {
                put_limb(&mut wrong.block, addition_at::SUM_X, i, limb);
            }
            gates.push(wrong.block);
        });
        breaks(&format!("{name}: wrong slope"), Only::Gate(ADDITION, &[0, 1, 2]), |gates, _| {
            let wrong = lined(gates, |line| {
                let slope = Number::constant(&(line.slope + 1u8)).coordinate();
                Line { slope: integer(&slope), ..line }
            });
            let xs = wrong.xs.each_ref().map(fq);
            let slope = Number::constant(&wrong.line.slope).coordinate();
            let x = integer(&(slope.square() - xs[0] - xs[1]));
            let line = Line { slope: wrong.line.slope.clone(), x };
            let again = if wrong.offset == QUOTIENT_OFFSET {
                let (running, step) = (running(), step(&table(gates)));
                addition_on(gates.next(), &running, &step, &line).0
            } else {
                let Point { x, y } = constant(g(5));
                doubling_on(0, &x, &y, &line).0
            };
            gates.push(again);
        });
        breaks(&format!("{name}: wrong x"), Only::Gate(ADDITION, &[3, 4, 5]), |gates, _| {
            let wrong = lined(gates, |line| Line { x: line.x + 1u8, ..line });
            gates.push(wrong.block);
        });
    }
    // A slope plus p: q₁ and q₂ grow, and stay in their range for a small one.
    let small = (2..400u64).find(|i| {
        let x = Number::constant(&integer(&g(*i).x));
        let y = Number::constant(&integer(&g(*i).y));
        let line = tangent(&x, &y);
        BigInt::from(line.slope) < p() / 4
    });
    breaks("top of the slope", Only::Gate(ADDITION, &[14]), |gates, _| {
        let Point { x, y } = constant(g(small.unwrap()));
        let line = tangent(&x, &y);
        let line = Line { slope: line.slope + modulus::<Fq>(), x: line.x };
        let (block, _) = doubling_on(0, &x, &y, &line);
        gates.push(block);
    });
}

#[test]
fn quotients_of_an_addition_are_in_their_range() {
    breaks("q₁ of an addition", Only::Chunks, |gates, _| {
        let run = constant(g(6)).x.coordinate() - running().x.coordinate();
        let line = added(gates, same).wrapping(run);
        let mut wrong = added(gates, |_| line);
        let quotient = (&wrong.slope.0 + wrap()) / p() + (BigInt::from(1) << SHIFT);
        wrong.show_slope(&quotient);
        gates.push(wrong.block);
    });
    breaks("q₁ of a doubling", Only::Chunks, |gates, _| {
        let line = doubled(gates, same).wrapping(constant(g(5)).y.coordinate().double());
        let mut wrong = doubled(gates, |_| line);
        let offset = BigInt::from(TANGENT_OFFSET) << 192;
        let quotient = (&wrong.slope.0 + wrap()) / p() + offset;
        wrong.show_slope(&quotient);
        gates.push(wrong.block);
    });
    breaks("q₂", Only::Chunks, |gates, _| {
        let mut wrong = added(gates, |line| {
            let x = fq(&(BigInt::from(line.x.clone()) + wrap()));
            Line { x: integer(&x), ..line }
        });
        let quotient = (wrong.x_value() + wrap()) / p() + (BigInt::from(1) << SHIFT);
        wrong.show_x(&quotient);
        gates.push(wrong.block);
    });
}

/// Carries that make the limb equations hold in the field for a quotient and an x that are right
/// modulo r only.
#[test]
fn carries_of_an_addition_are_in_their_range() {
    let wrong = |gates: &Gates| {
        let right = added(gates, same);
        let quotient = right.x_value() / p() + (BigInt::from(1) << SHIFT) + 1;
        let order = modulus::<Fr>();
        let x = &right.line.x + order - modulus::<Fq>();
        let mut wrong = added(gates, |line| Line { x, ..line });
        wrong.show_x(&quotient);
        let slope = BigInt::from(wrong.line.slope.clone());
        let square = times(&limbs(&slope), &limbs(&slope));
        let sum = minus(&minus(&square, &limbs(&wrong.xs[0])), &limbs(&wrong.xs[1]));
        let rest = minus(&sum, &limbs(&wrong.line.x.clone().into()));
        let mut shifted = limbs(&quotient);
        shifted[3] -= QUOTIENT_OFFSET;
        let rest = minus(&rest, &times(&shifted, &limbs(&p()))).each_ref().map(fr);
        let base = fr(&(BigInt::from(1) << LIMB_BITS));
        let square = base.square().invert().unwrap();
        let first = (rest[0] + rest[1] * base) * square;
        let second = (rest[2] + rest[3] * base + first) * square;
        (wrong, [first, second], base)
    };
    let offset = Fr::from(CARRY_OFFSET);
    breaks("low parts", Only::Chunks, |gates, _| {
        let (mut wrong, carries, base) = wrong(gates);
        for (i, carry) in carries.into_iter().enumerate() {
            let (column, row) = addition_at::SPLIT_CARRIES[i];
            wrong.block.sum((column, row), 2, 0);
            wrong.block.sum((column + 1, row), 2, 0);
            wrong.block.put((column, row), carry + offset * base);
            wrong.put_top(i + 2, 0);
        }
        gates.push(wrong.block);
    });
    let halves = [Fr::from(4).invert().unwrap(), Fr::ONE];
    for (half, factor) in halves.into_iter().enumerate() {
        breaks("tops", Only::Gate(ADDITION, &[8, 9, 12, 13]), |gates, _| {
            let (mut wrong, carries, base) = wrong(gates);
            for (i, carry) in carries.into_iter().enumerate() {
                let (column, row) = addition_at::SPLIT_CARRIES[i];
                wrong.block.sum((column, row), 2, 0);
                wrong.block.sum((column + 1, row), 2, 0);
                wrong.put_top(i + 2, 0);
                let top = carry * base.invert().unwrap() + offset;
                let top = top * factor;
                let (column, row) = addition_at::TOPS;
                wrong.block.put((column + half, row + i + 2), top);
            }
            gates.push(wrong.block);
        });
    }
}

#[test]
fn every_input_of_a_doubling_is_a_copy() {
    let Point { x, y } = constant(g(5));
    let other = mislabelled(&x, &number(79));
    breaks("x", Only::Copies, |gates, _| {
        let mut line = tangent(&other, &y);
        let slope = Number::constant(&line.slope).coordinate();
        line.x = integer(&(slope.square() - other.coordinate().double()));
        gates.push(doubling_on(0, &other, &y, &line).0);
    });
    let wrong = mislabelled(&y, &number(80));
    breaks("y", Only::Copies, push(doubling(0, &x, &wrong).0));
}
