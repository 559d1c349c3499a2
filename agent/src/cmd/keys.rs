//! Key files of one process: operator (secp256k1), mesh (Ed25519), BLS.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use anyhow::Context as _;
use protocol::Address;
use rand::RngCore as _;
use zeroize::Zeroizing;

/// Secrets of one process.
pub(crate) struct AgentKeys {
    operator: Zeroizing<[u8; 32]>,
    mesh: Zeroizing<[u8; 32]>,
    bls: Zeroizing<[u8; 32]>,
}

impl AgentKeys {
    /// Operator key.
    pub(crate) fn operator(&self) -> &[u8; 32] {
        &self.operator
    }
    /// Mesh key seed.
    pub(crate) fn mesh(&self) -> &[u8; 32] {
        &self.mesh
    }
    /// BLS key.
    pub(crate) fn bls(&self) -> anyhow::Result<&[u8; 32]> {
        Ok(&self.bls)
    }
}

/// What others may know of it.
pub(crate) struct Public {
    /// L1 address of the operator key.
    pub(crate) operator: Address,
    /// Mesh identity.
    pub(crate) mesh: [u8; 32],
}

/// Makes keys.
pub(crate) fn create(folder: &Path) -> anyhow::Result<Public> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    for name in ["operator", "mesh", "bls"] {
        let mut secret = Zeroizing::new([0; 32]);
        rand::rngs::OsRng.fill_bytes(&mut *secret);
        // Below every group order.
        secret[0] = 0;
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(folder.join(name))?;
        file.write_all(hex::encode(&*secret).as_bytes())?;
    }
    let keys = load(folder)?;
    let operator = crate::l1::send::account_of(keys.operator())?;
    let mesh = crate::mesh::MeshKey::new(keys.mesh())?.id().0;
    Ok(Public { operator, mesh })
}

/// Reads keys.
pub(crate) fn load(folder: &Path) -> anyhow::Result<AgentKeys> {
    let read = |name: &str| -> anyhow::Result<Zeroizing<[u8; 32]>> {
        let path = folder.join(name);
        let text =
            Zeroizing::new(fs::read_to_string(&path).with_context(|| path.display().to_string())?);
        let mut secret = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim(), &mut *secret)?;
        Ok(secret)
    };
    Ok(AgentKeys { operator: read("operator")?, mesh: read("mesh")?, bls: read("bls")? })
}
