//! Who may import whom. Reads the manifests, so a new arrow fails here before it is reviewed.

use std::{collections::BTreeSet, fs, path::Path};

/// A crate's folder, and the crates of this workspace it may use.
const ALLOWED: &[(&str, &[&str])] = &[
    ("shared/protocol", &[]),
    ("shared/wire", &["protocol"]),
    ("shared/sim", &["protocol", "wire"]),
    ("shared/circuits", &["protocol"]),
    ("console/core", &["protocol", "wire"]),
    ("console", &["console-core", "protocol", "wire", "sim"]),
    ("agent", &["protocol", "wire", "circuits", "sim"]),
    ("tests", &["protocol", "wire", "sim", "circuits", "console-core"]),
];
const OURS: [&str; 8] = [
    "protocol",
    "wire",
    "sim",
    "circuits",
    "console-core",
    "coppice-console",
    "coppice-agent",
    "tests",
];

/// An outside crate, and the only place that may name it.
const HOMES: &[(&str, &str)] = &[
    ("quinn", "agent/src/mesh"),
    ("sled", "agent/src/store"),
    ("alloy", "agent/src/l1"),
    ("halo2_base", "shared/circuits"),
    ("halo2_proofs", "shared/circuits"),
    ("snark_verifier", "shared/circuits"),
    ("crossterm", "console/src"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn dependencies(manifest: &str) -> BTreeSet<String> {
    manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once('=').map(|(name, _)| name.trim().to_owned()))
        .collect()
}

#[test]
fn arrows_point_inwards() {
    for (path, allowed) in ALLOWED {
        let manifest = fs::read_to_string(root().join(path).join("Cargo.toml")).unwrap();
        let extra: Vec<String> = dependencies(&manifest)
            .into_iter()
            .filter(|name| OURS.contains(&name.as_str()) && !allowed.contains(&name.as_str()))
            .collect();
        assert!(extra.is_empty(), "{path} must not use {extra:?}");
    }
}

#[test]
fn the_core_has_no_dependencies() {
    let manifest = fs::read_to_string(root().join("shared/protocol/Cargo.toml")).unwrap();
    assert_eq!(dependencies(&manifest), BTreeSet::new(), "shared/protocol stays free of them");
}

#[test]
fn every_outside_crate_has_one_home() {
    let mut sources = Vec::new();
    for folder in ["agent/src", "console", "shared"] {
        collect(&root().join(folder), &mut sources);
    }
    assert!(sources.len() > 10, "found only {} source files", sources.len());
    for file in sources {
        let text = fs::read_to_string(&file).unwrap();
        let place = file.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        for (name, home) in HOMES {
            let used =
                text.contains(&format!("use {name}::")) || text.contains(&format!(" {name}::"));
            assert!(!used || place.starts_with(home), "{place} uses {name}, whose home is {home}");
        }
    }
}

pub(crate) fn collect(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}
