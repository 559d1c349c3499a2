//! One file per secret, readable by its owner alone.
//!
//! `<name>.json` is encrypted (Web3 secret storage); `<name>.key` is plain and says so in its first
//! line: a devnet's supervisor makes throw-away keys, everybody else has no reason for it.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::{Coded, Exit};
use crate::l1::keystore;
use crate::store;

/// 32 bytes that must not be seen; wiped when dropped.
pub(crate) type Secret = Zeroizing<[u8; 32]>;

/// Longest key or passphrase file: an encrypted key has about 500 bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024;
/// Shortest passphrase that is accepted for a new file.
const PASSPHRASE_BYTES_MIN: usize = 12;
/// Names the passphrase's file where no option does.
const PASSPHRASE_FILE: &str = "COPPICE_PASSPHRASE_FILE";
/// A service manager's folder of secrets, and the passphrase's name in it.
const CREDENTIALS: (&str, &str) = ("CREDENTIALS_DIRECTORY", "coppice-passphrase");

/// What a secret is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Role {
    /// Signs messages and transactions (secp256k1).
    Operator,
    /// Identity on the mesh (Ed25519).
    Mesh,
    /// A sequencer's election tickets (BLS12-381).
    Bls,
}

impl Role {
    /// All roles.
    pub(crate) const ALL: [Self; 3] = [Self::Operator, Self::Mesh, Self::Bls];

    /// Its name, as in the name of its file.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Mesh => "mesh",
            Self::Bls => "bls",
        }
    }
    fn encrypted(self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.json", self.name()))
    }
    fn plain(self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.key", self.name()))
    }
}

/// How secrets are written.
pub(crate) enum Protection {
    /// As they are: for devnets.
    Plain,
    /// Encrypted with this passphrase.
    Passphrase(Zeroizing<Vec<u8>>),
}

/// A secret with how it lay on the disk.
pub(crate) struct Found {
    /// The secret.
    pub(crate) secret: Secret,
    /// Whether its file is not encrypted.
    pub(crate) plain: bool,
}

/// Writes a secret that is not there yet.
///
/// # Errors
/// `IDN-002` if the folder has one for this role; errors of the disk and of permissions.
pub(crate) fn write(
    folder: &Path,
    role: Role,
    secret: &Secret,
    protection: &Protection,
) -> Result<(), Coded> {
    store::private_folder(folder)?;
    let (plain, encrypted) = (role.plain(folder), role.encrypted(folder));
    if let Some(old) = [&plain, &encrypted].into_iter().find(|path| path.exists()) {
        let text = format!(
            "{} exists and is not overwritten: move it away first, the bond and the earnings of \
             its address depend on it",
            old.display()
        );
        return Err(Coded::new("IDN-002", text));
    }
    let (path, text) = match protection {
        Protection::Plain => (plain, plain_text(role, secret)),
        Protection::Passphrase(passphrase) => {
            let text = keystore::encrypt(secret, passphrase)
                .map_err(|error| Coded::new("IDN-004", error.to_string()))?;
            (encrypted, Zeroizing::new(text))
        }
    };
    Ok(store::write_private(&path, text.as_bytes())?)
}

fn plain_text(role: Role, secret: &Secret) -> Zeroizing<String> {
    let hex = Zeroizing::new(hex::encode(**secret));
    let name = role.name();
    Zeroizing::new(format!("# coppice {name} key, not encrypted: for devnets only\n{}\n", *hex))
}

/// Reads a secret; `None` if the folder has none for this role.
///
/// # Errors
/// `STO-002` if others can read it, `IDN-003` without a passphrase, `IDN-004` with a wrong one,
/// `IDN-005` for a file that holds no key.
pub(crate) fn read(
    folder: &Path,
    role: Role,
    passphrase: &mut Passphrase,
) -> Result<Option<Found>, Coded> {
    let (plain, encrypted) = (role.plain(folder), role.encrypted(folder));
    if plain.exists() {
        store::check_private_file(&plain)?;
        let secret = parse(&plain, &read_text(&plain)?)?;
        return Ok(Some(Found { secret, plain: true }));
    }
    if encrypted.exists() {
        store::check_private_file(&encrypted)?;
        let secret = open(&encrypted, passphrase.get()?)?;
        return Ok(Some(Found { secret, plain: false }));
    }
    Ok(None)
}

