//! `recipe = "distill"`: what it leaves behind, that arms share samples, and that it goes on after
//! an interruption.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tailguard_report::{Results, ResultsFile, SampleRow, read_samples};

use crate::interrupted::{few_texts, signalled};
use crate::program::{Outcome, command, run};

/// Two arms of two rounds, of 8 prompts and 4 responses each.
const ARMS: &str = r#"
preset = "imdb-smoke"
[run]
seeds = 1
[data]
dir = "."
[evaluation]
prompts = 32
[distill]
epochs = 10
[[arm]]
key = "gpt2"
recipe = "base"
[[arm]]
key = "sft"
recipe = "sft"
from = "gpt2"
[[arm]]
key = "mean_distilled"
recipe = "distill"
from = "sft"
objective = "mean"
set = { "distill.beta" = 2.0 }
[[arm]]
key = "tail_distilled"
recipe = "distill"
from = "sft"
objective = { cvar = { level = 0.5, over = "prompt" } }
compared_with = ["mean_distilled"]
set = { "distill.kl_target" = 0.6 }
"#;

fn words(folder: &Path) -> Vec<&'static str> {
    fs::write(folder.join("mine.toml"), ARMS).unwrap();
    match folder.join("run/config.toml").is_file() {
        true => vec!["train", "--config", "mine.toml", "--out", "run", "--resume"],
        false => vec!["train", "--config", "mine.toml", "--out", "run"],
    }
}

fn trained(folder: &Path) -> Outcome {
    let outcome = run(folder, &words(folder));
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    outcome
}

/// The responses of a store: those of each prompt.
fn stored(dir: &Path) -> Vec<Vec<SampleRow>> {
    let mut prompts: BTreeMap<u32, Vec<SampleRow>> = BTreeMap::new();
    for response in 0..4 {
        let part = dir.join(format!("response-{response:04}/samples.parquet"));
        for row in read_samples(&part).unwrap() {
            prompts.entry(row.prompt_index).or_default().push(row);
        }
    }
    prompts.into_values().collect()
}

/// The rows of the log of an arm, by TRL's names.
fn log(dir: &Path, arm: &str) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    rows.filter(|row| row["method"] == arm).collect()
}

fn close(found: &serde_json::Value, expected: f64) {
    let found = found.as_f64().unwrap();
    assert!((found - expected).abs() < 1e-4 * (1.0 + expected.abs()), "{found}, not {expected}");
}

