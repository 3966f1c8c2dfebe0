//! A training that diverges: the other methods are trained and told, and nobody can overlook what
//! is missing.

use std::fs;
use std::path::Path;

use tailguard_report::{Results, ResultsFile};

use crate::program::{Outcome, run};

fn reproduce(folder: &Path, words: &[&str]) -> Outcome {
    let small = [
        "reproduce",
        "imdb",
        "--preset",
        "smoke",
        "--out",
        "run",
        "--set",
        "run.seeds=1",
        "--set",
        "evaluation.prompts=32",
    ];
    run(folder, &[&small[..], words].concat())
}

fn results(folder: &Path) -> (String, Results) {
    let path = folder.join("run/results.json");
    (fs::read_to_string(&path).unwrap(), Results::read(&path).unwrap())
}

/// Both trainings are tried, GPT-2 and SFT have their figures, and the exit code, the table and the
/// page say what has none.
fn check(outcome: &Outcome, folder: &Path, reason: &str) {
    outcome.refused(1, &["error: a training diverged: RLHF, seed 1: ", reason, "and 1 more"]);
    let (_, results) = results(folder);
    assert_eq!(results.methods.keys().collect::<Vec<_>>(), ["gpt2", "sft"]);
    let lost: Vec<_> =
        results.diverged.iter().map(|lost| (lost.method.as_str(), lost.seed)).collect();
    assert_eq!(lost, [("rlhf", 1), ("ra_rlhf", 1)]);
    assert!(results.diverged.iter().all(|lost| lost.reason.contains(reason)), "{results:?}");
    assert!(results.comparisons.is_empty());
    let page = fs::read_to_string(folder.join("run/report.html")).unwrap();
    for text in [&outcome.stdout, &page] {
        assert!(text.contains("RA-RLHF, seed 1: ") && text.contains("SFT"), "{text}");
    }
}

#[test]
fn a_learning_rate_that_loses_the_weights_leaves_the_other_methods_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let high = ["--set", "ppo.learning_rate=1e25"];
    let outcome = reproduce(folder.path(), &high);
    check(&outcome, folder.path(), "training diverged in iteration ");
    assert!(outcome.stderr.contains("learning_rate = 1"), "{}", outcome.stderr);
    // to resume it is to come to the same end
    let (first, _) = results(folder.path());
    let again = reproduce(folder.path(), &[&high[..], &["--resume"]].concat());
    check(&again, folder.path(), "training diverged in iteration ");
    assert_eq!(results(folder.path()).0, first);
    assert_eq!(again.stdout, outcome.stdout);
}

#[test]
fn a_policy_that_cannot_be_evaluated_any_more_is_one_that_diverged() {
    let folder = tempfile::tempdir().unwrap();
    // every step is taken, and the perplexity of human texts is infinite afterwards
    let high =
        ["--set", "ppo.learning_rate=30", "--set", "ppo.iterations=1", "--set", "risk.warmup=0"];
    let outcome = reproduce(folder.path(), &high);
    check(
        &outcome,
        folder.path(),
        "the policy after its training cannot be evaluated (learning_rate = 30): perplexity of \
         text",
    );
}

#[test]
fn supervised_training_that_diverges_ends_the_run_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = reproduce(folder.path(), &["--set", "sft.learning_rate=1e25"]);
    outcome.refused(1, &["SFT, seed 1", "training diverged in step ", "learning_rate = "]);
    assert!(
        !folder.path().join("run/checkpoints/seed-1-sft/model").exists(),
        "no lost weights are kept"
    );
}
