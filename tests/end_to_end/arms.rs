//! Other arms than the four of the paper: what is watched, and what the page says of them.

use std::fs;
use std::path::Path;

use tailguard_report::{Results, ResultsFile};

use crate::program::run;

/// Runs a few iterations, and gives what was printed, the results and the page.
fn made(folder: &Path, words: &[&str]) -> (String, Results, String) {
    let small = [
        "--out",
        "run",
        "--set",
        "run.seeds=1",
        "--set",
        "ppo.iterations=3",
        "--set",
        "evaluation.prompts=32",
    ];
    let outcome = run(folder, &[words, &small[..]].concat());
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let dir = folder.join("run");
    let page = fs::read_to_string(dir.join("report.html")).unwrap();
    (outcome.stdout, Results::read(&dir.join("results.json")).unwrap(), page)
}

#[test]
fn where_what_an_arm_was_made_from_is_left_out_it_is_said_that_nobody_watches() {
    let folder = tempfile::tempdir().unwrap();
    let (printed, results, page) =
        made(folder.path(), &["reproduce", "imdb", "--preset", "smoke", "--arms", "rlhf,ra_rlhf"]);
    let watched: Vec<_> = results
        .watched
        .iter()
        .map(|watched| (watched.method.as_str(), watched.over.as_str()))
        .collect();
    assert_eq!(watched, [("rlhf", "sft"), ("ra_rlhf", "sft")]);
    assert!(
        results.watched.iter().all(|watched| watched.reward.is_none()),
        "{:?}",
        results.watched
    );
    for said in [&printed, &page] {
        for method in ["RLHF", "RA-RLHF"] {
            let warning = format!(
                "whether {method} may please the reward model alone was not checked: SFT, from \
                 which it was made"
            );
            assert!(said.contains(&warning), "no {warning:?} in {said:.3000}");
        }
    }
}

#[test]
fn an_arm_that_is_compared_with_nothing_is_watched_over_what_it_was_made_from() {
    let folder = tempfile::tempdir().unwrap();
    let arms = "preset = \"imdb-smoke\"\n[evaluation]\nreference = \"base\"\n[[arm]]\nkey = \
        \"base\"\nrecipe = \"base\"\n[[arm]]\nkey = \"tuned\"\nrecipe = \"sft\"\nfrom = \
        \"base\"\n[[arm]]\nkey = \"mine\"\nrecipe = \"ppo\"\nfrom = \"tuned\"\n";
    fs::write(folder.path().join("mine.toml"), arms).unwrap();
    let (printed, results, page) = made(folder.path(), &["train", "--config", "mine.toml"]);
    // rewards form what PPO trains, and not what texts alone do
    assert!(results.comparisons.is_empty() && results.watched.len() == 1, "{results:?}");
    let watched = &results.watched[0];
    assert_eq!((watched.method.as_str(), watched.over.as_str()), ("mine", "tuned"));
    let of =
        |arm: &str| (results.methods[arm].reward.mean, results.methods[arm].judge.unwrap().mean);
    let ((reward, judge), (reward_before, judge_before)) = (of("mine"), of("tuned"));
    assert!((watched.reward.unwrap().mean - (reward - reward_before)).abs() < 1e-9, "{watched:?}");
    assert!((watched.judge.unwrap().mean - (judge - judge_before)).abs() < 1e-9, "{watched:?}");
    assert!(!printed.contains("was not checked") && !printed.contains("mine - tuned"), "{printed}");
    let described = "base is the base model. tuned is base fine-tuned on texts of the good class. \
        mine trains tuned further by PPO on all";
    assert!(page.contains(described) && page.contains("KL divergence to base"), "{page:.6000}");
}

#[test]
fn where_nothing_is_averse_to_risk_nothing_is_said_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (_, results, page) =
        made(folder.path(), &["reproduce", "imdb", "--preset", "smoke", "--arms", "sft,rlhf"]);
    assert_eq!(results.comparisons.len(), 1);
    assert!(
        page.contains("RLHF beside SFT")
            && page.contains("RLHF trains SFT further by PPO on all episodes."),
        "{page:.6000}"
    );
    assert!(!page.contains("risk aversion"), "{page:.6000}");
}
