//! `front`: the samples and files that it leaves, that it takes samples up again, and what it
//! refuses.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tailguard_report::{Front, FrontPoint, read_samples};

use crate::program::{Outcome, run};

/// A front of few prompts and responses.
fn front(folder: &Path, words: &[&str]) -> Outcome {
    front_of(folder, "6", words)
}

fn front_of(folder: &Path, responses: &str, words: &[&str]) -> Outcome {
    let small = ["--preset", "smoke", "--prompts", "24", "--samples", responses, "--out", "out"];
    run(folder, &[&["front", "imdb"], &small[..], words].concat())
}

fn found(folder: &Path) -> Front {
    serde_json::from_str(&fs::read_to_string(folder.join("out/front.json")).unwrap()).unwrap()
}

/// The stores of samples.
fn stores(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder.join("out")).unwrap().map(|entry| entry.unwrap().path());
    let is_store =
        |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("samples-");
    entries.filter(is_store).collect()
}

#[test]
fn a_front_is_computed_from_samples_that_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let first = front(folder.path(), &[]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    for word in ["SFT", "mean, beta", "cvar = 0.1, beta", "best of 4", "at the same KL"] {
        assert!(first.stdout.contains(word), "no {word:?} in {}", first.stdout);
    }
    let text = fs::read_to_string(folder.path().join("out/front.json")).unwrap();
    let front_of_first = found(folder.path());
    check_figures(folder.path(), &front_of_first);
    let csv = fs::read_to_string(folder.path().join("out/front.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + front_of_first.points().count());
    let page = fs::read_to_string(folder.path().join("out/front.html")).unwrap();
    assert!(page.contains("Against the mean at the same KL") && page.contains("<svg"));

    // the reference and the samples are there: nothing is drawn, and the same comes out
    let store = &stores(folder.path())[0];
    let written = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
    let (part, model) = (
        store.join("response-0005/samples.parquet"),
        folder.path().join("out/reference/checkpoints/seed-1-sft/model/model.safetensors"),
    );
    let before = [written(&part), written(&model)];
    let again = front(folder.path(), &["--json"]);
    assert_eq!((again.code, &again.stdout), (Some(0), &text), "{}", again.stderr);
    assert!(again.stderr.contains("taking up 6 of 6 responses to each of 24 prompts"));
    assert_eq!([written(&part), written(&model)], before);

    // more responses are added to those that are there, and they begin with the same
    let more = front_of(folder.path(), "7", &["--objective", "mean", "--betas", "1,3"]);
    assert_eq!(more.code, Some(0), "{}", more.stderr);
    assert!(more.stderr.contains("taking up 6 of 7 responses"), "{}", more.stderr);
    assert_eq!(stores(folder.path()).len(), 1);
    let line = &found(folder.path()).lines[0];
    let betas = |points: &[FrontPoint]| points.iter().map(|point| point.beta).collect::<Vec<_>>();
    let refused: Vec<_> = line.refused.iter().map(|refused| Some(refused.beta)).collect();
    assert_eq!([betas(&line.points), refused].concat(), [Some(3.0), Some(1.0)]);

    // another seed has samples of its own, and would have another reference
    let seed = front(folder.path(), &["--seed", "2"]);
    seed.refused(2, &["run.seed is 1 there, 2 was asked for"]);
    // damaged samples are no samples
    fs::write(&part, "PAR1").unwrap();
    front(folder.path(), &[]).refused(1, &["samples.parquet"]);
}

/// Holds the front against the samples that it was computed from.
fn check_figures(folder: &Path, front: &Front) {
    assert_eq!((front.prompts, front.responses, front.seed), (24, 6, 1));
    let rows: Vec<_> = (0..6)
        .map(|response| {
            let path = stores(folder)[0].join(format!("response-{response:04}/samples.parquet"));
            read_samples(&path).unwrap()
        })
        .collect();
    let all = || rows.iter().flatten();
    assert!(rows.iter().all(|rows| rows.len() == 24));
    assert!(all().all(|row| row.judge.is_some() && row.log_prob < 0.0 && !row.response.is_empty()));
    let mean = all().map(|row| f64::from(row.reward)).sum::<f64>() / 144.0;
    let reference = &front.reference;
    assert!((reference.reward.mean - mean).abs() < 1e-9);
    assert!(reference.kl.mean.abs() < 1e-9 && reference.name == "SFT" && reference.gains.is_none());
    // the mean's policies by hand
    let line = front.lines.iter().find(|line| line.objective == "mean").unwrap();
    assert!(line.points.len() > 4);
    for point in &line.points {
        let (beta, mut reward, mut kl) = (point.beta.unwrap(), 0.0, 0.0);
        for prompt in 0..24 {
            let scores: Vec<f64> = rows.iter().map(|rows| f64::from(rows[prompt].reward)).collect();
            let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = scores.iter().map(|score| ((score - highest) / beta).exp()).sum();
            for score in &scores {
                let weight = ((score - highest) / beta).exp() / sum;
                reward += weight * score / 24.0;
                kl += weight * (6.0 * weight).ln() / 24.0;
            }
        }
        assert!((point.reward.mean - reward).abs() < 1e-9 && (point.kl.mean - kl).abs() < 1e-9);
        assert!(point.kl_where_spent.unwrap() <= front.most_kl);
    }
    // at the same KL the mean's policy has the best mean, and that for CVaR the best CVaR
    let line = front.lines.iter().find(|line| line.objective == "cvar = 0.2").unwrap();
    for point in &line.points {
        let gains = point.gains.as_ref().unwrap();
        assert!(gains.reward.mean < 1e-6 && gains.cvar["0.2"].mean > -1e-6, "{point:?}");
    }
    assert_eq!(
        front.best_of.iter().map(|point| point.name.as_str()).collect::<Vec<_>>(),
        ["best of 2", "best of 4"]
    );
}

#[test]
fn the_policies_of_a_run_are_placed_in_the_front_of_its_reference() {
    let folder = tempfile::tempdir().unwrap();
    let small =
        ["--set", "run.seeds=1", "--set", "ppo.iterations=3", "--set", "evaluation.prompts=32"];
    let made = run(
        folder.path(),
        &[&["reproduce", "imdb", "--preset", "smoke", "--out", "run"], &small[..]].concat(),
    );
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let words = ["front", "--run", "run", "--samples", "4", "--out", "out", "--objective", "mean"];
    let outcome = run(
        folder.path(),
        &[&words[..], &["--policy", "run/checkpoints/seed-1-sft", "--json"]].concat(),
    );
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let front: Front = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((front.prompts, front.reference.name.as_str()), (32, "seed-1-sft"));
    let names: Vec<&str> = front.policies.iter().map(|point| point.name.as_str()).collect();
    assert_eq!(names, ["seed-1-rlhf", "seed-1-ra-rlhf", "seed-1-sft"]);
    // the reference is at no distance from itself, and has the reward of its first responses
    let sft = &front.policies[2];
    assert!(sft.kl.mean.abs() < 1e-3, "{:?}", sft.kl);
    let store = stores(folder.path())[0].join("response-0000/samples.parquet");
    let rows = read_samples(&store).unwrap();
    let mean = rows.iter().map(|row| f64::from(row.reward)).sum::<f64>() / 32.0;
    assert!((sft.reward.mean - mean).abs() < 1e-6);
    assert!(front.policies[0].kl.mean.abs() > 1e-3);
    assert!(!folder.path().join("out/reference").exists());
    let value: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(value["kind"], "front");
}

#[test]
fn what_no_front_can_be_made_of_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    front(folder.path(), &["--objective", "keep_lowest"])
        .refused(2, &["keep_lowest maximises no risk measure", "expected mean"]);
    front(folder.path(), &["--objective", "cvar = 2"])
        .refused(2, &["cvar = 2, expected a number in (0, 1]"]);
    front(folder.path(), &["--policy", "nowhere"]).refused(1, &["nowhere", "--policy"]);
    run(folder.path(), &["front", "--run", "nowhere"]).refused(2, &["nowhere holds no run"]);
    run(folder.path(), &["front"]).refused(2, &[]);
    assert!(!folder.path().join("out").exists());
}
