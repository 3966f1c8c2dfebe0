//! Texts longer than the scorer reads: counted, told of, and refused where nothing of a response
//! would be left.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tailguard_report::{Evaluation, ResultsFile};

use crate::program::{Outcome, run};

fn dataset(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../datasets").join(name).display().to_string()
}

/// Two methods on two prompts longer than the embedded classifier reads.
fn evaluate(folder: &Path, words: &[&str]) -> Outcome {
    let prompt = "It begins in a small town, and nothing happens for an hour. ".repeat(60);
    let row = |method: &str, row: usize, response: &str| {
        let prompt = format!("{row}. {prompt}");
        serde_json::json!({ "prompt": prompt, "response": response, "method": method }).to_string()
    };
    let rows: Vec<String> = (0..3)
        .flat_map(|at| {
            [
                row("a", at, " A wonderful film, the best of the year."),
                row("b", at, " A terrible film, a waste of time."),
            ]
        })
        .collect();
    fs::write(folder.join("texts.jsonl"), rows.join("\n")).unwrap();
    run(
        folder,
        &[
            &[
                "evaluate",
                "--generations",
                "texts.jsonl",
                "--reward",
                &dataset("distilbert-reviews"),
                "--group-by",
                "method",
                "--out",
                "out",
            ],
            words,
        ]
        .concat(),
    )
}

/// The mean reward of a method.
fn reward(folder: &Path, method: &str) -> f64 {
    Evaluation::read(&folder.join("out/results.json")).unwrap().methods[method].reward.unwrap().mean
}

#[test]
fn a_response_behind_a_long_prompt_is_read_and_the_cut_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = evaluate(folder.path(), &[]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let said =
        |words: &str| assert!(outcome.stdout.contains(words), "no {words:?} in {}", outcome.stdout);
    said("note: reward: 6 of 6 texts are longer than the ");
    said("their beginnings were cut off (max_length, truncation_side = \"left\")");
    said("note: reward: 3 of 3 prompts are longer");
    said("note: reward model: the score is the logit of label 1 (POSITIVE)");
    assert!(reward(folder.path(), "a") > reward(folder.path(), "b") + 0.1);
    let about: Value =
        serde_json::from_slice(&fs::read(folder.path().join("out/run.json")).unwrap()).unwrap();
    assert_eq!(
        about["scores"]["reward model"],
        serde_json::json!({ "label": 1, "name": "POSITIVE", "negated": false })
    );
}

#[test]
fn a_response_of_which_nothing_would_be_read_is_refused_by_row() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = evaluate(folder.path(), &["--truncation-side", "right"]);
    outcome.refused(1, &["row 1", "nothing of the response is left", "truncation_side = \"left\""]);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("texts.jsonl"), "{\"response\": \"a\"}\n{\"response\": \"b\"}")
        .unwrap();
    let words = ["evaluate", "--generations", "texts.jsonl", "--truncation-side", "right"];
    run(folder.path(), &words).refused(2, &["--reward"]);
}

#[test]
fn a_run_counts_what_its_reward_does_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let smoke = |words: &[&str]| {
        run(
            folder.path(),
            &[&["reproduce", "imdb", "--preset", "smoke", "--set", "reward.max_length=12"], words]
                .concat(),
        )
    };
    let refused = smoke(&["--set", "reward.truncation_side=right", "--out", "right"]);
    refused.refused(
        2,
        &[
            "reward.max_length is 12",
            "reward.truncation_side is \"right\"",
            "--set reward.truncation_side=left",
        ],
    );
    assert!(!folder.path().join("right").exists());
    let outcome = smoke(&["--out", "left"]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    for what in [
        "episodes are longer than the 12 tokens",
        "evaluation prompts are longer",
        "evaluated texts are longer",
    ] {
        assert!(outcome.stderr.contains(what), "no {what:?} in {}", outcome.stderr);
    }
    let log = fs::read_dir(folder.path().join("left/logs")).unwrap().next().unwrap().unwrap();
    let first: Value =
        serde_json::from_str(fs::read_to_string(log.path()).unwrap().lines().next().unwrap())
            .unwrap();
    assert_eq!(first["cut"], 8.0, "{first}");
}
