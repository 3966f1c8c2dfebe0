//! Golden fixtures for the tests of all crates: where they lie, how they are read, how near is near
//! enough.
//!
//! The fixtures are in `tests/golden`, one folder per crate or topic; `tests/golden/README.md` says
//! what each number is. The environment variable `TAILGUARD_GOLDEN` points the same tests at
//! another directory of the same layout, with other numbers and other sizes, so a test takes every
//! size from the file it reads. A relative path counts from the workspace root.
//!
//! All functions here panic with the name of the file or case when something is wrong: they are for
//! tests alone.
//!
//! ```
//! use tailguard_tests::{cases, close, float, floats, name};
//!
//! let measures = cases("risk/measures.json");
//! for case in tailguard_tests::list(&measures["arrays"]) {
//!     let values = floats(&case["values"]);
//!     let mean = values.iter().map(|value| value / values.len() as f64).sum::<f64>();
//!     let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
//!     close(&[mean], &[float(&case["mean"])], 1e-5 * largest, name(case));
//! }
//! ```

use std::{env, fs, path::Path, path::PathBuf};

use serde_json::Value;

/// Path of one fixture, such as `golden("gpt2/model.safetensors")`; or of a folder, such as
/// `golden("gpt2")`. A folder that `TAILGUARD_GOLDEN` does not have at all is ours.
///
/// # Panics
/// If there is nothing at that path; the message names it.
pub fn golden(relative: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let topic = relative.split('/').next().unwrap_or(relative);
    // Joining an absolute path replaces the base, so both kinds of TAILGUARD_GOLDEN work.
    let chosen = env::var_os("TAILGUARD_GOLDEN").map(|root| workspace.join(root));
    if let Some(root) = &chosen {
        assert!(root.is_dir(), "TAILGUARD_GOLDEN: {} is not a folder", root.display());
    }
    let root = chosen
        .filter(|root| root.join(topic).exists())
        .unwrap_or_else(|| workspace.join("tests/golden"));
    let path = root.join(relative);
    assert!(
        path.exists(),
        "golden fixture {} does not exist (TAILGUARD_GOLDEN chooses the folder)",
        path.display()
    );
    path
}

/// Path of a table as another tool writes it, such as `field_case("ragged.jsonl")`;
/// `tests/field_cases/README.md` says what each is.
///
/// # Panics
/// If there is none of that name.
pub fn field_case(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("field_cases").join(name);
    assert!(path.exists(), "{} does not exist", path.display());
    path
}

/// Name of the device on which the golden tests compute with tensors: what `TAILGUARD_DEVICE` says,
/// else `flex`, the CPU.
pub fn device_name() -> String {
    env::var("TAILGUARD_DEVICE").unwrap_or_else(|_| "flex".to_owned())
}

/// By what factor tolerances are wider on that device: on CUDA Burn rounds the factors of a matrix
/// product to TF32, which has 10 bits behind the point. PyTorch, its factors rounded so, is up to
/// 320 times 1e-4 from the classifiers' logits.
fn leeway() -> f64 {
    if device_name().starts_with("cuda") { 400.0 } else { 1.0 }
}

/// Reads one JSON fixture, such as `cases("ppo/cases.json")`.
///
/// # Panics
/// If the file is missing or is not JSON.
pub fn cases(relative: &str) -> Value {
    let path = golden(relative);
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The entries of a JSON array.
///
/// # Panics
/// If the value is not an array: a test that loops over nothing would prove nothing.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("expected an array, found {value}"))
}

/// The `name` of a case, or `"unnamed"`.
pub fn name(case: &Value) -> &str {
    case["name"].as_str().unwrap_or("unnamed")
}

/// One number.
///
/// # Panics
/// If the value is not a number.
pub fn float(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("expected a number, found {value}"))
}

/// One number, or `None` where the fixture says `null`.
///
/// # Panics
/// If the value is neither a number nor null.
pub fn optional_float(value: &Value) -> Option<f64> {
    (!value.is_null()).then(|| float(value))
}

/// All numbers of an array, row by row; nested arrays such as `[batch, seq, vocab]` are flattened.
///
/// # Panics
/// If anything in it is not a number.
pub fn floats(value: &Value) -> Vec<f64> {
    list(value)
        .iter()
        .flat_map(|entry| if entry.is_array() { floats(entry) } else { vec![float(entry)] })
        .collect()
}

