//! Test bench: a small world with an account, the shipped programs and txs that run them, and
//! the witnesses of every proof over one tx.

use crate::gates::Gates;
use halo2_base::{AssignedValue, Context};
use protocol::{Address, Credit, Kind};

use super::{BaseInput, chain_logs};
use crate::credit::{ChildCells, Made, combine};
use crate::kernel::KernelInput;
use crate::poseidon::{Chips, Fr, h2};
use crate::state::{Account, Tree, account_key, storage_key};
use crate::tx::words::{Child, Words};
use crate::tx::{Call, Tx, TxInput, account};
use crate::vm::asm::assemble;
use crate::vm::{Access, Program, VmInput, run};

pub(crate) fn fr(x: u64) -> Fr {
    Fr::from(x)
}

pub(crate) fn payee(x: u8) -> [u8; 20] {
    [x; 20]
}

/// The state and who lives in it.
pub(crate) struct World {
    pub(crate) tree: Tree,
    pub(crate) secret: Fr,
    pub(crate) counter: Program,
    pub(crate) transfer: Program,
    pub(crate) swap: Program,
}

/// Every witness over one tx.
pub(crate) struct Proved {
    pub(crate) tx: TxInput,
    pub(crate) vms: Vec<VmInput>,
    pub(crate) kernels: Vec<KernelInput>,
    pub(crate) base: BaseInput,
    /// What the base proof says, as its parent knows it.
    pub(crate) child: Child,
}

impl World {
    pub(crate) fn new() -> Self {
        let program = |text: &str| assemble(text).unwrap();
        let mut world = Self {
            tree: Tree::new(),
            secret: fr(4242),
            counter: program(include_str!("../../../../assets/programs/counter.asm")),
            transfer: program(include_str!("../../../../assets/programs/transfer.asm")),
            swap: program(include_str!("../../../../assets/programs/swap.asm")),
        };
        let owner = world.account();
        let (transfer, swap) = (world.transfer.hash(), world.swap.hash());
        let values = [
            (account_key(owner), Account { nonce: 7, balance: 1_000 }.word()),
            (storage_key(transfer, owner), fr(500)),
            (storage_key(swap, fr(0)), fr(10_000)),
            (storage_key(swap, fr(1)), fr(20_000)),
            (storage_key(swap, h2(owner, fr(0))), fr(900)),
        ];
        for (key, value) in values {
            world.tree.set(key, value).unwrap();
        }
        world
    }

    pub(crate) fn account(&self) -> Fr {
        account(self.secret, fr(31_337))
    }

    pub(crate) fn call(&self, program: &Program, args: [u64; 4]) -> Call {
        Call { caller: self.account(), program: program.hash(), args: args.map(fr) }
    }

    fn program(&self, hash: Fr) -> &Program {
        let programs = [&self.counter, &self.transfer, &self.swap];
        programs.into_iter().find(|program| program.hash() == hash).unwrap()
    }

    /// A tx with the account's nonce.
    pub(crate) fn tx(&self, calls: Vec<Call>) -> Tx {
        let word = self.tree.get(account_key(self.account())).unwrap();
        let nonce = Account::from_word(word).unwrap().nonce;
        Tx { account: self.account(), nonce, fee: 10, expiry: 99, calls }
    }

    /// Runs `tx` and gives the witness of every proof, all made by `payees` in turn; the tree
    /// stands at the end root afterwards.
    pub(crate) fn prove(&mut self, tx: &Tx, payees: &[u8]) -> Proved {
        let mut payees = payees.iter().copied().cycle().map(payee);
        let mut next = || payees.next().unwrap();
        let before = self.tree.clone();
        let mut proved = Chain::new(tx);
        let mut keys = vec![account_key(tx.account)];
        for call in &tx.calls {
            let vm = self.run(call, next(), proved.base_logs());
            keys.extend(proved.logs.last().unwrap().iter().map(|access| access.key));
            proved.extend(vm, next());
        }
        let base = BaseInput {
            child: proved.child.clone(),
            tx: tx.clone(),
            logs: proved.logs,
            start: before.root(),
            witness: before.witness(&keys).unwrap(),
            payee: next(),
        };
        let (words, credit) =
            (base.check().unwrap(), credit(Kind::Base, base.payee, [&proved.credit, &None]));
        let account = Account::from_word(before.get(account_key(tx.account)).unwrap()).unwrap();
        self.tree.set(account_key(tx.account), account.pay(tx).unwrap().word()).unwrap();
        assert_eq!(self.tree.root(), words.end);
        Proved {
            tx: TxInput { secret: self.secret, domain: fr(31_337), tx: tx.clone() },
            vms: proved.vms,
            kernels: proved.kernels,
            base,
            child: Child::made(words, &credit).unwrap(),
        }
    }

