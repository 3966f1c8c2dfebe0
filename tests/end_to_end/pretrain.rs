//! `pretrain`: what goes on from a checkpoint.

use std::fs;
use std::path::Path;

use crate::program::{Outcome, run};

/// Texts of a table, in an order that depends on `shift`.
fn table(path: &Path, count: usize, shift: usize) {
    let row =
        |row: usize| format!("{{\"text\": \"a film of {row} parts\", \"label\": {}}}\n", row % 2);
    let rows: String = (0..count).map(|index| row((index + shift) % count)).collect();
    fs::write(path, rows).unwrap();
}

/// `pretrain` of a tiny language model or of a classifier, on tables of a folder.
fn train(folder: &Path, flags: &str) -> Outcome {
    let tables = "--out made --train train.jsonl --test test.jsonl --threads 1";
    run(folder, &format!("pretrain {flags} {tables}").split_whitespace().collect::<Vec<_>>())
}

const LM: &str = "lm --layers 1 --width 12 --context 8 --batch-size 2 --vocab-size 270";

#[test]
fn a_language_model_goes_on_only_as_it_was_begun() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    let (learned, measured) = (folder.join("train.jsonl"), folder.join("test.jsonl"));
    let lm = |flags: &str| train(folder, &format!("{LM} {flags}"));
    table(&learned, 40, 0);
    table(&measured, 10, 0);

    let begun = lm("--steps 2 --heads 2");
    assert_eq!(begun.code, Some(0), "{begun:?}");
    let made = fs::read(folder.join("made/model.safetensors")).unwrap();
    let again = lm("--steps 2 --heads 2");
    assert!(again.code == Some(0) && again.stderr.contains("going on after step 2"), "{again:?}");
    for (flags, differs) in [
        ("--steps 4 --heads 2", "steps was 2, is 4"),
        ("--steps 2 --heads 2 --learning-rate 0.1", "learning_rate was 0.001, is 0.1"),
        ("--steps 2 --heads 2 --seed 5", "seed was 1, is 5"),
        // of the same tensors
        ("--steps 2 --heads 3", "heads was 2, is 3"),
    ] {
        lm(flags).refused(2, &["belongs to another training", "checkpoint", differs]);
    }
    let onwards = train(folder, "lm --steps 2 --context 8 --batch-size 2 --from made");
    onwards.refused(2, &["belongs to another training: from was null, is "]);
    // as many tokens as before
    table(&learned, 40, 1);
    lm("--steps 2 --heads 2").refused(2, &["belongs to another training: train was"]);
    table(&learned, 40, 0);
    table(&measured, 10, 1);
    lm("--steps 2 --heads 2").refused(2, &["belongs to another training: held_out was"]);
    table(&measured, 10, 0);
    let tokenizer = fs::read_to_string(folder.join("made/tokenizer.json")).unwrap();
    fs::write(folder.join("made/tokenizer.json"), tokenizer + "\n").unwrap();
    lm("--steps 2 --heads 2").refused(2, &["belongs to another training: tokenizer was"]);
    assert_eq!(
        fs::read(folder.join("made/model.safetensors")).unwrap(),
        made,
        "what was refused has written nothing"
    );
}

#[test]
fn a_language_model_of_another_shape_is_refused_by_its_name() {
    let home = tempfile::tempdir().unwrap();
    table(&home.path().join("train.jsonl"), 40, 0);
    table(&home.path().join("test.jsonl"), 10, 0);
    let begun = train(home.path(), &format!("{LM} --steps 1 --heads 2"));
    assert_eq!(begun.code, Some(0), "{begun:?}");
    let wider = format!("{LM} --steps 1 --heads 2")
        .replace("--width 12", "--width 16")
        .replace("--layers 1", "--layers 2");
    train(home.path(), &wider)
        .refused(2, &["belongs to another training", "layers was 1, is 2", "width was 12, is 16"]);
}

#[test]
fn texts_that_are_shorter_than_a_window_are_refused_by_their_number_of_tokens() {
    let home = tempfile::tempdir().unwrap();
    table(&home.path().join("train.jsonl"), 40, 0);
    table(&home.path().join("test.jsonl"), 10, 0);
    let lm = |context: &str| {
        train(home.path(), &format!("{LM} --steps 1 --heads 2").replace("--context 8", context))
    };
    lm("--context 4096").refused(
        2,
        &[
            "--context 4096: the texts to learn from have",
            "tokens in all",
            "hint: take a smaller --context",
        ],
    );
    lm("--context 1").refused(2, &["--context 1: no text to measure on has two tokens"]);
    assert!(!home.path().join("made/checkpoint").exists());
}

#[test]
fn a_classifier_goes_on_only_as_it_was_begun() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    let (learned, measured) = (folder.join("train.jsonl"), folder.join("test.jsonl"));
    let classifier = |flags: &str| train(folder, &format!("classifier {flags}"));
    // what was begun with other texts and has made no model yet must leave no tokenizer behind
    table(&learned, 6, 0);
    table(&measured, 6, 0);
    fs::create_dir_all(folder.join("made/checkpoint")).unwrap();
    fs::write(folder.join("made/checkpoint/tokenizer.json"), "of other texts").unwrap();

    let begun = classifier("--epochs 2");
    assert_eq!(begun.code, Some(0), "{begun:?}");
    let made = fs::read(folder.join("made/model.safetensors")).unwrap();
    let again = classifier("--epochs 2");
    assert!(
        again.code == Some(0) && again.stderr.contains("going on after epoch 2 of 2"),
        "{again:?}"
    );
    for (flags, differs) in [
        ("--epochs 3", "epochs was 2, is 3"),
        ("--epochs 2 --seed 5", "seed was 1, is 5"),
        ("--epochs 2 --architecture bert", "architecture was Distilbert, is Bert"),
        ("--epochs 2 --label-names BAD GOOD", "label_names was"),
    ] {
        classifier(flags).refused(2, &["belongs to another training", "checkpoint", differs]);
    }
    table(&learned, 6, 1);
    classifier("--epochs 2").refused(2, &["belongs to another training: train was"]);
    table(&learned, 6, 0);
    table(&measured, 6, 1);
    classifier("--epochs 2").refused(2, &["belongs to another training: test was"]);
    table(&measured, 6, 0);
    assert_eq!(
        fs::read(folder.join("made/model.safetensors")).unwrap(),
        made,
        "what was refused has written nothing"
    );

    let moments = folder.join("made/checkpoint/last/optimizer.bpk");
    let mut bytes = fs::read(&moments).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&moments, bytes).unwrap();
    classifier("--epochs 2").refused(1, &["optimizer.bpk", "SHA256SUMS"]);
}
