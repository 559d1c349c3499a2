//! A transaction: what a client proves, and the circuit `tx` that says it.
//!
//! `tx` proves that whoever made it knows the secret of the account, and binds account, nonce, fee,
//! expiry and the ordered calls in one hash. There is no signature scheme: the proof is the
//! signature. It has no child and no payee.

use halo2_base::gates::GateInstructions;
use halo2_base::{AssignedValue, Context};
use serde::{Deserialize, Serialize};

use crate::poseidon::{Chips, Fr, Tag, h2, tagged};

pub mod words;

pub use words::{Child, WitnessError, Words};

/// Most calls of one tx: `base` replays three logs of four entries (2.0M of 2.28M free cells).
pub const MAX_CALLS: usize = 3;
/// Arguments of a call; a call with fewer has zeros.
pub const ARGS: usize = 4;

/// One public call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Call {
    /// The account that calls; always the tx's.
    pub caller: Fr,
    /// Hash of the program that is called.
    pub program: Fr,
    /// Arguments, missing ones 0.
    pub args: [Fr; ARGS],
}

impl Call {
    /// What stands in the circuit where there is no call.
    const NONE: Self = Self { caller: Fr::zero(), program: Fr::zero(), args: [Fr::zero(); ARGS] };

    /// P(3; caller, program, args).
    #[must_use]
    pub fn hash(&self) -> Fr {
        let [a, b, c, d] = self.args;
        tagged(Tag::Call, &[self.caller, self.program, a, b, c, d])
    }
}

/// A transaction.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tx {
    /// Who pays and calls: [`account`].
    pub account: Fr,
    /// The account's nonce before this tx.
    pub nonce: u64,
    /// Taken from the account's balance and burnt.
    pub fee: u64,
    /// Last slot in which the tx may be revealed; L1 checks it, no statement holds it.
    pub expiry: u64,
    /// At most [`MAX_CALLS`].
    pub calls: Vec<Call>,
}

impl Tx {
    /// P(2; account, nonce, fee, expiry, n, D₀).
    #[must_use]
    pub fn hash(&self) -> Fr {
        let numbers = [self.nonce, self.fee, self.expiry, self.calls.len() as u64].map(Fr::from);
        let [nonce, fee, expiry, n] = numbers;
        tagged(Tag::Tx, &[self.account, nonce, fee, expiry, n, self.calls_left(0)])
    }

    /// D_i: the calls that are left when `done` are done. D_n = 0, D_i = H2(call_{i+1}, D_{i+1}).
    #[must_use]
    pub fn calls_left(&self, done: usize) -> Fr {
        let left = self.calls.iter().skip(done).rev();
        left.fold(Fr::zero(), |rest, call| h2(call.hash(), rest))
    }

    /// Whether the tx keeps the limits its circuit has.
    ///
    /// # Errors
    /// [`WitnessError::TooManyCalls`], [`WitnessError::Caller`].
    pub fn check(&self) -> Result<(), WitnessError> {
        if self.calls.len() > MAX_CALLS {
            return Err(WitnessError::TooManyCalls { calls: self.calls.len(), limit: MAX_CALLS });
        }
        match self.calls.iter().position(|call| call.caller != self.account) {
            Some(call) => Err(WitnessError::Caller { call }),
            None => Ok(()),
        }
    }

    /// What a `tx` proof of this tx says.
    #[must_use]
    pub fn words(&self) -> Words {
        Words { start: self.hash(), end: self.calls_left(0), ..Words::default() }
    }
}

/// P(1; secret, domain): an account of one chain is nobody on another.
#[must_use]
pub fn account(secret: Fr, domain: Fr) -> Fr {
    tagged(Tag::Account, &[secret, domain])
}

/// The witness of a `tx` proof. Never leaves the client: it holds the secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxInput {
    /// The account's secret.
    pub secret: Fr,
    /// The chain's domain.
    pub domain: Fr,
    /// What is signed.
    pub tx: Tx,
}

impl TxInput {
    /// A witness of the right shape, for key generation.
    #[must_use]
    pub fn placeholder() -> Self {
        let (secret, domain) = (Fr::zero(), Fr::zero());
        let account = account(secret, domain);
        let tx = Tx { account, nonce: 0, fee: 0, expiry: 0, calls: Vec::new() };
        Self { secret, domain, tx }
    }

    /// The words the proof will have.
    ///
    /// # Errors
    /// [`WitnessError::Secret`] and those of [`Tx::check`].
    pub fn check(&self) -> Result<Words, WitnessError> {
        self.tx.check()?;
        if account(self.secret, self.domain) != self.tx.account {
            return Err(WitnessError::Secret);
        }
        Ok(self.tx.words())
    }
}

