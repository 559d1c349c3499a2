//! Calls, events and bytecode of our contracts, from the committed ABI: no Solidity compiler is
//! needed to build or to run.
#![expect(
    clippy::too_many_arguments,
    reason = "generated: as many as the contracts' functions have"
)]

use alloy::sol;

sol!(
    #[sol(rpc)]
    #[derive(Debug)]
    Registry,
    "../assets/abi/Registry.json"
);
sol!(
    #[sol(rpc)]
    #[derive(Debug)]
    Slots,
    "../assets/abi/Slots.json"
);
sol!(
    #[sol(rpc)]
    #[derive(Debug)]
    Rewards,
    "../assets/abi/Rewards.json"
);
sol!(
    #[sol(rpc)]
    #[derive(Debug)]
    Token,
    "../assets/abi/Token.json"
);
sol!(
    #[sol(rpc)]
    #[derive(Debug)]
    PoseidonT3,
    "../assets/abi/PoseidonT3.json"
);
