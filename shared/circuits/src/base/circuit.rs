//! The circuit `base`: opens the tx hash and the logs, and replays every access on the state tree.

use halo2_base::gates::GateInstructions;
use halo2_base::{AssignedValue, Context, QuantumCell};
use protocol::Kind;

use super::BaseInput;
use crate::credit::{ChildCells, circuit};
use crate::poseidon::{Chips, Fr, Tag};
use crate::state::{Account, DEPTH};
use crate::tx::MAX_CALLS;
use crate::vm::{Access, ENTRIES};

/// Accesses of one `base`: the account and every entry of every log.
pub const ACCESSES: usize = 1 + MAX_CALLS * ENTRIES;

/// The free cells of `base`, as its builder is given them: no rule is checked here.
pub(crate) struct Free {
    /// Account, nonce, fee, expiry, number of calls, D₀.
    pub(crate) tx: [Fr; 6],
    /// Balance of the account before the tx.
    pub(crate) balance: Fr,
    /// The log of each call, padded.
    pub(crate) logs: [[Access; ENTRIES]; MAX_CALLS],
    /// Siblings of each access, from the leaf upward.
    pub(crate) siblings: [[Fr; DEPTH]; ACCESSES],
    /// Root before the tx.
    pub(crate) start: Fr,
}

impl Free {
    /// The cells of a witness; where it has no opening, zeros, which satisfy nothing.
    pub(crate) fn of(input: &BaseInput) -> Self {
        let tx = &input.tx;
        let [nonce, fee, expiry, n] =
            [tx.nonce, tx.fee, tx.expiry, tx.calls.len() as u64].map(Fr::from);
        let openings = input.replay().map(|(_, openings)| openings).unwrap_or_default();
        let mut free = Self {
            tx: [tx.account, nonce, fee, expiry, n, tx.calls_left(0)],
            balance: Fr::zero(),
            logs: Default::default(),
            siblings: [[Fr::zero(); DEPTH]; ACCESSES],
            start: input.start,
        };
        for (place, log) in free.logs.iter_mut().zip(&input.logs) {
            place.iter_mut().zip(log).for_each(|(place, access)| *place = *access);
        }
        let Some((account, accesses)) = openings.split_first() else {
            return free;
        };
        let account_word = Account::from_word(account.value).unwrap_or_default();
        free.balance = Fr::from(account_word.balance);
        free.siblings[0].copy_from_slice(&account.siblings);
        let mut openings = accesses.iter();
        for (call, log) in input.logs.iter().enumerate() {
            for (entry, opening) in openings.by_ref().take(log.len()).enumerate() {
                free.siblings[1 + call * ENTRIES + entry].copy_from_slice(&opening.siblings);
            }
        }
        free
    }
}

/// An access in-circuit.
struct AccessCells {
    key: AssignedValue<Fr>,
    old: AssignedValue<Fr>,
    new: AssignedValue<Fr>,
    /// 1 unless this place of the log is unused.
    active: AssignedValue<Fr>,
}

/// The circuit `base`: words 1 to 7. The child is made by a prover if it is a kernel.
pub fn constrain(
    ctx: &mut Context<Fr>,
    chips: &Chips<'_>,
    child: &ChildCells,
    input: &BaseInput,
) -> [AssignedValue<Fr>; 7] {
    let payee = chips.payee(ctx, input.payee);
    let earner = (child, circuit::free(input.child.credit.as_ref()));
    let credit = circuit::constrain(ctx, chips, (Kind::Base, payee), [Some(earner), None]);
    let [start, end, fee] = transition(ctx, chips, child, &Free::of(input));
    let txs = chips.tagged(ctx, Tag::Txs, &[child.start()]);
    let one = ctx.load_constant(Fr::one());
    [start, end, txs, one, credit.value, payee, fee]
}

/// The state transition of the child's tx: start root, end root, fee.
pub(crate) fn transition(
    ctx: &mut Context<Fr>,
    chips: &Chips<'_>,
    child: &ChildCells,
    free: &Free,
) -> [AssignedValue<Fr>; 3] {
    chips.zero(ctx, &child.end());
    let tx = free.tx.map(|word| ctx.load_witness(word));
    let [account, nonce, fee, _, calls, _] = tx;
    let hash = chips.tagged(ctx, Tag::Tx, &tx);
    ctx.constrain_equal(&hash, &child.start());
    ctx.constrain_equal(&calls, &child.count());
    let mut accesses = vec![pay(ctx, chips, [account, nonce, fee], free.balance)];
    accesses.extend(logs(ctx, chips, child, free));
    let start = ctx.load_witness(free.start);
    let end = accesses
        .iter()
        .zip(&free.siblings)
        .fold(start, |root, (access, siblings)| replay(ctx, chips, (root, siblings), access));
    [start, end, fee]
}