/// The circuit `tx`: words 1 to 7.
pub fn constrain(
    ctx: &mut Context<Fr>,
    chips: &Chips<'_>,
    input: &TxInput,
) -> [AssignedValue<Fr>; 7] {
    let tx = &input.tx;
    let secret = [input.secret, input.domain].map(|word| ctx.load_witness(word));
    let account = chips.tagged(ctx, Tag::Account, &secret);
    let left = calls_left(ctx, chips, account, &tx.calls);
    let named = ctx.load_witness(tx.account);
    ctx.constrain_equal(&account, &named);
    let [nonce, fee, expiry] =
        [tx.nonce, tx.fee, tx.expiry].map(|number| chips.load(ctx, Fr::from(number), 64));
    let hash = chips.tagged(ctx, Tag::Tx, &[account, nonce, fee, expiry, left.count, left.hash]);
    let zero = ctx.load_zero();
    [hash, left.hash, zero, zero, zero, zero, zero]
}

struct CallsLeft {
    count: AssignedValue<Fr>,
    hash: AssignedValue<Fr>,
}

/// D₀ of up to [`MAX_CALLS`] calls by `account`, and how many there are.
fn calls_left(
    ctx: &mut Context<Fr>,
    chips: &Chips<'_>,
    account: AssignedValue<Fr>,
    calls: &[Call],
) -> CallsLeft {
    let gate = chips.gate();
    let mut hash = ctx.load_zero();
    let mut after = ctx.load_zero();
    let mut count = ctx.load_zero();
    for index in (0..MAX_CALLS).rev() {
        let call = calls.get(index).copied().unwrap_or(Call::NONE);
        let used = chips.bit(ctx, index < calls.len());
        // No call after one that is not there.
        let gap = gate.mul_not(ctx, used, after);
        chips.zero(ctx, &gap);
        let caller = ctx.load_witness(call.caller);
        let foreign = gate.sub(ctx, caller, account);
        chips.zero_if(ctx, used, foreign);
        let program = ctx.load_witness(call.program);
        let args = call.args.map(|arg| ctx.load_witness(arg));
        let [a, b, c, d] = args;
        let call = chips.tagged(ctx, Tag::Call, &[caller, program, a, b, c, d]);
        let with = chips.h2(ctx, call, hash);
        hash = gate.mul(ctx, used, with);
        count = gate.add(ctx, count, used);
        after = used;
    }
    CallsLeft { count, hash }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::world::{World, fr, words};
    use crate::poseidon::mock::{Built, build};

    fn prove(input: &TxInput) -> (Built, Words) {
        build(11, |ctx, range| words(constrain(ctx, &Chips::new(range), input)))
    }

    fn input(calls: usize) -> TxInput {
        let world = World::new();
        let call = |i| world.call(&world.counter, [i, 0, 0, 0]);
        let tx = world.tx((0..calls as u64).map(call).collect());
        TxInput { secret: world.secret, domain: fr(31_337), tx }
    }

    fn refused(input: &TxInput, code: &str) {
        assert_eq!(input.check().unwrap_err().code(), code);
        assert!(!prove(input).0.satisfied());
    }

    #[test]
    fn tx_says_what_the_native_check_says_for_every_number_of_calls() {
        let expected = prove(&TxInput::placeholder()).0.shape();
        assert!(expected.rows < 3_900, "{} rows", expected.rows);
        for calls in 0..=MAX_CALLS {
            let input = input(calls);
            let (built, words) = prove(&input);
            assert!(built.satisfied());
            assert_eq!(built.shape(), expected);
            assert_eq!(words, input.check().unwrap());
        }
        assert!(prove(&input(2)).0.satisfied_by_mock_prover());
    }

    #[test]
    fn the_calls_left_shrink_call_by_call_to_zero() {
        let tx = input(3).tx;
        for (done, call) in tx.calls.iter().enumerate() {
            assert_eq!(tx.calls_left(done), h2(call.hash(), tx.calls_left(done + 1)));
        }
        assert_eq!(tx.calls_left(3), Fr::zero());
        let numbers = [7, 10, 99, 3].map(fr);
        let [nonce, fee, expiry, n] = numbers;
        let fields = [tx.account, nonce, fee, expiry, n, tx.calls_left(0)];
        assert_eq!(tx.hash(), tagged(Tag::Tx, &fields));
    }

    #[test]
    fn another_secret_or_domain_is_refused() {
        let mut wrong = input(1);
        wrong.secret += fr(1);
        refused(&wrong, "WIT-003");
        let mut wrong = input(1);
        wrong.domain = fr(1);
        refused(&wrong, "WIT-003");
    }

    #[test]
    fn a_call_in_anothers_name_is_refused() {
        let mut wrong = input(2);
        wrong.tx.calls[1].caller = fr(5);
        refused(&wrong, "WIT-002");
    }

    #[test]
    fn more_calls_than_the_circuit_has_places_are_refused() {
        let input = input(4);
        assert_eq!(input.check().unwrap_err().code(), "WIT-001");
        assert_ne!(prove(&input).1.start, input.tx.hash());
    }
}
