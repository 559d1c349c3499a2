//! The setup: powers of a secret τ nobody may know, except on the devnet.
//!
//! The devnet's τ follows from a constant in this file: whoever reads it can forge every proof.
//! It exists so that a network can be started in seconds, and it is refused for any chain id but
//! the devnet's. Everywhere else an [`import`]ed file is checked as far as a file can be checked:
//! that it holds powers of *some* τ over the standard generator.

use super::store::{self, FileMark};
use halo2_base::halo2_proofs::{
    SerdeFormat,
    arithmetic::{best_multiexp, parallelize},
    halo2curves::{
        CurveAffine,
        bn256::{Bn256, Fr, G1, G1Affine, G2Affine},
        ff::{Field, PrimeField},
        group::{
            Curve, Group, GroupEncoding, cofactor::CofactorGroup as _, prime::PrimeCurveAffine,
        },
        pairing::Engine,
        serde::SerdeObject,
    },
    poly::{
        EvaluationDomain,
        commitment::{Params, ParamsProver},
        kzg::commitment::ParamsKZG,
    },
};
use rand::{SeedableRng, rngs::OsRng};
use rand_chacha::ChaCha20Rng;
use std::{
    fs::File,
    io::{self, BufReader, Read, Write},
    path::{Path, PathBuf},
};

/// The only chain id the insecure setup is for.
pub const DEVNET_CHAIN_ID: u64 = 31_337;
/// Heights a setup is stored for: those of the circuits. The basis a prover commits in depends on
/// the height, and computing it from another one takes minutes.
pub const HEIGHTS: [u32; 4] = [12, 14, 17, 18];
/// Where the devnet's τ comes from.
const INSECURE_SEED: [u8; 32] = *b"coppice: insecure devnet setup 1";

/// Why a setup is refused.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The insecure setup on a network that is not the devnet.
    #[error(
        "the insecure setup is for chain id {DEVNET_CHAIN_ID}, not {0}; import another with \
         `coppice-agent setup import --chain-id {0} FILE`"
    )]
    Insecure(u64),
    /// A file that holds something else than powers of one secret.
    #[error("{path} is no usable setup: {why}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A second setup for one chain: proofs of the first would no longer be accepted.
    #[error("chain id {chain_id} has the setup 0x{held} and takes no other; {remedy}")]
    Taken {
        /// The chain.
        chain_id: u64,
        /// Hash of its setup.
        held: String,
        /// What to do.
        remedy: String,
    },
    /// Reading or writing failed.
    #[error("setup file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl SetupError {
    /// Stable code for operators.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Insecure(_) => "SRS-001",
            Self::Unusable { .. } => "SRS-002",
            Self::Io { .. } => "SRS-003",
            Self::Taken { .. } => "SRS-004",
        }
    }

    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self::Io { path: path.to_owned(), source }
    }
}

/// What a verifier knows of a setup, and what its hash is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetupConstants {
    /// The standard generator G: the carried scalar of G assumes it.
    pub g: G1Affine,
    /// τ·G.
    pub tau_g: G1Affine,
    /// The standard generator of the second group.
    pub g2: G2Affine,
    /// τ times it.
    pub tau_g2: G2Affine,
}

impl SetupConstants {
    /// The devnet's constants.
    ///
    /// # Errors
    /// On every chain but the devnet's.
    pub fn insecure(chain_id: u64) -> Result<Self, SetupError> {
        if chain_id != DEVNET_CHAIN_ID {
            return Err(SetupError::Insecure(chain_id));
        }
        let (g, g2) = (G1Affine::generator(), G2Affine::generator());
        let tau = insecure_secret();
        Ok(Self { g, tau_g: (g * tau).to_affine(), g2, tau_g2: (g2 * tau).to_affine() })
    }

    /// Whether this is the setup whose secret everybody knows.
    #[must_use]
    pub fn is_insecure(&self) -> bool {
        self.tau_g == (G1Affine::generator() * insecure_secret()).to_affine()
    }

