//! Running needs no Solidity compiler, because ABI and bytecode are committed: here they are
//! compiled again and compared, so that they are what the sources say.

use std::{fs, path::Path, process::Command};

#[test]
fn committed_bytecode_is_what_the_sources_compile_to() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let contracts = root.join("assets/contracts");
    assert!(
        contracts.join("node_modules/.bin/forge").exists(),
        "run `npm ci --ignore-scripts` in {} first",
        contracts.display()
    );
    let fresh = tempfile::tempdir().unwrap();
    let built = Command::new(contracts.join("build.sh")).arg(fresh.path()).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let committed = root.join("assets/abi");
    let names = |folder: &Path| {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = entries.collect();
        names.sort();
        names
    };
    assert_eq!(names(fresh.path()), names(&committed), "assets/abi holds every contract");
    for name in names(&committed) {
        let (old, new) = (committed.join(&name), fresh.path().join(&name));
        assert!(
            fs::read(old).unwrap() == fs::read(new).unwrap(),
            "{} is older than the sources; run assets/contracts/build.sh",
            name.display()
        );
    }
}
