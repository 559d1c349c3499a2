//! Every built-in world is read, and every wrong line is refused with what to do.

use super::*;
use crate::{Behaviour, Kill, Moment, Sequencer};

fn check(text: &str, expected: &str) {
    let text = format!("# R1\n# Shows something.\n{text}");
    let error = Scenario::parse("x", &text).map(|it| it.options).unwrap_err();
    assert!(error.to_string().contains(expected), "{error} does not say {expected}");
}

#[test]
fn wrong_lines_are_refused_with_line_value_limit_and_remedy() {
    check("agents", "line 3: `agents` is not `key = value`");
    check("agents = many", "line 3: `agents = many` must be a number in 1 to 16384");
    check("loss = 501", "line 3: `loss = 501` is out of its limits: use 0 to 500");
    check("loss = 1-5", "must be one number, not a range");
    check("txs = 5-1", "write the smaller number first");
    check("colour = 1", "there is no key `colour`: use one of agents,");
    check("loss = 1\nloss = 2", "line 4: `loss` is given twice");
    check("loss = 1\nbase = calm", "`base` must be the first key");
    check("base = wild", "use standard or calm");
    check("behaviour = lazy", "such as lazy 200");
    check("behaviour = rude 5", "`rude` is no behaviour: use one of honest, phantom");
    check("sequencer = rude", "`rude` is no sequencer");
    check("kill = 300", "must be like `300 at 250s`");
    check("kill = 950 at 2s", "use 0 to 900");
    check("speed = 1", "such as 200 1300");
}

#[test]
fn a_header_names_rules_and_says_something() {
    for text in ["", "agents = 1", "# no rules\n# Text.", "# R1", "# R1 and more\n# Text."] {
        assert_eq!(Scenario::parse("x", text).map(|it| it.name).unwrap_err().line, 1, "{text}");
    }
}

#[test]
fn a_file_sets_what_it_names_on_top_of_its_base() {
    let text = "# R5.2 R11\n# Shows\n# something.\nbase = calm\n\ntxs = 2-4 # few\nspeed = 200 1_300\n\
                kill = 300 at 250s\nkill = 100 at worst\nbehaviour = lazy 200\nsequencer = withholds";
    let it = Scenario::parse("name", text).unwrap();
    assert_eq!((it.name.as_str(), it.says.as_str()), ("name", "Shows something."));
    assert_eq!(it.rules, ["R5.2", "R11"]);
    let after = Kill { share: 300, at: Moment::After(250_000) };
    let expected = WorldOptions {
        txs: [2, 4],
        kills: vec![after, Kill { share: 100, at: Moment::Worst }],
        behaviours: vec![(Behaviour::Lazy, 200)],
        sequencer: Sequencer::Withholds,
        ..WorldOptions::calm()
    };
    let mut options = it.options;
    assert_eq!(core::mem::take(&mut options.prover.speeds), [[200, 1_300]]);
    assert_eq!(options, expected);
}

#[test]
fn every_built_in_world_is_read_and_the_standard_one_is_the_default() {
    let all = Scenario::all();
    assert!(30 <= all.len(), "{} worlds", all.len());
    let standard = all.iter().find(|it| it.name == "standard").unwrap();
    assert_eq!(standard.options, WorldOptions::default());
    let names: std::collections::BTreeSet<&str> = all.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names.len(), all.len());
}
