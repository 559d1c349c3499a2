//! The devnet's own chain: anvil as a child process on a free port.
//!
//! The port is chosen by anvil itself and read from its output, so that no other node can stand
//! in its place. It dies with us, whatever ends us: its guardian waits at a pipe that only we hold
//! open.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use alloy::{
    network::Ethereum,
    providers::{Provider as _, ProviderBuilder, RootProvider},
    rpc::client::RpcClient,
};
use protocol::{Address, Hash};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStdout, Command},
};

use super::L1Error;

/// Chain id of every devnet; the only one on which the insecure setup is accepted.
pub(crate) const DEVNET_CHAIN: u64 = 31337;
/// anvil answers after about 0.1 s; a busy machine needs longer.
const START_WAIT: Duration = Duration::from_secs(20);
/// The chain's clock starts this far back: room for blocks mined ahead.
const LEAD_SECONDS: u64 = 600;
/// `sh -c`: reads the pipe in the background, kills the process when it is closed, becomes anvil.
const GUARDIAN: &str =
    r#"exec 3<&0; (read -r _ <&3; kill -9 $$) & exec "$@" 3<&- </dev/null 2>/dev/null"#;
/// anvil's first account, rich on every chain that anvil starts and on no other.
const RICH: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

/// A running chain. Dropping it ends it.
pub(crate) struct Anvil {
    child: Child,
    provider: RootProvider<Ethereum>,
    url: String,
    genesis: Hash,
    // Keeps the pipe of anvil's output open: it would die of writing to a closed one.
    _output: tokio::task::JoinHandle<()>,
}

