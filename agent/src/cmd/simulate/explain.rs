//! `simulate --explain R5.2`: what the rule says, and the worlds that show it.

use sim::{Invariant, Scenario};

use crate::error::Coded;

/// The specification.
const DOCUMENT: &str = include_str!("../../../../assets/docs/protocol.md");

/// The rule, its worlds and the invariants that ask for it.
///
/// # Errors
/// `SIM-003` if there is no such rule.
pub(crate) fn explain(rule: &str) -> Result<String, Coded> {
    let paragraph = paragraph(DOCUMENT, rule).ok_or_else(|| {
        let text = format!(
            "there is no rule {rule}: name one such as R5 or R5.2 of assets/docs/protocol.md"
        );
        Coded::new("SIM-003", text)
    })?;
    Ok(format!("{paragraph}\n{}", shown_by(rule)))
}

/// A rule `R5.2` is a paragraph that begins with `**R5.2**`; `R5` is its section, from `### R5 `
/// to the next heading.
fn paragraph(document: &str, rule: &str) -> Option<String> {
    let (bold, heading) = (format!("**{rule}**"), format!("### {rule} "));
    let mut lines =
        document.lines().skip_while(|it| !it.starts_with(&bold) && !it.starts_with(&heading));
    let first = lines.next()?;
    let section = first.starts_with('#');
    let ends = |it: &&str| if section { it.starts_with('#') } else { it.trim().is_empty() };
    let rest: Vec<&str> = lines.take_while(|it| !ends(it)).collect();
    let text = [first].into_iter().chain(rest).collect::<Vec<_>>().join("\n");
    Some(text.trim_end().to_owned() + "\n")
}

/// Worlds whose header names the rule, or one of its parts, and what is checked for it.
fn shown_by(rule: &str) -> String {
    let part = format!("{rule}.");
    let is_it = |it: &str| it == rule || it.starts_with(&part);
    let mut text = String::new();
    for invariant in Invariant::ALL.iter().filter(|it| is_it(it.rule())) {
        text += &format!("checked: {}\n", invariant.says());
    }
    for world in Scenario::all() {
        if world.rules.iter().any(|it| is_it(it)) {
            text += &format!(
                "world {}: {}\n  coppice-agent simulate --world {}\n",
                world.name, world.says, world.name
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A point of two digits, written in two parts: the specification has none.
    const TENTH: &str = concat!("R5", ".10");
    const TEXT: &str = concat!(
        "# Title\n\n### R5 Claims\n\n**R5.1** A claim.\nMore.\n\n**R5",
        ".10** Other.\n\n### R6 Next\n"
    );

    #[test]
    fn a_rule_is_its_paragraph_and_a_section_all_of_it() {
        assert_eq!(paragraph(TEXT, "R5.1").unwrap(), "**R5.1** A claim.\nMore.\n");
        assert_eq!(paragraph(TEXT, TENTH).unwrap(), format!("**{TENTH}** Other.\n"));
        let section = paragraph(TEXT, "R5").unwrap();
        assert!(section.starts_with("### R5 Claims") && section.ends_with("Other.\n"), "{section}");
        assert_eq!(paragraph(TEXT, "R7"), None);
    }

    #[test]
    fn rules_of_the_specification_are_explained() {
        for rule in ["R1", "R4.2", "R5.3", "R16.1"] {
            assert!(explain(rule).is_ok_and(|it| it.contains(rule)), "{rule}");
        }
        assert!(explain(concat!("R", "99")).is_err());
    }

    #[test]
    fn every_invariant_names_a_rule_of_the_specification() {
        for it in Invariant::ALL {
            assert!(explain(it.rule()).is_ok(), "{} asks for {}", it.name(), it.rule());
        }
    }

    #[test]
    fn worlds_and_checks_of_a_rule_are_named() {
        let text = shown_by("R5.1");
        assert!(text.contains("checked: a claim is durable before it is spoken"), "{text}");
        assert!(text.contains("simulate --world torn-record"), "{text}");
        assert!(!text.contains("world nat"), "{text}");
        assert!(shown_by("R5").contains("world nat"), "a section has the worlds of its parts");
    }
}
