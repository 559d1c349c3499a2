//! The table of parameters, the core's type and the devnet preset name the same things.

use std::{collections::BTreeSet, fs, path::Path};

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::read_to_string(root.join(path)).unwrap()
}

/// Public fields of `Params`.
fn fields() -> BTreeSet<String> {
    let source = read("shared/protocol/src/params.rs");
    let body = source.split("pub struct Params {").nth(1).unwrap().split("\n}").next().unwrap();
    body.lines()
        .filter_map(|line| line.trim().strip_prefix("pub ")?.split_once(':'))
        .map(|(name, _)| name.to_owned())
        .collect()
}

#[test]
fn every_parameter_is_documented_and_nothing_else() {
    let documented: BTreeSet<String> = read("assets/docs/parameters.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .collect();
    assert!(fields().len() > 20);
    assert_eq!(fields(), documented);
}

#[test]
fn the_devnet_preset_sets_every_parameter() {
    let preset = read("assets/config/devnet.toml");
    for field in fields() {
        // A deployment decides where slot 0 is; p50 is written in seconds.
        let written = match field.as_str() {
            "genesis_block" => "lead_blocks",
            "p50_ms" => "[params.p50_s]",
            "units" => "[params.units]",
            other => other,
        };
        assert!(preset.contains(written), "assets/config/devnet.toml does not set {written}");
    }
}
