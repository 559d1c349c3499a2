//! The specification and the code name the same rules, worlds, tests and parameters.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Rules that no code cites, each with its reason. A rule that is cited must leave this list.
const UNCITED: &[(&str, &str)] = &[
    ("R1.5", "coded: wire's envelope; its tests compare digests with EIP-712"),
    ("R6.1", "not built yet: T1"),
    ("R6.2", "said: open until an opening or a proof is shown (Questions, 1)"),
    ("R6.4", "not built yet: backup"),
    ("R8.2", "coded: acceptance, which cites R8 as a whole"),
    ("R9.5", "said: it forbids a mechanism"),
    ("R10.4", "said: it sizes bonds, which a deployment does"),
];

/// Worlds that the specification names and that are not written yet.
const WORLDS_TO_COME: &[&str] = &["joins-and-leaves", "private-payees", "reorg-l2", "silent-name"];

/// Rules of the specification: R1 to R16.
const RULES: u32 = 16;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn specification() -> String {
    read("assets/docs/protocol.md")
}

/// Rust sources of these folders, and the contracts with their tests.
fn sources(folders: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in folders {
        crate::layering::collect(&root().join(folder), &mut found);
    }
    for folder in ["assets/contracts/src", "assets/contracts/test"] {
        let files = fs::read_dir(root().join(folder)).unwrap().map(|it| it.unwrap().path());
        found.extend(files.filter(|it| it.extension().is_some_and(|it| it == "sol")));
    }
    assert!(found.len() > 100, "found only {} sources", found.len());
    found
}

/// `R5.2` is rule 5, point 2; `R5` is rule 5.
fn parse(word: &str) -> Option<(u32, Option<u32>)> {
    let number = |text: &str| text.parse::<u32>().ok().filter(|it| it.to_string() == text);
    match word.strip_prefix('R')?.split_once('.') {
        Some((rule, point)) => Some((number(rule)?, Some(number(point)?))),
        None => Some((number(word.strip_prefix('R')?)?, None)),
    }
}

fn citations(text: &str) -> BTreeSet<(u32, Option<u32>)> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_')
        .filter_map(|word| parse(word.trim_matches('.')))
        .collect()
}

/// Points of each rule, in the order of the document.
fn points() -> BTreeMap<u32, Vec<u32>> {
    let mut rules: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let mut heading = None;
    for line in specification().lines() {
        if line.starts_with('#') {
            let rule = line.strip_prefix("### ").and_then(|it| parse(it.split(' ').next()?));
            heading = rule.map(|(rule, _)| rule);
            if let Some(rule) = heading {
                assert!(rules.insert(rule, Vec::new()).is_none(), "R{rule} has two headings");
            }
        } else if let Some((name, _)) = line.strip_prefix("**R").and_then(|it| it.split_once("** "))
        {
            let parsed = parse(&format!("R{name}"));
            let Some((rule, Some(point))) = parsed else { panic!("not a rule's point: {line}") };
            assert_eq!(heading, Some(rule), "R{name} stands under another rule");
            rules.get_mut(&rule).unwrap().push(point);
        }
    }
    rules
}

/// What stands between single backticks on one line.
fn code_spans(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).filter(|it| !it.contains('\n')).collect()
}

#[test]
fn rules_are_numbered_without_gaps_and_every_point_is_a_paragraph() {
    let rules = points();
    assert_eq!(rules.keys().copied().collect::<Vec<_>>(), (1..=RULES).collect::<Vec<_>>());
    for (rule, points) in rules {
        let expected: Vec<u32> = (1..).take(points.len()).collect();
        assert!(!points.is_empty() && points == expected, "points of R{rule}: {points:?}");
    }
    let text = specification();
    for start in text.match_indices("\n**R").map(|(at, _)| at) {
        assert!(text[..start].ends_with('\n'), "no empty line before {}", &text[start + 1..][..12]);
    }
}

#[test]
fn every_cited_rule_is_in_the_specification() {
    let rules = points();
    for file in sources(&["agent", "console", "shared", "tests"]) {
        for (rule, point) in citations(&read(&file)) {
            let known = rules.get(&rule).is_some_and(|it| point.is_none_or(|p| it.contains(&p)));
            assert!(known, "{} cites R{rule}, point {point:?}: no such rule", file.display());
        }
    }
}

#[test]
fn every_rule_is_cited_or_listed_with_a_reason() {
    let mut cited = BTreeSet::new();
    for file in sources(&["agent", "shared"]) {
        cited.extend(citations(&read(file)));
    }
    let mut uncited = BTreeSet::new();
    for (rule, points) in points() {
        for &point in &points {
            // A rule of one point may be cited by its number alone.
            let whole = points.len() == 1 && cited.contains(&(rule, None));
            if !whole && !cited.contains(&(rule, Some(point))) {
                uncited.insert(format!("R{rule}.{point}"));
            }
        }
    }
    let listed: BTreeSet<String> = UNCITED.iter().map(|(rule, _)| (*rule).to_owned()).collect();
    assert_eq!(listed.len(), UNCITED.len(), "a rule is listed twice");
    let missing: Vec<_> = uncited.difference(&listed).collect();
    assert!(missing.is_empty(), "neither cited by code nor listed with a reason: {missing:?}");
    let done: Vec<_> = listed.difference(&uncited).collect();
    assert!(done.is_empty(), "cited by now, take them off the list: {done:?}");
}

#[test]
fn every_world_of_the_specification_is_written_or_to_come() {
    let text = specification();
    let attacks = text.split("\n## Attacks\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut named: BTreeSet<&str> =
        attacks.lines().filter_map(|it| it.strip_suffix("` |")?.rsplit('`').next()).collect();
    assert!(named.len() >= 19, "found only {} attacks", named.len());
    named.extend(code_spans(&text).into_iter().filter_map(|it| it.strip_prefix("sim ")));
    named.remove("NAME");
    let written = |name: &&str| root().join(format!("assets/worlds/{name}.world")).exists();
    let absent: BTreeSet<&str> = named.into_iter().filter(|it| !written(it)).collect();
    let to_come: BTreeSet<&str> = WORLDS_TO_COME.iter().copied().collect();
    assert_eq!(absent, to_come, "named without a file, and the list of worlds to come");
}

#[test]
fn every_test_of_the_specification_exists() {
    let text = specification();
    // Tests are sentences: no other name has so many words.
    let named: BTreeSet<&str> =
        code_spans(&text).into_iter().filter(|it| it.matches('_').count() >= 4).collect();
    assert!(named.len() >= 10, "found only {} tests", named.len());
    let all: String = sources(&["agent", "console", "shared", "tests"]).iter().map(read).collect();
    for name in named {
        let rust = all.contains(&format!("fn {name}("));
        let solidity = all.contains(&format!("function {name}("));
        assert!(rust || solidity, "the specification names {name}, which is no test");
    }
}

#[test]
fn a_parameter_stands_in_one_table_only() {
    let names = |text: &str| -> BTreeSet<String> {
        text.lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
            .map(|(name, _)| name.to_owned())
            .collect()
    };
    let text = specification();
    let to_come = names(text.split("\n## Parameters\n").nth(1).unwrap());
    let valid = names(&read("assets/docs/parameters.md"));
    assert!(valid.len() > 20 && !to_come.is_empty());
    let twice: Vec<_> = to_come.intersection(&valid).collect();
    assert!(twice.is_empty(), "in parameters.md by now, drop the row of protocol.md: {twice:?}");
}
