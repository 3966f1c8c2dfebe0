//! The one line of JSON that a benchmark prints. Its names are those of the peers' lines where both measure the same.

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Number, Value, json};
use tailguard_kernels::Precision;

use super::args::SizeName;
use super::machine::{machine, versions};
use super::sizes::Sizes;
use tailguard_experiment::settings::PrecisionName;

/// What every line says.
pub(crate) struct Head<'a> {
    /// The name of the benchmark.
    pub(crate) benchmark: &'static str,
    /// The preset that was asked for.
    pub(crate) size: SizeName,
    pub(crate) sizes: &'a Sizes,
    /// Of model and value head.
    pub(crate) parameters: usize,
    /// As it was asked for.
    pub(crate) device: &'a str,
    /// What factors of products are rounded to there.
    pub(crate) precision: PrecisionName,
    /// The most cores that other processes took.
    pub(crate) others: Option<f64>,
}

impl Head<'_> {
    /// The whole line: this and what was `measured`, an object.
    ///
    /// # Errors
    /// A measurement that is not a number.
    pub(crate) fn line(&self, measured: Value) -> Result<String> {
        let head = json!({
            "benchmark": self.benchmark,
            "size": self.sizes.name(self.size),
            "config": self.sizes,
            "parameters": self.parameters,
            "threads": rayon::current_num_threads(),
            "device": self.device,
            "precision": Precision::from(self.precision).name(),
            "machine": machine(),
            "versions": versions(),
            "peak_rss_mib": tailguard_experiment::machine::peak_mib(),
            "other_processes_cores": self.others,
        });
        let mut line = Map::new();
        for part in [head, measured] {
            let Value::Object(part) = part else { anyhow::bail!("a line of JSON is made of objects") };
            line.extend(part);
        }
        Ok(rounded(Value::Object(line)).to_string())
    }
}

/// Five significant digits are more than a timing holds.
fn rounded(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            let digits = number.as_f64().and_then(|number| format!("{number:.4e}").parse().ok()).and_then(Number::from_f64);
            Value::Number(digits.unwrap_or(number))
        }
        Value::Array(items) => items.into_iter().map(rounded).collect(),
        Value::Object(items) => items.into_iter().map(|(key, value)| (key, rounded(value))).collect(),
        other => other,
    }
}

/// Reads what a benchmark has printed: one line, an object.
///
/// # Errors
/// More or less than that, quoted.
pub(crate) fn parse(printed: &str) -> Result<Value> {
    let line = printed.trim_end_matches(['\r', '\n']);
    ensure!(!line.is_empty() && !line.contains('\n'), "expected one line of JSON, found {printed:?}");
    let value: Value = serde_json::from_str(line).with_context(|| format!("expected one line of JSON, found {printed:?}"))?;
    ensure!(value.is_object(), "expected a JSON object, found {printed:?}");
    Ok(value)
}

/// The number at a path of keys.
///
/// # Errors
/// Names the path where there is none.
pub(crate) fn number(line: &Value, path: &[&str]) -> Result<f64> {
    let found = path.iter().try_fold(line, |value, key| value.get(key)).and_then(Value::as_f64);
    found.with_context(|| format!("no number `{}` in the line of `{}`", path.join("."), benchmark(line)))
}

/// The name of the benchmark that a line is of.
pub(crate) fn benchmark(line: &Value) -> &str {
    line.get("benchmark").and_then(Value::as_str).unwrap_or("an unnamed benchmark")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_and_anything_else_is_quoted() {
        assert_eq!(parse("{\"a\": 1}\n").unwrap(), json!({"a": 1}));
        for printed in ["", "\n", "{}\n{}\n", "[1]\n", "warning: slow\n{}\n", "{\"a\":"] {
            let error = parse(printed).unwrap_err().to_string();
            assert!(error.contains("expected") && error.contains(&format!("{printed:?}")), "{error}");
        }
    }

    #[test]
    fn a_number_is_found_by_its_path_and_missed_by_name() {
        let line = json!({"benchmark": "b", "seconds": {"train": {"median": 1.5}, "note": "none"}});
        assert!((number(&line, &["seconds", "train", "median"]).unwrap() - 1.5).abs() < 1e-12);
        for path in [&["seconds", "train"][..], &["seconds", "note"], &["absent"]] {
            let error = number(&line, path).unwrap_err().to_string();
            assert_eq!(error, format!("no number `{}` in the line of `b`", path.join(".")));
        }
    }

    #[test]
    fn fractions_are_rounded_and_counts_are_not() {
        let value = json!({"a": [0.123_456_789, 123_456_789, 1234.5678], "alpha": 0.4, "none": null});
        assert_eq!(rounded(value), json!({"a": [0.12346, 123_456_789, 1234.6], "alpha": 0.4, "none": null}));
    }
}
