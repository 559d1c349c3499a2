//! `coppice-agent keys`: the secrets of one process.
//!
//! They are made from the system's randomness or read from a file, never from an argument, and
//! only their public halves are ever printed.

mod files;

use std::path::{Path, PathBuf};

use protocol::Address;
use rand::RngCore as _;
use serde_json::json;
use zeroize::Zeroizing;

use self::files::{Found, Passphrase, Protection, Role, Secret};
use super::print_line;
use crate::error::{Coded, Exit};
use crate::l1::anvil::DEVNET_CHAIN;
use crate::l1::send::account_of;
use crate::l1::vrf::VrfKey;
use crate::mesh::MeshKey;

/// Options of `keys`.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    /// Makes an operator key and a mesh key.
    New {
        #[command(flatten)]
        place: Place,
        /// Also makes a BLS key: sequencers need one.
        #[arg(long)]
        sequencer: bool,
        /// Does not encrypt: for devnets, whose keys are worth nothing.
        #[arg(long, conflicts_with = "passphrase_file")]
        plain: bool,
    },
    /// Prints addresses and public keys.
    Show {
        #[command(flatten)]
        place: Place,
    },
    /// Takes a secret over from a file: 64 hex digits, or a Web3 key file.
    Import {
        #[command(flatten)]
        place: Place,
        /// What it is for.
        role: Role,
        /// The file; `-` is stdin.
        from: PathBuf,
        /// File of the passphrase that a Web3 key file is encrypted with now.
        #[arg(long)]
        from_passphrase_file: Option<PathBuf>,
        /// Does not encrypt: for devnets, whose keys are worth nothing.
        #[arg(long, conflicts_with = "passphrase_file")]
        plain: bool,
    },
}

/// Where the keys are.
#[derive(clap::Args, Debug)]
struct Place {
    /// Folder of the key files (`folders.identity` of a configuration).
    #[arg(long, env = "COPPICE_IDENTITY")]
    folder: PathBuf,
    /// File of the passphrase of the key files; `-` is stdin. Otherwise
    /// `COPPICE_PASSPHRASE_FILE`, otherwise the credential `coppice-passphrase`.
    #[arg(long)]
    passphrase_file: Option<PathBuf>,
    /// Prints one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Secrets of one process. They cannot be printed or copied and are wiped when dropped.
pub(crate) struct AgentKeys {
    operator: Secret,
    mesh: Secret,
    bls: Option<Secret>,
    plain: bool,
}

impl AgentKeys {
    /// Secret of the operator key: signs messages and transactions.
    pub(crate) fn operator(&self) -> &[u8; 32] {
        &self.operator
    }
    /// Seed of the mesh key.
    pub(crate) fn mesh(&self) -> &[u8; 32] {
        &self.mesh
    }
    /// Secret of the BLS key.
    ///
    /// # Errors
    /// `IDN-001` if there is none: only sequencers have one.
    pub(crate) fn bls(&self) -> Result<&[u8; 32], Coded> {
        self.bls.as_deref().ok_or_else(|| {
            let text = "there is no bls key: make one with `coppice-agent keys new --sequencer`";
            Coded::new("IDN-001", text).exit(Exit::Config)
        })
    }

    /// Refuses keys that are not encrypted anywhere but on a devnet.
    ///
    /// # Errors
    /// `IDN-006`.
    pub(crate) fn check_chain(&self, chain_id: u64) -> Result<(), Coded> {
        if self.plain && chain_id != DEVNET_CHAIN {
            let text = format!(
                "key files are not encrypted and chain {chain_id} is no devnet: import them with \
                 a passphrase"
            );
            return Err(Coded::new("IDN-006", text).exit(Exit::Config));
        }
        Ok(())
    }

    /// What others may know.
    ///
    /// # Errors
    /// `IDN-005` if a secret is none of its curve.
    pub(crate) fn public(&self) -> Result<Public, Coded> {
        let operator = account_of(&self.operator).map_err(|error| no_key(&error))?;
        let mesh = MeshKey::new(&self.mesh).map_err(|error| no_key(&error))?.id().0;
        let bls = match &self.bls {
            Some(secret) => Some(VrfKey::from_secret(secret).map_err(|e| no_key(&e))?.public()),
            None => None,
        };
        Ok(Public { operator, mesh, bls })
    }
}

/// What others may know of a process's keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Public {
    /// L1 address of the operator key.
    pub(crate) operator: Address,
    /// Mesh identity.
    pub(crate) mesh: [u8; 32],
    /// BLS public key as the registry wants it, if there is one.
    pub(crate) bls: Option<Vec<u8>>,
}

/// Makes all three keys for a devnet, not encrypted.
///
/// # Errors
/// `IDN-002` if the folder has some already; errors of the disk and of permissions.
pub(crate) fn create(folder: &Path) -> Result<Public, Coded> {
    make(folder, &Role::ALL, &Protection::Plain)?;
    load(folder)?.public()
}

