//! `evaluate` against figures that were computed elsewhere.

use std::fmt::Write as _;
use std::fs;

use tailguard_report::EvaluatedTail;
use tailguard_tests::{
    cases, close_scaled, count, float, floats, list, name, optional_float, texts,
};

use crate::evaluate::judged;

const TOLERANCE: f64 = 1e-5;

#[test]
fn golden_rewards_tails_curve_and_buckets() {
    let folder = tempfile::tempdir().unwrap();
    let cases = cases("metrics/cases.json");
    for case in list(&cases["rewards"]) {
        let (rewards, scores) = (floats(&case["rewards"]), floats(&case["prompt_scores"]));
        if rewards.len() < 2 {
            continue; // a single row is refused
        }
        let mut csv = "completion,score,prompt score\n".to_owned();
        for (row, (reward, score)) in rewards.iter().zip(&scores).enumerate() {
            writeln!(csv, "text {row},{reward},{score}").unwrap();
        }
        fs::write(folder.path().join("a.csv"), csv).unwrap();
        let own = ["--response-column", "completion", "--score-column", "score"];
        let by_prompt = [&own[..], &["--prompt-score-column", "prompt score"]].concat();
        let buckets = count(&case["buckets"]).to_string();
        for tail in list(&case["tails"]) {
            let threshold = format!("--tail-threshold={}", float(&tail["threshold"]));
            let words = [&by_prompt[..], &[&threshold, "--curve", "--buckets", &buckets]].concat();
            let (evaluation, _) = judged(folder.path(), "a.csv", &words);
            let method = &evaluation.methods["a"];
            close_scaled(
                &[method.reward.unwrap().mean],
                &[float(&case["mean_reward"])],
                TOLERANCE,
                "mean reward",
            );
            close_scaled(
                &[method.reward_spread.unwrap()],
                &[float(&case["std_reward_sample"])],
                TOLERANCE,
                "deviation",
            );
            let Some(EvaluatedTail::PromptScores { prompts, .. }) = evaluation.tail else {
                panic!("{evaluation:?}")
            };
            assert_eq!(prompts, Some(count(&tail["by_prompt_score_count"])), "{tail}");
            let curve: Vec<_> = method
                .curve
                .iter()
                .map(|point| (point.percent, point.count, point.reward))
                .collect();
            for row in list(&case["cumulative"]) {
                let (percent, texts, reward) = curve[count(&row["percent"]) - 1];
                assert_eq!((percent, texts), (count(&row["percent"]), count(&row["count"])));
                same(reward, optional_float(&row["mean"]), &row.to_string());
            }
            let groups: Vec<f64> = method.buckets.iter().map(|bucket| bucket.reward).collect();
            close_scaled(&groups, &floats(&case["bucket_means"]), TOLERANCE, "buckets");
            let mean = |key: &str| optional_float(&tail[&format!("{key}_mean")]);
            same(method.tail.map(|figure| figure.mean), mean("by_prompt_score"), &tail.to_string());
            let (evaluation, _) =
                judged(folder.path(), "a.csv", &[&own[..], &[&threshold]].concat());
            same(
                evaluation.methods["a"].tail.map(|figure| figure.mean),
                mean("by_own_reward"),
                &tail.to_string(),
            );
        }
    }
}

#[track_caller]
fn same(found: Option<f64>, expected: Option<f64>, what: &str) {
    assert_eq!(found.is_some(), expected.is_some(), "{what}: {found:?}");
    if let (Some(found), Some(expected)) = (found, expected) {
        close_scaled(&[found], &[expected], TOLERANCE, what);
    }
}

#[test]
fn golden_distinct() {
    let folder = tempfile::tempdir().unwrap();
    for case in list(&cases("metrics/cases.json")["distinct"]) {
        let texts = texts(&case["texts"]);
        if texts.len() < 2 {
            continue;
        }
        let lines: String = texts
            .iter()
            .map(|text| serde_json::json!({ "response": text }).to_string() + "\n")
            .collect();
        fs::write(folder.path().join("a.jsonl"), lines).unwrap();
        let (evaluation, _) = judged(folder.path(), "a.jsonl", &[]);
        let method = &evaluation.methods["a"];
        for row in list(&case["distinct"]) {
            let figure =
                [method.distinct_1, method.distinct_2, method.distinct_3][count(&row["n"]) - 1];
            // where there is no n-gram there is no share of them
            let expected = optional_float(&row["corpus"]).filter(|_| count(&row["total"]) > 0);
            same(figure.map(|figure| figure.mean), expected, &format!("{}, {row}", name(case)));
        }
        assert_eq!((method.reward, evaluation.tail), (None, None), "there are no scores");
    }
}
