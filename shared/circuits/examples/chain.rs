//! The whole chain with real proofs: keys, tx to root, calldata, the verifier's source.
//! `cargo run --release -p circuits --example chain -- <cache folder>`
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason
)]
use circuits::setup::{bench, evm, keys::KeyFolder, srs::SetupConstants};
fn main() {
    let dir = std::env::args().nth(1).unwrap();
    let t = std::time::Instant::now();
    let folder = KeyFolder::open(dir.as_ref(), SetupConstants::insecure(31337).unwrap()).unwrap();
    println!("{:?}", folder.path());
    folder.generate(&mut |p| println!("{:.1} {p:?}", t.elapsed().as_secs_f64())).unwrap();
    for k in protocol::Kind::ALL {
        println!("{k} {:?}", folder.figures(k).unwrap());
    }
    let t1 = std::time::Instant::now();
    let keys = folder.verifying_keys().unwrap();
    println!("verifying keys {:?} set {}", t1.elapsed(), hex::encode(keys.set_id()));
    std::fs::write(format!("{dir}/Verifier.sol"), evm::solidity(&keys).unwrap()).unwrap();
    if std::env::args().nth(2).is_some() {
        return;
    }
    let b = bench::circuits(&folder, protocol::Address([7; 20]), &mut |k, p| {
        println!("{:.1} {k} {p:?}", t.elapsed().as_secs_f64())
    })
    .unwrap();
    for f in &b.figures {
        println!("{}", serde_json::to_string(f).unwrap());
    }
    std::fs::write(format!("{dir}/root.json"), serde_json::to_vec(&b.root).unwrap()).unwrap();
    std::fs::write(
        format!("{dir}/calldata.hex"),
        hex::encode(evm::calldata(&b.root.instances, &b.root.proof)),
    )
    .unwrap();
    println!("calldata {} bytes", evm::calldata(&b.root.instances, &b.root.proof).len());
}
