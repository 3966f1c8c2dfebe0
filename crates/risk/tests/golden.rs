//! Parity with the reference numbers in tests/golden/risk.

use serde_json::Value;
use tailguard_risk::{
    Measure, RiskAversion, RiskLevel, RiskMeasure, ScheduleConfig, SoftRiskSchedule, cvar,
    cvar_conditional_mean, cvar_rockafellar_uryasev, entropic, mean, quantile,
};
use tailguard_tests::{cases, close, count, float, floats, list, name};

/// 1e-5 over 1 + the expected size; of the largest absolute return in arrays of extreme magnitudes.
fn near(case: &Value, what: &str, actual: f64, expected: &Value) {
    let expected = float(expected);
    let tolerance = match name(case) {
        "large" | "small" | "mixed_magnitudes" => {
            1e-5 * floats(&case["values"])
                .iter()
                .fold(0.0, |most: f64, value| most.max(value.abs()))
        }
        _ => 1e-5 * (1.0 + expected.abs()),
    };
    close(&[actual], &[expected], tolerance, &format!("{}, {what}", name(case)));
}

#[test]
fn golden_schedule_is_exact() {
    let file = cases("risk/schedule.json");
    for row in list(&file["rows"]) {
        let schedule = SoftRiskSchedule::new(ScheduleConfig {
            batch: count(&row["B"]),
            alpha: float(&row["alpha"]),
            warmup: count(&row["n"]),
            rho: float(&row["rho"]),
            iterations: count(&row["M"]),
        })
        .unwrap();
        assert_eq!(schedule.keep(count(&row["m"])), count(&row["keep"]), "{row}");
    }
}

#[test]
fn golden_counts_and_quantiles() {
    let file = cases("risk/measures.json");
    for case in list(&file["arrays"]) {
        let values = floats(&case["values"]);
        for row in list(&case["levels"]) {
            let level = RiskLevel::new(float(&row["alpha"])).unwrap();
            assert_eq!(level.count(values.len()), count(&row["count"]), "{}, {row}", name(case));
            near(case, "quantile", quantile(&values, level).unwrap(), &row["quantile"]);
        }
    }
}

#[test]
fn golden_cvar_in_three_forms() {
    let file = cases("risk/measures.json");
    for case in list(&file["arrays"]) {
        let values = floats(&case["values"]);
        near(case, "mean", mean(&values).unwrap(), &case["mean"]);
        for row in list(&case["levels"]) {
            let level = RiskLevel::new(float(&row["alpha"])).unwrap();
            let what = |form: &str| format!("{form} at {}", level.alpha());
            near(
                case,
                &what("lowest mean"),
                cvar(&values, level).unwrap(),
                &row["cvar_lowest_mean"],
            );
            near(
                case,
                &what("as a measure"),
                Measure::Cvar(level).value(&values).unwrap(),
                &row["cvar_lowest_mean"],
            );
            let conditional = cvar_conditional_mean(&values, level).unwrap();
            near(case, &what("conditional mean"), conditional, &row["cvar_conditional_mean"]);
            let optimum = cvar_rockafellar_uryasev(&values, level).unwrap();
            near(case, &what("Rockafellar-Uryasev"), optimum, &row["cvar_rockafellar_uryasev"]);
        }
    }
}

#[test]
fn golden_entropic() {
    let file = cases("risk/measures.json");
    for case in list(&file["arrays"]) {
        let values = floats(&case["values"]);
        for row in list(&case["entropic"]) {
            let aversion = RiskAversion::new(float(&row["lambda"])).unwrap();
            near(
                case,
                &format!("entropic at {}", aversion.lambda()),
                entropic(&values, aversion).unwrap(),
                &row["value"],
            );
        }
    }
}