impl Anvil {
    /// Starts a fresh chain whose clock is 10 minutes behind. Each transaction is mined at once
    /// until [`Anvil::mine_every`].
    ///
    /// # Errors
    /// `L1-009` if anvil is not installed or does not start.
    pub(crate) async fn start() -> Result<Self, L1Error> {
        let program = find(&candidates())?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut child = Command::new("sh")
            .args(["-c", GUARDIAN, "guardian"])
            .arg(&program)
            .args(["--port", "0", "--hardfork", "prague"])
            .args(["--chain-id", &DEVNET_CHAIN.to_string()])
            .args(["--timestamp", &now.saturating_sub(LEAD_SECONDS).to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| L1Error::Anvil(format!("{}: {error}", program.display())))?;
        let output = child.stdout.take().ok_or_else(|| L1Error::Anvil("no output".into()))?;
        let (url, rest) = tokio::time::timeout(START_WAIT, listening(output))
            .await
            .map_err(|_| L1Error::Anvil(format!("it does not listen after {START_WAIT:?}")))??;
        let provider = local(&url)?;
        let genesis = provider.get_block_by_number(0.into()).await;
        let genesis = genesis.map_err(|e| L1Error::rpc("block 0", e))?;
        let genesis = genesis.ok_or_else(|| L1Error::Anvil("it has no block 0".into()))?;
        let genesis = Hash(genesis.header.hash.0);
        let output = tokio::spawn(async move {
            let mut lines = rest;
            while let Ok(Some(_)) = lines.next_line().await {}
        });
        Ok(Self { child, provider, url, genesis, _output: output })
    }

    /// JSON-RPC endpoint.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Hash of block 0: whoever is told the endpoint can make sure that it is this chain.
    pub(crate) const fn genesis(&self) -> Hash {
        self.genesis
    }

    /// Process id while it runs; also that of its process group.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Secret key of an account with ether on this chain.
    pub(crate) fn rich(&self) -> Result<[u8; 32], L1Error> {
        let bytes = hex::decode(RICH).ok().and_then(|it| it.try_into().ok());
        bytes.ok_or(L1Error::Key("anvil's first account"))
    }

    /// Gives `account` exactly `wei`.
    ///
    /// # Errors
    /// `L1-002` if the chain does not answer.
    pub(crate) async fn set_wei(&self, account: Address, wei: u128) -> Result<(), L1Error> {
        self.ask("anvil_setBalance", (account.to_string(), format!("{wei:#x}"))).await
    }

    /// Mines up to block `number`, `seconds` apart, then sets the clock to now.
    ///
    /// # Errors
    /// `L1-002` if the chain does not answer.
    pub(crate) async fn mine_to(&self, number: u64, seconds: u64) -> Result<(), L1Error> {
        let head = self.provider.get_block_number().await;
        let head = head.map_err(|e| L1Error::rpc("the head", e))?;
        if number > head {
            self.mine(number - head, seconds).await?;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let newest = self.provider.get_block_by_number(number.max(head).into()).await;
        let newest = newest.map_err(|e| L1Error::rpc("the head", e))?;
        if newest.is_some_and(|block| block.header.timestamp < now) {
            self.ask::<_, serde_json::Value>("anvil_setTime", (now,)).await?;
        }
        Ok(())
    }

    /// Mines `blocks`, `seconds` apart.
    ///
    /// # Errors
    /// `L1-002` if the chain does not answer.
    pub(crate) async fn mine(&self, blocks: u64, seconds: u64) -> Result<(), L1Error> {
        self.ask("anvil_mine", (format!("{blocks:#x}"), format!("{seconds:#x}"))).await
    }

    /// From now on one block every `seconds`, full or empty.
    ///
    /// # Errors
    /// `L1-002` if the chain does not answer.
    pub(crate) async fn mine_every(&self, seconds: u64) -> Result<(), L1Error> {
        self.ask::<_, serde_json::Value>("evm_setAutomine", (false,)).await?;
        self.ask("evm_setIntervalMining", (seconds,)).await
    }

    /// Ends it and waits until it is gone.
    pub(crate) async fn stop(mut self) {
        // It may be gone already.
        let _ = self.child.kill().await;
    }

    pub(super) async fn ask<P, R>(&self, method: &'static str, params: P) -> Result<R, L1Error>
    where
        P: alloy::rpc::json_rpc::RpcSend,
        R: alloy::rpc::json_rpc::RpcRecv,
    {
        let answer = self.provider.raw_request(method.into(), params).await;
        answer.map_err(|e| L1Error::rpc(method, e))
    }
}

fn local(url: &str) -> Result<RootProvider<Ethereum>, L1Error> {
    let parsed = url.parse().map_err(|_| L1Error::Anvil(format!("it listens at `{url}`")))?;
    let transport = super::client::http(parsed)?;
    Ok(ProviderBuilder::default().connect_client(RpcClient::new(transport, true)))
}

type Lines = tokio::io::Lines<BufReader<ChildStdout>>;

/// Waits for the line that names the address.
async fn listening(output: ChildStdout) -> Result<(String, Lines), L1Error> {
    let mut lines = BufReader::new(output).lines();
    let ended = || L1Error::Anvil("it ended at once; run it by hand to see why".into());
    loop {
        let line = lines.next_line().await.map_err(|_| ended())?.ok_or_else(ended)?;
        if let Some(address) = line.strip_prefix("Listening on ") {
            return Ok((format!("http://{}", address.trim()), lines));
        }
    }
}

/// Where anvil may be, best first.
fn candidates() -> Vec<PathBuf> {
    let mut found = Vec::new();
    if let Some(named) = std::env::var_os("COPPICE_ANVIL") {
        found.push(PathBuf::from(named));
    }
    if let Some(path) = std::env::var_os("PATH") {
        found.extend(std::env::split_paths(&path).map(|folder| folder.join("anvil")));
    }
    let package =
        format!("anvil-linux-{}", if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" });
    let inside = Path::new("node_modules/@foundry-rs").join(package).join("bin/anvil");
    let own = std::env::current_exe().ok();
    if let Some(prefix) = own.as_deref().and_then(Path::parent).and_then(Path::parent) {
        // Where install.sh puts it.
        found.push(prefix.join("lib/coppice/anvil"));
    }
    let here = std::env::current_dir().ok();
    for start in [here, own].into_iter().flatten() {
        found.extend(start.ancestors().map(|it| it.join("assets/contracts").join(&inside)));
    }
    found
}

/// The first candidate that is a native program: npm's `anvil` is a script whose death leaves
/// the node running.
fn find(candidates: &[PathBuf]) -> Result<PathBuf, L1Error> {
    candidates.iter().find(|path| is_native(path)).cloned().ok_or_else(|| {
        L1Error::Anvil(
            "anvil was not found; name it in COPPICE_ANVIL, or run `npm ci --ignore-scripts` in \
             assets/contracts"
                .into(),
        )
    })
}

fn is_native(path: &Path) -> bool {
    let mut magic = [0; 4];
    File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok()
        && magic == *b"\x7fELF"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_dies_when_our_end_of_the_pipe_closes() {
        let mut chain = Anvil::start().await.unwrap();
        drop(chain.child.stdin.take());
        let status = tokio::time::timeout(START_WAIT, chain.child.wait()).await.unwrap().unwrap();
        assert!(!status.success(), "killed, as if we had been: {status}");
    }

    #[test]
    fn a_script_is_no_anvil() {
        let folder = tempfile::tempdir().unwrap();
        let (script, native) = (folder.path().join("script"), folder.path().join("native"));
        std::fs::write(&script, "#!/usr/bin/env node\n").unwrap();
        std::fs::write(&native, b"\x7fELF and more").unwrap();
        let absent = folder.path().join("absent");
        let found = find(&[absent.clone(), script.clone(), native.clone()]).unwrap();
        assert_eq!(found, native);
        let error = find(&[absent, script]).unwrap_err();
        assert_eq!(error.code(), "L1-009");
        assert!(error.to_string().contains("COPPICE_ANVIL"), "{error}");
    }
}
