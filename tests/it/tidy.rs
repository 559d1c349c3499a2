//! House rules that a tool can hold: sizes, codes, words of one machine.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["agent", "console", "shared", "tests"] {
        crate::layering::collect(&root().join(folder), &mut found);
    }
    found
}

/// Codes such as `L1-001` or `IDLE-NO-BLOCK` are not prose: letters, a dash, three digits.
fn codes(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .filter(|word| {
            word.split_once('-').is_some_and(|(area, number)| {
                (2..=3).contains(&area.len())
                    && area.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
                    && number.len() == 3
                    && number.chars().all(|c| c.is_ascii_digit())
            })
        })
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_error_code_has_its_line_in_the_operating_guide() {
    let guide = codes(&fs::read_to_string(root().join("assets/docs/operating.md")).unwrap());
    let mut used = codes(&fs::read_to_string(root().join("install.sh")).unwrap());
    for file in sources() {
        let text = fs::read_to_string(&file).unwrap();
        // Not at the first `#[cfg(test)]`: where it names a file of tests, product code follows.
        let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        // Codes are string literals; documents and standards such as EIP-712 are not.
        for literal in product.split('"').skip(1).step_by(2) {
            used.extend(codes(literal).into_iter().filter(|it| it == literal));
        }
    }
    assert!(used.len() > 20, "found only {} codes", used.len());
    let missing: Vec<_> = used.difference(&guide).collect();
    assert!(missing.is_empty(), "not in assets/docs/operating.md: {missing:?}");
}

#[test]
fn files_are_short_and_say_why_they_exist() {
    for file in sources() {
        let text = fs::read_to_string(&file).unwrap();
        let lines = text.lines().count();
        assert!(lines <= 800, "{} has {lines} lines", file.display());
        assert!(text.starts_with("//!"), "{} does not say why it exists", file.display());
    }
}

#[test]
fn a_folder_holds_at_most_twelve_files() {
    let mut folders: Vec<PathBuf> =
        sources().iter().filter_map(|it| it.parent().map(Path::to_owned)).collect();
    folders.sort();
    for folder in folders.chunk_by(|a, b| a == b) {
        assert!(folder.len() <= 12, "{} holds {}", folder[0].display(), folder.len());
    }
}