/// The account's access: nonce + 1, balance − fee, both in their 64 bits.
fn pay(
    ctx: &mut Context<Fr>,
    chips: &Chips<'_>,
    [account, nonce, fee]: [AssignedValue<Fr>; 3],
    balance: Fr,
) -> AccessCells {
    let gate = chips.gate();
    let program = ctx.load_zero();
    let key = chips.tagged(ctx, Tag::Key, &[program, account]);
    let balance = chips.load(ctx, balance, 64);
    let next = gate.add(ctx, nonce, QuantumCell::Constant(Fr::one()));
    let left = gate.sub(ctx, balance, fee);
    for number in [nonce, fee, next, left] {
        chips.gates.range_check(ctx, number, 64);
    }
    let shift = QuantumCell::Constant(gate.pow_of_two()[64]);
    let old = gate.mul_add(ctx, nonce, shift, balance);
    let new = gate.mul_add(ctx, next, shift, left);
    AccessCells { key, old, new, active: ctx.load_constant(Fr::one()) }
}

/// The accesses of all logs, tied to the child's log word and its number of calls.
fn logs(
    ctx: &mut Context<Fr>,
    chips: &Chips<'_>,
    child: &ChildCells,
    free: &Free,
) -> Vec<AccessCells> {
    let gate = chips.gate();
    let (mut chain, mut count) = (ctx.load_zero(), ctx.load_zero());
    let mut before = ctx.load_constant(Fr::one());
    let mut accesses = Vec::with_capacity(ACCESSES - 1);
    for (index, log) in free.logs.iter().enumerate() {
        let used = chips.bit(ctx, free.tx[4] > Fr::from(index as u64));
        // No call after one that is not there.
        let gap = gate.mul_not(ctx, before, used);
        chips.zero(ctx, &gap);
        let words = log.map(|a| [a.key, a.old, a.new].map(|word| ctx.load_witness(word)));
        let hash = chips.tagged(ctx, Tag::Log, words.as_flattened());
        let with = chips.h2(ctx, chain, hash);
        chain = gate.select(ctx, with, chain, used);
        count = gate.add(ctx, count, used);
        for [key, old, new] in words {
            let empty = gate.is_zero(ctx, key);
            let active = gate.mul_not(ctx, empty, used);
            accesses.push(AccessCells { key, old, new, active });
        }
        before = used;
    }
    ctx.constrain_equal(&chain, &child.aux());
    ctx.constrain_equal(&count, &child.count());
    accesses
}

/// One access on the tree: `old` must stand under `root`; the root with `new` in its place.
fn replay(
    ctx: &mut Context<Fr>,
    chips: &Chips<'_>,
    (root, siblings): (AssignedValue<Fr>, &[Fr; DEPTH]),
    access: &AccessCells,
) -> AssignedValue<Fr> {
    let gate = chips.gate();
    let [position, _] = chips.split(ctx, access.key, DEPTH);
    let bits = gate.num_to_bits(ctx, position, DEPTH);
    let mut nodes = [access.old, access.new].map(|value| leaf(ctx, chips, access.key, value));
    for (bit, sibling) in bits.into_iter().zip(siblings) {
        let sibling = ctx.load_witness(*sibling);
        nodes = nodes.map(|node| {
            let left = gate.select(ctx, sibling, node, bit);
            let right = gate.select(ctx, node, sibling, bit);
            chips.h2(ctx, left, right)
        });
    }
    let [before, after] = nodes;
    let wrong = gate.sub(ctx, before, root);
    chips.zero_if(ctx, access.active, wrong);
    gate.select(ctx, after, root, access.active)
}

/// P(6; key, value), 0 for the value 0.
fn leaf(
    ctx: &mut Context<Fr>,
    chips: &Chips<'_>,
    key: AssignedValue<Fr>,
    value: AssignedValue<Fr>,
) -> AssignedValue<Fr> {
    let hash = chips.tagged(ctx, Tag::Leaf, &[key, value]);
    let empty = chips.gate().is_zero(ctx, value);
    chips.gate().mul_not(ctx, empty, hash)
}
