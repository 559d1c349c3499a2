//! The rollup again, from nothing but L1 and the programs' texts: what the state root must be.
//!
//! Written apart from the agent's own code, so that an error in either shows as a difference.
//! Only the state tree and the virtual machine are shared: they are what the circuits prove.

use std::{collections::BTreeMap, fs, path::Path};

use alloy::primitives::{Address, U256, keccak256};
use circuits::{
    poseidon::{Fr, Tag, from_word, h2, tagged, to_word},
    state::{Account, Tree, account_key, storage_key},
    tx::{ARGS, Call, Tx, account},
    vm::{Program, asm::assemble, interpret::run},
};

/// What the devnet's clients own at the start: tokens, deposits in the market, and the market's
/// reserve of each token.
const TOKENS: u64 = 1_000_000;
const DEPOSITS: u64 = 1_000_000_000;
const RESERVES: u64 = 1_000_000_000_000;

/// What a block does to the state after genesis.
#[derive(Debug)]
pub(super) struct Replayed {
    pub(super) start: U256,
    pub(super) end: U256,
    /// Commitment of the tx list.
    pub(super) txs: U256,
    pub(super) fees: u64,
    /// Calls of each tx.
    pub(super) calls: Vec<usize>,
    /// Calls that reverted.
    pub(super) reverted: usize,
}

/// Runs the chain's first block, whose tx proofs have `proof_bytes` each.
pub(super) fn replay(chain_id: u64, slots: Address, data: &[u8], proof_bytes: usize) -> Replayed {
    let programs = programs();
    let mut tree = genesis(&programs, domain(chain_id, slots));
    let start = tree.root();
    let txs = decode(data, proof_bytes);
    let by_hash: BTreeMap<_, _> = programs.values().map(|it| (to_word(it.hash()), it)).collect();
    let mut reverted = 0;
    for tx in &txs {
        pay(&mut tree, tx);
        for call in &tx.calls {
            reverted += usize::from(execute(&mut tree, by_hash[&to_word(call.program)], call));
        }
    }
    Replayed {
        start: number(start),
        end: number(tree.root()),
        txs: number(list(&txs)),
        fees: txs.iter().map(|tx| tx.fee).sum(),
        calls: txs.iter().map(|tx| tx.calls.len()).collect(),
        reverted,
    }
}

/// Nonce and fee.
fn pay(tree: &mut Tree, tx: &Tx) {
    let key = account_key(tx.account);
    let before = Account::from_word(tree.get(key).unwrap()).unwrap();
    assert_eq!(tx.nonce, before.nonce, "L1 has a tx with a wrong nonce");
    let balance = before.balance.checked_sub(tx.fee).expect("the account can pay");
    tree.set(key, Account { nonce: before.nonce + 1, balance }.word()).unwrap();
}

/// One call; says whether it reverted.
fn execute(tree: &mut Tree, program: &Program, call: &Call) -> bool {
    let mut read = |slot| tree.get(storage_key(call.program, slot)).unwrap();
    let done = run(program, call.caller, &call.args, &mut read);
    for access in &done.log {
        assert_eq!(tree.get(access.key), Ok(access.old));
        tree.set(access.key, access.new).unwrap();
    }
    done.reverted
}

/// Commitment of a tx list: pairs are joined level by level, an odd last one passes up.
fn list(txs: &[Tx]) -> Fr {
    let mut level: Vec<Fr> = txs.iter().map(|tx| tagged(Tag::Txs, &[tx.hash()])).collect();
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| if let [left, right] = pair { h2(*left, *right) } else { pair[0] })
            .collect();
    }
    level[0]
}

/// All programs of the release, by name.
fn programs() -> BTreeMap<String, Program> {
    let folder = root().join("assets/programs");
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let texts = paths.filter(|path| path.extension().is_some_and(|it| it == "asm"));
    let program = |path: std::path::PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, assemble(&fs::read_to_string(path).unwrap()).unwrap())
    };
    texts.map(program).collect()
}

/// The state before the first block, as the devnet's preset says.
fn genesis(programs: &BTreeMap<String, Program>, domain: Fr) -> Tree {
    let preset = fs::read_to_string(root().join("assets/config/devnet.toml")).unwrap();
    let preset: toml::Table = preset.parse().unwrap();
    let number = |name: &str| preset["genesis"][name].as_integer().unwrap().try_into().unwrap();
    let (clients, balance): (u64, u64) = (number("clients"), number("balance"));
    let [transfer, swap] = ["transfer", "swap"].map(|name| programs[name].hash());
    let mut tree = Tree::new();
    let mut put = |key, value| tree.set(key, value).unwrap();
    for token in 0..2 {
        put(storage_key(swap, Fr::from(token)), Fr::from(RESERVES));
    }
    for client in 0..u16::try_from(clients).unwrap() {
        let name = [b"coppice.devnet.client".as_slice(), &client.to_be_bytes()].concat();
        let owner = account(shortened(&name), domain);
        put(account_key(owner), Account { nonce: 0, balance }.word());
        put(storage_key(transfer, owner), Fr::from(TOKENS));
        for token in 0..2 {
            put(storage_key(swap, h2(owner, Fr::from(token))), Fr::from(DEPOSITS));
        }
    }
    tree
}

/// What binds accounts to one deployment.
fn domain(chain_id: u64, slots: Address) -> Fr {
    shortened(&[chain_id.to_be_bytes().as_slice(), slots.as_slice()].concat())
}

/// keccak >> 8.
fn shortened(bytes: &[u8]) -> Fr {
    let hash: U256 = keccak256(bytes).into();
    let short: U256 = hash >> 8_usize;
    from_word(&short.to_be_bytes()).unwrap()
}

fn number(x: Fr) -> U256 {
    U256::from_be_bytes(to_word(x))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A block's data: version 1, number of txs, txs.
fn decode(data: &[u8], proof_bytes: usize) -> Vec<Tx> {
    let mut rest = data;
    assert_eq!(u8::from_be_bytes(take(&mut rest)), 1, "version of the data");
    let count = u16::from_be_bytes(take(&mut rest));
    let txs = (0..count).map(|_| decode_tx(&mut rest, proof_bytes)).collect();
    assert!(rest.is_empty(), "{} bytes are left over", rest.len());
    txs
}

fn decode_tx(rest: &mut &[u8], proof_bytes: usize) -> Tx {
    let account = word(rest);
    let [nonce, fee, expiry] = std::array::from_fn(|_| u64::from_be_bytes(take(rest)));
    let calls = u8::from_be_bytes(take(rest));
    let calls = (0..calls).map(|_| decode_call(rest, account)).collect();
    *rest = &rest[proof_bytes..];
    Tx { account, nonce, fee, expiry, calls }
}

fn decode_call(rest: &mut &[u8], caller: Fr) -> Call {
    let program = word(rest);
    let given = usize::from(u8::from_be_bytes(take(rest)));
    let mut args = [Fr::zero(); ARGS];
    args[..given].iter_mut().for_each(|arg| *arg = word(rest));
    Call { caller, program, args }
}

fn word(rest: &mut &[u8]) -> Fr {
    from_word(&take(rest)).expect("L1's words are field elements")
}

fn take<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (taken, left) = rest.split_first_chunk().expect("the data is whole");
    *rest = left;
    *taken
}