    /// Runs one call on the tree and notes its log.
    fn run(&mut self, call: &Call, payee: [u8; 20], logs: &mut Vec<Vec<Access>>) -> VmInput {
        let program = self.program(call.program).clone();
        let mut slots = Vec::new();
        let mut read = |slot: Fr| {
            let value = self.tree.get(storage_key(call.program, slot)).unwrap();
            slots.push((slot, value));
            value
        };
        let execution = run(&program, call.caller, &call.args, &mut read);
        for access in &execution.log {
            self.tree.set(access.key, access.new).unwrap();
        }
        logs.push(execution.log);
        VmInput { program, call: *call, slots, payee }
    }
}

/// The proofs of one tx, from `tx` upward.
struct Chain {
    child: Child,
    credit: Option<Credit>,
    tx: Tx,
    logs: Vec<Vec<Access>>,
    vms: Vec<VmInput>,
    kernels: Vec<KernelInput>,
}

impl Chain {
    fn new(tx: &Tx) -> Self {
        Self {
            child: Child::tx(tx.words()),
            credit: None,
            tx: tx.clone(),
            logs: Vec::new(),
            vms: Vec::new(),
            kernels: Vec::new(),
        }
    }

    fn base_logs(&mut self) -> &mut Vec<Vec<Access>> {
        &mut self.logs
    }

    fn extend(&mut self, vm: VmInput, payee: [u8; 20]) {
        let paid = credit(Kind::Vm, vm.payee, [&None, &None]);
        let kernel = KernelInput {
            first: self.child.clone(),
            vm: Child::made(vm.check().unwrap(), &paid).unwrap(),
            left: self.tx.calls_left(self.kernels.len() + 1),
            payee,
        };
        let credit = credit(Kind::Kernel, payee, [&self.credit, &Some(paid)]);
        let words = kernel.check().unwrap();
        assert_eq!(words.aux, chain_logs(&self.logs));
        self.child = Child::made(words, &credit).unwrap();
        self.credit = Some(credit);
        self.vms.push(vm);
        self.kernels.push(kernel);
    }
}

/// The credit of a proof.
pub(crate) fn credit(kind: Kind, payee: [u8; 20], children: [&Option<Credit>; 2]) -> Credit {
    combine(kind, Address(payee), children.map(Option::as_ref)).unwrap()
}

/// Loads a child's words as recursion would give them.
pub(crate) fn load(ctx: &mut Context<Fr>, range: &Gates, child: &Child) -> ChildCells {
    let digest = ctx.load_witness(fr(123));
    let words = child.words.to_array().map(|word| ctx.load_witness(word));
    let [a, b, c, d, e, f, g] = words;
    let made = Chips::new(range).bit(ctx, child.credit.is_some());
    ChildCells { words: [digest, a, b, c, d, e, f, g], made: Made::If(made) }
}

/// [`load`] for a child that a prover always makes.
pub(crate) fn load_made(ctx: &mut Context<Fr>, child: &Child) -> ChildCells {
    let digest = ctx.load_witness(fr(123));
    let words = child.words.to_array().map(|word| ctx.load_witness(word));
    let [a, b, c, d, e, f, g] = words;
    ChildCells { words: [digest, a, b, c, d, e, f, g], made: Made::Always }
}

/// The values of a circuit's words.
pub(crate) fn values<const N: usize>(cells: [AssignedValue<Fr>; N]) -> [Fr; N] {
    cells.map(|cell| *cell.value())
}

pub(crate) fn words(cells: [AssignedValue<Fr>; 7]) -> Words {
    Words::from_array(values(cells))
}