/// One count, token id or size.
///
/// # Panics
/// If the value is not a whole number of at least 0.
pub fn count(value: &Value) -> usize {
    let whole = value.as_u64().and_then(|whole| usize::try_from(whole).ok());
    whole.unwrap_or_else(|| panic!("expected a count, found {value}"))
}

/// All counts or token ids of an array, row by row; nested arrays are flattened.
///
/// # Panics
/// If anything in it is not a whole number of at least 0.
pub fn counts(value: &Value) -> Vec<usize> {
    list(value)
        .iter()
        .flat_map(|entry| if entry.is_array() { counts(entry) } else { vec![count(entry)] })
        .collect()
}

/// All strings of an array.
///
/// # Panics
/// If anything in it is not a string.
pub fn texts(value: &Value) -> Vec<String> {
    let text = |entry: &Value| {
        entry.as_str().unwrap_or_else(|| panic!("expected a string, found {entry}")).to_owned()
    };
    list(value).iter().map(text).collect()
}

/// The extent of each dimension of a nested array, read along the first entries: `[[1, 2, 3]]`
/// gives `[1, 3]`.
pub fn shape(value: &Value) -> Vec<usize> {
    let mut extents = Vec::new();
    let mut inner = value;
    while let Some(entries) = inner.as_array() {
        extents.push(entries.len());
        match entries.first() {
            Some(first) => inner = first,
            None => break,
        }
    }
    extents
}

/// Asserts `|actual - expected| <= tolerance` everywhere; NaN is never close. On CUDA the tolerance
/// is wider.
///
/// # Panics
/// If the lengths differ or a pair is too far apart; the message names `what`, the index and both
/// values.
#[track_caller]
pub fn close<A: Copy + Into<f64>, E: Copy + Into<f64>>(
    actual: &[A],
    expected: &[E],
    tolerance: f64,
    what: &str,
) {
    compare(actual, expected, |_| tolerance, what);
}

/// Asserts `|actual - expected| <= tolerance * (1 + |expected|)` everywhere; NaN is never close. On
/// CUDA the tolerance is wider.
///
/// # Panics
/// If the lengths differ or a pair is too far apart; the message names `what`, the index and both
/// values.
#[track_caller]
pub fn close_scaled<A: Copy + Into<f64>, E: Copy + Into<f64>>(
    actual: &[A],
    expected: &[E],
    tolerance: f64,
    what: &str,
) {
    compare(actual, expected, |expected| tolerance * (1.0 + expected.abs()), what);
}

#[track_caller]
fn compare<A, E>(actual: &[A], expected: &[E], allowed: impl Fn(f64) -> f64, what: &str)
where
    A: Copy + Into<f64>,
    E: Copy + Into<f64>,
{
    assert_eq!(actual.len(), expected.len(), "{what}: number of values");
    let leeway = leeway();
    for (index, (&actual, &expected)) in actual.iter().zip(expected).enumerate() {
        let (actual, expected): (f64, f64) = (actual.into(), expected.into());
        let (distance, allowed) = ((actual - expected).abs(), leeway * allowed(expected));
        assert!(
            distance <= allowed,
            "{what}: value {index} is {actual}, expected {expected}: {distance:e} apart, allowed \
             {allowed:e}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_arrays_flatten_row_by_row() {
        let value = serde_json::json!([[1.0, 2.0], [3.0, 4.5]]);
        assert_eq!(floats(&value), [1.0, 2.0, 3.0, 4.5]);
        assert_eq!(shape(&value), [2, 2]);
        assert_eq!(counts(&serde_json::json!([[1, 2], [3]])), [1, 2, 3]);
    }

    #[test]
    fn equal_values_are_close_at_tolerance_zero() {
        close(&[1.5_f32], &[1.5_f64], 0.0, "same");
        close_scaled(&[1000.01], &[1000.0], 1e-4, "relative");
    }

    #[test]
    #[should_panic(expected = "case: value 1 is 2")]
    fn the_message_names_case_index_and_value() {
        close(&[1.0, 2.0], &[1.0, 2.5], 0.1, "case");
    }

    #[test]
    #[should_panic(expected = "not a number: value 0")]
    fn nan_is_never_close() {
        close(&[f64::NAN], &[f64::NAN], 1e9, "not a number");
    }

    #[test]
    #[should_panic(expected = "number of values")]
    fn lengths_must_agree() {
        close(&[1.0], &[1.0, 2.0], 1e9, "lengths");
    }
}