/// Opens an encrypted key file.
///
/// # Errors
/// `IDN-004` for a wrong passphrase and for everything that is no key file.
pub(crate) fn open(path: &Path, passphrase: &[u8]) -> Result<Secret, Coded> {
    keystore::decrypt(path, passphrase).map_err(|error| {
        let text = format!("{}: {error}; check the passphrase", path.display());
        Coded::new("IDN-004", text).exit(Exit::Config)
    })
}

/// The secret in a plain text: 64 hex digits, after lines of comment.
///
/// # Errors
/// `IDN-005`; the text itself is never shown.
pub(crate) fn parse(path: &Path, text: &str) -> Result<Secret, Coded> {
    let mut lines = text.lines().map(str::trim).filter(|it| !it.is_empty() && !it.starts_with('#'));
    let mut secret = Zeroizing::new([0; 32]);
    let hex = lines.next().unwrap_or_default();
    let hex = hex.strip_prefix("0x").unwrap_or(hex);
    if lines.next().is_some() || hex::decode_to_slice(hex, &mut *secret).is_err() {
        let text = format!("{} holds no key of 64 hex digits", path.display());
        return Err(Coded::new("IDN-005", text).exit(Exit::Config));
    }
    Ok(secret)
}

/// Reads a small text file, or stdin for `-`.
///
/// # Errors
/// `IDN-001` if it cannot be read or is longer than any key file.
pub(crate) fn read_text(path: &Path) -> Result<Zeroizing<String>, Coded> {
    let failed = |why: &dyn std::fmt::Display| {
        Coded::new("IDN-001", format!("cannot read {}: {why}", path.display())).exit(Exit::Config)
    };
    let mut text = Zeroizing::new(String::new());
    let input: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(fs::File::open(path).map_err(|error| failed(&error))?)
    };
    input.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| failed(&error))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(failed(&format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// The passphrase, read once and only if it is needed.
pub(crate) struct Passphrase {
    file: Option<PathBuf>,
    read: Option<Zeroizing<Vec<u8>>>,
}

impl Passphrase {
    /// From `file` (`-` is stdin); otherwise from where the environment says it is.
    pub(crate) const fn from(file: Option<PathBuf>) -> Self {
        Self { file, read: None }
    }

    /// The passphrase.
    ///
    /// # Errors
    /// `IDN-003` if nothing says where it is, `IDN-001` if it cannot be read.
    pub(crate) fn get(&mut self) -> Result<&[u8], Coded> {
        if self.read.is_none() {
            let path = self.file.clone().or_else(from_environment).ok_or_else(|| {
                let text = format!(
                    "the keys are encrypted: name the passphrase's file with --passphrase-file, \
                     {PASSPHRASE_FILE}, or as the credential {}",
                    CREDENTIALS.1
                );
                Coded::new("IDN-003", text).exit(Exit::Config)
            })?;
            let text = read_text(&path)?;
            self.read = Some(Zeroizing::new(text.trim_end_matches(['\r', '\n']).into()));
        }
        Ok(self.read.as_deref().map_or(&[], Vec::as_slice))
    }

    /// The passphrase for new files.
    ///
    /// # Errors
    /// As [`Passphrase::get`], and `IDN-003` if it is too short.
    pub(crate) fn for_new(&mut self) -> Result<Protection, Coded> {
        let passphrase = self.get()?;
        if passphrase.len() < PASSPHRASE_BYTES_MIN {
            let bytes = passphrase.len();
            let text = format!(
                "the passphrase has {bytes} bytes, at least {PASSPHRASE_BYTES_MIN} are needed"
            );
            return Err(Coded::new("IDN-003", text).exit(Exit::Config));
        }
        Ok(Protection::Passphrase(Zeroizing::new(passphrase.to_vec())))
    }
}

fn from_environment() -> Option<PathBuf> {
    let file = std::env::var_os(PASSPHRASE_FILE).map(PathBuf::from);
    file.or_else(|| {
        let path = Path::new(&std::env::var_os(CREDENTIALS.0)?).join(CREDENTIALS.1);
        match fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Ok(_) | Err(_) => Some(path),
        }
    })
}
