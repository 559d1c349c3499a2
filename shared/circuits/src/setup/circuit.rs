//! Where the two halves of a circuit meet: the application's input and the recursion's children.

use crate::{
    base::{self, BaseInput},
    credit::{ChildCells as Earner, Made},
    gates::Draft,
    kernel::{self, KernelInput},
    merge::{self, MergeInput},
    poseidon::{Chips, Fr},
    recursion::{
        family::{ChildCells, WORDS},
        verify::{BuildError, Child, Plan, Site, build_leaf, build_parent},
    },
    root::{self, RootInput},
    state::TxWitness,
    tx::{self, Call, Tx, TxInput, WitnessError, Words},
    vm::{self, Program, ProgramError, VmInput},
};
use halo2_base::{AssignedValue, halo2_proofs::halo2curves::bn256::G1Affine};
use protocol::{Kind, Word};
use snark_verifier::verifier::plonk::PlonkProtocol;

/// The application's sources: keys change when they do.
pub(super) const SOURCES: [&str; 14] = [
    include_str!("../base.rs"),
    include_str!("../base/circuit.rs"),
    include_str!("../credit.rs"),
    include_str!("../credit/circuit.rs"),
    include_str!("../kernel.rs"),
    include_str!("../merge.rs"),
    include_str!("../gates/poseidon.rs"),
    include_str!("../gates/poseidon/chips.rs"),
    include_str!("../root.rs"),
    include_str!("../state.rs"),
    include_str!("../tx.rs"),
    include_str!("../vm.rs"),
    include_str!("../vm/circuit.rs"),
    include_str!("../vm/circuit/step.rs"),
];

/// The witness of one circuit's application.
pub(super) enum Input {
    Tx(TxInput),
    Vm(Box<VmInput>),
    Kernel(KernelInput),
    Base(BaseInput),
    Merge(MergeInput),
    Root(RootInput),
}

/// The application's words of a child, as its parent's witness knows them.
pub(super) fn words(instances: &[Fr]) -> Words {
    Words::from_array(std::array::from_fn(|word| {
        instances.get(WORDS + 1 + word).copied().unwrap_or(Fr::zero())
    }))
}

impl Input {
    pub(super) const fn kind(&self) -> Kind {
        match self {
            Self::Tx(_) => Kind::Tx,
            Self::Vm(_) => Kind::Vm,
            Self::Kernel(_) => Kind::Kernel,
            Self::Base(_) => Kind::Base,
            Self::Merge(_) => Kind::Merge,
            Self::Root(_) => Kind::Root,
        }
    }

    /// The words a proof of this input will show.
    pub(super) fn check(&self) -> Result<Vec<Fr>, WitnessError> {
        Ok(match self {
            Self::Tx(input) => input.check()?.to_array().to_vec(),
            Self::Vm(input) => input.check()?.to_array().to_vec(),
            Self::Kernel(input) => input.check()?.to_array().to_vec(),
            Self::Base(input) => input.check()?.to_array().to_vec(),
            Self::Merge(input) => input.check()?.to_array().to_vec(),
            Self::Root(input) => input.check()?.to_array().to_vec(),
        })
    }

    /// Some input of `kind`, true or not: key generation reads constraints and no values.
    pub(super) fn sample(kind: Kind, children: &[Child], set: Word) -> Result<Self, ProgramError> {
        let set = crate::poseidon::from_word(&set).unwrap_or(Fr::zero());
        let child = |position: usize| tx::words::Child {
            words: children.get(position).map_or(Words::default(), |child| words(&child.instances)),
            credit: None,
        };
        let payee = [0; 20];
        let zero = Fr::zero();
        let tx = Tx { account: zero, nonce: 0, fee: 0, expiry: 0, calls: Vec::new() };
        Ok(match kind {
            Kind::Tx => Self::Tx(TxInput { secret: zero, domain: zero, tx }),
            Kind::Vm => {
                let program = Program::new(&[])?;
                let call = Call { caller: zero, program: zero, args: [zero; tx::ARGS] };
                Self::Vm(Box::new(VmInput { program, call, slots: Vec::new(), payee }))
            }
            Kind::Kernel => {
                Self::Kernel(KernelInput { first: child(0), vm: child(1), left: zero, payee })
            }
            Kind::Base => Self::Base(BaseInput {
                child: child(0),
                tx,
                logs: Vec::new(),
                start: zero,
                witness: TxWitness::default(),
                payee,
            }),
            Kind::Merge => Self::Merge(MergeInput { left: child(0), right: child(1), payee }),
            Kind::Root => Self::Root(RootInput { child: child(0), set, payee }),
        })
    }

    fn constrain(&self, site: Site<'_>) -> Result<Vec<AssignedValue<Fr>>, BuildError> {
        let (ctx, chips) = (site.ctx, &Chips::new(site.gates));
        let children: Vec<Earner> = site.children.iter().map(earner).collect();
        Ok(match (self, &children[..]) {
            (Self::Tx(input), []) => tx::constrain(ctx, chips, input).to_vec(),
            (Self::Vm(input), []) => vm::circuit::constrain(ctx, chips, input).to_vec(),
            (Self::Kernel(input), [first, vm]) => {
                kernel::constrain(ctx, chips, [first, vm], input).to_vec()
            }
            (Self::Base(input), [child]) => {
                base::circuit::constrain(ctx, chips, child, input).to_vec()
            }
            (Self::Merge(input), [left, right]) => {
                merge::constrain(ctx, chips, [left, right], input).to_vec()
            }
            (Self::Root(input), [child]) => root::constrain(ctx, chips, child, input).to_vec(),
            (
                Self::Tx(_)
                | Self::Vm(_)
                | Self::Kernel(_)
                | Self::Base(_)
                | Self::Merge(_)
                | Self::Root(_),
                _,
            ) => unreachable!("children were counted against the kind's positions"),
        })
    }
}

/// Only a `tx` is made by no prover: where it may stand, the flag of the other kind decides.
fn earner(child: &ChildCells) -> Earner {
    let made = match (child.flag(Kind::Tx), child.flag(Kind::Kernel)) {
        (Some(_), Some(kernel)) => Made::If(kernel),
        (Some(_) | None, _) => Made::Always,
    };
    Earner { words: child.words, made }
}

/// The whole circuit of `input` over `children`, proofs of `shape`.
pub(super) fn build(
    plan: &Plan<'_>,
    shape: Option<&PlonkProtocol<G1Affine>>,
    children: &[Child],
    input: &Input,
) -> Result<Draft, BuildError> {
    assert_eq!(plan.kind, input.kind(), "the plan is of the input's kind");
    match plan.kind {
        Kind::Tx | Kind::Vm => build_leaf(plan, |site| input.constrain(site)),
        Kind::Kernel | Kind::Base | Kind::Merge | Kind::Root => {
            let shape = shape.ok_or(BuildError::MissingKey(Kind::Tx))?;
            build_parent(plan, shape, children, |site| input.constrain(site))
        }
    }
}
