//! A child's transcript in the circuit: the sponge its prover hashed with, on the hash's gate.
//!
//! The function is that of snark-verifier's Poseidon transcript: state (2^64, 0, 0), two inputs a
//! permutation added to words 1 and 2, a one behind an odd last input, and one more permutation
//! when the number of inputs is even; a challenge is word 1. A test compares the two.

use super::points::{SymbolicEcc, SymbolicLoader};
use crate::gates::{Cell, hash::WIDTH, number::Operand};
use halo2_base::{
    QuantumCell::Constant,
    gates::GateInstructions,
    halo2_proofs::halo2curves::{
        bn256::{Fr, G1Affine},
        ff::{Field, PrimeField},
        group::GroupEncoding,
    },
};
use snark_verifier::{
    Error,
    loader::halo2::{EcPoint, Scalar},
    util::transcript::{Transcript, TranscriptRead},
};
use std::{io::Read, mem, rc::Rc};

/// Inputs a permutation absorbs.
const RATE: usize = WIDTH - 1;

type ScalarOf<'c> = Scalar<G1Affine, SymbolicEcc<'c>>;
type PointOf<'c> = EcPoint<G1Affine, SymbolicEcc<'c>>;

/// The transcript of one child, read from its proof.
pub(super) struct Sponge<'a, 'c> {
    loader: Rc<SymbolicLoader<'c>>,
    proof: &'a [u8],
    state: [Operand; WIDTH],
    waiting: Vec<Cell>,
}

fn refuse(why: impl ToString) -> Error {
    Error::Transcript(std::io::ErrorKind::Other, why.to_string())
}

impl<'a, 'c> Sponge<'a, 'c> {
    pub(super) fn new(loader: &Rc<SymbolicLoader<'c>>, proof: &'a [u8]) -> Self {
        let words = [Fr::from_u128(1 << 64), Fr::ZERO, Fr::ZERO];
        let state = words.map(Operand::constant);
        Self { loader: loader.clone(), proof, state, waiting: Vec::new() }
    }

    /// One permutation after adding up to two inputs and the padding.
    fn absorb(&mut self, inputs: &[Cell]) {
        let ecc = self.loader.ecc_chip();
        let gates = ecc.gates();
        let mut pool = self.loader.ctx_mut();
        let ctx = pool.main();
        let mut state = self.state;
        for (i, word) in state.iter_mut().skip(1).enumerate() {
            let added = match inputs.get(i) {
                Some(input) => halo2_base::QuantumCell::Existing(*input),
                None if i == inputs.len() => Constant(Fr::ONE),
                None => continue,
            };
            let old = gates.cell(ctx, word);
            *word = Operand::plain(&gates.gate.add(ctx, old, added));
        }
        self.state = gates.permute(state);
    }

    fn read<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        self.proof.read_exact(&mut bytes).map_err(refuse)?;
        Ok(bytes)
    }
}

impl<'c> Transcript<G1Affine, Rc<SymbolicLoader<'c>>> for Sponge<'_, 'c> {
    fn loader(&self) -> &Rc<SymbolicLoader<'c>> {
        &self.loader
    }

    fn squeeze_challenge(&mut self) -> ScalarOf<'c> {
        let inputs = mem::take(&mut self.waiting);
        for chunk in inputs.chunks(RATE) {
            self.absorb(chunk);
        }
        if inputs.len().is_multiple_of(RATE) {
            self.absorb(&[]);
        }
        let challenge = {
            let ecc = self.loader.ecc_chip();
            ecc.gates().cell(self.loader.ctx_mut().main(), &self.state[1])
        };
        self.loader.scalar_from_assigned(challenge)
    }

    fn common_scalar(&mut self, scalar: &ScalarOf<'c>) -> Result<(), Error> {
        self.waiting.push(scalar.clone().into_assigned());
        Ok(())
    }

    fn common_ec_point(&mut self, point: &PointOf<'c>) -> Result<(), Error> {
        let loaded = self.loader.ecc_chip().single(&point.assigned());
        let loaded = loaded.ok_or_else(|| refuse("only points of a proof are absorbed"))?;
        self.waiting.extend(loaded.native);
        Ok(())
    }
}

impl<'c> TranscriptRead<G1Affine, Rc<SymbolicLoader<'c>>> for Sponge<'_, 'c> {
    fn read_scalar(&mut self) -> Result<ScalarOf<'c>, Error> {
        let scalar = Option::<Fr>::from(Fr::from_repr(self.read()?));
        let scalar = scalar.ok_or_else(|| refuse("a scalar of the proof is not below r"))?;
        let scalar = self.loader.assign_scalar(scalar);
        self.common_scalar(&scalar)?;
        Ok(scalar)
    }

    fn read_ec_point(&mut self) -> Result<PointOf<'c>, Error> {
        let mut repr = <G1Affine as GroupEncoding>::Repr::default();
        repr.as_mut().copy_from_slice(&self.read::<32>()?);
        let point = Option::<G1Affine>::from(G1Affine::from_bytes(&repr));
        let point = point.ok_or_else(|| refuse("a point of the proof is not on the curve"))?;
        let point = self.loader.assign_ec_point(point);
        self.common_ec_point(&point)?;
        Ok(point)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gates::draft::start;
    use snark_verifier::loader::{halo2::Halo2Loader, native::NativeLoader};
    use snark_verifier_sdk::halo2::{POSEIDON_SPEC, PoseidonTranscript};

    /// Numbers and points of every count, and squeezes in between.
    #[test]
    fn the_sponge_is_the_transcript_proofs_are_made_with() {
        let mut proof = Vec::new();
        for i in 1..6u64 {
            proof.extend(Fr::from(i).to_repr());
        }
        proof.extend_from_slice(G1Affine::generator().to_bytes().as_ref());
        let spec = POSEIDON_SPEC.clone();
        let mut native = PoseidonTranscript::<NativeLoader, _>::from_spec(&proof[..], spec);
        let (mut builder, gates) = start(17);
        let ecc = SymbolicEcc::new(&gates);
        let loader = Halo2Loader::new(ecc, mem::take(builder.pool(0)));
        let mut sponge = Sponge::new(&loader, &proof);
        for scalars in [0, 1, 3, 1] {
            for _ in 0..scalars {
                native.read_scalar().unwrap();
                sponge.read_scalar().unwrap();
            }
            let expected: Fr = Transcript::squeeze_challenge(&mut native);
            assert_eq!(*sponge.squeeze_challenge().assigned().value(), expected);
        }
        native.read_ec_point().unwrap();
        sponge.read_ec_point().unwrap();
        let expected: Fr = Transcript::squeeze_challenge(&mut native);
        assert_eq!(*sponge.squeeze_challenge().assigned().value(), expected);
        assert!(sponge.read_scalar().is_err(), "the proof is at its end");
    }
}