    /// BLAKE3 of the four points: names the setup in the circuit set's id and in cache folders.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"coppice.setup.v1");
        hasher.update(self.g.to_bytes().as_ref()).update(self.tau_g.to_bytes().as_ref());
        hasher.update(self.g2.to_bytes().as_ref()).update(self.tau_g2.to_bytes().as_ref());
        *hasher.finalize().as_bytes()
    }

    /// Whether τ of the first group is τ of the second, over the standard generators.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let generators = (self.g, self.g2) == (G1Affine::generator(), G2Affine::generator());
        let trivial = bool::from(self.tau_g.is_identity());
        generators
            && !trivial
            && bool::from(self.tau_g2.to_curve().is_torsion_free())
            && Bn256::pairing(&self.tau_g, &self.g2) == Bn256::pairing(&self.g, &self.tau_g2)
    }

    fn of(params: &ParamsKZG<Bn256>) -> Self {
        let (g, tau_g) = (params.get_g()[0], params.get_g()[1]);
        Self { g, tau_g, g2: params.g2(), tau_g2: params.s_g2() }
    }
}

fn insecure_secret() -> Fr {
    Fr::random(ChaCha20Rng::from_seed(INSECURE_SEED))
}

/// Bits of a window of the fixed-base table: 16 windows of 65,536 multiples of G, 64 MiB, so that
/// a point costs 16 additions.
const WINDOW: usize = 16;

/// table[(w << 16) + d] = d·2^(16w)·G.
fn multiples_of_g() -> Vec<G1Affine> {
    let windows = 256 / WINDOW;
    let bases = std::iter::successors(Some(G1::generator()), |base| {
        Some((0..WINDOW).fold(*base, |base, _| base.double()))
    });
    let bases: Vec<G1> = bases.take(windows).collect();
    let mut table = vec![G1Affine::identity(); windows << WINDOW];
    parallelize(&mut table, |part, start| {
        let mut points = Vec::with_capacity(part.len());
        let mut point = G1::identity();
        for index in start..start + part.len() {
            let (window, multiple) = (index >> WINDOW, index & ((1 << WINDOW) - 1));
            if index == start || multiple == 0 {
                point = bases[window] * Fr::from(multiple as u64);
            }
            points.push(point);
            point += bases[window];
        }
        G1::batch_normalize(&points, part);
    });
    table
}

fn times_g(table: &[G1Affine], scalar: &Fr) -> G1 {
    let digits = scalar.to_bytes();
    let digits = digits.chunks_exact(2).map(|d| usize::from(d[0]) | usize::from(d[1]) << 8);
    digits
        .enumerate()
        .filter(|(_, digit)| *digit != 0)
        .fold(G1::identity(), |sum, (window, digit)| sum + table[(window << WINDOW) + digit])
}

fn points(table: &[G1Affine], scalars: &[Fr]) -> Vec<G1Affine> {
    /// Points normalised at once.
    const BATCH: usize = 1 << 12;
    let mut points = vec![G1Affine::identity(); scalars.len()];
    parallelize(&mut points, |part, start| {
        for (batch, chunk) in part.chunks_mut(BATCH).enumerate() {
            let scalars = &scalars[start + batch * BATCH..][..chunk.len()];
            let projective: Vec<G1> = scalars.iter().map(|s| times_g(table, s)).collect();
            G1::batch_normalize(&projective, chunk);
        }
    });
    points
}

fn powers(tau: Fr, n: usize) -> Vec<Fr> {
    let mut powers = vec![Fr::ZERO; n];
    parallelize(&mut powers, |part, start| {
        let mut power = tau.pow_vartime([start as u64]);
        for entry in part {
            *entry = power;
            power *= tau;
        }
    });
    powers
}

/// L_i(τ) = (τⁿ − 1)/n · ωⁱ/(τ − ωⁱ) for all i.
fn lagrange(tau: Fr, k: u32) -> Vec<Fr> {
    let n = 1usize << k;
    let omega = (k..Fr::S).fold(Fr::ROOT_OF_UNITY, |root, _| root.square());
    let factor = (tau.pow_vartime([n as u64]) - Fr::ONE) * Fr::TWO_INV.pow_vartime([u64::from(k)]);
    let mut values = vec![Fr::ZERO; n];
    parallelize(&mut values, |part, start| {
        let first = omega.pow_vartime([start as u64]);
        let roots = std::iter::successors(Some(first), |root| Some(root * omega));
        let roots: Vec<Fr> = roots.take(part.len()).collect();
        for (entry, root) in part.iter_mut().zip(&roots) {
            *entry = tau - root;
        }
        invert_all(part);
        for (entry, root) in part.iter_mut().zip(&roots) {
            *entry *= factor * root;
        }
    });
    values
}

