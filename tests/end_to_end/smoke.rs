//! The smoke preset of every task from end to end: what it leaves behind, and that it gives the same numbers again.

use std::fs;
use std::path::Path;

use tailguard_report::{Generation, Method, Results, Tail, read_generations};

use crate::program::run;

fn reproduce(folder: &Path, task: &str, out: &str, words: &[&str]) -> String {
    let small = ["--set", "run.seeds=1", "--set", "ppo.iterations=3", "--set", "evaluation.prompts=32"];
    let outcome = run(folder, &[&["reproduce", task, "--preset", "smoke", "--out", out], &small[..], words].concat());
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    outcome.stdout
}

#[test]
fn imdb_prints_the_table_and_leaves_results_texts_logs_and_models() {
    let stdout = check("imdb");
    assert!(!stdout.contains("These figures are not on"), "the reviews are real: {stdout}");
}

#[test]
fn jigsaw_prints_the_table_and_says_that_its_texts_are_synthetic() {
    let stdout = check("jigsaw");
    assert!(stdout.contains("not on Jigsaw") && stdout.contains("--data-dir"), "{stdout}");
}

#[test]
fn rtp_prints_the_table_and_says_that_most_of_its_texts_are_synthetic() {
    let stdout = check("rtp");
    assert!(stdout.contains("not on RealToxicityPrompts") && stdout.contains("--data-dir"), "{stdout}");
}

/// Runs a task and holds everything that it leaves behind against the generated texts; gives what it printed.
fn check(task: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let stdout = reproduce(folder.path(), task, "run", &[]);
    for word in [
        "GPT-2",
        "SFT",
        "RLHF",
        "RA-RLHF",
        "reward",
        "tail ≤ 0 (",
        "judge tail",
        "distinct-2",
        "duplicate",
        "prompt (",
        "run directory:",
    ] {
        assert!(stdout.contains(word), "no {word:?} in {stdout}");
    }
    let dir = folder.path().join("run");
    let results = Results::read(&dir.join("results.json")).unwrap();
    assert_eq!((results.task.as_str(), results.preset.as_str(), results.seeds.as_slice()), (task, "smoke", &[1][..]));
    let rows = read_generations(&dir.join("generations.parquet")).unwrap();
    assert_eq!(rows.len(), 4 * 32);
    for method in Method::ALL {
        let rows: Vec<_> = rows.iter().filter(|row| row.method == method).collect();
        let mean = |number: &dyn Fn(&Generation) -> f64, of: &[&Generation]| {
            of.iter().map(|row| number(row)).sum::<f64>() / of.len() as f64
        };
        let (reward, judge) = (|row: &Generation| f64::from(row.reward), |row: &Generation| f64::from(row.judge.unwrap()));
        let tail: Vec<_> = rows.iter().copied().filter(|row| row.prompt_score <= 0.0).collect();
        let blank = |row: &Generation| f64::from(u8::from(row.response.trim().is_empty()));
        let figures = &results.methods[&method];
        for (figure, expected) in [
            (figures.reward, mean(&reward, &rows)),
            (figures.tail, mean(&reward, &tail)),
            (figures.judge.unwrap(), mean(&judge, &rows)),
            (figures.judge_tail.unwrap(), mean(&judge, &tail)),
            (figures.empty, mean(&blank, &rows)),
        ] {
            assert!((figure.mean - expected).abs() < 1e-9, "{method}: {figure:?} is not the mean over the texts, {expected}");
        }
        assert_eq!(results.tail, Tail { threshold: 0.0, prompts: tail.len() });
        assert!((figures.length.mean - 8.0).abs() < 1e-9, "{method}: the end token is masked, so lengths are fixed");
        assert!(figures.perplexity_human.mean > 1.0 && figures.perplexity_generated.mean > 1.0);
        for other in &figures.other_tails {
            let prompts = rows.iter().filter(|row| f64::from(row.prompt_score) <= other.threshold).count();
            assert_eq!((other.prompts, other.reward.is_some()), (prompts, prompts > 0), "{method}: {other:?}");
        }
    }
    assert!(results.methods[&Method::Sft].kl.mean.abs() < 1e-3, "the reference has no KL to itself");
    assert!(fs::metadata(dir.join("metrics.parquet")).unwrap().len() > 0);
    for model in ["seed-1-sft", "seed-1-rlhf", "seed-1-ra-rlhf"] {
        for file in ["config.json", "model.safetensors", "tokenizer.json"] {
            assert!(dir.join("checkpoints").join(model).join("model").join(file).is_file(), "{model}/{file}");
        }
    }
    stdout
}

#[test]
fn the_same_seed_gives_the_same_bytes_whatever_the_threads_and_another_seed_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let results = |out: &str, words: &[&str]| {
        reproduce(folder.path(), "imdb", out, words);
        fs::read_to_string(folder.path().join(out).join("results.json")).unwrap()
    };
    let first = results("a", &["--threads", "2"]);
    assert_eq!(first, results("b", &["--threads", "2"]));
    assert_eq!(first, results("c", &["--threads", "1"]));
    assert_ne!(first, results("d", &["--seed", "2"]).replace("\"seeds\": [\n    2", "\"seeds\": [\n    1"));
}

#[test]
fn a_finished_run_that_is_resumed_says_the_same_again() {
    let folder = tempfile::tempdir().unwrap();
    let first = reproduce(folder.path(), "imdb", "run", &[]);
    let dir = folder.path().join("run");
    let results = fs::read_to_string(dir.join("results.json")).unwrap();
    // as if the last phase had not been reached
    fs::remove_file(dir.join("results.json")).unwrap();
    fs::remove_file(dir.join("evaluation/seed-1-ra-rlhf.json")).unwrap();
    let outcome = run(folder.path(), &["reproduce", "imdb", "--out", "run", "--resume"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(outcome.stdout, first);
    assert_eq!(fs::read_to_string(dir.join("results.json")).unwrap(), results);
}
