//! What a row of a table of texts says: its prompt, and its scores as far as they are numbers.

use tailguard_data::{Generations, Scores};

/// The prompt of a row, if it has one.
pub(crate) fn prompt(texts: &Generations, row: usize) -> Option<&str> {
    texts.prompts.as_ref()?.get(row)
}

/// What tells prompts apart: the text of a row's prompt, or the row where it has none.
pub(crate) fn prompt_or_row(texts: &Generations, row: usize) -> Result<&str, usize> {
    prompt(texts, row).ok_or(row)
}

/// The score of a row, if there is one and it is a number that can be computed with.
pub(crate) fn finite(scores: &Option<Scores>, row: usize) -> Option<f64> {
    scores.as_ref()?[row].filter(|score| score.is_finite())
}
