//! Labelled texts, and orders of them that never change.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::error::DataError;

/// A text and its class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The whole text.
    pub text: String,
    /// 1 for the good class (positive, or not toxic), 0 for the bad one.
    pub label: u8,
}

/// The part of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// For training.
    Train,
    /// Held out.
    Test,
}

/// Keeps the texts of at least `min_chars` characters.
#[must_use]
pub fn at_least(records: Vec<Record>, min_chars: usize) -> Vec<Record> {
    records.into_iter().filter(|record| record.text.chars().take(min_chars).count() == min_chars).collect()
}

/// `0..len` in an order that depends on the seed alone: Fisher-Yates driven by `ChaCha8`, the same on every machine.
#[must_use]
pub fn shuffled(len: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..len).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    order
}

/// Refuses fewer rows than are needed.
///
/// # Errors
/// [`DataError::TooFewRows`] with both numbers.
pub fn require(what: &str, found: usize, needed: usize) -> Result<(), DataError> {
    if found >= needed { Ok(()) } else { Err(DataError::TooFewRows { what: what.to_owned(), found, needed }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_shuffle_holds_every_index_once_and_follows_the_seed(len in 0usize..200, seed: u64) {
            let mut order = shuffled(len, seed);
            prop_assert_eq!(&order, &shuffled(len, seed));
            order.sort_unstable();
            prop_assert_eq!(order, (0..len).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_order_is_the_same_for_ever() {
        assert_eq!(shuffled(8, 1), [3, 4, 5, 2, 7, 1, 6, 0]);
    }

    #[test]
    fn length_is_counted_in_characters() {
        let records = ["äöü", "ab"].map(|text| Record { text: text.into(), label: 1 }).to_vec();
        assert_eq!(at_least(records, 3).len(), 1);
    }

    #[test]
    fn too_few_rows_are_named_with_both_numbers() {
        assert_eq!(require("prompts", 3, 5).unwrap_err().to_string(), "prompts: 3 rows, expected at least 5");
    }
}
