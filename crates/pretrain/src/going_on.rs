//! Whether a checkpoint is that of the training that is asked for: a training goes on only with the
//! settings and texts that it was begun with, or the model that is written would be of neither.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tailguard_checkpoint::{CheckpointError, Digest, ModelDir};
use tailguard_files::recover;
use tailguard_ppo::load_progress;

use crate::error::PretrainError;

/// What is known of the training in a checkpoint; none where there is no checkpoint. All but
/// `count`, which says how much of it is done, must be as in `expected`.
///
/// # Errors
/// A checkpoint that is damaged, or of another training.
pub(crate) fn saved<S: Serialize + DeserializeOwned>(
    checkpoint: &Path,
    expected: &S,
    count: &str,
) -> Result<Option<S>, PretrainError> {
    recover(checkpoint)?;
    if !checkpoint.is_dir() {
        return Ok(None);
    }
    let saved: Value = load_progress(checkpoint)?;
    let differences =
        differences(&fields(&saved, count), &fields(&serde_json::to_value(expected)?, count));
    if !differences.is_empty() {
        let message = format!(
            "{} belongs to another training: {}",
            checkpoint.display(),
            differences.join(", ")
        );
        return Err(PretrainError::refused(
            message,
            "take the flags and texts that it was begun with, or remove it",
        ));
    }
    let unreadable = |source| PretrainError::Notes { path: checkpoint.to_owned(), source };
    serde_json::from_value(saved).map(Some).map_err(unreadable)
}

/// All but how much is done.
fn fields(state: &Value, count: &str) -> Map<String, Value> {
    let mut fields = state.as_object().cloned().unwrap_or_default();
    fields.remove(count);
    fields
}

/// What differs, by name: `heads was 6, is 4`.
fn differences(saved: &Map<String, Value>, expected: &Map<String, Value>) -> Vec<String> {
    let shown = |value: Option<&Value>| match value {
        // of a digest, enough to see that it is another one
        Some(Value::String(text)) => text.chars().take(12).collect(),
        Some(value) => value.to_string(),
        None => "not noted".to_owned(),
    };
    let names = expected.keys().chain(saved.keys().filter(|name| !expected.contains_key(*name)));
    let differ = names.filter(|name| saved.get(*name) != expected.get(*name));
    differ
        .map(|name| {
            format!("{name} was {}, is {}", shown(saved.get(name)), shown(expected.get(name)))
        })
        .collect()
}

/// SHA-256 over texts, each with its label; where there are no labels, they are 0.
pub(crate) fn digest<'a>(texts: impl IntoIterator<Item = (&'a String, u8)>) -> String {
    let mut digest = Digest::default();
    for (text, label) in texts {
        digest.update(&(text.len() as u64).to_le_bytes());
        digest.update(text.as_bytes());
        digest.update(&[label]);
    }
    digest.hex()
}

/// SHA-256 of a file.
pub(crate) fn of_file(path: &Path) -> Result<String, CheckpointError> {
    let mut digest = Digest::default();
    digest.file(path)?;
    Ok(digest.hex())
}

/// SHA-256 over the files of a model directory.
pub(crate) fn of_model(dir: &Path) -> Result<String, CheckpointError> {
    let mut digest = Digest::default();
    for path in ModelDir::open(dir)?.files()? {
        digest.file(&path)?;
    }
    Ok(digest.hex())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_differs_is_named() {
        let saved = json!({"heads": 6, "old": null, "rate": 0.1, "step": 3});
        let expected = json!({"from": "abc", "heads": 4, "rate": 0.1, "step": 0});
        let differences = |saved: &Value, expected: &Value| {
            differences(&fields(saved, "step"), &fields(expected, "step"))
        };
        let found = differences(&saved, &expected);
        assert_eq!(
            found,
            ["from was not noted, is abc", "heads was 6, is 4", "old was null, is not noted"]
        );
        assert_eq!(
            differences(&expected, &json!({"from": "abc", "heads": 4, "rate": 0.1, "step": 9})),
            [""; 0]
        );
    }

    #[test]
    fn texts_are_told_apart_by_order_borders_and_labels() {
        let digest = |texts: &[(&str, u8)]| {
            let texts: Vec<_> =
                texts.iter().map(|(text, label)| ((*text).to_owned(), *label)).collect();
            digest(texts.iter().map(|(text, label)| (text, *label)))
        };
        let first = digest(&[("a", 0), ("b", 1)]);
        for other in
            [&[("b", 1), ("a", 0)][..], &[("ab", 0), ("", 1)], &[("a", 1), ("b", 1)], &[("a", 0)]]
        {
            assert_ne!(first, digest(other), "{other:?}");
        }
    }
}
