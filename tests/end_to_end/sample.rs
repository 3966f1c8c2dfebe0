//! `sample`: a prompt continued in the terminal.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use crate::program::{command, run};

fn sample(words: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let outcome = run(
        folder.path(),
        &[&["sample", "--prompt", "This film", "--tokens", "12"], words].concat(),
    );
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
    outcome.stdout
}

fn dataset(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../datasets").join(name).display().to_string()
}

#[test]
fn a_prompt_is_continued_by_the_embedded_model_and_the_seed_decides() {
    let first = sample(&[]);
    assert!(first.starts_with("This film") && first.len() > "This film".len() + 12, "{first:?}");
    assert_eq!(first, sample(&["--seed", "1"]));
    assert_ne!(first, sample(&["--seed", "2"]));
    let greedy = sample(&["--temperature", "0"]);
    assert_eq!(greedy, sample(&["--temperature", "0", "--seed", "2"]));
    let three = sample(&["--count", "3"]);
    assert!(three.starts_with(&first) && three.matches("This film").count() >= 3, "{three}");
}

#[test]
fn two_models_write_with_the_same_random_numbers_and_a_classifier_scores_them() {
    let model = dataset("gpt2-reviews");
    let comments = dataset("gpt2-comments");
    let text = sample(&[
        "--model",
        &model,
        "--model",
        &comments,
        "--model",
        &model,
        "--reward",
        &dataset("distilbert-reviews"),
    ]);
    assert!(
        text.starts_with(&format!("{model}:\nThis film"))
            && text.contains(&format!("\n\n{comments}:\nThis film")),
        "{text}"
    );
    let written: Vec<&str> = text
        .split(":\nThis film")
        .skip(1)
        .filter_map(|part| part.split("\nscore ").next())
        .collect();
    assert_eq!(written.len(), 3, "{text}");
    assert!(written[0] == written[2] && written[0] != written[1], "{written:?}");
    assert_eq!(text.matches("score ").count(), 3, "{text}");
}

#[test]
fn a_task_brings_its_model_and_classifier() {
    let text = sample(&["--task", "jigsaw"]);
    assert!(text.contains("score ") && text.contains("(the prompt alone "), "{text}");
}

#[test]
fn a_prompt_may_come_from_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command(folder.path());
    command
        .args(["sample", "--prompt", "-", "--tokens", "12"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"This film\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), sample(&[]));
}

#[test]
fn what_cannot_be_continued_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let words =
        |words: &[&'static str]| run(folder.path(), &[&["sample", "--prompt"], words].concat());
    words(&[""]).refused(2, &["the prompt is empty"]);
    words(&["x", "--tokens", "500"]).refused(2, &["--tokens is 500", "context has 128"]);
    words(&["x", "--tokens", "18446744073709551615"]).refused(2, &["context has 128"]);
    // before any model is looked for
    words(&["x", "--tokens", "0", "--model", "no/such"]).refused(2, &["--tokens 0"]);
    words(&["x", "--temperature=-1", "--model", "no/such"]).refused(2, &["--temperature -1"]);
    words(&["x", "--negate"]).refused(2, &["--negate", "there is none", "--reward"]);
    words(&["x", "--model", "no/such"]).refused(1, &["no/such"]);
    let classifier = dataset("distilbert-reviews");
    let other = run(folder.path(), &["sample", "--prompt", "x", "--model", &classifier]);
    other.refused(
        1,
        &[
            "distilbert-reviews: config.json is that of a model of type \"distilbert\"",
            "expected a GPT-2",
        ],
    );
    words(&["x", "--count", "0"]).refused(2, &["--count"]);
}