/// Inverts every entry with one inversion. None is 0: τ is no root of unity.
fn invert_all(values: &mut [Fr]) {
    let mut prefix = Vec::with_capacity(values.len());
    let mut product = Fr::ONE;
    for value in values.iter() {
        prefix.push(product);
        product *= value;
    }
    let mut inverse = Option::<Fr>::from(product.invert()).unwrap_or(Fr::ZERO);
    for (value, before) in values.iter_mut().zip(prefix).rev() {
        let inverted = inverse * before;
        inverse *= *value;
        *value = inverted;
    }
}

/// The file of height `k` in `folder`.
#[must_use]
pub fn path(folder: &Path, k: u32) -> PathBuf {
    folder.join(format!("srs_{k}.bin"))
}

/// Writes the insecure setup of height `k` into `folder`: the same bytes on every machine.
pub(super) fn generate_insecure(folder: &Path, k: u32) -> Result<FileMark, SetupError> {
    let tau = insecure_secret();
    let table = multiples_of_g();
    let parts = [powers(tau, 1 << k), lagrange(tau, k)];
    let path = path(folder, k);
    let write = |writer: &mut dyn Write| {
        let mut writer = writer;
        writer.write_all(&k.to_le_bytes())?;
        for scalars in &parts {
            points(&table, scalars).iter().try_for_each(|point| point.write_raw(&mut writer))?;
        }
        G2Affine::generator().write_raw(&mut writer)?;
        (G2Affine::generator() * tau).to_affine().write_raw(&mut writer)
    };
    store::write(&path, write).map_err(SetupError::io(&path))
}

/// Reads the setup of height `k`, a file of this folder that `mark` is of.
pub(super) fn load(folder: &Path, k: u32, mark: &FileMark) -> Result<ParamsKZG<Bn256>, SetupError> {
    let path = path(folder, k);
    let opened = store::open_checked(&path, mark).map_err(SetupError::io(&path))?;
    let Some(mut reader) = opened else {
        let why = "length or hash differ from the recorded".into();
        return Err(SetupError::Unusable { path, why });
    };
    let params = ParamsKZG::read_custom(&mut reader, SerdeFormat::RawBytesUnchecked);
    params.map_err(SetupError::io(&path))
}

/// Writes an imported setup in the heights of the circuits. The lower ones are computed: minutes.
pub(super) fn write_imported(
    folder: &Path,
    params: &ParamsKZG<Bn256>,
    k: u32,
) -> Result<FileMark, SetupError> {
    let path = path(folder, k);
    let lower = (k < params.k()).then(|| {
        let mut lower = params.clone();
        lower.downsize(k);
        lower
    });
    let params = lower.as_ref().unwrap_or(params);
    let write = |writer: &mut dyn Write| {
        let mut writer = writer;
        params.write_custom(&mut writer, SerdeFormat::RawBytes)
    };
    store::write(&path, write).map_err(SetupError::io(&path))
}

/// Reads and checks a setup made elsewhere: halo2's raw format, height `k`. Every point is on its
/// curve, the generators are the standard ones, the pairing confirms one τ throughout, and both
/// bases are bases of the same polynomials.
///
/// # Errors
/// A file that cannot be read or fails a check, and the devnet's setup, whose secret is known.
pub fn import(path: &Path, k: u32) -> Result<ParamsKZG<Bn256>, SetupError> {
    let unusable = |why: String| SetupError::Unusable { path: path.to_owned(), why };
    let file = File::open(path).map_err(SetupError::io(path))?;
    let bytes = file.metadata().map_err(SetupError::io(path))?.len();
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut head = [0; 4];
    if bytes >= head.len() as u64 {
        reader.read_exact(&mut head).map_err(SetupError::io(path))?;
    }
    wrong_size(u32::from_le_bytes(head), bytes, k).map_or(Ok(()), |why| Err(unusable(why)))?;
    let params = read_checked(&mut reader, k).map_err(|error| {
        let no_point = error.kind() == io::ErrorKind::InvalidData;
        if no_point { unusable(error.to_string()) } else { SetupError::io(path)(error) }
    })?;
    if SetupConstants::of(&params).is_insecure() {
        return Err(unusable("it is the devnet's insecure setup".into()));
    }
    check(&params).map_err(|why| unusable(why.into()))?;
    Ok(params)
}

