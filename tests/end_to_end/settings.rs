//! `settings`: what every key means, and the schema that editors read.

use std::path::Path;

use serde_json::Value;

use crate::program::{Outcome, run};

fn settings(flags: &[&str]) -> Outcome {
    run(Path::new("."), &[&["settings"], flags].concat())
}

#[test]
fn a_key_is_explained_with_its_range_and_its_value() {
    let one = settings(&["--explain", "ppo.kl_coef", "--preset", "paper"]);
    assert_eq!(one.code, Some(0), "{one:?}");
    for words in [
        "# values of imdb --preset paper",
        "ppo.kl_coef = 0.2",
        "beta of Eq. 5",
        "a finite number of at least 0",
    ] {
        assert!(one.stdout.contains(words), "no {words:?} in {}", one.stdout);
    }
    assert!(!one.stdout.contains("ppo.kl_target"));
    let section = settings(&["--explain", "risk", "--task", "jigsaw"]);
    assert!(
        section.stdout.contains("risk.alpha = 0.2")
            && section.stdout.contains("a number in (0, 1]"),
        "{section:?}"
    );
    settings(&["--explain", "ppo.kl_coeff"])
        .refused(2, &["ppo.kl_coeff", "did you mean `ppo.kl_coef`"]);
}

#[test]
fn every_key_has_an_explanation() {
    let all = settings(&[]);
    let lines: Vec<&str> = all.stdout.lines().collect();
    let keys: Vec<usize> = (0..lines.len())
        .filter(|line| lines[*line].contains(" = ") && !lines[*line].starts_with(' '))
        .collect();
    assert!(keys.len() > 70, "{}", all.stdout);
    for line in keys {
        assert!(
            lines.get(line + 2).is_some_and(|line| line.starts_with("    ")),
            "{} is not explained",
            lines[line]
        );
    }
}

#[test]
fn the_schema_has_every_section_and_requires_nothing() {
    let schema: Value = serde_json::from_str(&settings(&["--schema"]).stdout).unwrap();
    assert!(
        schema["properties"]["ppo"].is_object() && schema["properties"]["arm"].is_object(),
        "{schema}"
    );
    assert!(schema["required"].is_null());
}
