//! Labelled texts, and orders of them that never change.

use std::collections::HashSet;
use std::fmt;
use std::hash::Hasher;
use std::path::Path;
use std::sync::Arc;

use fnv::FnvHasher;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use crate::at::At;
use crate::error::DataError;

/// The file and the row that a text came from, whatever order it stands in now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file.
    pub path: Arc<Path>,
    /// The row.
    pub at: At,
}

impl Default for Origin {
    /// Of no file.
    fn default() -> Self {
        Self { path: Path::new("").into(), at: At::File }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            At::File => write!(f, "{}", self.path.display()),
            at => write!(f, "{}, {at}", self.path.display()),
        }
    }
}

/// A text and its class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The text from which prompts are cut: the whole text, unless its continuation is kept apart.
    pub text: String,
    /// What follows the text, or nothing.
    pub continuation: String,
    /// 1 for the good class (positive, or not toxic), 0 for the bad one.
    pub label: u8,
    /// Where it stands in its file.
    pub origin: Origin,
}

impl Record {
    /// The text and its continuation.
    #[must_use]
    pub fn whole(&self) -> String {
        format!("{}{}", self.text, self.continuation)
    }
}

/// The part of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// For training.
    Train,
    /// Held out.
    Test,
}

impl Split {
    /// The name of its table.
    pub(crate) fn stem(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Train => Self::Test,
            Self::Test => Self::Train,
        }
    }
}

/// One of two halves of a dataset, so that two models can learn from texts that they do not share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// The first.
    First,
    /// The second.
    Second,
}

/// The half that a text belongs to: the first if the first bit of the SHA-256 of its UTF-8 is 0. In
/// Python: `hashlib.sha256(text.encode()).digest()[0] < 128`.
#[must_use]
pub fn half(text: &str) -> Half {
    if Sha256::digest(text.as_bytes())[0] < 128 { Half::First } else { Half::Second }
}

/// The half by the parity of a text's [`text_hash`], which is that of its odd bytes alone: texts of
/// the same letters are always in one half. The classifiers of `datasets/` have learned from halves
/// of this kind; for anything new there is [`half`].
#[must_use]
pub fn half_by_parity(text: &str) -> Half {
    if text_hash(text).is_multiple_of(2) { Half::First } else { Half::Second }
}

/// The 64-bit FNV-1a hash of a text's UTF-8: the same on every machine, for copies of the text, and
/// whatever else there is.
#[must_use]
pub fn text_hash(text: &str) -> u64 {
    let mut hasher = FnvHasher::default();
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// Keeps the texts that have at least `min_chars` characters, their continuations included.
#[must_use]
pub fn at_least(records: Vec<Record>, min_chars: usize) -> Vec<Record> {
    let long = |record: &Record| {
        record.text.chars().chain(record.continuation.chars()).take(min_chars).count() == min_chars
    };
    records.into_iter().filter(long).collect()
}

/// How many texts of `test` are also in `train`, whatever their case and the white space around
/// them.
#[must_use]
pub fn duplicates(train: &[Record], test: &[Record]) -> usize {
    let known: HashSet<String> = train.iter().map(letters).collect();
    test.iter().filter(|record| known.contains(&letters(record))).count()
}

/// The texts of `train` that are not also in `test`, by the same measure, and how many are left
/// out.
#[must_use]
pub fn without(mut train: Vec<Record>, test: &[Record]) -> (Vec<Record>, usize) {
    let (known, all): (HashSet<String>, usize) = (test.iter().map(letters).collect(), train.len());
    train.retain(|record| !known.contains(&letters(record)));
    let left_out = all - train.len();
    (train, left_out)
}

/// What makes two texts copies of each other.
fn letters(record: &Record) -> String {
    record.text.trim().to_lowercase()
}

/// `0..len` in an order that depends on the seed alone: Fisher-Yates driven by `ChaCha8`, the same
/// on every machine.
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
    if found >= needed {
        Ok(())
    } else {
        Err(DataError::TooFewRows { what: what.to_owned(), found, needed })
    }
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

    fn records<const N: usize>(texts: [(&str, &str); N]) -> Vec<Record> {
        let record = |(text, continuation): (&str, &str)| Record {
            text: text.into(),
            continuation: continuation.into(),
            ..Record::default()
        };
        texts.map(record).to_vec()
    }

    #[test]
    fn length_is_counted_in_characters_and_includes_the_continuation() {
        let kept = at_least(records([("äöü", ""), ("ab", ""), ("a", " b")]), 3);
        assert_eq!(kept.iter().map(Record::whole).collect::<Vec<_>>(), ["äöü", "a b"]);
    }

    #[test]
    fn a_text_is_the_same_in_any_case_and_with_any_space_around_it() {
        let train = records([("A film.", ""), ("Über", ""), ("other", "")]);
        assert_eq!(
            duplicates(
                &train,
                &records([(" a FILM.\n", ""), ("über", " on"), ("a  film.", ""), ("über", "")])
            ),
            3
        );
        assert_eq!(duplicates(&train, &[]), 0);
    }

    #[test]
    fn the_halves_are_the_same_for_ever() {
        let halves = |half: fn(&str) -> Half| {
            ["", "a", "A fine film.", "a dull one", "naïve", "thank you"].map(half)
        };
        let (first, second) = (Half::First, Half::Second);
        assert_eq!(halves(half), [second, second, first, second, second, second]);
        assert_eq!(halves(half_by_parity), [second, first, first, second, second, first]);
    }

    #[test]
    fn the_order_of_letters_matters_to_the_half_and_not_to_its_parity() {
        let orders = [
            "abcd", "abdc", "acbd", "acdb", "adbc", "adcb", "bacd", "badc", "cabd", "dabc", "dbca",
            "dcba",
        ];
        let different =
            |half: fn(&str) -> Half| orders.iter().any(|text| half(text) != half(orders[0]));
        assert!(different(half) && !different(half_by_parity));
    }

    #[test]
    fn the_halves_are_about_even() {
        for half in [half, half_by_parity] {
            let first = (0..10_000)
                .filter(|number| half(&format!("comment {number}")) == Half::First)
                .count();
            assert!(first.abs_diff(5_000) < 250, "{first}");
        }
    }

    #[test]
    fn too_few_rows_are_named_with_both_numbers() {
        assert_eq!(
            require("prompts", 3, 5).unwrap_err().to_string(),
            "prompts: 3 rows, expected at least 5"
        );
    }
}