#[test]
fn arms_share_the_samples_of_the_first_round_and_leave_models_and_a_log() {
    let folder = few_texts();
    trained(folder.path());
    let dir = folder.path().join("run");
    let results = Results::read(&dir.join("results.json")).unwrap();
    let mut names: Vec<String> = fs::read_dir(dir.join("samples"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let own = ["mean-distilled", "tail-distilled"].map(|arm| format!("seed-1-{arm}-round-1"));
    assert_eq!(names, [own[0].as_str(), "seed-1-sft-8", &own[1]]);

    // the first round of the mean, by the definition: odds of exp(score / 2) within each prompt,
    // which is near enough to the sampler that all of the step is taken
    let prompts = stored(&dir.join("samples/seed-1-sft-8"));
    assert!(prompts.len() == 8 && prompts.iter().all(|samples| samples.len() == 4));
    assert!(prompts.iter().flatten().all(|row| row.log_prob < 0.0 && row.judge.is_none()));
    let (mut reward, mut weighted, mut kl) = (0.0, 0.0, 0.0);
    for samples in &prompts {
        let score = |row: &SampleRow| f64::from(row.reward);
        let sum: f64 = samples.iter().map(|row| (score(row) / 2.0).exp()).sum();
        for row in samples {
            let weight = (score(row) / 2.0).exp() / sum;
            reward += score(row) / 32.0;
            weighted += weight * score(row) / 8.0;
            kl += weight * (4.0 * weight).ln() / 8.0;
        }
    }
    let rows = log(&dir, "mean_distilled");
    assert_eq!((rows.len(), &rows[0]["step"], &rows[1]["step"]), (2, &1.into(), &2.into()));
    close(&rows[0]["ppo/mean_scores"], reward);
    close(&rows[0]["distill/reward_weighted"], weighted);
    close(&rows[0]["distill/kl_weighted"], kl);
    close(&rows[0]["distill/tempering"], 1.0);
    close(&rows[0]["objective/kl"], 0.0);
    // the second samples from what the first has made, which is no longer the reference
    let second = stored(&dir.join("samples/seed-1-mean-distilled-round-1"));
    assert_ne!(second[0][0].response, prompts[0][0].response);
    assert!(rows[1]["objective/kl"].as_f64().unwrap().abs() > 1e-4, "{}", rows[1]);

    let rows = log(&dir, "tail_distilled");
    assert_eq!(rows.len(), 2);
    close(&rows[0]["ppo/mean_scores"], reward);
    for (row, kl) in rows.iter().zip([0.3, 0.6]) {
        let found = row["distill/kl_weighted"].as_f64().unwrap();
        // four samples of a prompt have few policies, between which the answer to a tail jumps
        assert!((found - kl).abs() < 0.1, "half of the way in each round: {row}");
        let step = row["distill/kl_step"].as_f64().unwrap();
        assert!(step <= 4.0_f64.ln() / 2.0 + 1e-9, "{row}");
    }

    for arm in ["mean-distilled", "tail-distilled"] {
        let checkpoint = dir.join(format!("checkpoints/seed-1-{arm}"));
        let left: Vec<_> = fs::read_dir(&checkpoint)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(left, ["model"]);
    }
    for arm in ["mean_distilled", "tail_distilled"] {
        assert!(results.methods[arm].kl.unwrap().mean.abs() > 1e-4, "{arm} has moved");
    }
    assert_eq!(results.comparisons.len(), 1);
}

#[test]
fn a_run_that_is_stopped_or_killed_goes_on_to_the_same_numbers() {
    let [whole, broken] = [(); 2].map(|()| few_texts());
    trained(whole.path());
    let expected = fs::read_to_string(whole.path().join("run/results.json")).unwrap();
    let interrupted = |line: &str, signal: &str| {
        signalled(command(broken.path()).args(words(broken.path())), line, &[signal])
    };
    // in the first round's sampling, in the first round, in the second, and in the other arm
    for (line, signal) in [
        ("responses to each of 8 prompts 2/4", "-KILL"),
        ("mean_distilled, seed 1 10/40", "-INT"),
        ("mean_distilled, seed 1 30/40", "-KILL"),
        ("tail_distilled, seed 1 30/40", "-INT"),
    ] {
        let (code, said) = interrupted(line, signal);
        assert_eq!(code, (signal == "-INT").then_some(130), "{said}");
    }
    let said = trained(broken.path()).stderr;
    let says = |begin: &str| said.lines().any(|line| line.starts_with(begin));
    assert!(!says("mean_distilled, seed 1") && !says("tail_distilled, seed 1 20/40"), "{said}");
    assert!(said.contains("taking up 4 of 4 responses"), "{said}");
    assert_eq!(fs::read_to_string(broken.path().join("run/results.json")).unwrap(), expected);
    let rows = |folder: &Path| {
        fs::read_to_string(folder.join("run/metrics.jsonl")).unwrap().lines().count()
    };
    assert_eq!(rows(broken.path()), rows(whole.path()));
}

#[test]
fn what_cannot_be_distilled_is_refused_before_anything_is_begun() {
    let folder = few_texts();
    let refused = |from: &str, to: &str, words: &[&str]| {
        assert!(ARMS.contains(from), "{from}");
        fs::write(folder.path().join("mine.toml"), ARMS.replace(from, to)).unwrap();
        let outcome = run(folder.path(), &["train", "--config", "mine.toml", "--out", "run"]);
        outcome.refused(2, words);
        assert!(!folder.path().join("run").exists());
    };
    let mean = "objective = \"mean\"";
    refused(mean, "objective = \"keep_lowest\"", &["mean_distilled", "keep_lowest drops episodes"]);
    refused("= 0.6", "= 1.5", &["tail_distilled", "distill.rounds of at least 3", "ln(4) / 2"]);
    refused("= 2.0", "= 0.0", &["distill.beta"]);
    refused("\"distill.beta\" = 2.0", "\"ppo.clip\" = 0.1", &["set has ppo.clip"]);
    refused("epochs = 10", "batch_size = 9", &["distill.batch_size is 9", "distill.prompts, 8"]);
}
