//! What can be wrong with the values that a metric is asked for.

use thiserror::Error;

/// Why a metric has no value.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum MetricsError {
    /// Fewer values than the metric needs.
    #[error("{what}: found {found}, expected at least {needed}")]
    TooFew {
        /// What there are too few of.
        what: &'static str,
        /// The least number that would do.
        needed: usize,
        /// How many there are.
        found: usize,
    },
    /// A value is NaN or infinite.
    #[error("{what} {index} is {value}, expected a finite number")]
    NotFinite {
        /// What the value is.
        what: &'static str,
        /// Position of the first such value.
        index: usize,
        /// The value found.
        value: f64,
    },
    /// Two lists that belong together differ in length.
    #[error("{left_len} {left}, but {right_len} {right}: expected one for one")]
    Unpaired {
        /// What the first list holds.
        left: &'static str,
        /// Its length.
        left_len: usize,
        /// What the second list holds.
        right: &'static str,
        /// Its length.
        right_len: usize,
    },
    /// A setting is out of range.
    #[error("{name} is {value}, expected {least} to {most}")]
    OutOfRange {
        /// Which setting.
        name: &'static str,
        /// Its value.
        value: usize,
        /// The least that would do.
        least: usize,
        /// The most that would do.
        most: usize,
    },
    /// A probability is none.
    #[error("{what} {index} is {value}, expected 0 to 1")]
    NoProbability {
        /// What the value is.
        what: &'static str,
        /// Position of the first such value.
        index: usize,
        /// The value found.
        value: f64,
    },
    /// Values are all alike where their spread is needed.
    #[error("{what}: all {count} are {value}, expected some that differ")]
    NoSpread {
        /// What the values are.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// The one value.
        value: f64,
    },
    /// A width is none.
    #[error("{name} is {value}, expected more than 0")]
    NotPositive {
        /// What it is.
        name: &'static str,
        /// Its value.
        value: f64,
    },
    /// A text has no tokens to take the perplexity of.
    #[error("text {index} has no scored tokens, expected at least one")]
    NoTokens {
        /// Position of the text.
        index: usize,
    },
}

/// Refuses an empty list and the first value that is not finite.
pub(crate) fn check(what: &'static str, values: &[f64]) -> Result<(), MetricsError> {
    if values.is_empty() {
        return Err(MetricsError::TooFew { what, needed: 1, found: 0 });
    }
    check_finite(what, values.iter().copied())
}

/// Refuses an empty list of texts.
pub(crate) fn check_texts<T>(texts: &[T]) -> Result<(), MetricsError> {
    if texts.is_empty() {
        Err(MetricsError::TooFew { what: "texts", needed: 1, found: 0 })
    } else {
        Ok(())
    }
}

/// Refuses texts that have not a prompt each.
pub(crate) fn check_prompts(prompts: &[usize], texts: usize) -> Result<(), MetricsError> {
    if prompts.len() == texts {
        return Ok(());
    }
    Err(MetricsError::Unpaired {
        left: "prompts",
        left_len: prompts.len(),
        right: "texts",
        right_len: texts,
    })
}

/// Refuses the first value that is not finite.
pub(crate) fn check_finite(
    what: &'static str,
    values: impl IntoIterator<Item = f64>,
) -> Result<(), MetricsError> {
    match values.into_iter().enumerate().find(|(_, value)| !value.is_finite()) {
        Some((index, value)) => Err(MetricsError::NotFinite { what, index, value }),
        None => Ok(()),
    }
}

/// Refuses a pair of lists that cannot be gone through side by side.
pub(crate) fn check_pair(
    left: (&'static str, &[f64]),
    right: (&'static str, &[f64]),
) -> Result<(), MetricsError> {
    if left.1.len() != right.1.len() {
        let (left_len, right_len) = (left.1.len(), right.1.len());
        return Err(MetricsError::Unpaired { left: left.0, left_len, right: right.0, right_len });
    }
    check(left.0, left.1)?;
    check(right.0, right.1)
}

/// Refuses a setting outside `least..=most`.
pub(crate) fn check_range(
    name: &'static str,
    value: usize,
    least: usize,
    most: usize,
) -> Result<(), MetricsError> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(MetricsError::OutOfRange { name, value, least, most })
    }
}

/// Refuses what is not above 0.
pub(crate) fn check_positive(name: &'static str, value: f64) -> Result<(), MetricsError> {
    if value > 0.0 { Ok(()) } else { Err(MetricsError::NotPositive { name, value }) }
}
