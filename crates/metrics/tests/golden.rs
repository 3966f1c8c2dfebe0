//! Parity with the reference numbers in tests/golden/metrics.

use tailguard_metrics::{
    buckets, curve, distinct, distinct_per_text, mean, mean_of_lowest, std_population, std_sample,
    tail, tail_by_own_reward,
};
use tailguard_tests::{
    cases, close_scaled, count, counts, float, floats, list, name, optional_float, texts,
};

const TOLERANCE: f64 = 1e-5;

#[test]
fn golden_distinct() {
    let file = cases("metrics/cases.json");
    for case in list(&file["distinct"]) {
        let texts = texts(&case["texts"]);
        for row in list(&case["distinct"]) {
            let n = count(&row["n"]);
            let what = format!("{}, n = {n}", name(case));
            let corpus = distinct(&texts, n).unwrap();
            assert_eq!(
                (corpus.unique, corpus.total),
                (count(&row["unique"]), count(&row["total"])),
                "{what}"
            );
            close_scaled(&[corpus.ratio()], &[float(&row["corpus"])], TOLERANCE, &what);

            let per_text = distinct_per_text(&texts, n).unwrap();
            let expected: Vec<Option<f64>> =
                list(&row["per_text"]).iter().map(optional_float).collect();
            same(&per_text.ratios, &expected, &what);
            let means = [per_text.mean_skipping_empty(), per_text.mean_empty_as_zero()];
            let expected = ["per_text_mean_skipping_empty", "per_text_mean_empty_as_zero"]
                .map(|key| float(&row[key]));
            close_scaled(&means, &expected, TOLERANCE, &what);
        }
    }
}

#[test]
fn golden_mean_and_deviations() {
    let file = cases("metrics/cases.json");
    for case in list(&file["rewards"]) {
        let rewards = floats(&case["rewards"]);
        let actual =
            [mean(&rewards), std_population(&rewards), mean_of_lowest(&rewards, rewards.len())]
                .map(Result::unwrap);
        let expected =
            ["mean_reward", "std_reward_population", "mean_reward"].map(|key| float(&case[key]));
        close_scaled(
            &actual,
            &expected,
            TOLERANCE,
            "mean, population deviation, mean of the lowest n",
        );
        if let Some(expected) = optional_float(&case["std_reward_sample"]) {
            close_scaled(
                &[std_sample(&rewards).unwrap()],
                &[expected],
                TOLERANCE,
                "sample deviation",
            );
        }
    }
}

#[test]
fn golden_buckets() {
    let file = cases("metrics/cases.json");
    for case in list(&file["rewards"]) {
        let (rewards, scores) = (floats(&case["rewards"]), floats(&case["prompt_scores"]));
        let groups = buckets(&rewards, &scores, count(&case["buckets"])).unwrap();
        let sizes: Vec<usize> = groups.iter().map(|group| group.count).collect();
        assert_eq!(sizes, counts(&case["bucket_sizes"]));
        let means: Vec<f64> = groups.iter().map(|group| group.reward).collect();
        close_scaled(&means, &floats(&case["bucket_means"]), TOLERANCE, "bucket means");
        let means: Vec<f64> = groups.iter().map(|group| group.prompt_score).collect();
        close_scaled(
            &means,
            &floats(&case["bucket_prompt_score_means"]),
            TOLERANCE,
            "prompt scores of buckets",
        );
    }
}

#[test]
fn golden_quantile_curve() {
    let file = cases("metrics/cases.json");
    for case in list(&file["rewards"]) {
        let (rewards, scores) = (floats(&case["rewards"]), floats(&case["prompt_scores"]));
        let rows = list(&case["cumulative"]);
        let points =
            curve(&rewards, &scores, rows.iter().map(|row| count(&row["percent"]))).unwrap();
        for (point, row) in points.iter().zip(rows) {
            assert_eq!(point.count, count(&row["count"]), "{row}");
            same(&[point.mean], &[optional_float(&row["mean"])], &row.to_string());
        }
    }
}

#[test]
fn golden_tails() {
    let file = cases("metrics/cases.json");
    for case in list(&file["rewards"]) {
        let (rewards, scores) = (floats(&case["rewards"]), floats(&case["prompt_scores"]));
        for row in list(&case["tails"]) {
            let threshold = float(&row["threshold"]);
            let by_prompt = tail(&rewards, &scores, threshold).unwrap();
            let by_own = tail_by_own_reward(&rewards, threshold).unwrap();
            let expected =
                (count(&row["by_prompt_score_count"]), count(&row["by_own_reward_count"]));
            assert_eq!((by_prompt.count, by_own.count), expected, "{row}");
            let expected =
                ["by_prompt_score_mean", "by_own_reward_mean"].map(|key| optional_float(&row[key]));
            same(&[by_prompt.mean, by_own.mean], &expected, &row.to_string());
        }
    }
}

/// Figures are missing in the same places, and near elsewhere.
#[track_caller]
fn same(actual: &[Option<f64>], expected: &[Option<f64>], what: &str) {
    let missing = |figures: &[Option<f64>]| figures.iter().map(Option::is_none).collect::<Vec<_>>();
    assert_eq!(missing(actual), missing(expected), "{what}: missing figures");
    let there = |figures: &[Option<f64>]| figures.iter().copied().flatten().collect::<Vec<_>>();
    close_scaled(&there(actual), &there(expected), TOLERANCE, what);
}
