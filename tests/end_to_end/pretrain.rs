//! `pretrain`: what goes on from a checkpoint.

use std::fs;

use crate::program::run;

const FIRST: [&str; 20] = [
    "pretrain",
    "lm",
    "--out",
    "lm",
    "--train",
    "texts.jsonl",
    "--test",
    "texts.jsonl",
    "--layers",
    "1",
    "--width",
    "8",
    "--heads",
    "1",
    "--context",
    "8",
    "--batch-size",
    "2",
    "--vocab-size",
    "270",
];

#[test]
fn a_training_goes_on_only_as_it_was_begun() {
    let folder = tempfile::tempdir().unwrap();
    let texts = |count: usize| -> String { (0..count).map(|row| format!("{{\"text\": \"a film of {row} parts\"}}\n")).collect() };
    fs::write(folder.path().join("texts.jsonl"), texts(40)).unwrap();
    let train = |flags: &[&str]| run(folder.path(), &[&FIRST[..], flags].concat());

    let begun = train(&["--steps", "2"]);
    assert_eq!(begun.code, Some(0), "{begun:?}");
    let again = train(&["--steps", "2"]);
    assert!(again.code == Some(0) && again.stderr.contains("going on after step 2"), "{again:?}");
    for flags in [&["--steps", "4"][..], &["--steps", "2", "--learning-rate", "0.1"], &["--steps", "2", "--seed", "5"]] {
        train(flags).refused(2, &["belongs to another training", "checkpoint"]);
    }
    fs::write(folder.path().join("texts.jsonl"), texts(30)).unwrap();
    train(&["--steps", "2"]).refused(2, &["belongs to another training", "tokens"]);
}
