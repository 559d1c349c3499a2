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

use super::execute::Programs;
use super::state::Genesis;
use crate::config;
use crate::error::Coded;

/// Clients of a devnet at most: each makes one tx a block, and a block has 16.
pub(crate) const CLIENTS_MAX: u16 = 16;

/// What each client holds of the `transfer` token.
const TOKENS: u64 = 1_000_000;
/// What each client has deposited in the `swap` market, of token 0 and of token 1 each.
const DEPOSITS: u64 = 1_000_000_000;
/// Reserve of each token in the market: large beside a swap of the traffic, so that the price
/// stays near one.
const RESERVES: u64 = 1_000_000_000_000;

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

impl From<GenesisError> for Coded {
    fn from(error: GenesisError) -> Self {
        Self::new(error.code(), error.to_string())
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

/// The clients' accounts, in the order of their numbers.
pub(crate) fn accounts(table: &config::Genesis, domain: Fr) -> Vec<Fr> {
    (0..table.clients).map(|number| account(client_secret(number), domain)).collect()
}

/// The state before the first block: every client can pay fees, holds tokens and has deposits in
/// the market.
///
/// # Errors
/// When the table asks for more than there is.
pub(crate) fn first_state(
    table: &config::Genesis,
    domain: Fr,
    programs: &Programs,
) -> Result<Genesis, GenesisError> {
    if !(1..=CLIENTS_MAX).contains(&table.clients) {
        return Err(GenesisError::Clients(table.clients));
    }
    let named = |name| programs.named(name).ok_or(GenesisError::Program(name));
    let (transfer, swap) = (named("transfer")?, named("swap")?);
    let [token_0, token_1] = [Fr::zero(), Fr::one()];
    let [tokens, deposits, reserves] = [TOKENS, DEPOSITS, RESERVES].map(Fr::from);
    let mut storage = vec![(swap, token_0, reserves), (swap, token_1, reserves)];
    let accounts = accounts(table, domain);
    for account in &accounts {
        storage.push((transfer, *account, tokens));
        storage.push((swap, h2(*account, token_0), deposits));
        storage.push((swap, h2(*account, token_1), deposits));
    }
    let holds = Account { nonce: 0, balance: table.balance };
    let accounts = accounts.into_iter().map(|account| (account, holds)).collect();
    Ok(Genesis { accounts, storage })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rollup::state::genesis_root;

    /// What the tests of this folder start from.
    pub(crate) fn table() -> config::Genesis {
        config::Genesis { clients: 2, balance: 1_000_000 }
    }

    #[test]
    fn the_root_is_a_function_of_the_table_and_the_domain() {
        let programs = Programs::release().unwrap();
        let root = |table: &config::Genesis, chain_id| {
            let domain = domain(chain_id, Address([7; 20]));
            genesis_root(&first_state(table, domain, &programs).unwrap()).unwrap()
        };
        let first = root(&table(), 31337);
        assert_eq!(root(&table(), 31337), first);
        assert_ne!(root(&table(), 1), first);
        assert_ne!(root(&config::Genesis { clients: 3, ..table() }, 31337), first);
        assert_ne!(root(&config::Genesis { balance: 1, ..table() }, 31337), first);
    }

    #[test]
    fn a_table_out_of_bounds_or_a_release_without_the_programs_is_refused() {
        let programs = Programs::release().unwrap();
        for clients in [0, CLIENTS_MAX + 1] {
            let table = config::Genesis { clients, ..table() };
            let refused = first_state(&table, Fr::one(), &programs);
            assert_eq!(refused, Err(GenesisError::Clients(clients)));
        }
        let none = first_state(&table(), Fr::one(), &Programs::default());
        assert_eq!(none, Err(GenesisError::Program("transfer")));
    }

    #[test]
    fn secrets_and_accounts_differ_between_clients_and_chains() {
        assert_ne!(client_secret(0), client_secret(1));
        let [here, there] = [1, 2].map(|chain_id| domain(chain_id, Address([7; 20])));
        let all = [accounts(&table(), here), accounts(&table(), there)].concat();
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), 4);
    }
}