/// Why a file that begins with `height` and is this long is no raw setup of height `k`.
fn wrong_size(height: u32, bytes: u64, k: u32) -> Option<String> {
    let expected = 4 + 2 * (64 << k) + 2 * 128;
    if bytes >= 4 && height != k {
        let text = format!("its height is {height}, the circuits need {k}");
        return Some(format!("{text}: import one of 2^{k} powers in halo2's raw format"));
    }
    (bytes != expected).then(|| {
        let text = format!("it has {bytes} bytes, halo2's raw format of height {k} has {expected}");
        format!("{text}: fetch it whole, or convert it")
    })
}

/// A setup's points after its height. The library's own reader does not ask whether they are on
/// their curves.
fn read_checked(reader: &mut impl Read, k: u32) -> io::Result<ParamsKZG<Bn256>> {
    let mut points = || (0..1 << k).map(|_| read_point(reader)).collect::<io::Result<Vec<_>>>();
    let (powers, values) = (points()?, points()?);
    let (g2, tau_g2) = (read_point(reader)?, read_point(reader)?);
    let any = ParamsKZG::<Bn256>::setup(1, ChaCha20Rng::from_seed([0; 32]));
    Ok(any.from_parts(k, powers, Some(values), g2, tau_g2))
}

fn read_point<C: CurveAffine + SerdeObject>(reader: &mut impl Read) -> io::Result<C> {
    let point = C::read_raw(reader)?;
    let off = || io::Error::new(io::ErrorKind::InvalidData, "a point is not on its curve");
    bool::from(point.is_on_curve()).then_some(point).ok_or_else(off)
}

/// The checks of [`import`] on a setup of any height.
///
/// # Errors
/// The check that fails.
pub fn check(params: &ParamsKZG<Bn256>) -> Result<(), &'static str> {
    let constants = SetupConstants::of(params);
    if !constants.is_consistent() {
        return Err("generators are not standard or the groups disagree on the secret");
    }
    let domain = EvaluationDomain::<Fr>::new(1, params.k());
    let n = params.get_g().len();
    let weights: Vec<Fr> = (0..n).map(|_| Fr::random(OsRng)).collect();
    let low = best_multiexp(&weights[1..], &params.get_g()[..n - 1]).to_affine();
    let high = best_multiexp(&weights[1..], &params.get_g()[1..]).to_affine();
    if Bn256::pairing(&high, &constants.g2) != Bn256::pairing(&low, &constants.tau_g2) {
        return Err("the powers are not consecutive powers of one secret");
    }
    let values = domain.lagrange_from_vec(weights);
    let by_value = params.commit_lagrange(&values, Default::default());
    let by_coefficient = params.commit(&domain.lagrange_to_coeff(values), Default::default());
    if by_value.to_affine() != by_coefficient.to_affine() {
        return Err("the two bases do not belong together");
    }
    Ok(())
}

