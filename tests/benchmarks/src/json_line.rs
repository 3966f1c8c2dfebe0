//! The one line of JSON that a benchmark prints: what is written is rounded, and what was printed
//! is read.

use anyhow::{Context, Result, ensure};
use serde_json::{Number, Value};

/// Five significant digits are more than a timing holds.
#[must_use]
pub fn rounded(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            let digits = number
                .as_f64()
                .and_then(|number| format!("{number:.4e}").parse().ok())
                .and_then(Number::from_f64);
            Value::Number(digits.unwrap_or(number))
        }
        Value::Array(items) => items.into_iter().map(rounded).collect(),
        Value::Object(items) => {
            items.into_iter().map(|(key, value)| (key, rounded(value))).collect()
        }
        other => other,
    }
}

/// Reads what a benchmark has printed: one line, an object.
///
/// # Errors
/// More or less than that, quoted.
pub fn parse(printed: &str) -> Result<Value> {
    let line = printed.trim_end_matches(['\r', '\n']);
    ensure!(
        !line.is_empty() && !line.contains('\n'),
        "expected one line of JSON, found {printed:?}"
    );
    let value: Value = serde_json::from_str(line)
        .with_context(|| format!("expected one line of JSON, found {printed:?}"))?;
    ensure!(value.is_object(), "expected a JSON object, found {printed:?}");
    Ok(value)
}

/// The number at a path of keys.
///
/// # Errors
/// Names the path where there is none.
pub fn number(line: &Value, path: &[&str]) -> Result<f64> {
    let found = path.iter().try_fold(line, |value, key| value.get(key)).and_then(Value::as_f64);
    found.with_context(|| {
        format!("no number `{}` in the line of `{}`", path.join("."), benchmark(line))
    })
}

/// The name of the benchmark that a line is of.
#[must_use]
pub fn benchmark(line: &Value) -> &str {
    line.get("benchmark").and_then(Value::as_str).unwrap_or("an unnamed benchmark")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_is_read_and_anything_else_is_quoted() {
        assert_eq!(parse("{\"a\": 1}\n").unwrap(), json!({"a": 1}));
        for printed in ["", "\n", "{}\n{}\n", "[1]\n", "warning: slow\n{}\n", "{\"a\":"] {
            let error = parse(printed).unwrap_err().to_string();
            assert!(
                error.contains("expected") && error.contains(&format!("{printed:?}")),
                "{error}"
            );
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
        let value =
            json!({"a": [0.123_456_789, 123_456_789, 1234.5678], "alpha": 0.4, "none": null});
        assert_eq!(
            rounded(value),
            json!({"a": [0.12346, 123_456_789, 1234.6], "alpha": 0.4, "none": null})
        );
    }
}
