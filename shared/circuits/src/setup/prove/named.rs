//! A transcript that starts from the digest of the pinned key.
//!
//! The proving key is read with its gates in another form (`gates/short.rs`), and so the library
//! computes another digest for it. That digest is the first thing the library's prover absorbs; the
//! pinned one is absorbed in its place. A proof under a wrong digest is not accepted by anybody.

use crate::poseidon::Fr;
use halo2_base::halo2_proofs::{
    halo2curves::bn256::G1Affine,
    transcript::{EncodedChallenge, Transcript, TranscriptWrite, TranscriptWriterBuffer},
};
use std::io;

/// The transcript beneath, and the digest until it has been absorbed.
pub(super) struct Named<T> {
    inner: T,
    digest: Option<Fr>,
}

impl<T> Named<T> {
    pub(super) const fn new(inner: T, digest: Fr) -> Self {
        Self { inner, digest: Some(digest) }
    }

    pub(super) fn finalize<E>(self) -> Vec<u8>
    where
        E: EncodedChallenge<G1Affine>,
        T: TranscriptWriterBuffer<Vec<u8>, G1Affine, E>,
    {
        self.inner.finalize()
    }
}

impl<E: EncodedChallenge<G1Affine>, T: Transcript<G1Affine, E>> Transcript<G1Affine, E>
    for Named<T>
{
    fn squeeze_challenge(&mut self) -> E {
        self.inner.squeeze_challenge()
    }

    fn common_point(&mut self, point: G1Affine) -> io::Result<()> {
        self.inner.common_point(point)
    }

    fn common_scalar(&mut self, scalar: Fr) -> io::Result<()> {
        self.inner.common_scalar(self.digest.take().unwrap_or(scalar))
    }
}

impl<E: EncodedChallenge<G1Affine>, T: TranscriptWrite<G1Affine, E>> TranscriptWrite<G1Affine, E>
    for Named<T>
{
    fn write_point(&mut self, point: G1Affine) -> io::Result<()> {
        self.inner.write_point(point)
    }

    fn write_scalar(&mut self, scalar: Fr) -> io::Result<()> {
        self.inner.write_scalar(scalar)
    }
}