/// What a verifier needs of `params`.
#[must_use]
pub fn constants(params: &ParamsKZG<Bn256>) -> SetupConstants {
    SetupConstants::of(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> ParamsKZG<Bn256> {
        let folder = tempfile::tempdir().unwrap();
        let mark = generate_insecure(folder.path(), 6).unwrap();
        load(folder.path(), 6, &mark).unwrap()
    }

    #[test]
    fn the_fast_generation_makes_what_the_library_makes() {
        let library = ParamsKZG::<Bn256>::setup(6, ChaCha20Rng::from_seed(INSECURE_SEED));
        let (mut fast, mut slow) = (Vec::new(), Vec::new());
        small().write_custom(&mut fast, SerdeFormat::RawBytes).unwrap();
        library.write_custom(&mut slow, SerdeFormat::RawBytes).unwrap();
        assert_eq!(fast, slow);
    }

    #[test]
    fn the_insecure_setup_is_refused_elsewhere() {
        assert!(SetupConstants::insecure(DEVNET_CHAIN_ID).unwrap().is_insecure());
        let refused = SetupConstants::insecure(1).unwrap_err();
        assert_eq!(refused.code(), "SRS-001");
    }

    #[test]
    fn a_setup_with_one_changed_power_is_refused() {
        check(&small()).unwrap();
        let mut bytes = Vec::new();
        small().write_custom(&mut bytes, SerdeFormat::RawBytes).unwrap();
        let (fifth, sixth) = (4 + 5 * 64, 4 + 6 * 64);
        let power = bytes[sixth..sixth + 64].to_vec();
        bytes[fifth..fifth + 64].copy_from_slice(&power);
        let params = ParamsKZG::read_custom(&mut &bytes[..], SerdeFormat::RawBytes).unwrap();
        check(&params).unwrap_err();
    }

    #[test]
    fn a_setup_with_one_changed_value_of_the_other_basis_is_refused() {
        let mut bytes = Vec::new();
        small().write_custom(&mut bytes, SerdeFormat::RawBytes).unwrap();
        let first = 4 + 64 * 64;
        let second = bytes[first + 64..first + 128].to_vec();
        bytes[first..first + 64].copy_from_slice(&second);
        let params = ParamsKZG::read_custom(&mut &bytes[..], SerdeFormat::RawBytes).unwrap();
        check(&params).unwrap_err();
    }

    /// Damage to a file's bytes.
    type Change = fn(&mut Vec<u8>);

    /// A file as a ceremony leaves it, with `change` made to its bytes.
    fn imported(change: Change) -> Result<ParamsKZG<Bn256>, SetupError> {
        let params = ParamsKZG::<Bn256>::setup(6, ChaCha20Rng::from_seed([7; 32]));
        let mut bytes = Vec::new();
        params.write_custom(&mut bytes, SerdeFormat::RawBytes).unwrap();
        change(&mut bytes);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("powers.bin");
        std::fs::write(&path, &bytes).unwrap();
        import(&path, 6)
    }

    #[test]
    fn a_ceremonys_setup_is_imported() {
        let params = imported(|_| ()).unwrap();
        let constants = constants(&params);
        assert!(constants.is_consistent() && !constants.is_insecure());
    }

    #[test]
    fn what_is_no_setup_of_the_height_is_refused_with_the_number_that_is_wrong() {
        let cases: [(Change, &str); 7] = [
            (|bytes| bytes[0] = 5, "its height is 5, the circuits need 6"),
            (
                |bytes| bytes.truncate(8000),
                "it has 8000 bytes, halo2's raw format of height 6 has 8452",
            ),
            (|bytes| bytes.push(0), "it has 8453 bytes"),
            (|bytes| bytes.clear(), "it has 0 bytes"),
            // One byte of a point of each basis, and one beyond the field.
            (|bytes| bytes[4 + 64] ^= 1, "a point is not on its curve"),
            (|bytes| bytes[4 + 65 * 64] ^= 1, "a point is not on its curve"),
            (|bytes| bytes[4 + 64..4 + 96].fill(0xff), "not less than field modulus"),
        ];
        for (change, expected) in cases {
            let refused = imported(change).unwrap_err();
            assert_eq!(refused.code(), "SRS-002");
            assert!(refused.to_string().contains(expected), "{refused}");
        }
    }

    #[test]
    fn the_insecure_setup_is_not_imported() {
        let folder = tempfile::tempdir().unwrap();
        generate_insecure(folder.path(), 6).unwrap();
        let refused = import(&path(folder.path(), 6), 6).unwrap_err();
        assert!(refused.to_string().contains("the devnet's insecure setup"), "{refused}");
        let absent = import(&folder.path().join("none"), 6).unwrap_err();
        assert_eq!(absent.code(), "SRS-003");
    }

    #[test]
    fn a_setup_of_another_secret_in_the_second_group_is_refused() {
        let mut constants = SetupConstants::insecure(DEVNET_CHAIN_ID).unwrap();
        assert!(constants.is_consistent());
        constants.tau_g2 = (constants.g2 * Fr::from(7)).to_affine();
        assert!(!constants.is_consistent());
    }
}