/// Reads the keys in `folder`; the passphrase comes from where the environment says it is.
///
/// # Errors
/// `IDN-001` if a key is missing, `IDN-003` without a passphrase, `IDN-004` with a wrong one,
/// `STO-002` if others can read a file: all exit with 78.
pub(crate) fn load(folder: &Path) -> Result<AgentKeys, Coded> {
    load_with(folder, &mut Passphrase::from(None))
}

fn load_with(folder: &Path, passphrase: &mut Passphrase) -> Result<AgentKeys, Coded> {
    let mut needed = |role: Role| {
        files::read(folder, role, passphrase)?.ok_or_else(|| {
            let (name, folder) = (role.name(), folder.display());
            let text = format!("no {name} key in {folder}: make one with `coppice-agent keys new`");
            Coded::new("IDN-001", text).exit(Exit::Config)
        })
    };
    let (operator, mesh) = (needed(Role::Operator)?, needed(Role::Mesh)?);
    let bls = files::read(folder, Role::Bls, passphrase)?;
    let plain = operator.plain || mesh.plain || bls.as_ref().is_some_and(|it| it.plain);
    let secret = |found: Found| found.secret;
    Ok(AgentKeys { operator: secret(operator), mesh: secret(mesh), bls: bls.map(secret), plain })
}

fn make(folder: &Path, roles: &[Role], protection: &Protection) -> Result<(), Coded> {
    for role in roles {
        let mut secret = Zeroizing::new([0; 32]);
        rand::rngs::OsRng.fill_bytes(&mut *secret);
        // Below the order of every curve, at the price of 8 of 256 bits.
        secret[0] = 0;
        files::write(folder, *role, &secret, protection)?;
    }
    Ok(())
}

/// Runs the command.
///
/// # Errors
/// Coded ones; nothing that is secret is in their texts.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<u8> {
    match arguments.what {
        What::New { place, sequencer, plain } => {
            let mut passphrase = Passphrase::from(place.passphrase_file.clone());
            let protection = protection(plain, &mut passphrase)?;
            let roles = if sequencer { &Role::ALL[..] } else { &Role::ALL[..2] };
            make(&place.folder, roles, &protection)?;
            show(&place, &mut passphrase)
        }
        What::Show { place } => {
            let mut passphrase = Passphrase::from(place.passphrase_file.clone());
            show(&place, &mut passphrase)
        }
        What::Import { place, role, from, from_passphrase_file, plain } => {
            let secret = foreign(&from, from_passphrase_file)?;
            check(role, &secret)?;
            let mut passphrase = Passphrase::from(place.passphrase_file.clone());
            files::write(&place.folder, role, &secret, &protection(plain, &mut passphrase)?)?;
            print_line(&format!("imported the {} key", role.name()))?;
            Ok(0)
        }
    }
}

fn protection(plain: bool, passphrase: &mut Passphrase) -> Result<Protection, Coded> {
    if plain { Ok(Protection::Plain) } else { passphrase.for_new() }
}

/// A secret in somebody else's file.
fn foreign(from: &Path, passphrase_file: Option<PathBuf>) -> Result<Secret, Coded> {
    match passphrase_file {
        Some(file) => files::open(from, Passphrase::from(Some(file)).get()?),
        None => files::parse(from, &files::read_text(from)?),
    }
}

/// Refuses a secret that its role cannot use.
fn check(role: Role, secret: &Secret) -> Result<(), Coded> {
    match role {
        Role::Operator => account_of(secret).map(drop).map_err(|error| no_key(&error)),
        Role::Mesh => MeshKey::new(secret).map(drop).map_err(|error| no_key(&error)),
        Role::Bls => VrfKey::from_secret(secret).map(drop).map_err(|error| no_key(&error)),
    }
}

fn no_key(error: &dyn std::fmt::Display) -> Coded {
    Coded::new("IDN-005", format!("the secret is no key: {error}")).exit(Exit::Config)
}

fn show(place: &Place, passphrase: &mut Passphrase) -> anyhow::Result<u8> {
    let keys = load_with(&place.folder, passphrase)?;
    let Public { operator, mesh, bls } = keys.public()?;
    let (operator, mesh) = (operator.to_string(), hex::encode(mesh));
    let bls = bls.map(hex::encode);
    if place.json {
        let line = json!({
            "operator": operator, "mesh": mesh, "bls": bls, "encrypted": !keys.plain,
        });
        print_line(&line.to_string())?;
        return Ok(0);
    }
    print_line(&format!("operator  {operator}"))?;
    print_line(&format!("mesh      {mesh}"))?;
    if let Some(bls) = bls {
        print_line(&format!("bls       {bls}"))?;
    }
    if keys.plain {
        print_line("not encrypted: for devnets only")?;
    }
    Ok(0)
}

#[cfg(test)]
mod tests;
