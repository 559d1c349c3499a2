#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason
)]
use circuits::setup::{bench, evm, folder::KeyFolder, prove, srs::SetupConstants};
fn main() {
    let dir = std::env::args().nth(1).unwrap();
    let t = std::time::Instant::now();
    let folder = KeyFolder::open(dir.as_ref(), SetupConstants::insecure(31337).unwrap()).unwrap();
    println!("{:?}", folder.path());
    if std::env::args().nth(2).as_deref() == Some("prove") {
        let work: prove::Work = bincode::deserialize_from(std::io::stdin()).unwrap();
        let made = prove::prove(&folder, &work, protocol::Address([7; 20]), &mut |_| ()).unwrap();
        std::fs::write(format!("{dir}/made"), bincode::serialize(&made).unwrap()).unwrap();
        return;
    }
    folder.generate(&mut |p| println!("{:.1} {p:?}", t.elapsed().as_secs_f64())).unwrap();
    for k in protocol::Kind::ALL {
        println!("{k} {:?}", folder.figures(k).unwrap());
    }
    let t1 = std::time::Instant::now();
    let keys = folder.verifying_keys().unwrap();
    println!("verifying keys {:?} set {}", t1.elapsed(), hex::encode(keys.set_id()));
    for k in protocol::Kind::ALL {
        println!("{k} proof bytes {}", circuits::setup::leaf::proof_bytes(&keys, k));
    }
    std::fs::write(format!("{dir}/RootVerifier.sol"), evm::solidity(&keys).unwrap()).unwrap();
    std::fs::write(
        format!("{dir}/devnet.json"),
        serde_json::to_string_pretty(&folder.pins().unwrap()).unwrap() + "\n",
    )
    .unwrap();
    if std::env::args().nth(2).is_some() {
        return;
    }
    let mut n = 0;
    let b = bench::circuits_with(&folder, &mut |work| -> Result<prove::Made, String> {
        println!("{:.1} {}", t.elapsed().as_secs_f64(), work.kind());
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .arg(&dir)
            .arg("prove")
            .env("RAYON_NUM_THREADS", "2")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        bincode::serialize_into(child.stdin.take().unwrap(), work).unwrap();
        if !child.wait().unwrap().success() {
            return Err("child".into());
        }
        n += 1;
        std::fs::copy(format!("{dir}/made"), format!("{dir}/made{n}")).unwrap();
        Ok(bincode::deserialize(&std::fs::read(format!("{dir}/made")).unwrap()).unwrap())
    })
    .map_err(|e| e.to_string())
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
