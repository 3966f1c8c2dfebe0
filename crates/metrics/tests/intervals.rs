//! Parity with the intervals, p-values, rates and forecasts in tests/golden/metrics.

#![expect(clippy::unwrap_used, reason = "a test that cannot make its figures has failed")]

use serde_json::Value;
use tailguard_metrics::{
    ByPrompt, Estimate, FailureRate, Influences, Needed, Scale, failure_rate, forecast_worst,
    influences_over_seeds, lowest_over_seeds, mean_over_seeds, p_value, prompts_needed,
    quantile_over_seeds, rate_of_any,
};
use tailguard_tests::{cases, close_scaled, count, float, floats, list, name, optional_float};

/// What is left where both programs compute in doubles; Student's t is the coarsest of it.
const TOLERANCE: f64 = 1e-6;

fn seeds(case: &Value) -> Vec<Vec<ByPrompt>> {
    let text = |text: &Value| (count(&text[0]), float(&text[1]));
    list(&case["seeds"]).iter().map(|seed| list(seed).iter().map(text).collect()).collect()
}

#[track_caller]
fn same_estimate(found: Option<Estimate>, expected: &Value, what: &str) {
    let Estimate { value, se, ci95, seeds_std } = found.unwrap();
    let ci95 = ci95.unwrap();
    close_scaled(
        &[value, se.unwrap(), ci95[0], ci95[1]],
        &[float(&expected["value"]), float(&expected["se"])]
            .into_iter()
            .chain(floats(&expected["ci95"]))
            .collect::<Vec<_>>(),
        TOLERANCE,
        what,
    );
    let expected = optional_float(&expected["seeds_std"]);
    assert_eq!(seeds_std.is_some(), expected.is_some(), "{what}");
    close_scaled(seeds_std.as_slice(), expected.as_slice(), TOLERANCE, what);
}

#[track_caller]
fn same_rate(found: Option<FailureRate>, expected: &Value, what: &str) {
    let FailureRate { value, interval } = found.unwrap();
    let interval = interval.unwrap();
    assert_eq!(Some(interval.is_exact), expected["is_exact"].as_bool(), "{what}");
    close_scaled(
        &[value, interval.independent_texts, interval.upper95],
        &["value", "independent_texts", "upper95"].map(|key| float(&expected[key])),
        TOLERANCE,
        what,
    );
    close_scaled(&interval.ci95, &floats(&expected["ci95"]), TOLERANCE, what);
}

#[test]
fn golden_estimates_and_p_values() {
    let file = cases("metrics/intervals.json");
    for case in list(&file["designs"]) {
        let (seeds, count) = (seeds(case), count(&case["count"]));
        let what = |figure: &str| format!("{figure} of {}", name(case));
        let mean = mean_over_seeds(&seeds, Scale::Any).unwrap();
        same_estimate(mean, &case["mean"], &what("mean"));
        let of_mean = influences_over_seeds(&seeds, Influences::of_mean).unwrap().unwrap();
        close_scaled(
            &[p_value(&of_mean).unwrap().unwrap()],
            &[float(&case["mean"]["p_value"])],
            TOLERANCE,
            &what("p-value"),
        );
        let lowest = lowest_over_seeds(&seeds, |_| count).unwrap();
        same_estimate(lowest, &case["lowest"], &what("mean of the lowest"));
        let quantile = quantile_over_seeds(&seeds, |_| count).unwrap();
        same_estimate(quantile, &case["quantile"], &what("quantile"));
        let threshold = float(&case["threshold"]);
        let failed =
            |&(prompt, value): &ByPrompt| (prompt, f64::from(u8::from(value <= threshold)));
        let flags: Vec<Vec<ByPrompt>> =
            seeds.iter().map(|seed| seed.iter().map(failed).collect()).collect();
        let share = mean_over_seeds(&flags, Scale::Share).unwrap();
        same_estimate(share, &case["share"], &what("share"));
    }
}

#[test]
fn golden_rates_of_failures() {
    let file = cases("metrics/intervals.json");
    for case in list(&file["designs"]) {
        let (seeds, threshold, k) = (seeds(case), float(&case["threshold"]), count(&case["k"]));
        let failures = failure_rate(&seeds, threshold).unwrap();
        same_rate(failures, &case["failures"], &format!("failures of {}", name(case)));
        let any = rate_of_any(&seeds, k, threshold).unwrap();
        same_rate(any, &case["any"], &format!("any of {k} of {}", name(case)));
    }
    for case in list(&file["rates"]) {
        let failed = count(&case["failed"]);
        let score = |text: usize| if text < failed { -1.0 } else { 1.0 };
        let texts = (0..count(&case["texts"])).map(|text| (text, score(text))).collect();
        let found = failure_rate(&[texts], 0.0).unwrap().unwrap().interval.unwrap();
        close_scaled(&found.ci95, &floats(&case["ci95"]), TOLERANCE, &case.to_string());
        close_scaled(&[found.upper95], &[float(&case["upper95"])], TOLERANCE, &case.to_string());
        assert!(found.is_exact, "{case}");
    }
}

#[test]
fn golden_numbers_of_prompts() {
    let file = cases("metrics/intervals.json");
    for case in list(&file["designs"]) {
        let of_mean = influences_over_seeds(&seeds(case), Influences::of_mean).unwrap().unwrap();
        for row in list(&case["needed"]) {
            let half_width = float(&row["half_width"]);
            let found = prompts_needed(&of_mean, Scale::Any, half_width).unwrap().unwrap();
            match (found, row["prompts"].is_null()) {
                (Needed::Prompts(prompts), false) => {
                    assert_eq!(prompts, count(&row["prompts"]), "{}: {row}", name(case));
                }
                (Needed::MoreSeeds { narrowest }, true) => {
                    assert!(narrowest > half_width, "{}: {row}", name(case));
                }
                _ => panic!("{}: {found:?}, expected {row}", name(case)),
            }
        }
    }
}

#[test]
fn golden_forecasts() {
    let file = cases("metrics/intervals.json");
    for case in list(&file["forecasts"]) {
        let values: Vec<ByPrompt> = floats(&case["values"]).into_iter().enumerate().collect();
        let found = forecast_worst(&values, count(&case["times"])).unwrap();
        close_scaled(
            &[found.median, found.range95[0], found.range95[1], found.seen],
            &[float(&case["median"])]
                .into_iter()
                .chain(floats(&case["range95"]))
                .chain([float(&case["seen"])])
                .collect::<Vec<_>>(),
            TOLERANCE,
            &format!("{} times {}", values.len(), case["times"]),
        );
    }
}
