//! A task of one's own needs a file of settings and no code: the example of the documentation, run
//! as it stands.

use std::fs;
use std::path::Path;

use tailguard_report::{Results, ResultsFile};

use crate::program::run;

/// Replies, helpful or not, as the example expects them; one is in both tables, and one is short.
fn write_data(folder: &Path) {
    let dir = folder.join("support");
    fs::create_dir(&dir).unwrap();
    let moods = [
        "What a wonderful and lovely film",
        "A terrible, boring waste of time",
        "An ordinary picture, I suppose",
    ];
    for split in ["train", "test"] {
        let rows = (0..60).map(|row| {
            format!(
                "\"{}, seen {row} times by the {split}ers of the club\",{}",
                moods[row % 3],
                row % 2
            )
        });
        let special = [
            "\"The same reply in the one table and in the other\",1".to_owned(),
            format!("Short {split},0"),
        ];
        let rows: Vec<String> = rows.chain(special).collect();
        fs::write(
            dir.join(format!("{split}.csv")),
            format!("reply,helpful\n{}\n", rows.join("\n")),
        )
        .unwrap();
    }
}

#[test]
fn the_example_runs_to_its_table() {
    let folder = tempfile::tempdir().unwrap();
    write_data(folder.path());
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/own-task.toml");
    let small = [
        "sampling.max_new_tokens=6",
        "sft.steps=2",
        "sft.batch_size=8",
        "ppo.iterations=3",
        "ppo.batch_size=8",
        "ppo.minibatch_size=8",
        "risk.warmup=1",
        "evaluation.prompts=62",
        "evaluation.perplexity_texts=8",
        "evaluation.tail_threshold=0",
    ];
    let mut words = vec!["train", "--config", example.to_str().unwrap(), "--out", "run"];
    words.extend(small.iter().flat_map(|setting| ["--set", setting]));
    let outcome = run(folder.path(), &words);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("RA-RLHF"), "{}", outcome.stdout);
    for said in [
        "1 of 62 evaluation texts are among the training texts too",
        "1 evaluation prompts have fewer than 12 tokens",
    ] {
        assert!(outcome.stderr.contains(said), "no {said:?} in {}", outcome.stderr);
    }
    let results = Results::read(&folder.path().join("run/results.json")).unwrap();
    assert_eq!((results.task.as_str(), results.preset.as_str()), ("support", "imdb-embedded"));
    // the run knows how it was begun, without the file
    let again = run(folder.path(), &["train", "--out", "run", "--resume"]);
    assert_eq!((again.code, again.stdout), (Some(0), outcome.stdout), "{}", again.stderr);
    // and goes on with the same texts or not at all
    let table = folder.path().join("support/train.csv");
    fs::write(&table, fs::read_to_string(&table).unwrap().replacen("wonderful", "middling", 1))
        .unwrap();
    run(folder.path(), &["train", "--out", "run", "--resume"])
        .refused(2, &["begun with other contents of: training texts"]);
}

#[test]
fn a_file_that_names_nothing_to_start_from_is_answered_with_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("run.toml"), "task = \"support\"\n").unwrap();
    let outcome = run(folder.path(), &["train", "--config", "run.toml"]);
    outcome.refused(2, &["preset = \"TASK-embedded\"", "imdb"]);
    // a folder of the file's is not called by a flag
    fs::write(
        folder.path().join("run.toml"),
        "preset = \"imdb-smoke\"\n[data]\ndir = \"support\"\n",
    )
    .unwrap();
    let outcome = run(folder.path(), &["train", "--config", "run.toml"]);
    outcome.refused(1, &["the data directory is support, expected a directory, found nothing"]);
    assert!(!outcome.stderr.contains("--data-dir"), "{}", outcome.stderr);
    run(folder.path(), &["train"]).refused(2, &["--config FILE", "own-task.toml"]);
}
