//! The devnet's clients and the state they start from.
//!
//! Everything follows from the `[genesis]` table of the network's configuration and the domain, so
//! that every process of a devnet computes the same state root without a file being passed on. The
//! secrets are public by design: this table is for networks whose money is worth nothing.

use circuits::poseidon::{Fr, from_word, h2};
use circuits::state::Account;
use circuits::tx::account;
use protocol::assign::keccak::keccak256;
use protocol::{Address, Word};
use serde::Deserialize;

use super::execute::Programs;
use super::state::Genesis;

/// Clients of a devnet at most: each makes one tx a block, and a block has 16.
pub(crate) const CLIENTS_MAX: u16 = 16;

/// The `[genesis]` table of a devnet's configuration.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DevnetGenesis {
    /// Number of clients; every second one calls programs.
    pub(crate) clients: u16,
    /// What each client can pay fees with.
    pub(crate) balance: u64,
    /// What each client holds of the `transfer` token.
    pub(crate) tokens: u64,
    /// What each client has deposited in the `swap` market, of token 0 and of token 1 each.
    pub(crate) deposits: u64,
    /// Reserve of each token in the market.
    pub(crate) reserves: u64,
}

/// Why a genesis table cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum GenesisError {
    /// Too many clients, or none.
    #[error("{0} clients; between 1 and {CLIENTS_MAX} are allowed")]
    Clients(u16),
    /// A program that this release lacks.
    #[error("the program {0} is not in this release")]
    Program(&'static str),
}

impl GenesisError {
    /// Stable across releases.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Clients(_) => "GEN-001",
            Self::Program(_) => "GEN-002",
        }
    }
}

/// What binds accounts to one chain and one deployment: keccak(chain id u64 ‖ `Slots`) >> 8.
pub(crate) fn domain(chain_id: u64, slots: Address) -> Fr {
    element(keccak256(&[&chain_id.to_be_bytes(), &slots.0]).0)
}

/// A client's secret: keccak("coppice.devnet.client" ‖ number u16) >> 8.
pub(crate) fn client_secret(number: u16) -> Fr {
    element(keccak256(&[b"coppice.devnet.client", &number.to_be_bytes()]).0)
}

/// A hash without its last byte: 248 bits, below the field's order.
fn element(hash: Word) -> Fr {
    let mut word = [0; 32];
    word[1..].copy_from_slice(&hash[..31]);
    from_word(&word).unwrap_or(Fr::zero())
}

impl DevnetGenesis {
    /// The clients' accounts, in the order of their numbers.
    pub(crate) fn accounts(&self, domain: Fr) -> Vec<Fr> {
        (0..self.clients).map(|number| account(client_secret(number), domain)).collect()
    }

    /// The state before the first block.
    ///
    /// # Errors
    /// When the table asks for more than there is.
    pub(crate) fn state(&self, domain: Fr, programs: &Programs) -> Result<Genesis, GenesisError> {
        if !(1..=CLIENTS_MAX).contains(&self.clients) {
            return Err(GenesisError::Clients(self.clients));
        }
        let named = |name| programs.named(name).ok_or(GenesisError::Program(name));
        let (transfer, swap) = (named("transfer")?, named("swap")?);
        let [token_0, token_1] = [Fr::zero(), Fr::one()];
        let [tokens, deposits, reserves] =
            [self.tokens, self.deposits, self.reserves].map(Fr::from);
        let mut storage = vec![(swap, token_0, reserves), (swap, token_1, reserves)];
        let accounts = self.accounts(domain);
        for account in &accounts {
            storage.push((transfer, *account, tokens));
            storage.push((swap, h2(*account, token_0), deposits));
            storage.push((swap, h2(*account, token_1), deposits));
        }
        let holds = Account { nonce: 0, balance: self.balance };
        let accounts = accounts.into_iter().map(|account| (account, holds)).collect();
        Ok(Genesis { accounts, storage })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rollup::state::genesis_root;

    /// What the tests of this folder start from.
    pub(crate) fn table() -> DevnetGenesis {
        DevnetGenesis {
            clients: 2,
            balance: 1_000_000,
            tokens: 10_000,
            deposits: 1_000_000,
            reserves: 1_000_000_000,
        }
    }

    #[test]
    fn the_root_is_a_function_of_the_table_and_the_domain() {
        let programs = Programs::release().unwrap();
        let root = |table: &DevnetGenesis, chain_id| {
            let domain = domain(chain_id, Address([7; 20]));
            genesis_root(&table.state(domain, &programs).unwrap()).unwrap()
        };
        assert_eq!(root(&table(), 31337), root(&table(), 31337));
        assert_ne!(root(&table(), 31337), root(&table(), 1));
        for change in [
            |it: &mut DevnetGenesis| it.clients = 3,
            |it: &mut DevnetGenesis| it.balance += 1,
            |it: &mut DevnetGenesis| it.tokens += 1,
            |it: &mut DevnetGenesis| it.deposits += 1,
            |it: &mut DevnetGenesis| it.reserves += 1,
        ] {
            let mut other = table();
            change(&mut other);
            assert_ne!(root(&table(), 31337), root(&other, 31337), "{other:?}");
        }
    }

    #[test]
    fn a_table_is_read_strictly_and_within_bounds() {
        let text = "clients = 2\nbalance = 1\ntokens = 2\ndeposits = 3\nreserves = 4\n";
        let table: DevnetGenesis = toml::from_str(text).unwrap();
        assert_eq!((table.clients, table.reserves), (2, 4));
        assert!(toml::from_str::<DevnetGenesis>(&format!("{text}secret = 1\n")).is_err());
        let programs = Programs::release().unwrap();
        for clients in [0, CLIENTS_MAX + 1] {
            let table = DevnetGenesis { clients, ..table.clone() };
            let refused = table.state(Fr::one(), &programs);
            assert_eq!(refused, Err(GenesisError::Clients(clients)));
        }
        let none = table.state(Fr::one(), &Programs::default());
        assert_eq!(none, Err(GenesisError::Program("transfer")));
    }
}
